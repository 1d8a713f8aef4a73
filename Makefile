# Two commands do everything on Debian 12: `make demo` and `make test`. meson builds; this file
# installs what is missing and runs it.
PREFIX ?= /usr/local
BUILD ?= build

BUILD_PACKAGES = gcc libc6-dev make meson ninja-build pkg-config libyaml-dev libcjson-dev \
	libsqlite3-dev libdnnl-dev zlib1g-dev liblapacke-dev libprotobuf-c-dev protobuf-c-compiler
DEMO_PACKAGES = $(BUILD_PACKAGES) dataset-fashion-mnist
TEST_PACKAGES = $(DEMO_PACKAGES) g++ libcriterion-dev libpcg-cpp-dev python3 python3-jsonschema
TEST_PACKAGES += $(if $(shell command -v node >/dev/null && command -v npm),,nodejs npm)

all: $(BUILD)/build.ninja
	ninja -C $(BUILD) nasc

$(BUILD)/build.ninja:
	./scripts/install-packages --check $(BUILD_PACKAGES)
	meson setup $(BUILD) --prefix=$(abspath $(PREFIX)) -Dtests=false

install: all
	meson configure $(BUILD) -Dprefix=$(abspath $(PREFIX))
	meson install -C $(BUILD) $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))

demo:
	./scripts/install-packages $(DEMO_PACKAGES)
	$(MAKE) all
	./scripts/demo $(BUILD)/nasc

test:
	./scripts/install-packages $(TEST_PACKAGES)
	$(MAKE) $(BUILD)/build.ninja
	meson configure $(BUILD) -Dtests=true
	./scripts/install-onnxruntime $(BUILD)/onnxruntime
	ninja -C $(BUILD)
	meson test -C $(BUILD) --print-errorlogs

clean:
	rm -rf $(BUILD)

.PHONY: all install demo test clean

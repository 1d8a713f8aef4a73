#!/bin/sh
# nasc export: firmware that calculates what nasc says, in the memory that it says.
. "$(dirname "$0")/lib.sh"

# Forty images of 8x8, ten a class: a bright quarter on a pattern.
mkdir images
awk 'BEGIN {
	for (i = 0; i < 40; i++)
		for (p = 0; p < 64; p++)
			printf "%c", 33 + (i * 7 + p * 5) % 40 + (int(p / 32) * 2 + int(p % 8 / 4) == i % 4 ? 50 : 0)
}' >images/body
{
	printf '\0\0\010\3\0\0\0\050\0\0\0\010\0\0\0\010'
	cat images/body
} | tee images/train-images-idx3-ubyte >images/t10k-images-idx3-ubyte
{
	printf '\0\0\010\1\0\0\0\050'
	for _ in 1 2 3 4 5 6 7 8 9 10; do printf '\0\1\2\3'; done
} | tee images/train-labels-idx1-ubyte >images/t10k-labels-idx1-ubyte
cat >config.yaml <<'YAML'
space: {type: densenet}
data: {format: idx, directory: images}
objectives: [params]
train: {epochs: 20, batch: 8, shard: 4, precision: f32}
YAML
# Of everything that there is a kernel for.
cat >net.json <<'JSON'
{"version": 1, "input": [8, 8, 1], "operators": [
  {"name": "a", "kind": "conv2d", "channels": 5, "kernel": 3, "padding": [1, 0, 1, 2]},
  {"kind": "batch_norm"}, {"name": "b", "kind": "relu6"},
  {"kind": "depthwise", "kernel": 3, "bias": true}, {"kind": "relu"},
  {"name": "c", "kind": "conv2d", "channels": 5, "kernel": 1},
  {"name": "d", "kind": "add", "inputs": ["b", "c"]},
  {"name": "e", "kind": "max_pool", "kernel": 2, "stride": 2},
  {"name": "f", "kind": "avg_pool", "kernel": 3, "stride": 2, "inputs": ["d"]},
  {"kind": "concat", "inputs": ["e", "f"]}, {"kind": "batch_norm"}, {"kind": "relu"},
  {"kind": "depthwise", "kernel": 5, "stride": 2}, {"name": "last", "kind": "relu"},
  {"name": "unread", "kind": "conv2d", "channels": 9, "kernel": 3}, {"kind": "relu"},
  {"name": "g", "kind": "conv2d", "channels": 6, "kernel": 3, "bias": true, "inputs": ["last"]},
  {"kind": "global_pool"}, {"kind": "dense", "channels": 4}, {"kind": "softmax"}]}
JSON
"$nasc" train net.json --config config.yaml --save w >train.txt 2>err
is "train: exit code" "$? $(cat err)" \
	"0 wrote w; to deploy it: nasc export net.json --config config.yaml --weights w -o FOLDER"

for jobs in 1 3; do
	"$nasc" export net.json --config config.yaml --weights w -o fw$jobs --name tiny --jobs $jobs --json >report$jobs 2>err
	is "--jobs $jobs: exit code" "$? $(cat err)" "0 "
done
sed 's/fw3/fw1/' report3 >report
same "the same report at any --jobs" report1 report
for file in tiny.h tiny.c tiny_test.c; do same "the same $file" fw1/$file fw3/$file; done
figure() { sed -n "s/.*\"$1\": \([0-9.]*\),*/\1/p" report1; }
trained=$(sed -n 's/test accuracy \([0-9.]*\) .*/\1/p' train.txt)
is "accuracy in f32 is that of the training" "$(figure test_accuracy | awk '{ printf "%.2f", 100 * $1 }')" "$trained"

# The self-test, by a strict compiler and with sanitizers; the same bits at any optimisation.
make -C fw1 check CFLAGS='-O2 -pedantic -Wall -Wextra -Werror' >check.txt 2>err
is "self-test: exit code" "$? $(cat err)" "0 "
is "self-test" "$(grep -c 'tiny: 40 of 40 images as expected' check.txt)" 1
make -C fw3 check CFLAGS='-O0 -g -fsanitize=address,undefined -fno-sanitize-recover=all' >check.txt 2>err
is "self-test under sanitizers" "$(grep -c 'tiny: 40 of 40 images as expected' check.txt) $(cat err)" "1 "
"${CC:-cc}" -std=c99 -O2 -c fw1/tiny.c -o tiny.o -Ifw1
is "arena as predicted" "$(nm -S tiny.o | awk '$4 == "arena" { print $2 }' | sed 's/^0*//' | tr a-f A-F)" \
	"$(printf '%X' "$(figure arena_bytes)")"
is "constants as predicted" \
	"$(nm -S tiny.o | awk '$4 ~ /^(weights|requant|affine|factor)_/ { print $2 }' |
		while read -r hex; do printf '%d\n' "0x$hex"; done | awk '{ n += $1 } END { print n }')" \
	"$(figure constant_bytes)"

# An application in C++, of a network whose path would end the comment that names it.
mkdir 'x*'
cp net.json 'x*/net.json'
"$nasc" export 'x*/net.json' --config config.yaml --weights w -o fw4 >out 2>err
if command -v "${CXX:-c++}" >/dev/null; then
	cat >application.cc <<'C'
#include "network.h"
static const float mean[] = NETWORK_INPUT_MEAN, deviation[] = NETWORK_INPUT_STD;
#include <cstdio>
int main()
{
	signed char out[NETWORK_OUTPUTS];

	std::printf("%.5f %.5f\n", mean[0], deviation[0]);
	return network_run(network_input(), out) > NETWORK_OUTPUTS;
}
C
	for source in network nasc_kernels nasc_layers nasc_depthwise nasc_parts; do
		"${CC:-cc}" -std=c99 -c fw4/$source.c -o $source.o
	done
	"${CXX:-c++}" -Wall -Wextra -Werror -Ifw4 application.cc ./network.o nasc_*.o -o application 2>err
	is "in C++, with mean and deviation of the images" "$(./application) $(cat err)" \
		"$(od -An -v -tu1 images/body | awk '
			{ for (i = 1; i <= NF; i++) { s += $i; q += $i * $i; n++ } }
			END { m = s / n; printf "%.5f %.5f", m / 255, sqrt(q / n - m * m) / 255 }') "
else
	skip "in C++, with mean and deviation of the images" "no C++ compiler"
fi

# What nasc cost says of this runtime is what was exported.
cost() { tr -d ' \n' <$1.cost | grep -o "\"$2\":{\"value\":[0-9]*" | grep -o '[0-9]*$'; } # FOLDER FIGURE
"$nasc" cost net.json --target stm32l4r5-nasc --json >fw1.cost 2>err
is "nasc cost: the arena" "$(cost fw1 sram_bytes)" "$(figure arena_bytes)"

# In parts: everything that can be cut, residuals and what ends the parts among it.
cat >parts.json <<'JSON'
{"version": 1, "input": [8, 8, 1], "operators": [
  {"name": "a", "kind": "conv2d", "channels": 6, "kernel": 1, "bias": true},
  {"name": "unread", "kind": "conv2d", "channels": 9, "kernel": 3},
  {"name": "b", "kind": "depthwise", "kernel": 3, "inputs": ["a"]}, {"kind": "relu6"},
  {"name": "c", "kind": "conv2d", "channels": 6, "kernel": 1},
  {"name": "i", "kind": "depthwise", "kernel": 1, "inputs": ["a"]},
  {"name": "d", "kind": "add", "inputs": ["a", "c", "i"]},
  {"name": "e", "kind": "max_pool", "kernel": 2, "stride": 1},
  {"name": "f", "kind": "avg_pool", "kernel": 3, "stride": 1, "inputs": ["d"]},
  {"kind": "concat", "inputs": ["f", "e"]}, {"kind": "batch_norm"}, {"name": "g", "kind": "relu"},
  {"name": "h", "kind": "conv2d", "channels": 4, "kernel": 2, "stride": 2},
  {"kind": "depthwise", "kernel": 3, "stride": 2}, {"kind": "conv2d", "channels": 6, "kernel": 3, "bias": true},
  {"kind": "global_pool"}, {"kind": "dense", "channels": 4}, {"kind": "softmax"}]}
JSON
"$nasc" train parts.json --config config.yaml --set train.epochs=2 --save parts.w >train.txt 2>err
board() { # BYTES
	printf 'model: mcu\nsummary: small\nruntime: nasc\nclock: 1 MHz\nsram: %s\nflash: 1 MiB\nmemory: nasc\npatches: 5\n' "$1" >board.yaml
}
board 1
"$nasc" cost parts.json --target ./board.yaml --schedules --json |
	tr -d ' \n' | grep -o '"patch_grid":[0-9]*,"patched":[0-9]*,"sram_bytes":[0-9]*' | tr -cs '0-9\n' ' ' >schedules
is "there are schedules in parts" "$(awk '$2 > 0' schedules | wc -l | awk '{ print ($1 > 0) }')" 1
while read -r grid end bytes; do
	board "$bytes"
	"$nasc" export parts.json --config config.yaml --weights parts.w -o parts --name tiny --target ./board.yaml --json >parts.txt 2>err
	is "in $grid x $grid parts up to $end: as costed" \
		"$? $(tr -d ' \n' <parts.txt | grep -o '"patch_grid":[0-9]*,"patched":[0-9]*,"arena_bytes":[0-9]*' | tr -cs '0-9\n' ' ')" \
		"0 $(grep " $bytes\$" schedules)"
	make -C parts check CFLAGS='-O1 -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all' >check.txt 2>err
	is "the same bits" "$(grep -c 'tiny: 40 of 40 images as expected' check.txt) $(cat err)" "1 "
done <schedules
"$nasc" cost parts.json --target ./board.yaml --json >parts.cost 2>err

mkdir -p none
PATH=$PWD/none "$(command -v make)" -C fw1 check-m4 >out 2>err
is "no tools" "$? $(grep -v Error err)" \
	"2 missing Debian packages: gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"

# On each core, the stack that it can take at most.
if command -v arm-none-eabi-gcc >/dev/null && command -v python3 >/dev/null; then
	for folder in fw1 parts; do
		python3 "$root/bench/firmware_stack" $folder >$folder.stack 2>err
		is "$folder: stack" "$? $(cat err) $(grep -c '^m.* bytes of stack: tiny_run' $folder.stack)" "0  3"
	done
fi
# What check.txt says was written of it.
is_bounded() { # CORE FOLDER
	if [ ! -f "$2.stack" ]; then
		skip "on Cortex-$1: stack of $2" "no python3"
		return
	fi
	written=$(sed -n 's/.* \([0-9]*\) bytes of stack$/\1/p' check.txt)
	bound=$(sed -n "s/^$1: \([0-9]*\) .*/\1/p" "$2.stack")
	is "on Cortex-$1: of the stack $2 writes $written bytes, at most $bound" \
		"$([ "$written" -gt 0 ] && [ "$written" -le "$bound" ] && echo so)" so
}

# On three cores, in QEMU: the same bits, in the memory that was predicted.
near() { awk -v a="$1" -v b="$2" 'BEGIN { d = (a - b) / a; print (d * d <= 0.02 * 0.02 ? "near" : b) }'; }
# An application that does nothing else.
cat >application.c <<'C'
#include "tiny.h"
int main(void)
{
	int8_t out[TINY_OUTPUTS];

	return tiny_run(tiny_input(), out);
}
C
on_board() { # CORE FOLDER
	what="on Cortex-$1: $2"
	make -C $2 check-$1 >check.txt 2>&1
	is "$what" "$? $(grep -c 'tiny: 40 of 40 images as expected' check.txt)" "0 1"
	counted=$(sed -n 's/.*: \([0-9]*\) instructions an image.*/\1/p' check.txt)
	is "$what: $counted instructions, predicted within 2 %" "$(near "$counted" "$(cost $2 instructions)")" near
	is_bounded $1 $2
	is "$what: arena" \
		"$(arm-none-eabi-nm -S $2/tiny-$1.elf | awk '$4 == "arena" { print $2 }' | sed 's/^0*//' | tr a-f A-F)" \
		"$(printf '%X' "$(cost $2 sram_bytes)")"
	make -s -C $2 tiny-$1.elf SOURCES="../application.c tiny.c $(cd $2 && echo nasc_*.c)" CPATH=. -B
	arm-none-eabi-objcopy -O binary $2/tiny-$1.elf image
	is "$what: an image of $(wc -c <image) bytes, predicted within 2 %" \
		"$(near "$(wc -c <image)" "$(cost $2 flash_bytes)")" near
}
# What printf() takes is its own: a full stack is still noticed after it.
cat >fw1/full.c <<'C'
#include <stdio.h>
static int deeper(int n)
{
	volatile char here[64];

	here[0] = (char)n;
	return deeper(n + 1) + here[0];
}
int main(void)
{
	for (int i = 1; i < 4; i++)
		printf("%d of 3\n", i);
	return deeper(0);
}
C
for core in m4 m7 m33; do
	if ! command -v arm-none-eabi-gcc >/dev/null || ! command -v qemu-system-arm >/dev/null; then
		skip "on Cortex-$core" "no arm-none-eabi-gcc or no qemu-system-arm"
		continue
	fi
	on_board $core fw1
	on_board $core parts
	make -C fw1 check-$core SOURCES=full.c -B >full.txt 2>&1
	is "on Cortex-$core: text, then a full stack" \
		"$(grep -c 'of 3' full.txt) $(grep -o 'Error [0-9]*' full.txt)" "3 Error 125"
done

"$nasc" export net.json --config config.yaml --weights w --format json -o int8.json >out 2>err
is "json: exit code" "$? $(cat err)" "0 "
is "json: the network is one that nasc reads" "$(grep -c '"int8":\[' int8.json)" 1

# As trained, without int8: of operators too that have no int8 kernel.
sed 's/"channels": 6, "kernel": 3/"channels": 6, "kernel": 3, "groups": 2/' net.json >grouped.json
"$nasc" train grouped.json --config config.yaml --set train.epochs=1 --save grouped.w >train.txt 2>err
"$nasc" export grouped.json --config config.yaml --weights grouped.w -o x >out 2>err
is "a grouped convolution in int8" "$? $(cat err)" \
	"1 nasc: operator 17 (conv2d): a grouped convolution: there is no int8 kernel for it"
"$nasc" export grouped.json --config config.yaml --weights grouped.w --format onnx -o grouped.onnx >out 2>err
is "and in f32" "$? $(cat err) $(grep -c int8 out)" "0  0"
is "is what was trained" "$(sed -n 's/test accuracy \([0-9.]*\) .*/\1/p' out)" \
	"$(sed -n 's/test accuracy \([0-9.]*\) .*/\1/p' train.txt)"
is "a file that nasc reads" "$("$nasc" cost grouped.onnx 2>err | grep -c params)" 1

# The user's faults.
fault() { # WHAT CODE MESSAGE ARGS...
	what=$1 code=$2 message=$3
	shift 3
	"$nasc" export net.json "$@" >out 2>err
	is "$what" "$? $(grep -c -- "$message" err) $(wc -l <err)" "$code 1 1"
}
fault "no weights" 2 'nasc train net.json --save' --config config.yaml -o x
fault "a place without a name" 2 '--out is missing' --config config.yaml --weights w -o ''
fault "no place" 2 '--out is missing' --config config.yaml --weights w
fault "a format that is none" 2 'known are c, onnx' --config config.yaml --weights w -o x --format tflite
fault "a name that is none in C" 2 "no name in C" --config config.yaml --weights w -o x --name 3d
fault "a name of the kernels' files" 2 "nasc's own" --config config.yaml --weights w -o x --name nasc_layers
fault "weights that are none" 4 'net.json: not a weights file' --config config.yaml --weights net.json -o x
head -c 3000 w >short
fault "weights cut short" 4 'short: ' --config config.yaml --weights short -o x
fault "a target of another runtime" 2 "stm32f746 does not run nasc's firmware" --config config.yaml --weights w -o x --target stm32f746
fault "two targets" 2 'an export is for one, not 2' --config config.yaml --weights w -o x --target stm32f746-nasc --target stm32l4r5-nasc
fault "a target of what has no memory" 2 'of --format c alone' --config config.yaml --weights w -o x.onnx --format onnx --target stm32f746-nasc
board 100
"$nasc" export parts.json --config config.yaml --weights parts.w -o small --target ./board.yaml >out 2>err
is "a board that is too small" "$? $(grep -c 'does not fit board: sram .* of 100 B' out)" "0 1"
fault "no data" 2 'give --config' --weights w -o x
sed 's/"channels": 6/"channels": 7/' net.json >other.json
"$nasc" export other.json --config config.yaml --weights w -o x >out 2>err
is "weights of another network" "$? $(grep -c 'w: weights of another network' err)" "4 1"
sed 's/\[8, 8, 1\]/[8, 8, 3]/' net.json >other.json
"$nasc" export other.json --config config.yaml --weights w -o x >out 2>err
is "images of other channels" "$? $(cat err)" "3 nasc: the network reads 3 channels, the images have 1"
sed 's/"channels": 4}, {"kind": "softmax"/"channels": 5}, {"kind": "softmax"/' net.json >other.json
"$nasc" export other.json --config config.yaml --weights w -o x >out 2>err
is "labels of other classes" "$? $(cat err)" "3 nasc: the network tells 5 classes apart, the labels are of 4"
mkdir full && : >full/mine
"$nasc" export net.json --config config.yaml --weights w -o full >out 2>err
is "a folder of other files" "$? $(grep -c 'full: holds other files' err) $(ls full)" "2 1 mine"
"$nasc" export net.json --config config.yaml --weights w -o fw1 --name other >out 2>err
is "an export of another name" "$? $(grep -c 'fw1: holds other files' err)" "2 1"
sed 's/"channels": 6, "kernel": 3/"channels": 6, "kernel": 3, "groups": 2/' net.json >grouped.json
"$nasc" cost grouped.json --target stm32l4r5-nasc >out 2>err
is "nasc cost: what has no kernel" "$? $(grep -c 'no kernel for a grouped convolution' err)" "5 1"
is "nasc cost: nor an arena" "$("$nasc" cost grouped.json | awk '$1 == "sram_nasc" { print $2 }')" unknown
is "nothing is left of a failure" "$(ls -d x 2>/dev/null)" ""
done_testing

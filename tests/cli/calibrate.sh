#!/bin/sh
# bench/calibrate: a board of one's own, and the published measurements with the bars of
# docs/calibration.md.
. "$(dirname "$0")/lib.sh"

calibrate=$(dirname "$nasc")/bench/calibrate
NASC_SOURCE=$root
export NASC_SOURCE
if [ ! -x "$calibrate" ]; then
	skip "calibrate" "bench/calibrate is not built"
	done_testing
	exit
fi

# latency NETWORK TARGET: in milliseconds, as nasc predicts it
latency() {
	"$nasc" cost "$1" --target "$2" --json | sed -n '/"latency_s"/{n;s/.*: \([0-9.e-]*\).*/\1/;p;}' |
		awk '{ printf "%.9g", 1000 * $1 }'
}
# within NAME A B PERCENT
within() {
	if awk "BEGIN { d = $2 / $3 - 1; exit !(d < $4 / 100 && d > -$4 / 100) }"; then ok "$1"; else
		echo "$2, expected $3" >within.got
		not_ok "$1" within.got
	fi
}
# fails NAME MESSAGE ARGUMENT...
fails() {
	name=$1
	message=$2
	shift 2
	"$calibrate" "$@" >/dev/null 2>err
	if grep -qF -- "$message" err; then ok "$name"; else not_ok "$name" err; fi
}

# A board that takes 1.25 times as long as the one its target was copied from, with 4 % of error.
networks=$root/configs/networks/published
cp "$root/configs/targets/stm32h747.yaml" board.yaml
cp board.yaml before.yaml
echo network,latency_ms,energy_mJ >own.csv
for slower in mlperf-ic:1.3 mlperf-kws:1.2 mlperf-vww:1.3 mcunet-in0:1.2 st-mnist:1.25; do
	net=$networks/${slower%:*}.json
	latency "$net" ./before.yaml |
		awk -v net="$net" "{ t = ${slower#*:} * \$1; print net \",\" t \",\" 0.05 * t }"
done >>own.csv
"$calibrate" own.csv board.yaml --write >out 2>&1
is "own board: exit code" $? 0
is "own board: says what it wrote" "$(tail -n 1 out)" "wrote board.yaml"
"$calibrate" own.csv board.yaml >dry 2>&1
is "own board: says that it wrote nothing" "$(tail -n 1 dry)" "nothing is written, --write changes board.yaml"
rm dry
within "own board: a network that was not measured" \
	"$(latency "$networks/mobilenet-v2-0.35-128.json" ./board.yaml)" \
	"$(latency "$networks/mobilenet-v2-0.35-128.json" ./before.yaml | awk '{ print 1.25 * $1 }')" 3
is "own board: its error" "$(awk '/^own.csv/ && $5 == "%" { print $2, $3, ($4 > 2 && $4 < 8) }' out)" \
	"5 5 1"
is "own board: 50 mW" "$(grep ^power: board.yaml)" "power: 50 mW"
"$nasc" cost "$networks/mlperf-ic.json" --target ./board.yaml --json >out
is "own board: energy is 50 mW times latency" "$(awk '
	/"latency_s"/ || /"energy_j"/ { getline; gsub(/[^0-9.]/, "", $2); v[++n] = $2 }
	END { print (v[2] / v[1] > 0.049999 && v[2] / v[1] < 0.050001) }' out)" 1
grep -v '^cycles_\|^latency_' before.yaml >kept.want
grep -v '^cycles_\|^latency_\|^power\|^energy_' board.yaml >kept.got
same "own board: other lines of the target stay" kept.got kept.want
"$nasc" cost "$networks/mlperf-ic.json" --target ./board.yaml >out 2>&1
if grep -q '+- .* %, mean error when one of 5 networks was left out' out; then
	ok "own board: the error is said with the latency"
else
	not_ok "own board: the error is said with the latency" out
fi

listing >listing.want
echo network,latency >wrong.csv
fails "a column is missing" "wrong.csv:1: columns 'network' (a file) and 'latency_ms' are right" \
	wrong.csv board.yaml
printf 'network,latency_ms\n%s,0\n' "$networks/mlperf-ic.json" >wrong.csv
fails "no latency" "wrong.csv:2: latency_ms: '0' is not a number above 0" wrong.csv board.yaml
printf 'network,latency_ms\n%s,30\n' "$networks/mlperf-ic.json" >wrong.csv
fails "one network has no error" "wrong.csv: 2 networks or more are right" wrong.csv board.yaml --write
fails "a target of another kind" "zu3eg.yaml: model: mcu is right" own.csv \
	"$root/configs/targets/zu3eg.yaml"
fails "no target" "./stm32f746: cannot open" own.csv stm32f746
rm wrong.csv err
listing | grep -v listing >listing.got
grep -v 'listing\| ./err$' listing.want >listing.old
same "what fails changes nothing" listing.got listing.old

measured=$root/../shared/data/mcu_measured.csv
if [ ! -r "$measured" ]; then
	skip "published measurements" "no ../shared/data/mcu_measured.csv"
	done_testing
	exit
fi
mkdir -p tree/bench tree/configs
cp "$root"/bench/calibrate_*.csv tree/bench
cp -r "$root/configs/networks" "$root/configs/targets" tree/configs
NASC_SOURCE=tree "$calibrate" --published "$measured" --write >out 2>&1
is "published: exit code" $? 0
# The mean error of networks left out, in percent, and the rank correlation.
bar() {
	got=$(awk -v group="$1" '$1 == group && $5 == "%" { print $4, $8 }' out)
	if echo "$got" | awk -v mean="$2" -v rank="$3" 'NF == 2 { good = $1 <= mean && $2 >= rank } END { exit !good }'; then
		ok "published: $1"
	else
		echo "$got" >bar.got
		not_ok "published: $1" bar.got
	fi
}
bar cortex-m7/x-cube-ai 10 .95
bar cortex-m4/x-cube-ai 15 .95
bar cortex-m33/x-cube-ai 15 .95
bar cortex-m7/tinyengine 15 .95
bar cortex-m4/microtvm-cmsis-nn 15 .95
bar cortex-m7/tflm-cmsis-nn 15 .7
bar cortex-m33/tflm-cmsis-nn 20 .95
bar cortex-m0+/hale 15 .8
if diff -r "$root/configs/targets" tree/configs/targets >diff 2>&1; then
	ok "published: the targets are what is fitted"
else
	not_ok "published: the targets are what is fitted" diff
fi
done_testing

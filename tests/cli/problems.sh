#!/bin/sh
# The test problems as configured reach, in the median of 11 seeds, the hypervolume that 25,000
# evaluations are known to reach with each strategy (reference 1.1 everywhere).
. "$(dirname "$0")/lib.sh"

# bar PROBLEM STRATEGY VALUE
bar() {
	for seed in 1 2 3 4 5 6 7 8 9 10 11; do
		"$nasc" search "$root/configs/problems/$1.yaml" --set "strategy={type: $2}" --seed $seed \
			--out "$1-$2-$seed.json" >/dev/null 2>err || cat err >&2
		sed -n '/^  "hypervolume": \[/,/^  \]/s/.*"value": //p' "$1-$2-$seed.json" | tail -n 1
	done | sort -g >values
	median=$(sed -n 6p values)
	if awk -v median="$median" -v bar="$3" 'BEGIN { exit !(median != "" && median >= bar) }'; then
		ok "$2 on $1: median $median reaches $3"
	else
		not_ok "$2 on $1: median $median is below $3" values
	fi
}
bar zdt1 nsga2 0.8691
bar zdt2 nsga2 0.5357
bar zdt3 nsga2 1.3272
bar dtlz2 nsga2 0.698
bar zdt1 sms_emoa 0.8719
bar zdt2 sms_emoa 0.5385
bar zdt3 sms_emoa 1.3291
bar dtlz2 sms_emoa 0.7575
bar zdt1 amosa 0.8710
bar zdt2 amosa 0.5376
bar zdt3 amosa 1.3278
bar dtlz2 amosa 0.735
done_testing

#!/bin/sh
# Every stop rule holds where it should, and at the same evaluation at any --jobs and after kills;
# so does what a small memory forgets.
. "$(dirname "$0")/lib.sh"

cp "$here"/base/* .
rm results.json
field() {
	sed -n "s/^  \"$1\": \"\{0,1\}\([^,\"]*\)\"\{0,1\},\$/\1/p" "$2"
}
# stops NAME REASON EVALUATIONS CONFIG [--set KEY=VALUE]...: with 1, 2 and 3 jobs, EVALUATIONS - when
# they are whatever the first run says
stops() {
	name=$1 reason=$2 evaluations=$3
	shift 3
	for jobs in 1 2 3; do
		rm -f s$jobs.json*
		search "$@" --jobs $jobs --out s$jobs.json
		timeless s$jobs.json >s$jobs.timeless
	done
	is "$name: reason" "$(field stop_reason s1.json)" "$reason"
	[ "$evaluations" = - ] || is "$name: evaluations" "$(field evaluations s1.json)" "$evaluations"
	same "$name: 2 jobs as 1" s1.timeless s2.timeless
	same "$name: 3 jobs as 1" s1.timeless s3.timeless
	search "$@" --jobs 2 --out s1.json --resume
	timeless s1.json >s1.again
	same "$name: resumed" s1.timeless s1.again
}
# hv FILE: "EVALUATIONS VALUE" of every round
hv() {
	sed -n '/^  "hypervolume"/,/^  "front"/p' "$1" | tr -d '\n' | sed 's/}/\n/g' |
		sed -n 's/.*"evaluations": *\([0-9]*\), *"value": *\([-0-9.e+]*\).*/\1 \2/p'
}

cat >wide.yaml <<-'YAML'
	space: {type: densenet}
	targets: [stm32f746]
	objectives: [sram, latency, max macs]
	reference: {sram: 320 KiB, latency: 10 s, macs: 1}
	strategy: {type: nsga2, population: 20}
	stop: {evaluations: 900}
YAML

# ---- counts
stops "generations" generations 140 wide.yaml --set stop.generations=7
stops "evaluations before generations" evaluations 130 wide.yaml --set stop.generations=7 --set stop.evaluations=130
stops "trained" trained - search.yaml --set stop.trained=7 --set stop.evaluations=1000
is "trained: not one more" "$(field trained s1.json)" 7
sed "s/evaluator.sh\]/evaluator.sh, '0', always]/" search.yaml >wrong.yaml
for jobs in 1 3; do
	search wrong.yaml --set failures.enough=3 --set strategy.population=100 --jobs $jobs --out enough$jobs.json
	is "enough failures, $jobs jobs: exit code" $? 1
	is "enough failures, $jobs jobs: reason" "$(field stop_reason enough$jobs.json)" "every evaluation failed"
	is "enough failures, $jobs jobs: not one more" "$(field trained enough$jobs.json)" 3
done

# A schedule is planned to the same end, however the end is said.
sed '/^strategy/s/.*/strategy: {type: amosa}/' wide.yaml >amosa.yaml
stops "amosa's generations" generations - amosa.yaml --set stop.generations=10 --set stop.evaluations=1000000
search amosa.yaml --set stop.evaluations="$(field evaluations s1.json)" --out planned.json
"$nasc" pareto planned.json --csv | cut -d, -f2- >a
"$nasc" pareto s1.json --csv | cut -d, -f2- >b
same "amosa's generations: as planned" a b

# ---- time: nothing is begun after it, nothing that is better is lost to it
search wide.yaml --set stop.time_s=1e-9 --out never.json
is "no time: exit code" $? 1
is "no time: message" "$(tail -n 1 err)" "nasc: stopped (time) before any candidate was scored"
sed 's/evaluator.sh\]/evaluator.sh, "0.1"]/' search.yaml >slow.yaml
search slow.yaml --set strategy.population=100 --set stop.evaluations=100 --set stop.time_s=0.5 --jobs 2 --out time.json
is "time: exit code" $? 0
is "time: reason" "$(field stop_reason time.json)" time
is "time: within a round" "$(awk -v n="$(field evaluations time.json)" 'BEGIN { print (n > 0 && n < 60) }')" 1
cp time.json before.json
search slow.yaml --set strategy.population=100 --set stop.evaluations=100 --set stop.time_s=1e-9 --out time.json --resume
is "time, resumed for less: exit code" $? 1
is "time, resumed for less: says so" "$(grep -c 'stopped (time) after 0 candidates.* time.json is left as it was' err)" 1
same "time, resumed for less: the file is as it was" before.json time.json

# ---- hypervolume: where a run without the rule says it would be
search wide.yaml --out whole.json
hv whole.json >rows
is "a row a round" "$(awk 'END { print (NR >= 900 / 20) }' rows)" 1
for part in 0.5 0.99; do
	level=$(awk -v part=$part '{ v = $2 } END { printf "%.9g", part * v }' rows)
	want=$(awk -v level="$level" 'int($1 / 20) > g { g = int($1 / 20); if ($2 >= level) { print $1; exit } }' rows)
	stops "hypervolume of $part" "hypervolume reached" "$want" wide.yaml --set stop.hypervolume="$level"
done
for rule in "3 0.01" "5 0.001" "4 0.2" "2 0"; do
	k=${rule% *} gain=${rule#* }
	want=$(awk -v k="$k" -v gain="$gain" 'int($1 / 20) > g {
			g = int($1 / 20)
			if (!(level > 0) || $2 - level > gain * $2) { level = $2; since = g }
			if (level > 0 && g - since >= k) { print $1; exit }
		}' rows)
	reason="hypervolume stalled"
	[ "$want" ] || want=900 reason=evaluations
	stops "stalled for $k by $gain" "$reason" "$want" wide.yaml --set stop.stalled="$k" --set stop.stalled_gain="$gain"
done
search wide.yaml --set 'constraints.sram=<= 1' --set stop.stalled=1 --set stop.stalled_gain=1 --out none.json
is "nothing feasible: exit code" $? 5
is "nothing feasible: never stalled" "$(field stop_reason none.json)" evaluations

# ---- goal
stops "goal by costs" "goal reached" - wide.yaml --set 'goal.sram=<= 64 KiB' --set 'goal.macs=>= 60 M'
count=$(field evaluations s1.json)
there() {
	"$nasc" pareto "$1" --where 'sram <= 64KiB && macs >= 60M' --csv | sed 1d | wc -l
}
is "goal by costs: it is there" "$(awk -v n="$(there s1.json)" 'BEGIN { print (n > 0) }')" 1
search wide.yaml --set stop.evaluations=$((count - 20)) --out short.json
is "goal by costs: it was not a round before" "$(there short.json)" 0
stops "goal by accuracy" "goal reached" - search.yaml --set 'goal.accuracy=>= 0.8' --set stop.evaluations=1000
is "goal by accuracy: it is there" "$("$nasc" pareto s1.json --where 'accuracy >= 0.8' --csv | sed 1d | wc -l)" 1
sed '/^objectives/s/.*/objectives: [sram, max macs]/; /^reference/d' wide.yaml >two.yaml
stops "a goal that the front may lack" "goal reached" - two.yaml --seed 3 --set stop.evaluations=20000 \
	--set 'goal.latency=<= 4 ms' --set 'goal.params=>= 5 k'
is "a goal that the front may lack: it is there" "$("$nasc" pareto s1.json --where 'latency <= 4 ms && params >= 5 k' --csv | sed 1d | awk 'END { print (NR > 0) }')" 1
stops "goal out of reach" evaluations 100 wide.yaml --set 'goal.sram=<= 1' --set stop.evaluations=100

# ---- memory
search c.yaml --set stop.evaluations=100000 --out all.json
is "all is remembered: the space is exhausted" "$(field stop_reason all.json)" "space exhausted"
size=$(field evaluations all.json)
stops "little is remembered" evaluations 2000 c.yaml --set memory.seen=1 --set stop.evaluations=2000
is "little is remembered: more evaluations than networks" "$(awk -v n="$size" 'BEGIN { print (n < 2000) }')" 1
search c.yaml --set memory.seen=1 --set stop.evaluations=2000 --out few.json
is "little is remembered: the same front" "$("$nasc" pareto few.json --csv | cut -d, -f3- | sort)" "$("$nasc" pareto all.json --csv | cut -d, -f3- | sort)"
stops "a bounded front" evaluations 900 wide.yaml --set memory.front=10
is "a bounded front: its bound" "$(awk -v n="$("$nasc" pareto s1.json --csv | sed 1d | wc -l)" 'BEGIN { print (n > 5 && n <= 10) }')" 1

# ---- kills, where scores are forgotten and asked for again
sed 's/evaluator.sh\]/evaluator.sh, "0.02"]/' search.yaml >slow.yaml
set -- slow.yaml --set memory.seen=1 --set stop.evaluations=60 --set 'goal.accuracy=>= 0.9999'
search "$@" --jobs 2 --out reference.json
is "slow evaluator: exit code" $? 0
for i in 1 2 3 4 5; do
	"$nasc" search "$@" --jobs $((i % 3 + 1)) --out killed.json --resume >/dev/null 2>&1 &
	pid=$!
	sleep 0.$((i % 3 + 1))
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
done
search "$@" --jobs 3 --out killed.json --resume
is "after kills: exit code" $? 0
timeless reference.json >a
timeless killed.json >b
same "after kills: the same results" a b
done_testing

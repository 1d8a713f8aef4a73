#!/bin/sh
# Runs killed at random moments, again and again until one ends, give byte for byte the results of
# a run that nobody disturbed, but for the object `timing`.
. "$(dirname "$0")/lib.sh"

cp "$here"/base/* .
rm results.json

# Its accuracy depends on the candidate's id alone, so on the genes; a sleep and nothing else.
cat >quick.sh <<'EVALUATOR'
while IFS= read -r line; do
	id=${line#*\"id\":}
	id=${id%%,*}
	sleep 0.01
	echo "{\"id\":$id,\"accuracy\":0.$((id / 7 % 9000 + 1000))}"
done
EVALUATOR
sed 's/evaluator.sh\]/quick.sh]/; s/evaluations: 40/evaluations: 80/' search.yaml >quick.yaml
# Enough of a front that writing it takes its time.
cat >wide.yaml <<'CONFIG'
seed: 3
problem: {type: dtlz2, objectives: 4}
strategy: {type: nsga2, population: 1000}
stop: {evaluations: 4000}
CONFIG

# Delays in seconds, uniform in 0 .. MOST
delays() {
	awk -v seed="$1" -v most="$2" 'BEGIN { srand(seed); for (;;) printf "%.3f\n", most * rand() }' 2>/dev/null
}
# finished NAME FILE: the results of a chain of kills against the undisturbed run's
finished() {
	timeless "$2" >got
	timeless "$3" >want
	if cmp -s got want; then
		chains=$((chains + 1))
	else
		diff got want >difference
		not_ok "$1" difference
	fi
}
# some NAME COUNT
some() {
	if [ "$2" -gt 0 ]; then ok "$1: $2"; else not_ok "$1"; fi
}

# kill_and_resume NAME CONFIG REFERENCE MOST KILLS JOBS: runs of at most JOBS jobs are killed within
# MOST seconds until that has hit KILLS times, and go on where the killed one was; `left_by_kill`
# sees what that has left.
kill_and_resume() {
	kills=0 chains=0 tries=0 others=0
	rm -f killed.json* delay
	mkfifo delay
	delays "$6" "$4" >delay &
	exec 3<delay
	while [ $kills -lt "$5" ] && [ $tries -lt $((5 * $5)) ]; do
		tries=$((tries + 1))
		read -r wait <&3
		"$nasc" search "$2" --jobs $((tries % $6 + 1)) --out killed.json --resume >/dev/null 2>err &
		pid=$!
		sleep "$wait"
		kill -KILL $pid 2>/dev/null
		wait $pid 2>/dev/null
		code=$?
		case $code in
		137)
			kills=$((kills + 1))
			left_by_kill
			;;
		0)
			finished "$1: chain $chains after $kills kills" killed.json "$3"
			rm -f killed.json*
			;;
		*)
			others=$((others + 1))
			cat err >&2
			;;
		esac
	done
	exec 3<&-
	is "$1: kills that hit" $kills "$5"
	is "$1: runs that ended in any other way" $others 0
	"$nasc" search "$2" --jobs "$6" --out killed.json --resume >/dev/null 2>err
	is "$1: the last chain: exit code" $? 0
	finished "$1: the last chain" killed.json "$3"
	some "$1: chains of kills that ended in the same results" $chains
	is "$1: what is left in the end" "$(echo killed.json*)" "killed.json killed.json.journal"
}

# ---- an evaluator, one to three jobs, the run alone
left_by_kill() { :; }
"$nasc" search quick.yaml --jobs 2 --out reference.json >/dev/null 2>err
is "undisturbed run: exit code" $? 0
kill_and_resume "an evaluator" quick.yaml reference.json 0.3 200 3

# ---- a whole process group
chains=0
for i in 1 2 3 4 5 6; do
	setsid "$nasc" search quick.yaml --jobs 2 --out group.json --resume >/dev/null 2>err &
	pid=$!
	sleep 0.1$i
	kill -KILL -- -$pid 2>/dev/null
	wait $pid 2>/dev/null
done
"$nasc" search quick.yaml --out group.json --resume >/dev/null 2>err
is "process group killed 6 times: exit code" $? 0
finished "process group killed 6 times" group.json reference.json
is "process group killed 6 times: the same results" $chains 1

# ---- training in rungs: checkpoints are left whole, cut, of a training on other images, or not
# images SEED FOLDER: 96 noisy ones of 8x8, of four classes: the quarter that is brighter
images() {
	mkdir "$2"
	{
		printf '\0\0\010\3\0\0\0\140\0\0\0\010\0\0\0\010'
		awk -v seed="$1" 'BEGIN {
			srand(seed)
			for (i = 0; i < 96; i++)
				for (p = 0; p < 64; p++)
					printf "%c", 33 + int(60 * rand()) + 25 * (int(p / 32) * 2 + int(p % 8 / 4) == i % 4)
		}'
	} >"$2/train-images-idx3-ubyte"
	{
		printf '\0\0\010\1\0\0\0\140'
		awk 'BEGIN { for (i = 0; i < 24; i++) printf "abcd" }' | tr abcd '\000-\003'
	} >"$2/train-labels-idx1-ubyte"
}
cat >rungs.yaml <<'CONFIG'
seed: 2
space: {type: densenet, blocks: [1, 2], layers: [1, 3], stem_width: [8, 16], stem_stride: [1]}
data: {format: idx, directory: images, validation: 0.5}
evaluator: {type: train, epochs: 3, batch: 8, shard: 4, precision: f32}
fidelity: {epochs: [1, 2], image_size: [6, 0], reduction: 2}
objectives: [error, params, macs]
strategy: {type: nsga2, population: 8}
stop: {evaluations: 60}
CONFIG
# killed_at OUT COUNT SUFFIX: as soon as there are so many files of checkpoints
killed_at() {
	out=$1 count=$2 suffix=$3
	"$nasc" search rungs.yaml --jobs 2 --out "$out" --resume >/dev/null 2>err &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		set -- "$out".states/*"$suffix"
		[ ! -e "$1" ] || [ $# -lt "$count" ] || break
	done
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
}
images 2 images
killed_at others.json 7 .state # all but one of the first round
mv images others
images 1 images
"$nasc" search rungs.yaml --jobs 1 --out rungs1.json >/dev/null 2>err
is "rungs: exit code" $? 0
"$nasc" search rungs.yaml --jobs 2 --out rungs2.json >/dev/null 2>err
equal "rungs: the same at 1 and 2 jobs" rungs1.json rungs2.json
files=0
left_by_kill() {
	for f in killed.json.states/*.state; do
		[ -e "$f" ] || continue
		files=$((files + 1))
		case $((kills % 4)) in
		2) head -c $(($(wc -c <"$f") / 2)) "$f" >half && mv half "$f" ;;
		3) head -c 99 "$f" >"$f.0.tmp" ;;
		esac
	done
	[ $((kills % 4)) -ne 1 ] || rm -rf killed.json.states
}
# a third of the time it takes: several kills a chain
most=$(awk '/"wall_s"/ { print $2 / 3 }' rungs1.json)
for jobs in 1 2; do
	kill_and_resume "rungs, $jobs jobs" rungs.yaml rungs1.json "$most" 12 $jobs
done
some "rungs: checkpoints that were left by kills" $files

# ---- the same in Hyperband's brackets, some of which pass rungs without being compared
sed 's/reduction: 2/reduction: 2, brackets: 3/' rungs.yaml >brackets.yaml
"$nasc" search brackets.yaml --jobs 2 --out brackets.json >/dev/null 2>err
is "brackets: exit code" $? 0
"$nasc" pareto rungs1.json --csv >got
"$nasc" pareto brackets.json --csv >want
is "brackets: other candidates go on" "$(cmp -s got want; echo $?)" 1
files=0
most=$(awk '/"wall_s"/ { print $2 / 2 }' brackets.json)
kill_and_resume "brackets" brackets.yaml brackets.json "$most" 8 2
some "brackets: checkpoints that were left by kills" $files

# ---- in rungs, at moments that are chosen
rm -f killed.json*
killed_at killed.json 7 .state
some "rungs: checkpoints of a training on other images" "$(ls killed.json.states others.json.states | grep 'state$' | sort | uniq -d | wc -l)"
rm killed.json.states/*
cp others.json.states/*.state killed.json.states
"$nasc" search rungs.yaml --jobs 2 --out killed.json --resume >/dev/null 2>err
equal "rungs, checkpoints of a training on other images: the same results" killed.json rungs1.json
hits=0
rm -f killed.json*
for i in 1 2 3 4 5 6; do
	killed_at killed.json 1 .tmp
	set -- killed.json.states/*.tmp
	[ ! -e "$1" ] || hits=$((hits + 1))
done
some "rungs: runs killed while they wrote a checkpoint" $hits
"$nasc" search rungs.yaml --jobs 2 --out killed.json --resume >/dev/null 2>err
equal "rungs, killed while writing: the same results" killed.json rungs1.json
is "rungs, killed while writing: what is left in the end" "$(echo killed.json*)" "killed.json killed.json.journal"

# ---- no evaluator, no journal
"$nasc" search wide.yaml --out wide.ref >/dev/null 2>err
is "without evaluator: exit code" $? 0
kills=0 chains=0
for i in 1 2 3 4 5 6 7 8; do
	"$nasc" search wide.yaml --out wide.json --resume >/dev/null 2>err &
	pid=$!
	sleep 0.0$i
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	[ $? -ne 137 ] || kills=$((kills + 1))
done
some "without evaluator: kills that hit" $kills
"$nasc" search wide.yaml --out wide.json --resume >/dev/null 2>err
is "without evaluator, killed: exit code" $? 0
finished "without evaluator, killed" wide.json wide.ref
is "without evaluator, killed: the same results" $chains 1

# ---- while the results are written: the old ones stay, whole
cp wide.json old.json
torn=0 hits=0
for i in 1 2 3 4 5 6 7 8 9 10; do
	"$nasc" search wide.yaml --out wide.json --resume >/dev/null 2>err &
	pid=$!
	# The first appearance is the probe at the start; writing begins with the first byte.
	while kill -0 $pid 2>/dev/null && ! [ -s wide.json.0.tmp ]; do :; done
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	[ ! -e wide.json.0.tmp ] || hits=$((hits + 1))
	cp wide.json.0.tmp half.tmp 2>/dev/null && rm wide.json.0.tmp
	timeless wide.json | cmp -s - want || torn=$((torn + 1))
	"$nasc" pareto wide.json --csv >/dev/null 2>err || torn=$((torn + 1))
done
some "runs killed while they wrote results" $hits
is "killed while writing: torn results" $torn 0
cp half.tmp wide.json.0.tmp
cp half.tmp wide.json.1.tmp
"$nasc" search wide.yaml --out wide.json --resume >/dev/null 2>err
is "killed while writing, then not: exit code" $? 0
is "killed while writing, then not: no file is left over" "$(ls wide.json*)" wide.json
rm -f wide.json*
done_testing

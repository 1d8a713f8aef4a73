#!/bin/sh
# Runs killed at random moments, again and again until one ends, give byte for byte the results of
# a run that nobody disturbed, but for the object `timing`.
. "$(dirname "$0")/lib.sh"

cp "$here"/base/* .
rm results.json
kills_wanted=200

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

# ---- an evaluator, one to three jobs, the run alone
"$nasc" search quick.yaml --jobs 2 --out reference.json >/dev/null 2>err
is "undisturbed run: exit code" $? 0
kills=0 chains=0 tries=0 others=0
mkfifo delay
delays 1 0.3 >delay &
exec 3<delay
while [ $kills -lt $kills_wanted ] && [ $tries -lt 1000 ]; do
	tries=$((tries + 1))
	read -r wait <&3
	"$nasc" search quick.yaml --jobs $((tries % 3 + 1)) --out killed.json --resume >/dev/null 2>err &
	pid=$!
	sleep "$wait"
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	code=$?
	case $code in
	137) kills=$((kills + 1)) ;;
	0)
		finished "chain $chains after $kills kills" killed.json reference.json
		rm -f killed.json*
		;;
	*)
		others=$((others + 1))
		cat err >&2
		;;
	esac
done
exec 3<&-
is "kills that hit" $kills $kills_wanted
is "runs that ended in any other way" $others 0
"$nasc" search quick.yaml --jobs 2 --out killed.json --resume >/dev/null 2>err
is "the last chain: exit code" $? 0
finished "the last chain" killed.json reference.json
some "chains of kills that ended in the same results" $chains

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

#!/bin/sh
# A search gives the same results at any --jobs and after any kill, and survives its evaluator.
. "$(dirname "$0")/lib.sh"

cp "$here"/base/* .
rm results.json

# ---- --jobs
for jobs in 1 2 3; do
	search c.yaml --jobs $jobs --out cost$jobs.json
	is "costs only, $jobs jobs: exit code" $? 0
	is "costs only, $jobs jobs: says what runs, once" "$(grep searching err)" \
		"searching densenet by nsga2, 8 candidates at most; results go to cost$jobs.json"
	search search.yaml --jobs $jobs --out e$jobs.json
	is "external, $jobs jobs: exit code" $? 0
done
for jobs in 2 3; do
	equal "costs only, $jobs jobs: as with 1" cost1.json cost$jobs.json
	equal "external, $jobs jobs: as with 1" e1.json e$jobs.json
done
is "the evaluator was asked" "$(grep -c '"accuracy": {' e1.json)" "$("$nasc" pareto e1.json --csv | sed 1d | wc -l)"
search search.yaml --seed 6 --out other.json
if timeless other.json | cmp -s - e1.json; then not_ok "another seed, other results" other.json; else ok "another seed, other results"; fi

# ---- moves of the space
moving() {
	search search.yaml --set 'space={type: mobilenet, channels: [8, 16], strides: [1, 2]}' --set targets=[] \
		--set objectives='[error, params]' --set constraints={} --set strategy.move_rate="$@"
}
for jobs in 1 3; do
	moving 0.5 --jobs $jobs --out move$jobs.json
	is "moves of the space, $jobs jobs: exit code" $? 0
done
equal "moves of the space, 3 jobs: as with 1" move1.json move3.json
rm move3.json
moving 0.5 --resume --out move3.json
equal "moves of the space, resumed: the same results" move1.json move3.json
moving 0 --out still.json
"$nasc" pareto move1.json --csv >move1.csv
if "$nasc" pareto still.json --csv | cmp -s - move1.csv; then not_ok "none of them, other results" still.json; else ok "none of them, other results"; fi

# ---- whom the evaluator hears of
sed "s|command: .*\], timeout|command: [sh, -c, 'tee -a asked \| sh ./evaluator.sh'], timeout|; s/6 KiB/1 KiB/" search.yaml >asked.yaml
search asked.yaml --jobs 1 --out asked.json
is "evaluator with a log: exit code" $? 0
trained=$(sed -n 's/^  "trained": \([0-9]*\),/\1/p' asked.json)
is "each candidate reaches the evaluator once" "$(wc -l <asked)" "$trained"
is "under an id of its own" "$(sed 's/"network".*//' asked | sort -u | wc -l)" "$trained"
is "and only if it keeps the bounds" "$([ "$trained" -lt 40 ] && echo some)" some

# ---- what an earlier run left
listing >before
search search.yaml --out e1.json
is "results in the way: exit code" $? 2
mv e1.json e1.kept
search search.yaml --out e1.json
is "journal in the way: exit code" $? 2
mv e1.kept e1.json
search search.yaml --seed 6 --resume --out e1.json
is "resume with another seed: exit code" $? 3
mv e1.json e1.kept
search search.yaml --seed 6 --resume --out e1.json
is "resume of a journal with another seed: exit code" $? 3
mv e1.kept e1.json
rm -f err
listing | grep -v ' ./err$' >after
grep -v -e ' ./err$' -e ' ./before$' before >before.files
grep -v -e ' ./before$' -e ' ./after$' after >after.files
same "and nothing has changed" before.files after.files
cp e1.json first.json
search search.yaml --resume --out e1.json
is "resume of a finished run: exit code" $? 0
equal "resume of a finished run: the same results" first.json e1.json
is "resume of a finished run: nothing is evaluated again" "$(sed -n 's/.*"resumed": //p' e1.json)" "$(sed -n 's/^  "trained": \([0-9]*\),/\1/p' e1.json)"

# ---- the run that those below must equal
sed 's/evaluator.sh\]/evaluator.sh, "0.02"]/' search.yaml >slow.yaml
search slow.yaml --jobs 2 --out reference.json
is "slow evaluator: exit code" $? 0

# ---- two runs at once: the second hears whose the journal is
busy="two.json.journal: in use by the process with id"
remedy="; wait for it or end it, or give another --out"
# second NAME PID [OPTION]
second() {
	"$nasc" search slow.yaml --out two.json ${3:-} >/dev/null 2>err
	is "$1" "$? $(cat err)" "1 nasc: $busy $2$remedy"
}
"$nasc" search slow.yaml --jobs 2 --out two.json >/dev/null 2>first.err &
pid=$!
while kill -0 $pid && [ ! -s two.json.journal ]; do sleep 0.01; done
second "two runs" $pid
second "two runs, the second with --resume" $pid --resume
kill -STOP $pid
second "two runs, the first stopped" $pid --resume
if unshare --pid --fork true 2>/dev/null; then
	unshare --pid --fork "$nasc" search slow.yaml --out two.json --resume >/dev/null 2>err
	is "two runs, the first in another container" "$? $(cat err)" "1 nasc: two.json.journal: in use by another process$remedy"
else
	skip "two runs, the first in another container" "unshare --pid is not permitted"
fi
kill -CONT $pid
wait $pid
is "two runs, the first: exit code" $? 0
equal "two runs, the first: the same results" reference.json two.json
sed 's/evaluator.sh, "0.02"\]/evaluator.sh, "60"]/' slow.yaml >hang.yaml
"$nasc" search hang.yaml --jobs 1 --out hang.json --set seed=9 >/dev/null 2>first.err &
pid=$!
while kill -0 $pid && [ ! -s hang.json.journal ]; do sleep 0.01; done
search hang.yaml --out hang.json --set seed=9 --resume
is "two runs, before the first score" "$? $(cut -d ';' -f 1 err)" "1 nasc: hang.json.journal: in use by the process with id $pid"
kill -KILL $pid
wait $pid 2>/dev/null
# A journal that was taken away is nobody's; another in its place may be another run's.
cp two.json.journal another.journal
for how in gone replaced; do
	"$nasc" search slow.yaml --jobs 2 --out $how.json >/dev/null 2>$how.err &
	eval "$how=\$!"
done
for how in gone replaced; do # until it is open: in that moment a file that goes is an error
	while [ ! -s $how.json.journal-wal ]; do sleep 0.01; done
done
rm gone.json.journal
mv another.journal replaced.json.journal
wait $gone
is "journal removed during a run: exit code" $? 0
equal "journal removed during a run: the same results" reference.json gone.json
wait $replaced
is "journal replaced during a run" "$? $(sed /^searching/d replaced.err) $(ls replaced.json 2>/dev/null)" \
	"1 nasc: replaced.json.journal: another file has taken its place while the run went on; no results are written, as they may be another run's; give another --out "
search slow.yaml --out replaced.json --resume
equal "journal replaced during a run: the other one is whole" reference.json replaced.json

# ---- what is none, or was changed
for kind in fifo folder text; do
	case $kind in
	fifo) mkfifo odd.json.journal ;;
	folder) mkdir odd.json.journal ;;
	text) head -c 5000 two.json >odd.json.journal ;;
	esac
	search slow.yaml --out odd.json --resume
	echo "$? $(cat err)"
	rm -rf odd.json*
done >odd
cat >odd.want <<'WANT'
4 nasc: odd.json.journal: is not a regular file
4 nasc: odd.json.journal: is a directory, not a file
4 nasc: odd.json.journal: file is not a database
WANT
same "a journal that is none" odd odd.want
: >odd.json.journal
search slow.yaml --jobs 2 --out odd.json
is "an empty journal is a new one" $? 0
equal "an empty journal: the same results" reference.json odd.json
if command -v python3 >/dev/null; then
	rm odd.json
	python3 -c 'import sqlite3; d = sqlite3.connect("odd.json.journal"); d.execute("UPDATE evaluation SET scores = zeroblob(8) || zeroblob(8)"); d.commit()'
	search slow.yaml --out odd.json --resume
	is "a journal with scores that are none" "$? $(cat err)" "4 nasc: odd.json.journal: evaluation 1: other scores than the evaluator gives; it was changed by something else than nasc, give another --out"
	is "a journal with scores that are none: no results" "$(ls odd.json 2>/dev/null)" ""
else
	skip "a journal with scores that are none" "no python3"
fi

# By costs alone there is nothing to share: each writes its results as a whole.
cat >costs.yaml <<'CONFIG'
problem: {type: zdt1}
stop: {evaluations: 30000}
CONFIG
search costs.yaml --out costs.json
for i in 1 2; do
	"$nasc" search costs.yaml --out both.json >/dev/null 2>both$i.err &
	eval "pid$i=\$!"
done
wait $pid1
first=$?
wait $pid2
is "two runs by costs alone: one or both end well" "$(echo $first $? | grep -c -e '^0 [02]$' -e '^2 0$')" 1
equal "two runs by costs alone: the same results" costs.json both.json

# ---- a journal whose scores another machine would not give
mkdir images
image=$(printf '%064d' 0)
printf '\0\0\010\3\0\0\0\4\0\0\0\010\0\0\0\010'"$image$image$image$image" >images/train-images-idx3-ubyte
printf '\0\0\010\1\0\0\0\4\0\1\2\3' >images/train-labels-idx1-ubyte
cat >train.yaml <<'CONFIG'
space: {type: densenet, blocks: 1, layers: [1, 2]}
data: {format: idx, directory: images, validation: 0.5}
evaluator: {type: train, batch: 2, shard: 2}
objectives: [error, params]
stop: {evaluations: 3}
CONFIG
search train.yaml --out trained.json
is "training: exit code" $? 0
ONEDNN_MAX_CPU_ISA=SSE41 "$nasc" search train.yaml --out trained.json --resume >/dev/null 2>err
is "training, resumed on a lesser processor" "$? $(sed 's/(.*)/(...)/' err)" \
	"3 nasc: trained.json.journal: its scores would come out differently here (...); go on with the processor and program that began it, or give another --out"
search train.yaml --out trained.json --resume
is "training, resumed where it began: exit code" $? 0

# ---- Ctrl-C; and a signal to all processes of the run, as the end of a batch job sends it
for signal in INT TERM all; do
	"$nasc" search slow.yaml --jobs 2 --out stopped$signal.json >/dev/null 2>err &
	pid=$!
	while kill -0 $pid && [ ! -s stopped$signal.json.journal ]; do sleep 0.05; done
	sleep 0.3
	case $signal in
	all) kill -TERM $(cat /proc/$pid/task/*/children) $pid ;;
	*) kill -$signal $pid ;;
	esac
	wait $pid
	is "signal $signal: exit code" $? 130
	is "signal $signal: says how to go on" "$(grep -c -e '--resume' err)" 1
	is "signal $signal: partial results" "$(sed -n 's/.*"stop_reason": //p' stopped$signal.json)" '"interrupted",'
	"$nasc" pareto stopped$signal.json >/dev/null
	is "signal $signal: which can be read" $? 0
	search slow.yaml --jobs 3 --out stopped$signal.json --resume
	is "signal $signal: resume: exit code" $? 0
	equal "signal $signal: resume: the same results" reference.json stopped$signal.json
done

# ---- nothing to show
sed "s/evaluator.sh\]/evaluator.sh, '0', always]/" search.yaml >wrong.yaml
search wrong.yaml --out always.json
is "every evaluation fails: exit code" $? 1
is "every evaluation fails: says why" "$(sed -n '$s/\([0-9]\)[0-9]* evaluations/N evaluations/p' err | grep -c 'evaluations failed (--resume --retry-failed asks again), the first with: .*no such luck')" 1
sed "s/evaluations: 40/evaluations: 5/" wrong.yaml >few.yaml
search few.yaml --out few.json
is "every one of a few fails: exit code" $? 1
search c.yaml --set 'constraints.sram=<= 1' --out none.json
is "nothing feasible: exit code" $? 5
is "nothing feasible: says so" "$(sed -n '$p' err)" "nasc: none of 8 candidates kept every constraint, most broke sram_bytes <= 1; see none.json"
done_testing

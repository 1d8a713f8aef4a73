#!/bin/sh
# A search gives the same results at any --jobs and after any kill, and survives its evaluator.
. "$(dirname "$0")/lib.sh"

cp "$here"/base/* .
rm results.json
search() {
	"$nasc" search "$@" >/dev/null 2>err
}
# equal NAME A B: the same results but for times
equal() {
	timeless "$2" >equal.a
	timeless "$3" >equal.b
	same "$1" equal.a equal.b
}

# ---- --jobs
for jobs in 1 2 3; do
	search c.yaml --jobs $jobs --out cost$jobs.json
	is "costs only, $jobs jobs: exit code" $? 0
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

# ---- kills
sed 's/evaluator.sh\]/evaluator.sh, "0.02"]/' search.yaml >slow.yaml
search slow.yaml --jobs 2 --out reference.json
is "slow evaluator: exit code" $? 0
kills=0
for i in 1 2 3 4 5 6 7 8 9 10; do
	"$nasc" search slow.yaml --jobs $((i % 3 + 1)) --out killed.json --resume >/dev/null 2>&1 &
	pid=$!
	sleep "$(awk -v seed=$$$i 'BEGIN { srand(seed); printf "%.3f", 0.25 * rand() }')"
	kill -KILL $pid 2>/dev/null && kills=$((kills + 1))
	wait $pid 2>/dev/null
done
if [ $kills -gt 0 ]; then ok "some runs were killed before their end"; else not_ok "some runs were killed before their end"; fi
search slow.yaml --jobs 2 --out killed.json --resume
is "after $kills kills: exit code" $? 0
equal "after $kills kills: the same results" reference.json killed.json
if ls ./*.tmp >/dev/null 2>&1; then not_ok "no temporary file is left"; else ok "no temporary file is left"; fi

# ---- Ctrl-C
for signal in INT TERM; do
	"$nasc" search slow.yaml --jobs 2 --out stopped$signal.json >/dev/null 2>err &
	pid=$!
	while kill -0 $pid && [ ! -s stopped$signal.json.journal ]; do sleep 0.05; done
	sleep 0.3
	kill -$signal $pid
	wait $pid
	is "SIG$signal: exit code" $? 130
	is "SIG$signal: says how to go on" "$(grep -c -e '--resume' err)" 1
	is "SIG$signal: partial results" "$(sed -n 's/.*"stop_reason": //p' stopped$signal.json)" '"interrupted",'
	"$nasc" pareto stopped$signal.json >/dev/null
	is "SIG$signal: which can be read" $? 0
	search slow.yaml --jobs 3 --out stopped$signal.json --resume
	is "SIG$signal: resume: exit code" $? 0
	equal "SIG$signal: resume: the same results" reference.json stopped$signal.json
done

# ---- evaluators that fail
for wrong in exit garbage hang; do
	sed "s/evaluator.sh\], timeout: 30 s/evaluator.sh, '0', $wrong], timeout: 1 s/; s/evaluations: 40/evaluations: 12/" search.yaml >wrong.yaml
	search wrong.yaml --jobs 2 --out $wrong.json
	is "evaluator with $wrong: exit code" $? 0
	is "evaluator with $wrong: the search goes on" "$(sed -n 's/^  "evaluations": //p' $wrong.json)" 12,
	is "evaluator with $wrong: recorded" "$(sed -n '/"failed": {/,/"timing"/s/.*"count": \([1-9]\).*/some/p' $wrong.json)" some
done
is "the reason of an exit" "$(grep -c '"why": "the program exited with status 7 without an answer' exit.json | sed 's/^[1-9].*/some/')" some
is "the reason of a hang" "$(grep -c '"why": "no answer within 1 s' hang.json | sed 's/^[1-9].*/some/')" some
sed "s/evaluator.sh\]/evaluator.sh, '0', always]/" search.yaml >wrong.yaml
search wrong.yaml --out always.json
is "every evaluation fails: exit code" $? 1
is "every evaluation fails: says why" "$(sed -n '$s/\([0-9]\)[0-9]* evaluations/N evaluations/p' err | grep -c 'evaluations failed (--resume asks again), the first with: .*no such luck')" 1
sed "s/evaluations: 40/evaluations: 5/" wrong.yaml >few.yaml
search few.yaml --out few.json
is "every one of a few fails: exit code" $? 1
search c.yaml --set 'constraints.sram=<= 1' --out none.json
is "nothing feasible: exit code" $? 5
is "nothing feasible: says so" "$(sed -n '$p' err)" "nasc: none of 8 candidates kept every constraint, most broke sram_bytes <= 1; see none.json"
done_testing

#!/bin/sh
# Evaluators that fail: recorded, asked again as configured, never selected; and what a journal of
# few rows forgets is asked again.
. "$(dirname "$0")/lib.sh"

cp "$here"/base/* .
rm results.json
# ids FILE LIST: of its `front` or of its `failed`
ids() {
	awk -v list="$2" '/^  "/ { at = $1 ~ "\"" list "\"" } at && /^ *(\{)?"id": / { gsub(/[^0-9]/, ""); print }' "$1" | sort
}
member() {
	sed -n "s/^  \"$2\": \"*\([^\",]*\)\"*,.*/\1/p" "$1"
}

# ---- evaluators: one candidate in three goes wrong as $WRONG says, all others go well
cat >wrong.sh <<'EVALUATOR'
while IFS= read -r line; do
	id=${line#*\"id\":}
	id=${id%%,*}
	good="{\"id\":$id,\"accuracy\":0.$((id / 7 % 9000 + 1000))}"
	if [ $((id % 3)) -eq 0 ]; then eval "$WRONG"; else echo "$good"; fi
done
EVALUATOR
sed 's/evaluator.sh\], timeout: 30 s/wrong.sh], timeout: 1 s/; s/evaluations: 40/evaluations: 12/' search.yaml >wrong.yaml
while IFS='|' read -r name WRONG why; do
	export WRONG
	search wrong.yaml --jobs 3 --out "$name.json"
	is "$name: the search goes on" "$? $(member "$name.json" evaluations)" "0 12"
	ids "$name.json" failed >failed
	if [ -s failed ]; then ok "$name: recorded"; else not_ok "$name: recorded" "$name.json"; fi
	is "$name: the reason" "$(grep '"why"' "$name.json" | grep -cv -e "$why")" 0
	is "$name: never on the front" "$(ids "$name.json" front | comm -12 - failed)" ""
	rm -f "$name.json.journal"
done <<'LIST'
exit|exit 7|the program exited with status 7 without an answer
crash|kill -SEGV $$|the program was killed by signal 11
hang|sleep 60|no answer within 1 s
other-id|echo '{"id":1,"accuracy":1}'|answer: id 1, must be
garbage|echo 'accuracy is fine, thank you'|answer:1:1: not valid JSON
nan|echo "{\"id\":$id,\"accuracy\":NaN}"|not valid JSON
infinite|echo "{\"id\":$id,\"error\":1e999}"|answer: error: 
negative|echo "{\"id\":$id,\"error\":-0.1}"|answer: error: -0.1 is outside
above-one|echo "{\"id\":$id,\"accuracy\":1.5}"|answer: accuracy: 1.5 is outside
two-answers|printf '%s\n%s\n' "$good" "$good"|answer: more than one line
huge-line|printf %02000000d 0|answer: more than 1048576 bytes
closed|exec >&-; sleep 60|closed its output without an answer
says-so|echo "{\"id\":$id,\"failure\":\"no memory\"}"|the program reports: no memory
LIST
WRONG='echo "$good"' search wrong.yaml --out good.json
is "no fault: exit code" $? 0
is "no fault: nothing failed" "$(ids good.json failed)" ""
sed 's/echo "$good"; fi/echo "$good"; fi; exit/' wrong.sh >once.sh
sed 's/wrong.sh/once.sh/' wrong.yaml >once.yaml
WRONG='echo "$good"' search once.yaml --jobs 2 --out once.json
sed 's/once.sh/wrong.sh/' once.json >once.renamed
equal "a program that exits after each answer: the same results" once.renamed good.json

# ---- reasons quote standard error, but only what is the failed candidate's own
sed 's/else /else echo "of $id" >\&2; /' wrong.sh >noisy.sh
sed 's/wrong.sh/noisy.sh/; s/evaluations: 12/evaluations: 40/; s/6 KiB/20 KiB/' wrong.yaml >noisy.yaml
WRONG='case $((id / 3 % 4)) in 0) exit 7;; 1) printf {; exit 8;; 2) printf "\n\n";; *) echo gone >&2; kill -KILL $$;; esac'
for jobs in 1 3; do
	search noisy.yaml --jobs $jobs --out noisy$jobs.json
	is "standard error, $jobs jobs: exit code" $? 0
done
equal "standard error: the same results at 1 and 3 jobs" noisy1.json noisy3.json
sed -n 's/.*"why": "\(.*\)".*/\1/p' noisy1.json | sort -u >whys
cat >whys.want <<'WHYS'
answer: more than one line, or before the request was read
the program exited with status 7 without an answer
the program exited with status 8 without an answer
the program was killed by signal 9: gone
WHYS
same "standard error: the reasons" whys whys.want

# ---- everything fails
WRONG= && export WRONG
sed 's/-eq 0/-ge 0/' wrong.sh >always.sh
sed 's/wrong.sh/always.sh/; s/evaluations: 12/evaluations: 40/' wrong.yaml >always.yaml
WRONG='exit 9' search always.yaml --jobs 2 --out always.json
is "everything fails: exit code" $? 1
is "everything fails: says why" "$(sed -n '$s/\([0-9]\)[0-9]* evaluations/N evaluations/p' err | grep -c 'N evaluations failed (--resume --retry-failed asks again), the first with: the program exited with status 9')" 1
is "everything fails: the stop reason" "$(member always.json stop_reason)" "every evaluation failed"
is "everything fails: stops early" "$(member always.json trained)" 10
is "everything fails: the front" "$(ids always.json front)" ""

# ---- an evaluator that is down says nothing of what was there before
WRONG='echo "$good"' search always.yaml --set memory.journal=2 --out down.json
cp down.json down.before
WRONG='exit 9' search always.yaml --set memory.journal=2 --set failures.enough=3 --out down.json --resume
is "down at resume: exit code" $? 1
is "down at resume: says so" "$(sed -n '$s/.*\(stopped (every.*after 3 candidates, the first with: \).*\(; down.json is left as it was\).*/\1\2/p' err)" \
	"stopped (every evaluation failed) after 3 candidates, the first with: ; down.json is left as it was"
same "down at resume: the results are as they were" down.before down.json

# ---- a program that is gone is no candidate's fault
cat >leaver.sh <<'EVALUATOR'
#!/bin/sh
IFS= read -r line
id=${line#*\"id\":}
id=${id%%,*}
[ ! -e leave ] || { rm leave leaver.sh; }
echo "{\"id\":$id,\"accuracy\":0.$((id / 7 % 9000 + 1000))}"
EVALUATOR
chmod +x leaver.sh
cp leaver.sh leaver.copy
sed 's/command: .*\], timeout: 1 s/command: [.\/leaver.sh], timeout: 30 s/' wrong.yaml >leaver.yaml
search leaver.yaml --out leaver.json
cp leaver.copy leaver.sh
: >leave
search leaver.yaml --jobs 1 --out gone.json # of two one could start, and not find its script
is "the program is gone: exit code" $? 1
is "the program is gone: says so" "$(grep -c "nasc: evaluator: cannot start './leaver.sh': No such file or directory; once that is mended the same command with --resume goes on" err)" 1
cp leaver.copy leaver.sh
search leaver.yaml --jobs 3 --out gone.json --resume
is "the program is back: exit code" $? 0
equal "the program is back: the same results" leaver.json gone.json

# ---- asked again
WRONG='[ -e "tried.$id" ] || { : >"tried.$id"; exit 7; }; echo "$good"'
for jobs in 1 3; do
	rm -f tried.*
	search wrong.yaml --set failures.retries=1 --jobs $jobs --out again$jobs.json
	is "fails once, one retry, $jobs jobs: exit code" $? 0
	is "fails once, one retry, $jobs jobs: nothing failed" "$(ids again$jobs.json failed)" ""
	sed 's/"retries": 1/"retries": 0/' again$jobs.json >again.json
	equal "fails once, one retry, $jobs jobs: as if it had not" again.json good.json
done
WRONG='echo "$id" >>asked; echo "{\"id\":$id,\"failure\":\"luck $(grep -c "^$id\$" asked)\"}"'
search wrong.yaml --set failures.retries=2 --out never.json
is "fails always, two retries: each asked three times" "$(sort asked | uniq -c | sed 's/^ *//; s/ .*//' | sort -u)" 3
is "fails always, two retries: the last reason" "$(grep '"why"' never.json | grep -cv '"3 attempts, the last: the program reports: luck 3"')" 0
ids never.json failed >failed
is "fails always, two retries: never on the front" "$(ids never.json front | comm -12 - failed)" ""

# ---- a resume: failures are results too, until --retry-failed
sed 's/^	good=/	echo "$id" >>asked.now; good=/' wrong.sh >logged.sh
sed 's/wrong.sh/logged.sh/' wrong.yaml >logged.yaml
WRONG='echo "$id" >>asked.failed; exit 7'
search logged.yaml --jobs 2 --out kept.json
sort asked.now >asked.before
sort asked.failed >asked.wrong
comm -23 asked.before asked.wrong >asked.well
rm asked.now
cp kept.json before.json
WRONG='echo "$good"'
for jobs in 1 3; do
	search logged.yaml --jobs $jobs --out kept.json --resume
	is "failures, resumed with $jobs jobs: exit code" $? 0
	equal "failures, resumed with $jobs jobs: the same results" kept.json before.json
done
rm kept.json
search logged.yaml --out kept.json --resume
equal "failures, resumed from the journal alone: the same results" kept.json before.json
cp kept.json.journal more.json.journal
search logged.yaml --out more.json --resume --set evaluator.timeout=20
is "failures, resumed with more time: exit code" $? 0
sed 's/"timeout": 20/"timeout": 1/' more.json >kept.renamed
equal "failures, resumed with more time: the same results" kept.renamed before.json
is "failures, resumed: nothing is asked again" "$(ls asked.now 2>/dev/null)" ""
search logged.yaml --out kept.json --retry-failed
is "--retry-failed without --resume" "$? $(cat err)" "2 nasc: --retry-failed goes with --resume only"
equal "--retry-failed without --resume: nothing has changed" kept.json before.json
search logged.yaml --jobs 2 --out kept.json --resume --retry-failed
is "--retry-failed: exit code" $? 0
sed 's/logged.sh/wrong.sh/' kept.json >kept.renamed
equal "--retry-failed: as if nothing had failed" kept.renamed good.json
sort asked.now >asked.again
is "--retry-failed: what failed first is asked again, once" "$(grep -cFx "$(head -n 1 asked.failed)" asked.again)" 1
is "--retry-failed: what went well is not" "$(comm -12 asked.well asked.again)" ""

# ---- a short journal
WRONG='echo "$good"'
sed 's/evaluations: 12/evaluations: 60/; s/6 KiB/20 KiB/' wrong.yaml >long.yaml
search long.yaml --set memory.journal=5 --jobs 2 --out long.json
is "5 rows of journal: exit code" $? 0
if command -v python3 >/dev/null; then
	is "5 rows of journal: no more" "$(python3 -c 'import sqlite3; print(sqlite3.connect("long.json.journal").execute("SELECT count(*) FROM evaluation").fetchone()[0])' 2>&1)" 5
else
	skip "5 rows of journal: no more" "no python3"
fi
cp long.json short.json
rm long.json
search long.yaml --set memory.journal=5 --jobs 3 --out long.json --resume
equal "5 rows of journal, resumed: the same results" short.json long.json
is "5 rows of journal, resumed: all five are used" "$(sed -n 's/.*"resumed": //p' long.json)" 5
# A second run goes on with the scores of a first: another strategy, and at any number of rows the
# results that it has alone.
sed 's/wrong.sh/logged.sh/' long.yaml >first.yaml
second() {
	search first.yaml --set strategy.type=random --set strategy.batch=6 --set stop.evaluations=30 "$@"
}
sed '/^strategy/d' first.yaml >random.yaml && mv random.yaml first.yaml
second --out alone.json
for rows in 1 5 20 0; do
	search first.yaml --set stop.evaluations=30 --set memory.journal=$rows --out shared.json
	is "shared journal of $rows rows: the first run" $? 0
	mv shared.json first.json
	second --set memory.journal=$rows --jobs 2 --out shared.json --resume
	is "shared journal of $rows rows: the second run" $? 0
	for jobs in 1 3; do
		rm -f asked.now shared.json
		second --set memory.journal=$rows --jobs $jobs --out shared.json --resume
		sed "s/\"journal\": $rows\$/\"journal\": 0/" shared.json >shared.renamed
		equal "shared journal of $rows rows, $jobs jobs: the same results" shared.renamed alone.json
		trained=$(member shared.json trained)
		[ "$rows" -eq 0 ] || [ "$rows" -ge "$trained" ] || is "shared journal of $rows rows, $jobs jobs: its last are there" "$(wc -l <asked.now)" $((trained - rows))
	done
	rm -f shared.json*
done
sed 's/wrong.sh/slow.sh/' long.yaml >slow.yaml
sed 's/^while/sleep 0.1; while/; s/^	good/	sleep 0.01; good/' wrong.sh >slow.sh
for i in 1 2 3 4 5 6; do
	"$nasc" search slow.yaml --set memory.journal=5 --jobs 2 --out slow.json --resume >/dev/null 2>err &
	pid=$!
	sleep 0.3
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
done
search slow.yaml --set memory.journal=5 --jobs 2 --out slow.json --resume
sed 's/slow.sh/wrong.sh/' slow.json >slow.renamed
equal "5 rows of journal, killed 6 times: the same results" slow.renamed short.json
done_testing

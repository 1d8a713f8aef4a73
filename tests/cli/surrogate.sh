#!/bin/sh
# A search with a surrogate: the same results at any --jobs and over resumes, as many evaluations as
# were asked for, no worse than one without, and what it says about itself.
. "$(dirname "$0")/lib.sh"

# A table of all cells of nb201 whose accuracy is a sum over the edges, with one cell left out.
awk 'BEGIN {
	split("0 13 5 9 3", worth, " ")
	print "ops,accuracy"
	for (i = 0; i < 15625; i++) {
		sum = 0; key = ""; left = i
		for (e = 6; e > 0; e--) {
			d = left % 5; left = (left - d) / 5
			key = d key
			sum += worth[d + 1] * e + (d == 3 && e > 3) * 30
		}
		if (i != 7777) printf "%s,%.4f\n", key, 0.5 + sum / 1000
	}
}' >table.csv
cat >s.yaml <<'YAML'
space: {type: nb201, cells: 1}
input: {height: 8, width: 8, channels: 3, classes: 10}
objectives: [error, params]
evaluator: {type: tabular, file: table.csv, key: ops}
strategy: {type: nsga2, population: 20}
surrogate: {type: gp, after: 12, candidates: 6, batch: 5, rows: 40}
reference: {error: 0.5, params: 100 k}
stop: {evaluations: 97}
YAML
# field NAME FILE: the last of those in the outermost object or in "surrogate"
field() {
	sed -n "s/^ \{2,4\}\"$1\": \([0-9]*\),\$/\1/p" "$2" | tail -n 1
}
last_hypervolume() {
	sed -n '/^  "hypervolume"/,/^  "front"/p' "$1" | tr -d '\n' | sed 's/}/\n/g' |
		sed -n 's/.*"value": *\([-0-9.e+]*\).*/\1/p' | tail -n 1
}
for jobs in 1 2 3; do
	search s.yaml --jobs $jobs --out s$jobs.json
done
is "evaluations" "$(field evaluations s1.json)" 97
is "what was dropped does not count" "$(field trained s1.json)" 97
equal "2 jobs as 1" s1.json s2.json
equal "3 jobs as 1" s1.json s3.json
is "it was asked for the rest" "$(field evaluated s1.json)" 85
is "it chose from" "$(field proposed s1.json)" 510
is "one line about it" "$(sed -n 's/^surrogate: \(chose 85 of 510 proposals; error as predicted and as measured: rank correlation \).*/\1/p' err)" \
	"chose 85 of 510 proposals; error as predicted and as measured: rank correlation "
cp s1.json want.json
search s.yaml --jobs 2 --out s1.json --resume
equal "from its journal" want.json s1.json
for at in 12 13 30 60; do
	rm -f r.json*
	search s.yaml --out r.json --set stop.evaluations=$at
	search s.yaml --out r.json --resume
	equal "stopped at $at and resumed" want.json r.json
done

for strategy in random nsga3 sms_emoa regularized_evolution; do
	for with in gp none; do
		search s.yaml --out $strategy.$with.json --set "strategy={type: $strategy}" --set surrogate.type=$with
	done
	is "$strategy: a larger hypervolume with it" \
		"$(echo "$(last_hypervolume $strategy.gp.json) $(last_hypervolume $strategy.none.json)" | awk '{ print ($1 > $2) }')" 1
done

# Few networks fit; the others are neither proposed again nor evaluated.
search s.yaml --out tight.json --set 'constraints={params: "<= 120 k"}'
is "with a bound: exit code" $? 0
# A run on whose evaluations it learns nothing is a run without it.
sed 's/,.*/,0.5/; 1s/.*/ops,accuracy/' table.csv >flat.csv
search s.yaml --out flat.json --set evaluator.file=flat.csv
is "nothing to learn: evaluations" "$(field evaluations flat.json)" 97
is "nothing to learn: it was not asked" "$(field evaluated flat.json)" 0
done_testing

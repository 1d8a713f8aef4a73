#!/bin/sh
# What nasc writes keeps to the published schemas; what breaks them is found.
. "$(dirname "$0")/lib.sh"

cp "$here"/base/* .
rm results.json
python3 "$here/validate.py" "$root" network net.json >faults 2>&1
if [ $? -eq 77 ]; then
	skip "schemas" "python3-jsonschema is not installed"
	done_testing
	exit
fi
# valid NAME SCHEMA FILE
valid() {
	python3 "$here/validate.py" "$root" "$2" "$3" >faults 2>&1
	if [ $? -eq 0 ]; then ok "$1"; else not_ok "$1" faults; fi
}
invalid() {
	python3 "$here/validate.py" "$root" "$2" "$3" >faults 2>&1
	is "$1" $? 1
}
search() {
	name=$1
	shift
	"$nasc" search "$@" --out r.json >/dev/null 2>&1
	valid "results: $name" results r.json
	mv r.json last.json
	rm -f r.json.journal
}

valid "network" network net.json
search "costs only" c.yaml
search "external evaluator" search.yaml
search "seed above 2^53" c.yaml --seed 18446744073709551615
search "two targets" c.yaml --set 'targets=[stm32f746, rp2040]' --set 'objectives=[rp2040.sram, max params]' --set 'constraints={}'
search "nothing feasible" c.yaml --set 'constraints.sram=<= 1'
search "test problem" "$root/configs/problems/dtlz2.yaml" --set stop.evaluations=300
search "a surrogate" search.yaml --set "surrogate={type: gp, after: 8}"
search "an evaluator that fails" search.yaml --set "evaluator.command=[sh, ./evaluator.sh, '0', always]"
search "external evaluator" search.yaml
sed 's/"stop_reason": "[a-z]*"/"stop_reason": "boredom"/' last.json >bad.json
invalid "results: another stop reason is found" results bad.json
sed 's/"kind": "dense"/"kind": "sparse"/' last.json >bad.json
invalid "results: a wrong network inside is found" results bad.json
sed 's/"unit": "byte"/"unit": "octet"/' last.json >bad.json
invalid "results: another unit is found" results bad.json
"$nasc" cost net.json --target ./board.yaml --target stm32f746 --json >cost.json
valid "cost" cost cost.json
"$nasc" cost net.json --target zynq7020 --json --layers >cost.json
valid "cost with layers" cost cost.json
"$nasc" cost net.json --target stm32h743-tinyengine --json --schedules >cost.json
valid "cost with schedules" cost cost.json
"$nasc" pareto last.json --json >front.json
python3 -m json.tool front.json >/dev/null 2>faults
is "pareto --json is JSON" $? 0
# The resolved config inside results is a config: YAML reads it as it stands.
python3 -c 'import json; json.dump(json.load(open("last.json"))["config"], open("resolved.yaml", "w"))'
"$nasc" search resolved.yaml --out r.json >/dev/null 2>faults
is "the config inside runs" $? 0
timeless last.json >a
timeless r.json >b
same "and gives the same results" a b
"$nasc" pareto last.json --plot p.svg >/dev/null
python3 -c 'import xml.etree.ElementTree as x; x.parse("p.svg")' 2>faults
is "the plot is XML" $? 0
done_testing

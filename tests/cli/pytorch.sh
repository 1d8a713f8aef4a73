#!/bin/sh
# configs/external_pytorch.py: its networks are ours, a search with it comes to its end; bench/peers/train_accuracy.py.
. "$(dirname "$0")/lib.sh"

for python in /usr/bin/python3 python3 none; do
	"$python" -c 'import torch' 2>/dev/null && break
done
if [ $python = none ]; then
	skip "an evaluator in PyTorch" "no python3 with torch (Debian: python3-torch)"
	done_testing
	exit 0
fi
export PYTHONDONTWRITEBYTECODE=1
oracle() {
	"$python" "$here/pytorch_oracle.py" "$root/configs" "$@"
}
mkdir images
oracle data images

# ---- a tiny search: the config that is shipped, on these images
for jobs in 1 2; do
	search "$root/configs/external_pytorch.yaml" --jobs $jobs --out pytorch$jobs.json \
		--set data.directory=images --set strategy.population=4 --set stop.trained=6 --set evaluator.budget=1.5 \
		--set "evaluator.command=[$python, $root/configs/external_pytorch.py, --data, images]"
	is "a search, $jobs jobs: exit code" $? 0
done
is "no candidate failed" "$(grep -A 1 '"failed"' pytorch1.json | tr -d ' \n')" '"failed":{"count":0,'
equal "as many jobs as one likes" pytorch1.json pytorch2.json

# ---- as many parameters as nasc counts
cp "$root/configs/networks/small-mobile.json" mobile.json
cp "$here/base/operators.json" .
for network in mobile operators; do
	"$nasc" cost $network.json --json >$network.cost
done
ours() {
	cat "$@" | grep -A 1 '^ *"params": {' | sed -n 's/.*"value": \([0-9]*\),/\1/p'
}
is "parameters of every operator, of residual blocks" "$(oracle params operators.json mobile.json)" "$(ours operators.cost mobile.cost)"
is "parameters of the front" "$(oracle params pytorch1.json)" "$(ours pytorch1.json)"
is "and there are some" "$([ "$(ours pytorch1.json | wc -l)" -gt 0 ] && echo some)" some

# ---- the same weights give the same answers
cat >config.yaml <<'YAML'
data: {format: idx, directory: images}
space: {type: densenet}
objectives: [params]
train: {epochs: 8, precision: f32}
YAML
"$nasc" train operators.json --config config.yaml --save weights --json >report.json 2>err
is "every operator, trained by nasc: exit code" $? 0
oracle confusion weights images >torch
sed -n '/"confusion"/,$p' report.json | tr -cd '0-9\n' | grep . | paste -d ' ' - - - - >nasc
same "the same confusion of the test images in PyTorch" nasc torch
is "of which most are right" "$(sed -n 's/.*"test_accuracy": 0[.][6-9].*/most/p' report.json)" most

# ---- the bench that compares trainings
"$python" -m doctest "$root/bench/peers/train_accuracy.py" >out
same "Student's t is that of the tables" out /dev/null
done_testing

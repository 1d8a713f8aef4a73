#!/bin/sh
# nasc train: what it reports, the same at any --jobs.
. "$(dirname "$0")/lib.sh"

# Four images of 8x8, one a class.
mkdir images
image=$(printf '%016d' 1)
printf '\0\0\010\3\0\0\0\4\0\0\0\010\0\0\0\010%s' "$(printf '%064d' 0)$image$(printf '%096d' 9)$image$(printf '%064d' 5)" |
	tee images/train-images-idx3-ubyte >images/t10k-images-idx3-ubyte
printf '\0\0\010\1\0\0\0\4\0\1\2\3' | tee images/train-labels-idx1-ubyte >images/t10k-labels-idx1-ubyte
cat >net.json <<'JSON'
{"version": 1, "input": [8, 8, 1], "operators": [
  {"kind": "conv2d", "channels": 8, "kernel": 3}, {"kind": "relu"}, {"kind": "dense", "channels": 4}]}
JSON
cat >plain.yaml <<'YAML'
space: {type: densenet}
data: {format: idx, directory: images}
objectives: [params]
train: {epochs: 2, batch: 4, shard: 1, precision: f32}
YAML
sed 's/epochs: 2/epochs: 2, flips: 0.25, noise: 0.5, draws: 3/' plain.yaml >faults.yaml
for config in plain faults; do
	for jobs in 1 3; do
		"$nasc" train net.json --config $config.yaml --jobs $jobs --json >$config$jobs.json 2>err
		is "$config, $jobs jobs: exit code" $? 0
	done
	same "$config: the same at any --jobs" ${config}1.json ${config}3.json
	"$nasc" train net.json --config $config.yaml >$config.txt 2>err
done
is "without faults: test accuracy alone" "$(grep -c '^test accuracy' plain.txt) $(grep -c test_error plain1.json)" "1 0"
is "with faults: the same, and under each" "$(grep '^test accuracy' faults.txt | sed 's/[0-9.]* %/A %/')" \
	"test accuracy A % (4 images, seen once)
test accuracy A % with weights in int8, 0.25 of their bits flipped (3 draws)
test accuracy A % under noise of standard deviation 0.5 of a pixel in [0, 1]"
grep -v test_error faults1.json >without.json
same "the rest of the report is that without faults" without.json plain1.json
# Of four images the errors are multiples of a quarter.
for key in test_error_flips test_error_noise; do
	is "$key" "$(sed -n "s/.*\"$key\": \([0-9.]*\),/\1/p" faults1.json |
		awk '{ v = $1 * 4; d = v - int(v + 0.5); if (v >= 0 && v <= 4 && d * d < 1e-12) print "so many quarters" }')" \
		"so many quarters"
done

# Twelve series of eight bytes in NumPy's format, labels 0 and 1 by turns: rising, falling. Every
# network of a search has kernels of height 1, and the one that is chosen learns them.
mkdir series
npy() { # SHAPE; the header is padded to 64 bytes
	printf '\223NUMPY\1\0\66\0%-53s\n' "{'descr':'|u1','fortran_order':False,'shape':$1}"
}
for set in train test; do
	{
		npy '(12,8)'
		for _ in 1 2 3 4 5 6; do printf '%s' abcdefgh hgfedcba; done
	} >series/${set}_images.npy
	{
		npy '(12,)'
		for _ in 1 2 3 4 5 6; do printf '\0\1'; done
	} >series/${set}_labels.npy
done
cat >series.yaml <<'YAML'
space: {type: densenet, layers: [1, 2], stem_width: [8], stem_stride: [1]}
data: {format: npy, inputs: series, directory: series, validation: 0.5}
evaluator: {type: train, epochs: 5, batch: 2, shard: 2, precision: f32}
objectives: [error, params]
strategy: {type: random}
stop: {evaluations: 4}
train: {epochs: 20, batch: 4, shard: 2, optimizer: adamw, rate: 0.01, ema: 0.9, precision: f32}
YAML
"$nasc" search series.yaml --out series.json >out 2>err
is "series: search" $? 0
is "series: kernels of height 1" "$(tr -d ' \n' <series.json | grep -o '"kernel":\[[0-9][0-9]*' | sort -u)" '"kernel":[1'
"$nasc" train series.json --id knee >out 2>err
is "series: learned" "$? $(grep -o '100.00 %' out)" "0 100.00 %"
"$nasc" train series.json --id error --set train.epochs=2 >out 2>err
is "series: recipe of the results with a key set" "$? $(grep -o 'trained 2 epochs' out)" "0 trained 2 epochs"
"$nasc" train series.json --id error --set train.epochs=0 >out 2>err
is "series: recipe of the results with a key set wrong" "$? $(cat err)" \
	"3 nasc: --set: epochs: 0 is outside [1, 10000] epochs"

# Figures that are not measured are not reported, and the others stand under their own names.
# Next to no flips, noise that drowns the series: one changes nothing, the other much.
flips=evaluator.flips=1e-9
noise=evaluator.noise=1e6
search series.yaml --out flips.json --set $flips
search series.yaml --out noise.json --set $noise
search series.yaml --out both.json --set $flips --set $noise
is "figures of a training without faults" "$("$nasc" pareto series.json --csv | head -n 1)" \
	"file,id,knee,error,params,macs,weights_bytes,accuracy,nid"
is "figures with flips" "$("$nasc" pareto flips.json --csv | head -n 1)" \
	"file,id,knee,error,params,macs,weights_bytes,accuracy,error_flips,nid"
is "figures with noise" "$("$nasc" pareto noise.json --csv | head -n 1)" \
	"file,id,knee,error,params,macs,weights_bytes,accuracy,error_noise,nid"
"$nasc" pareto both.json --csv | cut -d , -f 2- >both
cut -d , -f 1-8,10 both >want
"$nasc" pareto flips.json --csv | cut -d , -f 2- >got
same "figures with flips: as with both" got want
cut -d , -f 1-7,9,10 both >want
"$nasc" pareto noise.json --csv | cut -d , -f 2- >got
same "figures with noise: as with both" got want
is "of which one kind hurts" "$(sed -n 2p both | awk -F , '{ print ($8 == $3), ($9 > $3) }')" "1 1"
search series.yaml --out ensemble.json --set "evaluator={type: ensemble, members: [params, macs], reference: 2}" \
	--set "objectives=[ensemble, macs]"
"$nasc" pareto ensemble.json --csv | cut -d , -f 4- >figures
is "figures of an ensemble: those of its members" "$(head -n 1 figures)" \
	"ensemble,macs,params,weights_bytes,macs_proxy,params_proxy"
is "each under its own name" "$(sed 1d figures | awk -F , '{ print ($2 == $5), ($3 == $6) }' | sort -u)" "1 1"

# What a worker takes is planned by check as it is then found by train: a space of one network.
cat >one.yaml <<'YAML'
space: {type: densenet, blocks: 1, layers: 2, growth: 4, kernel: 3, bottleneck: off, stem_width: 8, stem_kernel: 3,
  stem_stride: 1, bottleneck_factor: 2, compression: 50, activation: relu, transition_pool: avg}
data: {format: npy, inputs: series, directory: series, validation: 0.5}
evaluator: {type: train, image_size: 16, batch: 4, shard: 2, precision: f32}
objectives: [error, params]
stop: {evaluations: 1}
train: {epochs: 1, image_size: 16, batch: 4, shard: 2, precision: f32}
YAML
search one.yaml --out one.json
planned=$("$nasc" check one.yaml | sed -n 's/^  worker  *\(.*\) of tensors.* of 16 .*/\1/p')
is "memory of a worker, planned and found" "$planned of memory a worker" \
	"$("$nasc" train one.json --id 0 2>err | sed -n 's/^trained.*; //p')"
is "no network within the bounds" "$("$nasc" check one.yaml --set 'constraints={params: "<= 1"}' | grep '^  worker')" \
	"  worker      none of 1000 random networks is within the bounds"
done_testing

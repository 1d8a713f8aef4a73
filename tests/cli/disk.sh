#!/bin/sh
# A full disk, a limit on the size of files, a folder that cannot be written: one line that names
# path, reason and remedy, exit code 1, no temporary file, the old results as they were, and with
# space made --resume ends in the same results.
. "$(dirname "$0")/lib.sh"

cp "$here"/base/* .
rm results.json
cat >quick.sh <<'EVALUATOR'
while IFS= read -r line; do
	id=${line#*\"id\":}
	id=${id%%,*}
	echo "{\"id\":$id,\"accuracy\":0.$((id / 7 % 9000 + 1000))}"
done
EVALUATOR
sed 's/evaluator.sh\]/quick.sh]/' search.yaml >quick.yaml
# What a run that could not write must have left: one line, no temporary file, the old results.
faults=
fault() {
	faults="$faults$1; "
}
# refused WHAT CODE FILE REASON [OLD]: after a run into FILE, its errors in `err`
refused() {
	[ "$2" -eq 1 ] || fault "$1: exit code $2"
	[ "$(grep -vc '^searching ' err)" -eq 1 ] || fault "$1: $(wc -l <err) lines"
	grep -q "^nasc: $3[.a-z]*: .*: $4; .* try again\$" err || fault "$1: $(cat err)"
	ls "$3".*.tmp >/dev/null 2>&1 && fault "$1: a temporary file is left"
	if [ -n "${5:-}" ]; then
		cmp -s "$5" "$3" || fault "$1: the old results have changed"
	else
		[ ! -e "$3" ] || fault "$1: results are there"
	fi
}

"$nasc" search quick.yaml --out reference.json >/dev/null 2>err
is "undisturbed run: exit code" $? 0
"$nasc" search quick.yaml --out old.json --set stop.evaluations=12 >/dev/null 2>err
"$nasc" search c.yaml --out costs.json >/dev/null 2>err

# ---- a limit on the size of files, in blocks of 512 bytes
limited=0 ended=0 begun=0 unbegun=0
for blocks in 1 8 16 24 48 64 80 100 150 200 300 400 600 1000; do
	rm -f r.json*
	(ulimit -f $blocks && "$nasc" search quick.yaml --jobs 2 --out r.json >/dev/null 2>err)
	code=$?
	if [ $code -eq 0 ]; then
		ended=$((ended + 1))
	else
		limited=$((limited + 1))
		refused "$blocks blocks" $code r.json "File too large"
		if [ -e r.json.journal ]; then begun=$((begun + 1)); else unbegun=$((unbegun + 1)); fi
		"$nasc" search quick.yaml --out r.json --resume >/dev/null 2>err || fault "$blocks blocks: no resume: $(cat err)"
	fi
	timeless r.json >got
	timeless reference.json | cmp -s - got || fault "$blocks blocks: other results"
done
is "limits on file size: what is wrong" "$faults" ""
is "limits on file size: some before the journal began, some behind, some high enough" \
	"$((unbegun > 0)) $((begun > 0)) $((ended > 0))" "1 1 1"
# The scores are all in the journal, so that the results are the first that is written.
faults=
for old in '' old.json; do
	rm -f r.json
	[ -z "$old" ] || cp "$old" r.json
	(ulimit -f 4 && "$nasc" search quick.yaml --out r.json --resume >/dev/null 2>err)
	refused "results${old:+ over old ones}" $? r.json "File too large" "$old"
	grep -q "^nasc: r.json: cannot write: " err || fault "not the results: $(cat err)"
	"$nasc" search quick.yaml --out r.json --resume >/dev/null 2>err || fault "no resume: $(cat err)"
	timeless r.json >got
	timeless reference.json | cmp -s - got || fault "other results"
done
is "limit on file size at the end: what is wrong" "$faults" ""
(ulimit -f 4 && "$nasc" search c.yaml --out c.json >/dev/null 2>err)
refused "costs only" $? c.json "File too large"
cp c.yaml p.svg
(ulimit -f 2 && "$nasc" pareto front.json --plot p.svg >/dev/null 2>err)
refused "plot" $? p.svg "File too large" c.yaml
is "limit on file size, without journal: what is wrong" "$faults" ""

# ---- the weights of a network
mkdir images
image=$(printf '%064d' 0)
printf '\0\0\010\3\0\0\0\4\0\0\0\010\0\0\0\010'"$image$image$image$image" | tee images/train-images-idx3-ubyte >images/t10k-images-idx3-ubyte
printf '\0\0\010\1\0\0\0\4\0\1\2\3' | tee images/train-labels-idx1-ubyte >images/t10k-labels-idx1-ubyte
cat >train.yaml <<'CONFIG'
space: {type: densenet, blocks: 1, layers: [1, 2]}
data: {format: idx, directory: images}
objectives: [params, macs]
strategy: {type: random}
stop: {evaluations: 4}
train: {epochs: 1, batch: 2, shard: 2}
CONFIG
"$nasc" search train.yaml --out t.json >/dev/null 2>err
is "a network to train: exit code" $? 0
faults=
cp c.yaml w.st
(ulimit -f 2 && "$nasc" train t.json --id knee --save w.st >out 2>err)
refused "weights" $? w.st "File too large" c.yaml
is "weights: what is wrong" "$faults" ""
is "weights: the test is told all the same" "$(grep -c '^test accuracy' out)" 1
for json in '' --json; do
	"$nasc" train t.json --id knee $json >/dev/full 2>err
	is "train $json >/dev/full" "$? $(cat err)" "1 nasc: standard output could not be written"
done
"$nasc" pareto front.json --plot p.svg >/dev/full 2>err
is "pareto --plot >/dev/full" "$? $(tail -n 1 err)" "1 nasc: standard output could not be written"

# ---- a full file system
mkdir small
if mount -t tmpfs -o size=8k none small 2>mount.err; then
	trap 'cd /; umount "$tmp/small"; rm -rf "$tmp"' EXIT
	faults= unbegun=0 begun=0 ended=0
	for size in 4k 8k 16k 32k 64k 128k 192k 256k 400k 1m; do
		rm -f small/*
		mount -o remount,size=$size small
		"$nasc" search quick.yaml --jobs 2 --out small/r.json >/dev/null 2>err
		code=$?
		if [ $code -eq 0 ]; then
			ended=$((ended + 1))
		else
			refused "$size" $code small/r.json "No space left on device"
			if [ -e small/r.json.journal ]; then begun=$((begun + 1)); else unbegun=$((unbegun + 1)); fi
		fi
		mount -o remount,size=10m small
		[ $code -eq 0 ] || "$nasc" search quick.yaml --out small/r.json --resume >/dev/null 2>err || fault "$size: no resume: $(cat err)"
		timeless small/r.json >got
		timeless reference.json | cmp -s - got || fault "$size: other results"
	done
	is "full file system: what is wrong" "$faults" ""
	is "full file system: some before the journal began, some behind, some large enough" \
		"$((unbegun > 0)) $((begun > 0)) $((ended > 0))" "1 1 1"
	rm -f small/*
	cp old.json small/r.json
	cp old.json.journal small/r.json.journal
	head -c 10000000 /dev/zero >small/filler 2>/dev/null
	while echo filler >>small/filler; do :; done 2>/dev/null
	"$nasc" search quick.yaml --out small/r.json --resume >/dev/null 2>err
	refused "no byte free" $? small/r.json "No space left on device" old.json
	"$nasc" search c.yaml --out small/c.json >/dev/null 2>err
	refused "costs only" $? small/c.json "No space left on device"
	is "no byte free: what is wrong" "$faults" ""
	rm small/filler
	"$nasc" search quick.yaml --out small/r.json --resume >/dev/null 2>err
	is "no byte free, then space: exit code" $? 0
	equal "no byte free, then space: the same results" small/r.json reference.json
else
	skip "full file system" "mount: $(head -n 1 mount.err)"
fi

# ---- folders and files that cannot be written
if [ "$(id -u)" -eq 0 ]; then
	chmod 755 "$tmp"
	user() {
		setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	}
	own="chown 65534"
else
	user() {
		"$@"
	}
	own=true
fi
if user "$nasc" check quick.yaml >out 2>&1; then
	mkdir closed
	cp old.json closed/r.json
	cp old.json.journal closed/r.json.journal
	$own closed closed/*
	chmod 555 closed
	(cd closed && listing) >before
	user "$nasc" search quick.yaml --out closed/r.json --resume >/dev/null 2>err
	is "read-only folder: says so" "$? $(cat err)" "1 nasc: closed/r.json: cannot create: Permission denied; allow writing there, or give another path"
	user "$nasc" search c.yaml --out closed/c.json >/dev/null 2>err
	is "read-only folder, costs only: says so" "$? $(cat err)" "1 nasc: closed/c.json: cannot create: Permission denied; allow writing there, or give another path"
	(cd closed && listing) >after
	same "read-only folder: nothing has changed" before after
	chmod 755 closed
	chmod 444 closed/r.json.journal
	user "$nasc" search quick.yaml --out closed/r.json --resume >/dev/null 2>err
	is "read-only journal: says so" "$? $(cat err)" "1 nasc: closed/r.json.journal: cannot open: Permission denied; allow writing there, or give another path"
	(cd closed && listing) >after
	same "read-only journal: nothing has changed" before after
	chmod 644 closed/r.json.journal
	user "$nasc" search quick.yaml --out closed/r.json --resume >/dev/null 2>err
	is "made writable: exit code" $? 0
	equal "made writable: the same results" closed/r.json reference.json
else
	skip "read-only folder" "another user cannot run the program: $(head -n 1 out)"
fi
done_testing

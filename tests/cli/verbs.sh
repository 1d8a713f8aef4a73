#!/bin/sh
# What holds for every verb, read off `nasc help`.
. "$(dirname "$0")/lib.sh"

cp "$here"/base/* .
"$nasc" help >help
verbs=$(sed -n 's/^  \([a-z]*\) .*/\1/p' help)
[ -n "$verbs" ] || not_ok "nasc help lists verbs" help
is "verbs are sorted" "$verbs" "$(printf '%s\n' "$verbs" | sort)"
for verb in $verbs; do
	"$nasc" "$verb" -h >short 2>err
	is "$verb -h: exit code" $? 0
	is "$verb -h: nothing on standard error" "$(cat err)" ""
	"$nasc" "$verb" --help >long
	same "$verb --help says the same" long short
	"$nasc" help "$verb" >long
	same "nasc help $verb says the same" long short
	is "$verb -h: begins with the usage" "$(head -n 1 short | cut -d ' ' -f 1-3)" "usage: nasc $verb"
	"$nasc" "$verb" --no-such-option >out 2>err
	is "$verb: unknown option" "$? $(cat out err)" "2 nasc: unknown option '--no-such-option', see: nasc help $verb"
	for option in $(sed -n 's/^  --\([a-z-]*\).*/\1/p' short); do
		# An option that is known complains about anything but itself.
		"$nasc" "$verb" "--$option" >out 2>err
		if grep -q 'unknown option' err; then not_ok "$verb --$option" err; fi
	done
done

# A full disk behind standard output: exit 1, one line.
while read -r args; do
	eval "\"$nasc\" $args" >/dev/full 2>err
	code=$?
	is "nasc $args >/dev/full" "$code $(cat err)" "1 nasc: standard output could not be written"
done <<'LIST'
--version
-h
help
help search
help config
targets
check c.yaml
space c.yaml
space c.yaml --sample 2
space c.yaml --sample 2 --json
cost net.json
cost net.json --json
cost net.json --layers
cost front.json --id 2
pareto front.json
pareto front.json --json
pareto front.json --csv
search -h
train -h
LIST
is "nasc alone" "$("$nasc" 2>&1 | cmp - help && echo same)" same
"$nasc" >/dev/null 2>&1
is "nasc alone: exit code" $? 2
"$nasc" help config >reference.yaml
"$nasc" check reference.yaml --help >/dev/null
is "-h behind other arguments" $? 0
"$nasc" cost -- net.json >out 2>err
is "-- ends the options" $? 0
"$nasc" pareto -- --csv >out 2>err
is "behind -- everything is a name" "$? $(cat err)" "4 nasc: --csv: cannot open: No such file or directory"
# A row of the results costs what its network alone does.
"$nasc" cost front.json --id 2 --target rp2040 --layers --json --save row.json >of-row 2>err
is "cost of a row" "$? $(cat err)" "0 wrote row.json"
"$nasc" cost row.json --target rp2040 --layers --json >alone
same "cost of the row's network alone: the same" of-row alone
done_testing

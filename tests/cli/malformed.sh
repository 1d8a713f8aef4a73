#!/bin/sh
# What is wrong must be told in one line of standard error and by the exit code, print nothing,
# and leave every file as it was. The cases stand in malformed/*.txt:
#   = NAME             a case in a fresh folder, in which somebody's results.json lies
#   file PATH          made of the following lines behind a tab
#   bytes PATH FORMAT  made by printf
#   edit PATH SCRIPT   changed by sed; the files of base/ are there to begin with
#   run ARGUMENTS      of nasc, as the shell reads them
#   exit N             expected, then
#   err LINE           expected
# --update writes what the program does into the last two.
. "$(dirname "$0")/lib.sh"

result() {
	if [ "$code" = "$want_code" ] && [ "$(cat err)" = "$want_err" ] &&
		[ "$(wc -l <err)" -eq 1 ] && [ ! -s out ] && cmp -s before after; then
		ok "$case"
		return
	fi
	printf '%s\n' "$code" >code
	printf '%s\n%s\n' "$want_code" "$want_err" >want
	diff before after >files
	not_ok "$case" code want err out files
}

run_case() {
	cd case || exit 1
	listing >../before
	eval "\"$nasc\" $1" >../out 2>../err </dev/null
	code=$?
	listing >../after
	cd .. || exit 1
}

for table in "$here"/malformed/*.txt; do
	: >new.txt
	while IFS= read -r line || [ -n "$line" ]; do
		kind=${line%% *}
		rest=${line#* }
		case $kind in
		=)
			case="$(basename "$table" .txt): $rest"
			rm -rf case
			mkdir case
			cp -R "$here"/base/. case
			;;
		file)
			path=$rest
			: >"case/$path"
			;;
		'	'*) printf '%s\n' "${line#?}" >>"case/$path" ;;
		bytes)
			mkdir -p "$(dirname "case/${rest%% *}")"
			printf "${rest#* }" >"case/${rest%% *}"
			;;
		edit) sed -i "${rest#* }" "case/${rest%% *}" ;;
		run) run_case "$rest" ;;
		exit) want_code=$rest line="exit $code" ;;
		err)
			want_err=$rest line="err $(cat err)"
			result
			;;
		'' | '#') ;;
		*)
			echo "Bail out! $table: $line"
			exit 1
			;;
		esac
		[ -z "$update" ] || printf '%s\n' "$line" >>new.txt
	done <"$table"
	[ -z "$update" ] || cp new.txt "$table"
done
done_testing

#!/bin/sh
# The files of golden/ hold commands behind '$ ' and what they print. --update writes them anew.
. "$(dirname "$0")/lib.sh"

cp "$here"/base/* .
for golden in "$here"/golden/*.txt; do
	grep '^\$ ' "$golden" | while IFS= read -r line; do
		printf '%s\n' "$line"
		eval "nasc() { \"$nasc\" \"\$@\"; }; ${line#??}" 2>&1
		code=$?
		[ $code -eq 0 ] || echo "exit $code"
	done >got.txt
	same "$(basename "$golden" .txt)" got.txt "$golden"
	[ -z "$update" ] || cp got.txt "$golden"
done
done_testing

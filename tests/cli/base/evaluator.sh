#!/bin/sh
# An evaluator: the accuracy is a check sum of the request, so it depends on nothing else.
#   evaluator.sh [DELAY [WRONG]]: seconds to wait; how to fail on one candidate in three
while IFS= read -r line; do
	id=${line#*\"id\":}
	id=${id%%,*}
	sum=$(printf '%s' "$line" | cksum | cut -d ' ' -f 1)
	sleep "${1:-0}"
	case ${2:-}$((sum % 3)) in
	exit0) exit 7 ;;
	garbage0) echo 'accuracy is fine, thank you' ;;
	hang0) sleep 60 ;;
	always*) echo "{\"id\":$id,\"failure\":\"no such luck\"}" ;;
	*) echo "{\"id\":$id,\"accuracy\":0.$((sum % 9000 + 1000))}" ;;
	esac
done

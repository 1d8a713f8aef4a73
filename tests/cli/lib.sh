# Sourced by the scripts beside it, all of which write TAP and are called
#   SCRIPT NASC SOURCE [--update]
# with the program and the root of the source tree. They work in a folder of their own.
set -u
LC_ALL=C
nasc=$(realpath "$1")
root=$(realpath "$2")
NASC_TARGETS=$root/configs/targets
export LC_ALL NASC_TARGETS
update=${3:-}
here=$root/tests/cli
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
n=0

ok() {
	n=$((n + 1))
	echo "ok $n - $1"
}
# not_ok NAME [FILE...]: the files become comments
not_ok() {
	n=$((n + 1))
	echo "not ok $n - $1"
	shift
	for f; do
		sed "s|^|#   $f: |" "$f"
	done
}
skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}
# is NAME A B: equal texts
is() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		printf '%s\n' "$2" >is.got
		printf '%s\n' "$3" >is.want
		not_ok "$1" is.got is.want
	fi
}
# same NAME A B: equal files
same() {
	if diff "$2" "$3" >same.diff 2>&1; then ok "$1"; else not_ok "$1" same.diff; fi
}
# All files below the folder with their check sums.
listing() {
	find . -type f -exec cksum {} + | sort
}
# Results without what may differ between equal runs: `timing` stands last.
timeless() {
	sed '/^  "timing"/,$d' "$1"
}
# equal NAME A B: the same results but for times
equal() {
	timeless "$2" >equal.a
	timeless "$3" >equal.b
	same "$1" equal.a equal.b
}
search() {
	"$nasc" search "$@" >/dev/null 2>err
}
done_testing() {
	echo "1..$n"
}

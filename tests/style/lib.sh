# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What the style checks share: the list of our files, and counting what is wrong.
set -eu
root=${MSR_ROOT:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$root"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

# files PATTERN...: files of ours whose path matches a git pathspec glob
files() {
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files -- "$@" | while read -r f; do
			[ ! -f "$f" ] || printf '%s\n' "$f"
		done
	else
		for p; do
			find . -path ./build -prune -o -type f -name "${p##*/}" -print
		done | sed 's,^\./,,'
	fi | sort -u
}

wrong() {
	printf '%s\n' "$*"
	bad=$((bad + 1))
}

finish() {
	[ "$bad" -eq 0 ] || { echo "$bad found"; exit 1; }
	echo "$1"
	exit 0
}

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs shellcheck over every shell script, by its first line.
. "$(dirname "$0")/lib.sh"

command -v shellcheck >/dev/null || { echo "SKIP: shellcheck is not installed (scripts/setup installs it)"; exit 77; }
files '*' | while read -r f; do
	case $(head -c 64 "$f" | tr -d '\0' | head -n 1) in
	'#!'*sh | '#!'*'sh '*) printf '%s\n' "$f" ;;
	*) [ "${f%.sh}" = "$f" ] || printf '%s\n' "$f" ;;
	esac
done >"$work/list"
[ -s "$work/list" ] || { echo "no scripts"; exit 1; }
# what runs in a guest runs in busybox or dash, both of which know ulimit -l and -n, and sources files of the guest
guest='^scripts/guest/|^tests/vm/nested/|^tests/vm/crowd/'
grep -E "$guest" "$work/list" >"$work/guest" || true
# SC2119: functions with optional arguments are called without
grep -Ev "$guest" "$work/list" | xargs -d '\n' -n 10 -P 2 shellcheck -x -P SCRIPTDIR -e SC2119 || bad=$((bad + 1))
while read -r f; do
	case $(head -n 1 "$f") in
	*bash*) shellcheck -x -P SCRIPTDIR -e SC1091 "$f" ;;
	*) shellcheck -s dash -e SC3045,SC1091 "$f" ;;
	esac || bad=$((bad + 1))
done <"$work/guest"
finish "$(wc -l <"$work/list") scripts"

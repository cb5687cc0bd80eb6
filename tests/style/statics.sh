#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Functions of a module have names of their own, static ones as well: a tracer and a stack trace name
# them without their file. guest-kmod-common is a part of both modules.
. "$(dirname "$0")/lib.sh"

n=0
for module in guest-kmod-rdma-front guest-kmod-net-back; do
	# shellcheck disable=SC2046 # our paths have no spaces
	awk '
		# A definition begins in the first column; its name is the last word before the first parenthesis.
		/^static / && !/[;=]/ && match($0, /[a-z_][a-z0-9_]*\(/) {
			name = substr($0, RSTART, RLENGTH - 1)
			if (name ~ /^(DEFINE|__)/) next
			print name, FILENAME ":" FNR
		}
	' $(files "$module/*.c" 'guest-kmod-common/*.c') | sort >"$work/names"
	n=$((n + $(wc -l <"$work/names")))
	awk '$1 == was { print was_at ", " $2 ": two functions " $1 "()" } { was = $1; was_at = $2 }' "$work/names" >"$work/twice"
	while read -r line; do wrong "$line"; done <"$work/twice"
done
[ "$n" -gt 200 ] || wrong "only $n functions were found"
finish "$n functions"

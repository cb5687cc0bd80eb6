#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The front module's Kbuild lists its files from the bottom up: no file uses a function of a file that
# is listed after it, and so there is no circle of files.
. "$(dirname "$0")/lib.sh"

front=guest-kmod-rdma-front
objects=$(sed -n 's/^multios_rdma-y [+:]= //p' $front/Kbuild)
set --
for object in $objects; do
	set -- "$@" "$front/${object%.o}.c"
done
[ $# -gt 0 ] || wrong "$front/Kbuild lists no files"
for f in $(files "$front/*.c"); do
	case " $* " in
	*" $f "*) ;;
	*) wrong "$f is not in $front/Kbuild" ;;
	esac
done

# Twice over the files: definitions begin in the first column, uses do not.
awk '
	FNR == 1 { file++; comment = 0 }
	{
		line = $0
		gsub(/\/\*[^*]*\*\//, "", line)
		if (comment) {
			if (line !~ /\*\//) next
			sub(/.*\*\//, "", line)
			comment = 0
		}
		if (line ~ /\/\*/) { sub(/\/\*.*/, "", line); comment = 1 }
	}
	file <= n {
		if (line ~ /^[a-z]/ && line !~ /^(static|extern|typedef)/ && match(line, /mrdma_[a-z0-9_]+\(/))
			at[substr(line, RSTART, RLENGTH - 1)] = file
		next
	}
	line ~ /^[ \t]/ {
		while (match(line, /mrdma_[a-z0-9_]+/)) {
			name = substr(line, RSTART, RLENGTH)
			line = substr(line, RSTART + RLENGTH)
			if (name in at) {
				uses++
				if (at[name] > file - n)
					print FILENAME ":" FNR ": " name "() is of a file further up"
			}
		}
	}
	END { print uses + 0 >uses_file }
' n=$# uses_file="$work/uses" "$@" "$@" >"$work/up"
while read -r line; do wrong "$line"; done <"$work/up"
read -r uses <"$work/uses"
[ "$uses" -gt 100 ] || wrong "only $uses uses of functions were found"
finish "$uses uses"

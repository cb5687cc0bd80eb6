#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every header of the ring compiles alone, as user-space code, with gcc and clang.
. "$(dirname "$0")/lib.sh"

n=0
for cc in gcc clang; do
	command -v "$cc" >/dev/null || continue
	for h in $(files 'shm-ring/*.h'); do
		for std in c11 gnu11 gnu17; do
			n=$((n + 1))
			printf '#include <%s>\n' "${h#shm-ring/include/}" >"$work/one.c"
			"$cc" -std=$std -O2 -Wall -Wextra -Wpedantic -Wmissing-prototypes -Wshadow -Wundef -Werror \
				-I shm-ring/include -c "$work/one.c" -o "$work/one.o" || wrong "$h: $cc -std=$std"
			# twice is as good as once
			printf '#include <%s>\n' "${h#shm-ring/include/}" >>"$work/one.c"
			"$cc" -std=$std -Wall -Werror -I shm-ring/include -fsyntax-only "$work/one.c" ||
				wrong "$h: $cc, included twice"
		done
	done
done
[ "$n" -gt 0 ] || { echo "SKIP: neither gcc nor clang is installed"; exit 77; }
finish "$n compilations"

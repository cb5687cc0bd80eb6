#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every source file names its licence on line 1, or on line 2 below "#!"; the headers of the
# ring and of the device's registers are dual-licensed.
. "$(dirname "$0")/lib.sh"

files '*.c' '*.h' '*.S' '*.sh' '*.py' '*.asl' '*Kbuild' '*Kconfig' '*meson.build' '*meson_options.txt' 'scripts/*' '.ci/*' >"$work/list"
while read -r f; do
	# data has no comments
	case $f in
	*.config | *.json | *.xml | *.tsv | *.txt | *.patch | *.md) [ "${f##*/}" = meson_options.txt ] || continue ;;
	esac
	if ! grep -Iq . "$f"; then
		continue
	fi
	head -n 2 "$f" | awk 'NR == 1 && /^#!/ { next } { print; exit }' |
		grep -q 'SPDX-License-Identifier: ' || wrong "$f: no SPDX tag on its first line"
done <"$work/list"
for f in $(files 'shm-ring/*.h' 'qemu-device/include/standard-headers/*.h'); do
	head -n 1 "$f" | grep -q 'GPL-2.0-only OR BSD-2-Clause' || wrong "$f: must be GPL-2.0-only OR BSD-2-Clause"
done
finish "$(wc -l <"$work/list") files"

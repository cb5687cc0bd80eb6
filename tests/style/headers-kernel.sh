#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every header of the ring and of the modules compiles alone with the flags of the kernel's own
# build (W=1, warnings fatal): the ring's against each kernel whose headers are at hand (those that
# scripts/build-kernels extracted, or the host's), the modules' against the first.
. "$(dirname "$0")/lib.sh"

n=0
kernels=${MULTIOS_CACHE:-${HOME:-/root}/.cache/multios}/kernels
set --
for current in "$kernels"/current-*; do
	[ ! -f "$current" ] || set -- "$@" "$kernels/$(cat "$current")/kdir"
done
[ $# -gt 0 ] || set -- /lib/modules/*/build
for kdir; do
	[ -e "$kdir/Makefile" ] || continue
	rm -rf "$work/m"
	mkdir "$work/m"
	objects=
	i=0
	modules=
	[ "$n" -gt 0 ] || modules='guest-kmod-*/*.h'
	# shellcheck disable=SC2086 # nothing or one pattern
	for h in $(files 'shm-ring/*.h' $modules); do
		i=$((i + 1))
		folder=$root/$(dirname "$h")
		printf '#include "%s"\n' "$root/$h" >"$work/m/h$i.c"
		printf '%s\n' "CFLAGS_h$i.o := -I$folder" >>"$work/m/Kbuild"
		objects="$objects h$i.o"
	done
	cat >>"$work/m/Kbuild" <<-END
		ccflags-y := -I$root/shm-ring/include -I$root/qemu-device/include/standard-headers -I$root/guest-kmod-common
		obj-m := headers.o
		headers-y := $objects
	END
	# shellcheck disable=SC2086 # a list of targets
	if ! nice make -s -k -C "$kdir" M="$work/m" W=1 KCFLAGS=-Werror -j2 $objects >"$work/log" 2>&1; then
		sed "s,$work/m/,," "$work/log" | grep -v -e 'not remade because' -e '^make' | head -n 40
		wrong "a header does not compile alone against $(basename "$(dirname "$kdir")")"
	fi
	n=$((n + i))
done
[ "$n" -gt 0 ] || { echo "SKIP: no kernel headers (scripts/build-kernels fetches them)"; exit 77; }
finish "$n compilations"

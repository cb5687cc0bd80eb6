#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/kmod.sh
#
# Builds both modules for every kernel that build-kernels lists, with W=1 and every warning fatal, and runs sparse over
# them. With TEST_CASE in the environment those tests whose name contains it. The output is TAP (tests/lib-tap.sh).

# shellcheck disable=SC2317 # functions are called by their names
. "$(dirname "$(readlink -f "$0")")/../scripts/lib.sh"
. "$MULTIOS_ROOT/tests/lib-tap.sh"
case ${1:-} in
'') ;;
-h | --help) usage; exit 0 ;;
*) die "unknown argument '$1' (see --help)" ;;
esac

# compiles MODULE KERNEL: its progress is on stderr. ib_uverbs must be there before the front's module registers its device
# (see verbs.c), so depmod must know that.
compiles() {
	local ko depends
	ko=$("$MULTIOS_ROOT/scripts/build-kmod" --only "$1" "$2") || return
	[[ $1 == rdma ]] || return 0
	depends=$(modinfo -F depends "$ko")
	[[ ,$depends, == *,ib_uverbs,* ]] || {
		log "multios_rdma.ko for kernel $2 depends on '$depends': ib_uverbs must be among them"
		return 1
	}
}

# result NAME CMD...: as check, but the output, which says how far it is, is not held back.
result() {
	local name=$1
	shift
	chosen "$name" || return 0
	if "$@"; then pass "$name"; else fail "$name"; fi
}

tap_begin
for kernel in $("$MULTIOS_ROOT/scripts/build-kernels" --list); do
	for module in rdma net; do
		result "multios_$module for kernel $kernel" compiles "$module" "$kernel"
		# Debian 12's sparse does not know all that the newest kernel's headers use.
		[[ $kernel == newest ]] ||
			result "sparse finds nothing in multios_$module for kernel $kernel" \
				"$MULTIOS_ROOT/scripts/build-kmod" --sparse --only "$module" "$kernel" >&2
	done
done
tap_end

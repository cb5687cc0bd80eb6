# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# One user for each lab of a checkout. Source it; the VM suites do, which source nothing else of scripts/.

# alone LAB: nobody else uses it until this process has ended; its children may. Exits with 2 if somebody does.
alone() {
	local dir fd
	[[ ${MULTIOS_ALONE:-} != "$1" ]] || return 0
	dir=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/..")/build/locks
	mkdir -p "$dir"
	exec {fd}>"$dir/lab-$1"
	if ! flock -n "$fd"; then
		echo "${MULTIOS_PROG:-${0##*/}}: error: lab '$1' is in use in this checkout already (lock build/locks/lab-$1): wait for its end, or use another checkout" >&2
		exit 2
	fi
	export MULTIOS_ALONE=$1
}

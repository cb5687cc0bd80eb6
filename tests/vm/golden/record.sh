#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/golden/record.sh [--name LAB] [FILE]
#
# Records stock-rxe.pcap anew: two ordinary VMs with stock rdma_rxe (scripts/lab up --plain --mtu 9000, started here unless it
# runs), RC with SEND, WRITE, READ and atomics, UC, UD, connection management, IPv4 and IPv6, path MTUs 256 to 4096.
# Few and small messages: the file stays below 200 KiB.

set -u
root=$(cd "$(dirname "$0")/../../.." && pwd)
name=golden file=$root/tests/vm/golden/stock-rxe.pcap
while (($#)); do
	case $1 in
	--name) name=$2; shift ;;
	-h | --help) sed -n 's/^# \{0,1\}//p' "$0" | sed 1d; exit 0 ;;
	*) file=$(realpath -m "$1") ;;
	esac
	shift
done

lab() {
	local command=$1
	shift
	"$root/scripts/lab" "$command" --name "$name" "$@"
}

# both CMD: as it is in the peer, with the peer's address in the front
both() {
	lab exec peer --timeout 60 -- sh -c "$1" >"$work/peer" 2>&1 &
	sleep 3
	if ! lab exec front --timeout 60 -- sh -c "$1 $2" >"$work/front" 2>&1; then
		echo "failed: $1"
		tail -n 3 "$work/front" "$work/peer"
	fi
	wait
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lab status >/dev/null 2>&1 || lab up --plain --mtu 9000 || exit
v4=10.77.0.2
both "ping -c 1" $v4 >/dev/null		# no address resolution in the capture
lab capture start "$file" || exit
both "ibv_rc_pingpong -d rxe0 -g 1 -m 256 -s 600 -n 3 -r 4" $v4
both "ibv_rc_pingpong -d rxe0 -g 2 -m 1024 -s 2100 -n 3 -r 4" $v4
both "ibv_rc_pingpong -d rxe0 -g 1 -m 4096 -s 4099 -n 2 -r 4" $v4
both "ibv_ud_pingpong -d rxe0 -g 1 -s 101 -n 3 -r 4" $v4
both "ibv_ud_pingpong -d rxe0 -g 2 -s 1000 -n 3 -r 4" $v4
both "ib_write_lat -d rxe0 -x 1 -m 512 -s 1500 -n 5 -F" $v4
both "ib_read_lat -d rxe0 -x 1 -m 256 -s 700 -n 5 -F" $v4
both "ib_read_lat -d rxe0 -x 2 -m 2048 -s 4097 -n 5 -F" $v4
both "ib_atomic_lat -d rxe0 -x 1 -n 5 -F" $v4
both "ib_send_lat -d rxe0 -x 2 -m 512 -s 13 -n 5 -F" $v4
both "ib_write_bw -d rxe0 -x 2 -m 256 -s 513 -n 5 -F -c UC" $v4
for a in $v4 fd77::2; do
	lab exec peer --timeout 60 -- rping -s -a "$a" -C 2 -S 1301 >"$work/peer" 2>&1 &
	sleep 3
	lab exec front --timeout 60 -- rping -c -a "$a" -C 2 -S 1301 >"$work/front" 2>&1 ||
		{ echo "failed: rping $a"; tail -n 3 "$work/front"; }
	wait
done
lab capture stop

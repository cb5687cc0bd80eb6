#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/crowd.sh [OPTIONS]
#
# 64 processes at once in the front, 32 of them with the peer and 32 among themselves: RC, UC and UD, all operations, sizes to
# 100 KB, on a wire that loses, reorders, doubles; some are killed in mid-flight, a hostile one takes its memory away under
# traffic, the module's removal is tried, and every third round it is removed below them all. Every byte is checked; after
# each round nothing is left over. 3 rounds; --long: 100. CROWD_ROUNDS: so many.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
shared_lab back
put_tool verbs-check front peer
put_tool baduser front
for guest in front peer; do push $guest "$VM_ROOT/tests/vm/crowd/crowd" /tmp/crowd.sh || tap_abort "copying to $guest"; done
rounds=3
((!LONG)) || rounds=100
rounds=${CROWD_ROUNDS:-$rounds}
pairs=32 within=16 seconds=3 kills=12
near_dev=$(netdev back) peer_dev=$(netdev peer)

netem() { # HOW, on both ends of the wire; "" for none
	on back "tc qdisc del dev $near_dev root 2>/dev/null; [ -z \"$1\" ] || tc qdisc add dev $near_dev root netem limit 20000 $1" &&
		on peer "tc qdisc del dev $peer_dev root 2>/dev/null; [ -z \"$1\" ] || tc qdisc add dev $peer_dev root netem limit 20000 $1"
}
wires=("loss 1%" "loss 1% delay 1ms reorder 75% 50%" "loss 0.5% duplicate 1% delay 1ms reorder 95%")

# judge FILE...: of lines PAIR SIDE STATUS. A process may be killed (137, 143) or lose its other side to that (2, at once: 141);
# a wrong byte (1) or being stuck (3) is never right, nor an error of a pair of which nobody was killed.
judge() {
	awk '/^[0-9]+ (client|server) [0-9]+$/ {
			n++
			status[$1 " " $2] = $3
			if ($3 == 137) { killed[$1] = 1; victims++ }
			ok += $3 == 0
			last = $1 " " $2
			next
		}
		{ said[last] = said[last] "\n" $0 }
		END {
			for (one in status) {
				split(one, part, " ")
				s = status[one]
				if (s == 0 || s == 137 || (part[1] in killed && s != 1 && s != 3)) continue
				print "process " one ": status " s said[one]
				bad = 1
			}
			printf "%d processes: %d ended well, %d killed\n", n, ok, victims
			exit bad || n != expected || ok < expected / 4
		}' expected=$((2 * (pairs + within))) "$@"
}

round() {
	local seed=$((SEED + $1 * 1000)) remove=$2 out=$VM_BUILD/crowd-front.out served=$VM_BUILD/crowd-peer.out rc=0
	start_on peer crowd "sh /tmp/crowd.sh serve $pairs" || return
	start_on front bad "/tmp/baduser -s $seconds -S $seed memory" || return
	start_on front crowd "sh /tmp/crowd.sh run $pairs $within $seed $seconds $kills $peer_ip $front_ip" || return
	under_way 1000 || rc=1
	on front "! rdma link del $(rdma_dev front) 2>/dev/null" || rc=1
	if ((remove)); then
		on front 'sleep 3'
		unload front || rc=1
		# what polls a queue of a device that is gone does not look up from it
		on front 'sleep 2; pkill -9 verbs-check; true'
	fi
	end_of front crowd 300 >"$out" || rc=1
	# servers whose client was killed before it came
	on peer 'sleep 1; pkill verbs-check; true'
	end_of peer crowd 60 >"$served" || rc=1
	# whose memory calls may fail by the removal
	end_of front bad 60 >/dev/null || ((remove && $? == 2)) || rc=1
	if ((remove)); then
		load front 1500 && reachable >/dev/null || return
		! grep -E '^[0-9]+ [a-z]+ 1$' "$out" "$served" || rc=1
	else
		judge "$out" "$served" || rc=1
	fi
	return $rc
}

idle=$(objects front)
for ((i = 1; i <= rounds; i++)); do
	wire=${wires[i % ${#wires[@]}]}
	netem "$wire" || fail "netem $wire"
	remove=$((i % 3 == 0))
	how=''
	((!remove)) || how=', the module is removed below them'
	CHECK_LINES=60 check "round $i, $wire$how" round $i $remove
	check_no_more "round $i: nothing is left over" "$(objects front)" "$idle"
	check_eq "round $i: no page is pinned" "$(pinned front)" 0
	memory_after=$(memory front)
	say "free memory: $memory_after KiB"
	((i > 1)) || memory_before=$memory_after
	netem ""
done
check "free memory fell by less than 16 MiB ($memory_before KiB, then $memory_after)" [ $((memory_before - memory_after)) -lt 16384 ]
check_logs "after all of it"
vm_end

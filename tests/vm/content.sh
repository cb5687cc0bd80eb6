#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/content.sh [OPTIONS]
#
# Every byte of random verbs traffic between front and peer is checked on both ends (verbs-check), on a clean wire and
# on one that loses, doubles, reorders, delays and corrupts packets, for several path MTUs and both IP versions; and the
# error cases end with the completion status that they must. Shared receive queues, resizing, overrun and events likewise.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
vm_up $SHARED_LAB || tap_abort "lab up"
put_tool verbs-check front peer

# Where the wire is disturbed: the back's NIC and the peer's, both on the way out.
near=front
! has_guest back || near=back
near_dev=$(netdev $near) peer_dev=$(netdev peer)

netem() {
	# A flipped bit: towards the front only. What stock rdma_rxe makes of one is not ours to judge.
	[[ $* == corrupt* ]] || on $near "tc qdisc del dev $near_dev root 2>/dev/null; [ -z \"$*\" ] || tc qdisc add dev $near_dev root netem limit 20000 $*" || return
	on peer "tc qdisc del dev $peer_dev root 2>/dev/null; [ -z \"$*\" ] || tc qdisc add dev $peer_dev root netem limit 20000 $*"
}

# What netem did on both sides, as a number of packets: the proof that the wire was disturbed at all.
dropped() {
	local guest dev sum=0 n
	for guest in $near peer; do
		dev=$peer_dev
		[[ $guest == peer ]] || dev=$near_dev
		n=$(on "$guest" "tc -s qdisc show dev $dev root" | sed -n 's/.*dropped \([0-9]*\).*/\1/p')
		sum=$((sum + ${n:-0}))
	done
	echo "$sum"
}

n=0
# content NAME SERVER SECONDS OPTIONS...: SERVER is the side that listens.
content() {
	local name=$1 server=$2 seconds=$3 client=front address=$peer_ip
	shift 3
	if [[ $server == front ]]; then client=peer address=$front_ip; fi
	n=$((n + 1))
	check "$name" verbs_check "$server" "$client" "$address" $((seconds + 120)) -S $((SEED + n)) -s "$seconds" "$@"
}

check "MTU 9000 on every device" set_mtu 9000
content "clean, path MTU 4096" peer 6
content "clean, path MTU 4096, IPv6, the peer starts" front 4 -6
content "clean, path MTU 256, 8 queue pairs" peer 5 -m 256 -q 8 -z 1000000
check "MTU 1500 on every device" set_mtu 1500
content "clean, path MTU 1024" peer 4
content "clean, path MTU 512, IPv6" peer 4 -6 -m 512

# The peer keeps two READs outstanding, each one request of 64 MiB: the front always has more to answer.
check "the front sends to a peer that reads from it without end" verbs_check front peer $front_ip 240 -r 67108864 -S "$SEED"

check "error cases, IPv4" verbs_check peer front $peer_ip 240 -e -S "$SEED"
check "error cases, IPv6" verbs_check peer front $peer_ip 240 -e -6 -S "$SEED"
check "the front to itself" verbs_check front front $front_ip 120 -s 6 -S "$SEED"
# Stock rdma_rxe lets some of it pass.
! has_guest back || check "states and transitions of queue pairs" verbs_check front front $front_ip 120 -X -S "$SEED"
check "queue cases" verbs_check peer front $peer_ip 240 -Q -S "$SEED"
check "queue cases, IPv6, path MTU 256, the peer starts" verbs_check front peer $front_ip 240 -Q -6 -m 256 -S "$SEED"
if has_guest back; then
	check "what keys open: windows, invalidation, re-registration" verbs_check peer front $peer_ip 240 -M -S "$SEED"
	check "what keys open, within the front" verbs_check front front $front_ip 240 -M -S "$SEED"
fi

# The back's NIC sends slowly, and the back may hold few packets: the ring waits, nothing is lost or wrong. 1 is less than
# the module takes.
slow_nic() {
	local limit=/sys/module/multios_net/parameters/roce_in_flight before waited rc=0
	before=$(counter back mos0 roce0_from_ring_full)
	on back "echo 1 >$limit && tc qdisc replace dev $near_dev root tbf rate 40mbit burst 20k limit 1000k" || return
	verbs_check peer front $peer_ip 60 -s 3 -z 200000 -S "$SEED" || rc=1
	on back "tc qdisc del dev $near_dev root; echo 256 >$limit"
	waited=$(($(counter back mos0 roce0_from_ring_full) - before))
	echo "the ring waited $waited times"
	return $((rc || waited == 0))
}
! has_guest back || check "a slow NIC, few packets in flight: the ring waits" slow_nic

disturbed() {
	local name=$1 how=$2
	shift 2
	if ! check "netem: $how" netem "$how"; then return; fi
	content "$name" "$@"
	case $how in
	loss*)
		lost=$(dropped)
		check "$name: packets were lost ($lost)" [ "$lost" -gt 0 ]
		;;
	esac
	netem ""
}
# A message of many packets hardly gets through at 5 % when each loss costs the rest of it (go-back-N): smaller ones.
disturbed "1 % loss" "loss 1%" peer 8 -l -t 15 -z 500000
disturbed "5 % loss" "loss 5%" peer 8 -l -t 15 -z 60000
disturbed "5 % duplicates" "duplicate 5%" front 5 -l -t 15 -z 500000
disturbed "reordering" "delay 2ms reorder 75% 50%" peer 6 -l -t 15 -z 200000
disturbed "delay and jitter" "delay 3ms 2ms" peer 4 -l -t 15 -z 200000
disturbed "1 % with a flipped bit" "corrupt 1%" peer 6 -l -t 15 -z 200000
disturbed "everything at once, IPv6" "loss 1% duplicate 1% delay 1ms 1ms reorder 10%" front 7 -6 -l -t 15 -z 100000
if ((LONG)); then
	check "MTU 9000 on every device" set_mtu 9000
	content "long, clean" peer 120 -q 6
	disturbed "long, 1 % loss" "loss 1%" front 120 -l -t 15
	disturbed "long, 5 % loss" "loss 5%" peer 120 -l -t 15 -z 100000
fi
check_logs "after all of it"
vm_end

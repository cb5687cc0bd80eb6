#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/conformance.sh [OPTIONS]
#
# The RDMA vNIC against the InfiniBand Architecture specification, volume 1, packet by packet: a program on the peer that
# speaks RoCEv2 by itself (tests/vm/conformance) plays what two healthy ends never show: gaps, duplicates, ghosts, NAKs of
# every kind, wrong lengths, keys, opcodes and sequences, lost answers, states that do not receive. Each case has a queue
# pair of its own, states its rule by section, and ends with a look for packets, completions, events or changed bytes
# that nobody asked for. Cases of several packets run twice: back to back, where the back makes bursts of them, and one by
# one. --plain: where stock rdma_rxe differs; told, and not counted as failed.
# That of kernel 6.1 never sets the M bit, and panics (rxe_mr_copy, no region) at a WRITE_ONLY with payload and DMALEN 0.

# shellcheck disable=SC2016,SC2086 # scripts for guests are quoted
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
shared_lab
put_tool conformance front peer

front_dev=$(netdev front) peer_dev=$(netdev peer)
front_mac=$(on front "cat /sys/class/net/$front_dev/address") peer_mac=$(on peer "cat /sys/class/net/$peer_dev/address")
# Addresses that no kernel has: nobody but the program answers.
ip4=10.77.0.77 ip6=fd77::77
on front "ip neigh replace $ip4 lladdr $peer_mac dev $front_dev nud permanent && ip -6 neigh replace $ip6 lladdr $peer_mac dev $front_dev nud permanent" ||
	tap_abort "neighbours in the front"

out=$VM_BUILD/conformance.out rc=0 total=''
start_on front cfd "/tmp/conformance --device -d $(rdma_dev front)" || tap_abort "starting the program in the front"
on peer -t 600 "/tmp/conformance -i $peer_dev -4 $ip4 -6 $ip6 -m $front_mac -s $SEED ${TEST_CASE:+-o ${TEST_CASE@Q}} $front_ip" >"$out" 2>&1 || rc=$?
end_of front cfd 20 >"$out.device" 2>&1 || true
while IFS= read -r line; do
	IFS=$'\t' read -r _ case rule found <<<"$line"
	case $line in
	ok$'\t'*) pass "$case ($rule)" ;;
	absent$'\t'*) skip "$case ($rule): $found" ;;
	differs$'\t'*)
		if ((PLAIN)); then
			skip "$case ($rule) differs: $found"
		else
			fail "$case ($rule)"
			say "    $found"
		fi
		;;
	$'\t'*) ((PLAIN)) || say "    ${line#?}" ;;
	*\ cases,*) total=$line && say "$line" ;;
	esac
done <"$out"
if [[ -z $total ]]; then
	fail "the program runs to its end"
	say "$(echo "exit status $rc"; tail -n 5 "$out" "$out.device" | sed 's/^/    /')"
	on front 'kill -9 $(pidof conformance) 2>/dev/null'
fi
on front "ip neigh del $ip4 dev $front_dev; ip -6 neigh del $ip6 dev $front_dev"
check_logs "after all of it"
vm_end

#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/reload.sh [OPTIONS]
#
# Nothing leaks: both modules are unloaded and loaded again 20 times while traffic runs, the driver is unbound from its
# device while a verbs program uses it, and the back OS is restarted. Kernel logs stay clean, nothing is left over, and
# traffic goes on. --long: 100 times.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
shared_lab back
put_tool verbs-check front peer
times=20
((!LONG)) || times=100

# What a module may leave behind: interrupts, mappings, RDMA objects, irq domains, and memory.
left() {
	on "$1" 'echo "irqs $(ls /sys/kernel/irq | wc -l)"
		echo "mappings $(grep -c -E "multios|mos_|mrdma|mnet" /proc/vmallocinfo)"
		echo "devices $(ls /sys/class/infiniband 2>/dev/null | wc -l) $(ls /sys/class/net | wc -l)"
		echo "objects $(rdma resource show 2>/dev/null | sed "s/^[0-9]*: [^:]*://" | xargs)"
		echo "domains $(ls /sys/kernel/debug/irq/domains 2>/dev/null | grep -ci multios)"'
}

traffic_start() {
	start_on peer flood "timeout 900 ping -f -s 1000 $front_ip >/dev/null; true"
	start_on peer flood6 "timeout 900 ping -i 0.01 -s 3000 $front_ip6 >/dev/null; true"
	start_on front flood "timeout 900 ping -i 0.005 -s 4000 $peer_ip >/dev/null; true"
}
traffic_stop() {
	local guest
	# shellcheck disable=SC2016 # the guest's variables
	for guest in front peer; do on "$guest" 'kill $(pidof ping) 2>/dev/null; true'; done
}

# A verbs program in the middle of its work; the peer's end keeps sending when this one is killed.
verbs_start() {
	start_on peer vcs "/tmp/verbs-check -w 20" && start_on front vcc "/tmp/verbs-check -w 20 -q 4 -s 60 $peer_ip" && on front 'sleep 1.2'
}
verbs_kill() {
	# shellcheck disable=SC2016
	on front 'kill -9 $(pidof verbs-check) 2>/dev/null; true'
}
verbs_peer_kill() {
	# shellcheck disable=SC2016
	on peer 'kill -9 $(pidof verbs-check) 2>/dev/null; i=0; while pidof verbs-check >/dev/null && [ $i -lt 50 ]; do i=$((i + 1)); sleep 0.1; done; true'
}
works() { reachable && verbs_check peer front "$peer_ip" 40 -n 200 -z 100000 -S "$1"; }

check "before: traffic runs" works 1
for guest in front back; do
	left $guest >"$VM_BUILD/reload-$guest.before"
	memory $guest >"$VM_BUILD/reload-$guest.memory"
done

traffic_start
ok=1
for i in $(seq "$times"); do
	verbs_start || { ok=0; fail "turn $i: verbs-check does not start"; break; }
	order="back front"
	((i % 2)) || order="front back"
	for guest in $order; do
		# The program goes in the middle of its work.
		[[ $guest == back ]] || verbs_kill
		out=$(unload $guest 2>&1) || { ok=0; fail "turn $i: unloading in the $guest: $out"; break 2; }
		out=$(load $guest 2>&1) || { ok=0; fail "turn $i: loading in the $guest: $out"; break 2; }
	done
	verbs_kill
	verbs_peer_kill
	reachable >/dev/null || { ok=0; fail "turn $i: front and peer do not reach each other"; break; }
	((i % 5)) || say "turn $i"
	# Memory: what the first turns allocate for good is not a leak.
	((i != 3)) || for guest in front back; do memory $guest >"$VM_BUILD/reload-$guest.memory"; done
done
((ok)) && pass "both modules unloaded and loaded $times times under traffic"
check "traffic runs after it" works 2

# The driver is taken from its device while queue pairs exist: the device goes at once, the program loses its objects.
unbind() {
	start_on front unbind 'set -e; cd /sys/bus/pci/drivers/multios_rdma; d=$(ls -d 0*); echo $d >unbind; sleep 0.3; echo $d >bind' || return
	on front 'sleep 2'
	verbs_kill
	end_of front unbind 40 && load front
}
for i in 1 2 3; do
	verbs_start || fail "verbs-check does not start"
	check "driver unbound under verbs-check, which is killed, and bound ($i)" unbind
	verbs_peer_kill
done
check "traffic runs after it" works 3

# The back alone goes: by its module under RDMA traffic that survives it, and as a whole.
survives() {
	start_on peer vcs "/tmp/verbs-check -w 20" && start_on front vcc "/tmp/verbs-check -w 20 -s 12 -z 200000 -t 18 -T 100 -l $peer_ip" || return
	on front 'sleep 3'
	unload back && load back || return
	end_of front vcc 150 && end_of peer vcs 30
}
check "RDMA connections outlive a reload of the back's module" survives
traffic_stop

restart_back() {
	local before
	before=$(back_is generation) || return
	on back 'sync; (sleep 0.3; reboot -f) >/dev/null 2>&1 &'
	back_restarted "$before" && set_mtu 1500
}
check "the back OS reboots alone, the front reaches the peer again" restart_back
check "traffic runs after it" works 4

on front 'sleep 2'
for guest in front back; do
	after=$(left $guest)
	check_eq "$guest: nothing is left over" "$(diff "$VM_BUILD/reload-$guest.before" <(echo "$after") | grep '^[<>]' | xargs)" ""
	before=$(cat "$VM_BUILD/reload-$guest.memory") now=$(memory $guest)
	[[ $guest == back ]] && continue	# it has rebooted
	check "$guest: free memory fell by less than 24 MiB ($before KiB, then $now)" [ $((before - now)) -lt 24576 ]
done
check_logs "after all of it"
vm_end

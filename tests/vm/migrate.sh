#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/migrate.sh [OPTIONS]
#
# The VM with its two OSes moves to another QEMU while RC, UD and TCP connections to a stock peer are open: live, by way of a
# file, with a back that is stopped, that is starting, that is replaced by another kernel; a move that is given up; savevm and
# loadvm. Both OSes go on, no byte is wrong, no connection ends. The wire is a bridge with taps, as under libvirt.
# Prints the size of 2,000 queue pairs, to the front's kernel and to a move. --long: of 10,000, and 100 live moves in a row.

# shellcheck disable=SC2016,SC2086,SC2120,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
vm_up $SHARED_LAB --wire tap || tap_abort "lab up --wire tap"
has_guest back || tap_abort "this suite needs a multios VM, not --plain"
set_mtu 1500 >/dev/null || tap_abort "front and peer do not reach each other"
put_tool verbs-check front peer
put_tool many-qps front
boot_ids() { on front 'cat /proc/sys/kernel/random/boot_id'; on back 'cat /proc/sys/kernel/random/boot_id'; }
front_mac=$(on front "cat /sys/class/net/$(netdev front)/address")

# move [OPTIONS]: lab migrate; prints QEMU's figures.
move() {
	local out
	out=$(lab migrate "$@") || return
	python3 -c 'import json, sys
f = json.load(sys.stdin)
print("downtime %d ms, in all %d ms, %d MiB sent" % (f["downtime"], f["total-time"], f["ram"]["transferred"] >> 20))' <<<"$out" | tee -a "$VM_BUILD/migrate.figures"
}
# told: how often the front was told that the machine has moved.
told() { on front "dmesg | grep -c 'the machine goes on from a saved state or on another host'" | tail -n 1; }

# with_traffic CMD...: runs CMD under RC and UD messages and a busy TCP connection. Each RC message must come once and
# unchanged, all connections must go on afterwards, and neither OS may have booted.
with_traffic() {
	local ids rc=0
	ids=$(boot_ids)
	start_on peer vcs '/tmp/verbs-check -w 30' && start_on peer iperf 'iperf3 -s -1' &&
		start_on front vcc "/tmp/verbs-check -w 30 -k -l -s 300 -q 2 -z 50000 -o write,read,send,add,ud $peer_ip" &&
		start_on front iperf "sleep 1; iperf3 -c $peer_ip -b 4M -t 600 -i 0 --connect-timeout 9000" && under_way 200 || return
	"$@" || rc=1
	under_way 200 || rc=1
	on front 'kill -s INT $(pidof iperf3)' || rc=1
	traffic_end 60 || rc=1
	# An interrupted client exits with a status other than 0: its output tells that it was this.
	end_of front iperf 10 || true
	on front "grep 'interrupt - the client has terminated' /tmp/iperf.out" || rc=1
	end_of peer iperf 10 || true
	[[ $(boot_ids) == "$ids" ]] || { echo "an OS has booted"; rc=1; }
	return $rc
}

live() {
	local before
	before=$(told)
	move "$@" && under_way 200 && (($(told) == before + 1)) || return
}
check "live, under RC, UD and TCP: all go on, nothing is wrong" with_traffic live
there_and_back() { for _ in $(seq "$1"); do live || return; done; }
rounds=2
((!LONG)) || rounds=100
check "$rounds times in a row under the same connections" with_traffic there_and_back $rounds

# RC queue pairs of one process, each with 15 requests both ways and a message behind it; a move without them, for comparison.
qps=2000
((!LONG)) || qps=10000
# Free memory of the front, and what of it is in slabs, in KiB.
in_use() { on front 'awk "/^(MemAvailable|Slab):/ { n = n \" \" \$2 } END { print n }" /proc/meminfo'; }
crowded() {
	local free slabs with_free with_slabs now
	echo "the next two: without $qps queue pairs, and with them" >>"$VM_BUILD/migrate.figures"
	move && memory front >/dev/null && read -r free slabs < <(in_use) || return
	start_on front many "/tmp/many-qps -n $qps -w" && { for _ in 1 2 3 4 5; do says front waiting /tmp/many.out 400 && break; done; } && read -r with_free with_slabs < <(in_use) &&
		now=$(on front 'rdma resource show') && [[ $now == *" qp $((qps + 1)) "* ]] || return
	move && [[ $(on front 'rdma resource show') == "$now" ]] && on front 'kill -s USR1 $(pidof many-qps)' && end_of front many 200 || return
	echo "a queue pair: $(((free - with_free) * 1024 / qps)) bytes of the front's memory, $(((with_slabs - slabs) * 1024 / qps)) of them in slabs" |
		tee -a "$VM_BUILD/migrate.figures"
}
check "with $qps queue pairs: all are there afterwards, and work" crowded

check "by way of a file: likewise" with_traffic live --through "$VM_BUILD/migrate.state"
rm -f "$VM_BUILD/migrate.state"

# Without traffic, only the front's announcement tells switches and neighbours where it is.
announced() {
	start_on peer arp "timeout 60 tcpdump -nlc 1 -i $(netdev peer) 'arp and ether src $front_mac'" && says peer 'listening on' /tmp/arp.out || return
	move || return
	end_of peer arp 60
}
check "a quiet front announces its address" announced

given_up() {
	! lab migrate --timeout 0.2 || { echo "it was done within 0.2 s"; return 1; }
	lab status
}
check "a move that is given up: connections go on where they were" with_traffic given_up

stopped() {
	back_set command '"stop"' && move && [[ $(back_is state) == stopped ]] && back_set command '"start"' && lab wait back 90 && set_mtu 1500
}
check "with a stopped back: it stays so, and can be started" stopped
starting() {
	local before
	before=$(back_is generation)
	back_set command '"restart"' && move && [[ $(back_is generation) == $((before + 1)) ]] && lab wait back 90 && set_mtu 1500
}
check "with a back that is starting: it goes on to start" starting

# RC connections outlive a new kernel of the back, and then a move.
other=6.12
kernel=$("$VM_ROOT/scripts/build-kernels" $other | tail -n 1) || tap_abort "building kernel $other"
image=$("$VM_ROOT/scripts/build-image" back $other --debug | tail -n 1) || tap_abort "building image $other"
replaced() {
	local before
	before=$(back_is generation)
	back_set boot "{\"kernel\":\"$kernel/vmlinuz\",\"initrd\":\"$image\"}" && on back 'uname -r' && back_set command '"restart"' &&
		back_restarted "$before" && on back 'uname -r' | tee /dev/stderr | grep "^$other" && under_way 200 || return
}
exchange() {
	local rc=0
	start_on peer vcs '/tmp/verbs-check -w 30' &&
		start_on front vcc "/tmp/verbs-check -w 30 -k -s 300 -q 2 -z 50000 -t 20 -T 100 -o write,read,send,add $peer_ip" && under_way 200 || return
	replaced && move && under_way 200 || rc=1
	traffic_end 60 || rc=1
	return $rc
}
check "the back's kernel is exchanged for $other: RC connections go on, also when the machine moves then" exchange
check "the front reaches the peer again" set_mtu 1500
check "a kernel that is none is refused, and the back goes on" eval '! back_set kernel "\"/etc/passwd\"" && [[ $(back_is state) == running ]] && reachable'

# A snapshot has both OSes but not the peer, so loadvm ends the connections.
hmp() {
	local out
	out=$(lab qmp front human-monitor-command "{\"command-line\":\"$*\"}") || return
	[[ $out == '""' ]] || { echo "$out"; return 1; }
}
saves() { on front 'touch /tmp/before' && hmp savevm one && on front 'rm /tmp/before; touch /tmp/after' && under_way 200; }
check "savevm: connections go on" with_traffic saves
loads() {
	local before
	before=$(told)
	hmp loadvm one && lab wait front 30 && lab wait back 30 && on front '[ -e /tmp/before ] && [ ! -e /tmp/after ]' &&
		(($(told) == before + 1)) && set_mtu 1500 || return
	on front 'kill $(pidof verbs-check iperf3); i=0; while pidof verbs-check; do i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done'
}
check "loadvm: both OSes are as they were, and reach the peer" loads
check "verbs traffic after it" verbs_check peer front "$peer_ip" 60 -n 150 -z 100000 -S "$SEED"
check_logs "after all of it"
say "$(sed 's/^/    /' "$VM_BUILD/migrate.figures")"
rm -f "$VM_BUILD/migrate.figures"
vm_end

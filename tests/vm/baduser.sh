#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/baduser.sh [OPTIONS]
#
# Hostile and hungry applications in the front: one rewrites its mapped queues while the kernel uses them, takes its
# memory away under traffic, uses another process's keys, maps offsets while queues come and go, calls the device with
# rubbish. Beside each, the traffic of another application with the peer must stay right; nothing may be left over, and
# the kernel logs stay clean. Then 10,000 queue pairs, and the module's removal below applications that hold the device.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; options are split; a function is called by its name
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
vm_up $SHARED_LAB || tap_abort "lab up"
put_tool verbs-check front peer
put_tool baduser front
put_tool many-qps front
put_tool limits front
check "MTU 1500 on every device" set_mtu 1500

idle=$(objects front)

hostile() {
	local mode=$1 seconds=15
	((!LONG)) || seconds=300
	start_on front bad "/tmp/baduser -s $seconds -S $SEED $mode"
	# newer kernels show an object while its destroy verb runs
	start_on front look "while [ ! -s /tmp/bad.rc ]; do rdma resource show cq; rdma resource show srq; rdma resource show qp; done >/dev/null; true"
	check "traffic of another application beside '$mode'" verbs_check peer front $peer_ip $((seconds + 200)) \
		-S "$SEED" -s $seconds -q 2 -z 200000 -t 19 -T 120
	check "'$mode' ends" end_of front bad $((seconds + 60))
	check "all the while objects are shown" end_of front look 20
	on front "sed 's/^/    /' /tmp/bad.out"
	check_no_more "after '$mode' nothing is left over" "$(objects front)" "$idle"
}
for mode in queues memory mmap calls; do hostile $mode; done

# A container with 200 MiB: the kernel's memory for what its applications ask for is part of them.
charged() {
	on front -t 200 "set -e; cd /sys/fs/cgroup; echo +memory >cgroup.subtree_control; mkdir -p hungry; echo 200M >hungry/memory.max
		sh -c 'echo \$\$ >/sys/fs/cgroup/hungry/cgroup.procs; exec /tmp/limits memory \$((200 << 20))'; ! grep -q '^oom_kill [1-9]' hungry/memory.events
		rmdir hungry"
}
if ((!PLAIN)); then
	check "what is announced can be had, and no more" on front -t 200 "/tmp/limits caps"
	# 131,072 of them
	((!LONG)) || check "no more protection domains and address handles than announced" on front -t 3600 "/tmp/limits objects"
	check "the kernel's memory for queues is charged to who asks for it" charged
	check_no_more "after them nothing is left over" "$(objects front)" "$idle"
fi

number=10000
check "$number queue pairs in one process" on front -t 280 "/tmp/many-qps -n $number >/tmp/many.out 2>&1; rc=\$?; cat /tmp/many.out; exit \$rc"
on front "sed 's/^/    /' /tmp/many.out"
check "$number queue pairs in 16 processes" on front -t 280 "/tmp/many-qps -n $number -p 16"
check_no_more "after them nothing is left over" "$(objects front)" "$idle"
check_logs "after all of it"

if ((!PLAIN)); then
	start_on front hold1 "/tmp/baduser -s 100 -S 1 hold"
	start_on front hold2 "/tmp/baduser -s 100 -S 2 hold"
	check "two applications hold the device" on front 'i=0; until grep -q holding /tmp/hold1.out && grep -q holding /tmp/hold2.out; do
		i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.2; done'
	check "the module is removed below them" unload front
	check "the first is told, and what it calls fails" end_of front hold1 60
	check "the second is told, and what it calls fails" end_of front hold2 60
	check "the module is loaded again" load front 1500
	check "front and peer reach each other" reachable
	check "traffic" verbs_check peer front $peer_ip 120 -S "$SEED" -s 5
	check_logs "after the removal"
fi
vm_end

#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/programs.sh [OPTIONS]
#
# Unmodified programs of rdma-core, perftest and iproute2 in the front, as client and as server, against the peer's stock
# Soft-RoCE: those of the demo, then their modes (transports, atomics, SRQ, events, inline, both directions, several queue pairs,
# sizes to 8 MiB, path MTUs) and further programs, with the server in the front and in the peer by turns; --long: on both.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
shared_lab
dev=$(rdma_dev front) front_dev=$(netdev front)
[[ -n $dev ]] || tap_abort "the front has no RDMA device"

check "ibv_devices lists $dev" on front "ibv_devices | grep -qw $dev"
check "ibv_devinfo -v: the port is active, the link is Ethernet" on front "ibv_devinfo -v -d $dev | tee /tmp/di; grep -q 'state:.*PORT_ACTIVE' /tmp/di && grep -q 'link_layer:.*Ethernet' /tmp/di"
check "ibv_devinfo -v: GIDs of both families, RoCE v2" on front "grep -q 'GID.*::ffff:10.77.0.1, RoCE v2' /tmp/di && grep -q 'GID.*fd77::1, RoCE v2' /tmp/di"
check "ibv_devinfo: active MTU 1024 on a link of 1500" on front "grep -q 'active_mtu:.*1024' /tmp/di"
check "rdma dev" on front "rdma dev show $dev"
check "rdma link names the netdev" on front "rdma link show $dev/1 | grep -q 'state ACTIVE.*netdev $front_dev'"
check "the device's name survived udev" on front "udevadm settle -t 10; [ -e /sys/class/infiniband/$dev ]"
resources() {
	local rc
	start_on peer server 'ib_send_bw -d rxe0 -u 18 -F -D 6' || return
	on front 'sleep 1'
	start_on front client "ib_send_bw -d $dev -u 18 -F -D 6 $peer_ip" || return
	on front "i=0; until rdma resource show qp | tee /tmp/qp | grep -q '$dev.*type RC.*state RTS.*comm ib_send_bw'; do
			i=\$((i + 1)); [ \$i -lt 50 ] || { cat /tmp/qp; exit 1; }; sleep 0.1; done; cat /tmp/qp
		for kind in cq mr pd; do rdma resource show \$kind | grep -q '$dev.*comm ib_send_bw' || { echo no \$kind; rdma resource show \$kind; exit 1; }; done"
	rc=$?
	end_of front client 40 >/dev/null
	end_of peer server 20 >/dev/null
	return $rc
}
check "rdma resource shows a program's objects" resources
check "rdma statistic counts" on front "rdma statistic show link $dev/1 | grep -q 'sent_pkts'"

run_programs
mapfile -t rows < <(
	# shellcheck source=../../scripts/lib-programs.sh
	. "$VM_ROOT/scripts/lib-programs.sh" && programs_modes
)
if ((LONG)); then
	run_programs "${rows[@]}"
else
	run_programs_in_turn "${rows[@]}"
fi

# Raw packet QPs send; frames are received by flow rules only, which the user provider has no call for.
raw() {
	start_on peer raw "exec timeout 30 tcpdump -Z root -lnpei $(netdev peer) -c 50 'ether src 52:54:00:77:00:0a and udp dst port 7777'" || return
	says peer "listening on" /tmp/raw.out
	on front "raw_ethernet_bw --client -d $dev -B 52:54:00:77:00:0a -E 52:54:00:77:00:02 -j 10.77.0.9 -J $peer_ip -k 7776 -K 7777 -s 1000 -n 50 -F" || return
	end_of peer raw 30
}
((PLAIN)) || check "raw_ethernet_bw: the frames of a raw packet QP arrive" raw

# What the user provider has no way for: the refusal is a message, not a hang, and the device goes on.
xrc() {
	local rc=0
	on front "ibv_xsrq_pingpong -d $dev -g 1 -c 1 >/tmp/xsrq 2>&1 || exit 3" || rc=$?
	on front "cat /tmp/xsrq; grep -qi xrc /tmp/xsrq" && ((rc == 3))
}
check "ibv_xsrq_pingpong: XRC is refused by the user provider" xrc
asyncwatch() {
	start_on front watch "exec timeout 20 stdbuf -oL ibv_asyncwatch -d $dev" || return
	says front 'async event' /tmp/watch.out || return
	on front "ip link set $front_dev down && sleep 0.5 && ip link set $front_dev up
		i=0; until grep -q PORT_ACTIVE /tmp/watch.out && grep -q PORT_ERR /tmp/watch.out; do i=\$((i + 1)); [ \$i -lt 100 ] || { cat /tmp/watch.out; exit 1; }; sleep 0.1; done; pkill -x ibv_asyncwatch"
}
check "ibv_asyncwatch tells of the port that goes and comes" asyncwatch
check "the port is back" on front "ip addr replace $front_ip6/64 dev $front_dev nodad && ping -c 1 -W 5 $peer_ip"
for count in 'qp 1' 'cm_id 0' 'mr 0'; do
	check "nothing is left when they are gone: $count" on front "sleep 0.5; rdma resource show | tee /dev/stderr | grep ' $dev:' | grep -q '$count'"
done
check_logs "after all of it"
vm_end

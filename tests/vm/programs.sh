#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/programs.sh [OPTIONS]
#
# Unmodified programs of rdma-core, perftest and iproute2 in the front, as client and as server, against the peer's stock
# Soft-RoCE: those of the demo, then all sizes to 8 MiB, several queue pairs, events instead of polling, path MTUs, IPv6.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
vm_up $SHARED_LAB || vm_abort "lab up"
set_mtu 1500 >/dev/null || vm_abort "front and peer do not reach each other"
dev=$(rdma_dev front) front_dev=$(netdev front)
[[ -n $dev ]] || vm_abort "the front has no RDMA device"

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
row() { printf '%s|tcp:18515|%s -d {dev} -u 18 -F %s|%s -d {dev} -u 18 -F %s {addr}|%s' "$1 $2" "$1" "$2" "$1" "$2" "${1##*_}"; }
rows=()
for test in ib_send_bw ib_write_bw ib_read_bw; do rows+=("$(row $test '-a -n 5')"); done
for test in ib_send_lat ib_write_lat; do rows+=("$(row $test '-a -n 5')"); done
rows+=("$(row ib_write_bw '-q 4 -n 100')" "$(row ib_send_bw '-q 4 -n 100 -e')" "$(row ib_read_bw '-q 2 -n 100 -e')" "$(row ib_send_lat '-e -n 100')")
rows+=("$(row ib_send_bw '-b -n 200')" "$(row ib_write_bw '-b -n 200')" "$(row ib_send_bw '-c UD -n 200 -s 1000')" "$(row ib_send_lat '-c UD -n 200 -s 8')")
rows+=("$(row ib_write_bw '-m 256 -n 100')" "$(row ib_send_bw '-m 512 -n 100 -s 5000')")
run_programs "${rows[@]}"
for count in 'qp 1' 'cm_id 0' 'mr 0'; do
	check "nothing is left when they are gone: $count" on front "sleep 0.5; rdma resource show | tee /dev/stderr | grep ' $dev:' | grep -q '$count'"
done
check_logs "after all of it"
vm_end

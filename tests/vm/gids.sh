#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/gids.sh [OPTIONS]
#
# Addresses of the RDMA device and what happens to them: VLANs, several addresses, one taken away while in use, the netdev
# down and up and its MTU and name changed under traffic, net namespaces and the rdma cgroup, rdma_rxe beside it,
# what rdma(8) shows.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
shared_lab back
put_tool verbs-check front peer
front_dev=$(netdev front) peer_dev=$(netdev peer)
front_rdma=$(rdma_dev front)

# pingpong KIND SERVER CLIENT SERVER-ADDRESS CLIENT-ADDRESS [OPTION]: they meet by the addresses that always work, the
# GIDs are those.
pingpong() {
	local kind=$1 server=$2 client=$3 meet=$peer_ip sgid cgid
	[[ $server == peer ]] || meet=$front_ip
	sgid=$(gid "$server" "$4") || return
	cgid=$(gid "$client" "$5") || return
	start_on "$server" pp "ibv_${kind}_pingpong -d $(rdma_dev "$server") -g $sgid -s 1000 -n 100 ${6:-}" &&
		listening "$server" &&
		on "$client" -t 40 "timeout 30 ibv_${kind}_pingpong -d $(rdma_dev "$client") -g $cgid -s 1000 -n 100 ${6:-} $meet" &&
		end_of "$server" pp 20 && return
	on "$server" "pkill -f 'ibv_${kind}_pingpon[g]'"
	return 1
}
rping_to() { # SERVER CLIENT ADDRESS
	start_on "$1" rp "rping -s -a $3 -C 5 -S 500" &&
		cm_listening "$1" &&
		on "$2" -t 40 "timeout 30 rping -c -a $3 -C 5 -S 500" && end_of "$1" rp 20 && return
	on "$1" 'pkill rping'
	return 1
}
before=$(objects front)

### VLAN

vlan() {
	on front "ip link add link $front_dev name v7 type vlan id 7 && ip addr add 10.7.0.1/24 dev v7 && ip addr add fd07::1/64 dev v7 nodad && ip link set v7 up" &&
		on peer "ip link add link $peer_dev name v7 type vlan id 7 && ip addr add 10.7.0.2/24 dev v7 && ip addr add fd07::2/64 dev v7 nodad && ip link set v7 up" &&
		on front 'ping -q -c 3 -i 0.1 10.7.0.2 && ping -q -c 3 -i 0.1 fd07::2'
}
if check "VLAN 7 on both ends" vlan; then
	for kind in rc ud; do
		check "VLAN: $kind, IPv4, server in the peer" pingpong $kind peer front 10.7.0.2 10.7.0.1
		check "VLAN: $kind, IPv6, server in the front" pingpong $kind front peer fd07::1 fd07::2
	done
	check "VLAN: rdma_cm, listener in the peer" rping_to peer front 10.7.0.2
	check "VLAN: rdma_cm, listener in the front" rping_to front peer 10.7.0.1
	if lab capture start "$VM_BUILD/gids-vlan.pcap" >/dev/null 2>&1; then
		pingpong rc peer front 10.7.0.2 10.7.0.1 >/dev/null
		lab capture stop >/dev/null
		check "VLAN: RoCE is tagged on the wire" python3 "$VM_ROOT/tests/vm/vlan-count.py" "$VM_BUILD/gids-vlan.pcap" 7 200
	fi
fi
on front 'ip link del v7'
on peer 'ip link del v7'
check "VLAN gone: so are its GIDs" no_gid front 10.7.0.1

### Several addresses, and one taken away

several() {
	on front "for i in 11 12 13; do ip addr add 10.77.0.\$i/24 dev $front_dev && ip addr add fd77::\$i/64 dev $front_dev nodad || exit 1; done"
	for i in 11 12 13; do pingpong rc peer front $peer_ip 10.77.0.$i && pingpong ud front peer fd77::$i $peer_ip6 || return 1; done
}
check "six more addresses: connections and datagrams by them" several
# The QP keeps its reference to the GID: as the peer's neighbour entry is there, traffic goes on to the end.
taken_away() {
	local index
	index=$(gid front 10.77.0.12) || return
	on peer "ip neigh replace 10.77.0.12 lladdr $(on front "cat /sys/class/net/$front_dev/address") dev $peer_dev nud permanent"
	start_on peer vcs "/tmp/verbs-check -w 40" && start_on front vcc "/tmp/verbs-check -w 40 -g $index -k -q 2 -s 8 -z 100000 -o write,read,send $peer_ip" || return
	under_way || return
	on front "ip addr del 10.77.0.12/24 dev $front_dev" || return
	end_of front vcc 60 && end_of peer vcs 30 && no_gid front 10.77.0.12
}
check "an address is taken away under traffic, which goes on; its GID is gone after it" taken_away
on peer "ip neigh del 10.77.0.12 dev $peer_dev"
on front "for i in 11 13; do ip addr del 10.77.0.\$i/24 dev $front_dev; done; for i in 11 12 13; do ip addr del fd77::\$i/64 dev $front_dev; done"

### The netdev's life under traffic

bounced() { # SECONDS-DOWN
	start_on peer vcs "/tmp/verbs-check -w 40" && start_on front vcc "/tmp/verbs-check -w 40 -k -q 2 -s 8 -z 100000 -t 18 -o write,read,send $peer_ip" || return
	under_way || return
	on front "ip link set $front_dev down; rdma link show $front_rdma/1; sleep $1; ip link set $front_dev up; ip addr replace $front_ip6/64 dev $front_dev nodad" | tee /dev/stderr | grep -q 'state DOWN' || return
	end_of front vcc 60 && end_of peer vcs 30
}
check "netdev down for 1 s under traffic: the port is down, connections go on after it" bounced 1
check "front and peer reach each other" reachable
# perftest, as it waits for nothing but completions while it runs.
gone() {
	local out
	start_on peer wb "timeout -s KILL 90 ib_write_bw -d $(rdma_dev peer) -F -D 60" &&
		listening peer &&
		start_on front wb "timeout -s KILL 80 ib_write_bw -d $front_rdma -F -D 60 -u 16 $peer_ip" && under_way || return
	on front "ip link set $front_dev down"
	says front "status 12" /tmp/wb.out 200
	out=$(on front 'cat /tmp/wb.out; pkill -9 ib_write_bw')
	on front "ip link set $front_dev up; ip addr replace $front_ip6/64 dev $front_dev nodad"
	on peer 'pkill -9 ib_write_bw; true'
	echo "$out" | tee /dev/stderr | grep -q 'status 12'
}
check "netdev down for good: the connection ends with retry exceeded" gone
check "front and peer reach each other" reachable

active_mtu() { on front "ibv_devinfo -d $front_rdma | awk '/active_mtu/ { print \$2 }'"; }
check_eq "MTU 1500: active MTU" "$(active_mtu)" 1024
mtu_changes() {
	start_on peer vcs "/tmp/verbs-check -w 40" && start_on front vcc "/tmp/verbs-check -w 40 -k -m 512 -q 2 -s 8 -z 100000 -o write,read,send $peer_ip" || return
	under_way || return
	on front "for m in 1300 1500 700 1500; do ip link set $front_dev mtu \$m; sleep 0.7; done"
	end_of front vcc 60 && end_of peer vcs 30
}
check "MTU changed four times under traffic of path MTU 512" mtu_changes
on front "ip link set $front_dev mtu 700"
check_eq "MTU 700: active MTU" "$(active_mtu)" 512
check "MTU 700: path MTU 512 works" pingpong rc peer front $peer_ip $front_ip '-m 512'
too_long() {
	local out
	out=$(pingpong rc peer front $peer_ip $front_ip 2>&1)
	grep 'Failed to modify QP to RTR' <<<"$out"
}
check "MTU 700: path MTU 1024 is refused" too_long
on front "ip link set $front_dev mtu 1500"
renamed() {
	on front "ip link set $front_dev down && ip link set $front_dev name other0 && ip link set other0 up && rdma link show | grep 'netdev other0'" &&
		on front "udevadm settle -t 10; ip link set other0 down; ip link property del dev other0 altname $front_dev; ip link set other0 name $front_dev && ip link set $front_dev up && ip addr replace $front_ip6/64 dev $front_dev nodad" &&
		reachable && pingpong rc peer front $peer_ip $front_ip
}
check "the netdev has another name, and its own again" renamed

### Beside rdma_rxe

beside() {
	on front -t 40 'modprobe rdma_rxe && ip link add ve0 type veth peer name ve1 && ip addr add 10.99.0.1/24 dev ve0 && ip link set ve0 up && ip link set ve1 up && rdma link add rxe_x type rxe netdev ve0 && rdma link show' &&
		pingpong rc peer front $peer_ip $front_ip &&
		on front -t 40 'i=$(cd /sys/class/infiniband/rxe_x/ports/1/gids && grep -l ffff:0a63:0001 * 2>/dev/null | head -n 1)
			(timeout 20 ibv_rc_pingpong -d rxe_x -g $i -n 50 >/dev/null 2>&1 &); sleep 1; timeout 20 ibv_rc_pingpong -d rxe_x -g $i -n 50 10.99.0.1'
}
check "rdma_rxe on a veth beside it: both carry traffic" beside
# On the vNIC, or on top of it, it would get no packet.
no_second() {
	on front -t 40 'set -e
		ip link add mv0 link $1 type macvlan && ip addr add 10.98.0.1/24 dev mv0 && ip link set mv0 up
		reasons() { dmesg | grep -c "$d has an RDMA device already.*rxe_y is removed" || :; }
		for d in $1 mv0; do
			before=$(reasons)
			rdma link add rxe_y type rxe netdev $d
			i=0; while rdma link show | grep rxe_y; do i=$((i + 1)); [ $i -lt 50 ] || exit 1; sleep 0.1; done
			[ $(reasons) -gt $before ]
		done
		ip link del mv0' "$front_dev" && pingpong rc peer front $peer_ip $front_ip
}
check "rdma_rxe on the netdev, or on a macvlan on top of it: removed, with a reason" no_second
# The rxe of the macvlan is on top of it as soon as the bridge below that is.
no_earlier() {
	on front -t 40 'set -e
		ip link add br9 type bridge && ip link set br9 up && ip link add mv9 link br9 type macvlan && ip link set mv9 up
		rdma link add rxe_y type rxe netdev br9 && rdma link add rxe_z type rxe netdev mv9 && rdma link show | grep rxe_z
		ip link set $1 master br9
		i=0; while rdma link show | grep "rxe_[yz]"; do i=$((i + 1)); [ $i -lt 50 ] || exit 1; sleep 0.1; done
		dmesg | grep "br9 has an RDMA device already.*rxe_y is removed" && dmesg | grep "mv9 has an RDMA device already.*rxe_z is removed"
		ip link del br9' "$front_dev" && pingpong rc peer front $peer_ip $front_ip
}
check "rdma_rxe on a bridge that the netdev joins: removed, too" no_earlier
check "rdma link del of this device is refused" on front "! rdma link del $front_rdma"
rxe_goes() {
	start_on peer vcs "/tmp/verbs-check -w 40" && start_on front vcc "/tmp/verbs-check -d $front_rdma -w 40 -k -q 2 -s 5 -z 100000 -o write,read,send $peer_ip" || return
	under_way || return
	on front -t 40 'rmmod rdma_rxe; ip link del ve0; rdma link show' | tee /dev/stderr | grep -v rxe_x | grep -q "$front_rdma" || return
	end_of front vcc 60 && end_of peer vcs 30
}
check "rdma_rxe is unloaded under this device's traffic" rxe_goes
reloaded() {
	on front -t 40 'modprobe rdma_rxe' && unload front && load front && on front -t 40 'rmmod rdma_rxe && rdma link show' && pingpong rc peer front $peer_ip $front_ip
}
check "this module is reloaded beside rdma_rxe, which goes then" reloaded

### Net namespaces and the cgroup

exclusive() {
	on front 'rdma system set netns exclusive && rdma system | grep exclusive'
}
moved() {
	on front -t 60 "ip netns add ns1 && ip link set $front_dev netns ns1 && rdma dev set $front_rdma netns ns1 && ! ls /sys/class/infiniband | grep . &&
		ip -n ns1 link set lo up && ip -n ns1 addr add $front_ip/24 dev $front_dev && ip -n ns1 addr add $front_ip6/64 dev $front_dev nodad && ip -n ns1 link set $front_dev up && ip netns exec ns1 rdma link show"
}
# A program in the namespace, with a /sys and a mount namespace of its own as a container has.
inside() {
	start_on peer rp "rping -s -a $peer_ip -C 5 -S 500" && cm_listening peer &&
		on front -t 60 "ip netns exec ns1 unshare -m -p -f sh -c 'mount -t proc proc /proc; ping -c 1 -W 5 $peer_ip && timeout 30 rping -c -a $peer_ip -C 5 -S 500 && ibv_devices'" && end_of peer rp 20
}
outside() { on front '! ibv_devices | grep rxe_mos && ! rping -c -a 10.77.0.2 -C 1'; }
back_again() {
	on front -t 60 "ip netns attach init 1 && ip netns exec ns1 rdma dev set $front_rdma netns init && ip netns del init && ip -n ns1 link set $front_dev netns 1 && ip addr add $front_ip/24 dev $front_dev && ip addr add $front_ip6/64 dev $front_dev nodad && ip link set $front_dev up && rdma link show" &&
		reachable && pingpong rc peer front $peer_ip $front_ip
}
deleted() {
	on front -t 60 "ip netns del ns1; i=0; until rdma link show | grep -q $front_rdma; do i=\$((i + 1)); [ \$i -lt 100 ] || exit 1; sleep 0.1; done
		i=0; until ip link show $front_dev; do i=\$((i + 1)); [ \$i -lt 100 ] || exit 1; sleep 0.1; done
		ip addr add $front_ip/24 dev $front_dev && ip addr add $front_ip6/64 dev $front_dev nodad && ip link set $front_dev up" &&
		reachable && pingpong rc peer front $peer_ip $front_ip
}
if check "net namespaces exclusive" exclusive; then
	check "device and netdev move into a namespace" moved
	check "a program in a container there: rdma_cm and traffic" inside
	check "none outside it" outside
	check "both back, and traffic" back_again
	check "into it again" eval 'on front "ip netns del ns1" && moved'
	check "a namespace is deleted with the device in it: it comes back" deleted
	check "net namespaces shared again" on front 'rdma system set netns shared'
fi
# The limit is taken back before the cgroup goes: stock kernels leave the pool of a cgroup that has a limit and no object with
# the device (rdmacg_css_offline; Linux mended it in 2026), whose removal then unlinks it from the cgroup that is no more.
limited() {
	on front -t 40 "set -e; cd /sys/fs/cgroup; echo +rdma >cgroup.subtree_control; mkdir -p mos; echo '$front_rdma hca_object=2' >mos/rdma.max
		sh -c 'echo \$\$ >/sys/fs/cgroup/mos/cgroup.procs; exec ibv_rc_pingpong -d $front_rdma -g 1' 2>&1 | tee /dev/stderr | grep -q \"Couldn't\"
		grep $front_rdma mos/rdma.current; echo '$front_rdma hca_handle=max hca_object=max' >mos/rdma.max; rmdir mos"
}
check "the rdma cgroup limits objects" limited

### What rdma(8) shows

shown() {
	start_on peer vcs "/tmp/verbs-check -w 40" && start_on front vcc "/tmp/verbs-check -w 40 -k -q 2 -s 5 -z 100000 $peer_ip" || return
	under_way || return
	on front "rdma -dd resource show qp link $front_rdma/1; rdma -dd resource show cq dev $front_rdma; rdma -dd resource show mr dev $front_rdma; rdma resource show pd; rdma statistic show link $front_rdma/1"
	end_of front vcc 60 >/dev/null && end_of peer vcs 30 >/dev/null
}
out=$(shown 2>&1) || fail "rdma resource show under traffic: $out"
for what in 'type RC state RTS' 'drv_unacked-psn' 'drv_rq-depth' 'drv_unpolled' 'drv_block-shift' 'comm verbs-check' 'rcvd_pkts'; do
	check "rdma resource, statistic: $what" grep -q -- "$what" <<<"$out"
done
check "a counter for one QP is refused" on front "! rdma statistic qp bind link $front_rdma/1 lqpn 1"
check_no_more "no object is left over" "$(objects front)" "$before"
check_logs "after all of it"
vm_end

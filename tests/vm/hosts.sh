#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/hosts.sh [OPTIONS]
#
# Names and addresses as systems use them: the front's netdev as port of a bridge, as slave of a bond, below macvlans and
# ipvlans of containers, with another MAC address. GIDs that the device offers work, what cannot work is not offered.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
shared_lab back
front_dev=$(netdev front) peer_dev=$(netdev peer)

before=$(objects front)
TAP_PREPARES+=' addresses_to bridged unbridged bonded unbonded contained '

### Devices on top of the netdev, whose GIDs the device offers as well

# Addresses of the front move between its netdev and a device on top of it.
addresses_to() { # DEVICE
	on front "for d in $front_dev \$1; do ip addr flush dev \$d scope global; done
		ip link set \$1 up && ip addr add $front_ip/24 dev \$1 && ip addr add $front_ip6/64 dev \$1 nodad" "$1" &&
		on peer "ip neigh flush dev $peer_dev" && reachable
}
# in_ns NAMESPACE COMMAND: as a command of the front, in a net namespace of it (- is the first one).
in_ns() { if [[ $1 == - ]]; then echo "$2"; else echo "ip netns exec $1 sh -c '$2'"; fi; }

# upper_pp KIND SERVER CLIENT SERVER-ADDRESS CLIENT-ADDRESS [SERVER-NS [CLIENT-NS]]: SERVER and CLIENT may both be the
# front. They talk by those addresses, and meet at the server's or at MEET (the programs listen by IPv4 only).
upper_pp() {
	local kind=$1 server=$2 client=$3 to=$4 sns=${6:--} cns=${7:--} sgid cgid
	sgid=$(gid "$server" "$4") || { echo "no GID $4 in $server"; return 1; }
	cgid=$(gid "$client" "$5") || { echo "no GID $5 in $client"; return 1; }
	start_on "$server" pp "$(in_ns "$sns" "timeout 60 ibv_${kind}_pingpong -d $(rdma_dev "$server") -g $sgid -s 1000 -n 50")" &&
		on "$server" "$(in_ns "$sns" 'i=0; until ss -ltnH "sport = :18515" | grep -q .; do i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done')" &&
		on "$client" -t 50 "$(in_ns "$cns" "timeout 40 ibv_${kind}_pingpong -d $(rdma_dev "$client") -g $cgid -s 1000 -n 50 ${MEET:-$to}")" &&
		end_of "$server" pp 30 && return
	on "$server" "pkill -f 'ibv_${kind}_pingpon[g]'; cat /tmp/pp.out"
	return 1
}
# upper_cm SERVER CLIENT ADDRESS [SERVER-NS [CLIENT-NS [BIND]]]: rdma_cm; the listener is bound to BIND (ADDRESS).
upper_cm() {
	local server=$1 client=$2 to=$3 sns=${4:--} cns=${5:--} bind=${6:-$3}
	start_on "$server" rp "$(in_ns "$sns" "timeout 60 rping -s -a $bind -C 5 -S 500")" &&
		cm_listening "$server" &&
		on "$client" -t 50 "$(in_ns "$cns" "timeout 40 rping -c -a $to -C 5 -S 500")" && end_of "$server" rp 30 && return
	on "$server" 'pkill rping; cat /tmp/rp.out'
	return 1
}
# upper_all NAME ADDRESS ADDRESS6 [NAMESPACE]: the front by these two, in that namespace, with the peer and with itself.
upper_all() {
	local name=$1 ip=$2 ip6=$3 ns=${4:--}
	check "$name: RC, client in the front" upper_pp rc peer front $peer_ip $ip - $ns
	MEET=$ip check "$name: RC, server in the front, IPv6" upper_pp rc front peer $ip6 $peer_ip6 $ns -
	MEET=$peer_ip check "$name: UD, client in the front, IPv6" upper_pp ud peer front $peer_ip6 $ip6 - $ns
	check "$name: UD, server in the front" upper_pp ud front peer $ip $peer_ip $ns -
	check "$name: rdma_cm, client in the front" upper_cm peer front $peer_ip - $ns
	check "$name: rdma_cm, listener in the front, IPv6" upper_cm front peer $ip6 $ns -
	check "$name: rdma_cm, listener of any address in the front" upper_cm front peer $ip $ns - 0.0.0.0
	check "$name: RC between two processes of the front" upper_pp rc front front $ip $ip $ns $ns
	check "$name: rdma_cm between two processes of the front" upper_cm front front $ip6 $ns $ns
}

# upper_readdressed DEVICE MAC OPTIONS...: connections by DEVICE's GID go on when DEVICE gets another MAC address.
upper_readdressed() {
	local device=$1 mac=$2 of=$front_ip before rc=0 index
	shift 2
	[[ " $* " != *" -6 "* ]] || of=$front_ip6
	# the peer may know DEVICE by an older one, of which nothing that uses this address has told it
	on peer "ip neigh flush dev $peer_dev"
	index=$(gid front $of) &&
		start_on peer vcs '/tmp/verbs-check -w 60' &&
		start_on front vcc "/tmp/verbs-check -w 40 -g $index -k -s 200 -t 16 -q 2 -z 20000 $* $peer_ip" && under_way 100 && before=$(path_updates) || return
	on front "ip link set $device address $mac" || rc=1
	under_way 100 || rc=1
	traffic_end 40 || rc=1
	(($(path_updates) > before)) || { echo "no path was updated"; rc=1; }
	return $rc
}
path_updates() { on front "cat /sys/class/infiniband/$(rdma_dev front)/ports/1/hw_counters/path_updates"; }

front_mac=$(on front "cat /sys/class/net/$front_dev/address")
put_tool verbs-check front peer
bridged() {
	on front "ip link add up0 type bridge && ip link set up0 address 02:00:00:00:77:01 && ip link set $front_dev master up0" && addresses_to up0
}
if check "the netdev is port of a bridge with another MAC address" bridged; then
	upper_all bridge $front_ip $front_ip6
	check "the bridge gets another MAC address: open connections go on" upper_readdressed up0 02:00:00:00:77:0a -o write,read,send,add
	check "the bridge gets another MAC address, IPv6" upper_readdressed up0 02:00:00:00:77:0b -6 -o write,read,send,add
	check "the bridge gets another MAC address: datagrams and UC" upper_readdressed up0 02:00:00:00:77:0c -l -o ud,uc
fi
vlan_on_upper() {
	on front "ip link add link up0 name up0.7 type vlan id 7 && ip addr add 10.7.0.1/24 dev up0.7 && ip addr add fd07::1/64 dev up0.7 nodad && ip link set up0.7 up" &&
		on peer "ip link add link $peer_dev name v7 type vlan id 7 && ip addr add 10.7.0.2/24 dev v7 && ip link set v7 up" &&
		upper_pp rc peer front 10.7.0.2 10.7.0.1 && upper_cm front peer 10.7.0.1 - - 0.0.0.0
}
check "VLAN on that bridge: RC and rdma_cm" vlan_on_upper
on peer 'ip link del v7'
on front 'ip link del up0.7'
# undone: there is no up0, for --case left out the check that makes it.
undone() { ! on front 'ip link show up0 >/dev/null 2>&1'; }
unbridged() { undone || on front "ip link del up0" && addresses_to $front_dev; }
check "the netdev leaves the bridge" unbridged
check "the bridge's GID is the netdev's again: RC" upper_pp rc peer front $peer_ip $front_ip

# The bond's own address makes the netdev take it.
bonded() { # OPTIONS
	on front "modprobe bonding max_bonds=0 && ip link add up0 address 02:00:00:00:77:02 type bond $1 && ip addr flush dev $front_dev scope global &&
		ip link set $front_dev down && ip link set $front_dev master up0 && cat /sys/class/net/$front_dev/address" | tee /dev/stderr | grep -q 02:00:00:00:77:02 &&
		addresses_to up0
}
unbonded() { undone || on front "ip link del up0 && ip link set $front_dev up && cat /sys/class/net/$front_dev/address" | tee /dev/stderr | grep -q "$front_mac" && addresses_to $front_dev; }
# The listener in the peer, by its link-local address on the way of DEVICE.
link_local_cm() { # DEVICE
	local ll
	ll=$(on peer "ip -6 -o addr show dev $peer_dev scope link" | awk '{ sub("/.*", "", $4); print $4 }') && [[ $ll ]] && upper_cm peer front "$ll%$1" - - ::
}
if check "the netdev is slave of a bond, active-backup" bonded 'mode active-backup miimon 100'; then
	upper_all bond $front_ip $front_ip6
	check "bond: rdma_cm by link-local addresses" link_local_cm up0
fi
check "the netdev leaves the bond" unbonded
for mode in balance-rr 802.3ad 'active-backup fail_over_mac active'; do
	bonded_again() {
		if [[ $mode == *active ]]; then
			on front "ip link add up0 type bond mode $mode && ip addr flush dev $front_dev scope global && ip link set $front_dev down && ip link set $front_dev master up0" && addresses_to up0
		else
			bonded "mode $mode miimon 100"
		fi && upper_pp rc peer front $peer_ip $front_ip && upper_cm front peer $front_ip6
	}
	check "bond, $mode: RC and rdma_cm" bonded_again
	check "bond, $mode: the netdev leaves it" unbonded
done

# contained NAMESPACE KIND NUMBER: a device on top of the netdev in a net namespace, with the addresses .NUMBER and ::NUMBER.
contained() {
	on front "ip netns add $1 && ip link add link $front_dev name up$3 type $2 && ip link set up$3 netns $1 && ip -n $1 link set lo up &&
		ip -n $1 addr add 10.77.0.$3/24 dev up$3 && ip -n $1 addr add fd77::$3/64 dev up$3 nodad && ip -n $1 link set up$3 up &&
		ip netns exec $1 ping -c 1 -W 5 $peer_ip && ip netns exec $1 ping -c 3 -i 0.3 -W 5 $peer_ip6"
}
for kind in 'macvlan mode bridge' 'ipvlan mode l2'; do
	name=${kind%% *}
	if check "$name in a container" contained ns1 "$kind" 21 && check "$name in another" contained ns2 "$kind" 22; then
		upper_all "$name, container" 10.77.0.21 fd77::21 ns1
		check "$name: RC from container to container" upper_pp rc front front 10.77.0.22 10.77.0.21 ns2 ns1
		check "$name: rdma_cm from container to container" upper_cm front front 10.77.0.22 ns2 ns1
		check "the netdev below the $name: RC" upper_pp rc peer front $peer_ip $front_ip
	fi
	on front 'ip netns del ns2; ip netns del ns1'
	check "$name gone: so are its GIDs" no_gid front 10.77.0.21
done
# In the namespace of the netdev itself both have addresses.
beside_lower() {
	on front "ip link add link $front_dev name up0 type macvlan mode private && ip addr add 10.78.0.1/24 dev up0 && ip link set up0 up" &&
		on peer "ip addr add 10.78.0.2/24 dev $peer_dev" && on front "ping -c 1 -W 5 10.78.0.2" &&
		upper_pp rc peer front 10.78.0.2 10.78.0.1 && upper_cm front front 10.78.0.1 &&
		upper_cm front peer 10.78.0.1 - - 0.0.0.0 && upper_cm front peer $front_ip - - 0.0.0.0
}
check "macvlan beside the netdev, each with the peer and with itself" beside_lower
# ib_core finds no way from one netdev to the other's address, whatever the RNIC.
across() {
	local out
	out=$(upper_pp rc front front 10.78.0.1 $front_ip 2>&1)
	grep 'Failed to modify QP to RTR' <<<"$out"
}
check "from the netdev's GID to the macvlan's: refused" across
on front "ip link del up0"
on peer "ip addr del 10.78.0.2/24 dev $peer_dev"

### What cannot work is not offered

# not_offered NUMBER KIND LINK WORDS: a device on LINK whose address does not become a GID, and the kernel log says why.
not_offered() {
	on front "ip link add link $3 name up1 type $2 && ip link set up1 up && ip addr add 10.79.0.$1/24 dev up1
		i=0; until dmesg | grep 'address ::ffff:10.79.0.$1 of up1 is not offered as a GID: .*$4'; do i=\$((i + 1)); [ \$i -lt 50 ] || exit 1; sleep 0.1; done" &&
		! gid_now front 10.79.0.$1
	local rc=$?
	on front 'ip link del up1'
	return $rc
}
check "ipvlan in mode L3: no GID" not_offered 1 'ipvlan mode l3' $front_dev 'no neighbours'
check "VLAN with a tag of 802.1ad: no GID" not_offered 2 'vlan proto 802.1ad id 7' $front_dev '802.1ad'
on front "ip link add link $front_dev name up0 type vlan id 8 && ip link set up0 up"
check "VLAN in a VLAN: no GID" not_offered 3 'vlan id 7' up0 'two VLAN tags'
on front 'ip link del up0'

### The netdev's own address

readdressed() {
	on front "ip link set $front_dev address $1" && on peer "ip neigh flush dev $peer_dev" && reachable &&
		upper_pp rc peer front $peer_ip $front_ip && MEET=$front_ip upper_pp ud front peer $front_ip6 $peer_ip6 && upper_cm front peer $front_ip && upper_cm front front $front_ip
}
check "the netdev gets another MAC address, while up" readdressed 02:00:00:00:77:03
check "and its own again" readdressed $front_mac

### Paths that change under open connections

# Two gateways in the peer, each in a net namespace, and behind them a bridge with a stock rxe of its own.
gateways() {
	on peer -t 100 "set -e
		ip link add r0 type bridge && ip addr add 10.99.0.2/24 dev r0 && ip addr add fd99::2/64 dev r0 nodad && ip link set r0 up
		for i in 1 2; do
			ip netns add g\$i
			ip link add link $peer_dev name mv\$i address 02:00:00:00:99:0\$i netns g\$i type macvlan mode bridge
			ip link add t\$i type veth peer name u\$i netns g\$i
			ip link set t\$i master r0 && ip link set t\$i up
			ip netns exec g\$i sh -ec 'ip link set lo up
				for s in ipv4/ip_forward ipv6/conf/all/forwarding ipv4/conf/mv\$0/arp_notify ipv6/conf/mv\$0/ndisc_notify; do echo 1 >/proc/sys/net/\$s; done
				ip addr add 10.77.0.1\$0/24 dev mv\$0; ip addr add fd77::1\$0/64 dev mv\$0 nodad; ip link set mv\$0 up
				ip addr add 10.99.0.1\$0/24 dev u\$0; ip addr add fd99::1\$0/64 dev u\$0 nodad; ip link set u\$0 up' \$i
		done
		rdma link add rxe_r type rxe netdev r0" && way 1 && on front -t 60 'for a in 10.99.0.2 fd99::2; do
			i=0; until ping -q -c 1 -W 1 $a; do i=$((i + 1)); [ $i -lt 20 ] || exit 1; done
		done'
}
# way N: both ends go by gateway N. rxe looks for a route by its own netdev.
way() {
	on front "ip route replace 10.99.0.0/24 via 10.77.0.1$1 && ip -6 route replace fd99::/64 via fd77::1$1" &&
		on peer "ip route replace 10.77.0.0/24 via 10.99.0.1$1 dev r0 metric 2000 && ip -6 route replace fd77::/64 via fd99::1$1 dev r0 metric 2000"
}
no_gateways() {
	on front 'ip route del 10.99.0.0/24; ip -6 route del fd99::/64; ip nexthop del id 9'
	on peer 'rdma link del rxe_r; ip route del 10.77.0.0/24 metric 2000; ip -6 route del fd77::/64 metric 2000; ip netns del g1; ip netns del g2; ip link del r0'
}
# received_by GATEWAY: packets from the wire, ever
received_by() { on peer "ip netns exec g$1 cat /proc/net/dev" | sed -n "s/^ *mv$1: *[0-9]* *\([0-9]*\).*/\1/p"; }

# moves GATEWAY CHANGE OPTIONS...: after CHANGE, what verbs-check sends goes by GATEWAY, and none of its connections breaks.
moves() {
	local gateway=$1 change=$2 seen=0 rc=0
	shift 2
	start_on peer vcs '/tmp/verbs-check -w 60 -d rxe_r' &&
		start_on front vcc "/tmp/verbs-check -w 40 -k -s 200 -t 16 -q 2 -z 20000 $* 10.99.0.2" && under_way 100 || return
	$change && seen=$(received_by $gateway) && under_way 100 || rc=1
	(($(received_by $gateway) - seen >= 50)) || { echo "gateway $gateway received $seen packets, and then $(received_by $gateway)"; rc=1; }
	traffic_end 40 || rc=1
	return $rc
}
# The old gateway goes on working, so only an event leads to the new one.
nexthop_to() { on front "ip nexthop replace id 9 via 10.77.0.1$1 dev $front_dev"; }
mac_of() { on peer "ip -n g$1 link set mv$1 address $2"; }
# The one that is left takes nothing any more.
changes_over() { on peer "ip -n g$2 link set mv$2 down; ip -n g$2 link set u$2 down" && way $1; }
both_by_nexthop() { back_again && nexthop_to 1 && on front 'ip route replace 10.99.0.0/24 nhid 9'; }
back_again() {
	on peer "for i in 1 2; do ip -n g\$i link set mv\$i up; ip -n g\$i link set u\$i up; ip -n g\$i addr replace fd77::1\$i/64 dev mv\$i nodad; ip -n g\$i addr replace fd99::1\$i/64 dev u\$i nodad; done" && way 1
}
TAP_PREPARES+=' gateways back_again both_by_nexthop '
if check "two gateways to a network behind the peer" gateways; then
	check "a gateway gets another MAC address and says so: RC goes on" moves 1 'mac_of 1 02:00:00:00:99:11' -o write,read,send,add
	check "again, IPv6" moves 1 'mac_of 1 02:00:00:00:99:21' -6 -o write,read,send,add
	check "and datagrams and UC" moves 1 'mac_of 1 02:00:00:00:99:31' -l -o ud,uc
	check "the route changes to the other gateway: RC goes on" moves 2 'changes_over 2 1' -o write,read,send,add
	check "both gateways are there again" back_again
	check "the route changes to the other gateway: datagrams and UC" moves 2 'changes_over 2 1' -l -o ud,uc
	check "both gateways are there once more" back_again
	check "the route changes to the other gateway, IPv6" moves 2 'changes_over 2 1' -6 -o write,read,send,add
	check "both gateways are there, a route has a nexthop object" both_by_nexthop
	check "the nexthop object leads to the other gateway" moves 2 'nexthop_to 2' -o write,read,send,add
	check "the path's changes are counted" eval '(($(path_updates) >= 10))'
fi
no_gateways

### The RDMA device's names

front_rdma=$(rdma_dev front)
front_sys=/sys/class/infiniband
check "attribute parent names the netdev" on front "grep -x $front_dev $front_sys/$front_rdma/parent"
described() { on front "echo 'a host mlx' >$front_sys/$front_rdma/node_desc && grep -x 'a host mlx' $front_sys/$front_rdma/node_desc"; }
check "the node description is written" described
on front "echo multios >$front_sys/$front_rdma/node_desc"
# rdma_rxe comes and goes meanwhile: it unregisters all devices that it takes for its own.
renamed_rdma() {
	on front -t 60 "rdma dev set $front_rdma name roce0 && modprobe rdma_rxe && ibv_devices | tee /dev/stderr | grep -qw roce0 && rmmod rdma_rxe" &&
		upper_pp rc peer front $peer_ip $front_ip && upper_cm front peer $front_ip6 && on front 'ibv_devinfo -d roce0'
}
check "the device is renamed: programs find it" renamed_rdma
check "and has its name again" on front "rdma dev set roce0 name $front_rdma && ibv_devinfo -d $front_rdma"

check_no_more "no object is left over" "$(objects front)" "$before"
check_logs "after all of it"
vm_end

#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/net.sh [OPTIONS]
#
# The Ethernet vNIC as an ordinary network card: ping, DHCP, ssh, TCP both ways with the content checked, checksum and
# segmentation offload on and off, IPv4 and IPv6, VLAN, multicast, MTU 1500 to 9000, statistics.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
vm_up $SHARED_LAB || tap_abort "lab up"
front_dev=$(netdev front) peer_dev=$(netdev peer)
peer_mac=$(on peer "cat /sys/class/net/$peer_dev/address")
multios=0
! has_guest back || multios=1

pings() { # MTU
	local size=$(($1 - 28))
	check "MTU $1: ping, IPv4" on front "ping -q -c 20 -i 0.02 $peer_ip"
	check "MTU $1: ping, IPv6" on front "ping -q -c 20 -i 0.02 $peer_ip6"
	check "MTU $1: a full frame, not to be fragmented" on front "ping -q -c 3 -i 0.1 -M do -s $size $peer_ip"
	check "MTU $1: a full frame, IPv6, from the peer" on peer "ping -q -c 3 -i 0.1 -M do -s $((size - 20)) $front_ip6"
	check "MTU $1: one byte more than a frame is refused" on front "! ping -q -c 1 -W 1 -M do -s $((size + 1)) $peer_ip"
	check "MTU $1: fragments, 20000 bytes" on front "ping -q -c 5 -i 0.05 -s 20000 $peer_ip && ping -q -c 5 -i 0.05 -s 20000 $peer_ip6"
	check "MTU $1: fragments from the peer" on peer "ping -q -c 5 -i 0.05 -s 30000 $front_ip"
	check "MTU $1: flood, none lost" on front "ping -q -f -c 1000 $peer_ip | tee /dev/stderr | grep -q ' 0% packet loss'"
}

# A file of random bytes through TCP; the sum at the far end decides.
transfer() { # FROM TO ADDRESS MIB
	local from=$1 to=$2 address=$3 mib=$4 sum got family=-4
	[[ $address != *:* ]] || family=-6
	sum=$(on "$from" "[ -s /tmp/random.$mib ] || dd if=/dev/urandom of=/tmp/random.$mib bs=1M count=$mib 2>/dev/null; sha256sum </tmp/random.$mib")
	start_on "$to" sink "kill \$(pidof nc.openbsd nc) 2>/dev/null; nc $family -N -l 5001 </dev/null >/tmp/sink" || return
	on "$from" -t 120 "i=0; until nc -N -w 30 $address 5001 </tmp/random.$mib; do i=\$((i + 1)); [ \$i -lt 30 ] || exit 1; sleep 0.2; done" || return
	end_of "$to" sink 30
	got=$(on "$to" "sha256sum </tmp/sink; rm -f /tmp/sink")
	[[ $sum == "$got" && ${#sum} -gt 60 ]] || {
		echo "sent $sum, arrived $got"
		return 1
	}
}

# set_features GUEST DEV FEATURE on|off ...
set_features() {
	local guest=$1 dev=$2 out
	shift 2
	out=$(on "$guest" "ethtool -K $dev $*; ethtool -k $dev") || return
	while (($#)); do
		case $1 in
		tx) grep -q "^tx-checksumming: $2" <<<"$out" ;;
		tso) grep -q "^tcp-segmentation-offload: $2" <<<"$out" ;;
		gso) grep -q "^generic-segmentation-offload: $2" <<<"$out" ;;
		gro) grep -q "^generic-receive-offload: $2" <<<"$out" ;;
		sg) grep -q "^scatter-gather: $2" <<<"$out" ;;
		esac || {
			echo "$guest: $1 is not $2 on $dev:"
			grep -E 'checksumming|segmentation|receive-offload|scatter' <<<"$out"
			return 1
		}
		shift 2
	done
}

# bandwidth NAME OPTIONS...: iperf3 from the front to the peer; prints Mbit/s.
bandwidth() {
	local out
	start_on peer iperf 'iperf3 -s -1' || return
	out=$(on front -t 60 "i=0; until iperf3 -c $peer_ip -t ${IPERF_SECONDS:-4} -f m $*; do i=\$((i + 1)); [ \$i -lt 5 ] || exit 1; sleep 0.5; done") || {
		echo "$out"
		return 1
	}
	end_of peer iperf 20 >/dev/null
	echo "$out" | grep receiver | tail -n 1
	echo "$out" | awk '/receiver/ { for (i = 2; i <= NF; i++) if ($i ~ /bits/ && $(i - 1) > 1) ok = 1 } END { exit !ok }'
}

for mtu in 1500 9000; do
	check "MTU $mtu on every device" set_mtu $mtu
	pings $mtu
	check "MTU $mtu: TCP to the peer, content" transfer front peer "$peer_ip" 24
	check "MTU $mtu: TCP from the peer, content" transfer peer front "$front_ip" 24
	check "MTU $mtu: TCP over IPv6, content" transfer front peer "$peer_ip6" 8
done
check "MTU 1500 on every device" set_mtu 1500
speed() { # NAME OPTIONS...
	local name=$1 out
	shift
	if out=$(bandwidth "$@"); then
		pass "$name:${out##*sec}"
	else
		fail "$name: $out"
	fi
}
speed "iperf3, front to peer"
speed "iperf3, peer to front" -R
speed "iperf3, both ways at once" --bidir
speed "iperf3, UDP" -u -b 20M

devs="front:$front_dev"
((!multios)) || devs+=" back:mos0"
for where in $devs; do
	guest=${where%:*} dev=${where#*:}
	if ((!multios)) && ! on "$guest" "ethtool -k $dev" | grep -q '^tx-checksumming: on'; then
		skip "offloads of $where: this ordinary VM's wire has none"
		continue
	fi
	check "$where: segmentation offload off" set_features "$guest" "$dev" tso off gso off gro off
	check "$where: without it, TCP to the peer, content" transfer front peer "$peer_ip" 8
	check "$where: without it, TCP from the peer, content" transfer peer front "$front_ip" 8
	check "$where: checksum offload off, too" set_features "$guest" "$dev" tx off
	check "$where: without both, TCP to the peer, content" transfer front peer "$peer_ip" 8
	check "$where: without both, TCP from the peer, content" transfer peer front "$front_ip6" 8
	check "$where: both on again" set_features "$guest" "$dev" tx on sg on tso on gso on gro on
	check "$where: TCP to the peer, content" transfer front peer "$peer_ip" 8
done

### Super-frames pass the ring in one piece

if ((multios)); then
	before=$(counter front "$front_dev" eth0_to_ring_packets) bursts=$(counter front "$front_dev" eth0_to_ring_descs)
	transfer front peer "$peer_ip" 24 >/dev/null
	packets=$(($(counter front "$front_dev" eth0_to_ring_packets) - before))
	bursts=$(($(counter front "$front_dev" eth0_to_ring_descs) - bursts))
	check "24 MiB of TCP pass the ring in descriptors of many segments ($bursts for $packets packets)" [ $((bursts * 4)) -lt $packets ]
	for where in $devs; do
		check "$where: ethtool -S counts" [ "$(counter "${where%:*}" "${where#*:}" eth0_to_ring_packets)" -gt 1000 ]
		check "$where: no packet was dropped for its header" [ "$(counter "${where%:*}" "${where#*:}" eth0_from_ring_drop_header)" -eq 0 ]
	done
	check "ethtool names the driver" on front "ethtool -i $front_dev | grep -q '^driver: multios_rdma'"
fi

### UDP segmentation

# One send of 118 datagrams (UDP_SEGMENT 512), which crosses the ring as one super-frame: each must arrive, with its number.
udp_segments() {
	start_on peer ug "exec timeout 30 perl -MSocket -e '\$| = 1; socket(S, PF_INET, SOCK_DGRAM, 17); bind(S, sockaddr_in(7890, INADDR_ANY)) or die; print \"ready\\n\";
		while (keys %seen < 118) { recv(S, \$b, 2000, 0); \$seen{unpack(\"N\", \$b)} = length \$b } print join(\" \", map { \$seen{\$_} } 0..117), \"\\n\"'" || return
	says peer ready /tmp/ug.out &&
		on front "perl -MSocket -e 'socket(S, PF_INET, SOCK_DGRAM, 17); setsockopt(S, 17, 103, pack(\"i\", 512)) or die \"UDP_SEGMENT: \$!\";
			\$d = join(\"\", map { pack(\"N\", \$_) . \"x\" x 508 } 0..116) . pack(\"N\", 117) . \"x\" x 92;
			defined send(S, \$d, 0, sockaddr_in(7890, inet_aton(\"$peer_ip\"))) or die \"send: \$!\"'" || return
	end_of peer ug 40 | tee /dev/stderr | grep -q '512 96$'
}
check "118 datagrams of one send" udp_segments

### ssh

check "ssh from the front to the peer" on front "[ \"\$(ssh $peer_ip hostname)\" = peer ]"
check "ssh from the peer to the front, IPv6" on peer "[ \"\$(ssh $front_ip6 hostname)\" = front ]"
check "scp through both ways, content" on front -t 90 "dd if=/dev/urandom of=/tmp/s bs=1M count=4 2>/dev/null && scp -q /tmp/s $peer_ip:/tmp/s && scp -q $peer_ip:/tmp/s /tmp/s2 && cmp /tmp/s /tmp/s2"

### DHCP client in the front, server in the peer

dhcp() {
	start_on peer dhcp "dnsmasq -d -p 0 -i $peer_dev --dhcp-range=10.77.0.100,10.77.0.110,255.255.255.0,1h --dhcp-leasefile=/tmp/leases" || return
	on front 'sleep 1'
	# shellcheck disable=SC2016 # the guest's variables
	on front 'printf "#!/bin/sh\n[ \"\$1\" = bound ] && echo \$ip >/tmp/dhcp.ip\nexit 0\n" >/tmp/dhcp.sh; chmod +x /tmp/dhcp.sh; rm -f /tmp/dhcp.ip'
	on front -t 40 "busybox udhcpc -f -n -q -t 5 -T 2 -i $front_dev -s /tmp/dhcp.sh"
	on peer 'kill $(cat /tmp/dhcp.pid) $(pidof dnsmasq) 2>/dev/null; cat /tmp/dhcp.out'
	on front 'grep -E "^10\.77\.0\.1[01][0-9]$" /tmp/dhcp.ip'
}
check "DHCP: the front gets an address from the peer" dhcp

### VLAN

vlan() {
	on front "ip link add link $front_dev name v7 type vlan id 7 && ip addr add 10.7.0.1/24 dev v7 && ip addr add fd07::1/64 dev v7 nodad && ip link set v7 up" &&
		on peer "ip link add link $peer_dev name v7 type vlan id 7 && ip addr add 10.7.0.2/24 dev v7 && ip addr add fd07::2/64 dev v7 nodad && ip link set v7 up"
}
if check "VLAN 7 on both ends" vlan; then
	check "VLAN: ping" on front 'ping -q -c 10 -i 0.05 10.7.0.2 && ping -q -c 10 -i 0.05 fd07::2'
	check "VLAN: a full frame" on front 'ping -q -c 3 -i 0.1 -M do -s 1472 10.7.0.2'
	check "VLAN: TCP, content, both ways" transfer front peer 10.7.0.2 8 && check "VLAN: and back" transfer peer front 10.7.0.1 8
fi
on front 'ip link del v7'
on peer 'ip link del v7'

# tagged GUEST DEV N KIND [KIND]: tags of these kinds, and VXLAN in them to RoCE's port, in a network namespace: rdma_rxe
# has that port in the others.
tagged() {
	on "$1" "ip netns add tags && ip link add link $2 name t0 type vlan $4 id 7 && ip link set t0 up || exit 1
		t=t0
		[ -z '${5:-}' ] || { ip link add link t0 name t1 type vlan ${5:-} id 8 && t=t1; } || exit 1
		ip link set \$t netns tags && ip netns exec tags sh -exc '
			ip addr add 10.7.9.$3/24 dev '\$t'; ip link set '\$t' up
			ip link add x0 type vxlan id 9 remote 10.7.9.$((3 - $3)) dstport 4791 dev '\$t'
			ip addr add 10.7.10.$3/24 dev x0; ip link set x0 up'"
}
frames() { # KIND [KIND]
	tagged front "$front_dev" 1 "$@" && tagged peer "$peer_dev" 2 "$@" &&
		on front 'ip netns exec tags ping -q -c 3 -i 0.2 10.7.9.2 && ip netns exec tags ping -q -c 3 -i 0.2 10.7.10.2'
	local rc=$? guest
	for guest in front peer; do on "$guest" 'ip netns del tags; ip link del t0 2>/dev/null'; done
	return $rc
}
check "UDP to RoCE's port with a tag of 802.1ad is a frame" frames 'proto 802.1ad'
check "UDP to RoCE's port with two tags is a frame" frames 'proto 802.1Q' 'proto 802.1Q'

### Multicast

multicast() { # LISTENER SENDER
	local to=$1 from=$2 dev=$front_dev
	[[ $to == front ]] || dev=$peer_dev
	on "$to" "ip maddr add 01:00:5e:4d:4f:53 dev $dev; echo 0 >/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts"
	dev=$peer_dev
	[[ $from == peer ]] || dev=$front_dev
	on "$from" "ping -c 3 -i 0.2 -W 2 -I $dev 224.0.0.1 | tee /dev/stderr | grep -q 'from 10.77.0.'" &&
		on "$from" "ping -c 3 -i 0.2 -W 2 ff02::1%$dev | tee /dev/stderr | grep 'bytes from fe80' | grep -vq \"\$(ip -6 -o addr show dev $dev scope link | awk '{ sub(\"/.*\", \"\", \$4); print \$4 }')%\""
}
check "multicast reaches the peer" multicast peer front
check "multicast reaches the front" multicast front peer

### The interface's own life

bounce() {
	on front "ip link set $front_dev down && sleep 0.3 && ip link set $front_dev up && ip addr replace $front_ip6/64 dev $front_dev nodad" && reachable
}
check "down and up again, three times" eval 'bounce && bounce && bounce'
check "promiscuous mode and tcpdump" on front -t 30 "timeout 25 tcpdump -ni $front_dev -c 3 icmp >/tmp/td 2>&1 &
	i=0; until grep -q 'listening on' /tmp/td || [ \$i -ge 100 ]; do i=\$((i + 1)); sleep 0.1; done; ping -q -c 5 -i 0.1 $peer_ip >/dev/null; wait; grep -q '3 packets captured' /tmp/td"
check "the peer's address is known by its MAC" on front "ip neigh show $peer_ip | grep -qi $peer_mac"
check_logs "after all of it"
vm_end

#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/cm.sh [OPTIONS]
#
# rdma_cm at scale, the listener on either side: IPv4, IPv6, link-local, a front with IPv6 addresses only, 200 listeners,
# 1,000 connections open at once, thousands opened and closed in a row. Every connection carries a token there and back;
# nothing is left over. --long: 10,000 in a row each way.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
shared_lab
put_tool cm-check front peer
front_dev=$(netdev front) peer_dev=$(netdev peer)
row=1500
((!LONG)) || row=10000

# opened SERVER COUNT SECONDS SERVER-OPTIONS ADDRESS CLIENT-OPTIONS...: COUNT connections to SERVER's ADDRESS.
opened() {
	local server=$1 client=front count=$2 seconds=$3 options=$4 address=$5 rc=0
	shift 5
	[[ $server != front ]] || client=peer
	start_on "$server" cms "/tmp/cm-check -l $options -c $count" || return
	says "$server" listening /tmp/cms.out || rc=1
	((rc)) || on "$client" -t "$seconds" "/tmp/cm-check -c $count $* $address" || rc=$?
	((!rc)) || on "$server" 'kill $(pidof cm-check)'
	end_of "$server" cms 30 && return $rc
}

linklocal() { on "$1" "ip -6 -o addr show dev $2 scope link | awk '{ sub(\"/.*\", \"\", \$4); print \$4; exit }'"; }

front_before=$(objects front) peer_before=$(objects peer)
for server in peer front; do
	if [[ $server == peer ]]; then
		ip4=$peer_ip ip6=$peer_ip6 local6=$(linklocal peer "$peer_dev")%$front_dev
	else
		ip4=$front_ip ip6=$front_ip6 local6=$(linklocal front "$front_dev")%$peer_dev
	fi
	check "listener in the $server: IPv4" opened $server 20 60 "-b $ip4" "$ip4"
	check "listener in the $server: IPv6" opened $server 20 60 "-b $ip6" "$ip6"
	check "listener in the $server: any address, link-local" opened $server 20 60 "" "$local6"
	check "listener in the $server: 200 listeners" opened $server 400 90 "-n 200" "$ip4" -n 200 -a 20
done
check "listener in the peer: 1000 connections at once" opened peer 1000 120 "" "$peer_ip" -a 1000 -H
check "listener in the front: 1000 connections at once" opened front 1000 120 "" "$front_ip" -a 1000 -H
# What a thousand queue pairs make the allocators keep is not a leak; what comes after it reuses that.
memory_before=$(memory front)
for server in peer front; do
	ip4=$peer_ip
	[[ $server == peer ]] || ip4=$front_ip
	check "listener in the $server: $row connections in a row, 16 at a time" opened $server $row 400 "" "$ip4" -a 16
	check "listener in the $server: $((row / 10)) connections one by one" opened $server $((row / 10)) 200 "" "$ip4"
done

without_ipv4() {
	on front "ip addr del $front_ip/24 dev $front_dev" || return
	opened peer 20 60 "" "$peer_ip6" && opened front 20 60 "" "$front_ip6"
	local rc=$?
	on front "ip addr add $front_ip/24 dev $front_dev"
	return $rc
}
check "a front without an IPv4 address" without_ipv4
refused() { ! on front -t 60 "/tmp/cm-check $peer_ip" 2>&1 | tee /dev/stderr | grep -q 'connections, at most' && on front -t 60 "/tmp/cm-check $peer_ip 2>&1 | grep 'REJECTED, status 8'"; }
check "nobody listens: rejected" refused

# What rdma_cm keeps for its TIMEWAIT ends on its own.
memory_after=$(memory front)
check_no_more "front: RDMA objects as before" "$(objects front)" "$front_before"
check_no_more "peer: RDMA objects as before" "$(objects peer)" "$peer_before"
check "front: free memory fell by less than 16 MiB ($memory_before KiB, then $memory_after)" [ $((memory_before - memory_after)) -lt 16384 ]
check_logs "after all of it"
vm_end

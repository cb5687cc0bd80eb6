#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/wire.sh [OPTIONS]
#
# The wire, captured outside both systems: tshark decodes what front and peer exchange as RoCEv2 without a complaint, and
# icrc-check.py, written apart from the module, finds the ICRC of every packet right, in both directions, over IPv4 and
# IPv6, for several MTUs and kinds of messages.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
host_has tshark tshark
vm_up $SHARED_LAB || tap_abort "lab up"
put_tool verbs-check front peer
front_mac=$(on front "cat /sys/class/net/$(netdev front)/address")
dir=$VM_BUILD/wire
rm -rf "$dir"
mkdir -p "$dir"

fields() { tshark -r "$1" -Y "$2" -T fields -e infiniband.bth.opcode 2>/dev/null; }

# inspect NAME PCAP LEAST OPCODES: the capture has at least LEAST RoCE packets each way, and all of the BTH opcodes.
inspect() {
	local name=$1 pcap=$2 least=$3 op out in seen bad
	shift 3
	out=$(fields "$pcap" "infiniband && eth.src == $front_mac" | wc -l)
	in=$(fields "$pcap" "infiniband && eth.dst == $front_mac" | wc -l)
	check "$name: tshark decodes RoCEv2 both ways ($out from the front, $in to it)" [ $((out < in ? out : in)) -ge "$least" ]
	# What it takes random payload for (IPoIB, SRP, ...) and calls malformed says nothing: only a payload of text counts.
	bad='!infiniband.bth.opcode'
	[[ $name != *rping* ]] || bad+=' || _ws.malformed'
	bad=$(tshark -r "$pcap" -Y "udp.dstport == 4791 && ($bad)" 2>/dev/null | head -n 5)
	check_eq "$name: no packet that it cannot decode" "$bad" ""
	seen=" $(fields "$pcap" "infiniband && eth.src == $front_mac" | sort -un | xargs) "
	for op in "$@"; do
		[[ $seen == *" $op "* ]] || fail "$name: no packet with BTH opcode $op from the front (seen:$seen)"
	done
	check "$name: every ICRC is right" /usr/bin/python3 "$VM_ROOT/tests/vm/icrc-check.py" "$pcap"
}

# captured NAME LEAST OPCODES -- CMD...
captured() {
	local name=$1 least=$2 pcap ops=()
	pcap=$dir/$(tr -c 'A-Za-z0-9\n' - <<<"$1").pcap
	shift 2
	while [[ $1 != -- ]]; do
		ops+=("$1")
		shift
	done
	shift
	check "$name: capture starts" lab capture start "$pcap" || return
	check "$name: traffic" "$@"
	lab capture stop >/dev/null
	inspect "$name" "$pcap" "$least" "${ops[@]}"
	rm -f "$pcap"
}

# BTH opcodes of RC: SEND first middle last only, +imm; WRITE first middle last only, +imm; READ request, responses; ACK.
send="0 1 2 4 3 5" write="6 7 8 10 9 11" read="12 13 14 15 16" ack=17 ud="100 101"
for mtu in 1500 9000; do
	check "MTU $mtu on every device" set_mtu $mtu
	# shellcheck disable=SC2086 # lists of opcodes
	captured "MTU $mtu, IPv4, RC and UD" 300 $send $write $read $ack $ud -- \
		verbs_check peer front "$peer_ip" 300 -n 1500 -z 300000 -S "$SEED"
	# shellcheck disable=SC2086
	captured "MTU $mtu, IPv6, RC and UD" 300 $send $write $read $ack $ud -- \
		verbs_check front peer "$front_ip" 300 -6 -n 1500 -z 300000 -S $((SEED + 1))
done
check "MTU 1500 on every device" set_mtu 1500
for mtu in 256 512; do
	captured "path MTU $mtu" 100 6 7 8 -- verbs_check peer front "$peer_ip" 300 -m $mtu -n 600 -z 100000 -S $((SEED + mtu))
done
cm() {
	start_on peer rping "rping -s -a $peer_ip -C 20 -S 3000" && cm_listening peer &&
		on front -t 40 "rping -c -a $peer_ip -C 20 -S 3000 -v" && end_of peer rping 20
}
# rping's client tells its buffer by SEND; it is the server that READs and WRITEs it.
captured "rdma_cm (rping): GSI datagrams and RC" 20 100 4 13 14 15 17 -- cm
golden=$VM_ROOT/tests/vm/golden
found=$(find "$golden" -name '*.pcap*' 2>/dev/null | head -n 1)
if [[ -n $found ]]; then
	check "the golden capture of stock rdma_rxe passes the same check" /usr/bin/python3 "$VM_ROOT/tests/vm/icrc-check.py" "$found"
else
	fail "there is no golden capture in tests/vm/golden"
fi
check_logs "after all of it"
vm_end

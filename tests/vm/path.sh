#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/path.sh [OPTIONS]
#
# The path: what front programs send passes the ring and the back's NIC, the doorbell between the two systems is an
# interrupt that one processor sends to another, and the two own disjoint processors, memory and devices of one machine.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
shared_lab back
front_dev=$(netdev front) nic=$(netdev back)
front_mac=$(on front "cat /sys/class/net/$front_dev/address")
peer_mac=$(on peer "cat /sys/class/net/$(netdev peer)/address")

### The front is a stock system whose only network device is ours

check_eq "the front's only network device is $front_dev" "$(on front 'ls /sys/class/net' | grep -vxE 'lo|bonding_masters' | xargs)" "$front_dev"
# shellcheck disable=SC2016 # the guest's variables
check_eq "its driver is multios_rdma" "$(on front 'basename $(readlink /sys/class/net/'"$front_dev"'/device/driver/module)')" multios_rdma
# shellcheck disable=SC2016
check_eq "no other network controller on the front's PCI bus" \
	"$(on front 'for d in /sys/bus/pci/devices/*; do case $(cat $d/class) in 0x02*) cat $d/vendor $d/device ;; esac; done' | sort -u | grep -vE '0x1af4|0x10f1' | xargs)" ""
# shellcheck disable=SC2016
out_of_tree='for m in /sys/module/*/taint; do case $(cat $m) in *[OEF]*) m=${m%/taint}; echo ${m##*/} ;; esac; done'
check_eq "the front's only module that Debian did not build" "$(on front "$out_of_tree" | xargs)" multios_rdma
check_eq "the back's only module that Debian did not build" "$(on back "$out_of_tree" | xargs)" multios_net
for guest in front back; do
	[[ $(on "$guest" 'uname -r') != *-multios-debug ]] || { skip "$guest was asked to run a debug kernel"; continue; }
	check "the kernel of $guest says it is Debian's" on "$guest" 'grep -q "(debian-kernel@lists.debian.org)" /proc/version'
done
if has_guest peer; then
	check_eq "the peer has no module that Debian did not build" "$(on peer "$out_of_tree" | xargs)" ""
	check_eq "the peer's RDMA device is stock rdma_rxe's" "$(rdma_dev peer)" rxe0
fi
check_eq "the front's RDMA user space is as Debian packed it" \
	"$(on front -t 120 'dpkg -V $(dpkg-query -W -f "\${Package}\n" "librdmacm1*") libibverbs1 ibverbs-providers ibverbs-utils rdmacm-utils perftest rdma-core 2>&1' | grep -vE ' /usr/share/(doc|man|locale|info)/' | xargs)" ""

### The back's end of the cable: an address of its own, no NIC maker's, and not the one that a bridge takes

check "the back's netdev has a locally administered address of its own, and the bridge the NIC's" on back "
	mac=\$(cat /sys/class/net/mos0/address)
	echo \"mos0 \$mac, front $front_mac, br0 \$(cat /sys/class/net/br0/address)\"
	[ \"\$mac\" != $front_mac ] && [ \$((0x\${mac%%:*} & 3)) = 2 ] &&
		[ \"\$(cat /sys/class/net/br0/address)\" = \"\$(cat /sys/class/net/$nic/address)\" ]"

### Processors

apics() { on "$1" "sed -n 's/^apicid[^:]*: *//p' /proc/cpuinfo" | sort -n | xargs; }
front_apics=$(apics front) back_apics=$(apics back)
check_eq "the front runs on 2 processors" "$(wc -w <<<"$front_apics")" 2
check_eq "the back runs on $(lab_config back_vcpus)" "$(wc -w <<<"$back_apics")" "$(lab_config back_vcpus)"
check_eq "their APIC ids differ: front $front_apics, back $back_apics" \
	"$(tr ' ' '\n' <<<"$front_apics $back_apics" | sort | uniq -d | xargs)" ""
check_eq "together they are the machine's" \
	"$(tr ' ' '\n' <<<"$front_apics $back_apics" | sort -n | xargs)" "$(seq 0 $((1 + $(lab_config back_vcpus))) | xargs)"

### Memory: ranges as "start end owner" in decimal, overlaps between owners

ranges() { # GUEST NAME-PATTERN
	on "$1" "grep -E '$2' /proc/iomem" | sed -n 's/^ *\([0-9a-f]*\)-\([0-9a-f]*\) : .*/\1 \2/p' |
		while read -r start end; do echo "$((16#$start)) $((16#$end)) $1"; done
}
overlaps() { sort -n | awk '$1 <= end && $3 != owner { print "overlap at " $1 " of " owner " and " $3 } $2 > end { end = $2; owner = $3 }'; }
front_ram=$(ranges front ': System RAM$') back_ram=$(ranges back ': System RAM$')
check "both kernels show their memory" [ -n "$front_ram" ] && check "and the back's" [ -n "$back_ram" ]
check_eq "no byte of RAM belongs to both" "$(overlaps <<<"$front_ram
$back_ram")" ""
# The back's ACPI device names the segment, then the control page.
segment=$(on back 'cat /proc/iomem' | sed -n 's/^ *\([0-9a-f]*-[0-9a-f]*\) : MTOS0001.*/\1/p' | head -n 1)
check "the back's ACPI device names the shared segment" [ -n "$segment" ] || segment=0-0
check_eq "its size is that of shared-mem" $(((16#${segment#*-} - 16#${segment%-*} + 1) >> 20)) 64
check_eq "the shared segment $segment is nobody's RAM" "$(overlaps <<<"$front_ram
$back_ram
$((16#${segment%-*})) $((16#${segment#*-})) shared")" ""
reserved=$(ranges front ': Reserved$' | while read -r start end _; do
	((start > 16#${segment%-*} || end < 16#${segment#*-})) || echo inside
done)
check_eq "the front holds all of it reserved" "$reserved" inside

### Devices

check "the back's kernel handles hotplug, PME and AER of its root ports itself" \
	on back 'dmesg | grep -q "_OSC: OS now controls \[PCIeHotplug .*PME AER PCIeCapability"'

bars() { # GUEST
	on "$1" 'cat /sys/bus/pci/devices/*/resource' | awk '$1 != "0x0000000000000000" { print $1, $2 }' |
		while read -r start end; do
			# the legacy ranges that every PCI function has
			((start < 0x100000)) || echo "$((start)) $((end)) $1"
		done
}
front_bars=$(bars front) back_bars=$(bars back)
check "both have PCI devices" [ -n "$front_bars" ] && check "and the back has" [ -n "$back_bars" ]
check_eq "no PCI resource is in both" "$(overlaps <<<"$front_bars
$back_bars")" ""
check_eq "no PCI resource lies in the other's RAM" "$(overlaps <<<"$front_bars
$back_bars
$front_ram
$back_ram" | grep -v 'of front and front' | xargs)" ""

### Doorbells and packets

bells() { on "$1" "grep multios-bell /proc/interrupts" | awk '{ for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }'; }
# What the QEMU device itself interrupts the front with: changes of the back's state, never data.
device_irqs() { on front "grep -v multios-bell /proc/interrupts" | awk '/multios/ { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }'; }
stats() { on "$1" "ethtool -S $2; cat /sys/class/net/$2/statistics/[rt]x_packets | sed '1s/^/ rx_packets: /;2s/^/ tx_packets: /'"; }
value() { awk -F': *' -v n="$2" '{ gsub(/^ +/, "", $1) } $1 == n { v = $2 } END { print v + 0 }' <<<"$1"; }

before_bells_front=$(bells front) before_bells_back=$(bells back) before_irqs=$(device_irqs)
check "ping through the back" on front "ping -c 30 -i 0.05 $peer_ip"
after_front=$(bells front) after_back=$(bells back)
check "doorbells reached the front ($before_bells_front, then $after_front)" [ "$after_front" -gt "$before_bells_front" ]
check "doorbells reached the back ($before_bells_back, then $after_back)" [ "$after_back" -gt "$before_bells_back" ]
check_eq "QEMU interrupted the front for none of them" "$(device_irqs)" "$before_irqs"
# shellcheck disable=SC2016
check "the bells are vectors of the processor's own, not of an interrupt controller" on back \
	'grep multios-bell /proc/interrupts | grep -qvE "IO-APIC|PCI-MSI|IR-"'

# measure: counters before and after a run, and what a capture outside both systems saw meanwhile. Background
# packets (neighbour discovery) may fall between two readings: a second and a third try are allowed.
measure() {
	local pcap=$VM_BUILD/path.pcap nic0 mos0 front0 nic1 mos1 front1
	rm -f "$pcap"
	lab capture start "$pcap" >/dev/null || return 1
	nic0=$(stats back "$nic") mos0=$(stats back mos0) front0=$(stats front "$front_dev")
	start_on peer pp 'ibv_rc_pingpong -d rxe0 -g 1 -n 200 -s 3000'
	listening peer
	on front "ibv_rc_pingpong -d $(rdma_dev front) -g 1 -n 200 -s 3000 $peer_ip" >"$VM_BUILD/path-pp.log" 2>&1 || {
		cat "$VM_BUILD/path-pp.log"
		lab capture stop >/dev/null
		return 1
	}
	end_of peer pp 20 >/dev/null
	sleep 0.3
	nic1=$(stats back "$nic") mos1=$(stats back mos0) front1=$(stats front "$front_dev")
	lab capture stop >/dev/null
	local out in roce_out roce_in
	out=$(tshark -r "$pcap" -Y "eth.src != $peer_mac" 2>/dev/null | wc -l)
	in=$(tshark -r "$pcap" -Y "eth.src == $peer_mac" 2>/dev/null | wc -l)
	roce_out=$(tshark -r "$pcap" -Y "eth.src == $front_mac && udp.dstport == 4791" 2>/dev/null | wc -l)
	roce_in=$(tshark -r "$pcap" -Y "eth.dst == $front_mac && udp.dstport == 4791" 2>/dev/null | wc -l)
	delta() { echo $(($(value "$2" "$3") - $(value "$1" "$3"))); }
	cat <<-END
		wire: $out out, $in in; RoCE $roce_out out, $roce_in in
		NIC: $(delta "$nic0" "$nic1" tx_packets) out, $(delta "$nic0" "$nic1" rx_packets) in
		front RoCE: $(delta "$front0" "$front1" roce0_to_ring_packets) to, $(delta "$front0" "$front1" roce0_from_ring_packets) from the ring
		back RoCE: $(delta "$mos0" "$mos1" roce0_from_ring_packets) from, $(delta "$mos0" "$mos1" roce0_to_ring_packets) to the ring
		bells: front sent $(delta "$front0" "$front1" roce0_bells_sent) got $(delta "$front0" "$front1" roce0_bells_received)
	END
	# 200 messages of 3 packets each way, at least
	((roce_out >= 600 && roce_in >= 600)) &&
		(($(delta "$nic0" "$nic1" tx_packets) == out)) && (($(delta "$nic0" "$nic1" rx_packets) == in)) &&
		(($(delta "$front0" "$front1" roce0_to_ring_packets) == roce_out)) &&
		(($(delta "$mos0" "$mos1" roce0_from_ring_packets) == roce_out)) &&
		(($(delta "$mos0" "$mos1" roce0_to_ring_packets) == roce_in)) &&
		(($(delta "$front0" "$front1" roce0_from_ring_packets) == roce_in))
}
try_measure() { measure || measure || measure; }
host_has tshark tshark
CHECK_LINES=30 check "counters of front, ring, back and NIC agree with the packets outside" try_measure

### Tracepoints

# 20 messages of 3 packets each way: each leaves its trace.
traced() {
	local event n
	on front 'mkdir -p /sys/kernel/tracing; mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
		cd /sys/kernel/tracing && echo >trace && echo 1 >events/multios_rdma/enable' || return
	start_on peer pp 'ibv_rc_pingpong -d rxe0 -g 1 -n 20 -s 3000'
	listening peer
	on front "ibv_rc_pingpong -d $(rdma_dev front) -g 1 -n 20 -s 3000 $peer_ip" && end_of peer pp 20 || return
	on front 'echo 0 >/sys/kernel/tracing/events/multios_rdma/enable; cat /sys/kernel/tracing/trace' >"$VM_BUILD/path-trace.log"
	for event in post:20 send:20 receive:20 complete:40; do
		n=$(grep -c " mrdma_${event%:*}: " "$VM_BUILD/path-trace.log")
		echo "mrdma_${event%:*}: $n, at least ${event#*:} expected"
		((n >= ${event#*:})) || return
	done
}
check "tracepoints tell of requests, packets and completions" traced
check_logs "after all of it"
vm_end

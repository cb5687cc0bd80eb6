#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/badguest.sh [OPTIONS]
#
# Bad input, live: modules where they do not belong, a front kernel that broadcasts interrupts, another layout version,
# garbage of every kind in either section of the shared segment before and after the other side attached, and malformed,
# truncated and wrongly addressed packets from the wire. Both systems stay alive, say what was wrong, count it, and
# traffic goes on afterwards. --long: more strokes of each.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
shared_lab back
put_tool verbs-check front peer
put_tool roce-storm peer
front_dev=$(netdev front) peer_dev=$(netdev peer)
front_mac=$(on front "cat /sys/class/net/$front_dev/address")
works() { reachable && verbs_check peer front "$peer_ip" 60 -n 150 -z 100000 -S "$SEED"; }
check "before: traffic runs" works

### Modules where they do not belong

# module_refused GUEST MODULE PATTERN: insmod fails, and the kernel log says why by PATTERN.
module_refused() {
	local guest=$1 module=$2 pattern=$3 file dep dir out
	dir=$(kernel_dir "${guest%-*}")
	file=$("$VM_ROOT/scripts/build-kmod" --only "$module" "$(lab_config "${guest}_kernel")" | tail -n 1)
	# What it builds upon, from the stock kernel: it shall get as far as its own check.
	for dep in $(/sbin/modinfo -F depends "$file" | tr , ' '); do need_module "$guest" "$dir" "$dep" || return; done
	push "$guest" "$file" /tmp/wrong.ko || return
	out=$(on "$guest" 'dmesg -c >/dev/null; if insmod /tmp/wrong.ko; then rmmod /tmp/wrong.ko; echo "it was loaded"; exit 1; fi; dmesg')
	grep -E "$pattern" <<<"$out" || {
		echo "no message like '$pattern':"
		echo "$out"
		return 1
	}
}
need_module() {
	local guest=$1 dir=$2 name=$3 file dep
	on "$guest" "grep -q '^$name ' /proc/modules" && return
	file=$(find "$dir/modules/lib/modules" -name "$name.ko" -o -name "${name//_/-}.ko" | head -n 1)
	[[ -n $file ]] || return 0	# built in
	for dep in $(/sbin/modinfo -F depends "$file" | tr , ' '); do need_module "$guest" "$dir" "$dep" || return; done
	push "$guest" "$file" /tmp/dep.ko && on "$guest" "insmod /tmp/dep.ko"
}
check "multios_net in the front" module_refused front net 'multios_net: this is the front OS'
check "multios_rdma in the back" module_refused back rdma 'multios_rdma: this is the back OS'
check "multios_rdma in a machine without the device" module_refused peer rdma 'multios_rdma: no multios device'
check "multios_net in a machine without the device" module_refused peer net 'multios_net: no multios device'

### Garbage in the shared segment

for guest in front back; do
	ko=$(guest_module $guest scribble) || tap_abort "building the scribbler for the $guest"
	push $guest "$ko" /tmp/multios_scribble.ko || tap_abort "copying the scribbler to the $guest"
done
on front 'insmod /tmp/multios_scribble.ko kind=show && rmmod multios_scribble'
segment=$(on front dmesg | sed -n 's/.*multios_scribble: base=\(0x[0-9a-f]*\) size=\([0-9]*\) .*/base=\1 size=\2/p' | tail -n 1)
[[ $segment == base=0x*size=* ]] || tap_abort "the front's registers do not tell where the segment is"
say "segment $segment"

strokes=300
((!LONG)) || strokes=5000
scribble() { # GUEST KIND [COUNT [WHOSE-SECTION]]
	SEED=$((SEED + 1))
	on "$1" -t 90 "insmod /tmp/multios_scribble.ko $segment side=${4:-$1} kind=$2 seed=$SEED count=${3:-$strokes} && rmmod multios_scribble"
}
alive() { on front -t 15 true && on back -t 15 true; }
other_of() { if [[ $1 == front ]]; then echo back; else echo front; fi; }
pings_start() { start_on front bg "ping -i 0.01 -s 2000 $peer_ip >/dev/null; true" && start_on peer bg "ping -i 0.01 -s 2000 $front_ip6 >/dev/null; true"; }
pings_stop() { on front 'kill $(pidof ping); true' && on peer 'kill $(pidof ping); true'; }
# The side whose section was spoilt starts over; the other must take it back without being touched.
start_over() { # GUEST
	unload "$1" && load "$1" && reachable
}
# What one side says and counts about the other.
faults() { # GUEST
	if [[ $1 == front ]]; then counter front "$front_dev" "$2"; else counter back mos0 "$2"; fi
}
bells_refused() { # GUEST: doorbells that it did not ring for what their words say
	echo $(($(faults "$1" link_bells_refused) + $(faults "$1" eth0_bells_refused) + $(faults "$1" roce0_bells_refused)))
}
# scribble_bells LIAR VICTIM: writes garbage into LIAR's doorbells until VICTIM has refused one. One attempt may not do: LIAR
# repairs its words once a second, and the word that VICTIM reads may happen to be valid.
scribble_bells() { # LIAR VICTIM
	local before n
	before=$(bells_refused "$2")
	for n in {1..10}; do
		scribble "$1" bells || return
		(($(bells_refused "$2") > before)) && return
		sleep 1
	done
	echo "the $2 refused no doorbell in $n attempts"
	return 1
}
descs_refused() { # GUEST: descriptors refused for what they say
	echo $(($(faults "$1" eth0_from_ring_drop_header) + $(faults "$1" roce0_from_ring_drop_header) + $(faults "$1" eth0_from_ring_drop_size) + $(faults "$1" link_faults)))
}

for liar in back front; do
	victim=$(other_of $liar)
	# Lies while both run.
	for kind in index jump desc plausible payload link bells table identity all; do
		before=$(descs_refused $victim)
		pings_start
		case $kind in
		bells) check "the $liar's section, $kind, while traffic runs: the $victim refuses doorbells" scribble_bells $liar $victim ;;
		*) check "the $liar's section, $kind, while traffic runs" scribble $liar $kind ;;
		esac
		pings_stop
		check "$kind: both systems are alive" alive || tap_abort "a system is gone"
		case $kind in
		index | desc) check "$kind: the $victim counted it ($before, then $(descs_refused $victim))" [ "$(descs_refused $victim)" -gt "$before" ] ;;
		esac
		check "$kind: the $liar starts over, traffic goes on" start_over $liar || tap_abort "no traffic after $kind"
	done
	check_logs "garbage from the $liar while attached"
	check "verbs traffic after garbage from the $liar" works

	# Lies before it attaches.
	for kind in version table identity link all; do
		check "$kind: unloading in the $liar" unload $liar
		check "the $liar's section, $kind, with no module behind it" scribble $liar $kind
		sleep 1.2
		check "$kind: both systems are alive" alive || tap_abort "a system is gone"
		[[ $kind != version ]] || check "version: the $victim says so" eval 'log_since $victim | grep -E "layout version 4 in the '$liar'"'
		check "$kind: loading in the $liar, traffic goes on" eval 'load $liar && reachable' || tap_abort "no traffic after $kind"
	done

	# Stores into the other's part: the other mends that by itself.
	check "the other's section: unloading in the $liar" unload $liar
	for kind in identity table link bells; do
		check "the $victim's section, $kind, by the $liar" scribble $liar $kind 20 $victim
	done
	sleep 0.5
	check "the other's section: the $victim says so" eval 'log_since $victim | grep "part of the shared segment was overwritten"'
	check "the other's section: loading in the $liar, traffic goes on" eval 'load $liar && reachable' || tap_abort "no traffic after it"
	before=$(bells_refused $liar)
	check "the other's section: ping" on front "ping -q -c 20 -i 0.05 $peer_ip"
	check_eq "the other's section: the $victim's doorbells are right again" "$(bells_refused $liar)" "$before"

	# Is up and gone for ever: the victim goes along once a second.
	check "restart: unloading in the $liar" unload $liar
	ups=$(faults $victim link_ups) since=$SECONDS
	check "restart: the $liar starts over 12 times" scribble $liar restart 12
	ups=$(($(faults $victim link_ups) - ups)) since=$((SECONDS - since))
	check "restart: the $victim went up $ups times in $since s, at most one a second" [ $ups -ge 3 -a $ups -le $((since + 2)) ]
	check "restart: loading in the $liar, traffic goes on" eval 'load $liar && reachable' || tap_abort "no traffic after it"
	check_logs "garbage from the $liar before attaching"
	check "verbs traffic after it" works
done

### Packets

# qpns GUEST: the numbers of its queue pairs.
qpns() { on "$1" 'rdma resource show qp' | sed -n 's/.* lqpn \([0-9]*\) .*/--qpn \1/p' | xargs; }
storm() { # COUNT SRC DST OPTIONS
	local count=$1 src=$2 dst=$3
	shift 3
	SEED=$((SEED + 1))
	on peer -t 120 "/tmp/roce-storm $peer_dev $front_mac $src $dst --count $count --seed $SEED $*"
}
packets=4800
((!LONG)) || packets=200000
icrc_before=$(faults back roce0_to_ring_drop_icrc) header_before=$(faults back roce0_to_ring_drop_header)
check "storm, IPv4, at queue pairs of the system itself and none" storm $packets $peer_ip $front_ip --qpn 0 --qpn 1 --qpn 0xfffff0 --qpn 0xffffff
check "storm, IPv6" storm $packets $peer_ip6 $front_ip6 --qpn 0 --qpn 1 --qpn 0xfffff0
check "storm from an address that is not the peer's" storm $packets 10.77.0.99 $front_ip
check "both systems are alive" alive || tap_abort "a system is gone"
icrc=$(faults back roce0_to_ring_drop_icrc) header=$(faults back roce0_to_ring_drop_header)
check "packets with a wrong ICRC were counted ($icrc_before, then $icrc)" [ "$icrc" -gt $((icrc_before + packets / 50)) ]
check "packets with contradicting headers were counted ($header_before, then $header)" [ "$header" -gt "$header_before" ]
check "verbs traffic after the storms" works

# Beside live traffic: what aims elsewhere must not touch it; a stray packet must not happen to aim at it either, for the
# packets are good but for that.
beside() {
	start_on peer vcs "/tmp/verbs-check -w 30" && start_on front vcc "/tmp/verbs-check -w 30 -s 12 -z 500000 -l $peer_ip" || return
	on front 'sleep 1.5'
	storm $packets $peer_ip $front_ip --qpn 0xfffff0 --qpn 0xabcdef --stray 0x800000 >/dev/null || return
	end_of front vcc 60 && end_of peer vcs 30
}
check "storm at nobody's queue pairs beside verbs traffic: nothing wrong" beside

# At live queue pairs: forged packets with a right ICRC may end a connection, as they may anywhere; nothing else. Connected
# ones: a datagram with the right Q_Key is welcome from anybody.
at_live() {
	local rc
	start_on peer vcs "/tmp/verbs-check -w 30 -T 40" &&
		start_on front vcc "/tmp/verbs-check -w 30 -T 40 -s 10 -q 8 -o write,write_imm,read,send,send_imm -l $peer_ip" || return
	on front 'sleep 2'
	local targets
	targets=$(qpns front)
	[[ -n $targets ]] || { echo "no queue pairs to aim at"; return 1; }
	storm $packets $peer_ip $front_ip $targets >/dev/null || return
	end_of front vcc 100
	rc=$?
	on peer 'kill $(pidof verbs-check) 2>/dev/null; true'
	# 1 would be: wrong bytes; 3: stuck
	[[ $rc == 0 || $rc == 2 ]]
}
check "storm at live queue pairs: they work or fail, nothing wrong, nothing stuck" at_live
check "both systems are alive" alive || tap_abort "a system is gone"
check "verbs traffic after it" works
check_logs "after packets of all kinds"

### A front kernel that would interrupt the back's processors

no_ipi() {
	vm_up --front-vcpus 2 --no-modules --front-append no_ipi_broadcast=0 &&
		module_refused front rdma 'multios_rdma: .*no_ipi_broadcast=1'
}
if ((KEEP)); then
	skip "front kernel without no_ipi_broadcast: needs a lab of its own (not with --keep)"
else
	check "front kernel without no_ipi_broadcast" no_ipi
fi
vm_end

#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/passthrough.sh [CASE...]
#
# NICs on the back's bus whose DMA is not QEMU's: a virtual function of an SR-IOV NIC, passed through by vfio-pci, and
# virtio-net by vhost-net. Under KVM in an outer machine (emulated: CPU with SVM, IOMMU, SR-IOV NIC igb), whose stock kernel
# is host and peer. Checks traffic of the front through them, which memory they are given, that a write to the front's memory
# fails, and their reset when the back panics and when it is stopped.
# CASE is IRQCHIP-BACKVCPUS-NIC with NIC vfio, whole (the physical function) or vhost: default on-1-vfio, with
# VM_LONG=1 all.
#
# Logs: build/passthrough/. The output is TAP (tests/lib-tap.sh).

# shellcheck disable=SC2317 # functions are called by their names
MULTIOS_PROG=passthrough
. "$(dirname "$(readlink -f "$0")")/../../scripts/lib.sh"
. "$MULTIOS_ROOT/scripts/lib-alone.sh"
. "$MULTIOS_ROOT/tests/lib-tap.sh"
. "$MULTIOS_ROOT/tests/vm/lib-nested.sh"

OUT=$MULTIOS_BUILD/passthrough
CASE_SECONDS=400
# MARK: front-nic writes it to both pages. OTHER: the front's page, see outer-passthrough.
MARK=0x600DF00D OTHER=0x10000000
trap outer_leave EXIT

### The judge

# ranges CASE KEY TAG: what the outer machine said of KEY at TAG, first and last addresses
ranges() { outer_fact "$1" "$2 $3"; }

# ram CASE OS: its kernel's System RAM, the same way
ram() {
	local from to
	while read -r from to; do echo "$((16#$from)) $((16#$to))"; done < <(fact "$1" "$2" before ram)
}

# none_in A B: both have ranges (lines), and no address is in both.
none_in() {
	local a b
	[[ -n $1 && -n $2 ]] || return 1
	while read -r -a a; do
		while read -r -a b; do
			((a[0] > b[1] || b[0] > a[1])) || { echo "${a[*]} meets ${b[*]}"; return 1; }
		done <<<"$2"
	done <<<"$1"
}

# all_in A B: each range of A is within one of B.
all_in() {
	local a b found
	[[ -n $1 ]] || return 1
	while read -r -a a; do
		found=0
		while read -r -a b; do
			if [[ -n ${b[0]:-} ]] && ((a[0] >= b[0] && a[1] <= b[1])); then found=1; fi
		done <<<"$2"
		((found)) || { echo "${a[*]} is missing"; return 1; }
	done <<<"$1"
}

# low RANGES: those beneath 2.75 GiB, where the memory of this machine is; above are the windows of the back's bus
low() { awk '$1 < 2952790016' <<<"$1"; }

# total RANGES: KiB
total() { awk '{ n += $2 - $1 + 1 } END { print n / 1024 }' <<<"$1"; }

# more CASE KEY FROM TO: the outer machine's counter grew between two marks
more() {
	local from to
	from=$(outer_fact "$1" "$2 $3") to=$(outer_fact "$1" "$2 $4")
	echo "$2: ${from:-none} at $3, ${to:-none} at $4"
	[[ -n $from && -n $to ]] && ((to > from))
}

was() {
	local is
	is=$(outer_fact "$1" "$2")
	[[ $is == "$3" ]] || { echo "$2: '$is', must be '$3'"; return 1; }
}

fact_is() { [[ $(fact "$1" "$2" "$3" "$4") == "$5" ]] || { fact "$@"; return 1; }; }

# The NIC has written a counter, a header or a packet over the mark.
overwritten() { [[ $(fact "$1" back before own) == "$MARK" && $(fact "$1" back after own) == 0x* && $(fact "$1" back after own) != "$MARK" ]]; }

judge() {
	local case=$1 irqchip back nic mapped driver=virtio_net key=stops at=told function=$NIC
	IFS=- read -r irqchip back nic <<<"$case"
	case $nic in
	vfio) driver=igbvf key=resets at=mapped ;;
	whole) driver=igb key=resets at=mapped function=$PHYSICAL ;;
	esac
	mapped=$(ranges "$case" "$at" running)
	verdict "$case: the back's driver of the NIC is $driver" said "$case" "^back\| multios: ready .* driver=$driver "
	verdict "$case: ping of the front to the stock peer" said "$case" '^front\| pass first ping'
	verdict "$case: ibv_rc_pingpong, content checked" said "$case" '^front\| pass first rc_pingpong'
	# 50 messages of 4 packets
	verdict "$case: its packets went out of the NIC" grew "$case" back nic_sent before after 200
	verdict "$case: the NIC interrupts the back by MSI-X (irqchip $irqchip, $back vCPUs)" grew "$case" back msis
	if [[ $nic == vhost ]]; then
		verdict "$case: vhost does the work, $(outer_fact "$case" 'worker attacked') ticks of it" more "$case" worker running again
	fi
	verdict "$case: what the NIC can reach has all of the back's memory" all_in "$(ram "$case" back)" "$mapped"
	verdict "$case: and none of the front's" none_in "$mapped" "$(ram "$case" front)"
	verdict "$case: it is back-mem, shared-mem and 64 KiB: $(total "$(low "$mapped")") KiB" test "$(total "$(low "$mapped")")" == $(((512 + 64) * 1024 + 64))
	verdict "$case: the NIC, told to write to memory of the back, does ($(fact "$case" back after own))" overwritten "$case"
	verdict "$case: told to write to memory of the front, it does not" fact_is "$case" front after other "$MARK"
	if [[ $nic != vhost ]]; then
		verdict "$case: for the IOMMU refused that" was "$case" 'fault attacked' "Write $function $OTHER"
		verdict "$case: it is a bus master" was "$case" 'busmaster running' 1
	fi
	verdict "$case: the back's panic ends in a reset of the NIC" more "$case" "$key" attacked again
	verdict "$case: the back joins again" grew "$case" front link_ups after again
	verdict "$case: ping and ibv_rc_pingpong after that" said "$case" '^front\| pass again rc_pingpong'
	verdict "$case: and out of the NIC" grew "$case" front roce_to_ring after again 200
	verdict "$case: stopping the back resets the NIC" more "$case" "$key" again stopped
	if [[ $nic != vhost ]]; then
		verdict "$case: so that it cannot access memory" was "$case" 'busmaster stopped' 0
	fi
	verdict "$case: no warning in a kernel log, both alive to the end" silent "$case"
}

### main

cases=()
for arg; do
	case $arg in
	-h | --help) usage; exit 0 ;;
	esac
	[[ $arg =~ ^(on|split)-[12]-(vfio|whole|vhost)$ ]] || die "'$arg': a case is on or split, 1 or 2, vfio, whole or vhost, with dashes (see --help)"
	cases+=("$arg")
done
if ((!${#cases[@]})); then
	cases=(on-1-vfio)
	[[ ${VM_LONG:-0} == 0 ]] || cases=({on,split}-{1,2}-{vfio,whole,vhost})
fi
need_host
nested_needs
alone passthrough
rm -rf "$OUT"
mkdir -p "$OUT/nested"
tap_begin
log "collecting what the inner machine needs ..."
nested_disk "$OUT/nested"
outer_initrd outer-passthrough "$OUT/nested/outer"
outer_tries "$OUT/nested" "$OUT/outer.log" "$((BOOT_SECONDS + CASE_SECONDS * ${#cases[@]}))" \
	"intel_iommu=on iommu=pt multios.limit=$((CASE_SECONDS - 10)) multios.cases=$(IFS=,; echo "${cases[*]}")" \
	-device intel-iommu,intremap=on \
	-netdev hubport,id=vf,hubid=0 -device pcie-root-port,id=rp,chassis=1 -device igb,bus=rp,netdev=vf,mac=52:54:00:77:00:04,romfile= \
	-netdev hubport,id=peer,hubid=0 -device virtio-net-pci,netdev=peer,mac=52:54:00:77:00:02,romfile=
read -r NIC PHYSICAL < <(sed -n 's/^outer: fact nic 0000:\([0-9a-f:.]*\) of 0000:\([0-9a-f:.]*\),.*/\1 \2/p' "$OUT/outer.log") || true
for case in "${cases[@]}"; do
	outer_case "$OUT/outer.log" "$case"
	judge "$case"
done
say "$SECONDS s; logs: build/passthrough"
tap_end

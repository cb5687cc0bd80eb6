#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/matrix.sh [OPTIONS]
#
# Combinations of kernels, processors, network cards, ways through the back and the front's firmware: each boots, and ping,
# ibv_rc_pingpong both ways and a few seconds of verbs-check run. Every value of each column is there; --long: every
# combination, with one firmware.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
read -ra kernels < <("$VM_ROOT/scripts/build-kernels" --list)
# Of a Debian 12: 6.1, 6.12 and that of Debian 13's backports.
old=${kernels[0]} new=${kernels[-2]} newest=${kernels[-1]}

# front kernel, back kernel, front vCPUs, back vCPUs, NIC, MTU, net, firmware
# Each kernel once as the front's and once as the back's, each other value in some row.
ovmf="$newest $old 1 1 virtio-net 4200 bridge ovmf"
rows=("$old $new 2 2 e1000e 1500 bridge seabios" "$new $newest 3 1 igb 9000 route seabios" "$ovmf")
if ((LONG)); then
	rows=("$ovmf")
	for f in "${kernels[@]}"; do for b in "${kernels[@]}"; do for fv in 1 2 3; do for bv in 1 2; do for nic in virtio-net e1000e igb; do
		rows+=("$f $b $fv $bv $nic 1500 bridge seabios")
	done; done; done; done; done
fi

pingpong() { # SERVER CLIENT ADDRESS OPTIONS...
	local server=$1 client=$2 address=$3
	shift 3
	start_on "$server" pp "ibv_rc_pingpong -d $(rdma_dev "$server") -g 1 $*" && listening "$server" || return
	on "$client" -t 40 "ibv_rc_pingpong -d $(rdma_dev "$client") -g 1 $* $address" && end_of "$server" pp 20
}

# release KERNEL: what uname -r prints there.
release() { cat "$("$VM_ROOT/scripts/build-kernels" "$1" | tail -n 1)/release"; }

# Of the cases that --case chooses, all of a row's checks run: its text is a part of the row's name.
row() {
	local name=$1 fk=$2 bk=$3 fv=$4 bv=$5 nic=$6 mtu=$7 net=$8 firmware=$9 address=$front_ip up
	chosen "$name" || return 0
	up=(--front-kernel "$fk" --back-kernel "$bk" --front-vcpus "$fv" --back-vcpus "$bv" --nic "$nic" --mtu "$mtu" --net "$net" --firmware "$firmware")
	check "$name: boots" vm_up "${up[@]}" || return
	vm_up "${up[@]}" >/dev/null
	[[ $net == bridge ]] || address=10.77.1.1
	put_tool verbs-check front peer
	check_eq "$name: the front's kernel and processors" "$(on front 'echo $(uname -r) $(nproc)')" "$(release "$fk") $fv"
	check_eq "$name: the front's firmware" "$(on front '[ -d /sys/firmware/efi ] && echo ovmf || echo seabios')" "$firmware"
	check_eq "$name: the back's kernel and processors" "$(on back 'echo $(uname -r) $(nproc)')" "$(release "$bk") $bv"
	check_eq "$name: the back was started once" "$(back_is generation)" 1
	check "$name: ping" on front "ping -q -c 5 -i 0.1 -M do -s $((mtu - 28)) $peer_ip && ping -q -c 5 -i 0.1 $peer_ip6"
	check "$name: ibv_rc_pingpong from the front" pingpong peer front "$peer_ip" -n 300 -s 9000
	check "$name: ibv_rc_pingpong to the front" pingpong front peer "$address" -n 300 -s 9000
	check "$name: verbs-check" verbs_check peer front "$peer_ip" 60 -s 4 -z 1000000 -S "$SEED"
	check_logs "$name"
}
KEEP_WAS=$KEEP
for r in "${rows[@]}"; do
	# shellcheck disable=SC2086 # columns
	row "$r" $r
	lab down >/dev/null 2>&1
done
KEEP=$KEEP_WAS
vm_end

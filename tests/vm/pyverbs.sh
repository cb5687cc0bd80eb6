#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/pyverbs.sh [OPTIONS]
#
# rdma-core's own test suite, Debian 12's and the newest that Debian has (sid), each in a root file system of that Debian:
# first with stock rdma_rxe in an ordinary VM, then with our device in the front of a multios VM, on one kernel. With ours
# no test may fail (report.py names two errors that are not the device's), every test that passes with rxe must pass, and
# fewer may be skipped. The table of a run is left in build/vm/pyverbs.md; PYVERBS.md keeps one. --long: on kernel 6.12 as well.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
results=$VM_BUILD/pyverbs
releases=(bookworm sid) packages=python3-pyverbs,rdma-core,ibverbs-providers,iproute2
report=$VM_ROOT/tests/vm/pyverbs/report.py

# Enters a release's root file system in a guest and starts the suite there.
enter='
	root=/mnt/$1
	mkdir -p $root && mount /dev/disk/by-id/virtio-$1 $root || exit
	for d in dev proc sys; do mount --rbind /$d $root/$d || exit; done
	mount -t tmpfs tmp $root/tmp && mkdir $root/tmp/suite && mv /tmp/run.py $root/tmp/ || exit
	cp -r $root/usr/share/doc/rdma-core/tests $root/tmp/suite/ && find $root/tmp/suite -name "*.gz" -exec gunzip {} + || exit
	ulimit -l unlimited
	cd $root && exec timeout -k 5 $3 chroot . python3 /tmp/run.py /tmp/suite/tests /tmp/results --dev $2'

# suite DEVICE RELEASE RESULTS: in the lab that is up.
suite() {
	local device=$1 release=$2 file=$3 seconds=900 rc=0
	push front "$VM_ROOT/tests/vm/pyverbs/run.py" /tmp/run.py || return
	start_on front "$release" "set -- $release $device $seconds; $enter" || return
	end_of front "$release" $((seconds + 10)) >"$file.log" || rc=$?
	lab pull front "/mnt/$release/tmp/results" "$file" || rc=1
	# 1: some test has failed, which is for the report to judge.
	((rc <= 1)) && grep -q '^end' "$file" && return
	tail -n 25 "$file.log"
	return 1
}

both() {
	local kernel=$1 side release up disk dir=$results/$1
	mkdir -p "$dir"
	rm -f "$dir"/*
	for side in rxe multios; do
		up=(--front-kernel "$kernel" --front-vcpus 2 --front-mem 1536)
		# Without its peer the ordinary VM's NIC would have no link.
		if [[ $side == rxe ]]; then up+=(--plain); else up+=(--peer none); fi
		for release in "${releases[@]}"; do
			read -ra disk <<<"${disks[$release]}"
			up+=("${disk[@]}")
		done
		vm_up "${up[@]}" || tap_abort "lab up ${up[*]}"
		device=$(rdma_dev front)
		on front 'echo 64 >/proc/sys/vm/nr_hugepages'
		for release in "${releases[@]}"; do
			check "$kernel, $side, suite of $release ${version[$release]} runs to its end" suite "$device" "$release" "$dir/$release.$side"
		done
		[[ $side == rxe ]] || check_logs "$kernel, $side"
	done
	local table=()
	for release in "${releases[@]}"; do
		local ours=$dir/$release.multios rxe=$dir/$release.rxe name="rdma-core ${version[$release]} ($release), kernel $kernel"
		check "$kernel, $release: no failure and no error" "$report" clean "$ours"
		check "$kernel, $release: what passes with rxe passes" "$report" covers "$ours" "$rxe"
		check "$kernel, $release: fewer are skipped than with rxe" "$report" fewer "$ours" "$rxe"
		table+=("$name" "$ours" "$rxe")
	done
	"$report" table "${table[@]}" | tee -a "$VM_BUILD/pyverbs.md"
}

declare -A version=() disks=()
for release in "${releases[@]}"; do
	image=$("$VM_ROOT/scripts/build-image" tree "$release" --packages "$packages") || tap_abort "root file system of $release"
	version[$release]=$(sed -n 's/^python3-pyverbs //p' "${image%/*}/versions")
	disks[$release]="--front-arg -drive --front-arg if=none,id=$release,format=raw,snapshot=on,file=$image --front-arg -device --front-arg virtio-blk-pci,drive=$release,serial=$release"
done
: >"$VM_BUILD/pyverbs.md"
read -ra kernels < <("$VM_ROOT/scripts/build-kernels" --list)
for kernel in "${kernels[@]::$((LONG ? ${#kernels[@]} : 1))}"; do both "$kernel"; done
vm_end

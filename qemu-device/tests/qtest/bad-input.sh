# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154 # QEMU and tmp are the caller's
# Part of run: starts $QEMU with one bad option at a time, and it must end with one message that names the option, what it
# was and what it must be. Guests execute nothing (-accel qtest), so no kernel is needed. Files are made in $tmp.

# kernel FILE [OFFSET:BYTES]...: a bzImage's header and a sector of code, then changed at OFFSETs (printf escapes).
kernel() {
	local f=$1 p
	shift
	head -c 1536 /dev/zero >"$f"
	for p in '497:\x01' '513:\x66' '514:HdrS' '518:\x0f\x02' '529:\x01' '560:\x00\x00\x20\x00' '564:\x01' '566:\x01\x00' \
		'568:\xff\x07\x00\x00' '608:\x00\x00\x10\x00' "$@"; do
		# shellcheck disable=SC2059 # the escapes are wanted
		printf "${p#*:}" | dd of="$f" bs=1 seek="${p%%:*}" conv=notrunc status=none
	done
}

# run ARGS...: output in $out, status in $rc. A good machine would go on, hence the time limit.
run() {
	out=$(timeout -k 5 20 "$QEMU" -nodefaults -display none -accel "${ACCEL:-qtest}" "$@" -monitor stdio 2>&1 <<<"${MONITOR:-quit}")
	rc=$?
}

# verdict NAME OK: OK is an arithmetic truth; a failure shows what QEMU said.
verdict() {
	if (($2)); then
		pass "$1"
	else
		fail "$1"
		say "    ${out//$'\n'/$'\n    '}"$'\n'"    exit status $rc"
	fi
}

# bad NAME REGEX ARGS...: QEMU must end with status 1 and one error message, which matches REGEX.
bad() {
	local name=$1 regex=$2
	chosen "$name" || return 0
	shift 2
	run "$@"
	verdict "$name" $((rc == 1 && $(grep -c '^qemu-system-x86_64:' <<<"$out") == 1 && $(grep -cE -e "$regex" <<<"$out") == 1))
}

# fine NAME REGEX ARGS...: QEMU must start, end by itself with 0, and say REGEX.
fine() {
	local name=$1 regex=$2
	chosen "$name" || return 0
	shift 2
	run "$@"
	verdict "$name" $((rc == 0 && $(grep -cE -e "$regex" <<<"$out") > 0))
}

# quiet NAME REGEX ARGS...: QEMU must start, end by itself with 0, and not say REGEX.
quiet() {
	local name=$1 regex=$2
	chosen "$name" || return 0
	shift 2
	run "$@"
	verdict "$name" $((rc == 0 && $(grep -cE -e "$regex" <<<"$out") == 0))
}

K=$tmp/kernel
kernel "$K"
PC=(-machine q35 -m 1G -smp 2)

# mos OPTIONS...: the -device argument with a good kernel
mos() { printf 'multios,id=mos0,back-kernel=%s,back-mem=128M%s' "$K" "${1:+,$1}"; }

fine "a good machine starts" 'monitor' "${PC[@]}" -device "$(mos)"

# the back's kernel
bad "back-kernel missing" 'back-kernel is missing, it must name' "${PC[@]}" -device multios,id=mos0
bad "back-kernel does not exist" "back-kernel=$tmp/nothing cannot be read: .*must be a bzImage" \
	"${PC[@]}" -device "multios,id=mos0,back-kernel=$tmp/nothing"
bad "back-kernel is a folder" "back-kernel=$tmp cannot be read" "${PC[@]}" -device "multios,id=mos0,back-kernel=$tmp"
head -c 65536 /dev/urandom >"$tmp/noise"
printf xxxx | dd of="$tmp/noise" bs=1 seek=514 conv=notrunc status=none
: >"$tmp/empty"
for f in noise empty; do
	bad "back-kernel is no bzImage: $f" "back-kernel=$tmp/$f must be an x86-64 bzImage, but no setup header" \
		"${PC[@]}" -device "multios,id=mos0,back-kernel=$tmp/$f"
done
kernel "$tmp/old" '518:\x0e\x02'
bad "back-kernel with an old boot protocol" 'boot protocol is 2.14, 2.15 or later \(Linux 5.5\)' \
	"${PC[@]}" -device "multios,id=mos0,back-kernel=$tmp/old"
kernel "$tmp/32bit" '566:\x00\x00'
bad "back-kernel without a 64-bit entry" 'no 64-bit entry point \(XLF_KERNEL_64\)' \
	"${PC[@]}" -device "multios,id=mos0,back-kernel=$tmp/32bit"
kernel "$tmp/fixed" '564:\x00'
bad "back-kernel not relocatable" 'not relocatable' "${PC[@]}" -device "multios,id=mos0,back-kernel=$tmp/fixed"
kernel "$tmp/zimage" '529:\x00'
bad "back-kernel is a zImage" 'it is a zImage' "${PC[@]}" -device "multios,id=mos0,back-kernel=$tmp/zimage"
kernel "$tmp/align" '560:\x03\x00\x00\x00'
bad "back-kernel with a bad alignment" 'kernel_alignment is no power of two' \
	"${PC[@]}" -device "multios,id=mos0,back-kernel=$tmp/align"
kernel "$tmp/cut" '497:\xff'
bad "back-kernel cut off" 'but it is cut off' "${PC[@]}" -device "multios,id=mos0,back-kernel=$tmp/cut"
kernel "$tmp/big" '608:\x00\x00\x00\x0f'
bad "back-kernel too large" 'needs 240 MiB, but back-mem is 128 MiB: it must be at least' \
	"${PC[@]}" -device "multios,id=mos0,back-mem=128M,back-kernel=$tmp/big"

# the back's initrd and command line
bad "back-initrd does not exist" "back-initrd=$tmp/nothing cannot be read" \
	"${PC[@]}" -device "$(mos "back-initrd=$tmp/nothing")"
bad "back-initrd empty" "back-initrd=$tmp/empty is empty, it must be" "${PC[@]}" -device "$(mos "back-initrd=$tmp/empty")"
truncate -s 130M "$tmp/initrd"
bad "back-initrd too large" "back-initrd=$tmp/initrd has 133120 KiB, it must have at most [0-9]+ KiB" \
	"${PC[@]}" -device "$(mos "back-initrd=$tmp/initrd")"
long=$(printf 'x%.0s' {1..2100})
bad "back-append over the kernel's limit" 'back-append has 2100 characters, it must have at most [0-9]+:.*takes 2047' \
	"${PC[@]}" -device "$(mos "back-append=$long")"

# memory
bad "back-mem 0" 'back-mem is 0, it must be at least 64 MiB' "${PC[@]}" -device "$(mos back-mem=0)"
bad "shared-mem 0" 'shared-mem is 0, it must be at least 2 MiB' "${PC[@]}" -device "$(mos shared-mem=0)"
bad "back-mem not aligned" 'back-mem is 134217729 bytes, it must be a multiple of 2 MiB' \
	"${PC[@]}" -device "$(mos back-mem=134217729)"
bad "shared-mem not aligned" 'shared-mem is 4096 bytes, it must be a multiple of 2 MiB' \
	"${PC[@]}" -device "$(mos shared-mem=4096)"
bad "back-mem too small" 'back-mem is 32 MiB, it must be at least 64 MiB' "${PC[@]}" -device "$(mos back-mem=32M)"
bad "back-mem beyond -m" 'back-mem \(1024 MiB\) and shared-mem \(64 MiB\) .* -m gives 1024 MiB' \
	"${PC[@]}" -device "$(mos back-mem=1G)"
bad "shared-mem beyond -m" 'shared-mem \(8192 MiB\) .* -m gives 1024 MiB' "${PC[@]}" -device "$(mos shared-mem=8G)"
bad "sizes that wrap around" 'back-mem \(17592186044414 MiB\)' "${PC[@]}" -device "$(mos back-mem=18446744073707454464)"
bad "the default -m" 'must fit beneath 4 GiB, where -m gives 128 MiB' -machine q35 -smp 2 -device "$(mos)"
kernel "$tmp/front" '566:\x03\x00'
bad "no room beside the front's initrd" 'with [0-9]+ MiB for the front.s kernel, initrd and firmware' \
	-machine q35 -m 520M -smp 2 -kernel "$tmp/front" -initrd "$tmp/initrd" -device "$(mos)"
kernel "$tmp/front38" '556:\xff\xff\xff\x1f'
bad "a front kernel that takes no initrd so high" 'takes its -initrd beneath 511 MiB only' \
	"${PC[@]}" -kernel "$tmp/front38" -initrd "$tmp/initrd" -device "$(mos)"
bad "back-mem no number" "back-mem.*'?lots" "${PC[@]}" -device "$(mos back-mem=lots)"

# vCPUs
bad "back-vcpus 0" 'back-vcpus is 0, it must be at least 1' "${PC[@]}" -device "$(mos back-vcpus=0)"
bad "none left for the front" 'back-vcpus is 2 and -smp has 2 vCPUs: back-vcpus must be at most 1' \
	"${PC[@]}" -device "$(mos back-vcpus=2)"
bad "more back vCPUs than exist" 'back-vcpus is 7 and -smp has 2 vCPUs: back-vcpus must be at most 1' \
	"${PC[@]}" -device "$(mos back-vcpus=7)"
bad "-smp 1" 'back-vcpus is 1 and -smp has 1 vCPUs' -machine q35 -m 1G -smp 1 -device "$(mos)"
bad "maxcpus" '-smp has cpus=2 and maxcpus=4: they must be equal' -machine q35 -m 1G -smp 2,maxcpus=4 -device "$(mos)"
bad "too few address bits" 'has 36 physical address bits, it must have at least 39' \
	"${PC[@]}" -cpu qemu64,phys-bits=36 -device "$(mos)"

for hv in hv-relaxed hv-passthrough hv-spinlocks=0x1fff; do
	bad "Hyper-V enlightenments: $hv" 'the CPU model has Hyper-V enlightenments \(hv-\*\), it must have none' \
		"${PC[@]}" -cpu "qemu64,$hv" -device "$(mos)"
done

# Without KVM QEMU 10.0 ends in an assertion of its own before it gets to the device.
name="Xen emulation of KVM"
if [[ -w /dev/kvm ]] && chosen "$name"; then
	ACCEL=kvm,xen-version=0x4000a,kernel-irqchip=split run "${PC[@]}" -device "$(mos)"
	# a host whose KVM knows no Xen refuses by itself
	verdict "$name" $((rc == 1 && $(grep -cE 'multios: -accel kvm has xen-version, it must not|Xen' <<<"$out") > 0))
fi

bad "APIC IDs that MSIs do not reach" 'the last vCPU of the back has APIC ID 255, it must be at most 254' \
	-machine q35 -m 1G -smp 256 -cpu qemu64,+x2apic -device "$(mos)"

# what lies where the back's PCI windows go
truncate -s 9M "$tmp/bios"
bad "a -bios over 8 MiB" "'pc.bios' is at 0xff700000, but 0xff000000-0xff7fffff must be free for the back.s PCI bus" \
	"${PC[@]}" -bios "$tmp/bios" -device "$(mos)"
bad "flash over 8 MiB" "'system.flash0' is at 0xff700000, but 0xff000000-0xff7fffff must be free" \
	-machine q35,max-fw-size=16M -m 1G -smp 2 -drive "if=pflash,format=raw,file=$tmp/bios" -device "$(mos)"
truncate -s 4M "$tmp/flash"
bad "flash for firmware with SMM" 'pflash0 has secure=on, it must be off: firmware with SMM' \
	"${PC[@]}" -drive "if=pflash,format=raw,file=$tmp/flash" -global driver=cfi.pflash01,property=secure,value=on -device "$(mos)"
MONITOR=$'info mtree\nquit' fine "the back's PCI windows at 384 GiB" '0000006000000000-.* alias multios-ecam' \
	"${PC[@]}" -device "$(mos)"
MONITOR=$'info mtree\nquit' fine "the back's PCI windows above a large window of the front" '0000009000000000-.* alias multios-ecam' \
	"${PC[@]}" -global q35-pcihost.pci-hole64-size=512G -device "$(mos)"
MONITOR=$'info mtree\nquit' fine "the back's PCI windows above much memory" '0000007000000000-.* alias multios-ecam' \
	-machine q35,memory-backend=ram -smp 2 -m 350G -object memory-backend-ram,id=ram,size=350G,reserve=off -device "$(mos)"
bad "no room for the back's PCI windows" 'would be at 896 GiB, .*pci-hole64-size is 800 GiB.*: they must be at 832 GiB at most' \
	"${PC[@]}" -global q35-pcihost.pci-hole64-size=800G -device "$(mos)"
bad "no room in 39 bits" 'would be at 448 GiB, .*must be at 384 GiB at most, .*model.s 39 physical' \
	"${PC[@]}" -cpu qemu64,phys-bits=39 -global q35-pcihost.pci-hole64-size=350G -device "$(mos)"

# NUMA
numa=(-machine q35 -m 4G -smp 2 -object "memory-backend-ram,id=n0,size=3G" -object "memory-backend-ram,id=n1,size=1G")
fine "the back's vCPU far from its memory: warned" 'vCPU 1 of the back is on NUMA node 1 and the back.s memory on node 0' \
	"${numa[@]}" -numa node,memdev=n0,cpus=0 -numa node,memdev=n1,cpus=1 -device "$(mos)"
quiet "the back's vCPU where its memory is" 'NUMA' \
	"${numa[@]}" -numa node,memdev=n0,cpus=1 -numa node,memdev=n1,cpus=0 -device "$(mos)"

# what libvirt gives to a machine beside the device
head -c 1M /dev/zero >"$tmp/disk"
libvirt=(-machine "q35,memory-backend=ram" -m 1G -smp 2 -sandbox "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
	-object "memory-backend-memfd,id=ram,size=1G,share=on,host-nodes=0,policy=preferred" -vnc "unix:$tmp/vnc,password=on"
	-device "pcie-root-port,id=rp1,chassis=1,addr=2" -device "qemu-xhci,id=usb,bus=rp1" -device "usb-tablet,bus=usb.0"
	-device "virtio-vga,addr=1" -device i6300esb -device pvpanic-pci -device vmcoreinfo
	-object "rng-random,id=rng,filename=/dev/urandom" -device "virtio-rng-pci,rng=rng")
for aio in threads native io_uring; do
	fine "a machine as libvirt makes it, aio=$aio" 'monitor' "${libvirt[@]}" -device "$(mos)" \
		-blockdev "driver=file,filename=$tmp/disk,node-name=d0,aio=$aio,cache.direct=on" -device virtio-blk-pci,drive=d0
done
for d in vhost-user-fs-pci vhost-user-blk-pci vhost-vsock-pci vhost-vdpa-device-pci vfio-pci tpm-crb ich9-usb-ehci1 usb-storage nvme \
	virtio-gpu-pci virtio-scsi-pci virtio-mem-pci ivshmem-doorbell; do
	fine "the device $d is there" "$d options" -machine none -device "$d,help"
done
bad "vhost without its socket" 'vhost-user netdev requires|chardev.*not found' "${PC[@]}" -netdev vhost-user,id=n0,chardev=none -device "$(mos)"

# the device's place
MONITOR=$'info qtree\nquit' fine "the default slot" 'addr = 10\.0' "${PC[@]}" -device "$(mos)" -device pcie-root-port,addr=1,chassis=1
bad "the slot is taken" 'slot 16 function 0 .*(not available|already)' "${PC[@]}" -device edu,addr=0x10 -device "$(mos)"
bad "two multios devices" 'there are two multios devices, there must be one' \
	"${PC[@]}" -device "$(mos)" -device "multios,id=mos1,addr=5,back-kernel=$K"
bad "a machine other than q35" "the machine is 'pc-i440fx-.*', it must be q35" -machine pc -m 1G -smp 2 -device "$(mos)"
bad "no id" 'id is missing, it must be given' "${PC[@]}" -device "multios,back-kernel=$K"
bad "behind a root port" "bus is 'rp0', it must be q35's own pcie.0" \
	"${PC[@]}" -device pcie-root-port,id=rp0,slot=1,chassis=1 -device "$(mos bus=rp0)"
bad "back-on-crash" "back-on-crash is 'never', it must be restart, stop or pause" "${PC[@]}" -device "$(mos back-on-crash=never)"
for ms in 49 60001; do
	bad "back-heartbeat $ms" "back-heartbeat is $ms ms, it must be 0 \\(off\\) or 50 to 60000" "${PC[@]}" -device "$(mos back-heartbeat=$ms)"
done
fine "back-heartbeat off" 'monitor' "${PC[@]}" -device "$(mos back-heartbeat=0)"
bad "mac no address" "mac is '52:54:00', it must be a unicast Ethernet address" "${PC[@]}" -device "$(mos mac=52:54:00)"
bad "mac multicast" "mac is '01:00:5e:00:00:01', it must be" "${PC[@]}" -device "$(mos mac=01:00:5e:00:00:01)"
bad "mac all zero" "mac is '00:00:00:00:00:00', it must be" "${PC[@]}" -device "$(mos mac=00:00:00:00:00:00)"
bad "back-console unknown" 'back-console=tty9: there is no such character device' "${PC[@]}" -device "$(mos back-console=tty9)"
bad "back-console in use" 'back-console=c0 must be a -chardev that nothing else uses' \
	"${PC[@]}" -chardev null,id=c0 -serial chardev:c0 -device "$(mos back-console=c0)"
bad "back-run at start" 'back-run can be set at run time only' "${PC[@]}" -device "$(mos back-run=on)"
bad "unknown option" "back-kernle" "${PC[@]}" -device "$(mos back-kernle=x)"

# the back's devices
for d in ne2k_pci rtl8139 e1000; do
	bad "$d on the back's bus" "device $d \\(n0\\) on bus=mos0.pcie has neither MSI nor MSI-X" \
		"${PC[@]}" -device "$(mos)" -device "$d,id=n0,bus=mos0.pcie,romfile="
done
for d in virtio-net-pci e1000e igb vmxnet3; do
	fine "$d on the back's bus" 'monitor' "${PC[@]}" -device "$(mos)" -device "$d,id=n0,bus=mos0.pcie"
done
fine "same NIC in the same slot of both buses" 'monitor' "${PC[@]}" -device "$(mos addr=5)" \
	-device virtio-net-pci,addr=3 -device virtio-net-pci,bus=mos0.pcie,addr=3
fine "a NIC behind a root port of the back" 'monitor' "${PC[@]}" -device "$(mos)" \
	-device pcie-root-port,id=rp0,bus=mos0.pcie,slot=1,chassis=1 -device e1000e,bus=rp0
fine "a NIC on the front's bus only: warned" 'NIC e1000e \(n0\) is on the front.s bus and none is on the back.s: give it bus=mos0.pcie' \
	"${PC[@]}" -device "$(mos)" -device e1000e,id=n0
for d in virtio-balloon-pci virtio-iommu-pci; do
	bad "$d on the back's bus" "device $d \\(d0\\) cannot be on bus=mos0.pcie: its effects are not confined to the back" \
		"${PC[@]}" -device "$(mos)" -device "$d,id=d0,bus=mos0.pcie"
	fine "$d on the front's bus" 'monitor' "${PC[@]}" -device "$(mos)" -device "$d"
done
bad "a bus that is not there" "mos1.pcie" "${PC[@]}" -device "$(mos)" -device e1000e,bus=mos1.pcie

# at run time
MONITOR=$'device_add multios,id=mos1\nquit' fine "hotplug" "Device 'multios' does not support hotplugging" \
	"${PC[@]}" -device "$(mos)"
MONITOR=$'device_del mos0\nquit' fine "unplug" "mos0.*not support hotplugging|multios.*not support hotplugging|hotunplug" "${PC[@]}" -device "$(mos)"
port=(-device "$(mos)" -device "pcie-root-port,id=rp0,bus=mos0.pcie,slot=1,chassis=1")
MONITOR=$'device_add e1000,id=n0,bus=rp0\ninfo pci\nquit' fine "hotplug without MSI behind a root port of the back" \
	'device e1000 \(n0\) on bus=mos0.pcie has neither MSI nor MSI-X' "${PC[@]}" "${port[@]}"
MONITOR=$'device_add virtio-balloon-pci,id=b0,bus=rp0\nquit' fine "hotplug of a balloon behind a root port of the back" \
	'device virtio-balloon-pci \(b0\) cannot be on bus=mos0.pcie' "${PC[@]}" "${port[@]}"
MONITOR=$'device_add e1000e,id=n0,bus=rp0\ninfo qtree\nquit' fine "hotplug behind a root port of the back" 'dev: e1000e, id "n0"' \
	"${PC[@]}" "${port[@]}"
MONITOR=$'device_add e1000,id=n0,bus=dn\nquit' fine "hotplug without MSI behind a switch of the back" \
	'device e1000 \(n0\) on bus=mos0.pcie has neither' "${PC[@]}" "${port[@]}" -device x3130-upstream,id=up,bus=rp0 \
	-device xio3130-downstream,id=dn,bus=up,chassis=2
MONITOR=$'device_add e1000e,id=n0,bus=mos0.pcie\nquit' fine "hotplug on the back's root bus" \
	"Bus 'mos0.pcie' does not support hotplugging" "${PC[@]}" -device "$(mos)"

# taken_over NAME REGEX ARGS...: a machine that is given the saved one must end with status 1 and say REGEX.
taken_over() {
	local name=$1 regex=$2
	chosen "$name" || return 0
	shift 2
	out=$(timeout -k 5 20 "$QEMU" -nodefaults -display none -accel qtest "$@" -incoming "file:$tmp/saved" 2>&1)
	rc=$?
	verdict "$name" $((rc == 1 && $(grep -cE -e "$regex" <<<"$out") == 1))
}
MONITOR=$'migrate file:'"$tmp"$'/saved\ninfo migrate\nquit' fine "a machine is saved" 'Status: *completed|Migration status: completed' \
	"${PC[@]}" -device "$(mos mac=52:54:00:01:02:03)"
taken_over "another back-mem" 'multios: back-mem of the saved machine is [0-9]+ MiB, here it is 66 MiB' \
	"${PC[@]}" -device "$(mos mac=52:54:00:01:02:03,back-mem=66M)"
taken_over "another shared-mem" 'multios: shared-mem of the saved machine is [0-9]+ MiB, here it is 2 MiB' \
	"${PC[@]}" -device "$(mos mac=52:54:00:01:02:03,shared-mem=2M)"
taken_over "another mac" 'multios: mac of the saved machine is 52:54:00:01:02:03, here it is 52:54:00:01:02:04' \
	"${PC[@]}" -device "$(mos mac=52:54:00:01:02:04)"
taken_over "more vCPUs" "multios: the number of the front's vCPUs of the saved machine is [0-9]+, here it is [0-9]+" \
	"${PC[@]}" -smp 6 -device "$(mos mac=52:54:00:01:02:03)"
taken_over "more memory" "multios: the end of the front's low memory of the saved machine is" \
	"${PC[@]}" -m 1536 -device "$(mos mac=52:54:00:01:02:03)"

ACCEL=tcg bad "record/replay" 'Record/replay is not supported with the device multios' \
	"${PC[@]}" -device "$(mos)" -icount "shift=1,rr=record,rrfile=$tmp/rr"

#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/kvm.sh [--way auto|direct|nested] [CASE...]
#
# The multios VM under -accel kvm: both kernels up, vCPUs and memory apart, doorbells both ways, ping and
# ibv_rc_pingpong through the back's NIC to a stock peer, the back restarted; and the device's own tests. CASE is
# IRQCHIP-BACKVCPUS, and with -restart after it the back is restarted: default on-1 split-2-restart, with VM_LONG=1 all of on
# and split, 1 and 2.
#
#   --way direct   with this machine's KVM, in the lab, the peer being a second VM
#   --way nested   inside a machine whose CPU is emulated, with SVM: its stock kernel has /dev/kvm, and is the stock peer
#   --way auto     direct where /dev/kvm runs a stock guest, else nested (default)
#
# Logs: build/kvm/. The output is TAP (tests/lib-tap.sh).

# shellcheck disable=SC2317 # functions are called by their names
MULTIOS_PROG=kvm
. "$(dirname "$(readlink -f "$0")")/../../scripts/lib.sh"
. "$MULTIOS_ROOT/scripts/lib-accel.sh"
. "$MULTIOS_ROOT/scripts/lib-alone.sh"
. "$MULTIOS_ROOT/tests/lib-tap.sh"

HERE=$MULTIOS_ROOT/tests/vm/nested
OUT=$MULTIOS_BUILD/kvm
# Bounds of one machine, in seconds: they are met even on a busy host.
BOOT_SECONDS=150 DEVICE_SECONDS=360 CASE_SECONDS=400

# errexit is on here; a test that failed does not end the suite.
verdict() { check "$@" || true; }

# Whatever ends this script ends its machines.
outer_pid='' lab_up=0
leave() {
	[[ -z $outer_pid ]] || kill "$outer_pid" 2>/dev/null || true
	((!lab_up)) || "$MULTIOS_ROOT/scripts/lab" down --name kvm || true
}
trap leave EXIT

### What the machines boot

# with_files INITRD TREE FILE: the initrd with the files of TREE over it.
with_files() { { cat "$1" && (cd "$2" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0); } >"$3"; }

# nested_disk DIR: QEMU with its libraries and firmware, kernel and initrds for the inner machine.
nested_disk() {
	local dir=$1 tree=$1/tree share lib
	mkdir -p "$tree"/qemu/{bin,lib,share} "$dir"/{front/multios/kvm,back/etc,back/run/multios/kvm}
	cp "$QEMU" "$DEVICE_TEST" "$tree/qemu/bin/"
	ldd "$QEMU" "$DEVICE_TEST" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p' | while read -r lib; do
		cp -L "$lib" "$tree/qemu/lib/"
	done
	"$QEMU" -L help | while read -r share; do
		[[ ! -d $share ]] || find "$share" -maxdepth 1 \( -name '*.bin' -o -name '*.rom' \) -exec cp -nL {} "$tree/qemu/share/" \;
	done
	[[ -e $tree/qemu/share/bios-256k.bin ]] || die "$QEMU finds no firmware"
	cp "$KERNEL/vmlinuz" "$HERE"/{inner,device} "$tree/"

	cp "$HERE"/{report,traffic,pingpong} "$dir/front/multios/kvm/"
	cp "$HERE/front-rc" "$dir/front/multios/rc"
	echo '::sysinit:/run/multios/rc' >"$dir/front/multios/inittab"
	with_files "$("$MULTIOS_ROOT/scripts/build-image" front "$VERSION")" "$dir/front" "$tree/front"
	cp "$HERE"/{report,back-serve} "$dir/back/run/multios/kvm/"
	{
		# without the console's shell, whose prompt would be in the report
		grep -v ^ttyS0 "$MULTIOS_ROOT/scripts/guest/inittab"
		echo '::respawn:/bin/busybox nc -ll -p 7777 -e /run/multios/kvm/back-serve'
	} >"$dir/back/etc/inittab"
	with_files "$("$MULTIOS_ROOT/scripts/build-image" back "$VERSION")" "$dir/back" "$tree/back"
	truncate -s "$(($(du -sk --apparent-size "$tree" | cut -f1) * 9 / 8 + 8192))K" "$dir/nested.img"
	mke2fs -q -t ext4 -O ^has_journal -E root_owner=0:0 -m 0 -d "$tree" "$dir/nested.img"
}

### The two ways: each leaves what the kernels of a case printed in $OUT/CASE.log, lines marked "front| " and "back| ".

# outer_booted CONSOLE: outer-rc has got through what is stock there.
outer_booted() { grep -qE '^outer: (ready|failed)' "$1"; }

# outer_machine IMAGES CONSOLE LIMIT: the outer machine from its start to its end, what it says being shown. Fails if it did not
# get ready: until then only stock software runs there.
outer_machine() {
	local dir=$1 log=$2 limit=$3 name start=$SECONDS shown=0 lines status=0
	: >"$log"
	timeout -k 5 "$limit" "$QEMU" -name multios-kvm-outer -nodefaults -no-user-config -display none -no-reboot \
		-M q35,sata=off,smbus=off -accel tcg,thread=multi -cpu max,+svm,+npt -smp 3 -m 4G \
		-kernel "$KERNEL/vmlinuz" -initrd "$dir/outer" \
		-append "console=ttyS0 tsc=reliable no_timer_check mitigations=off panic=-1 multios.limit=$((CASE_SECONDS - 10)) multios.cases=$(IFS=,; echo "${cases[*]}")" \
		-chardev "file,id=con,path=$log" -serial chardev:con \
		-drive "if=none,id=root,format=raw,snapshot=on,file=$ROOT_IMAGE" -device virtio-blk-pci,drive=root,serial=root \
		-drive "if=none,id=modules,format=raw,readonly=on,file=$KERNEL/modules.img" \
		-device virtio-blk-pci,drive=modules,serial=modules \
		-drive "if=none,id=nested,format=raw,readonly=on,file=$dir/nested.img" -device virtio-blk-pci,drive=nested,serial=nested \
		-drive "if=none,id=inner,format=raw,readonly=on,file=$ROOT_IMAGE" -device virtio-blk-pci,drive=inner,serial=inner \
		>"$OUT/outer.qemu.log" 2>&1 </dev/null &
	outer_pid=$!
	while kill -0 "$outer_pid" 2>/dev/null; do
		lines=$(wc -l <"$log")
		if ((lines > shown)); then
			sed -n "$((shown + 1)),${lines}p" "$log" | tr -d '\r' |
				grep -aE '^outer: |multios: (ready|failed)|\| (pass|fail) ' | while read -r name; do log "$name"; done || true
			shown=$lines
		fi
		if ((SECONDS - start > BOOT_SECONDS)) && ! outer_booted "$log"; then
			kill "$outer_pid"
		fi
		sleep 0.5
	done
	wait "$outer_pid" || status=$?
	outer_pid=''
	if ! outer_booted "$log"; then
		log "outer machine: it was not ready within $BOOT_SECONDS s (QEMU's status: $status); the end of its console:"
		tail -n 12 "$log" "$OUT/outer.qemu.log" >&2
		return 1
	fi
	((!status)) || log "outer machine: QEMU ended with status $status (124: its time was over): $(tail -n 1 "$OUT/outer.qemu.log")"
}

nested() {
	local dir=$OUT/nested outer=$OUT/outer/multios log=$OUT/outer.log limit case try
	rm -rf "$dir" "$OUT/outer"
	mkdir -p "$dir" "$outer/kvm"
	log "collecting what the inner machine needs ..."
	nested_disk "$dir"
	cp "$HERE/outer-rc" "$outer/rc"
	cp "$HERE/pingpong" "$outer/kvm/"
	echo '::sysinit:/run/multios/rc' >"$outer/inittab"
	with_files "$("$MULTIOS_ROOT/scripts/build-image" peer "$VERSION")" "$OUT/outer" "$dir/outer"

	limit=$((BOOT_SECONDS + DEVICE_SECONDS + CASE_SECONDS * ${#cases[@]}))
	for try in 1 2 3; do
		log "outer machine: TCG, emulated CPU with SVM, 3 vCPUs; at most $limit s"
		if outer_machine "$dir" "$log" "$limit"; then break; fi
		cp "$log" "$OUT/outer-$try.log"
	done
	for case in device "${cases[@]}"; do
		tr -d '\r' <"$log" | sed -n "/^outer: begin $case\$/,/^outer: end $case\$/p" >"$OUT/$case.log"
	done
}

# in_guest GUEST TAG-FREE-COMMAND...
in_guest() {
	local guest=$1
	shift
	"$MULTIOS_ROOT/scripts/lab" exec --name kvm "$guest" --timeout 60 -- "$@" 2>&1 | sed "s/^/$guest| /"
}

direct() {
	local case irqchip back restart file guest server
	"$HERE/device" "$QEMU" "$DEVICE_TEST" >"$OUT/device.log"
	for case in "${cases[@]}"; do
		IFS=- read -r irqchip back restart <<<"$case"
		log "case $case: the lab with --accel kvm --irqchip $irqchip --back-vcpus $back"
		: >"$OUT/$case.log"
		lab_up=1
		timeout 240 "$MULTIOS_ROOT/scripts/lab" up --name kvm --accel kvm --irqchip "$irqchip" --back-vcpus "$back" || continue
		for guest in front back peer; do
			for file in report traffic pingpong; do
				"$MULTIOS_ROOT/scripts/lab" push --name kvm "$guest" "$HERE/$file" "/run/multios/$file" || true
			done
		done
		# shellcheck disable=SC2016 # the guest's $
		timeout "$CASE_SECONDS" "$MULTIOS_ROOT/scripts/lab" exec --name kvm peer --timeout "$CASE_SECONDS" -- \
			sh -c 'while :; do timeout 40 /run/multios/pingpong; done' >"$OUT/$case.server.log" 2>&1 &
		server=$!
		{
			in_guest front /run/multios/report before
			in_guest back /run/multios/report before
			in_guest front /run/multios/traffic first 10.77.0.2
			in_guest front /run/multios/report after
			in_guest back /run/multios/report after
			if [[ $restart == restart ]]; then
				in_guest back sh -c '(sleep 1; reboot -f) >/dev/null 2>&1 &'
				sleep 2
				"$MULTIOS_ROOT/scripts/lab" wait --name kvm back 60 || true
				"$MULTIOS_ROOT/scripts/lab" push --name kvm back "$HERE/report" /run/multios/report || true
				in_guest front /run/multios/traffic again 10.77.0.2
				in_guest front /run/multios/report again
				in_guest back /run/multios/report again
			fi
			echo 'front| front is done'
		} >"$OUT/$case.log" || true
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
		"$MULTIOS_ROOT/scripts/lab" down --name kvm
		lab_up=0
	done
}

### The judge

# fact CASE OS TAG KEY: its value, all of them if there are several; "none" without
fact() {
	local value
	value=$(sed -n "s/^$2| fact $3 $4 \(.*\)/\1/p" "$OUT/$1.log")
	echo "${value:-none}"
}

# grew CASE OS KEY [FROM TO] [BY]: the counter grew between two reports, by BY or more
grew() {
	local from to
	from=$(fact "$1" "$2" "${4:-before}" "$3")
	to=$(fact "$1" "$2" "${5:-after}" "$3")
	[[ $from =~ ^[0-9]+$ && $to =~ ^[0-9]+$ ]] && ((to - from >= ${6:-1}))
}

# outer_fact CASE KEY: what the outer machine's kernel said of it, one after the other without repetitions
outer_fact() { sed -n "s/^outer: fact $2 //p" "$OUT/$1.log"; }

# tscs_together MATCHED/VCPUS...: in the end as many go together with the first as there are others.
tscs_together() {
	local last=${1##* }
	[[ $last =~ ^[0-9]+/[0-9]+$ ]] && ((${last%/*} + 1 == ${last#*/}))
}

said() { grep -qE "$2" "$OUT/$1.log"; }

kernels_up() { [[ $(fact "$1" front before cpus) == 1 && $(fact "$1" back before cpus) == "$2" ]]; }

under_kvm() { [[ $(fact "$1" front before hypervisor) == KVM && $(fact "$1" back before hypervisor) == KVM ]]; }

# No APIC ID in both.
vcpus_apart() {
	local ids
	ids=$(fact "$1" front before apicids)" "$(fact "$1" back before apicids)
	[[ $ids != *none* ]] && [[ -z $(tr ' ' '\n' <<<"$ids" | sort | uniq -d) ]]
}

# No byte of System RAM in both kernels' /proc/iomem.
memory_apart() {
	local fs fe bs be all=0
	while read -r fs fe; do
		while read -r bs be; do
			[[ -n $fe && -n $be ]] || return 1
			all=$((all + 1))
			if ((16#$fs <= 16#$be && 16#$bs <= 16#$fe)); then
				return 1
			fi
		done < <(fact "$1" back before ram)
	done < <(fact "$1" front before ram)
	((all))
}

# Says what it did not find to be so.
silent() {
	local os bad=0
	if grep -E '\| fact [a-z]* complaint ' "$OUT/$1.log"; then bad=1; fi
	for os in front back; do
		said "$1" "^$os\| fact after end" || { echo "no report of the $os after the traffic"; bad=1; }
	done
	return "$bad"
}

judge() {
	local case=$1 irqchip back restart tscs clock source
	IFS=- read -r irqchip back restart <<<"$case"
	verdict "$case: both kernels up, front with 1 vCPU, back with $back" kernels_up "$case" "$back"
	verdict "$case: both say that KVM is beneath (irqchip $irqchip, APICs $(fact "$case" front before routing) / $(fact "$case" back before routing))" \
		under_kvm "$case"
	verdict "$case: no vCPU in both (APIC IDs $(fact "$case" front before apicids) / $(fact "$case" back before apicids))" vcpus_apart "$case"
	verdict "$case: no memory in both" memory_apart "$case"
	verdict "$case: ping through ring and NIC" said "$case" '^front\| pass first ping'
	verdict "$case: ibv_rc_pingpong to the stock peer, content checked" said "$case" '^front\| pass first rc_pingpong'
	# 50 messages of 4 packets
	verdict "$case: its packets went through the ring" grew "$case" front roce_to_ring before after 200
	verdict "$case: and out of the back's NIC" grew "$case" back nic_sent before after 200
	verdict "$case: doorbells front to back are interrupts ($(fact "$case" back before bells) to $(fact "$case" back after bells))" \
		grew "$case" back bells
	verdict "$case: doorbells back to front are interrupts ($(fact "$case" front before bells) to $(fact "$case" front after bells))" \
		grew "$case" front bells
	verdict "$case: the back's NIC interrupts by MSI-X" grew "$case" back msis
	# What was lost does not come back by itself, so the last value tells of the front's boot and of each start of the back.
	if [[ $way == direct ]]; then
		skip "$case: the VM's TSCs and master clock: this machine's KVM may tell of other VMs as well"
	else
		tscs=$(outer_fact "$case" tscs) clock=$(outer_fact "$case" masterclock) source=$(outer_fact "$case" clocksource)
		verdict "$case: the back's starts leave the vCPUs' TSCs together (in turn: ${tscs:-nothing said})" tscs_together "$tscs"
		if [[ $source == tsc ]]; then
			verdict "$case: and the VM its master clock (in turn: ${clock:-nothing said})" grep -q ' 1$' <<<" $clock"
		else
			skip "$case: the VM's master clock: KVM has none with the outer machine's clock source, ${source:-which it did not say}"
		fi
	fi
	if [[ $restart == restart ]]; then
		verdict "$case: the restarted back joins again" grew "$case" front link_ups after again
		verdict "$case: ping and ibv_rc_pingpong after the restart" said "$case" '^front\| pass again rc_pingpong'
	fi
	verdict "$case: no warning in a kernel log, both alive to the end" silent "$case"
}

# The device's own tests: each says ok, none says something else.
judge_device() {
	local name
	for name in executing/last-command executing/back executing/on-crash executing/heartbeat executing/cannot-execute executing/ports executing/lint; do
		verdict "device: $name" grep -Eq "^ok [0-9]+ /x86_64/multios/$name\$" "$OUT/device.log"
	done
	say "$(grep -v '^ok \|^outer: ' "$OUT/device.log")"
}

### main

way=auto cases=()
while (($#)); do
	case $1 in
	--way) way=${2:?--way takes auto, direct or nested}; shift ;;
	--way=*) way=${1#*=} ;;
	-h | --help) usage; exit 0 ;;
	*)
		[[ $1 =~ ^(on|split)-[12](-restart)?$ ]] || die "'$1': a case is on or split, a dash, and 1 or 2, and perhaps -restart (see --help)"
		cases+=("$1")
		;;
	esac
	shift
done
[[ $way =~ ^(auto|direct|nested)$ ]] || die "--way $way: it must be auto, direct or nested"
# TEST_CASE names machines (on-1, split-2-restart) or checks, which then are looked for in the machines that run by default.
if ((!${#cases[@]})) && [[ -n ${TEST_CASE:-} ]]; then
	mapfile -t cases < <(printf '%s\n' {on,split}-{1,2}{,-restart} | grep -F -e "$TEST_CASE") || true
fi
if ((!${#cases[@]})); then
	cases=(on-1 split-2-restart)
	[[ ${VM_LONG:-0} == 0 ]] || cases=(on-1-restart split-1-restart on-2-restart split-2-restart)
fi

need_host
VERSION=$("$MULTIOS_ROOT/scripts/build-kernels" --list | cut -d' ' -f1)
KERNEL=$("$MULTIOS_ROOT/scripts/build-kernels" "$VERSION" | tail -n 1)
QEMU=${MULTIOS_QEMU:-}
[[ -n $QEMU ]] || QEMU=$("$MULTIOS_ROOT/scripts/build-qemu" | tail -n 1)/bin/qemu-system-x86_64
DEVICE_TEST=${QEMU%/bin/*}/libexec/multios-test
[[ -x $DEVICE_TEST ]] || die "$DEVICE_TEST is missing: MULTIOS_QEMU must be in what scripts/build-qemu prints"
ROOT_IMAGE=$("$MULTIOS_ROOT/scripts/build-image" root)
alone kvm
rm -rf "$OUT"
mkdir -p "$OUT"
tap_begin

real=$(accel_of "$QEMU" "$KERNEL" auto)
if [[ $way == auto ]]; then
	way=nested
	[[ $real != kvm ]] || way=direct
fi
case $way in
direct) say "way: direct, /dev/kvm of this machine runs stock guests" ;;
nested) say "way: nested, in an emulated machine with SVM" ;;
esac
if [[ $real == tcg && -e /dev/kvm ]]; then
	# Whoever asks for KVM here must be told, and not left with a machine that does not start.
	told=$( (accel_of "$QEMU" "$KERNEL" kvm) 2>&1 || true)
	verdict "a /dev/kvm that is of no use is recognised: $told" grep -q 'KVM is not usable here' <<<"$told"
else
	skip "a /dev/kvm that is of no use: this machine has none"
fi
"$way"
judge_device
for case in "${cases[@]}"; do judge "$case"; done
say "$SECONDS s; logs: build/kvm"
tap_end

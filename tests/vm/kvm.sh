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
. "$MULTIOS_ROOT/tests/vm/lib-nested.sh"

OUT=$MULTIOS_BUILD/kvm
# Bounds of one machine, in seconds: they are met even on a busy host.
DEVICE_SECONDS=360 CASE_SECONDS=400

# Whatever ends this script ends its machines.
lab_up=0
leave() {
	outer_leave
	((!lab_up)) || "$MULTIOS_ROOT/scripts/lab" down --name kvm || true
}
trap leave EXIT

### The two ways: each leaves what the kernels of a case printed in $OUT/CASE.log, lines marked "front| " and "back| ".

nested() {
	local dir=$OUT/nested log=$OUT/outer.log case
	rm -rf "$dir"
	mkdir -p "$dir"
	log "collecting what the inner machine needs ..."
	nested_disk "$dir"
	outer_initrd outer-rc "$dir/outer"
	outer_tries "$dir" "$log" "$((BOOT_SECONDS + DEVICE_SECONDS + CASE_SECONDS * ${#cases[@]}))" \
		"multios.limit=$((CASE_SECONDS - 10)) multios.cases=$(IFS=,; echo "${cases[*]}")"
	for case in device "${cases[@]}"; do outer_case "$log" "$case"; done
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

# tscs_together MATCHED/VCPUS...: in the end as many go together with the first as there are others.
tscs_together() {
	local last=${1##* }
	[[ $last =~ ^[0-9]+/[0-9]+$ ]] && ((${last%/*} + 1 == ${last#*/}))
}

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
nested_needs
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

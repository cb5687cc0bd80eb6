# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Whether this machine's KVM runs stock guests: some hosts have a /dev/kvm that opens but boots nothing. Source after lib.sh.

# accel_of QEMU KERNEL-DIR WANT: prints kvm or tcg for WANT = auto, kvm or tcg. The verdict on KVM comes from booting the
# stock kernel until it says its version, and is kept for this boot of the host.
accel_of() {
	local qemu=$1 kernel=$2 want=$3 verdict file
	case $want in
	tcg)
		echo tcg
		return
		;;
	auto | kvm) ;;
	*) die "--accel $want: it must be tcg, kvm or auto" ;;
	esac
	if [[ ! -e /dev/kvm ]]; then
		verdict='no: there is no /dev/kvm'
	elif [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
		verdict="no: /dev/kvm may not be opened by $(id -un) (add the user to group kvm)"
	else
		file=$MULTIOS_CACHE/kvm/$(cat /proc/sys/kernel/random/boot_id)
		if [[ ! -s $file ]]; then
			mkdir -p "${file%/*}"
			kvm_probe "$qemu" "$kernel" >"$file.$$"
			mv "$file.$$" "$file"
		fi
		verdict=$(cat "$file")
	fi
	if [[ $verdict == yes ]]; then
		echo kvm
	elif [[ $want == kvm ]]; then
		die "--accel kvm: KVM is not usable here ($verdict)"
	else
		log "KVM is not usable here (${verdict#no: }): running under TCG"
		echo tcg
	fi
}

# kvm_probe QEMU KERNEL-DIR: "yes", or "no: why". In a subshell, as accel_of is.
kvm_probe() {
	local out line pid deadline=$((SECONDS + 20))
	out=$(mktemp)
	log "trying whether /dev/kvm runs a stock guest ..."
	# Through a shell of its own, which keeps it to itself when QEMU is killed by a signal.
	# shellcheck disable=SC2016
	setsid sh -c '"$@"; exit $?' sh "$1" -nodefaults -no-user-config -display none -M q35 -accel kvm -cpu host -m 256M -no-reboot -serial "file:$out" \
		-kernel "$2/vmlinuz" -append "console=ttyS0 earlyprintk=serial panic=-1" >"$out.err" 2>&1 </dev/null &
	pid=$!
	# In a group of its own it would outlive us.
	trap 'kill -- "-$pid" 2>/dev/null; exit 130' INT TERM HUP
	while :; do
		if grep -q 'Linux version' "$out"; then
			line=yes
			break
		fi
		if ! kill -0 "$pid" 2>/dev/null; then
			line="no: QEMU says $(grep -m1 . "$out.err" | cut -c1-150)"
			break
		fi
		if ((SECONDS >= deadline)); then
			line="no: it opens, but a stock kernel printed nothing within 20 s"
			break
		fi
		sleep 0.1
	done
	kill -- "-$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	rm -f "$out" "$out.err"
	echo "$line"
}

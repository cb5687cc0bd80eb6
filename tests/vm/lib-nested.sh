# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# A multios VM under KVM in an outer machine whose CPU is emulated: what the suites kvm and passthrough share. Source after
# scripts/lib.sh and tests/lib-tap.sh, set OUT and call nested_needs.

HERE=$MULTIOS_ROOT/tests/vm/nested
# Bound of the outer machine's boot, in seconds: enough on a busy host.
BOOT_SECONDS=150

# Whatever ends this script ends the machine.
outer_pid=''
outer_leave() { [[ -z $outer_pid ]] || kill "$outer_pid" 2>/dev/null || true; }

# errexit is on here; a test that failed does not end the suite.
verdict() { check "$@" || true; }

# nested_needs: builds what the machines boot from, and sets the variables that this file uses.
nested_needs() {
	VERSION=$("$MULTIOS_ROOT/scripts/build-kernels" --list | cut -d' ' -f1)
	KERNEL=$("$MULTIOS_ROOT/scripts/build-kernels" "$VERSION" | tail -n 1)
	QEMU=${MULTIOS_QEMU:-}
	[[ -n $QEMU ]] || QEMU=$("$MULTIOS_ROOT/scripts/build-qemu" | tail -n 1)/bin/qemu-system-x86_64
	DEVICE_TEST=${QEMU%/bin/*}/libexec/multios-test
	[[ -x $DEVICE_TEST ]] || die "$DEVICE_TEST is missing: MULTIOS_QEMU must be in what scripts/build-qemu prints"
	ROOT_IMAGE=$("$MULTIOS_ROOT/scripts/build-image" root)
}

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
	cp "$KERNEL/vmlinuz" "$HERE"/{inner,device,watch} "$tree/"

	cp "$HERE"/{report,traffic,pingpong,front-nic} "$dir/front/multios/kvm/"
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

# outer_initrd RC FILE: system start RC (of nested/) for the outer machine, which is a peer of the lab otherwise.
outer_initrd() {
	local tree=$OUT/outer
	rm -rf "$tree"
	mkdir -p "$tree/multios/kvm"
	cp "$HERE/$1" "$tree/multios/rc"
	cp "$HERE"/{outer-env,pingpong} "$tree/multios/kvm/"
	echo '::sysinit:/run/multios/rc' >"$tree/multios/inittab"
	with_files "$("$MULTIOS_ROOT/scripts/build-image" peer "$VERSION")" "$tree" "$2"
}

### The outer machine

# outer_booted CONSOLE: outer-rc is past its stock part.
outer_booted() { grep -qE '^outer: (ready|failed)' "$1"; }

# outer_machine IMAGES CONSOLE LIMIT PARAMETERS [OPTION...]: the outer machine from its start to its end, what it says being
# shown. PARAMETERS are for its kernel's command line, OPTIONs for QEMU. Fails if it did not get ready: until then only stock
# software runs there.
outer_machine() {
	local dir=$1 log=$2 limit=$3 parameters=$4 name start=$SECONDS shown=0 lines status=0
	shift 4
	: >"$log"
	timeout -k 5 "$limit" "$QEMU" -name multios-kvm-outer -nodefaults -no-user-config -display none -no-reboot \
		-M q35,sata=off,smbus=off -accel tcg,thread=multi -cpu max,+svm,+npt -smp 3 -m 4G \
		-kernel "$KERNEL/vmlinuz" -initrd "$dir/outer" \
		-append "console=ttyS0 tsc=reliable no_timer_check mitigations=off panic=-1 $parameters" \
		-chardev "file,id=con,path=$log" -serial chardev:con \
		-drive "if=none,id=root,format=raw,snapshot=on,file=$ROOT_IMAGE" -device virtio-blk-pci,drive=root,serial=root \
		-drive "if=none,id=modules,format=raw,readonly=on,file=$KERNEL/modules.img" \
		-device virtio-blk-pci,drive=modules,serial=modules \
		-drive "if=none,id=nested,format=raw,readonly=on,file=$dir/nested.img" -device virtio-blk-pci,drive=nested,serial=nested \
		-drive "if=none,id=inner,format=raw,readonly=on,file=$ROOT_IMAGE" -device virtio-blk-pci,drive=inner,serial=inner \
		"$@" \
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

# outer_tries IMAGES CONSOLE ARG...: outer_machine; again if it did not get ready.
outer_tries() {
	local try
	for try in 1 2 3; do
		log "outer machine: TCG, emulated CPU with SVM, 3 vCPUs; at most $3 s"
		if outer_machine "$@"; then return; fi
		cp "$2" "$OUT/outer-$try.log"
	done
}

# outer_case CONSOLE CASE: writes the case's part of the console to $OUT/CASE.log, for the judge.
outer_case() { tr -d '\r' <"$1" | sed -n "/^outer: begin $2\$/,/^outer: end $2\$/p" >"$OUT/$2.log"; }

### What the judges read: $OUT/CASE.log

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

said() { grep -qE "$2" "$OUT/$1.log"; }

# silent CASE: no complaint of a kernel, and a report of each OS at the end. Prints what is missing.
silent() {
	local os bad=0
	if grep -E '\| fact [a-z]* complaint ' "$OUT/$1.log"; then bad=1; fi
	for os in front back; do
		said "$1" "^$os\| fact after end" || { echo "no report of the $os after the traffic"; bad=1; }
	done
	return "$bad"
}

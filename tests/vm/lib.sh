# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034,SC2086 # much here is for the suites; SHARED_LAB is words
# What the VM suites share: a lab, commands in its guests, checks that are counted, kernel logs that are read.
#
# A suite sources this, calls vm_begin "$@", runs checks, and ends with vm_end. Options of every suite:
#   --plain      an ordinary VM with stock rdma_rxe in the front's place: proves the suite itself
#   --long       the variants that take long, too
#   --seed N     of everything random (else a new one, printed)
#   --keep       leave the lab running at the end, and use one that a suite left
#   --up ARG     one further argument of lab up (repeatable)
#   --case TEXT  only the tests whose name contains TEXT, and the steps that prepare the machines for them
#
# The output is TAP (tests/lib-tap.sh). A line "# + GUEST: ..." is a command that runs in a guest.

set -u
set -o pipefail
VM_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$VM_ROOT/scripts/lib-alone.sh"
. "$VM_ROOT/scripts/lib-session.sh"
. "$VM_ROOT/tests/lib-tap.sh"
VM_BUILD=$VM_ROOT/build/vm
SUITE=${0##*/}
SUITE=${SUITE%.sh}
LAB=${VM_LAB:-vmtest}
LAB_DIR=$VM_ROOT/build/lab/$LAB
PLAIN=0 LONG=${VM_LONG:-0} KEEP=${VM_KEEP:-0} SEED=${VM_SEED:-$(date +%s)}
UP_ARGS=()
# The commands of tests that others build on: they run whatever --case says.
TAP_PREPARES=' set_mtu set_features netem load unload reachable vm_up vlan '
STARTED=$SECONDS
export LC_ALL=C.UTF-8

vm_begin() {
	while (($#)); do
		case $1 in
		--plain) PLAIN=1 ;;
		--long) LONG=1 ;;
		--keep) KEEP=1 ;;
		--case) TEST_CASE=${2:?--case takes a part of a name}; shift ;;
		--seed) SEED=${2:?--seed takes a number}; shift ;;
		--up) UP_ARGS+=("${2:?--up takes an argument}"); shift ;;
		-h | --help)
			sed -n -e '1,/^# SPDX/d' -e '/^#/!q' -e 's/^# \{0,1\}//p' "$0"
			echo
			sed -n -e '/^# A suite sources/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
			exit 0
			;;
		*)
			echo "$SUITE: error: unknown option '$1' (see --help)" >&2
			exit 2
			;;
		esac
		shift
	done
	((PLAIN)) && UP_ARGS=(--plain "${UP_ARGS[@]}")
	mkdir -p "$VM_BUILD"
	alone "$LAB"
	session_open || exit 1
	tap_begin
	say "seed $SEED"
	trap vm_leave EXIT
	trap 'exit 130' INT TERM
}

vm_end() {
	say "$SUITE: $((SECONDS - STARTED)) s"
	tap_end
}

vm_leave() {
	((KEEP)) || lab down >/dev/null 2>&1 || true
	session_close
}

### The lab

# What the suites that share one lab start it with: modules that look at their assertions.
SHARED_LAB='--front-vcpus 2 --mtu 9000 --debug'

# lab COMMAND ARGS...
lab() {
	local command=$1
	shift
	# A start takes long, and says how far it is. What it starts outlives the suite, and must not keep its output open.
	case $command in
	up | down | migrate) "$VM_ROOT/scripts/lab" "$command" --name "$LAB" "$@" {TAP_OUT}>&- {SESSION}>&- ;;
	*) session "$command" --name "$LAB" "$@" ;;
	esac
}

# vm_up ARGS...: a lab that was started with just these arguments, running already or anew.
vm_up() {
	local args="$* ${UP_ARGS[*]}${MULTIOS_QEMU:+ $MULTIOS_QEMU}" log=$VM_BUILD/$SUITE-up.log
	if [[ -f $LAB_DIR/config && $(cat "$VM_BUILD/$LAB.args" 2>/dev/null) == "$args" ]] && lab status >/dev/null 2>&1; then
		say "using the lab that runs: $args"
	else
		lab down >/dev/null 2>&1
		say "lab up $args"
		if ! lab up "$@" "${UP_ARGS[@]}" >"$log" 2>&1; then
			say "$(tail -n 40 "$log" | sed 's/^/    /')"
			return 1
		fi
		echo "$args" >"$VM_BUILD/$LAB.args"
		say "$(grep 'has stalled' "$log"; tail -n 1 "$log")"
	fi
	GUESTS=$(lab_config GUESTS)
	log_mark
}

# shared_lab [back]: the lab that suites share is up, and front and peer reach each other at MTU 1500. "back": the suite
# has nothing to test without a back OS.
shared_lab() {
	vm_up $SHARED_LAB || tap_abort "lab up"
	[[ ${1:-} != back ]] || has_guest back || tap_abort "this suite needs a multios VM, not --plain"
	set_mtu 1500 >/dev/null || tap_abort "front and peer do not reach each other"
}

# lab_config NAME: what the running lab was started with.
lab_config() {
	# shellcheck source=/dev/null
	(. "$LAB_DIR/config" && echo "${!1}")
}

has_guest() { [[ " $GUESTS " == *" $1 "* ]]; }

# on GUEST [-t SECONDS] SCRIPT [ARG...]: a shell script in a guest; its output and status.
on() {
	local guest=$1 seconds=60
	shift
	if [[ $1 == -t ]]; then
		seconds=$2
		shift 2
	fi
	printf '# + %s: %s\n' "$guest" "${*//$'\n'/$'\n# +     '}" >&"$TAP_OUT"
	lab exec "$guest" --timeout "$seconds" -- sh -c "$1" sh "${@:2}"
}

# start_on GUEST NAME SCRIPT: in the background of the guest; its output goes to /tmp/NAME.out, its status to /tmp/NAME.rc.
start_on() {
	on "$1" "rm -f /tmp/$2.rc /tmp/$2.out; (sh -c \"\$1\"; echo \$? >/tmp/$2.rc) >/tmp/$2.out 2>&1 </dev/null & echo \$! >/tmp/$2.pid" "$3"
}

# end_of GUEST NAME SECONDS: waits for it, prints its output, returns its status (124: not done in time).
end_of() {
	on "$1" -t $(($3 + 10)) "i=0; while [ ! -s /tmp/$2.rc ]; do i=\$((i + 1)); [ \$i -lt $(($3 * 5)) ] || { cat /tmp/$2.out; exit 124; }; sleep 0.2; done
		cat /tmp/$2.out; exit \$(cat /tmp/$2.rc)"
}

# push GUEST FILE DEST
push() { lab push "$@"; }

# The front's and the peer's Ethernet device; the back's NIC.
# shellcheck disable=SC2016 # the guest's variables
netdev() {
	case $1 in
	back | peer-back) on "$1" 'for d in /sys/class/net/*; do case $(readlink -f $d/device) in */pci*) echo ${d##*/} ;; esac; done' ;;
	*) on "$1" 'for d in /sys/class/net/*; do [ ! -e $d/device ] || echo ${d##*/}; done' ;;
	esac | head -n 1
}

# The RDMA device of a guest.
rdma_dev() { on "$1" 'ls /sys/class/infiniband' | head -n 1; }

# back_is PROPERTY: of the device: state, generation, reason.
back_is() { lab qmp front qom-get "{\"path\":\"/machine/peripheral/mos0\",\"property\":\"back-$1\"}" | tr -d '"'; }

# back_set PROPERTY JSON: of the device.
back_set() { lab qmp front qom-set "{\"path\":\"/machine/peripheral/mos0\",\"property\":\"back-$1\",\"value\":$2}" >/dev/null; }

# back_restarted GENERATION: waits until the back has been started after that one, and its user space is up.
back_restarted() {
	local now=$1
	for _ in $(seq 120); do
		now=$(back_is generation)
		[[ $now == "$1" ]] || break
		sleep 0.5
	done
	[[ $now != "$1" ]] || { echo "the back's generation stays $now, its state is $(back_is state)"; return 1; }
	lab wait back 90 && for _ in $(seq 40); do on back '[ -e /sys/class/net/mos0/brport ]' && return; sleep 0.5; done
	return 1
}

front_ip=10.77.0.1 front_ip6=fd77::1 peer_ip=10.77.0.2 peer_ip6=fd77::2 back_ip=10.77.0.3 back_ip6=fd77::3

# set_mtu N: of every device on the way. The lab must be up with at least that.
set_mtu() {
	local mtu=$1 guest
	for guest in $GUESTS; do
		case $guest in
		*back) on "$guest" "for d in $(netdev "$guest") mos0 br0; do [ ! -e /sys/class/net/\$d ] || ip link set \$d mtu $mtu || exit 1; done" ;;
		*) on "$guest" "ip link set $(netdev "$guest") mtu $mtu" ;;
		esac || return 1
	done
	# A path MTU that was learnt while the devices disagreed must not linger.
	for guest in front peer; do on "$guest" 'ip route flush cache; ip -6 route flush cache'; done
	reachable
}

# reachable: front and peer answer each other in both families, waiting up to 20 s for it.
reachable() {
	on front -t 50 "i=0; until ping -c 1 -W 1 $peer_ip && ping -c 1 -W 1 $peer_ip6; do i=\$((i + 1)); [ \$i -lt 20 ] || exit 1; done"
}

# gid_now GUEST ADDRESS: index of the RoCE v2 GID that is ADDRESS (IPv4, or IPv6 written like xx::y).
# shellcheck disable=SC2016 # the guest's
gid_now() {
	local want
	case $2 in
	*:*) want=$(python3 -c 'import ipaddress, sys; print(ipaddress.ip_address(sys.argv[1]).exploded)' "$2") ;;
	*) want=$(printf '0000:0000:0000:0000:0000:ffff:%02x%02x:%02x%02x' ${2//./ }) ;;
	esac
	on "$1" 'for i in $(seq 0 40); do
		[ "$(cat $1/gids/$i 2>/dev/null)" != $2 ] || ! grep -q "RoCE v2" $1/gid_attrs/types/$i || { echo $i; exit 0; }
		done; exit 1' "/sys/class/infiniband/$(rdma_dev "$1")/ports/1" "$want"
}
# The table follows the addresses by a workqueue.
gid() { for _ in $(seq 25); do gid_now "$@" && return; done; return 1; }
no_gid() { for _ in $(seq 25); do gid_now "$@" >/dev/null || return 0; done; return 1; }

### Our modules

# unload front|back, load front|back: the module and what the guest's start did with it.
unload() {
	local module=multios_rdma
	[[ $1 == front ]] || module=multios_net
	on "$1" -t 40 "rmmod $module"
}

load() {
	case $1 in
	front)
		on front -t 40 "modprobe multios_rdma && i=0; until dev=\$(ls -d /sys/bus/pci/drivers/multios_rdma/0*/net/* 2>/dev/null) && [ -n \"\$dev\" ]; do
				i=\$((i + 1)); [ \$i -lt 100 ] || exit 1; sleep 0.1; done
			udevadm settle -t 10; dev=\$(ls -d /sys/bus/pci/drivers/multios_rdma/0*/net/*); dev=\${dev##*/}
			ip link set \$dev mtu ${2:-1500} && ip addr replace $front_ip/24 dev \$dev && ip addr replace $front_ip6/64 dev \$dev nodad && ip link set \$dev up"
		;;
	back)
		on back -t 40 "modprobe multios_net && i=0; until [ -e /sys/class/net/mos0 ]; do i=\$((i + 1)); [ \$i -lt 100 ] || exit 1; sleep 0.1; done
			ip link set mos0 mtu ${2:-1500} && ip link set mos0 master br0 && ip link set mos0 up"
		;;
	esac
}

### Programs and modules of ours

# kernel_dir GUEST: what build-kernels made of the guest's kernel.
kernel_dir() { "$VM_ROOT/scripts/build-kernels" "$(lab_config "$1_kernel")" | tail -n 1; }

# guest_module GUEST NAME: builds tests/vm/bad/NAME for the guest's kernel and prints the path of multios_NAME.ko.
guest_module() {
	local name=$2 kernel build key
	kernel=$(kernel_dir "$1")
	build=$VM_BUILD/$name-$(cat "$kernel/release")
	key=$(find "$VM_ROOT/tests/vm/bad/$name" "$VM_ROOT/shm-ring/include" -type f -exec sha256sum {} + | LC_ALL=C sort)
	if [[ ! -e $build/multios_$name.ko || $(cat "$build/key" 2>/dev/null) != "$key" ]]; then
		rm -rf "$build"
		mkdir -p "$build"
		cp "$VM_ROOT/tests/vm/bad/$name"/* "$build/"
		cp -r "$VM_ROOT/shm-ring/include" "$build/"
		make -C "$kernel/kdir" M="$build" W=1 KCFLAGS=-Werror CONFIG_DEBUG_INFO_BTF_MODULES= modules >"$build/log" 2>&1 || {
			tail -n 20 "$build/log" >&2
			return 1
		}
		echo "$key" >"$build/key"
	fi
	echo "$build/multios_$name.ko"
}

# tool NAME: builds the program, of those in tests/vm/meson.build, and prints its path.
tool() {
	local dir=$VM_ROOT/build/meson log=$VM_BUILD/tool-$1.log
	host_has meson meson /usr/include/infiniband/verbs.h libibverbs-dev /usr/include/rdma/rdma_cma.h librdmacm-dev
	{
		[[ -f $dir/build.ninja ]] || meson setup "$dir" "$VM_ROOT"
		# Libraries that were not there when it was set up are now.
		ninja -C "$dir" -t query "tests/vm/$1" || meson setup --reconfigure "$dir" "$VM_ROOT"
		ninja -C "$dir" "tests/vm/$1"
	} >"$log" 2>&1 || {
		cat "$log" >&2
		return 1
	}
	echo "$dir/tests/vm/$1"
}

# host_has [COMMAND-OR-FILE PACKAGE]...: installs those Debian packages of the host that are missing.
host_has() {
	printf '%s %s\n' "$@" | MULTIOS_PROG=$SUITE bash -c '. "$1/scripts/lib.sh"; host_packages' bash "$VM_ROOT" >&2
}

# put_tool NAME GUEST...: the program as /tmp/NAME in guests, once per boot.
put_tool() {
	local name=$1 file guest sum
	shift
	file=$(tool "$name") || tap_abort "building $name"
	sum=$(sha256sum <"$file" | cut -c1-16)
	for guest; do
		on "$guest" "[ -e /tmp/$name.$sum ]" || push "$guest" "$file" "/tmp/$name" || tap_abort "copying $name to $guest"
		on "$guest" "touch /tmp/$name.$sum"
	done
}

# verbs_check SERVER CLIENT ADDRESS SECONDS OPTIONS...: SERVER's ADDRESS is what CLIENT connects to. Prints both sides' output.
verbs_check() {
	local server=$1 client=$2 address=$3 seconds=$4 rc=0 rc2=0
	shift 4
	start_on "$server" vcs "/tmp/verbs-check -w 60" || return
	on "$client" -t "$seconds" "/tmp/verbs-check -w 30 $* $address" || rc=$?
	end_of "$server" vcs 30 | sed 's/^/server: /' || rc2=$?
	((!rc && !rc2)) && return
	# What still waits for the other side must not be in the next one's way.
	on front "kill -9 \$(pidof verbs-check) 2>/dev/null"
	on peer "kill -9 \$(pidof verbs-check) 2>/dev/null"
	return 1
}

# traffic_end SECONDS: ends verbs-check between front and peer, started as vcc and vcs; false if either found a fault, or
# the front's is not done in time.
# shellcheck disable=SC2016 # the guest's
traffic_end() {
	local rc=0
	on front 'kill -s USR1 $(pidof verbs-check)' || rc=1
	end_of front vcc "$1" || rc=1
	end_of peer vcs 30 || rc=1
	return $rc
}

# says GUEST WORDS FILE [TENTHS]: waits until a program has written them there, 10 s at most.
says() {
	on "$1" "i=0; until grep -q '$2' '$3'; do i=\$((i + 1)); [ \$i -lt ${4:-100} ] || exit 1; sleep 0.1; done"
}

# listening GUEST: a server of ibverbs' examples or of perftest takes its client there.
# shellcheck disable=SC2016 # the guest's
listening() { on "$1" 'i=0; until ss -ltnH "sport = :18515" | grep -q .; do i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done'; }

# cm_listening GUEST: a server of rdma_cm takes its clients there.
# shellcheck disable=SC2016 # the guest's
cm_listening() { on "$1" 'i=0; until rdma resource show cm_id | grep -q "state LISTEN"; do i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done'; }

# under_way [PACKETS]: waits until the front's RDMA device has sent so many packets more, 200 at least.
under_way() {
	# shellcheck disable=SC2016 # the guest's
	on front 'sent() { cat /sys/class/infiniband/$1/ports/1/hw_counters/sent_pkts; }
		end=$(($(sent $1) + $2)) i=0
		until [ $(sent $1) -ge $end ]; do i=$((i + 1)); [ $i -lt 400 ] || { echo "no traffic"; exit 1; }; sleep 0.1; done' \
		"$(rdma_dev front)" "${1:-200}"
}

# Free memory of a guest when nothing runs, KiB. What the CPUs keep in lists of their own (dozens of MiB) is free, too.
# shellcheck disable=SC2016 # the guest's
memory() {
	on "$1" 'sync; echo 3 >/proc/sys/vm/drop_caches; sleep 0.5
		awk "/^(MemFree|Buffers|Cached):/ { n += \$2 } /^ *count:/ { n += \$2 * 4 } END { print n }" /proc/meminfo /proc/zoneinfo'
}

# pinned GUEST: pages that are pinned for devices now. The counters are the CPUs' own until somebody sums them.
# shellcheck disable=SC2016 # the guest's
pinned() { on "$1" 'cat /proc/sys/vm/stat_refresh; awk "/^nr_foll_pin_acquired/ { n += \$2 } /^nr_foll_pin_released/ { n -= \$2 } END { print n }" /proc/vmstat'; }

# objects GUEST: how many of each kind its RDMA device has, "pd 1 cq 1 qp 1 ...": the management queue pair's alone when
# no application runs.
objects() { on "$1" 'rdma resource show' | sed 's/^[0-9]*: [^:]*: //; s/ *$//'; }

# check_no_more NAME OBJECTS BEFORE: of no kind there are more. There may be fewer: the completion queues that kernel users
# share stay with a device, but not with a module that was loaded again in between.
check_no_more() {
	chosen "$1" || return 0
	if [[ $2 == pd\ * ]] && awk -v now="$2" -v before="$3" 'BEGIN {
			n = split(before, b); for (i = 1; i < n; i += 2) was[b[i]] = b[i + 1]
			n = split(now, a); for (i = 1; i < n; i += 2) if (a[i + 1] > was[a[i]]) exit 1
			exit 0
		}'; then
		pass "$1"
	else
		fail "$1"
		say "    are '$2', were '$3'"
	fi
}

# run_programs [ROW...]: unmodified programs between front and peer, each with the server on either side (between two
# multios VMs, which are alike, in turn): rows of scripts/lib-programs.sh's table, without ROW all of it.
run_programs() {
	local sides=2
	! has_guest peer-back || sides=1
	programs_on $sides "$@"
}
# run_programs_in_turn ROW...: each with the server on one side.
run_programs_in_turn() { programs_on 1 "$@"; }

programs_on() {
	local sides=$1 name waits server client shows turn=0
	shift
	LAB_NAME=$LAB
	# shellcheck source=../../scripts/lib-programs.sh
	. "$VM_ROOT/scripts/lib-programs.sh"
	for name in front peer; do programs_know $name || true; done
	while IFS='|' read -r -u 9 name waits server client shows; do
		turn=$((!turn))
		if ((turn || sides == 2)); then
			check "$name, client in the front" program peer front "$waits" "$server" "$client" "$shows"
		fi
		if ((!turn || sides == 2)); then
			check "$name, server in the front" program front peer "$waits" "$server" "$client" "$shows"
		fi
	done 9< <(if (($#)); then printf '%s\n' "$@"; else programs_table; fi)
}
program() {
	program_run "$1" "$2" "${PROGRAMS_ADDRESS[$1]}" 120 "$3" "$4" "$5" "$6" && return
	echo "$PROGRAM_OUTPUT"
	return 1
}

### Kernel logs

LOG_BAD='BUG:|BUG at|WARNING:|Oops|general protection|Call Trace|possible (circular|recursive)|inconsistent lock state'
LOG_BAD+='|unregister_netdevice: waiting|refcount_t:|KASAN|UBSAN|list_(add|del) corruption|soft lockup|hard LOCKUP|self-detected stall'
LOG_BAD+='|rcu.*stall|blocked for more than|Bad page (state|map)|nobody cared|Kernel panic|scheduling while atomic|sleeping function'
LOG_BAD+='|page allocation failure|NETDEV WATCHDOG|Tainted: .*[BDW]|bad: scheduling|double fault|stack segment|invalid opcode|unable to handle'
# What only a debug kernel says.
LOG_BAD+='|non-static key|locking correctness validator|new suspected memory leaks'

# A program's own fault, which the kernel notes as well.
LOG_CRASH='traps: [^ ]+\[[0-9]+\] |[^ ]+\[[0-9]+\]: segfault at'

# log_mark: from here on.
log_mark() {
	local guest
	for guest in $GUESTS; do LOG_FROM[$guest]=$(wc -c <"$LAB_DIR/$guest.log"); done
	for guest in $GUESTS; do on "$guest" "echo 'multios-test: $SUITE' >/dev/kmsg"; done
}
declare -A LOG_FROM=()

# log_since GUEST: kernel log and console since the mark.
log_since() {
	tail -c "+$((${LOG_FROM[$1]:-0} + 1))" "$LAB_DIR/$1.log" | tr -d '\r'
	on "$1" -t 20 dmesg 2>/dev/null | awk -v m="multios-test: $SUITE" 'index($0, m) { n = 0; delete l } { l[n++] = $0 } END { for (i = 0; i < n; i++) print l[i] }'
}

# crashes: of the log on stdin, the lines that tell of crashed programs, but for those of whom program_run says why they may:
# qperf, and perftest's clients that were rejected and then free what they have not got.
crashes() {
	LOG_CRASH=$LOG_CRASH awk '
		match($0, /multios-program: may crash: /) { excused[substr($0, RSTART + RLENGTH)] = 1; next }
		$0 ~ ENVIRON["LOG_CRASH"] {
			name = $0
			sub(/\[[0-9]+\].*/, "", name)
			sub(/.*[ ]/, "", name)
			crash[$0] = name
		}
		# The excuse comes after the crash: its reason is in what the program printed.
		END { for (line in crash) if (!(crash[line] in excused)) print line }'
}

# check_logs NAME: no kernel has complained and no program has crashed since the mark.
check_logs() {
	local guest bad=0 found log
	for guest in $GUESTS; do
		if ! on "$guest" -t 20 true; then
			fail "$1: $guest does not answer"
			say "$(tail -n 20 "$LAB_DIR/$guest.log" | tr -d '\r' | sed 's/^/    /')"
			bad=1
			continue
		fi
		log=$(log_since "$guest")
		found=$(crashes <<<"$log" | sort -u | head -n 15)
		if [[ -n $found ]]; then
			fail "$1: a program of $guest crashed"
			say "    ${found//$'\n'/$'\n    '}"
			bad=1
		fi
		found=$(grep -aE "$LOG_BAD" <<<"$log" | grep -avE "$LOG_CRASH" | sort -u | head -n 15)
		[[ -z $found ]] && continue
		fail "$1: kernel log of $guest"
		say "    ${found//$'\n'/$'\n    '}"
		# The trace of the first complaint.
		found=$(grep -aE -m 1 -A 40 "$LOG_BAD" <<<"$log")
		say "    ${found//$'\n'/$'\n    '}"
		bad=1
	done
	((bad)) || pass "$1: kernel logs of $GUESTS are clean"
}

# Counter NAME of ethtool -S of a device, 0 if there is none.
counter() { on "$1" "ethtool -S $2" | awk -F': *' -v n="$3" '{ gsub(/^ +/, "", $1) } $1 == n { v = $2 } END { print v + 0 }'; }

#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/failover.sh [OPTIONS]
#
# The back OS dies under checked RC traffic: it panics, with the kernel's defaults; it hangs with interrupts off, and in a
# softirq. The device notices, says why, starts it again; connections go on, and the front OS with its processes is the same.
# Within grace_ms carrier and port stay up, within outage_ms no retry counts. First with a back that boots each time, then with
# one that starts from its standby state. Prints how long each outage was.
# --long: 200 faults in random order and combination beside the same connections, and memory before and after them; a front
# that boots another kernel by kexec.
# FAULTS: so many (these alone: --case faults).

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
shared_lab back
put_tool verbs-check front peer
boot_id_of='cat /proc/sys/kernel/random/boot_id'
boot_id=$(on front "$boot_id_of")
module=$(guest_module back hang) || tap_abort "building the module that hangs"

front_dev=$(netdev front) front_rdma=$(rdma_dev front)

# How the back dies. It answers first.
panics() { on back 'echo 0 >/proc/sys/kernel/panic; (sleep 0.5; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &'; }
hangs() { push back "$module" /tmp/hang.ko && on back "insmod /tmp/hang.ko kind=$1"; }

# note_outage NAME: notes the longest time without an answer to a ping, and the time without a link to the back.
note_outage() {
	on front 'pkill -INT -x ping; sleep 0.2
		link=$(dmesg | sed -n "s/.*traffic goes on after \([0-9]*\) ms.*/\1/p" | tail -n 1)
		awk -F "[][]" -v link="$link" -v name="$1" "/bytes from/ { if (n++ && \$2 - was > gap) gap = \$2 - was; was = \$2 }
			END { printf \"%-44s ping %6d ms   link %6d ms\n\", name, gap * 1000, link }" /tmp/gap.out' "$1" | tee -a "$FIGURES"
}
FIGURES=$VM_BUILD/failover.figures
rm -f "$FIGURES"

# rc_traffic SECONDS: RC connections whose messages, their content and their completions are checked by both ends.
rc_traffic() {
	start_on peer vcs '/tmp/verbs-check -w 30' &&
		start_on front vcc "/tmp/verbs-check -w 30 -k -s $1 -q 2 -z 100000 -t 20 -T 100 -o write,read,send,add $peer_ip" && under_way 200
}

state_becomes() {
	for _ in $(seq 100); do
		[[ $(back_is state) != "$1" ]] || return 0
		sleep 0.2
	done
	echo "the back is $(back_is state), must be $1"
	return 1
}

# dies REASON WORD CMD...: CMD ends the back; the device's REASON, the front's log has WORD for it. RC connections outlive
# it.
dies() {
	local reason=$1 word=$2 before rc=0
	shift 2
	before=$(back_is generation) || return
	rc_traffic 300 && start_on front gap "exec ping -D -i 0.02 $peer_ip" && under_way 200 || return
	"$@" || return
	back_restarted "$before" || rc=1
	under_way 200 || rc=1
	note_outage "$how: $*" || rc=1
	traffic_end 60 || rc=1
	[[ $(back_is reason) == "$reason" ]] || { echo "the reason is '$(back_is reason)', must be '$reason'"; rc=1; }
	[[ $(back_is generation) == $((before + 1)) ]] || { echo "the back was started $(($(back_is generation) - before)) times"; rc=1; }
	on front "dmesg | grep 'back OS is running (start $((before + 1)), the last run ended by $word'" || rc=1
	return $rc
}

# perftest with its own time-outs (0.5 s, much less than the back needs): the front is the requester, so only its retries
# matter.
defaults() {
	local before changes rc=0
	# Longer than any boot under TCG.
	times 60000 60000 || return
	before=$(back_is generation) && changes=$(on front "cat /sys/class/net/$front_dev/carrier_changes") || return
	start_on front watch "exec timeout 100 stdbuf -oL ibv_asyncwatch -d $front_rdma" && says front 'async event' /tmp/watch.out &&
		start_on peer wb "timeout -s KILL 100 ib_write_bw -d $(rdma_dev peer) -F -D 20" && listening peer &&
		start_on front wb "timeout -s KILL 100 ib_write_bw -d $front_rdma -F -D 20 $peer_ip" && under_way 200 || return
	panics || return
	back_restarted "$before" && under_way 200 || rc=1
	end_of front wb 60 && end_of peer wb 30 || rc=1
	[[ $(on front "cat /sys/class/net/$front_dev/carrier_changes") == "$changes" ]] || { echo "the carrier went"; rc=1; }
	on front 'pkill -x ibv_asyncwatch && ! grep -q PORT /tmp/watch.out' || { echo "the watcher is gone, or the port went"; rc=1; }
	on front "dmesg | grep -A 99 'start $((before + 1))' | grep 'traffic goes on after [0-9]* ms without a back OS'" || rc=1
	return $rc
}

# both_ways TIMEOUT: perftest writes in both directions, with this exponent for its time-outs (14 is its own), while the back
# panics. The peer counts its retries.
both_ways() {
	local before rc=0
	before=$(back_is generation) || return
	start_on peer wb "timeout -s KILL 60 ib_write_bw -b -u $1 -d $(rdma_dev peer) -F -D 10" && listening peer &&
		start_on front wb "timeout -s KILL 60 ib_write_bw -b -u $1 -d $front_rdma -F -D 10 $peer_ip" && under_way 200 &&
		panics && back_restarted "$before" && end_of front wb 60 && end_of peer wb 60 || rc=1
	on front 'pkill -9 ib_write_bw'
	on peer 'pkill -9 ib_write_bw; true'
	return $rc
}
# What an idle host passes, and a busy one may not: 0.54 s are all that the peer has.
note_own_timeouts() {
	local how='went on'
	both_ways 14 >/dev/null || how='ended'
	printf '%-44s %s\n' "perftest both ways, its own time-outs" "$how" | tee -a "$FIGURES"
}

# Nobody starts the back again: the port goes down after grace_ms, and the connection ends after outage_ms, not before by the
# front's own clock. Without that time its retries take half a second.
stays_away() {
	local rc=0
	times 1000 3000 && start_on front watch "exec timeout 100 stdbuf -oL ibv_asyncwatch -d $front_rdma" && says front 'async event' /tmp/watch.out &&
		start_on peer wb "timeout -s KILL 100 ib_write_bw -d $(rdma_dev peer) -F -D 60" && listening peer &&
		start_on front wb "timeout -s KILL 90 ib_write_bw -d $front_rdma -F -D 60 $peer_ip" && under_way 200 &&
		start_on front end 'until grep -q "status 12" /tmp/wb.out; do sleep 0.05; done; echo "multios-test: its connection ends" >/dev/kmsg' || return
	back_set run false || return
	says front PORT_ERR /tmp/watch.out && on front "! ip link show $front_dev | grep -q LOWER_UP && rdma link show $front_rdma/1 | grep 'state DOWN'" || rc=1
	says front 'status 12' /tmp/wb.out 300 || rc=1
	on front "dmesg | grep 'nothing comes from the wire for [0-9]* ms: connections count their retries'" || rc=1
	end_of front end 10 && on front 'dmesg | awk -F "[][]" "/back OS is stopped/ { went = \$2 } /its connection ends/ { ended = \$2 }
		END { print \"it ended after \" ended - went \" s\"; exit !went || ended - went < 3 }"' || rc=1
	on front 'pkill -9 ib_write_bw; pkill -x ibv_asyncwatch; pkill -f "[u]ntil grep"'
	on peer 'pkill -9 ib_write_bw; true'
	back_set run true && lab wait back 90 || rc=1
	times 10000 30000 || rc=1
	return $rc
}
how='boots'
times() { on front "cd /sys/module/multios_rdma/parameters && echo $1 >grace_ms && echo $2 >outage_ms"; }

check "the back panics: noticed, started again, RC connections go on" dies panic 'a panic' panics
check "the front reaches the peer again" set_mtu 1500
check "the back panics: perftest with its own time-outs goes on, carrier and port stay" defaults
check "the front reaches the peer again" set_mtu 1500
check "the back stays away: port down after grace_ms, status 12 after outage_ms" stays_away
check "the front reaches the peer again" set_mtu 1500
check "an absurd time is refused" on front '! echo 3600001 >/sys/module/multios_rdma/parameters/grace_ms && grep 10000 /sys/module/multios_rdma/parameters/grace_ms'

# A wire that is unplugged at the back's NIC is unplugged for the front.
carrier_is() {
	on front "i=0; until [ \$(cat /sys/class/net/$front_dev/carrier) = $1 ] && rdma link show $front_rdma/1 | grep 'state $2'; do
		i=\$((i + 1)); [ \$i -lt 100 ] || exit 1; sleep 0.1; done"
}
plug() { lab qmp front set_link "{\"name\":\"wire\",\"up\":$1}" >/dev/null; }
unplugged() { plug false && carrier_is 0 DOWN; }
plugged() { plug true && carrier_is 1 ACTIVE && set_mtu 1500; }
check "the wire is unplugged: the front has no carrier, its port is down" unplugged
check "the wire is plugged in again: the front has both, and reaches the peer" plugged
unnoticed() {
	on back 'echo none >/sys/module/multios_net/parameters/uplink' && plug false && on back 'ip link show eth0 | grep NO-CARRIER' &&
		carrier_is 1 ACTIVE && plug true && on back 'echo auto >/sys/module/multios_net/parameters/uplink' && set_mtu 1500
}
check "uplink=none: the front does not notice" unnoticed

# The front's own commands.
sysfs=$(on front "readlink -f /sys/class/net/$front_dev/device")
by_front() {
	local before
	before=$(back_is generation)
	on front "cd $sysfs && ! echo reboot >back_command && echo restart >back_command" && back_restarted "$before" &&
		on front "cd $sysfs && grep running back_state && grep command back_reason && grep $((before + 1)) back_generation" && set_mtu 1500
}
check "the front restarts the back, and knows its state" by_front
check "the back hangs with interrupts off: likewise" dies hung 'a hang' hangs interrupts
check "the front reaches the peer again" set_mtu 1500
check "the back hangs in a softirq: likewise" dies hung 'a hang' hangs softirq
check "the front reaches the peer again" set_mtu 1500
check_eq "the front has not rebooted" "$(on front "$boot_id_of")" "$boot_id"
GUESTS='front peer' check_logs "one vCPU in the back"

# The back has two vCPUs, of which one hangs. Each start but the first is from the standby state.
vm_up $SHARED_LAB --back-vcpus 2 --standby || tap_abort "lab up --back-vcpus 2 --standby"
how='standby'
set_mtu 1500 >/dev/null || tap_abort "front and peer do not reach each other"
put_tool verbs-check front peer
idle=$(objects front)
check "a standby state is ready" eval '[[ $(back_is standby-ready) == true ]]'
check "one of two back vCPUs hangs with interrupts off: likewise" dies hung 'a hang' hangs interrupts
check "the front reaches the peer again" set_mtu 1500
check "the back panics: likewise" dies panic 'a panic' panics
check "the front reaches the peer again" set_mtu 1500
# Its heartbeat goes on.
stands_still() { on front 'echo 3000 >/sys/module/multios_rdma/parameters/stall_ms' && hangs ring; }
stalls() { on front 'dmesg | grep -c "has taken none of"; true'; }
stood_still() {
	local said rc=0
	said=$(stalls) || return
	dies command command stands_still || rc=1
	on front 'echo 0 >/sys/module/multios_rdma/parameters/stall_ms'
	[[ $(stalls) == $((said + 1)) ]] || { echo "the front has said so $(($(stalls) - said)) times, must be once"; rc=1; }
	return $rc
}
check "the back takes nothing out of its rings: the front has it restarted after stall_ms, RC connections go on" stood_still
check "the front reaches the peer again" set_mtu 1500
check "the back panics: perftest in both directions goes on" both_ways 18
check "the front reaches the peer again" set_mtu 1500
[[ -n $TEST_CASE ]] || note_own_timeouts
check "the front reaches the peer again" set_mtu 1500
check "the starts were from the standby state" eval '(($(on back "dmesg | grep -c \"from the standby state of start 1\"") == 1)) &&
	(($(grep -ac "from the standby state of start 1" "$LAB_DIR/back.log") == $(back_is generation) - 1))'

# What the front's operator does meanwhile.
stop_back() { back_set command '"stop"' && state_becomes stopped; }
start_back() { back_set command '"start"' && lab wait back 90; }
goes_down_and_up() {
	local rc=0
	rc_traffic 300 && stop_back || return
	# The addresses of IPv6 go with it.
	on front -t 20 "ip link set $front_dev down && sleep 0.5 && ip link set $front_dev up && ip addr replace $front_ip6/64 dev $front_dev nodad" || rc=1
	start_back && under_way 200 || rc=1
	traffic_end 60 || rc=1
	return $rc
}
check "without a back the front's netdev goes down and up: RC connections go on" goes_down_and_up
# A program that is killed takes its connections along; the module does not wait for one that is not, which loses its device.
module_goes() {
	local rc=0
	rc_traffic 300 && start_on peer wb "timeout -s KILL 100 ib_write_bw -d $(rdma_dev peer) -F -D 60" && listening peer &&
		start_on front wb "timeout -s KILL 90 ib_write_bw -d $front_rdma -F -D 60 $peer_ip" && under_way 200 && stop_back || rc=1
	on front -t 20 'pkill -9 verbs-check; i=0; while pidof verbs-check; do i=$((i + 1)); [ $i -lt 50 ] || exit 1; sleep 0.1; done' || rc=1
	on front 'rdma resource show' || rc=1
	unload front || rc=1
	for guest in front peer; do on $guest 'pkill -9 ib_write_bw; pkill -9 verbs-check; true'; done
	load front && start_back && set_mtu 1500 || rc=1
	return $rc
}
check "without a back the front's module goes and comes: a program killed before, one with its connection open" module_goes
check_no_more "nothing is left over" "$(objects front)" "$idle"

# Faults in random order, each third one while the one before is still under way.
faults=0
((!LONG)) || faults=200
faults=${FAULTS:-$faults}

begin_fault() {
	case $1 in
	panic) panics ;;
	interrupts | softirq) hangs "$1" ;;
	stop) back_set command '"stop"' && sleep 0.$((RANDOM % 10)) && back_set command '"start"' ;;
	restart) back_set command '"restart"' ;;
	front) on front "echo restart >$sysfs/back_command" ;;
	unplug) plug false && sleep 0.$((RANDOM % 10)) && plug true ;;
	esac
}

# back_settles KIND GENERATION: the fault is over. Another start may follow: of the fault that came meanwhile.
back_settles() {
	[[ $1 == unplug ]] || back_restarted "$2" || return
	sleep 1
	for _ in $(seq 60); do
		[[ $(back_is state) == running ]] && lab wait back 90 && on back '[ -e /sys/class/net/mos0/brport ]' && return
		sleep 0.5
	done
	echo "the back is $(back_is state), generation $(back_is generation)"
	return 1
}

one_after_the_other() {
	local kinds=(panic interrupts softirq stop restart front unplug) kind first generation i crashes=0 before
	RANDOM=$SEED
	before=$(back_is generation)
	rc_traffic 100000 || return
	for ((i = 1; i <= $1; i++)); do
		kind=${kinds[RANDOM % 7]}
		# From the fourth crash on without a command the device waits for longer than connections do.
		if [[ $kind == @(panic|interrupts|softirq) ]] && ((++crashes > 3)); then kind=restart; fi
		[[ $kind == @(stop|restart|front) ]] && crashes=0
		say "fault $i: $kind"
		first=$kind generation=$(back_is generation)
		begin_fault $kind || return
		if ((RANDOM % 3 == 0 && i < $1)); then
			kind=${kinds[3 + RANDOM % 4]}
			[[ $kind == unplug ]] || crashes=0
			((++i))
			say "fault $i, meanwhile: $kind"
			sleep 0.$((RANDOM % 10))
			begin_fault $kind || return
		fi
		back_settles $first $generation && under_way 200 || return
	done
	traffic_end 100 || return
	say "$1 faults, $(($(back_is generation) - before)) starts"
}

# KiB: all of QEMU; its own, which is what is not mapped in pieces of 16 MiB and more, as the guests' memory is; the code that
# TCG has made; free memory and slabs of the front; free memory of the back, which has just started.
memory_of_all() {
	local free_front free_back
	free_front=$(memory front) && free_back=$(memory back) || return
	awk '/^[0-9a-f]+-/ { heap = $NF == "[heap]"; made = $2 ~ /wx/ } /^Size:/ { big = $2 >= 16384 && !heap }
		/^Rss:/ { rss += $2; if (made) code += $2; else if (!big) own += $2 } END { printf "%d %d %d ", rss, own, code }' \
		"/proc/$(cat "$LAB_DIR/front.pid")/smaps"
	echo "$free_front $(on front "awk '/^Slab:/ { print \$2 }' /proc/meminfo") $free_back"
}
# TCG keeps about an eighth of its code's size in tables beside it.
memory_is_flat() {
	say "$(printf 'KiB        QEMU    its own  TCG code front free  its slabs  back free\nbefore%9d%11d%10d%11d%11d%11d\nafter %9d%11d%10d%11d%11d%11d\n' "$@")"
	(($8 - $2 - ($9 - $3) / 8 < 8192 && $4 - ${10} < 16384 && ${11} - $5 < 8192 && $6 - ${12} < 16384))
}
if ((faults)); then
	before=$(memory_of_all)
	check "$faults faults, seed $SEED: RC connections go on" one_after_the_other $faults
	check "after $faults faults the front reaches the peer" set_mtu 1500
	after=$(memory_of_all)
	check "in $faults faults QEMU's own memory and the front's slabs grew by less than 8 MiB, free memory of front and back fell by less than 16" \
		memory_is_flat $before $after
fi
# In the back's log are its panics.
GUESTS='front peer' check_logs "after all of it"

# On power-down by management or the front's power-off, the back shuts down by its own init and is not cut off.
log_size() { wc -c <"$LAB_DIR/back.log"; }
shut_down_since() { tail -c "+$1" "$LAB_DIR/back.log" | tee >(grep -a 'asked to power off' >&2) | grep -a 'reboot: Power down'; }
powers_down() {
	local before
	before=$(log_size)
	back_set command '"power-down"' && state_becomes stopped && shut_down_since "$before" && [[ $(back_is reason) == command ]]
}
restarts() {
	local before
	before=$(back_is generation)
	back_set command '"restart"' && [[ $(back_is generation) == $((before + 1)) ]] && lab wait back 90 && set_mtu 1500
}
check "back-command power-down: the back shuts down by its own init" powers_down
check "back-command restart: it starts, and the front reaches the peer" restarts
# The front's kernel is replaced by kexec: the machine is not reset, and the back does not notice but for the link.
kexecs() {
	local was back file rc=0
	for file in kernel initrd; do
		push front "$(sed -n "s/.* -$file \([^ ]*\) .*/\1/p" "$LAB_DIR/front.cmd")" /tmp/$file || return
	done
	was=$(on front "$boot_id_of") && back=$(on back "$boot_id_of") || return
	on front -t 90 'kexec --kexec-file-syscall --load /tmp/kernel --initrd=/tmp/initrd --reuse-cmdline' &&
		on front '(sleep 0.5; kexec --exec) >/dev/null 2>&1 &' || return
	for _ in $(seq 30); do
		! lab wait front 5 || [[ $(on front "$boot_id_of") == "$was" ]] || break
		sleep 1
	done
	[[ $(on front "$boot_id_of") != "$was" ]] && set_mtu 1500 || return
	[[ $(on back "$boot_id_of") == "$back" ]] || { echo "the back has booted"; rc=1; }
	put_tool verbs-check front
	verbs_check peer front "$peer_ip" 60 -n 100 -z 100000 -S "$SEED" || rc=1
	return $rc
}
((!LONG)) || check "the front boots another kernel by kexec: the back goes on, and so does traffic" kexecs
front_ends() {
	local before
	before=$(log_size)
	on front '(sleep 0.5; poweroff -f) >/dev/null 2>&1 &'
	for _ in $(seq 150); do
		! shut_down_since "$before" || return 0
		sleep 0.2
	done
	return 1
}
check "the front powers off: the back shuts down first" front_ends
[[ ! -e $FIGURES ]] || say "$(sed "s/^/    /" "$FIGURES")"
rm -f "$FIGURES"
vm_end

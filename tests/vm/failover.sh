#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/failover.sh [OPTIONS]
#
# The back OS dies under checked RC traffic: it panics, with the kernel's defaults; it hangs with interrupts off, and in a
# softirq. The device notices, says why, starts it again; connections go on, and the front OS with its processes is the same.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
shared_lab back
put_tool verbs-check front peer
boot_id=$(on front 'cat /proc/sys/kernel/random/boot_id')
module=$(guest_module back hang) || tap_abort "building the module that hangs"

# How the back dies. It answers first.
panics() { on back 'echo 0 >/proc/sys/kernel/panic; (sleep 0.5; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &'; }
hangs() { push back "$module" /tmp/hang.ko && on back "insmod /tmp/hang.ko kind=$1"; }

# dies REASON WORD CMD...: CMD ends the back; the device's REASON, the front's log has WORD for it. RC connections outlive
# it: messages, their content and their completions are checked by both ends.
dies() {
	local reason=$1 word=$2 before rc=0
	shift 2
	before=$(back_is generation) || return
	start_on peer vcs '/tmp/verbs-check -w 30' &&
		start_on front vcc "/tmp/verbs-check -w 30 -k -s 300 -q 2 -z 100000 -t 20 -T 100 -o write,read,send,add $peer_ip" &&
		under_way 200 || return
	"$@" || return
	back_restarted "$before" || rc=1
	under_way 200 || rc=1
	on front 'kill -s USR1 $(pidof verbs-check)' || rc=1
	end_of front vcc 60 || rc=1
	end_of peer vcs 30 || rc=1
	[[ $(back_is reason) == "$reason" ]] || { echo "the reason is '$(back_is reason)', must be '$reason'"; rc=1; }
	[[ $(back_is generation) == $((before + 1)) ]] || { echo "the back was started $(($(back_is generation) - before)) times"; rc=1; }
	on front "dmesg | grep 'back OS is running (start $((before + 1)), the last run ended by a $word'" || rc=1
	return $rc
}

check "the back panics: noticed, started again, RC connections go on" dies panic panic panics
check "the front reaches the peer again" set_mtu 1500
check "the back hangs with interrupts off: likewise" dies hung hang hangs interrupts
check "the front reaches the peer again" set_mtu 1500
check "the back hangs in a softirq: likewise" dies hung hang hangs softirq
check "the front reaches the peer again" set_mtu 1500
check_eq "the front has not rebooted" "$(on front 'cat /proc/sys/kernel/random/boot_id')" "$boot_id"
GUESTS='front peer' check_logs "one vCPU in the back"

# The other vCPU of the back goes on.
vm_up $SHARED_LAB --back-vcpus 2 || tap_abort "lab up --back-vcpus 2"
set_mtu 1500 >/dev/null || tap_abort "front and peer do not reach each other"
put_tool verbs-check front peer
check "one of two back vCPUs hangs with interrupts off: likewise" dies hung hang hangs interrupts
check "the front reaches the peer again" set_mtu 1500
# In the back's log are its panics.
GUESTS='front peer' check_logs "after all of it"
vm_end

#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/mos2mos.sh [OPTIONS]
#
# Two multios VMs: the front of each talks, through its own back, to the front of the other, both ways.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
vm_up --peer multios --timeout 300 || tap_abort "lab up"
put_tool verbs-check front peer
check "front and front reach each other" reachable
check_eq "the peer's RDMA device is ours" "$(rdma_dev peer)" rxe_mos0
check "verbs-check, the second starts" verbs_check front peer "$front_ip" 120 -s 12 -S "$SEED"
check "verbs-check, the first starts, IPv6" verbs_check peer front "$peer_ip" 120 -6 -s 12 -S $((SEED + 1))
check "states and transitions of queue pairs" verbs_check peer front "$peer_ip" 120 -X -S "$SEED"
check "error cases" verbs_check peer front "$peer_ip" 240 -e -S "$SEED"
# shellcheck disable=SC2119 # all of the table
run_programs
check_logs "after all of it"
vm_end

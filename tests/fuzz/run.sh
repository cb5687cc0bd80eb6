#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: run.sh TARGET SECONDS FOLDER
#
# Runs a fuzz target for SECONDS. The corpus lives in FOLDER and grows from run to
# run; an input that breaks something is left there, too.
set -eu
name=$(basename "$1")
mkdir -p "$3/$name.corpus"
log=$3/$name.log
rc=0
"$1" -max_total_time="$2" -max_len=4096 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
	-artifact_prefix="$3/$name." "$3/$name.corpus" >"$log" 2>&1 || rc=$?
if [ "$rc" -ne 0 ]; then
	tail -n 60 "$log"
	exit 1
fi
grep -E 'DONE|number_of_executed_units' "$log"

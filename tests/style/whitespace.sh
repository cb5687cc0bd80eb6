#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The cheap part of checkpatch: white space, line length, comment form. Kernel style for the
# ring, the modules and the tests in C; QEMU style for the device and QEMU's plugins.
. "$(dirname "$0")/lib.sh"

lint() {
	awk -v style="$1" '
	function say(what) { printf "%s:%d: %s\n", FILENAME, FNR, what }
	/[ \t]$/ { say("white space at the end of the line") }
	/\r/ { say("carriage return") }
	/ \t/ && style == "kernel" { say("space before a tab") }
	style == "kernel" && /^        / { say("8 spaces where a tab belongs") }
	style == "qemu" && /\t/ { say("tab") }
	style == "kernel" && /^[ \t]*(if|for|while|switch)\(/ { say("no space after the keyword") }
	style == "kernel" && FNR > 1 && /^[ \t]*\/\/[^\/]/ { say("// comment") }
	style == "qemu" && FNR > 1 && /^ *\/\/[^\/]/ { say("// comment") }
	style == "kernel" && /^[ \t]*(if|for|while|switch)[ (].*\)\{/ { say("no space before the brace") }
	{
		line = $0
		gsub(/\t/, "        ", line)
		# strings are not broken for the sake of a limit
		if (length(line) > 140 && line !~ /"/)
			say("longer than 140 columns")
	}
	END { if (FNR > 900) printf "%s: %d lines; split at 900\n", FILENAME, FNR }
	' "$2"
}

n=0
for f in $(files 'shm-ring/*.[ch]' 'guest-kmod-*/*.[ch]' 'tests/*.[ch]' | grep -v '^tests/bench/[^/]*$'); do
	lint kernel "$f"
	n=$((n + 1))
done >"$work/hits"
for f in $(files 'qemu-device/*.[ch]' 'tests/bench/*.c' | grep -v '^tests/bench/ring/'); do
	lint qemu "$f"
done >>"$work/hits"
for f in $(files '*.sh' '*.py' '*meson.build' 'scripts/*' '*.md'); do
	lint other "$f" | grep -e 'end of the line' -e 'carriage' || true
done >>"$work/hits"
cat "$work/hits"
bad=$(wc -l <"$work/hits")
# the last line ends as all do
for f in $(files '*.[ch]' '*.sh' '*.py' '*.md' '*meson.build'); do
	[ ! -s "$f" ] || [ -z "$(tail -c 1 "$f")" ] || wrong "$f: no newline at its end"
done
finish "white space is right"

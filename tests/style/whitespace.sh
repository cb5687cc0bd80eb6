#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The cheap part of checkpatch: white space, columns, comment form. Kernel style for the
# ring, the modules and the tests in C; QEMU style for the device and QEMU's plugins.
. "$(dirname "$0")/lib.sh"

# lint STYLE FILE...
lint() {
	style=$1
	shift
	awk -v style="$style" '
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
	FNR == 901 { printf "%s: more than 900 lines: split it\n", FILENAME }
	' "$@"
}

# columns FILE...: at most 100. Strings are not broken for the sake of a limit, and the rows of a
# Markdown table cannot be.
columns() {
	LC_ALL=C awk '
	FILENAME ~ /\.md$/ ? /^\||https?:\/\// : /"/ { next }
	# a tab ends at a column, and a character is one, also in a picture
	length($0) > 100 || /\t/ {
		line = $0
		gsub(/[\200-\277]/, "", line)
		while ((at = index(line, "\t")) > 0)
			line = substr(line, 1, at - 1) sprintf("%*s", 8 - (at - 1) % 8, "") substr(line, at + 1)
		if (length(line) > 100)
			printf "%s:%d: longer than 100 columns\n", FILENAME, FNR
	}
	' "$@"
}

# shellcheck disable=SC2046 # our paths have no spaces
{
	lint kernel $(files 'shm-ring/*.[ch]' 'guest-kmod-*/*.[ch]' 'tests/*.[ch]' | grep -v '^tests/bench/[^/]*$')
	lint qemu $(files 'qemu-device/*.[ch]' 'tests/bench/*.c' | grep -v '^tests/bench/ring/')
	lint other $(files '*.sh' '*.py' '*meson.build' 'scripts/*' '*.md') | grep -e 'end of the line' -e 'carriage' || true
	columns $(files '*.[ch]' '*.md' '*.py' '*meson.build')
} >"$work/hits"
cat "$work/hits"
bad=$(wc -l <"$work/hits")
# the last line ends as all do
files '*.[ch]' '*.sh' '*.py' '*.md' '*meson.build' | while read -r f; do
	[ ! -s "$f" ] || [ -z "$(tail -c 1 "$f")" ] || echo "$f: no newline at its end"
done >"$work/ends"
cat "$work/ends"
bad=$((bad + $(wc -l <"$work/ends")))
finish "white space is right"

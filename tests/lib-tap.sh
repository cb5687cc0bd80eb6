# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Test results of a suite written in bash, as TAP version 14: "ok N - NAME", "not ok N - NAME", "# note", and at the
# end the plan. Source this, call tap_begin, then check, check_eq, pass, fail, skip and say, then tap_end.
#
# TEST_CASE (environment): only the tests whose name contains it.

TEST_CASE=${TEST_CASE:-}
TAP_NR=0 TAP_PASSED=0 TAP_FAILED=0 TAP_SKIPPED=0 TAP_OUT=''

# Results go to today's stdout, also those of functions whose own output is captured.
tap_begin() {
	exec {TAP_OUT}>&1
	echo 'TAP version 14' >&"$TAP_OUT"
}

# say TEXT: a note. Each of its lines becomes a comment.
say() { printf '# %s\n' "${*//$'\n'/$'\n# '}" >&"$TAP_OUT"; }

# chosen NAME: TEST_CASE asks for this test. Without TEST_CASE all are chosen.
chosen() { [[ $1 == *"$TEST_CASE"* ]]; }

# tap_line "ok"|"not ok" TEXT: the next test's line.
tap_line() {
	TAP_NR=$((TAP_NR + 1))
	printf '%s %s - %s\n' "$1" "$TAP_NR" "$2" >&"$TAP_OUT"
}

# A test that passed is reported if it is chosen, a test that failed always: it may have prepared others.
pass() {
	chosen "$*" || return 0
	TAP_PASSED=$((TAP_PASSED + 1))
	tap_line ok "$*"
}
fail() {
	TAP_FAILED=$((TAP_FAILED + 1))
	tap_line 'not ok' "$*"
}
skip() {
	chosen "$*" || return 0
	TAP_SKIPPED=$((TAP_SKIPPED + 1))
	tap_line ok "$* # SKIP"
}

# Commands of tests that others build on: they run whatever TEST_CASE says.
TAP_PREPARES=' '

# check NAME CMD...: passes if CMD's status is 0, else shows the end of its output. The name of a test that took long is
# followed by its seconds. Returns false if it failed.
check() {
	local name=$1 out rc=0 start=$SECONDS
	shift
	chosen "$name" || [[ $TAP_PREPARES == *" $1 "* ]] || return 0
	out=$("$@" 2>&1) || rc=$?
	if ((rc)); then
		fail "$name"
		say "$(printf 'exit status %s after %s s\n' "$rc" $((SECONDS - start)); tail -n "${CHECK_LINES:-15}" <<<"$out" | sed 's/^/    /')"
		return 1
	fi
	pass "$name$( ((SECONDS - start < 5)) || echo " [$((SECONDS - start)) s]")"
}

# check_eq NAME VALUE EXPECTED
check_eq() {
	chosen "$1" || return 0
	if [[ $2 == "$3" ]]; then
		pass "$1"
	else
		fail "$1"
		say "    is '$2', must be '$3'"
	fi
}

# tap_import FILE: the results of a program that writes TAP itself, under this suite's numbers. Of its notes only those
# after a failure are repeated, and all that is not TAP.
tap_import() {
	local line failed=0
	while IFS= read -r line; do
		if [[ $line =~ ^ok\ [0-9]+\ (-\ )?(.*)\ #\ SKIP ]]; then
			skip "${BASH_REMATCH[2]}"
			failed=0
		elif [[ $line =~ ^ok\ [0-9]+\ (-\ )?(.*) ]]; then
			pass "${BASH_REMATCH[2]}"
			failed=0
		elif [[ $line =~ ^not\ ok\ [0-9]+\ (-\ )?(.*) ]]; then
			fail "${BASH_REMATCH[2]}"
			failed=1
		elif [[ ! $line =~ ^(1\.\.|TAP\ version) && ($failed == 1 || $line != \#*) ]]; then
			say "${line#\# }"
		fi
	done <"$1"
}

# tap_abort TEXT: the suite cannot go on.
tap_abort() {
	fail "$*"
	tap_end
}

# Writes the plan and exits: with 0 if something passed or was skipped, and nothing failed.
tap_end() {
	((TAP_NR)) || say "no test of this suite has '$TEST_CASE' in its name"
	printf '1..%s\n' "$TAP_NR" >&"$TAP_OUT"
	if ((TAP_FAILED || !(TAP_PASSED + TAP_SKIPPED))); then exit 1; fi
	exit 0
}

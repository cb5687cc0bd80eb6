# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Runs commands of scripts/lab in one process that stays (multios_lab/session.py): for scripts that run hundreds.
#
#   session_open       starts that process; it ends with this script and all of its children
#   session WORDS...   as scripts/lab WORDS (not up, down, migrate, console), but without stdin and with the output at
#                      the end; before session_open it runs scripts/lab itself
#   session_close      ends the process

SESSION_LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lab
SESSION=''

session_open() {
	[[ -z $SESSION ]] || return 0
	SESSION_DIR=$(mktemp -d) || return
	exec {SESSION}> >(exec "$SESSION_LAB" session)
	# A plain "wait" would also wait for the process substitution while that is the last background process.
	true &
	wait "$!"
}

session_close() {
	[[ -n $SESSION ]] || return 0
	exec {SESSION}>&-
	SESSION=''
	rm -rf "$SESSION_DIR"
}

session() {
	if [[ -z $SESSION ]]; then
		"$SESSION_LAB" "$@"
		return
	fi
	# Subshells may ask at the same time: a line shorter than PIPE_BUF is written whole.
	local prefix=$SESSION_DIR/$BASHPID status=''
	[[ -p $prefix.status ]] || mkfifo "$prefix.status" || return
	printf '%s\0' "$@" >"$prefix.words"
	# Without SIGPIPE: if the session is gone, that is an error, not the end of this shell.
	(trap '' PIPE && echo "$prefix" >&"$SESSION") 2>/dev/null || { echo "lab: error: the session has ended" >&2; return 1; }
	# Read to the end of file: a writer that still has the FIFO open would be taken for the next command's.
	read -r -d '' status <"$prefix.status" || true
	[[ ! -s $prefix.out ]] || cat "$prefix.out"
	[[ ! -s $prefix.err ]] || cat "$prefix.err" >&2
	[[ -n $status ]] || { echo "lab: error: the session ended before the command: $*" >&2; return 1; }
	return "$status"
}

# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What every script here uses: messages, bounded steps, the content-addressed cache, and host packages.
# Messages go to stderr; stdout belongs to the one line a script is called for (usually a path).

set -Eeuo pipefail
shopt -s inherit_errexit

MULTIOS_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
MULTIOS_CACHE=${MULTIOS_CACHE:-${HOME:-/root}/.cache/multios}
# shellcheck disable=SC2034 # for those who source this
MULTIOS_BUILD=$MULTIOS_ROOT/build
# shellcheck disable=SC2034
PYTHON=/usr/bin/python3
PROG=${MULTIOS_PROG:-${0##*/}}
export MULTIOS_CACHE LC_ALL=C.UTF-8
# LC_ALL=C.UTF-8 does not switch it off, and some output is read here.
unset LANGUAGE
# What is made here is read by others: apt's user, the root of a user namespace.
umask 022
# /usr/sbin is not on an ordinary user's PATH, and mke2fs, depmod and debugfs live there.
PATH=$PATH:/usr/sbin:/sbin

log() { printf '%s: %s\n' "$PROG" "$*" >&2; }
die() { printf '%s: error: %s\n' "$PROG" "$*" >&2; exit 1; }

# Kbuild takes neither.
[[ $MULTIOS_ROOT$MULTIOS_CACHE != *[[:space:]:]* ]] ||
	die "neither the checkout ('$MULTIOS_ROOT') nor the cache ('$MULTIOS_CACHE', set by MULTIOS_CACHE) may have white space or a colon in its path"
[[ -w $MULTIOS_ROOT ]] || die "the checkout $MULTIOS_ROOT is not writable: logs and objects go to its build folder, use a copy of your own"

# What nobody foresaw still gets a line. Our own scripts and functions have already said what failed.
unforeseen() {
	local rc=$1 line=$2 command=$3
	if ((BASH_SUBSHELL)) || [[ $command =~ MULTIOS_ROOT|^return|^die ]]; then return; fi
	log "error: line $line: command failed (exit $rc): $command"
}
trap 'unforeseen "$?" "$LINENO" "$BASH_COMMAND"' ERR

# A background command ignores the terminal's SIGINT: whoever waits for one names it in CHILD and ends it with itself.
CHILD=''
stopped() {
	if [[ -n $CHILD ]] && kill "$CHILD" 2>/dev/null; then wait "$CHILD" || true; fi
	exit 130
}
trap stopped INT TERM HUP

# usage: prints the comment block after the SPDX line of the calling script, without the leading "# ".
usage() { sed -n -e '1,/^# SPDX/d' -e '/^#/!q' -e 's/^# \{0,1\}//p' "$0"; }

# step TITLE LOGFILE CMD...: runs CMD with its output in LOGFILE; says what runs, a sign of life each 15 s, and how long
# it took. On failure prints the end of LOGFILE and returns CMD's status.
step() {
	local title=$1 logfile=$2 start=$SECONDS pid rc=0 next
	shift 2
	mkdir -p "$(dirname "$logfile")"
	log "$title ..."
	"$@" >"$logfile" 2>&1 </dev/null &
	pid=$!
	CHILD=$pid
	next=$((SECONDS + 15))
	while kill -0 "$pid" 2>/dev/null; do
		if ((SECONDS >= next)); then
			log "$title: $((SECONDS - start)) s: $(tail -c 400 "$logfile" | tr '\r' '\n' | sed '/^[[:space:]]*$/d' | tail -n 1 | cut -c1-90)"
			next=$((SECONDS + 15))
		fi
		sleep 0.1
	done
	wait "$pid" || rc=$?
	CHILD=''
	if ((rc)); then
		log "$title: FAILED (exit $rc) after $((SECONDS - start)) s; last lines of $logfile:"
		tail -n 25 "$logfile" | sed 's/^/    /' >&2
		return "$rc"
	fi
	log "$title: done ($((SECONDS - start)) s)"
}

# key_of: 16 hex digits that identify what comes on stdin.
key_of() { sha256sum | cut -c1-16; }

# tree_key PATH...: identifies the names, modes and contents of files and of all files below folders.
tree_key() {
	local p
	for p; do
		[[ -e $p ]] || die "tree_key: $p is missing"
		(cd "$(dirname "$p")" && find "$(basename "$p")" \( -type f -o -type l \) -printf '%m ' -exec sha256sum {} \;) 2>/dev/null
	done | LC_ALL=C sort | key_of
}

# with_lock NAME CMD...: one at a time among all scripts of this cache. Not to be called in a condition: errexit would
# be off in CMD.
with_lock() {
	local name=$1 fd
	shift
	mkdir -p "$MULTIOS_CACHE/locks"
	exec {fd}>"$MULTIOS_CACHE/locks/$name"
	if ! flock -n "$fd"; then
		log "waiting for another process that works on $name"
		flock -w 1800 "$fd" || die "lock $MULTIOS_CACHE/locks/$name was not free within 30 min: another build hangs?"
	fi
	"$@"
	exec {fd}>&-
}

# cached KIND KEY CMD...: sets CACHED to $MULTIOS_CACHE/KIND/KEY; when that is not there yet, runs `CMD... DIR` to
# fill an empty DIR (stop with die or a failing last command) and publishes it by rename, so nobody sees half of it.
cached() {
	local kind=$1 key=$2
	CACHED=$MULTIOS_CACHE/$kind/$key
	if [[ -d $CACHED ]]; then
		touch "$CACHED"
		return
	fi
	with_lock "$kind-$key" cached_fill "$@"
}

cached_fill() {
	local kind=$1 key=$2 tmp rc=0
	shift 2
	[[ ! -d $MULTIOS_CACHE/$kind/$key ]] || return 0
	mkdir -p "$MULTIOS_CACHE/$kind"
	tmp=$(mktemp -d "$MULTIOS_CACHE/$kind/.tmp.XXXXXX")
	chmod 0755 "$tmp"
	# A background child: errexit would be off in whatever is called as part of a condition.
	(
		trap stopped INT TERM HUP
		"$@" "$tmp"
	) &
	CHILD=$!
	wait "$CHILD" || rc=$?
	CHILD=''
	if ((rc)); then
		rm -rf "$tmp"
		die "building $kind/$key failed (see above)"
	fi
	cached_prune "$kind"
	mv -T "$tmp" "$MULTIOS_CACHE/$kind/$key"
}

# Entries that nothing used for 30 days go when a new one of the kind is made; leftovers of killed builds after a day.
cached_prune() {
	local kind=$1
	find "$MULTIOS_CACHE/$kind" -mindepth 1 -maxdepth 1 -type d ! -name '.tmp.*' -mtime +30 -exec rm -rf {} +
	find "$MULTIOS_CACHE/$kind" -mindepth 1 -maxdepth 1 -type d -name '.tmp.*' -mtime +0 -exec rm -rf {} +
}

host_codename() {
	local ID='' VERSION_CODENAME=''
	# shellcheck source=/dev/null
	[[ ! -r /etc/os-release ]] || . /etc/os-release
	[[ $ID == debian && ( $VERSION_CODENAME == bookworm || $VERSION_CODENAME == trixie ) ]] ||
		die "this host is '${ID:-unknown} ${VERSION_CODENAME:-unknown}'; Debian 12 (bookworm) or 13 (trixie) is needed"
	[[ $(dpkg --print-architecture) == amd64 ]] || die "this host is $(dpkg --print-architecture); amd64 is needed"
	printf '%s\n' "$VERSION_CODENAME"
}

# What the scripts need on the host: "command-or-file package".
host_needs() {
	cat <<-'END'
		/usr/bin/python3 python3
		/usr/lib/python3.*/asyncio/__init__.py python3
		mmdebstrap mmdebstrap
		mke2fs e2fsprogs
		cpio cpio
		depmod kmod
		xz xz-utils
		readelf binutils
		gcc gcc
		make make
		flock util-linux
		ssh-keygen openssh-client
		/usr/include/libelf.h libelf-dev
		/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
	END
	# mmdebstrap's user namespace
	((!EUID)) || echo newuidmap uidmap
}

# host_packages FILE: installs the Debian packages of "command-or-file package" lines whose command or file is missing.
# With MULTIOS_CHECK=1 it only says what is missing and returns 1.
host_packages() {
	local what pkg missing=() sudo=()
	while read -r what pkg; do
		[[ -n $what && $pkg != - ]] || continue
		if [[ $what == /* ]]; then
			compgen -G "$what" >/dev/null || missing+=("$pkg")
		else
			# Not command -v: depmod is a function here, too.
			type -P "$what" >/dev/null || missing+=("$pkg")
		fi
	done
	((${#missing[@]})) || return 0
	mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
	if [[ ${MULTIOS_CHECK:-0} == 1 ]]; then
		log "missing Debian packages: ${missing[*]}"
		return 1
	fi
	log "installing Debian packages: ${missing[*]}"
	if ((EUID)); then
		command -v sudo >/dev/null || die "run as root: apt-get install --no-install-recommends ${missing[*]}"
		sudo=(sudo)
	fi
	# Lists that are missing or older than the mirror's packages show in a first try; then a second with fresh ones.
	local install=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive
		apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}")
	if apt-get install --simulate --no-install-recommends "${missing[@]}" >/dev/null 2>&1 &&
		step "apt-get install (${#missing[@]} packages)" "$MULTIOS_CACHE/log/apt-install.log" "${install[@]}"; then
		return 0
	fi
	step "apt-get update" "$MULTIOS_CACHE/log/apt-update.log" "${sudo[@]}" apt-get -o DPkg::Lock::Timeout=600 update ||
		die "apt-get update failed: check /etc/apt and the network"
	step "apt-get install (${#missing[@]} packages)" "$MULTIOS_CACHE/log/apt-install.log" "${install[@]}" ||
		die "installing ${missing[*]} failed: try it by hand with apt-get install"
}

# need_host: the host packages that building images and modules takes.
need_host() { host_packages < <(host_needs); }

# depmod -b TREE RELEASE, for trees that have /lib/modules alone: Debian 13's looks below /usr/lib.
depmod() {
	if [[ ! -e $2/usr/lib/modules ]]; then
		mkdir -p "$2/usr"
		ln -sfn ../lib "$2/usr/lib"
	fi
	command depmod "$@"
}

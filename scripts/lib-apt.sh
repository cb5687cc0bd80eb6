# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# A private apt: state, cache and sources of our own below the cache folder, so that backports and another
# release's source packages can be used while the user's apt configuration stays as it is. Source after lib.sh.

APT_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# apt_uri SUITE...: where the host's own apt configuration gets SUITE (component main) from; empty if nowhere.
# Entries that a downloaded Release file names as Debian's win over those known by their URI alone (lists not there yet). A wrong guess is found by
# the archive key.
apt_uri() {
	local suite table format
	# shellcheck disable=SC2016 # the $(...) are apt's format, not the shell's
	format='$(CREATED_BY)|$(COMPONENT)|$(RELEASE)|$(CODENAME)|$(ORIGIN)|$(REPO_URI)'
	# Without lists (a fresh container) apt tells its targets only when asked not to look into Release files.
	table=$({ apt-get indextargets --format "$format"; apt-get indextargets --no-release-info --format "$format"; } 2>/dev/null |
		grep '^Packages|main|' | grep -v '|cdrom:' || true)
	for suite; do
		awk -F'|' -v s="$suite" '
			($3 == s || $4 == s) && $5 == "Debian" && !a { a = $6 }
			$3 == s && $5 !~ /^[A-Za-z]/ && $6 ~ /debian(-security)?\/?$/ && !b { b = $6 }
			$3 == s && !c { c = $6 }
			END { print a ? a : b ? b : c }' <<<"$table" | grep . && return
	done
	return 0
}

# apt_sources: our sources in deb822 form.
apt_sources() {
	local code main security
	code=$(host_codename)
	main=$(apt_uri "$code")
	security=$(apt_uri "$code-security")
	[[ -n $main ]] || die "the host's apt sources have no Debian $code main (see 'apt-get indextargets'): add it to /etc/apt/sources.list.d"
	printf 'Types: deb\nURIs: %s\nSuites: %s %s-updates%s\nComponents: main\nSigned-By: %s\n\n' \
		"$main" "$code" "$code" "$([[ $code != bookworm ]] || echo ' bookworm-backports')" "$APT_KEYRING"
	[[ -z $security ]] || printf 'Types: deb\nURIs: %s\nSuites: %s-security\nComponents: main\nSigned-By: %s\n\n' \
		"$security" "$code" "$APT_KEYRING"
	# QEMU's source package is trixie's on every host.
	printf 'Types: deb-src\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: %s\n' "$main" "$APT_KEYRING"
}

# apt_suite_sources SUITE [TYPES]: any suite of Debian, its packages or what TYPES says, from where the host has its own. Its
# date does not matter here, its signature does: a mirror that stands still is as good.
apt_suite_sources() {
	local main
	main=$(apt_uri "$(host_codename)")
	[[ -n $main ]] || die "the host's apt sources have no Debian $(host_codename) main (see 'apt-get indextargets')"
	printf 'Types: %s\nURIs: %s\nSuites: %s\nComponents: main\nCheck-Valid-Until: no\nSigned-By: %s\n' "${2:-deb}" "$main" "$1" \
		"$APT_KEYRING"
}

# papt CMD...: an apt command that sees the private apt only.
papt() { APT_CONFIG=$APT_PRIVATE "$@"; }

# apt_init [update] [SUITE]: makes the private apt ready, for SUITE alone if it is named; the lists are fetched when there
# are none, they are older than a day, or "update" is said.
apt_init() {
	local sources dir
	need_host
	if [[ -n ${2:-} ]]; then sources=$(apt_suite_sources "$2"); else sources=$(apt_sources); fi
	dir=$MULTIOS_CACHE/apt/$(key_of <<<"$sources")
	APT_PRIVATE=$dir/apt.conf
	with_lock apt apt_fill "$dir" "$sources" "${1:-}"
}

apt_fill() {
	local dir=$1 sources=$2 update=$3
	if [[ ! -f $dir/apt.conf ]]; then
		mkdir -p "$dir"/{etc/parts,etc/preferences.d,state/lists/partial,cache/archives/partial}
		printf '%s\n' "$sources" >"$dir/etc/multios.sources"
		: >"$dir/state/status"
		: >"$dir/etc/empty"
		{
			# Proxies, time-outs and the like are the host's; its hooks are not.
			apt-config dump --format '%F "%v";%n' | grep '^Acquire::' | grep -v '::IndexTargets' || true
			cat <<-END
				Dir::Etc::parts "$dir/etc/parts/";
				Dir::Etc::main "$dir/etc/empty";
				Dir::Etc::sourcelist "$dir/etc/empty";
				Dir::Etc::sourceparts "$dir/etc/";
				Dir::Etc::preferences "$dir/etc/empty";
				Dir::Etc::preferencesparts "$dir/etc/preferences.d/";
				Dir::State "$dir/state/";
				Dir::State::lists "$dir/state/lists/";
				Dir::State::status "$dir/state/status";
				Dir::Cache "$dir/cache/";
				Dir::Cache::archives "$dir/cache/archives/";
				Acquire::Languages "none";
				Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
				Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
				APT::Architecture "amd64";
				APT::Architectures { "amd64"; };
				APT::Install-Recommends "false";
				APT::Sandbox::User "root";
			END
		} >"$dir/apt.conf.new"
		mv "$dir/apt.conf.new" "$dir/apt.conf"
	fi
	if [[ $update == update || -z $(find "$dir/state/updated" -mtime -1 2>/dev/null) ]]; then
		if step "fetching Debian package lists" "$MULTIOS_CACHE/log/apt-lists.log" papt apt-get update --error-on=any; then
			touch "$dir/state/updated"
		elif [[ ! -e $dir/state/updated ]]; then
			die "fetching the package lists failed: is the mirror in /etc/apt reachable?"
		else
			log "going on with the package lists of $(date -r "$dir/state/updated" '+%F %T')"
		fi
	fi
}

# apt_candidate PKG [SUITE]: "version" of PKG that would be taken (from SUITE).
apt_candidate() { papt apt-cache show --no-all-versions "$1${2:+/$2}" 2>/dev/null | sed -n 's/^Version: //p' | head -n 1; }

# apt_download PKG[=VERSION]...: into the cache (kept), prints one .deb path for each.
apt_download() {
	local spec pkg ver deb dir=$MULTIOS_CACHE/debs tmp
	mkdir -p "$dir"
	for spec; do
		pkg=${spec%%=*} ver=${spec#*=}
		[[ $spec == *=* ]] || ver=$(apt_candidate "$pkg")
		[[ -n $ver ]] || die "Debian has no package '$pkg' in the suites of this host"
		deb=$(compgen -G "$dir/${pkg}_${ver//:/%3a}_*.deb" | head -n 1 || true)
		if [[ -z $deb ]]; then
			tmp=$(mktemp -d "$dir/.tmp.XXXXXX")
			(cd "$tmp" && step "fetching $pkg $ver" "$MULTIOS_CACHE/log/fetch-$pkg.log" papt apt-get download -q "$pkg=$ver") ||
				{ rm -rf "$tmp"; die "fetching $pkg $ver failed: try again, or $PROG --update when the mirror has dropped that version"; }
			deb=$(compgen -G "$tmp/*.deb")
			mv "$deb" "$dir/"
			deb=$dir/${deb##*/}
			rmdir "$tmp"
		fi
		printf '%s\n' "$deb"
	done
}

# apt_fetch_source PKG[=VERSION] DIR: a source package's files (.dsc and tarballs), the newest's or VERSION's, into DIR.
apt_fetch_source() {
	(cd "$2" && step "fetching the source of $1" "$MULTIOS_CACHE/log/source-${1%%=*}.log" papt apt-get source -q --download-only --only-source "$1")
}

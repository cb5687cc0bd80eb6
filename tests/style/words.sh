#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What must not be in any file: somebody's folders, unowned notes to oneself, conflict marks. Further
# patterns (grep -E, one a line) that are nobody else's business: MULTIOS_FORBIDDEN names a file.
. "$(dirname "$0")/lib.sh"

# written apart, so that this file passes
cat >"$work/patterns" <<-'END'
	(^|[^A-Za-z0-9_.$}~-])/(wor[k]|hom[e]/[a-z]+|User[s]/[a-z]+)/
	/tm[p]/mos
	(^|[^A-Z])(TOD[O]|FIXM[E]|XX[X])([^A-Za-z.]|$)
	^(<{7}|>{7}|={7})( |$)
END
[ -z "${MULTIOS_FORBIDDEN:-}" ] || cat "$MULTIOS_FORBIDDEN" >>"$work/patterns"
files '*' | grep -v -e '^LICENSES/' >"$work/list"
# -I: not in binary files
if xargs -d '\n' grep -InE -f "$work/patterns" <"$work/list" >"$work/hits"; then
	cat "$work/hits"
	bad=$(wc -l <"$work/hits")
fi
finish "$(wc -l <"$work/list") files"

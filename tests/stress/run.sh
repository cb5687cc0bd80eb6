#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: run.sh PROGRAM [ARGS...]
#
# Without address randomisation where that is allowed: older sanitizer run times
# give up on kernels that randomise more bits than they know.
if setarch -R true 2>/dev/null; then
	exec setarch -R "$@"
fi
exec "$@"

// SPDX-License-Identifier: GPL-2.0
/*
 * The parts that both modules have, compiled into each under its own name.
 */
#include "../guest-kmod-common/bell.c"
#include "../guest-kmod-common/eth.c"
#include "../guest-kmod-common/ethtool.c"
#include "../guest-kmod-common/link.c"
#include "../guest-kmod-common/queue.c"
#include "../guest-kmod-common/roce.c"

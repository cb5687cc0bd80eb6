/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The oldest supported kernel: what later ones brought is then the module's own to define. */
#define KERNEL_VERSION(a, b, c)	((a) << 16 | (b) << 8 | (c))
#define LINUX_VERSION_CODE	KERNEL_VERSION(6, 1, 0)

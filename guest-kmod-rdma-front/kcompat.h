/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between the supported kernels (6.1 to 6.12) that the front module meets. The only
 * place with version conditionals, beside guest-kmod-common/kcompat.h.
 */
#ifndef MRDMA_KCOMPAT_H
#define MRDMA_KCOMPAT_H

#include <linux/version.h>

#include "../guest-kmod-common/kcompat.h"

/* 6.11 hands create_cq the whole attribute bundle instead of its driver part */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define mrdma_create_cq_arg	struct uverbs_attr_bundle
#define mrdma_create_cq_udata(arg)	((arg) ? &(arg)->driver_udata : NULL)
#else
#define mrdma_create_cq_arg	struct ib_udata
#define mrdma_create_cq_udata(arg)	(arg)
#endif

/*
 * 6.2 brought FLUSH and ATOMIC_WRITE. Before it the device answers them, but nobody can post
 * them or grant the right to flush.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define IB_OPCODE_RC_FLUSH		0x1c
#define IB_OPCODE_RC_ATOMIC_WRITE	0x1d
#endif

#endif /* MRDMA_KCOMPAT_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between the supported kernels (6.1 to 7.3) that the parts shared by both
 * modules and the back module meet. The only place with version conditionals: the sources use
 * the names of the newest kernel, which are given to the older ones here.
 */
#ifndef MOS_KCOMPAT_H
#define MOS_KCOMPAT_H

#include <linux/irq.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#include <asm/unaligned.h>
#else
#include <linux/unaligned.h>
#endif

/* a doorbell moves by one 64-bit store, so it need not be moved from its own interrupt */
static inline void mos_irq_move_in_process_context(unsigned int irq)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
	irq_set_status_flags(irq, IRQ_MOVE_PCNTXT);
#endif
}

/* <rdma/ib_pack.h> */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define IB_OPCODE_RC_FLUSH		0x1c
#define IB_OPCODE_RC_ATOMIC_WRITE	0x1d
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
#define mos_platform_remove	remove_new
#else
#define mos_platform_remove	remove
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
#define wrmsrq(msr, value)	wrmsrl(msr, value)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#define system_percpu_wq	system_wq
#define WQ_PERCPU		0
#define system_dfl_wq		system_unbound_wq
#endif

/* from 6.14 on the library's crc32_le() is the fastest there is, before it the crypto API's */
#define MOS_CRC32_LE_FAST	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0))

#endif /* MOS_KCOMPAT_H */

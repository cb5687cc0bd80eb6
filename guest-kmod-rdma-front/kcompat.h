/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between the supported kernels (6.1 to 7.3) that the front module meets. The only
 * place with version conditionals, beside guest-kmod-common/kcompat.h, whose rule holds here.
 */
#ifndef MRDMA_KCOMPAT_H
#define MRDMA_KCOMPAT_H

#include <linux/local_lock.h>
#include <linux/types.h>
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
 * 6.2 brought FLUSH and ATOMIC_WRITE. Before it the device has them, too, but does not say so, and
 * ib_core lets nobody grant the right to flush.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define IB_WR_FLUSH			14
#define IB_WR_ATOMIC_WRITE		15
#define IB_WC_FLUSH			8
#define IB_WC_ATOMIC_WRITE		9
#define IB_ACCESS_FLUSH_GLOBAL		BIT(8)
#define IB_ACCESS_FLUSH_PERSISTENT	BIT(9)
#define MRDMA_PLACEMENT_CAPS		0
/* wr.wr.flush of the later <rdma/rdma_user_rxe.h> */
struct mrdma_flush_wr {
	__aligned_u64	remote_addr;
	__u32		length;
	__u32		rkey;
	__u8		type;
	__u8		level;
};
#define mrdma_flush_wr(u)	((const struct mrdma_flush_wr *)&(u)->wr.wr)
#else
#define mrdma_flush_wr(u)	(&(u)->wr.wr.flush)
#define MRDMA_PLACEMENT_CAPS		(IB_DEVICE_FLUSH_GLOBAL | IB_DEVICE_ATOMIC_WRITE)
#endif

/* 6.3 wants a mapping's flags changed by a call */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define vm_flags_set(vma, flags)	((vma)->vm_flags |= (flags))
#endif

/* 6.9 lets a device tell of its shared receive queues */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#define mrdma_fill_res_srq_op	.fill_res_srq_entry = mrdma_fill_res_srq,
#else
#define mrdma_fill_res_srq_op
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define timer_delete_sync(timer)	del_timer_sync(timer)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
#define timer_container_of(var, timer, field)	from_timer(var, timer, field)
#endif

/* 6.11 brought it; softirqs of one CPU exclude each other in older kernels of either kind */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
#define local_lock_nested_bh(lock)	do { } while (0)
#define local_unlock_nested_bh(lock)	do { } while (0)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define hrtimer_setup(timer, func, clock, mode)		\
	do {						\
		hrtimer_init(timer, clock, mode);	\
		(timer)->function = (func);		\
	} while (0)
#endif

/* 6.17 hands reg_user_mr the hints for a device's DMA that the user has given */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define mrdma_dmah_arg	struct ib_dmah *dmah,
#define mrdma_dmah	dmah
#else
#define mrdma_dmah_arg
#define mrdma_dmah	NULL
#endif

/* seen in 7.2, not in 6.12: only users resize a CQ, and user memory comes in more than one way */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define mrdma_resize_cq_op	.resize_user_cq
#define mrdma_cqe_t		unsigned int
#else
#define mrdma_resize_cq_op	.resize_cq
#define mrdma_cqe_t		int
#define ib_umem_get_va(ibdev, start, length, access)	ib_umem_get(ibdev, start, length, access)
#endif

#endif /* MRDMA_KCOMPAT_H */

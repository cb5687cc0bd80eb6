/* SPDX-License-Identifier: GPL-2.0 */
/* Memory that keys open, and copies from and to it. */
#ifndef MRDMA_MEM_H
#define MRDMA_MEM_H

#include "mrdma.h"

enum mrdma_mem_type {
	MRDMA_MEM_DMA,		/* all of kernel memory, address = pointer */
	MRDMA_MEM_USER,
	MRDMA_MEM_FAST,		/* fast registration */
	MRDMA_MEM_MW1,		/* window, type 1 */
	MRDMA_MEM_MW2,		/* window, type 2B */
};

/* Memory that a key opens: a region, or a window into one */
struct mrdma_mem {
	rwlock_t		lock;		/* protects: all below but type */
	enum mrdma_mem_type	type;
	bool			valid;
	u8			shift;		/* log2 bytes of a block */
	u32			key;
	u32			qpn;		/* of a type 2 window: the QP it is bound on */
	struct list_head	bound;		/* type 2 window: in mrdma_qp.windows (mw_lock) */
	u32			windows;	/* bound to this region */
	int			access;		/* enum ib_access_flags */
	struct ib_pd		*pd;
	u64			iova;		/* address of the first byte */
	u64			length;
	u64			start;		/* of the first byte in region's blocks */
	struct mrdma_mem	*region;	/* itself, or what the window is bound to */
	u8			**block;	/* kernel addresses */
	struct rcu_head		rcu;
};

static inline bool mrdma_mem_window(const struct mrdma_mem *mem)
{
	return mem->type == MRDMA_MEM_MW1 || mem->type == MRDMA_MEM_MW2;
}

enum mrdma_dir {
	MRDMA_FROM_MR,
	MRDMA_TO_MR,
};

enum mrdma_atomic_kind {
	MRDMA_CMP_SWAP,
	MRDMA_FETCH_ADD,
	MRDMA_STORE,
};

struct mrdma_atomic {
	enum mrdma_atomic_kind	kind;
	u64			compare;
	u64			swap_add;
	u64			orig;		/* result */
};

/* mem.c */

struct mrdma_mem *mrdma_mem_find(struct mrdma_dev *dev, u32 key);	/* RCU */
/* Process context */
int mrdma_mem_publish(struct mrdma_dev *dev, struct mrdma_mem *mem, bool window);
void mrdma_mem_unpublish(struct mrdma_dev *dev, struct mrdma_mem *mem);

/*
 * For the peer, BH off. 0, or -EACCES: no such key, domain, right or range; -EINVAL from
 * mrdma_mem_atomic(): not aligned
 */
int mrdma_mem_check(struct mrdma_qp *qp, u32 key, u64 va, u32 len, int access);
int mrdma_mem_check_key(struct mrdma_qp *qp, u32 key, int access);
int mrdma_mem_copy(struct mrdma_qp *qp, u32 key, u64 va, void *buf, u32 len, int access,
		   enum mrdma_dir dir);
int mrdma_mem_atomic(struct mrdma_qp *qp, u32 key, u64 va, int access, struct mrdma_atomic *op);
/* For work requests, BH off */
int mrdma_sge_copy(struct ib_pd *pd, const struct rxe_sge *sge, u32 num_sge, u32 off,
		   void *buf, u32 len, enum mrdma_dir dir);

#endif /* MRDMA_MEM_H */

// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that keys open: the index of keys, the check of an access, and every copy between packets
 * and registered memory. A key is an index << 8 and a byte of variation, so that a stale key
 * of a re-used index does not match; regions (mr.c) and windows (mw.c) share the index space.
 *
 * An access finds its key under RCU and holds the key's lock while it copies; whatever takes the
 * access away does so under the write lock, so that after it no copy goes on.
 */
#include <linux/random.h>

#include "mem.h"
#include "qp.h"

#define KEY_SHIFT	8
#define ANY_RANGE	U64_MAX

/* Under RCU: what has the key's index now */
struct mrdma_mem *mrdma_mem_find(struct mrdma_dev *dev, u32 key)
{
	return xa_load(&dev->mems, key >> KEY_SHIFT);
}

/*
 * Gives memory its key; from here on packets can find it. Regions and windows have bounds of
 * their own.
 */
int mrdma_mem_publish(struct mrdma_dev *dev, struct mrdma_mem *mem, bool window)
{
	struct xa_limit limit = XA_LIMIT(1, MRDMA_MAX_MR);
	u32 index, *next = &dev->next_mr;
	int err;

	if (window) {
		limit = XA_LIMIT(MRDMA_MAX_MR + 1, MRDMA_MAX_MR + MRDMA_MAX_MW);
		next = &dev->next_mw;
	}
	static_assert(MRDMA_MAX_MR + MRDMA_MAX_MW < 1u << (32 - KEY_SHIFT));
	err = xa_alloc_cyclic(&dev->mems, &index, NULL, limit, next, GFP_KERNEL);
	if (err < 0)
		return err == -EBUSY ? -ENOMEM : err;
	mem->key = index << KEY_SHIFT | (get_random_u32() & 0xff);
	xa_store(&dev->mems, index, mem, GFP_KERNEL);
	return 0;
}

/* Nothing finds it any more; who has found it looks at it until the end of its RCU section. */
void mrdma_mem_unpublish(struct mrdma_dev *dev, struct mrdma_mem *mem)
{
	xa_erase(&dev->mems, mem->key >> KEY_SHIFT);
}

/*
 * The memory that @key opens to QP @qp's peer, or (@qp NULL) to work requests of @pd; NULL: not
 * with that right and range (of length ANY_RANGE: at all). put_mem() ends the access.
 */
static struct mrdma_mem *get_mem(struct mrdma_dev *dev, const struct ib_pd *pd,
				 const struct mrdma_qp *qp, u32 key, u64 va, u64 len, int access)
	__acquires(RCU)
{
	struct mrdma_mem *mem;
	u64 off;

	rcu_read_lock();
	mem = mrdma_mem_find(dev, key);
	if (!mem)
		goto err_unlock_rcu;
	read_lock(&mem->lock);
	off = va - mem->iova;
	if (!mem->valid || mem->key != key || mem->pd != pd || (mem->access & access) != access ||
	    (len != ANY_RANGE && (off > mem->length || len > mem->length - off)))
		goto err_unlock;
	/* a window is for the peer alone, one of type 2 for the peer of the QP it is bound on */
	if (mrdma_mem_window(mem) &&
	    (!qp || (mem->type == MRDMA_MEM_MW2 && mem->qpn != qp->ibqp.qp_num)))
		goto err_unlock;
	return mem;

err_unlock:
	read_unlock(&mem->lock);
err_unlock_rcu:
	rcu_read_unlock();
	return NULL;
}

static void put_mem(struct mrdma_mem *mem)
	__releases(RCU)
{
	read_unlock(&mem->lock);
	rcu_read_unlock();
}

static void copy_blocks(const struct mrdma_mem *mem, u64 va, void *buf, u32 len,
			enum mrdma_dir dir)
{
	/* a window's region stays as it is while the window is bound */
	const struct mrdma_mem *region = mem->region;
	u64 pos = mem->start + (va - mem->iova), size = 1ull << region->shift;
	size_t i = pos >> region->shift;
	u64 off = pos & (size - 1);

	while (len) {
		u32 n = min_t(u64, len, size - off);
		u8 *at = region->block[i++] + off;

		if (dir == MRDMA_TO_MR)
			memcpy(at, buf, n);
		else
			memcpy(buf, at, n);
		buf += n;
		len -= n;
		off = 0;
	}
}

/* All of kernel memory: the address is a pointer. One from the wire may be no memory's. */
static int copy_kernel(u64 va, void *buf, u32 len, bool remote, enum mrdma_dir dir)
{
	void *at = (void *)(uintptr_t)va;

	if (remote && (!virt_addr_valid(at) || !virt_addr_valid(at + len - 1)))
		return -EACCES;
	if (dir == MRDMA_TO_MR)
		memcpy(at, buf, len);
	else
		memcpy(buf, at, len);
	return 0;
}

static int copy(struct mrdma_dev *dev, const struct ib_pd *pd, const struct mrdma_qp *qp, u32 key,
		u64 va, void *buf, u32 len, int access, enum mrdma_dir dir)
{
	struct mrdma_mem *mem;
	int err = 0;

	if (!len)
		return 0;
	mem = get_mem(dev, pd, qp, key, va, len, access);
	if (!mem)
		return -EACCES;
	if (mem->type == MRDMA_MEM_DMA)
		err = copy_kernel(va, buf, len, qp, dir);
	else
		copy_blocks(mem, va, buf, len, dir);
	put_mem(mem);
	return err;
}

/* The key and its rights alone */
int mrdma_mem_check_key(struct mrdma_qp *qp, u32 key, int access)
{
	struct mrdma_mem *mem;

	mem = get_mem(mrdma_qp_dev(qp), qp->ibqp.pd, qp, key, 0, ANY_RANGE, access);
	if (!mem)
		return -EACCES;
	put_mem(mem);
	return 0;
}

int mrdma_mem_check(struct mrdma_qp *qp, u32 key, u64 va, u32 len, int access)
{
	struct mrdma_mem *mem;

	mem = get_mem(mrdma_qp_dev(qp), qp->ibqp.pd, qp, key, va, len, access);
	if (!mem)
		return -EACCES;
	put_mem(mem);
	return 0;
}

int mrdma_mem_copy(struct mrdma_qp *qp, u32 key, u64 va, void *buf, u32 len, int access,
		   enum mrdma_dir dir)
{
	return copy(mrdma_qp_dev(qp), qp->ibqp.pd, qp, key, va, buf, len, access, dir);
}

/*
 * Eight aligned bytes in one piece: atomic for every CPU as well, which is more than the device
 * says of itself (IB_ATOMIC_HCA).
 */
int mrdma_mem_atomic(struct mrdma_qp *qp, u32 key, u64 va, int access, struct mrdma_atomic *op)
{
	struct mrdma_mem *mem;
	u64 *at, pos;
	int err = 0;

	if (va % MOS_ATOMIC_BYTES)
		return -EINVAL;
	mem = get_mem(mrdma_qp_dev(qp), qp->ibqp.pd, qp, key, va, MOS_ATOMIC_BYTES, access);
	if (!mem)
		return -EACCES;
	if (mem->type == MRDMA_MEM_DMA) {
		at = (u64 *)(uintptr_t)va;
		if (!virt_addr_valid(at))
			err = -EACCES;
	} else {
		pos = mem->start + (va - mem->iova);
		at = (u64 *)(mem->region->block[pos >> mem->region->shift] +
			     (pos & ((1ull << mem->region->shift) - 1)));
		/* the address at the peer need not be that in memory */
		if ((uintptr_t)at % MOS_ATOMIC_BYTES)
			err = -EINVAL;
	}
	if (err)
		goto out;
	switch (op->kind) {
	case MRDMA_CMP_SWAP:
		op->orig = cmpxchg64(at, op->compare, op->swap_add);
		break;
	case MRDMA_FETCH_ADD:
		op->orig = atomic64_fetch_add(op->swap_add, (atomic64_t *)at);
		break;
	case MRDMA_STORE:
		/* partner: whoever reads the eight bytes sees what earlier packets wrote */
		smp_store_release(at, op->swap_add);
		break;
	}
out:
	put_mem(mem);
	return err;
}

/* Copies @len bytes from byte @off of the scatter/gather list on. */
int mrdma_sge_copy(struct ib_pd *pd, const struct rxe_sge *sge, u32 num_sge, u32 off,
		   void *buf, u32 len, enum mrdma_dir dir)
{
	int access = dir == MRDMA_TO_MR ? IB_ACCESS_LOCAL_WRITE : 0;
	u32 i;

	for (i = 0; len && i < num_sge; i++) {
		u32 n;
		int err;

		if (off >= sge[i].length) {
			off -= sge[i].length;
			continue;
		}
		n = min(len, sge[i].length - off);
		err = copy(to_mrdma_dev(pd->device), pd, NULL, sge[i].lkey, sge[i].addr + off, buf,
			   n, access, dir);
		if (err)
			return err;
		buf += n;
		len -= n;
		off = 0;
	}
	return len ? -EACCES : 0;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Memory windows of types 1 and 2B: rights of the peer to a part of a region, given and taken by
 * work requests (IBTA volume 1, section 10.6). A window is found by its key like a region and
 * borrows the region's block table; as long as it is bound, the region can neither be
 * deregistered nor changed. A window of type 2 is free again when its QP is reset or destroyed.
 */
#include <linux/slab.h>

#include "mw.h"
#include "qp.h"

#define ACCESS_WINDOW	(IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_READ | \
			 IB_ACCESS_REMOTE_ATOMIC | IB_ZERO_BASED)

int mrdma_alloc_mw(struct ib_mw *ibmw, struct ib_udata *udata)
{
	struct mrdma_mw *mw = to_mrdma_mw(ibmw);
	struct mrdma_mem *mem;
	int err;

	if (ibmw->type != IB_MW_TYPE_1 && ibmw->type != IB_MW_TYPE_2)
		return -EINVAL;
	mem = kzalloc(sizeof(*mem), GFP_KERNEL_ACCOUNT);
	if (!mem)
		return -ENOMEM;
	/* a class of its own for lockdep: taken around a region's */
	rwlock_init(&mem->lock);
	mem->type = ibmw->type == IB_MW_TYPE_1 ? MRDMA_MEM_MW1 : MRDMA_MEM_MW2;
	mem->pd = ibmw->pd;
	INIT_LIST_HEAD(&mem->bound);
	err = mrdma_mem_publish(to_mrdma_dev(ibmw->device), mem, true);
	if (err)
		goto err_free;
	mw->mem = mem;
	ibmw->rkey = mem->key;
	return 0;

err_free:
	kfree(mem);
	return err;
}

/* Under the window's lock. */
void mrdma_mw_unbind(struct mrdma_mem *mem)
{
	struct mrdma_mem *region = mem->region;
	struct mrdma_dev *dev;

	lockdep_assert_held_write(&mem->lock);
	mem->valid = false;
	if (!region)
		return;
	mem->region = NULL;
	dev = to_mrdma_dev(mem->pd->device);
	spin_lock(&dev->mw_lock);
	list_del_init(&mem->bound);
	spin_unlock(&dev->mw_lock);
	write_lock(&region->lock);
	region->windows--;
	write_unlock(&region->lock);
}

/*
 * The QP is in RESET or about to be freed: it binds no window meanwhile. Those that were bound on
 * it become free; one that is deallocated at this moment has left the list.
 */
void mrdma_mw_unbind_all(struct mrdma_qp *qp)
{
	struct mrdma_dev *dev = mrdma_qp_dev(qp);
	struct mrdma_mem *mem;

	rcu_read_lock();
	spin_lock_bh(&dev->mw_lock);
	while ((mem = list_first_entry_or_null(&qp->windows, struct mrdma_mem, bound))) {
		/* a window's lock comes first; RCU keeps the window's memory */
		list_del_init(&mem->bound);
		spin_unlock_bh(&dev->mw_lock);
		write_lock_bh(&mem->lock);
		if (mem->valid && mem->qpn == qp->ibqp.qp_num)
			mrdma_mw_unbind(mem);
		write_unlock_bh(&mem->lock);
		spin_lock_bh(&dev->mw_lock);
	}
	spin_unlock_bh(&dev->mw_lock);
	rcu_read_unlock();
}

int mrdma_dealloc_mw(struct ib_mw *ibmw)
{
	struct mrdma_mem *mem = to_mrdma_mw(ibmw)->mem;

	write_lock_bh(&mem->lock);
	mrdma_mw_unbind(mem);
	/* a BIND_MW that is still queued finds nothing to bind */
	mem->pd = NULL;
	write_unlock_bh(&mem->lock);
	mrdma_mem_unpublish(to_mrdma_dev(ibmw->device), mem);
	kfree_rcu(mem, rcu);
	return 0;
}

static bool may_bind(const struct mrdma_mem *region, const struct mrdma_bind *b)
{
	u64 off = b->addr - region->iova;

	lockdep_assert_held_write(&region->lock);
	if (!region->valid || region->key != b->lkey || !(region->access & IB_ACCESS_MW_BIND))
		return false;
	if (b->access & (IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_ATOMIC) &&
	    !(region->access & IB_ACCESS_LOCAL_WRITE))
		return false;
	return off <= region->length && b->length <= region->length - off;
}

/* The window's lock is held: a new region in place of the old one, or none. */
static int bind(struct mrdma_qp *qp, struct mrdma_mem *mem, struct mrdma_mem *region,
		const struct mrdma_bind *b)
{
	if (mem->key != b->rkey || mem->pd != qp->ibqp.pd)
		return -EINVAL;
	if (mem->type == MRDMA_MEM_MW1 && b->access & IB_ZERO_BASED)
		return -EINVAL;
	/* one of type 2 is bound when it is free only, and freed by invalidation only */
	if (mem->type == MRDMA_MEM_MW2 && (mem->valid || !region))
		return -EINVAL;
	if (region) {
		bool ok;

		write_lock(&region->lock);
		ok = region->pd == mem->pd && may_bind(region, b);
		/* counted before a region that is bound to already is let go */
		if (ok)
			region->windows++;
		write_unlock(&region->lock);
		if (!ok)
			return -EINVAL;
	}
	mrdma_mw_unbind(mem);
	mem->key = (b->rkey & ~0xff) | (b->new_rkey & 0xff);
	if (!region)
		return 0;
	mem->region = region;
	mem->start = region->start + (b->addr - region->iova);
	mem->iova = b->access & IB_ZERO_BASED ? 0 : b->addr;
	mem->length = b->length;
	mem->access = b->access;
	mem->qpn = qp->ibqp.qp_num;
	mem->valid = true;
	if (mem->type == MRDMA_MEM_MW2) {
		struct mrdma_dev *dev = mrdma_qp_dev(qp);

		spin_lock(&dev->mw_lock);
		list_add_tail(&mem->bound, &qp->windows);
		spin_unlock(&dev->mw_lock);
	}
	return 0;
}

/* IB_WR_BIND_MW, under the QP's lock. Length 0 takes the rights away. */
int mrdma_mw_bind(struct mrdma_qp *qp, const struct mrdma_bind *b)
{
	struct mrdma_dev *dev = mrdma_qp_dev(qp);
	struct mrdma_mem *mem, *region = NULL;
	int err = -EINVAL;

	lockdep_assert_held(&qp->lock);
	/* the owner's right to write is the region's: programs name it here as well */
	if (b->access & ~(ACCESS_WINDOW | IB_ACCESS_LOCAL_WRITE))
		return -EINVAL;
	rcu_read_lock();
	mem = mrdma_mem_find(dev, b->rkey);
	if (!mem || !mrdma_mem_window(mem))
		goto out;
	if (b->length) {
		region = mrdma_mem_find(dev, b->lkey);
		if (!region || region->type != MRDMA_MEM_USER)
			goto out;
	}
	write_lock(&mem->lock);
	err = bind(qp, mem, region, b);
	write_unlock(&mem->lock);
out:
	rcu_read_unlock();
	return err;
}

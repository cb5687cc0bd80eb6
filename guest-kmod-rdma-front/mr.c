// SPDX-License-Identifier: GPL-2.0
/*
 * Memory regions: registration, fast registration, invalidation. A region is a table of blocks:
 * pieces of kernel-mapped memory of equal size, a power of two as large as the memory's seams
 * allow, so that contiguous memory is few of them. Keys and accesses are in mem.c.
 */
#include <linux/bitops.h>
#include <linux/log2.h>
#include <linux/slab.h>
#include <rdma/ib_umem.h>

#include "mr.h"
#include "mw.h"
#include "qp.h"

#define MAX_SHIFT	30	/* log2 bytes of the largest block */
#define ACCESS_REMOTE	(IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_ATOMIC)

static struct mrdma_mr *alloc_region(struct ib_pd *ibpd, enum mrdma_mem_type type)
{
	struct mrdma_mr *mr;

	mr = kzalloc(sizeof(*mr), GFP_KERNEL_ACCOUNT);
	if (!mr)
		return NULL;
	rwlock_init(&mr->mem.lock);
	mr->mem.type = type;
	mr->mem.pd = ibpd;
	mr->mem.region = &mr->mem;
	mr->ibmr.pd = ibpd;
	return mr;
}

static int publish_region(struct mrdma_mr *mr)
{
	int err;

	err = mrdma_mem_publish(to_mrdma_dev(mr->ibmr.pd->device), &mr->mem, false);
	if (err)
		return err;
	mr->ibmr.lkey = mr->mem.key;
	mr->ibmr.rkey = mr->mem.key;
	return 0;
}

struct ib_mr *mrdma_get_dma_mr(struct ib_pd *ibpd, int access)
{
	struct mrdma_mr *mr;
	int err;

	mr = alloc_region(ibpd, MRDMA_MEM_DMA);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	mr->ibmr.length = U64_MAX;
	mr->mem.length = U64_MAX;
	mr->mem.access = access;
	mr->mem.valid = true;
	err = publish_region(mr);
	if (err)
		goto err_free;
	return &mr->ibmr;

err_free:
	kfree(mr);
	return ERR_PTR(err);
}

/* The block table of pinned memory. A seam is where one contiguous run meets the next. */
static int map_umem(struct mrdma_mem *mem, struct ib_umem *umem)
{
	struct sg_table *sgt = &umem->sgt_append.sgt;
	u64 va = umem->address & PAGE_MASK, seams = BIT_ULL(MAX_SHIFT), first, n, b;
	uintptr_t end = 0;
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_sg(sgt, sg, i) {
		uintptr_t run = (uintptr_t)sg_virt(sg);

		if (i && run != end)
			seams |= va;
		va += sg->length;
		end = run + sg->length;
	}
	if (va < umem->address + umem->length)
		return -EINVAL;
	mem->shift = __ffs64(seams);
	first = umem->address >> mem->shift;
	n = ((va - 1) >> mem->shift) - first + 1;
	mem->block = kvmalloc_array(n, sizeof(*mem->block), MRDMA_GFP_USER);
	if (!mem->block)
		return -ENOMEM;
	mem->start = umem->address - (first << mem->shift);

	va = umem->address & PAGE_MASK;
	for_each_sgtable_sg(sgt, sg, i) {
		uintptr_t run = (uintptr_t)sg_virt(sg);

		/* the first and the last block may reach beyond the memory; no access does */
		for (b = va >> mem->shift; b <= (va + sg->length - 1) >> mem->shift; b++)
			mem->block[b - first] = (u8 *)(run + (uintptr_t)((b << mem->shift) - va));
		va += sg->length;
	}
	return 0;
}

/* Pins a user's memory and maps it into @mem, of which only block, shift and start are set. */
static struct ib_umem *pin_user(struct ib_device *ibdev, struct mrdma_mem *mem, u64 start,
				u64 length, int access)
{
	struct ib_umem *umem;
	int err;

	umem = ib_umem_get_va(ibdev, start, length, access);
	if (IS_ERR(umem))
		return umem;
	err = map_umem(mem, umem);
	if (err) {
		ib_umem_release(umem);
		return ERR_PTR(err);
	}
	return umem;
}

static int check_user_range(u64 length, u64 iova, int access)
{
	if (access & IB_ACCESS_ON_DEMAND)
		return -EOPNOTSUPP;
	if (length > MRDMA_MAX_MR_SIZE)
		return -EINVAL;
	/* the range that a key gives access to must not wrap */
	return iova + length < iova ? -EINVAL : 0;
}

struct ib_mr *mrdma_reg_user_mr(struct ib_pd *ibpd, u64 start, u64 length, u64 iova, int access,
				struct ib_udata *udata)
{
	struct mrdma_mr *mr;
	int err;

	err = check_user_range(length, iova, access);
	if (err)
		return ERR_PTR(err);
	mr = alloc_region(ibpd, MRDMA_MEM_USER);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	mr->umem = pin_user(ibpd->device, &mr->mem, start, length, access);
	if (IS_ERR(mr->umem)) {
		err = PTR_ERR(mr->umem);
		goto err_free;
	}
	mr->ibmr.iova = iova;
	mr->ibmr.length = length;
	mr->mem.iova = access & IB_ZERO_BASED ? 0 : iova;
	mr->mem.length = length;
	mr->mem.access = access;
	mr->mem.valid = true;
	err = publish_region(mr);
	if (err)
		goto err_release;
	return &mr->ibmr;

err_release:
	kvfree(mr->mem.block);
	ib_umem_release(mr->umem);
err_free:
	kfree(mr);
	return ERR_PTR(err);
}

/*
 * In place: keys stay. Memory that is to be written must have been pinned for that; else, and for
 * another translation, new memory is pinned before the old is let go, so that a failure changes
 * nothing. uverbs lets no two verbs on a region run at once.
 */
struct ib_mr *mrdma_rereg_user_mr(struct ib_mr *ibmr, int flags, u64 start, u64 length, u64 iova,
				  int access, struct ib_pd *ibpd, struct ib_udata *udata)
{
	struct mrdma_mr *mr = to_mrdma_mr(ibmr);
	struct mrdma_mem *mem = &mr->mem;
	struct ib_umem *umem = NULL;
	struct mrdma_mem now = {};
	int err;

	if (flags & ~IB_MR_REREG_SUPPORTED)
		return ERR_PTR(-EOPNOTSUPP);
	if (!(flags & IB_MR_REREG_ACCESS))
		access = mem->access;
	if (!(flags & IB_MR_REREG_TRANS)) {
		start = mr->umem->address;
		length = mem->length;
		iova = ibmr->iova;
	}
	err = check_user_range(length, iova, access);
	if (err)
		return ERR_PTR(err);
	if (flags & IB_MR_REREG_TRANS || (ib_access_writable(access) && !mr->umem->writable)) {
		umem = pin_user(ibmr->device, &now, start, length, access);
		if (IS_ERR(umem))
			return ERR_CAST(umem);
	}

	write_lock_bh(&mem->lock);
	if (mem->windows) {
		write_unlock_bh(&mem->lock);
		err = -EBUSY;
		goto out;
	}
	if (flags & IB_MR_REREG_PD)
		mem->pd = ibpd;
	mem->access = access;
	mem->iova = access & IB_ZERO_BASED ? 0 : iova;
	mem->length = length;
	if (umem) {
		swap(mem->block, now.block);
		mem->shift = now.shift;
		mem->start = now.start;
	}
	write_unlock_bh(&mem->lock);
	ibmr->iova = iova;
	ibmr->length = length;
	if (umem)
		swap(mr->umem, umem);
out:
	/* what was not taken, or what was replaced */
	kvfree(now.block);
	if (umem)
		ib_umem_release(umem);
	return err ? ERR_PTR(err) : NULL;
}

/*
 * Fast registration (kernel users). ib_map_mr_sg() fills a list of the region's own, as the old
 * registration may still be in use; IB_WR_REG_MR puts it into force.
 */
struct ib_mr *mrdma_alloc_mr(struct ib_pd *ibpd, enum ib_mr_type type, u32 max_num_sg)
{
	struct mrdma_mr *mr;
	int err = -ENOMEM;

	if (type != IB_MR_TYPE_MEM_REG)
		return ERR_PTR(-EOPNOTSUPP);
	if (!max_num_sg || max_num_sg > MRDMA_MAX_FAST_REG)
		return ERR_PTR(-EINVAL);
	mr = alloc_region(ibpd, MRDMA_MEM_FAST);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	mr->mem.block = kvcalloc(max_num_sg, sizeof(*mr->mem.block), MRDMA_GFP_USER);
	mr->list = kvcalloc(max_num_sg, sizeof(*mr->list), MRDMA_GFP_USER);
	if (!mr->mem.block || !mr->list)
		goto err_free;
	mr->max_list = max_num_sg;
	err = publish_region(mr);
	if (err)
		goto err_free;
	return &mr->ibmr;

err_free:
	kvfree(mr->list);
	kvfree(mr->mem.block);
	kfree(mr);
	return ERR_PTR(err);
}

static int add_page(struct ib_mr *ibmr, u64 addr)
{
	struct mrdma_mr *mr = to_mrdma_mr(ibmr);

	if (mr->num_list == mr->max_list)
		return -ENOMEM;
	/* there is no DMA device: bus addresses are kernel addresses */
	mr->list[mr->num_list++] = (u8 *)(uintptr_t)addr;
	return 0;
}

int mrdma_map_mr_sg(struct ib_mr *ibmr, struct scatterlist *sg, int sg_nents,
		    unsigned int *sg_offset)
{
	struct mrdma_mr *mr = to_mrdma_mr(ibmr);

	if (ibmr->page_size < SZ_4K || !is_power_of_2(ibmr->page_size))
		return -EINVAL;
	mr->num_list = 0;
	return ib_sg_to_pages(ibmr, sg, sg_nents, sg_offset, add_page);
}

/* IB_WR_REG_MR, under the QP's lock: a free region gets the mapped list, a key and rights. */
int mrdma_mr_fast_reg(struct mrdma_qp *qp, u32 key, int access)
{
	struct mrdma_mem *mem;
	struct mrdma_mr *mr;
	int err = -EINVAL;
	u8 shift;
	u64 off;

	lockdep_assert_held(&qp->lock);
	rcu_read_lock();
	mem = mrdma_mem_find(mrdma_qp_dev(qp), key);
	if (!mem || mem->type != MRDMA_MEM_FAST)
		goto out_unlock_rcu;
	mr = container_of(mem, struct mrdma_mr, mem);
	write_lock(&mem->lock);
	if (mem->pd != qp->ibqp.pd || mem->valid || !mr->num_list)
		goto out;
	if (access & (IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_ATOMIC) &&
	    !(access & IB_ACCESS_LOCAL_WRITE))
		goto out;
	shift = ilog2(mr->ibmr.page_size);
	off = mr->ibmr.iova & (mr->ibmr.page_size - 1);
	/* a user that maps its next list too early gets what it mapped, but no overrun */
	if (mr->ibmr.iova + mr->ibmr.length < mr->ibmr.iova ||
	    off + mr->ibmr.length > (u64)mr->num_list << shift)
		goto out;
	memcpy(mem->block, mr->list, mr->num_list * sizeof(*mr->list));
	mem->shift = shift;
	mem->start = off;
	mem->iova = mr->ibmr.iova;
	mem->length = mr->ibmr.length;
	mem->access = access;
	mem->key = key;
	mem->valid = true;
	err = 0;
out:
	write_unlock(&mem->lock);
out_unlock_rcu:
	rcu_read_unlock();
	return err;
}

/*
 * LOCAL_INV, or (@remote) a SEND_WITH_INV that has arrived. Fast registrations and windows of
 * type 2 can be invalidated, of the same protection domain; by the peer only what was open to it
 * (IBTA volume 1, section 10.6).
 */
int mrdma_mr_invalidate(struct mrdma_qp *qp, u32 key, bool remote)
{
	struct mrdma_mem *mem;
	int err = -EINVAL;

	lockdep_assert_held(&qp->lock);
	rcu_read_lock();
	mem = mrdma_mem_find(mrdma_qp_dev(qp), key);
	if (!mem)
		goto out_unlock_rcu;
	write_lock(&mem->lock);
	if (mem->key != key || mem->pd != qp->ibqp.pd ||
	    (remote && !(mem->valid && mem->access & ACCESS_REMOTE)))
		goto out;
	switch (mem->type) {
	case MRDMA_MEM_FAST:
		mem->valid = false;
		break;
	case MRDMA_MEM_MW2:
		if (mem->valid && mem->qpn != qp->ibqp.qp_num)
			goto out;
		mrdma_mw_unbind(mem);
		break;
	default:
		goto out;
	}
	err = 0;
out:
	write_unlock(&mem->lock);
out_unlock_rcu:
	rcu_read_unlock();
	return err;
}

int mrdma_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata)
{
	struct mrdma_mr *mr = to_mrdma_mr(ibmr);
	struct mrdma_mem *mem = &mr->mem;

	write_lock_bh(&mem->lock);
	if (mem->windows) {
		write_unlock_bh(&mem->lock);
		return -EBUSY;
	}
	mem->valid = false;
	/* a REG_MR that is still queued finds nothing to register */
	mem->pd = NULL;
	write_unlock_bh(&mem->lock);
	mrdma_mem_unpublish(to_mrdma_dev(ibmr->device), mem);
	/*
	 * no copy goes on and none can begin; only the lock and the fields may still be looked at
	 */
	kvfree(mem->block);
	kvfree(mr->list);
	if (mr->umem)
		ib_umem_release(mr->umem);
	kfree_rcu(mr, mem.rcu);
	return 0;
}

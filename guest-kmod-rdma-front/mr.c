// SPDX-License-Identifier: GPL-2.0
/*
 * Memory regions: registration, keys, and every copy between packets and
 * registered memory. A key is an index << 8 and a byte of variation, so that a stale key
 * of a re-used index does not match; regions and windows (mw.c) share the index space.
 *
 * A region is a table of blocks: pieces of kernel-mapped memory of equal size, a power of two as
 * large as the memory's seams allow, so that contiguous memory is few of them. An access finds
 * its key under RCU and holds the key's lock while it copies; whatever takes the access away does
 * so under the write lock, so that after it no copy goes on.
 */
#include <linux/bitops.h>
#include <linux/log2.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "mrdma.h"

#define KEY_SHIFT	8
#define ANY_RANGE	U64_MAX
#define MAX_SHIFT	30	/* log2 bytes of the largest block */
#define ACCESS_REMOTE	(IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_ATOMIC)

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
int mrdma_mr_check_key(struct mrdma_qp *qp, u32 key, int access)
{
	struct mrdma_mem *mem;

	mem = get_mem(mrdma_qp_dev(qp), qp->ibqp.pd, qp, key, 0, ANY_RANGE, access);
	if (!mem)
		return -EACCES;
	put_mem(mem);
	return 0;
}

int mrdma_mr_check(struct mrdma_qp *qp, u32 key, u64 va, u32 len, int access)
{
	struct mrdma_mem *mem;

	mem = get_mem(mrdma_qp_dev(qp), qp->ibqp.pd, qp, key, va, len, access);
	if (!mem)
		return -EACCES;
	put_mem(mem);
	return 0;
}

int mrdma_mr_copy(struct mrdma_qp *qp, u32 key, u64 va, void *buf, u32 len, int access,
		  enum mrdma_dir dir)
{
	return copy(mrdma_qp_dev(qp), qp->ibqp.pd, qp, key, va, buf, len, access, dir);
}

/*
 * Eight aligned bytes in one piece: atomic for every CPU as well, which is more than the device
 * says of itself (IB_ATOMIC_HCA).
 */
int mrdma_mr_atomic(struct mrdma_qp *qp, u32 key, u64 va, int access, struct mrdma_atomic *op)
{
	struct mrdma_mem *mem;
	u64 *at, pos;
	int err = 0;

	if (va % MRDMA_ATOMIC_BYTES)
		return -EINVAL;
	mem = get_mem(mrdma_qp_dev(qp), qp->ibqp.pd, qp, key, va, MRDMA_ATOMIC_BYTES, access);
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
		if ((uintptr_t)at % MRDMA_ATOMIC_BYTES)
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
	/* no copy goes on and none can begin; only the lock and the fields may still be looked at */
	kvfree(mem->block);
	kvfree(mr->list);
	if (mr->umem)
		ib_umem_release(mr->umem);
	kfree_rcu(mr, mem.rcu);
	return 0;
}

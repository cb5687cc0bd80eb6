// SPDX-License-Identifier: GPL-2.0
/*
 * Memory regions: registration, keys, and every copy between packets and
 * registered memory. A key is the region's index << 8 and a byte of variation, so
 * that a stale key of a re-used index does not match. dereg waits for copies
 * under way; nobody else keeps a region across packets.
 */
#include <linux/highmem.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "mrdma.h"

#define KEY_SHIFT	8
#define MAX_INDEX	((1u << (32 - KEY_SHIFT)) - 1)

static void release_mr(struct kref *ref)
{
	struct mrdma_mr *mr = container_of(ref, struct mrdma_mr, ref);

	complete(&mr->idle);
}

static struct mrdma_mr *get_mr(struct mrdma_dev *dev, u32 key)
{
	struct mrdma_mr *mr;

	rcu_read_lock();
	mr = xa_load(&dev->mrs, key >> KEY_SHIFT);
	if (mr && (mr->ibmr.lkey != key || !kref_get_unless_zero(&mr->ref)))
		mr = NULL;
	rcu_read_unlock();
	return mr;
}

static void put_mr(struct mrdma_mr *mr)
{
	kref_put(&mr->ref, release_mr);
}

/* Gives the region its key; from here on packets can find it. */
static int publish_mr(struct mrdma_dev *dev, struct mrdma_mr *mr)
{
	u32 index, key;
	int err;

	err = xa_alloc_cyclic(&dev->mrs, &index, NULL, XA_LIMIT(1, MAX_INDEX), &dev->next_mr,
			      GFP_KERNEL);
	if (err < 0)
		return err;
	key = index << KEY_SHIFT | (get_random_u32() & 0xff);
	mr->ibmr.lkey = key;
	mr->ibmr.rkey = key;
	kref_init(&mr->ref);
	init_completion(&mr->idle);
	xa_store(&dev->mrs, index, mr, GFP_KERNEL);
	return 0;
}

struct ib_mr *mrdma_get_dma_mr(struct ib_pd *ibpd, int access)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibpd->device);
	struct mrdma_mr *mr;
	int err;

	mr = kzalloc(sizeof(*mr), GFP_KERNEL);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	mr->ibmr.pd = ibpd;
	mr->ibmr.length = U64_MAX;
	mr->access = access;
	mr->dma = true;
	err = publish_mr(dev, mr);
	if (err)
		goto err_free;
	return &mr->ibmr;

err_free:
	kfree(mr);
	return ERR_PTR(err);
}

struct ib_mr *mrdma_reg_user_mr(struct ib_pd *ibpd, u64 start, u64 length, u64 iova, int access,
				struct ib_udata *udata)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibpd->device);
	struct sg_page_iter iter;
	struct mrdma_mr *mr;
	size_t npages, i = 0;
	int err;

	if (access & IB_ACCESS_ON_DEMAND)
		return ERR_PTR(-EOPNOTSUPP);
	/* the range that a key gives access to must not wrap */
	if (iova + length < iova)
		return ERR_PTR(-EINVAL);

	mr = kzalloc(sizeof(*mr), GFP_KERNEL);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	mr->umem = ib_umem_get(&dev->ibdev, start, length, access);
	if (IS_ERR(mr->umem)) {
		err = PTR_ERR(mr->umem);
		goto err_free;
	}
	npages = ib_umem_num_pages(mr->umem);
	mr->pages = kvmalloc_array(npages, sizeof(*mr->pages), GFP_KERNEL);
	if (!mr->pages) {
		err = -ENOMEM;
		goto err_release;
	}
	for_each_sgtable_page(&mr->umem->sgt_append.sgt, &iter, 0) {
		if (i == npages)
			break;
		mr->pages[i++] = sg_page_iter_page(&iter);
	}
	if (i != npages) {
		err = -EINVAL;
		goto err_free_pages;
	}
	mr->first_off = ib_umem_offset(mr->umem);
	mr->ibmr.pd = ibpd;
	mr->ibmr.iova = iova;
	mr->ibmr.length = length;
	mr->access = access;
	err = publish_mr(dev, mr);
	if (err)
		goto err_free_pages;
	return &mr->ibmr;

err_free_pages:
	kvfree(mr->pages);
err_release:
	ib_umem_release(mr->umem);
err_free:
	kfree(mr);
	return ERR_PTR(err);
}

int mrdma_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibmr->device);
	struct mrdma_mr *mr = to_mrdma_mr(ibmr);

	xa_erase(&dev->mrs, ibmr->lkey >> KEY_SHIFT);
	/* copies under way hold a reference; after this none can begin */
	put_mr(mr);
	wait_for_completion(&mr->idle);
	kvfree(mr->pages);
	if (mr->umem)
		ib_umem_release(mr->umem);
	/* get_mr() may still look at the memory */
	kfree_rcu(mr, rcu);
	return 0;
}

static bool allowed(const struct mrdma_mr *mr, struct ib_pd *pd, u64 va, u32 len, int access)
{
	u64 off = va - mr->ibmr.iova;

	return mr->ibmr.pd == pd && (mr->access & access) == access &&
	       va >= mr->ibmr.iova && off <= mr->ibmr.length && len <= mr->ibmr.length - off;
}

static void copy_pages(const struct mrdma_mr *mr, u64 va, void *buf, u32 len, enum mrdma_dir dir)
{
	size_t pos = mr->first_off + (va - mr->ibmr.iova);
	size_t page = pos >> PAGE_SHIFT;
	u32 off = pos & ~PAGE_MASK;

	while (len) {
		u32 n = min_t(u32, len, PAGE_SIZE - off);
		u8 *mem = kmap_local_page(mr->pages[page]);

		if (dir == MRDMA_TO_MR)
			memcpy(mem + off, buf, n);
		else
			memcpy(buf, mem + off, n);
		kunmap_local(mem);
		buf += n;
		len -= n;
		off = 0;
		page++;
	}
}

int mrdma_mr_check(struct ib_pd *pd, u32 key, u64 va, u32 len, int access)
{
	struct mrdma_mr *mr = get_mr(to_mrdma_dev(pd->device), key);
	int err = 0;

	if (!mr)
		return -EACCES;
	if (!allowed(mr, pd, va, len, access))
		err = -EACCES;
	put_mr(mr);
	return err;
}

int mrdma_mr_copy(struct ib_pd *pd, u32 key, u64 va, void *buf, u32 len, int access,
		  enum mrdma_dir dir)
{
	struct mrdma_mr *mr;
	int err = 0;

	if (!len)
		return 0;
	mr = get_mr(to_mrdma_dev(pd->device), key);
	if (!mr)
		return -EACCES;
	if (!allowed(mr, pd, va, len, access)) {
		err = -EACCES;
	} else if (!mr->dma) {
		copy_pages(mr, va, buf, len, dir);
	} else if (dir == MRDMA_TO_MR) {
		memcpy((void *)(uintptr_t)va, buf, len);
	} else {
		memcpy(buf, (void *)(uintptr_t)va, len);
	}
	put_mr(mr);
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
		err = mrdma_mr_copy(pd, sge[i].lkey, sge[i].addr + off, buf, n, access, dir);
		if (err)
			return err;
		buf += n;
		len -= n;
		off = 0;
	}
	return len ? -EACCES : 0;
}

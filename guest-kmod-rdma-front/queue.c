// SPDX-License-Identifier: GPL-2.0
/*
 * User-mapped queues: allocation, the mmap offset handed to user space, and the
 * mapping itself. ib_core counts the references to an entry; the pages are mapped
 * with a reference of their own each (vm_insert_page), so a mapping that
 * outlives its queue keeps its pages and nothing else. The pages are charged to the memory
 * cgroup of who creates the queue, which vmalloc_user() would not do.
 */
#include <linux/log2.h>
#include <linux/vmalloc.h>

#include "kcompat.h"
#include "queue.h"

/* One mapping offered to user space. Freed by ib_core through mrdma_mmap_free. */
struct mrdma_umap {
	struct rdma_user_mmap_entry	entry;
	void				*buf;
};

/*
 * At least @depth elements of at least @elem_size bytes. With @uctx the queue
 * is offered to user space and *@mi says where.
 */
int mrdma_queue_create(struct mrdma_queue *q, struct ib_ucontext *uctx, u32 depth,
		       u32 elem_size, struct mminfo *mi)
{
	size_t size;
	u32 slots;
	int err;

	/* librxe computes addresses from the shift; less than a cache line would share it */
	elem_size = roundup_pow_of_two(max_t(u32, elem_size, SMP_CACHE_BYTES));
	slots = roundup_pow_of_two(depth + 1);
	size = PAGE_ALIGN(sizeof(*q->buf) + (size_t)slots * elem_size);

	memset(q, 0, sizeof(*q));
	q->buf = __vmalloc(size, MRDMA_GFP_USER | __GFP_ZERO);
	if (!q->buf)
		return -ENOMEM;
	q->mask = slots - 1;
	q->shift = ilog2(elem_size);
	q->buf->index_mask = q->mask;
	q->buf->log2_elem_size = q->shift;
	if (!uctx)
		return 0;

	q->umap = kzalloc(sizeof(*q->umap), GFP_KERNEL_ACCOUNT);
	if (!q->umap) {
		err = -ENOMEM;
		goto err_free_buf;
	}
	q->umap->buf = q->buf;
	/* offset 0 is left out: old programs take it for "no mapping" */
	err = rdma_user_mmap_entry_insert_range(uctx, &q->umap->entry, size, 1, U32_MAX);
	if (err)
		goto err_free_umap;
	mi->offset = rdma_user_mmap_get_offset(&q->umap->entry);
	mi->size = size;
	mi->pad = 0;
	return 0;

err_free_umap:
	kfree(q->umap);
err_free_buf:
	vfree(q->buf);
	q->buf = NULL;
	return err;
}

/* The kernel's side is quiet: no context uses the queue any more. */
void mrdma_queue_destroy(struct mrdma_queue *q)
{
	if (!q->buf)
		return;
	if (q->umap)
		rdma_user_mmap_entry_remove(&q->umap->entry);
	else
		vfree(q->buf);
	q->buf = NULL;
}

/*
 * The same for a queue that "rdma resource show" may still look at under @lock: newer
 * kernels take an object off that list after its destroy verb.
 */
void mrdma_queue_retire(struct mrdma_queue *q, spinlock_t *lock)
{
	struct mrdma_queue old;

	spin_lock_irq(lock);
	old = *q;
	q->buf = NULL;
	spin_unlock_irq(lock);
	mrdma_queue_destroy(&old);
}

void mrdma_mmap_free(struct rdma_user_mmap_entry *entry)
{
	struct mrdma_umap *umap = container_of(entry, struct mrdma_umap, entry);

	vfree(umap->buf);
	kfree(umap);
}

static int map_pages(struct vm_area_struct *vma, void *buf)
{
	unsigned long at;
	int err;

	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	for (at = vma->vm_start; at < vma->vm_end; at += PAGE_SIZE, buf += PAGE_SIZE) {
		err = vm_insert_page(vma, at, vmalloc_to_page(buf));
		if (err)
			return err;
	}
	return 0;
}

int mrdma_mmap(struct ib_ucontext *uctx, struct vm_area_struct *vma)
{
	struct rdma_user_mmap_entry *entry;
	struct mrdma_umap *umap;
	int err;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	/* also refuses a length other than the queue's */
	entry = rdma_user_mmap_entry_get(uctx, vma);
	if (!entry)
		return -EINVAL;
	umap = container_of(entry, struct mrdma_umap, entry);
	err = map_pages(vma, umap->buf);
	rdma_user_mmap_entry_put(entry);
	return err;
}

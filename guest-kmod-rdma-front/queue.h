/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queues that the kernel shares with user space: struct rxe_queue_buf of
 * <rdma/rdma_user_rxe.h>, a ring of 2^n elements with one index for each side.
 * User space can write all of it at any time: the kernel keeps its own index and
 * the geometry in private memory, masks what it reads, and copies an element
 * once before it looks at it.
 */
#ifndef MRDMA_QUEUE_H
#define MRDMA_QUEUE_H

#include <linux/mm.h>
#include <rdma/ib_verbs.h>
#include <rdma/rdma_user_rxe.h>

/*
 * Memory of as many bytes as a user asks for: charged to its memory cgroup; if there is not so
 * much, its call fails, and nothing is killed or logged for it.
 */
#define MRDMA_GFP_USER	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

struct mrdma_umap;

struct mrdma_queue {
	struct rxe_queue_buf	*buf;
	struct mrdma_umap	*umap;	/* NULL: not visible to user space */
	u32			mask;	/* elements - 1; one always stays free */
	u8			shift;	/* bytes of an element, log2 */
};

int mrdma_queue_create(struct mrdma_queue *q, struct ib_ucontext *uctx, u32 depth,
		       u32 elem_size, struct mminfo *mi);
void mrdma_queue_destroy(struct mrdma_queue *q);
void mrdma_queue_retire(struct mrdma_queue *q, spinlock_t *lock);
int mrdma_mmap(struct ib_ucontext *uctx, struct vm_area_struct *vma);
void mrdma_mmap_free(struct rdma_user_mmap_entry *entry);

static inline void *mrdma_queue_elem(const struct mrdma_queue *q, u32 idx)
{
	return q->buf->data + ((size_t)(idx & q->mask) << q->shift);
}

/* The other side's index. partner: its store-release; elements before it are complete */
static inline u32 mrdma_queue_prod(const struct mrdma_queue *q)
{
	return smp_load_acquire(&q->buf->producer_index) & q->mask;
}

/* partner: the other side's store-release; it has read the elements before it */
static inline u32 mrdma_queue_cons(const struct mrdma_queue *q)
{
	return smp_load_acquire(&q->buf->consumer_index) & q->mask;
}

/* Publish the own index. partner: the other side's load-acquire */
static inline void mrdma_queue_set_prod(struct mrdma_queue *q, u32 idx)
{
	smp_store_release(&q->buf->producer_index, idx & q->mask);
}

static inline void mrdma_queue_set_cons(struct mrdma_queue *q, u32 idx)
{
	smp_store_release(&q->buf->consumer_index, idx & q->mask);
}

#endif /* MRDMA_QUEUE_H */

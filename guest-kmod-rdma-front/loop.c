// SPDX-License-Identifier: GPL-2.0
/*
 * Packets from this device to itself: the same bursts, through kernel memory and
 * a tasklet instead of the ring, so that a QP never takes another's lock.
 */
#include <linux/slab.h>

#include "mrdma.h"

#define LOOP_MAX_BYTES	(512u << 10)	/* queued; beyond it senders wait */
#define LOOP_BUDGET	16		/* bursts a run */

static u32 pkt_bytes(const struct mrdma_loop_pkt *pkt)
{
	/* what it weighs, so that many small ones are bounded as well */
	return pkt->d.len + 512;
}

static void wake_all(struct mrdma_loop *loop)
{
	struct mrdma_chan_waiter *w;
	LIST_HEAD(wake);

	/*
	 * wake() only schedules the QP's tasklet, so it may run under the lock, and
	 * mrdma_loop_unwait needs no more than the lock.
	 */
	spin_lock(&loop->lock);
	list_splice_init(&loop->waiters, &wake);
	while ((w = list_first_entry_or_null(&wake, struct mrdma_chan_waiter, entry))) {
		list_del_init(&w->entry);
		w->wake(w);
	}
	spin_unlock(&loop->lock);
}

static void deliver(struct tasklet_struct *t)
{
	struct mrdma_dev *dev = from_tasklet(dev, t, loop.task);
	struct mrdma_loop *loop = &dev->loop;
	struct mrdma_loop_pkt *pkt;
	unsigned int n;

	for (n = 0; n < LOOP_BUDGET; n++) {
		spin_lock(&loop->lock);
		pkt = list_first_entry_or_null(&loop->pkts, struct mrdma_loop_pkt, entry);
		if (pkt) {
			list_del(&pkt->entry);
			loop->bytes -= pkt_bytes(pkt);
		}
		spin_unlock(&loop->lock);
		if (!pkt)
			break;
		mrdma_rx_burst(dev, &pkt->d, pkt->data);
		kfree(pkt);
	}
	mrdma_rx_flush(dev);
	wake_all(loop);
	if (n == LOOP_BUDGET)
		tasklet_schedule(&loop->task);
}

void mrdma_loop_init(struct mrdma_dev *dev)
{
	struct mrdma_loop *loop = &dev->loop;

	spin_lock_init(&loop->lock);
	INIT_LIST_HEAD(&loop->pkts);
	INIT_LIST_HEAD(&loop->waiters);
	tasklet_setup(&loop->task, deliver);
}

/* All QPs are gone: nobody sends or waits. */
void mrdma_loop_stop(struct mrdma_dev *dev)
{
	struct mrdma_loop_pkt *pkt, *next;

	tasklet_kill(&dev->loop.task);
	list_for_each_entry_safe(pkt, next, &dev->loop.pkts, entry)
		kfree(pkt);
	INIT_LIST_HEAD(&dev->loop.pkts);
}

/* If there is no room, @w is woken by the next delivery. */
static bool wait_if(struct mrdma_loop *loop, bool full, struct mrdma_chan_waiter *w)
{
	lockdep_assert_held(&loop->lock);
	if (full && list_empty(&w->entry))
		list_add_tail(&w->entry, &loop->waiters);
	return full;
}

struct mrdma_loop_pkt *mrdma_loop_reserve(struct mrdma_dev *dev, u32 len,
					  struct mrdma_chan_waiter *w, bool *full)
{
	struct mrdma_loop *loop = &dev->loop;
	struct mrdma_loop_pkt *pkt;

	spin_lock(&loop->lock);
	*full = wait_if(loop, loop->bytes >= LOOP_MAX_BYTES, w);
	spin_unlock(&loop->lock);
	if (*full)
		return NULL;
	pkt = kmalloc(sizeof(*pkt) + len, GFP_ATOMIC | __GFP_NOWARN);
	if (pkt)
		return pkt;
	/* what is under way gives memory back when it is delivered */
	spin_lock(&loop->lock);
	*full = wait_if(loop, !list_empty(&loop->pkts), w);
	spin_unlock(&loop->lock);
	return NULL;
}

void mrdma_loop_commit(struct mrdma_dev *dev, struct mrdma_loop_pkt *pkt)
{
	struct mrdma_loop *loop = &dev->loop;

	spin_lock(&loop->lock);
	list_add_tail(&pkt->entry, &loop->pkts);
	loop->bytes += pkt_bytes(pkt);
	spin_unlock(&loop->lock);
	tasklet_schedule(&loop->task);
}

/* A copy of a datagram that has gone to the ring as well; lost when there is too much, like any datagram. */
void mrdma_loop_copy(struct mrdma_dev *dev, const struct msr_desc *d, const u8 *data)
{
	struct mrdma_loop_pkt *pkt;

	if (READ_ONCE(dev->loop.bytes) >= LOOP_MAX_BYTES)
		return;
	pkt = kmalloc(sizeof(*pkt) + d->len, GFP_ATOMIC | __GFP_NOWARN);
	if (!pkt)
		return;
	pkt->d = *d;
	memcpy(pkt->data, data, d->len);
	mrdma_loop_commit(dev, pkt);
}

/* After return wake neither runs nor will run. Not under a QP lock. */
void mrdma_loop_unwait(struct mrdma_dev *dev, struct mrdma_chan_waiter *w)
{
	spin_lock_bh(&dev->loop.lock);
	list_del_init(&w->entry);
	spin_unlock_bh(&dev->loop.lock);
}

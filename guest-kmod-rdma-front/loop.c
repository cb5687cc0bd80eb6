// SPDX-License-Identifier: GPL-2.0
/*
 * Packets from this device to itself: the same bursts, through kernel memory and
 * a tasklet instead of the ring, so that a QP never takes another's lock.
 */
#include <linux/slab.h>

#include "loop.h"

/* queued; beyond it senders wait, urgent ones beyond twice it */
#define LOOP_MAX_BYTES	(512u << 10)
#define TURN_BYTES	(64u << 10)	/* what a turn of those who wait is good for */
/* bursts a run, a multicast datagram counting as one for each member */
#define LOOP_BUDGET	16

/* Weight of a packet: with a constant part, so that many small ones are bounded as well */
static u32 pkt_bytes(u32 len)
{
	return len + 512;
}

/* Gives turns to those in line; if some are left, packets are queued or turns are given. */
static void loop_give_turns(struct mrdma_loop *loop)
{
	lockdep_assert_held(&loop->lock);
	while (!list_empty(&loop->turns.line) &&
	       loop->bytes + loop->turns.promised + TURN_BYTES <= LOOP_MAX_BYTES)
		mrdma_turns_give(&loop->turns, TURN_BYTES);
}

static void loop_deliver(struct tasklet_struct *t)
{
	struct mrdma_dev *dev = from_tasklet(dev, t, loop.task);
	struct mrdma_loop *loop = &dev->loop;
	struct mrdma_loop_pkt *pkt;
	unsigned int n;

	for (n = 0; n < LOOP_BUDGET;) {
		spin_lock(&loop->lock);
		pkt = list_first_entry_or_null(&loop->pkts, struct mrdma_loop_pkt, entry);
		if (pkt) {
			list_del(&pkt->entry);
			loop->bytes -= pkt_bytes(pkt->d.len);
		}
		spin_unlock(&loop->lock);
		if (!pkt)
			break;
		n += loop->rx(dev, &pkt->d, pkt->data);
		kfree(pkt);
	}
	/* before what has come makes others send */
	spin_lock(&loop->lock);
	loop_give_turns(loop);
	spin_unlock(&loop->lock);
	loop->rx_end(dev);
	if (n >= LOOP_BUDGET)
		tasklet_schedule(&loop->task);
}

void mrdma_loop_init(struct mrdma_dev *dev, mrdma_loop_rx rx, mrdma_loop_rx_end rx_end)
{
	struct mrdma_loop *loop = &dev->loop;

	spin_lock_init(&loop->lock);
	INIT_LIST_HEAD(&loop->pkts);
	mrdma_turns_init(&loop->turns);
	tasklet_setup(&loop->task, loop_deliver);
	loop->rx = rx;
	loop->rx_end = rx_end;
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

/* May @w queue a packet of @bytes? In its turn, or when nobody is in line before it. */
static bool loop_may_send(struct mrdma_loop *loop, struct mrdma_waiter *w, u32 bytes, bool urgent)
{
	if (urgent)
		return loop->bytes < 2 * LOOP_MAX_BYTES;
	if (w->turn) {
		if (w->turn >= bytes)
			return true;
		/* what is left is too little, and for others */
		mrdma_turns_end(&loop->turns, w);
	}
	return list_empty(&loop->turns.line) &&
	       loop->bytes + loop->turns.promised + bytes <= LOOP_MAX_BYTES;
}

struct mrdma_loop_pkt *mrdma_loop_reserve(struct mrdma_dev *dev, struct mrdma_waiter *w, u32 len,
					  bool urgent, bool *full)
{
	struct mrdma_loop *loop = &dev->loop;
	struct mrdma_loop_pkt *pkt;

	spin_lock(&loop->lock);
	*full = !loop_may_send(loop, w, pkt_bytes(len), urgent);
	if (*full)
		mrdma_turns_wait(&loop->turns, w);
	spin_unlock(&loop->lock);
	if (*full)
		return NULL;
	pkt = kmalloc(sizeof(*pkt) + len, GFP_ATOMIC | __GFP_NOWARN);
	if (pkt)
		return pkt;
	/* what is under way gives memory back when it is delivered */
	spin_lock(&loop->lock);
	*full = !list_empty(&loop->pkts);
	if (*full)
		mrdma_turns_wait(&loop->turns, w);
	spin_unlock(&loop->lock);
	return NULL;
}

void mrdma_loop_commit(struct mrdma_dev *dev, struct mrdma_waiter *w, struct mrdma_loop_pkt *pkt)
{
	struct mrdma_loop *loop = &dev->loop;

	spin_lock(&loop->lock);
	list_add_tail(&pkt->entry, &loop->pkts);
	loop->bytes += pkt_bytes(pkt->d.len);
	if (w)
		mrdma_turns_use(&loop->turns, w, pkt_bytes(pkt->d.len));
	spin_unlock(&loop->lock);
	tasklet_schedule(&loop->task);
}

void mrdma_loop_end_turn(struct mrdma_dev *dev, struct mrdma_waiter *w)
{
	struct mrdma_loop *loop = &dev->loop;

	/* given only in line, where the caller's is not */
	if (!w->turn)
		return;
	spin_lock(&loop->lock);
	mrdma_turns_end(&loop->turns, w);
	loop_give_turns(loop);
	spin_unlock(&loop->lock);
}

/*
 * A copy of a datagram that has gone to the ring as well; lost when there is too much, like any
 * datagram.
 */
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
	mrdma_loop_commit(dev, NULL, pkt);
}

/* After return @w's wake neither runs nor will run. Not under a QP lock. */
void mrdma_loop_unwait(struct mrdma_dev *dev, struct mrdma_waiter *w)
{
	spin_lock_bh(&dev->loop.lock);
	mrdma_turns_leave(&dev->loop.turns, w);
	loop_give_turns(&dev->loop);
	spin_unlock_bh(&dev->loop.lock);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * RoCE queue pair: bursts of the RDMA part to the ring, bursts from the ring to the RDMA
 * part, and those who wait for room.
 */
#include "front.h"

#define RELEASE_BATCH	16
/* room that makes it worth waking who waits: the longest burst */
#define WAKE_ROOM	(MSR_MAX_BURST_HDR + MSR_MAX_BURST_DATA)

bool mrdma_chan_lock(struct mrdma_chan *ch)
{
	spin_lock_bh(&ch->lock);
	if (likely(mos_link_usable(ch->q->link)))
		return true;
	spin_unlock_bh(&ch->lock);
	return false;
}

void *mrdma_chan_reserve(struct mrdma_chan *ch, u32 len, u32 *off)
{
	enum msr_result result;
	void *data;

	lockdep_assert_held(&ch->lock);
	data = msr_tx_reserve(&ch->q->tx, len, off, &result);
	if (unlikely(result == MSR_BAD_INDEX))
		mos_queue_fault(ch->q, result, true, NULL);
	return data;
}

void mrdma_chan_commit(struct mrdma_chan *ch, const struct msr_desc *d)
{
	struct mos_queue *q = ch->q;

	lockdep_assert_held(&ch->lock);
	msr_tx_commit(&q->tx, d);
	mos_stat_add(q->to_ring, MOS_STAT_BURSTS, 1);
	mos_stat_add(q->to_ring, MOS_STAT_PACKETS, d->burst.nseg);
	mos_stat_add(q->to_ring, MOS_STAT_BYTES, d->len);
}

void mrdma_chan_unlock(struct mrdma_chan *ch)
{
	lockdep_assert_held(&ch->lock);
	mos_queue_publish(ch->q);
	/* room that came before the bell was armed brings no bell: wake from the poll at once */
	if (unlikely(!list_empty(&ch->waiters)) && mos_queue_wait_room(ch->q, WAKE_ROOM))
		napi_schedule(&ch->napi);
	spin_unlock_bh(&ch->lock);
}

void mrdma_chan_wait(struct mrdma_chan *ch, struct mrdma_chan_waiter *w)
{
	lockdep_assert_held(&ch->lock);
	if (list_empty(&w->entry))
		list_add_tail(&w->entry, &ch->waiters);
}

void mrdma_chan_unwait(struct mrdma_chan *ch, struct mrdma_chan_waiter *w)
{
	spin_lock_bh(&ch->lock);
	list_del_init(&w->entry);
	while (ch->waking == w) {
		/* it runs in softirq on another CPU and ends soon */
		spin_unlock_bh(&ch->lock);
		cpu_relax();
		spin_lock_bh(&ch->lock);
		list_del_init(&w->entry);
	}
	spin_unlock_bh(&ch->lock);
}

/* Calls those who wait at this moment, each once. BH off. */
static void wake_all(struct mrdma_chan *ch)
{
	struct mrdma_chan_waiter *w;
	LIST_HEAD(now);

	spin_lock(&ch->lock);
	list_splice_init(&ch->waiters, &now);
	while ((w = list_first_entry_or_null(&now, struct mrdma_chan_waiter, entry))) {
		list_del_init(&w->entry);
		ch->waking = w;
		spin_unlock(&ch->lock);
		w->wake(w);
		spin_lock(&ch->lock);
		ch->waking = NULL;
	}
	spin_unlock(&ch->lock);
}

static void wake_if_room(struct mrdma_chan *ch)
{
	bool room = false;

	spin_lock(&ch->lock);
	if (mos_link_usable(ch->q->link) && !list_empty(&ch->waiters))
		room = mos_queue_wait_room(ch->q, WAKE_ROOM);
	spin_unlock(&ch->lock);
	if (room)
		wake_all(ch);
}

static int poll(struct napi_struct *napi, int budget)
{
	struct mrdma_chan *ch = container_of(napi, struct mrdma_chan, napi);
	struct mos_queue *q = ch->q;
	enum msr_result result = MSR_OK;
	int work = 0, kept = 0;
	struct msr_desc d;

	/* netpoll, perhaps in an interrupt of who holds our lock; there is nothing to reap */
	if (unlikely(!budget))
		return 0;
	if (unlikely(!mos_link_usable(q->link))) {
		napi_complete(napi);
		return 0;
	}
	if (!list_empty_careful(&ch->waiters))
		wake_if_room(ch);
	while (work < budget) {
		result = msr_rx_next(&q->rx, &d);
		if (result != MSR_OK)
			break;
		mos_stat_add(q->from_ring, MOS_STAT_BURSTS, 1);
		mos_stat_add(q->from_ring, MOS_STAT_PACKETS, d.burst.nseg);
		mos_stat_add(q->from_ring, MOS_STAT_BYTES, d.len);
		mrdma_rx(ch->front, &d, q->rx.data + d.off);
		work++;
		if (++kept == RELEASE_BATCH) {
			mos_queue_release(q, kept);
			kept = 0;
		}
	}
	if (kept)
		mos_queue_release(q, kept);
	if (work)
		mrdma_rx_end(ch->front);
	return mos_queue_poll_end(q, napi, result, &d, work, budget);
}

void mrdma_chan_init(struct mrdma_chan *ch, struct mrdma_front *front, struct mos_queue *q)
{
	ch->front = front;
	ch->q = q;
	spin_lock_init(&ch->lock);
	INIT_LIST_HEAD(&ch->waiters);
	netif_napi_add(front->netdev, &ch->napi, poll);
}

void mrdma_chan_bell(struct mrdma_chan *ch)
{
	napi_schedule(&ch->napi);
}

void mrdma_chan_up(struct mrdma_chan *ch)
{
	napi_enable(&ch->napi);
	local_bh_disable();
	napi_schedule(&ch->napi);
	local_bh_enable();
}

void mrdma_chan_down(struct mrdma_chan *ch)
{
	/* who holds the lock may have seen the link up; who comes after it will not */
	spin_lock_bh(&ch->lock);
	spin_unlock_bh(&ch->lock);
	napi_disable(&ch->napi);
	/* they find the link down and know that nothing will come */
	local_bh_disable();
	wake_all(ch);
	local_bh_enable();
}

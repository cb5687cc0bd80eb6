// SPDX-License-Identifier: GPL-2.0
/*
 * RoCE queue pair: bursts of the RDMA part to the ring, bursts from the ring to the RDMA
 * part, and the line of those who wait for room.
 *
 * Whatever is in the ring delays all that comes behind it, so bulk does not fill the ring: it
 * may cost limit at most, where a burst costs its bytes and slot_cost for its descriptor.
 * Limit is enough to keep the back busy until the front has heard that there is room again,
 * and so little that an acknowledgement behind it is not late: 9 ms at 1 Gbit/s. Slots are
 * left for what is urgent.
 */
#include "chan.h"
#include "front.h"

#define BULK_BYTES	(1u << 20)
#define LATE		(HZ / 20)	/* jiffies after link up: a later first packet is late */
/* what a turn is good for, beside a slot: the longest burst */
#define TURN_BYTES	(MSR_MAX_BURST_HDR + MSR_MAX_BURST_DATA)

bool mrdma_chan_lock(struct mrdma_chan *ch, struct mrdma_waiter *w, bool *waits)
{
	spin_lock_bh(&ch->lock);
	if (likely(mos_link_usable(ch->q->link)))
		return true;
	*waits = w && ch->path == MRDMA_PATH_OUTAGE;
	if (*waits)
		mrdma_turns_wait(&ch->turns, w);
	spin_unlock_bh(&ch->lock);
	return false;
}

enum mrdma_path mrdma_chan_path(const struct mrdma_chan *ch)
{
	return READ_ONCE(ch->path);
}

u32 mrdma_chan_losses(const struct mrdma_chan *ch)
{
	return READ_ONCE(ch->losses);
}

/* Is there room for @cost beside what is in the ring? */
static bool has_room(struct mrdma_chan *ch, u32 cost)
{
	struct msr_tx *tx = &ch->q->tx;
	enum msr_result result;
	unsigned int i;
	u32 used;

	for (i = 0; i < 2; i++) {
		used = tx->data_head - tx->data_tail + (tx->head - tx->tail) * ch->slot_cost;
		if (likely(used + cost <= ch->limit))
			return true;
		/* only now a look at the peer's cache line */
		result = msr_tx_reclaim(tx);
		if (unlikely(result != MSR_OK)) {
			mos_queue_fault(ch->q, result, true, NULL);
			return false;
		}
	}
	return false;
}

/* May @w put a burst of @cost into the ring? In its turn, or when nobody is in line before it. */
static bool chan_may_send(struct mrdma_chan *ch, struct mrdma_waiter *w, u32 cost)
{
	if (unlikely(w->turn)) {
		if (w->turn >= cost)
			return true;
		/* what is left is too little, and for others */
		mrdma_turns_end(&ch->turns, w);
	}
	return likely(list_empty(&ch->turns.line)) && has_room(ch, ch->turns.promised + cost);
}

/*
 * Gives turns to those in line, as many as there is room for. If some are left, this runs
 * again: when a turn that is given has been used, or when the bell says that there is room.
 */
static void chan_give_turns(struct mrdma_chan *ch)
{
	u32 cost = TURN_BYTES + ch->slot_cost;

	lockdep_assert_held(&ch->lock);
	while (!list_empty(&ch->turns.line)) {
		if (!has_room(ch, ch->turns.promised + cost)) {
			/* armed, unless there is news already: then look again */
			if (ch->turns.promised || !mos_queue_arm_room(ch->q))
				return;
			continue;
		}
		mrdma_turns_give(&ch->turns, cost);
	}
}

void *mrdma_chan_reserve(struct mrdma_chan *ch, struct mrdma_waiter *w, u32 len, bool urgent,
			 u32 *off)
{
	u32 cost = len + ch->slot_cost;
	enum msr_result result;
	void *data;

	lockdep_assert_held(&ch->lock);
	if (urgent || chan_may_send(ch, w, cost)) {
		data = msr_tx_reserve(&ch->q->tx, len, off, &result);
		if (likely(data)) {
			if (unlikely(w->turn) && !urgent)
				mrdma_turns_use(&ch->turns, w, cost);
			return data;
		}
		if (unlikely(result == MSR_BAD_INDEX))
			mos_queue_fault(ch->q, result, true, NULL);
	}
	mrdma_turns_wait(&ch->turns, w);
	return NULL;
}

u32 mrdma_chan_commit(struct mrdma_chan *ch, const struct msr_desc *d)
{
	struct mos_queue *q = ch->q;

	lockdep_assert_held(&ch->lock);
	msr_tx_commit(&q->tx, d);
	mos_stat_desc(q->to_ring, d->burst.nseg, d->len);
	return q->tx.head;
}

void mrdma_chan_unlock(struct mrdma_chan *ch)
{
	lockdep_assert_held(&ch->lock);
	mos_queue_publish(ch->q);
	if (unlikely(!list_empty(&ch->turns.line)))
		chan_give_turns(ch);
	spin_unlock_bh(&ch->lock);
}

void mrdma_chan_end_turn(struct mrdma_chan *ch, struct mrdma_waiter *w)
{
	/* given only in line, where the caller's is not */
	if (!w->turn)
		return;
	spin_lock(&ch->lock);
	mrdma_turns_end(&ch->turns, w);
	if (mos_link_usable(ch->q->link))
		chan_give_turns(ch);
	spin_unlock(&ch->lock);
}

void mrdma_chan_unwait(struct mrdma_chan *ch, struct mrdma_waiter *w)
{
	spin_lock_bh(&ch->lock);
	mrdma_turns_leave(&ch->turns, w);
	if (mos_link_usable(ch->q->link))
		chan_give_turns(ch);
	spin_unlock_bh(&ch->lock);
}

bool mrdma_chan_holds(struct mrdma_chan *ch, u32 end)
{
	struct msr_tx *tx = &ch->q->tx;
	bool holds = false;

	spin_lock(&ch->lock);
	/* a position from before the ring was set up anew is outside it, as a rule */
	if (mos_link_usable(ch->q->link) && msr_tx_reclaim(tx) == MSR_OK)
		holds = tx->head - end < tx->head - tx->tail;
	spin_unlock(&ch->lock);
	return holds;
}

static struct mrdma_chan *chan_of(struct napi_struct *napi)
{
	return container_of(napi, struct mrdma_chan, napi);
}

/* Before anything that comes may make others send. */
static void chan_begin(struct napi_struct *napi)
{
	struct mrdma_chan *ch = chan_of(napi);

	if (list_empty_careful(&ch->turns.line))
		return;
	spin_lock(&ch->lock);
	if (mos_link_usable(ch->q->link))
		chan_give_turns(ch);
	spin_unlock(&ch->lock);
}

/*
 * The first packet from the wire since the link is up. If it is late, what was sent since then may
 * have been lost behind the back's end of the link: connections go back once more.
 */
static void chan_proven(struct mrdma_chan *ch)
{
	bool late;

	spin_lock(&ch->lock);
	late = ch->path == MRDMA_PATH_UNPROVEN && time_after(jiffies, ch->up_at + LATE);
	WRITE_ONCE(ch->path, MRDMA_PATH_PROVEN);
	if (late)
		WRITE_ONCE(ch->losses, ch->losses + 1);
	spin_unlock(&ch->lock);
	if (late)
		ch->ops->resume(ch);
}

static int chan_rx(struct napi_struct *napi, struct msr_desc *d, const u8 *data)
{
	struct mrdma_chan *ch = chan_of(napi);

	mos_stat_desc(ch->q->from_ring, d->burst.nseg, d->len);
	if (unlikely(READ_ONCE(ch->path) == MRDMA_PATH_UNPROVEN))
		chan_proven(ch);
	return ch->ops->rx(ch, d, data);
}

static void chan_end(struct napi_struct *napi)
{
	struct mrdma_chan *ch = chan_of(napi);

	ch->ops->rx_end(ch);
}

static int chan_poll(struct napi_struct *napi, int budget)
{
	static const struct mos_queue_ops ops = {
		.begin	= chan_begin,
		.rx	= chan_rx,
		.end	= chan_end,
	};

	return mos_queue_poll(chan_of(napi)->q, napi, budget, &ops);
}

void mrdma_chan_init(struct mrdma_chan *ch, struct net_device *netdev, struct mos_queue *q,
		     const struct mrdma_chan_ops *ops)
{
	ch->ops = ops;
	ch->q = q;
	ch->limit = min(BULK_BYTES, 1u << (q->info.data_log2 - 1));
	ch->slot_cost = ch->limit >> q->info.ring_log2;
	spin_lock_init(&ch->lock);
	mrdma_turns_init(&ch->turns);
	netif_napi_add(netdev, &ch->napi, chan_poll);
}

void mrdma_chan_bell(struct mrdma_chan *ch)
{
	napi_schedule(&ch->napi);
}

void mrdma_chan_up(struct mrdma_chan *ch)
{
	mos_queue_start(&ch->napi);
	spin_lock_bh(&ch->lock);
	ch->up_at = jiffies;
	if (ch->path == MRDMA_PATH_OUTAGE)
		WRITE_ONCE(ch->path, MRDMA_PATH_UNPROVEN);
	else
		/* no outage: what was sent while the link was down is lost */
		WRITE_ONCE(ch->losses, ch->losses + 1);
	chan_give_turns(ch);
	spin_unlock_bh(&ch->lock);
	ch->ops->resume(ch);
}

void mrdma_chan_moved(struct mrdma_chan *ch)
{
	spin_lock_bh(&ch->lock);
	ch->up_at = jiffies;
	WRITE_ONCE(ch->path, MRDMA_PATH_UNPROVEN);
	WRITE_ONCE(ch->losses, ch->losses + 1);
	spin_unlock_bh(&ch->lock);
	ch->ops->resume(ch);
}

/* Wakes all in line: they find the link down, and stand in line again (outage) or send in vain. */
static void wake_all(struct mrdma_chan *ch)
{
	lockdep_assert_held(&ch->lock);
	while (!list_empty(&ch->turns.line))
		mrdma_turns_give(&ch->turns, 0);
}

void mrdma_chan_down(struct mrdma_chan *ch, bool outage)
{
	/* as mos_txq_drain(): later holders of the lock find the link down */
	spin_lock_bh(&ch->lock);
	WRITE_ONCE(ch->path, outage ? MRDMA_PATH_OUTAGE : MRDMA_PATH_PROVEN);
	WRITE_ONCE(ch->losses, ch->losses + 1);
	mos_queue_count_unsent(ch->q);
	spin_unlock_bh(&ch->lock);
	napi_disable(&ch->napi);
	spin_lock_bh(&ch->lock);
	wake_all(ch);
	spin_unlock_bh(&ch->lock);
}

void mrdma_chan_give_up(struct mrdma_chan *ch)
{
	spin_lock_bh(&ch->lock);
	WRITE_ONCE(ch->path, MRDMA_PATH_PROVEN);
	/* with the link up they wait for room, which will come */
	if (!mos_link_usable(ch->q->link))
		wake_all(ch);
	spin_unlock_bh(&ch->lock);
}

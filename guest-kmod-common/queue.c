// SPDX-License-Identifier: GPL-2.0
/*
 * A queue's part in a link: bells after publishing and releasing, sleep until there is room or
 * something to read, the report of a peer that breaks the ring's rules. link.c calls this file, and
 * this calls nothing of link.c.
 */
#include "link.h"
#include "queue.h"

static const char *channel_name(u32 channel)
{
	return channel == MSR_CHAN_ROCE ? "roce" : "eth";
}

bool mos_queue_usable(const struct mos_queue *q)
{
	return mos_link_usable(q->link);
}

void mos_queue_fault(struct mos_queue *q, enum msr_result result, bool to_ring,
		     const struct msr_desc *d)
{
	struct mos_link *link = q->link;
	const char *name = channel_name(q->info.channel);
	size_t size = sizeof(link->fault_text);

	if (atomic_cmpxchg(&link->fault_claimed, 0, 1))
		return;
	link->fault = result == MSR_BAD_DESC ? MSR_FAULT_DESC : MSR_FAULT_INDEX;
	if (d)
		snprintf(link->fault_text, size,
			 "%s queue %u: descriptor type %u flags %#x off %u len %u hdr_len %u is not valid for a data area of %u bytes",
			 name, q->info.index, d->type, d->flags, d->off, d->len, d->hdr_len,
			 q->rx.data_size);
	else if (to_ring)
		snprintf(link->fault_text, size,
			 "%s queue %u: consumer index is %u, must lie in %u..%u", name,
			 q->info.index, msr_load(&q->tx.cons->idx), q->tx.tail, q->tx.published);
	else
		snprintf(link->fault_text, size,
			 "%s queue %u: producer index is %u, must lie in %u..%u",
			 name, q->info.index, msr_load(&q->rx.prod->idx), q->rx.avail,
			 q->rx.released + q->rx.mask + 1);
	/* partner: smp_load_acquire in step(); the text is complete */
	smp_store_release(&link->faulted, true);
	mos_link_kick(link);
}

void mos_queue_publish(struct mos_queue *q)
{
	if (q->tx.published == q->tx.head)
		return;
	msr_tx_publish(&q->tx);
	if (msr_tx_need_bell(&q->tx))
		mos_bell_ring(q->link->bell, MSR_BELL_QUEUE(q->nr));
}

bool mos_queue_arm_room(struct mos_queue *q)
{
	enum msr_result result;

	mos_queue_publish(q);
	result = msr_tx_arm(&q->tx, (q->tx.head - q->tx.tail + 1) / 2);
	if (result == MSR_EMPTY)
		mos_stat_add(q->to_ring, MOS_STAT_FULL, 1);
	else if (result == MSR_BAD_INDEX)
		mos_queue_fault(q, result, true, NULL);
	return result == MSR_OK;
}

bool mos_queue_wait_room(struct mos_queue *q, u32 len)
{
	enum msr_result result;
	u32 off;

	do {
		if (msr_tx_reserve(&q->tx, len, &off, &result))
			return true;
		if (result == MSR_BAD_INDEX)
			mos_queue_fault(q, result, true, NULL);
	} while (result == MSR_EMPTY && mos_queue_arm_room(q));
	return false;
}

void mos_queue_count_unsent(struct mos_queue *q)
{
	/* without a valid index nobody knows how many the peer has taken */
	if (msr_tx_reclaim(&q->tx) == MSR_OK)
		mos_stat_add(q->to_ring, MOS_STAT_DROP_DOWN, q->tx.head - q->tx.tail);
}

void mos_queue_count_unread(struct mos_queue *q)
{
	u32 arrived = msr_load(&q->rx.prod->idx) - q->rx.released;

	lockdep_assert_held(&q->link->lock);
	/* more than the ring holds: a broken index, count none */
	if (arrived <= q->rx.mask + 1)
		mos_stat_add(q->from_ring, MOS_STAT_DROP_DOWN, arrived);
}

void mos_queue_release(struct mos_queue *q, u32 n, bool last)
{
	if (n)
		msr_rx_release(&q->rx, n);
	if (last ? msr_rx_need_bell(&q->rx) : msr_rx_need_bell_already(&q->rx))
		mos_bell_ring(q->link->bell, MSR_BELL_QUEUE(q->nr));
}

int mos_queue_poll_end(struct mos_queue *q, struct napi_struct *napi, enum msr_result result,
		       const struct msr_desc *d, int work, int budget)
{
	if (work >= budget)
		return budget;
	if (result == MSR_EMPTY) {
		/* Before napi_complete_done(), which a bell from here on makes schedule again. */
		result = msr_rx_arm(&q->rx);
		if (result == MSR_OK)
			return budget;
	}
	if (unlikely(result < 0))
		mos_queue_fault(q, result, false, result == MSR_BAD_DESC ? d : NULL);
	napi_complete_done(napi, work);
	return work;
}

void mos_queue_start(struct napi_struct *napi)
{
	napi_enable(napi);
	local_bh_disable();
	napi_schedule(napi);
	local_bh_enable();
}

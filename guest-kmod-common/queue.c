// SPDX-License-Identifier: GPL-2.0
/*
 * A queue's part in a link that is up: bells after publishing and releasing, sleep until
 * there is room or something to read.
 */
#include "link.h"
#include "queue.h"

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
	/* a peer whose index breaks the rules may have taken any of them */
	if (msr_tx_reclaim(&q->tx) == MSR_OK)
		mos_stat_add(q->to_ring, MOS_STAT_DROP_DOWN, q->tx.head - q->tx.tail);
}

void mos_queue_release(struct mos_queue *q, u32 n)
{
	msr_rx_release(&q->rx, n);
	if (msr_rx_need_bell(&q->rx))
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

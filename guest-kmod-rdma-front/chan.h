/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One RoCE queue pair of the front: bursts out under a lock, bursts in by NAPI. All that
 * the RDMA part sees of ring and link.
 */
#ifndef MRDMA_CHAN_H
#define MRDMA_CHAN_H

#include <linux/list.h>
#include <linux/types.h>

#include <msr/wire.h>

struct mrdma_chan;
struct mrdma_front;

/*
 * Sending. Takes the queue's lock, BH off. False: the link is down and nothing is locked; the packet
 * is lost as on a pulled cable.
 */
bool mrdma_chan_lock(struct mrdma_chan *ch);
/*
 * Under the lock: room for one burst descriptor with @len contiguous bytes of data, its
 * offset in *@off. NULL: ring full, register a waiter. Reserving again gives the room up.
 */
void *mrdma_chan_reserve(struct mrdma_chan *ch, u32 len, u32 *off);
/* Under the lock: d->off as from reserve, or moved up inside the room for alignment. */
void mrdma_chan_commit(struct mrdma_chan *ch, const struct msr_desc *d);
/* Publishes what was committed; the peer's bell rings if it sleeps. */
void mrdma_chan_unlock(struct mrdma_chan *ch);

/*
 * Who waits for room. @wake runs once, in softirq without the lock, when there is room or the
 * link went down; it may register again.
 */
struct mrdma_chan_waiter {
	struct list_head entry;		/* chan lock; empty: not registered */
	void (*wake)(struct mrdma_chan_waiter *w);
};

static inline void mrdma_chan_waiter_init(struct mrdma_chan_waiter *w,
					  void (*wake)(struct mrdma_chan_waiter *w))
{
	INIT_LIST_HEAD(&w->entry);
	w->wake = wake;
}

/* Under the lock. Registering twice counts once. */
void mrdma_chan_wait(struct mrdma_chan *ch, struct mrdma_chan_waiter *w);
/* After return wake neither runs nor will run. Not from wake, not under the lock. */
void mrdma_chan_unwait(struct mrdma_chan *ch, struct mrdma_chan_waiter *w);

/*
 * Implemented by the RDMA part, called in NAPI softirq. @data is valid during the call only, and can
 * change while it is read; @d passed msr_check_desc(), its meaning did not.
 */
void mrdma_rx(struct mrdma_front *front, const struct msr_desc *d, const u8 *data);
/* end of a batch: send coalesced acknowledgements now */
void mrdma_rx_end(struct mrdma_front *front);

#endif /* MRDMA_CHAN_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One RoCE queue pair of the front: bursts out under a lock, bursts in by NAPI. All that
 * the RDMA part sees of ring and link.
 */
#ifndef MRDMA_CHAN_H
#define MRDMA_CHAN_H

#include <linux/types.h>

#include <msr/wire.h>

#include "turns.h"

struct mrdma_chan;

/* Callbacks for received bursts, in NAPI softirq */
struct mrdma_chan_ops {
	/*
	 * @data is valid during the call only, and can change while it is read. @d has passed
	 * msr_check_desc(), which does not look at the headers in @data. Returns the cost in
	 * units of the budget: a multicast datagram is copied for every member of its group.
	 */
	u32 (*rx)(struct mrdma_chan *ch, const struct msr_desc *d, const u8 *data);
	/* End of a batch: coalesced acknowledgements go out now. */
	void (*rx_end)(struct mrdma_chan *ch);
	/* Connections must resend: mrdma_chan_losses() has changed. Any context but interrupts. */
	void (*resume)(struct mrdma_chan *ch);
};

/* Why a response does not come */
enum mrdma_path {
	MRDMA_PATH_PROVEN,	/* the peer's or the network's fault: retries count */
	MRDMA_PATH_OUTAGE,	/* the link is down, and expected back (outage.c) */
	MRDMA_PATH_UNPROVEN,	/* the link is up, but nothing has come from the wire yet */
};

/*
 * Sending. Takes the queue's lock, BH off. Returns false, with nothing locked, if the link is down.
 * *@waits is then true in an outage: @w stands in line, and is woken when the link is up or given
 * up. Else (always if @w is NULL) the packet is lost, as on a pulled cable.
 */
bool mrdma_chan_lock(struct mrdma_chan *ch, struct mrdma_waiter *w, bool *waits);
enum mrdma_path mrdma_chan_path(const struct mrdma_chan *ch);	/* any context */
/* Changes when all that was sent before may be lost. Any context */
u32 mrdma_chan_losses(const struct mrdma_chan *ch);
/*
 * Under the lock: room for one burst descriptor with @len contiguous bytes of data, its
 * offset in *@off. NULL: @w stands in line and is woken when its turn has come, or when the link
 * went down. Only so much is let in that a packet is not behind others for long; an @urgent one
 * passes that bound and the line. Reserving again gives the room up.
 */
void *mrdma_chan_reserve(struct mrdma_chan *ch, struct mrdma_waiter *w, u32 len, bool urgent,
			 u32 *off);
/*
 * Under the lock: d->off as from reserve, or moved up inside the room for alignment. Returns the
 * position behind the burst, for mrdma_chan_holds.
 */
u32 mrdma_chan_commit(struct mrdma_chan *ch, const struct msr_desc *d);
/* Publishes what was committed; the peer's bell rings if it sleeps. */
void mrdma_chan_unlock(struct mrdma_chan *ch);

/* Gives back what is left of @w's turn. Not while @w stands in line. BH off, not under the lock. */
void mrdma_chan_end_turn(struct mrdma_chan *ch, struct mrdma_waiter *w);
/* After return @w's wake neither runs nor will run. Not under the lock. */
void mrdma_chan_unwait(struct mrdma_chan *ch, struct mrdma_waiter *w);
/* Does the back still have to take the burst that ends at position @end? BH off. */
bool mrdma_chan_holds(struct mrdma_chan *ch, u32 end);

#endif /* MRDMA_CHAN_H */

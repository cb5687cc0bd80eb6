/* SPDX-License-Identifier: GPL-2.0 */
/* Packets to this very device, see loop.c. */
#ifndef MRDMA_LOOP_H
#define MRDMA_LOOP_H

#include <msr/wire.h>

#include "mrdma.h"

struct mrdma_loop_pkt {
	struct list_head	entry;
	struct msr_desc		d;
	u8			data[];
};

#define MRDMA_LOOP_BURST	(12u << 10)	/* payload bytes: four pages with its headers */

/* Process context */
void mrdma_loop_init(struct mrdma_dev *dev, mrdma_loop_rx rx, mrdma_loop_rx_end rx_end);
void mrdma_loop_stop(struct mrdma_dev *dev);

/* Under a QP lock; NULL with *full: too much under way, @w stands in line; NULL: no memory */
struct mrdma_loop_pkt *mrdma_loop_reserve(struct mrdma_dev *dev, struct mrdma_waiter *w, u32 len,
					  bool urgent, bool *full);
/* @w: as for the reservation, or NULL for a packet without one */
void mrdma_loop_commit(struct mrdma_dev *dev, struct mrdma_waiter *w, struct mrdma_loop_pkt *pkt);
void mrdma_loop_copy(struct mrdma_dev *dev, const struct msr_desc *d, const u8 *data);
/* Gives back what is left of @w's turn. Not while @w stands in line. BH off. */
void mrdma_loop_end_turn(struct mrdma_dev *dev, struct mrdma_waiter *w);
/* After return @w's wake neither runs nor will run. Not under a QP lock. */
void mrdma_loop_unwait(struct mrdma_dev *dev, struct mrdma_waiter *w);

#endif /* MRDMA_LOOP_H */

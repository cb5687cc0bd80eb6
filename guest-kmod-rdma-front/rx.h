/* SPDX-License-Identifier: GPL-2.0 */
/* Receiving: what comes from the ring or the loop, see rx.c. */
#ifndef MRDMA_RX_H
#define MRDMA_RX_H

#include <linux/types.h>

struct mrdma_dev;
struct msr_desc;

/* Process context, before the first packet and after the last one */
int mrdma_rx_init(struct mrdma_dev *dev);
void mrdma_rx_uninit(struct mrdma_dev *dev);

/*
 * Softirq. @d has passed msr_check_desc(); @data is valid during the call only, and can change
 * while it is read. Returns the units of work that it cost: how many QPs it was for, one at least.
 */
u32 mrdma_rx(struct mrdma_dev *dev, const struct msr_desc *d, const u8 *data);
/* From the loop, which works without the port. Softirq. */
u32 mrdma_rx_burst(struct mrdma_dev *dev, const struct msr_desc *d, const u8 *data);
/* End of a batch on this CPU: coalesced acknowledgements go out now. Softirq. */
void mrdma_rx_flush(struct mrdma_dev *dev);

#endif /* MRDMA_RX_H */

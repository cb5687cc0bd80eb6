/* SPDX-License-Identifier: GPL-2.0 */
/* Multicast groups, see mcast.c. */
#ifndef MRDMA_MCAST_H
#define MRDMA_MCAST_H

#include "burst.h"
#include "mrdma.h"

/* Receiver of one packet by one QP, whose reference it takes over */
typedef enum mrdma_counter (*mrdma_mcast_fn)(struct mrdma_dev *dev, struct mrdma_qp *qp,
					     const struct mrdma_burst *b);

/* Process context */
void mrdma_mcast_init(struct mrdma_dev *dev);
void mrdma_mcast_uninit(struct mrdma_dev *dev);
int mrdma_attach_mcast(struct ib_qp *ibqp, union ib_gid *mgid, u16 lid);
int mrdma_detach_mcast(struct ib_qp *ibqp, union ib_gid *mgid, u16 lid);

/* Under a QP lock */
bool mrdma_mcast_wanted(struct mrdma_dev *dev, const struct mrdma_av *av);
/* Softirq, not under a QP lock */
u32 mrdma_mcast_rx(struct mrdma_dev *dev, const struct mrdma_burst *b, mrdma_mcast_fn deliver);

#endif /* MRDMA_MCAST_H */

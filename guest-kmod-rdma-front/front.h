/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The front's device: PCI function, link to the back, Ethernet vNIC, and what the RDMA part
 * hangs on it.
 *
 * Locks, outermost first (those of link and queues: guest-kmod-common/link.h):
 *
 *   front->state_lock (mutex)  back_state, back_generation as last reported. Process context.
 *   link->lock
 *   chan->lock (spinlock, BH off)  to-ring side of a RoCE queue, waiters for its room. Held from
 *                                  the first burst of a send to its end; locks inside it: mrdma.h
 *
 * Nothing of the RDMA part is called under any of them but for ops that say so (chan.h).
 */
#ifndef MRDMA_FRONT_H
#define MRDMA_FRONT_H

#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/pci.h>

#include "../guest-kmod-common/eth.h"
#include "../guest-kmod-common/link.h"
#include "chan.h"

struct mrdma_dev;

struct mrdma_chan {
	struct mrdma_front *front;
	struct mos_queue *q;
	spinlock_t lock;		/* protects q's to-ring side and turns */
	struct mrdma_turns turns;
	u32 limit;			/* cost of what may be in the ring, see chan.c */
	u32 slot_cost;			/* cost of a descriptor */
	struct napi_struct napi;
};

struct mrdma_front {
	struct pci_dev *pdev;
	void __iomem *regs;
	struct net_device *netdev;
	struct mos_link link;
	struct mos_eth eth;
	struct mrdma_chan chan;

	struct mutex state_lock;
	u32 back_state;			/* state_lock */
	u32 back_generation;		/* state_lock */

	struct mrdma_dev *ib;		/* the RDMA part's; set and cleared by (un)register */
};

static inline struct mrdma_front *mrdma_netdev_front(struct net_device *dev)
{
	return container_of(mos_netdev_link(dev), struct mrdma_front, link);
}

/* netdev.c */
int mrdma_netdev_create(struct mrdma_front *front, const u8 *mac);
void mrdma_netdev_destroy(struct mrdma_front *front);
bool mrdma_netdev_uses_vnic(struct net_device *dev);
/* link state as carrier; link callbacks */
void mrdma_netdev_up(struct mrdma_front *front);
void mrdma_netdev_down(struct mrdma_front *front);

/* chan.c; the netdev must be there */
void mrdma_chan_init(struct mrdma_chan *ch, struct mrdma_front *front, struct mos_queue *q);
void mrdma_chan_up(struct mrdma_chan *ch);
void mrdma_chan_down(struct mrdma_chan *ch);
void mrdma_chan_bell(struct mrdma_chan *ch);

/* implemented by the RDMA part: follow.c, for the module's life */
int mrdma_follow_register(void);
void mrdma_follow_unregister(void);
/* verbs.c; front->netdev is registered */
int mrdma_ib_register(struct mrdma_front *front);
void mrdma_ib_unregister(struct mrdma_front *front);

#endif /* MRDMA_FRONT_H */

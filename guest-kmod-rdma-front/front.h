/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The front's device: PCI function, link to the back, Ethernet vNIC, and what the RDMA part
 * hangs on it.
 *
 * Locks, outermost first (those of link and queues: guest-kmod-common/link.h):
 *
 *   front->state_lock (mutex)  back_state, back_generation as last reported. Process context.
 *   link->lock                 the link, mrdma_front.outage and .stall
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
#include "turns.h"

struct mrdma_chan_ops;
struct mrdma_dev;

struct mrdma_chan {
	const struct mrdma_chan_ops *ops;
	struct mos_queue *q;
	spinlock_t lock;		/* protects q's to-ring side and turns */
	struct mrdma_turns turns;
	u32 limit;			/* cost of what may be in the ring, see chan.c */
	u32 slot_cost;			/* cost of a descriptor */
	u8 path;			/* lock (WRITE_ONCE); enum mrdma_path */
	unsigned long up_at;		/* lock; jiffies */
	u32 losses;			/* lock (WRITE_ONCE); see mrdma_chan_losses() */
	struct napi_struct napi;
};

/* The time since the link went down, see outage.c. Under link->lock. */
struct mrdma_outage {
	struct delayed_work work;	/* the end of grace and of wait */
	bool open;			/* the link has been up, and is down */
	unsigned long began;		/* jiffies */
	unsigned long ended;		/* jiffies */
	unsigned long grace;		/* jiffies; parameters as they were when it began */
	unsigned long wait;		/* jiffies */
	struct delayed_work announce;
	unsigned int announced;		/* how often since the link is up; the work only */
	struct delayed_work uplink;	/* a look at the carrier of the back's NIC */
};

/* A back that takes nothing out of its rings, see stall.c. Under link->lock. */
struct mrdma_stall {
	struct delayed_work work;
	bool asked;			/* for a restart, since the link is up */
	bool restarted;			/* the link went down after such a request */
	struct {
		u32 taken;		/* consumer index at the last look */
		unsigned int looks;	/* that found it there, and something to take */
	} queue[MSR_MAX_QUEUES];
};

struct mrdma_front {
	struct pci_dev *pdev;
	void __iomem *regs;
	struct net_device *netdev;
	struct mos_link link;
	struct mos_eth eth;
	struct mrdma_chan chan;
	struct mrdma_outage outage;
	struct mrdma_stall stall;

	struct notifier_block reboot;

	struct mutex state_lock;
	u32 back_state;			/* state_lock */
	u32 back_generation;		/* state_lock */
	bool resumed;			/* hard_interrupt() sets it, thread_interrupt() takes it */
	bool uplink_down;		/* link->lock; the back's NIC has no carrier */

	struct mrdma_dev *ib;		/* the RDMA part's; set and cleared by (un)register */
};

static inline struct mrdma_front *mrdma_netdev_front(struct net_device *dev)
{
	return container_of(mos_netdev_link(dev), struct mrdma_front, link);
}

/* control.c: attributes of the PCI device */
extern const struct attribute_group *mrdma_control_groups[];
const char *mrdma_back_state_name(u32 state);
/* Any context. @command: MULTIOS_CTL_*. */
void mrdma_back_command(struct mrdma_front *front, u32 command);
/* Is the back asked to power down, and has not done so yet? Any context. */
bool mrdma_back_is_asked(struct mrdma_front *front);

/* netdev.c */
int mrdma_netdev_create(struct mrdma_front *front, const u8 *mac,
			const struct mrdma_chan_ops *ops);
void mrdma_netdev_destroy(struct mrdma_front *front);
bool mrdma_netdev_uses_vnic(struct net_device *dev);
/* The Ethernet queue follows the link. @keep: carrier stays on, frames wait in the qdisc. */
void mrdma_netdev_up(struct mrdma_front *front);
void mrdma_netdev_down(struct mrdma_front *front, bool keep);

/* chan.c; the netdev must be there */
void mrdma_chan_init(struct mrdma_chan *ch, struct net_device *netdev, struct mos_queue *q,
		     const struct mrdma_chan_ops *ops);
/* The RoCE queue follows the link. @outage: reliable connections wait until it is up. */
void mrdma_chan_up(struct mrdma_chan *ch);
void mrdma_chan_down(struct mrdma_chan *ch, bool outage);
/* The link is up, but nothing on the wire knows that this machine has moved. */
void mrdma_chan_moved(struct mrdma_chan *ch);
/* Nobody waits for the end of the outage any longer: retries count again, link up or down. */
void mrdma_chan_give_up(struct mrdma_chan *ch);
void mrdma_chan_bell(struct mrdma_chan *ch);

/* outage.c; process context. Link callbacks, under link->lock: */
void mrdma_outage_begin(struct mrdma_front *front);
void mrdma_outage_end(struct mrdma_front *front);
/* Any context: the carrier of the back's NIC may have changed. */
void mrdma_outage_look(struct mrdma_front *front);
/* Not under link->lock. */
void mrdma_outage_moved(struct mrdma_front *front);
/* of module parameters in ms, 0 to an hour */
extern const struct kernel_param_ops mrdma_ms_ops;
void mrdma_outage_init(struct mrdma_front *front);
/* Not under link->lock, after mos_link_stop(). */
void mrdma_outage_stop(struct mrdma_front *front);

/* stall.c; process context. Link callback, under link->lock: */
void mrdma_stall_begin(struct mrdma_front *front);
void mrdma_stall_init(struct mrdma_front *front);
/* Not under link->lock, after mos_link_stop(). */
void mrdma_stall_stop(struct mrdma_front *front);

/* implemented by the RDMA part: verbs.c; front->netdev is registered */
int mrdma_ib_register(struct mrdma_front *front);
void mrdma_ib_unregister(struct mrdma_front *front);
/* Connections resend what is not acknowledged. Under rcu_read_lock(); @dev is front->ib. */
void mrdma_resume(struct mrdma_dev *dev);

#endif /* MRDMA_FRONT_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Link: one side's hold on the shared segment. Maps it, lays the own section out, joins
 * with the peer's incarnation, and tells the module when traffic may run.
 *
 * Locks and who writes what
 *
 *   link->lock (mutex)   link state machine: state, attach, up/down callbacks, copy of the peer's
 *                        section; changes of the table of MAC addresses. Process context. RTNL may
 *                        be held outside and is not taken inside.
 *   queue's to-ring lock q->tx, to_ring counters. BH off. A netdev's tx lock, or the front's chan
 *                        lock. No lock of guest-kmod-common is taken inside; the front takes others
 *                        inside its chan lock (table in mrdma.h).
 *   NAPI of a queue      q->rx, from_ring counters: at most one poll at a time.
 *   link->up             written under link->lock (released: it publishes the attached rings); a
 *                        to-ring user reads it under the queue's lock, a poll reads it (acquired);
 *                        the down callback waits until all readers of true are done.
 *   link->fault_claimed  the context that swaps it from 0 owns fault_* until the next "down".
 */
#ifndef MOS_LINK_H
#define MOS_LINK_H

#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include <msr/link.h>
#include <msr/mac.h>
#include <msr/ring.h>
#include <msr/wire.h>

#include "bell.h"
#include "debug.h"
#include "kcompat.h"
#include "queue.h"

struct mos_link_ops {
	/* Under link->lock, process context. After up, rings may be used. */
	void (*up)(struct mos_link *link);
	/* link->up is false already. When this returns nobody uses rings or the peer's data. */
	void (*down)(struct mos_link *link);
	/* Bell of a queue: descriptors or room came. Hard interrupt, or process context, BH off. */
	void (*bell)(struct mos_link *link, struct mos_queue *q);
};

struct mos_link_config {
	const char *name;		/* for interrupts and messages */
	enum msr_role role;		/* own */
	phys_addr_t base;		/* of the segment */
	u64 size;
	unsigned int nr_queues[MSR_CHAN_ROCE + 1];	/* by enum msr_channel */
	const struct mos_link_ops *ops;
	struct device *dev;		/* for messages */
};

struct mos_link {
	struct mutex lock;
	struct mos_link_config cfg;
	void *segment;
	struct msr_section *own;
	const struct msr_section *peer;
	struct mos_bell *bell;

	bool up;
	bool running;			/* lock; between start and stop */
	struct msr_link state;		/* lock */
	u32 refused_epoch;		/* lock; peer's incarnation that broke the rules; 0: none */
	unsigned long retry_at;		/* lock; jiffies; no attach before */
	unsigned long up_at;		/* lock; jiffies */
	u32 peer_broken;		/* lock; as last reported */
	struct delayed_work work;

	atomic_t fault_claimed;
	bool faulted;			/* fault_text is complete */
	enum msr_fault fault;
	char fault_text[160];

	u64 ups;			/* lock */
	u64 faults;			/* lock */

	struct msr_section copy;	/* lock; of the peer's, while it is checked */
	/* own identity, queue table and MAC addresses, where no peer can reach them */
	struct msr_section mine;
	unsigned int nr_queues;
	struct mos_queue queue[MSR_MAX_QUEUES];
};

int mos_link_init(struct mos_link *link, const struct mos_link_config *cfg);
/* from here on the callbacks run */
void mos_link_start(struct mos_link *link);
/* Takes leave of the peer; after return neither up nor down is called. */
void mos_link_stop(struct mos_link *link);
/* After return no callback at all. All that ops->bell uses must live until then. */
void mos_link_uninit(struct mos_link *link);

/* Something may have changed: look soon. Any context. */
static inline void mos_link_kick(struct mos_link *link)
{
	mod_delayed_work(system_percpu_wq, &link->work, 0);
}

/* The peer's OS is known to be gone, whatever its section says. Process context. */
void mos_link_peer_gone(struct mos_link *link);

/* Process context. Sets slot @slot of the RDMA device's MAC addresses: msr_mac_word() or 0. */
void mos_link_set_mac(struct mos_link *link, unsigned int slot, u64 word);

/* Any context. Returns true if the peer's section lists @addr as its RDMA device's. */
static inline bool mos_link_peer_mac(const struct mos_link *link, const u8 *addr)
{
	return msr_mac_listed(&link->peer->macs, addr);
}

/* Queue @index of @channel; must exist. */
struct mos_queue *mos_link_queue(struct mos_link *link, enum msr_channel channel,
				 unsigned int index);

/* Returns true if rings may be used. See the lock table. */
static inline bool mos_link_usable(const struct mos_link *link)
{
	/* partner: smp_store_release in go_up() */
	return smp_load_acquire(&link->up) && !READ_ONCE(link->faulted);
}

#endif /* MOS_LINK_H */

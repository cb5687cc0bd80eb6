/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queue pair of the shared segment: a ring to the peer and one from it. Its users are the netdevs'
 * Ethernet path (eth.c), the front's RoCE channel and the back's RoCE path.
 *
 * Locks: table in link.h. To ring: the queue's to-ring lock. From ring: the queue's NAPI.
 */
#ifndef MOS_QUEUE_H
#define MOS_QUEUE_H

#include <linux/netdevice.h>
#include <linux/types.h>

#include <msr/ring.h>
#include <msr/wire.h>

struct mos_link;

/* Counters of a queue. Packets as on the wire; a burst or super-frame is one descriptor. */
enum mos_stat {
	MOS_STAT_PACKETS,
	MOS_STAT_BYTES,
	MOS_STAT_DESCS,
	MOS_STAT_FULL,		/* to_ring: had to wait for room; from_ring: for the NIC */
	MOS_STAT_DROP_DOWN,	/* link or interface down */
	MOS_STAT_DROP_SIZE,	/* to_ring: more than a descriptor takes */
	MOS_STAT_DROP_MEMORY,
	MOS_STAT_DROP_HEADER,	/* headers contradict themselves, the length or the descriptor */
	MOS_STAT_DROP_ICRC,
	MOS_NR_STATS,
};

struct mos_queue {
	struct mos_link *link;
	unsigned int nr;		/* in the section's table */
	struct msr_queue_info info;	/* own */
	struct msr_tx tx ____cacheline_aligned;	/* to ring: under the to-ring lock */
	u64 to_ring[MOS_NR_STATS];		/* same */

	struct msr_rx rx ____cacheline_aligned;	/* from ring: NAPI */
	u64 from_ring[MOS_NR_STATS];		/* same */
};

/* As mos_link_usable(), for mos_queue_poll(): struct mos_link is not known here. */
bool mos_queue_usable(const struct mos_queue *q);
/*
 * The peer broke a rule of the ring: @result says which. The link goes down soon. Any
 * context; holder of the to-ring lock (@d NULL, the fault is in q->tx) or the poll (@d: the
 * descriptor, or NULL).
 */
void mos_queue_fault(struct mos_queue *q, enum msr_result result, bool to_ring,
		     const struct msr_desc *d);

/* ---- to ring; the holder of the to-ring lock ---- */

/* Publishes committed descriptors, wakes the peer if it sleeps. */
void mos_queue_publish(struct mos_queue *q);
/*
 * Returns true if @len bytes fit now. Else a bell comes when about half of the descriptors in
 * flight are consumed, or the peer is broken.
 */
bool mos_queue_wait_room(struct mos_queue *q, u32 len);
/*
 * Returns true if the peer gave room back just now, or nothing is in flight. Else a bell comes as
 * above, or the peer is broken.
 */
bool mos_queue_arm_room(struct mos_queue *q);
/* The link is down: counts as dropped what the peer has not taken. */
void mos_queue_count_unsent(struct mos_queue *q);

/* ---- from ring; the queue's poll ---- */

/* Under link->lock, link down, no poll running: counts what has arrived as dropped. */
void mos_queue_count_unread(struct mos_queue *q);
/*
 * Gives @n descriptors back, wakes the peer if it waits for room: for sure with @last, which ends a
 * poll. In the middle of one a peer that falls asleep just now is left to the next call.
 */
void mos_queue_release(struct mos_queue *q, u32 n, bool last);
/*
 * End of a NAPI poll that did @work of @budget and ended with @result at descriptor @d. Arms an
 * empty ring, reports a broken rule. Returns the poll's return value.
 */
int mos_queue_poll_end(struct mos_queue *q, struct napi_struct *napi, enum msr_result result,
		       const struct msr_desc *d, int work, int budget);

/* Descriptors that a poll keeps before it gives them back together. */
#define MOS_RELEASE_BATCH	16

struct mos_queue_ops {
	/* Optional. Before the first descriptor, with the link up. */
	void (*begin)(struct napi_struct *napi);
	/* Optional. Returns true if none may be taken now; its cause schedules the poll later. */
	bool (*pause)(struct napi_struct *napi);
	/* One descriptor, checked; @data may change at any time. Returns its cost, at least 1. */
	int (*rx)(struct napi_struct *napi, struct msr_desc *d, const u8 *data);
	/* Optional. After the last descriptor, if there was one. */
	void (*end)(struct napi_struct *napi);
};

/* A queue's NAPI poll. Inline, so that the calls of a constant @ops are direct ones. */
static __always_inline int mos_queue_poll(struct mos_queue *q, struct napi_struct *napi, int budget,
					  const struct mos_queue_ops *ops)
{
	enum msr_result result = MSR_OK;
	int work = 0, kept = 0;
	struct msr_desc d;

	/* netpoll may have interrupted a holder of the to-ring lock, and there is no TX to reap */
	if (unlikely(!budget))
		return 0;
	if (unlikely(!mos_queue_usable(q))) {
		napi_complete(napi);
		return 0;
	}
	if (ops->begin)
		ops->begin(napi);
	while (work < budget) {
		if (ops->pause && ops->pause(napi))
			break;
		result = msr_rx_next(&q->rx, &d);
		if (result != MSR_OK)
			break;
		work += ops->rx(napi, &d, q->rx.data + d.off);
		if (++kept == MOS_RELEASE_BATCH) {
			mos_queue_release(q, kept, false);
			kept = 0;
		}
	}
	mos_queue_release(q, kept, true);
	if (ops->end && work)
		ops->end(napi);
	/* the last one may have cost more than was left */
	return mos_queue_poll_end(q, napi, result, &d, min(work, budget), budget);
}

/* The link is up, process context: from here on @napi polls, and does so once by itself. */
void mos_queue_start(struct napi_struct *napi);

/* ---- counters ---- */

static inline void mos_stat_add(u64 *stats, enum mos_stat i, u64 n)
{
	WRITE_ONCE(stats[i], stats[i] + n);
}

/* One descriptor of @packets on the wire, with @bytes. */
static inline void mos_stat_desc(u64 *stats, u64 packets, u64 bytes)
{
	mos_stat_add(stats, MOS_STAT_DESCS, 1);
	mos_stat_add(stats, MOS_STAT_PACKETS, packets);
	mos_stat_add(stats, MOS_STAT_BYTES, bytes);
}

#endif /* MOS_QUEUE_H */

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * multios shared ring: a single-producer, single-consumer ring of descriptors
 * with a data area, across a segment whose other end is not trusted.
 *
 * The producer owns descriptors, data and struct msr_prod; the consumer owns struct
 * msr_cons. Indices are 32 bit and run free; a ring holds 2^n descriptors. Each side keeps its
 * own position in private memory (struct msr_tx, struct msr_rx) and never reads it
 * back from the segment. Data is allocated in ring order and released in ring order, so
 * one consumer index gives back slot and data at once; a consumer that finishes out
 * of order keeps the order itself.
 *
 * Sleeping: the sleeper stores an event index and looks again; the other side
 * publishes, then reads the event index. Both have a full barrier between the store
 * and the load, so at least one of the two sees the other's store.
 */
#ifndef MSR_RING_H
#define MSR_RING_H

#include "barrier.h"
#include "check.h"
#include "wire.h"

/*
 * One side's view of a ring: producer. In private memory; only pointers lead into the segment. What
 * a descriptor needs lies in one cache line, if the structure begins with one.
 */
struct msr_tx {
	struct msr_desc *desc;		/* own section */
	__u8 *data;			/* own section */
	struct msr_prod *prod;		/* own section */
	__u32 mask;
	__u32 data_mask;
	__u32 head;			/* next slot to fill */
	__u32 published;		/* prod->idx as last stored */
	__u32 tail;			/* cons->idx as last accepted */
	__u32 belled;			/* published at the last look at data_event */
	__u32 data_head;		/* free-running byte positions */
	__u32 data_tail;
	__u32 data_next;		/* end of the reservation, taken over by commit */
	const struct msr_cons *cons;	/* peer's section */
};

/* One side's view of a ring: consumer. As above. */
struct msr_rx {
	const struct msr_desc *desc;	/* peer's section */
	const struct msr_prod *prod;	/* peer's section */
	struct msr_cons *cons;		/* own section */
	const __u8 *data;		/* peer's section */
	__u32 mask;
	__u32 data_size;
	__u32 channel;
	__u32 next;			/* next slot to copy out */
	__u32 avail;			/* prod->idx as last accepted */
	__u32 released;			/* cons->idx as last stored */
	__u32 belled;			/* released at the last look at space_event */
};

/* Slots that the consumer prefetches: enough cache misses in flight to hide the checks */
#define MSR_PREFETCH	8

/* Free slots that the producer prefetches for writing: its CPU has the lines when it fills them */
#define MSR_PREFETCH_FREE	8

/* Outcomes other than "done" */
enum msr_result {
	MSR_OK		= 0,
	MSR_EMPTY	= 1,	/* nothing there now */
	MSR_BAD_INDEX	= -1,	/* MSR_FAULT_INDEX */
	MSR_BAD_DESC	= -2,	/* MSR_FAULT_DESC */
	MSR_TOO_LONG	= -3,	/* the caller's own mistake: more than half the data area */
};

/*
 * Has the index that moved from @old to @now passed @event? Counts modulo 2^32,
 * as virtio's vring_need_event().
 */
static inline bool msr_passed(__u32 event, __u32 now, __u32 old)
{
	return (__u32)(now - event - 1) < (__u32)(now - old);
}

/* data is handed out in whole cache lines */
static inline __u32 msr_round_up(__u32 bytes)
{
	return (bytes + MSR_CACHE_LINE - 1) & ~(MSR_CACHE_LINE - 1u);
}

/*
 * Producer: reset the ring that the own @info describes in the own section at @section.
 * Only while the own epoch is 0. Descriptors and data stay: a peer that has not noticed the reset
 * goes on reading descriptors that it was sent.
 */
static inline void msr_tx_init(struct msr_tx *tx, void *section,
			       const struct msr_queue_info *info)
{
	__u8 *base = section;

	memset(tx, 0, sizeof(*tx));
	tx->desc = (struct msr_desc *)(base + info->ring_off);
	tx->prod = (struct msr_prod *)(base + info->prod_off);
	tx->data = base + info->data_off;
	tx->mask = (1u << info->ring_log2) - 1;
	tx->data_mask = (1u << info->data_log2) - 1;
	memset(tx->prod->reserved0, 0, sizeof(tx->prod->reserved0));
	memset(tx->prod->reserved1, 0, sizeof(tx->prod->reserved1));
	msr_store(&tx->prod->idx, 0);
	/* 2^31 ahead: not passed before as many descriptors were released */
	msr_store(&tx->prod->space_event, 1u << 31);
}

/* Producer: join with the peer's checked queue entry @peer, before the first reserve. */
static inline void msr_tx_attach(struct msr_tx *tx, const void *peer_section,
				 const struct msr_queue_info *peer)
{
	tx->cons = (const struct msr_cons *)((const __u8 *)peer_section + peer->cons_off);
}

/* Consumer: clear the own index lines. Only while the own epoch is 0. */
static inline void msr_rx_init(struct msr_rx *rx, void *section,
			       const struct msr_queue_info *info)
{
	memset(rx, 0, sizeof(*rx));
	rx->cons = (struct msr_cons *)((__u8 *)section + info->cons_off);
	memset(rx->cons->reserved0, 0, sizeof(rx->cons->reserved0));
	memset(rx->cons->reserved1, 0, sizeof(rx->cons->reserved1));
	msr_store(&rx->cons->idx, 0);
	msr_store(&rx->cons->data_event, 1u << 31);
}

/* Consumer: join with the peer's checked queue entry @peer, before the first peek. */
static inline void msr_rx_attach(struct msr_rx *rx, const void *peer_section,
				 const struct msr_queue_info *peer)
{
	const __u8 *base = peer_section;

	rx->desc = (const struct msr_desc *)(base + peer->ring_off);
	rx->prod = (const struct msr_prod *)(base + peer->prod_off);
	rx->data = base + peer->data_off;
	rx->mask = (1u << peer->ring_log2) - 1;
	rx->data_size = 1u << peer->data_log2;
	rx->channel = peer->channel;
}

/*
 * Producer only. Takes back what the consumer released. MSR_BAD_INDEX when
 * its index left [tail, published]: the peer is broken and nothing changed.
 *
 * The end of the released data is read from the last released descriptor in the own section. A note
 * in private memory would cost one store per descriptor, and alternating stores to two lines halve
 * the speed, as the processor can no longer merge them. A peer that writes into this section
 * can move the end within [data_tail, data_head]: its own unread data is then overwritten.
 */
static inline msr_must_check enum msr_result msr_tx_reclaim(struct msr_tx *tx)
{
	/* partner: the store-release in msr_rx_release; its reads of our data are over */
	__u32 idx = msr_load_acquire(&tx->cons->idx);
	const struct msr_desc *last;
	__u32 back;

	/* impossible: released more than was published, or took a release back */
	if ((__u32)(idx - tx->tail) > (__u32)(tx->published - tx->tail))
		return MSR_BAD_INDEX;
	if (idx == tx->tail)
		return MSR_OK;
	tx->tail = idx;
	if (idx == tx->head) {
		tx->data_tail = tx->data_head;
		return MSR_OK;
	}
	/* up to its end; a gap between two descriptors is released with the second */
	last = &tx->desc[(idx - 1) & tx->mask];
	back = (msr_round_up(msr_load(&last->off) + msr_load(&last->len)) - tx->data_tail) &
	       tx->data_mask;
	if (back <= (__u32)(tx->data_head - tx->data_tail))
		tx->data_tail += back;
	return MSR_OK;
}

/* Returns true if @len bytes and a slot fit; *@start is where the bytes would begin. */
static inline bool msr_tx_fits(const struct msr_tx *tx, __u32 len, __u32 *start)
{
	__u32 rest = tx->data_mask + 1 - (tx->data_head & tx->data_mask);
	/* data is contiguous: skip the rest of the area if @len does not fit into it */
	__u32 skip = len > rest ? rest : 0;

	*start = tx->data_head + skip;
	return (__u32)(tx->head - tx->tail) <= tx->mask &&
	       skip + len <= tx->data_mask + 1 - (tx->data_head - tx->data_tail);
}

/*
 * Producer only. Room for one descriptor with @len contiguous bytes of data. Returns the
 * data and in *@off its offset for msr_desc.off. NULL with *@result
 *  - MSR_EMPTY: the ring is full, msr_tx_arm to be woken;
 *  - MSR_TOO_LONG: @len is more than half of the data area and might never fit;
 *  - MSR_BAD_INDEX: the peer is broken.
 * A reservation is given up by reserving again.
 */
static inline void *msr_tx_reserve(struct msr_tx *tx, __u32 len, __u32 *off,
				   enum msr_result *result)
{
	__u32 room = msr_round_up(len), area = tx->data_mask + 1;
	__u32 start = tx->data_head, at = start & tx->data_mask;

	/* as msr_tx_fits(), for the common case: nothing to skip, and room that is known of */
	if (!msr_unlikely(len > area / 2 || at + room > area ||
			  (__u32)(start - tx->data_tail) + room > area ||
			  (__u32)(tx->head - tx->tail) > tx->mask)) {
		tx->data_next = start + room;
		*result = MSR_OK;
		*off = at;
		return tx->data + at;
	}
	if (len > area / 2) {
		*result = MSR_TOO_LONG;
		return NULL;
	}
	*result = MSR_OK;
	if (!msr_tx_fits(tx, room, &start)) {
		*result = msr_tx_reclaim(tx);
		if (*result != MSR_OK)
			return NULL;
		if (!msr_tx_fits(tx, room, &start)) {
			*result = MSR_EMPTY;
			return NULL;
		}
	}
	tx->data_next = start + room;
	*off = start & tx->data_mask;
	return tx->data + *off;
}

/*
 * Producer only: gives back the end of a reservation of @len bytes of which only the first
 * @used are needed. For producers that learn the length while they fill.
 */
static inline void msr_tx_trim(struct msr_tx *tx, __u32 len, __u32 used)
{
	tx->data_next -= msr_round_up(len) - msr_round_up(used);
}

/*
 * Producer only, after msr_tx_reserve. Fills the reserved slot; the data of @d lies within the
 * reservation. The consumer sees the descriptor after msr_tx_publish.
 */
static inline void msr_tx_commit(struct msr_tx *tx, const struct msr_desc *d)
{
	__u32 mask = tx->mask, head = tx->head, used = head - tx->tail;
	msr_word *slot = (msr_word *)&tx->desc[head & mask];
	struct msr_words words = msr_desc_words(d);

	tx->data_head = tx->data_next;
	tx->head = head + 1;
	/* free slots only: the consumer still reads the others */
	if (!(head & 1) && used + MSR_PREFETCH_FREE < mask)
		msr_prefetch_write(&tx->desc[(head + 1 + MSR_PREFETCH_FREE) & mask]);
	slot[0] = words.w[0];
	slot[1] = words.w[1];
	slot[2] = words.w[2];
	slot[3] = words.w[3];
}

/* Producer only. Shows all committed descriptors to the consumer. */
static inline void msr_tx_publish(struct msr_tx *tx)
{
	/* the line is the consumer's to poll: do not dirty it for nothing */
	if (tx->published == tx->head)
		return;
	tx->published = tx->head;
	/* partner: the load-acquire in msr_rx_fill; descriptors and data come first */
	msr_store_release(&tx->prod->idx, tx->published);
}

/* Producer only, after msr_tx_publish. Returns true if the consumer's bell must be rung. */
static inline bool msr_tx_need_bell(struct msr_tx *tx)
{
	__u32 old = tx->belled;

	if (old == tx->published)
		return false;
	tx->belled = tx->published;
	/* partner: the barrier in msr_rx_arm. prod.idx is stored before data_event is read */
	msr_full_barrier();
	return msr_passed(msr_load(&tx->cons->data_event), tx->published, old);
}

/*
 * Producer only, after MSR_EMPTY: ask for a bell when the @slots oldest descriptors (1 or more, all
 * at most) have been released. MSR_EMPTY: armed, sleep; publish committed descriptors before, or
 * the consumer waits as well. MSR_OK: room came back, reserve again.
 */
static inline msr_must_check enum msr_result msr_tx_arm(struct msr_tx *tx, __u32 slots)
{
	__u32 used = tx->head - tx->tail;
	__u32 old = tx->tail;
	enum msr_result result;

	if (slots > used)
		slots = used;
	if (!slots)
		return MSR_OK;
	msr_store(&tx->prod->space_event, old + slots - 1);
	/* partner: the barrier in msr_rx_need_bell. Stores space_event before it reads cons.idx */
	msr_full_barrier();
	result = msr_tx_reclaim(tx);
	if (result != MSR_OK)
		return result;
	return (__u32)(tx->tail - old) >= slots ? MSR_OK : MSR_EMPTY;
}

/* Consumer only. Accepts the producer's index. MSR_BAD_INDEX: beyond the ring, or taken back. */
static inline msr_must_check enum msr_result msr_rx_fill(struct msr_rx *rx)
{
	/* partner: the store-release in msr_tx_publish; descriptors and data are there */
	__u32 idx = msr_load_acquire(&rx->prod->idx);

	/* impossible: more slots than there are, or a published descriptor taken back */
	if ((__u32)(idx - rx->released) > rx->mask + 1 ||
	    (__u32)(idx - rx->released) < (__u32)(rx->avail - rx->released))
		return MSR_BAD_INDEX;
	rx->avail = idx;
	return rx->avail == rx->next ? MSR_EMPTY : MSR_OK;
}

/*
 * Consumer only. Copies the next descriptor out and checks the copy. The peer may modify the data
 * at rx->data + d->off at any time (TOCTOU): copy the bytes that a decision depends on. Slot and
 * data stay the consumer's until msr_rx_release.
 */
static inline msr_must_check enum msr_result
msr_rx_next(struct msr_rx *rx, struct msr_desc *d)
{
	__u32 mask = rx->mask, next = rx->next;
	msr_word *copy = (msr_word *)d;
	const msr_word *slot;
	enum msr_result result;
	struct msr_words w;

	if (next == rx->avail) {
		result = msr_rx_fill(rx);
		if (result != MSR_OK)
			return result;
	}
	rx->next = next + 1;
	/* published slots only: a slot that is being filled has its line at the producer */
	if ((__u32)(rx->avail - next) > MSR_PREFETCH)
		msr_prefetch(&rx->desc[(next + MSR_PREFETCH) & mask]);
	/* each word by one load, which the compiler cannot repeat */
	slot = (const msr_word *)&rx->desc[next & mask];
	w.w[0] = msr_load(&slot[0]);
	w.w[1] = msr_load(&slot[1]);
	w.w[2] = msr_load(&slot[2]);
	w.w[3] = msr_load(&slot[3]);
	copy[0] = w.w[0];
	copy[1] = w.w[1];
	copy[2] = w.w[2];
	copy[3] = w.w[3];
	if (msr_unlikely(!msr_check_words(w, rx->channel, rx->data_size)))
		return MSR_BAD_DESC;
	return MSR_OK;
}

/*
 * Consumer only. Gives back the @n oldest descriptors, their data with them. @n is at
 * most what msr_rx_next returned and was not released yet.
 */
static inline void msr_rx_release(struct msr_rx *rx, __u32 n)
{
	rx->released += n;
	/* partner: the load-acquire in msr_tx_reclaim; our reads of the data are over */
	msr_store_release(&rx->cons->idx, rx->released);
}

/* Consumer only, after msr_rx_release. Returns true if the producer's bell must be rung. */
static inline bool msr_rx_need_bell(struct msr_rx *rx)
{
	__u32 old = rx->belled;

	if (old == rx->released)
		return false;
	rx->belled = rx->released;
	/* partner: the barrier in msr_tx_arm. cons.idx is stored before space_event is read */
	msr_full_barrier();
	return msr_passed(msr_load(&rx->prod->space_event), rx->released, old);
}

/*
 * Consumer only, between two msr_rx_release. As msr_rx_need_bell(), without its barrier unless the
 * answer is yes: that waits until the index has reached the other processor's cache. An event that
 * the producer is storing just now may be missed. The next look sees it, for the range looked at
 * still begins at the last msr_rx_need_bell(), and one of these must come before the consumer turns
 * to something else.
 */
static inline bool msr_rx_need_bell_already(struct msr_rx *rx)
{
	return msr_unlikely(msr_passed(msr_load(&rx->prod->space_event), rx->released,
				       rx->belled)) && msr_rx_need_bell(rx);
}

/*
 * Consumer only, before it sleeps: ask for a bell at the next descriptor.
 * MSR_EMPTY: armed, sleep. MSR_OK: a descriptor came meanwhile, go on.
 */
static inline msr_must_check enum msr_result msr_rx_arm(struct msr_rx *rx)
{
	msr_store(&rx->cons->data_event, rx->next);
	/* partner: the barrier in msr_tx_need_bell. data_event is stored before prod.idx is read */
	msr_full_barrier();
	return msr_rx_fill(rx);
}

#endif /* MSR_RING_H */

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * multios shared ring: validators of everything a peer writes.
 *
 * All are pure functions over a private copy: copy out of the segment once,
 * check the copy, use the copy. Offsets and lengths that pass are safe to dereference
 * inside the segment; whether they make sense to the protocol is another matter.
 */
#ifndef MSR_CHECK_H
#define MSR_CHECK_H

#include "barrier.h"
#include "wire.h"

/* [off, off + len) lies in [0, size), computed so that nothing wraps */
static inline msr_must_check bool msr_check_range(__u64 off, __u64 len, __u64 size)
{
	return off <= size && len <= size - off;
}

/* a power-of-two ring or data area: exponent within [lo, hi] */
static inline msr_must_check bool msr_check_log2(__u32 v, __u32 lo, __u32 hi)
{
	return v >= lo && v <= hi;
}

/* a reserved field of whole words: all zero */
static inline msr_must_check bool msr_check_zero(const void *field, __u32 bytes)
{
	const __u8 *b = field;
	__u8 any = 0;
	__u32 i;

	for (i = 0; i < bytes; i++)
		any |= b[i];
	return !any;
}

/* Segment of @size bytes, as firmware reports it: two sections of whole pages */
static inline msr_must_check bool msr_check_segment_size(__u64 size)
{
	return size >= MSR_SEGMENT_MIN && size <= MSR_SEGMENT_MAX &&
	       !(size % (2 * MSR_PAGE));
}

/*
 * Queue @info of a section of @section_size bytes. Overlaps of a queue's parts are not looked
 * for: they harm their owner only, who alone writes them.
 */
static inline msr_must_check bool
msr_check_queue(const struct msr_queue_info *info, __u64 section_size)
{
	if (info->channel != MSR_CHAN_ETH && info->channel != MSR_CHAN_ROCE)
		return false;
	if (info->index >= MSR_MAX_QUEUES)
		return false;
	if (!msr_check_log2(info->ring_log2, MSR_MIN_RING_LOG2, MSR_MAX_RING_LOG2) ||
	    !msr_check_log2(info->data_log2, MSR_MIN_DATA_LOG2, MSR_MAX_DATA_LOG2))
		return false;
	if ((info->ring_off | info->prod_off | info->cons_off | info->data_off) %
	    MSR_CACHE_LINE)
		return false;
	if (!msr_check_zero(info->reserved, sizeof(info->reserved)))
		return false;
	return msr_check_range(info->ring_off,
			       (__u64)sizeof(struct msr_desc) << info->ring_log2,
			       section_size) &&
	       msr_check_range(info->prod_off, sizeof(struct msr_prod), section_size) &&
	       msr_check_range(info->cons_off, sizeof(struct msr_cons), section_size) &&
	       msr_check_range(info->data_off, 1ULL << info->data_log2, section_size);
}

/* The first rule that a peer's section breaks; msr_section_verdict_str names the field. */
enum msr_section_verdict {
	MSR_SECTION_OK,
	MSR_SECTION_MAGIC,
	MSR_SECTION_VERSION,
	MSR_SECTION_ROLE,
	MSR_SECTION_SIZE,
	MSR_SECTION_FEATURES,
	MSR_SECTION_NR_QUEUES,
	MSR_SECTION_QUEUE,
	MSR_SECTION_RESERVED,
	MSR_SECTION_JOIN,
};

/*
 * Copy @s of the peer's first page. @role is the role the peer must have,
 * @segment_size what this side's firmware says (a power of two is not required).
 */
static inline msr_must_check enum msr_section_verdict
msr_check_section(const struct msr_section *s, __u32 role, __u64 segment_size)
{
	__u32 i;

	if (s->magic != MSR_MAGIC)
		return MSR_SECTION_MAGIC;
	if (s->version != MSR_VERSION)
		return MSR_SECTION_VERSION;
	if (s->role != role)
		return MSR_SECTION_ROLE;
	if (s->segment_size != segment_size)
		return MSR_SECTION_SIZE;
	if (s->features)
		return MSR_SECTION_FEATURES;
	if (!s->nr_queues || s->nr_queues > MSR_MAX_QUEUES)
		return MSR_SECTION_NR_QUEUES;
	for (i = 0; i < s->nr_queues; i++)
		if (!msr_check_queue(&s->queue[i], segment_size / 2))
			return MSR_SECTION_QUEUE;
	if (!msr_check_zero(s->reserved0, sizeof(s->reserved0)) ||
	    !msr_check_zero(s->reserved1, sizeof(s->reserved1)) ||
	    !msr_check_zero(s->reserved2, sizeof(s->reserved2)) ||
	    !msr_check_zero(&s->queue[i], (MSR_MAX_QUEUES - i) * sizeof(s->queue[0])))
		return MSR_SECTION_RESERVED;
	return MSR_SECTION_OK;
}

/*
 * Copy @peer that msr_check_section accepted against the @own table, as this side
 * laid it out: the segment's may have been written to by the peer. Queue i of one
 * side is the other direction of queue i of the other.
 */
static inline msr_must_check enum msr_section_verdict
msr_check_join(const struct msr_section *own, const struct msr_section *peer)
{
	__u32 i;

	if (own->nr_queues != peer->nr_queues)
		return MSR_SECTION_NR_QUEUES;
	for (i = 0; i < own->nr_queues; i++)
		if (own->queue[i].channel != peer->queue[i].channel ||
		    own->queue[i].index != peer->queue[i].index)
			return MSR_SECTION_JOIN;
	return MSR_SECTION_OK;
}

static inline const char *msr_section_verdict_str(enum msr_section_verdict v)
{
	switch (v) {
	case MSR_SECTION_OK:		return "ok";
	case MSR_SECTION_MAGIC:		return "magic";
	case MSR_SECTION_VERSION:	return "version";
	case MSR_SECTION_ROLE:		return "role";
	case MSR_SECTION_SIZE:		return "segment_size";
	case MSR_SECTION_FEATURES:	return "features";
	case MSR_SECTION_NR_QUEUES:	return "nr_queues";
	case MSR_SECTION_QUEUE:		return "queue";
	case MSR_SECTION_RESERVED:	return "reserved";
	case MSR_SECTION_JOIN:		return "channel or index of a queue";
	}
	return "unknown";
}

/* A doorbell word: valid, a vector that a device may use, nothing else set. */
static inline msr_must_check bool msr_check_bell(__u64 bell)
{
	return (bell & MSR_BELL_VALID) &&
	       (bell & MSR_BELL_VECTOR_MASK) >= 32 &&
	       !(bell & ~(MSR_BELL_VALID | MSR_BELL_APIC_MASK | MSR_BELL_VECTOR_MASK));
}

/*
 * A descriptor as the words of its slot. The rules below are tested on these, in registers: several
 * fields at once, and no load waits for a store that made a part of it.
 */
struct msr_words {
	msr_word w[4];
};

/* where a field lies within its word */
#define MSR_SHIFT(field)	(__builtin_offsetof(struct msr_desc, field) % 8 * 8)
#define MSR_BITS(field)								\
	(~0ULL >> (64 - 8 * sizeof(((struct msr_desc *)0)->field)) << MSR_SHIFT(field))
#define MSR_FLAGS(flag)		((__u64)(flag) << MSR_SHIFT(flags))
#define MSR_FIELD(words, field)							\
	((__typeof__(((struct msr_desc *)0)->field))				\
	 ((words).w[__builtin_offsetof(struct msr_desc, field) / 8] >> MSR_SHIFT(field)))

/*
 * The words of the own descriptor @d. Its fields have just been stored, each for itself, and a load
 * that is wider than those stores would wait until they are in the cache. So each field is loaded
 * for itself, a frame's within those of a burst, if it is in memory at all; msr_apart() keeps the
 * compiler from making one load of them.
 */
static inline struct msr_words msr_desc_words(const struct msr_desc *d)
{
	const struct msr_burst *b = &d->burst;

	return (struct msr_words){ {
		msr_apart(d->off) | msr_apart(d->len) << 32,
		msr_apart(d->type) | msr_apart(d->flags) << 8 | msr_apart(d->hdr_len) << 16 |
			msr_apart(d->reserved) << 32,
		msr_apart(b->nseg) | msr_apart(b->seg_len) << 16 | msr_apart(b->op_mid) << 32 |
			msr_apart(b->op_last) << 40 | msr_apart(b->ext_first) << 48 |
			msr_apart(b->ext_last) << 56,
		msr_apart(b->reserved[0]) | msr_apart(b->reserved[1]) << 32,
	} };
}

static inline msr_must_check bool msr_check_frame_words(struct msr_words d)
{
	__u32 len = MSR_FIELD(d, len);
	bool partial;
	__u8 gso;

	if (len - MSR_MIN_FRAME > MSR_MAX_FRAME - MSR_MIN_FRAME || MSR_FIELD(d, hdr_len) > len)
		return false;
	/* as a rule all other bits are known: no checksum to be made, no super-frame */
	if (!(((d.w[1] & ~(MSR_BITS(hdr_len) | MSR_FLAGS(MSR_FRAME_CSUM_VALID))) ^
	       MSR_DESC_FRAME) | (d.w[2] | d.w[3]) >> 32))
		return true;
	/* type, unknown flags, reserved */
	if ((d.w[1] & ~(MSR_BITS(hdr_len) | MSR_FLAGS(MSR_FRAME_FLAGS))) != MSR_DESC_FRAME ||
	    MSR_FIELD(d, frame.reserved0) | MSR_FIELD(d, frame.reserved1))
		return false;
	partial = d.w[1] & MSR_FLAGS(MSR_FRAME_CSUM_PARTIAL);
	if (partial &&
	    (__u32)MSR_FIELD(d, frame.csum_start) + MSR_FIELD(d, frame.csum_offset) + 2 > len)
		return false;
	if (!(MSR_FIELD(d, frame.gso_type) | MSR_FIELD(d, frame.gso_size)))
		return true;
	gso = MSR_FIELD(d, frame.gso_type) & ~MSR_GSO_ECN;
	if (gso == MSR_GSO_NONE || gso > MSR_GSO_UDP)
		return false;
	if (MSR_FIELD(d, frame.gso_type) & MSR_GSO_ECN && gso == MSR_GSO_UDP)
		return false;
	/* a super-frame without a partial checksum cannot be segmented */
	return MSR_FIELD(d, frame.gso_size) && partial;
}

/* The same of an own descriptor, without the place of its data. */
static inline msr_must_check bool msr_check_frame(const struct msr_desc *d)
{
	return msr_check_frame_words(msr_desc_words(d));
}

/* Ethernet 14, IPv4 20, UDP 8, BTH 12: the shortest RoCEv2 header */
#define MSR_MIN_BURST_HDR	54

static inline msr_must_check bool msr_check_burst_words(struct msr_words d)
{
	__u32 hdr_len = MSR_FIELD(d, hdr_len), nseg = MSR_FIELD(d, burst.nseg);
	__u32 ext_first = MSR_FIELD(d, burst.ext_first), ext_last = MSR_FIELD(d, burst.ext_last);
	__u32 seg_len = MSR_FIELD(d, burst.seg_len), len = MSR_FIELD(d, len), payload;

	/* type, unknown flags, reserved */
	if ((d.w[1] & ~(MSR_BITS(hdr_len) | MSR_FLAGS(MSR_BURST_FLAGS))) !=
	    MSR_DESC_BURST || d.w[3])
		return false;
	if (hdr_len > MSR_MAX_BURST_HDR || hdr_len > len)
		return false;
	if ((ext_first | ext_last) % 4 || hdr_len < MSR_MIN_BURST_HDR + ext_first + ext_last)
		return false;
	payload = len - hdr_len;
	if (payload > MSR_MAX_BURST_DATA)
		return false;
	if (!nseg || nseg > MSR_MAX_SEGS)
		return false;
	if (nseg == 1)
		return payload <= MSR_PAGE;	/* the largest path MTU */
	if (seg_len < 256 || seg_len > 4096 || seg_len & (seg_len - 1))
		return false;
	/* exactly nseg packets: the last has 1..seg_len bytes */
	return payload > (nseg - 1) * seg_len && payload <= nseg * seg_len;
}

/*
 * Copy @d of a descriptor of channel @channel whose data area is @data_size
 * bytes long: may its data be read and its fields be used?
 */
static inline msr_must_check bool
msr_check_words(struct msr_words d, __u32 channel, __u64 data_size)
{
	if ((__u64)MSR_FIELD(d, off) + MSR_FIELD(d, len) > data_size)
		return false;
	switch (channel) {
	case MSR_CHAN_ETH:
		return msr_check_frame_words(d);
	case MSR_CHAN_ROCE:
		return msr_check_burst_words(d);
	}
	return false;
}

/* The same of a descriptor in private memory. */
static inline msr_must_check bool
msr_check_desc(const struct msr_desc *d, __u32 channel, __u64 data_size)
{
	return msr_check_words(msr_desc_words(d), channel, data_size);
}

#endif /* MSR_CHECK_H */

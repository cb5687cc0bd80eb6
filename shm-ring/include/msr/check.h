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

static inline msr_must_check bool msr_check_frame(const struct msr_desc *d)
{
	const struct msr_frame *f = &d->frame;
	__u8 gso = f->gso_type & ~MSR_GSO_ECN;

	/* all fields that must be zero, in one test */
	if ((d->flags & ~MSR_FRAME_FLAGS) | f->reserved0 | d->reserved | f->reserved1)
		return false;
	if (d->len < MSR_MIN_FRAME || d->len > MSR_MAX_FRAME || d->hdr_len > d->len)
		return false;
	if (!((d->flags & MSR_FRAME_CSUM_PARTIAL) | f->gso_type))
		return !f->gso_size;
	if ((d->flags & MSR_FRAME_CSUM_PARTIAL) &&
	    (__u32)f->csum_start + f->csum_offset + 2 > d->len)
		return false;
	if (gso > MSR_GSO_UDP)
		return false;
	if (f->gso_type & MSR_GSO_ECN && gso != MSR_GSO_TCPV4 && gso != MSR_GSO_TCPV6)
		return false;
	/* a super-frame without a partial checksum cannot be segmented */
	if (gso != MSR_GSO_NONE)
		return f->gso_size && (d->flags & MSR_FRAME_CSUM_PARTIAL);
	return !f->gso_size;
}

/* Ethernet 14, IPv4 20, UDP 8, BTH 12: the shortest RoCEv2 header */
#define MSR_MIN_BURST_HDR	54

static inline msr_must_check bool msr_check_burst(const struct msr_desc *d)
{
	const struct msr_burst *b = &d->burst;
	__u32 payload;

	if (d->flags & ~MSR_BURST_FLAGS || d->reserved || b->reserved[0] || b->reserved[1])
		return false;
	if (d->hdr_len > MSR_MAX_BURST_HDR || d->hdr_len > d->len)
		return false;
	if ((b->ext_first | b->ext_last) % 4 ||
	    d->hdr_len < MSR_MIN_BURST_HDR + b->ext_first + b->ext_last)
		return false;
	payload = d->len - d->hdr_len;
	if (payload > MSR_MAX_BURST_DATA)
		return false;
	if (!b->nseg || b->nseg > MSR_MAX_SEGS)
		return false;
	if (b->nseg == 1)
		return payload <= MSR_PAGE;	/* the largest path MTU */
	if (b->seg_len < 256 || b->seg_len > 4096 || b->seg_len & (b->seg_len - 1))
		return false;
	/* exactly nseg packets: the last has 1..seg_len bytes */
	return payload > (__u32)(b->nseg - 1) * b->seg_len &&
	       payload <= (__u32)b->nseg * b->seg_len;
}

/*
 * Copy @d of a descriptor of channel @channel whose data area is @data_size
 * bytes long: may its data be read and its fields be used?
 */
static inline msr_must_check bool
msr_check_desc(const struct msr_desc *d, __u32 channel, __u64 data_size)
{
	if ((__u64)d->off + d->len > data_size)
		return false;
	switch (channel) {
	case MSR_CHAN_ETH:
		return d->type == MSR_DESC_FRAME && msr_check_frame(d);
	case MSR_CHAN_ROCE:
		return d->type == MSR_DESC_BURST && msr_check_burst(d);
	}
	return false;
}

#endif /* MSR_CHECK_H */

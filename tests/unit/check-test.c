// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The validators (msr/check.h): each limit from below, on it and from above, and every field
 * of section, queue and descriptor changed by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <msr/check.h>
#include <msr/mac.h>

#include "pair.h"

#define SEGMENT		((__u64)MSR_SEGMENT_MIN)
#define SECTION		(SEGMENT / 2)

static struct msr_section section(void)
{
	struct msr_section s = {
		.magic = MSR_MAGIC,
		.version = MSR_VERSION,
		.role = MSR_ROLE_BACK,
		.segment_size = SEGMENT,
		.nr_queues = 2,
		.epoch = 77,
		.bell = { MSR_BELL_VALID | 40 },
	};

	s.queue[0] = pair_info(MSR_CHAN_ETH);
	s.queue[1] = pair_info(MSR_CHAN_ROCE);
	return s;
}

static struct msr_desc burst(__u32 nseg, __u32 seg_len, __u32 payload)
{
	return (struct msr_desc){
		.len = MSR_MIN_BURST_HDR + 20 + payload,
		.type = MSR_DESC_BURST,
		.hdr_len = MSR_MIN_BURST_HDR + 20,
		.burst = {
			.nseg = (__u16)nseg,
			.seg_len = (__u16)seg_len,
			.ext_first = 16,
			.ext_last = 4,
		},
	};
}

static bool eth(const struct msr_desc *d)
{
	return msr_check_desc(d, MSR_CHAN_ETH, PAIR_DATA_SIZE);
}

static bool roce(const struct msr_desc *d)
{
	return msr_check_desc(d, MSR_CHAN_ROCE, PAIR_DATA_SIZE);
}

static void range(void **arg)
{
	(void)arg;
	assert_true(msr_check_range(0, 0, 0));
	assert_false(msr_check_range(0, 1, 0));
	assert_false(msr_check_range(1, 0, 0));
	assert_true(msr_check_range(10, 89, 100));
	assert_true(msr_check_range(10, 90, 100));
	assert_false(msr_check_range(10, 91, 100));
	assert_true(msr_check_range(100, 0, 100));
	assert_false(msr_check_range(101, 0, 100));
	assert_false(msr_check_range(10, UINT64_MAX, 100));
	assert_false(msr_check_range(UINT64_MAX, 2, 100));
	assert_false(msr_check_range(UINT64_MAX, 10, UINT64_MAX));
}

static void segment_size(void **arg)
{
	(void)arg;
	assert_false(msr_check_segment_size(0));
	assert_false(msr_check_segment_size(MSR_SEGMENT_MIN - 2 * MSR_PAGE));
	assert_true(msr_check_segment_size(MSR_SEGMENT_MIN));
	assert_false(msr_check_segment_size(MSR_SEGMENT_MIN + 1));
	assert_false(msr_check_segment_size(MSR_SEGMENT_MIN + MSR_PAGE));
	assert_true(msr_check_segment_size(MSR_SEGMENT_MIN + 2 * MSR_PAGE));
	assert_true(msr_check_segment_size(MSR_SEGMENT_MAX));
	assert_false(msr_check_segment_size((__u64)MSR_SEGMENT_MAX + 2 * MSR_PAGE));
	assert_false(msr_check_segment_size(UINT64_MAX));
}

static void bell(void **arg)
{
	int bit;

	(void)arg;
	assert_false(msr_check_bell(0));
	assert_false(msr_check_bell(40));
	assert_false(msr_check_bell(MSR_BELL_VALID | 31));
	assert_true(msr_check_bell(MSR_BELL_VALID | 32));
	assert_true(msr_check_bell(MSR_BELL_VALID | 255));
	assert_true(msr_check_bell(MSR_BELL_VALID | MSR_BELL_APIC_MASK | 255));
	for (bit = 40; bit < 63; bit++)
		assert_false(msr_check_bell(MSR_BELL_VALID | 40 | 1ULL << bit));
	assert_int_equal(MSR_BELL_QUEUE(MSR_MAX_QUEUES - 1), MSR_MAX_BELLS - 1);
}

#define QUEUE_REFUSED(change) do {						\
		struct msr_queue_info q = pair_info(MSR_CHAN_ETH);		\
		change;								\
		assert_false(msr_check_queue(&q, SECTION));			\
	} while (0)

#define QUEUE_ACCEPTED(change) do {						\
		struct msr_queue_info q = pair_info(MSR_CHAN_ETH);		\
		change;								\
		assert_true(msr_check_queue(&q, SECTION));			\
	} while (0)

static void queue(void **arg)
{
	const __u32 ring_bytes = PAIR_RING_SIZE * sizeof(struct msr_desc);
	unsigned int i;

	(void)arg;
	QUEUE_ACCEPTED((void)q);
	QUEUE_ACCEPTED(q.channel = MSR_CHAN_ROCE);
	QUEUE_REFUSED(q.channel = 0);
	QUEUE_REFUSED(q.channel = 3);
	QUEUE_ACCEPTED(q.index = MSR_MAX_QUEUES - 1);
	QUEUE_REFUSED(q.index = MSR_MAX_QUEUES);
	QUEUE_REFUSED(q.ring_log2 = MSR_MIN_RING_LOG2 - 1);
	QUEUE_ACCEPTED(q.ring_log2 = MSR_MAX_RING_LOG2);
	QUEUE_REFUSED(q.ring_log2 = MSR_MAX_RING_LOG2 + 1);
	QUEUE_REFUSED(q.ring_log2 = 32 + MSR_MIN_RING_LOG2);
	QUEUE_REFUSED(q.ring_log2 = UINT32_MAX);
	QUEUE_REFUSED(q.data_log2 = MSR_MIN_DATA_LOG2 - 1);
	QUEUE_ACCEPTED(q.data_log2 = MSR_MIN_DATA_LOG2 + 1);
	QUEUE_REFUSED(q.data_log2 = 20);	/* larger than what follows data_off */
	QUEUE_ACCEPTED(q.data_log2 = 20; q.data_off = 0);
	QUEUE_REFUSED(q.data_log2 = 21; q.data_off = 0);
	QUEUE_REFUSED(q.data_log2 = MSR_MAX_DATA_LOG2 + 1);
	QUEUE_REFUSED(q.data_log2 = UINT32_MAX);

	for (i = 1; i < MSR_CACHE_LINE; i++) {
		QUEUE_REFUSED(q.ring_off += i);
		QUEUE_REFUSED(q.prod_off += i);
		QUEUE_REFUSED(q.cons_off += i);
		QUEUE_REFUSED(q.data_off += i);
	}
	QUEUE_ACCEPTED(q.ring_off = (__u32)SECTION - ring_bytes);
	QUEUE_REFUSED(q.ring_off = (__u32)SECTION - ring_bytes + MSR_CACHE_LINE);
	QUEUE_ACCEPTED(q.prod_off = (__u32)(SECTION - sizeof(struct msr_prod)));
	QUEUE_REFUSED(q.prod_off = (__u32)SECTION - MSR_CACHE_LINE);
	QUEUE_ACCEPTED(q.cons_off = (__u32)(SECTION - sizeof(struct msr_cons)));
	QUEUE_REFUSED(q.cons_off = (__u32)SECTION - MSR_CACHE_LINE);
	QUEUE_ACCEPTED(q.data_off = (__u32)SECTION - PAIR_DATA_SIZE);
	QUEUE_REFUSED(q.data_off = (__u32)SECTION - PAIR_DATA_SIZE + MSR_CACHE_LINE);
	QUEUE_REFUSED(q.ring_off = (__u32)-MSR_CACHE_LINE);
	QUEUE_REFUSED(q.prod_off = (__u32)-MSR_CACHE_LINE);
	QUEUE_REFUSED(q.cons_off = (__u32)-MSR_CACHE_LINE);
	QUEUE_REFUSED(q.data_off = (__u32)-MSR_CACHE_LINE);
	for (i = 0; i < sizeof(((struct msr_queue_info *)0)->reserved) / 4; i++)
		QUEUE_REFUSED(q.reserved[i] = 1u << (i * 4));
}

#define SECTION_VERDICT(verdict, change) do {					\
		struct msr_section s = section();				\
		change;								\
		assert_int_equal(msr_check_section(&s, MSR_ROLE_BACK, SEGMENT),	\
				 verdict);					\
	} while (0)

static void whole_section(void **arg)
{
	unsigned int i;

	(void)arg;
	SECTION_VERDICT(MSR_SECTION_OK, (void)s);
	for (i = 0; i < 64; i++) {
		SECTION_VERDICT(MSR_SECTION_MAGIC, s.magic ^= 1ULL << i);
		SECTION_VERDICT(MSR_SECTION_SIZE, s.segment_size ^= 1ULL << i);
	}
	for (i = 0; i < 32; i++) {
		SECTION_VERDICT(MSR_SECTION_VERSION, s.version ^= 1u << i);
		SECTION_VERDICT(MSR_SECTION_ROLE, s.role ^= 1u << i);
		SECTION_VERDICT(MSR_SECTION_FEATURES, s.features ^= 1u << i);
	}
	SECTION_VERDICT(MSR_SECTION_NR_QUEUES, s.nr_queues = 0);
	SECTION_VERDICT(MSR_SECTION_NR_QUEUES, s.nr_queues = MSR_MAX_QUEUES + 1);
	SECTION_VERDICT(MSR_SECTION_NR_QUEUES, s.nr_queues = UINT32_MAX);
	SECTION_VERDICT(MSR_SECTION_QUEUE, s.nr_queues = MSR_MAX_QUEUES);
	SECTION_VERDICT(MSR_SECTION_QUEUE, s.nr_queues = 3);
	SECTION_VERDICT(MSR_SECTION_RESERVED, s.nr_queues = 1);
	SECTION_VERDICT(MSR_SECTION_OK,
			for (i = 0; i < MSR_MAX_QUEUES; i++)
				s.queue[i] = pair_info(MSR_CHAN_ETH);
			s.nr_queues = MSR_MAX_QUEUES);
	SECTION_VERDICT(MSR_SECTION_QUEUE, s.queue[1].prod_off = (__u32)SECTION);
	SECTION_VERDICT(MSR_SECTION_RESERVED, s.queue[MSR_MAX_QUEUES - 1].reserved[7] = 1);
	for (i = 0; i < sizeof(((struct msr_section *)0)->reserved0) / 4; i++)
		SECTION_VERDICT(MSR_SECTION_RESERVED, s.reserved0[i] = 1);
	for (i = 0; i < sizeof(((struct msr_section *)0)->reserved1) / 4; i++)
		SECTION_VERDICT(MSR_SECTION_RESERVED, s.reserved1[i] = 1);
	for (i = 0; i < sizeof(((struct msr_section *)0)->reserved2) / 8; i++)
		SECTION_VERDICT(MSR_SECTION_RESERVED, s.reserved2[i] = 1ULL << 63);
	/* link words, bells and MAC addresses change at run time and are looked at one by one */
	SECTION_VERDICT(MSR_SECTION_OK, s.epoch = 0; s.peer_epoch = 1; s.broken = 99; s.bell[3] = 1;
			s.macs.nr = UINT32_MAX; s.macs.mac[0] = 1);
}

static void every_verdict_has_a_name(void **arg)
{
	int v;

	(void)arg;
	for (v = MSR_SECTION_OK; v <= MSR_SECTION_JOIN; v++)
		assert_string_not_equal(msr_section_verdict_str((enum msr_section_verdict)v),
					"unknown");
}

static void join(void **arg)
{
	struct msr_section own = section(), peer = section();

	(void)arg;
	assert_int_equal(msr_check_join(&own, &peer), MSR_SECTION_OK);
	peer.queue[1].ring_log2++;
	assert_int_equal(msr_check_join(&own, &peer), MSR_SECTION_OK);
	peer.queue[1].channel = MSR_CHAN_ETH;
	assert_int_equal(msr_check_join(&own, &peer), MSR_SECTION_JOIN);
	peer = section();
	peer.queue[0].index = 1;
	assert_int_equal(msr_check_join(&own, &peer), MSR_SECTION_JOIN);
	peer = section();
	peer.nr_queues = 1;
	assert_int_equal(msr_check_join(&own, &peer), MSR_SECTION_NR_QUEUES);
}

#define FRAME(verdict, change) do {						\
		struct msr_desc d = pair_frame(0, 1000);			\
		change;								\
		assert_int_equal(eth(&d), verdict);				\
	} while (0)

static void frame(void **arg)
{
	int i;

	(void)arg;
	FRAME(true, (void)d);
	assert_false(({ struct msr_desc d = pair_frame(0, 1000); roce(&d); }));
	assert_false(({ struct msr_desc d = pair_frame(0, 1000);
			msr_check_desc(&d, 0, PAIR_DATA_SIZE); }));
	for (i = 0; i < 256; i++)
		FRAME(i == MSR_DESC_FRAME, d.type = (__u8)i);
	for (i = 0; i < 8; i++)
		FRAME(!(1 << i & ~MSR_FRAME_FLAGS), d.flags = (__u8)(1 << i));
	FRAME(false, d.len = MSR_MIN_FRAME - 1);
	FRAME(true, d.len = MSR_MIN_FRAME);
	FRAME(true, d.len = MSR_MAX_FRAME);
	FRAME(false, d.len = MSR_MAX_FRAME + 1);
	FRAME(false, d.len = UINT32_MAX);
	FRAME(true, d.off = PAIR_DATA_SIZE - 1000);
	FRAME(false, d.off = PAIR_DATA_SIZE - 999);
	FRAME(false, d.off = UINT32_MAX);
	FRAME(false, d.off = (__u32)-1000);
	FRAME(true, d.hdr_len = 1000);
	FRAME(false, d.hdr_len = 1001);
	for (i = 0; i < 32; i++) {
		FRAME(false, d.reserved = 1u << i);
		FRAME(false, d.frame.reserved1 = 1u << i);
		FRAME(true, d.frame.hash = 1u << i);
	}
	for (i = 0; i < 8; i++)
		FRAME(false, d.frame.reserved0 = (__u8)(1 << i));

	FRAME(true, d.flags = MSR_FRAME_CSUM_PARTIAL; d.frame.csum_start = 34;
	      d.frame.csum_offset = 16);
	FRAME(true, d.flags = MSR_FRAME_CSUM_PARTIAL; d.frame.csum_start = 990;
	      d.frame.csum_offset = 8);
	FRAME(false, d.flags = MSR_FRAME_CSUM_PARTIAL; d.frame.csum_start = 990;
	      d.frame.csum_offset = 9);
	FRAME(false, d.flags = MSR_FRAME_CSUM_PARTIAL; d.frame.csum_start = UINT16_MAX;
	      d.frame.csum_offset = UINT16_MAX);
	FRAME(true, d.frame.csum_start = UINT16_MAX; d.frame.csum_offset = UINT16_MAX);

	for (i = 0; i < 256; i++) {
		int type = i & ~MSR_GSO_ECN;
		bool tcp = type == MSR_GSO_TCPV4 || type == MSR_GSO_TCPV6;

		FRAME(tcp || i == MSR_GSO_UDP, d.frame.gso_type = (__u8)i; d.frame.gso_size = 100;
		      d.flags = MSR_FRAME_CSUM_PARTIAL);
		/* neither without a size nor without a partial checksum */
		FRAME(i == MSR_GSO_NONE, d.frame.gso_type = (__u8)i;
		      d.flags = MSR_FRAME_CSUM_PARTIAL);
		FRAME(i == MSR_GSO_NONE, d.frame.gso_type = (__u8)i;
		      d.frame.gso_size = i ? 100 : 0);
	}
	FRAME(false, d.frame.gso_size = 1);
}

#define BURST(verdict, nseg_, seg_len_, payload, change) do {			\
		struct msr_desc d = burst(nseg_, seg_len_, payload);		\
		change;								\
		assert_int_equal(roce(&d), verdict);				\
	} while (0)

static void one_packet(void **arg)
{
	int i;

	(void)arg;
	BURST(true, 1, 0, 0, (void)d);
	BURST(true, 1, 0, 4096, (void)d);
	BURST(false, 1, 0, 4097, (void)d);
	BURST(false, 0, 0, 0, (void)d);
	BURST(true, 1, UINT16_MAX, 100, (void)d);	/* means nothing here */
	for (i = 0; i < 256; i++)
		BURST(i == MSR_DESC_BURST, 1, 0, 100, d.type = (__u8)i);
	for (i = 0; i < 8; i++)
		BURST(!(1 << i & ~MSR_BURST_FLAGS), 1, 0, 100, d.flags = (__u8)(1 << i));
	for (i = 0; i < 32; i++) {
		BURST(false, 1, 0, 100, d.reserved = 1u << i);
		BURST(false, 1, 0, 100, d.burst.reserved[0] = 1u << i);
		BURST(false, 1, 0, 100, d.burst.reserved[1] = 1u << i);
	}
	BURST(false, 1, 0, 100, d.burst.ext_first = 15);
	BURST(false, 1, 0, 100, d.burst.ext_last = 2);
	BURST(true, 1, 0, 100, d.burst.ext_first = 12);		/* a gap of 4 */
	BURST(false, 1, 0, 100, d.burst.ext_first = 20);
	BURST(false, 1, 0, 100, d.burst.ext_first = 252; d.burst.ext_last = 252);
	BURST(true, 1, 0, 100, d.hdr_len++);
	BURST(false, 1, 0, 100, d.hdr_len--);
	BURST(true, 1, 0, 300, d.hdr_len = MSR_MAX_BURST_HDR);
	BURST(false, 1, 0, 300, d.hdr_len = MSR_MAX_BURST_HDR + 1);
	BURST(true, 1, 0, 100, d.len = d.hdr_len);
	BURST(false, 1, 0, 100, d.len = d.hdr_len - 1);
	BURST(false, 1, 0, 100, d.len = 0; d.hdr_len = 0);
	BURST(true, 1, 0, 100, d.off = PAIR_DATA_SIZE - d.len);
	BURST(false, 1, 0, 100, d.off = PAIR_DATA_SIZE - d.len + 1);
	assert_false(({ struct msr_desc d = burst(1, 0, 100); eth(&d); }));
}

static void many_packets(void **arg)
{
	__u32 mtu;

	(void)arg;
	for (mtu = 256; mtu <= 4096; mtu *= 2) {
		__u32 most = MSR_MAX_BURST_DATA / mtu;

		BURST(false, 2, mtu, mtu, (void)d);
		BURST(true, 2, mtu, mtu + 1, (void)d);
		BURST(true, 2, mtu, 2 * mtu, (void)d);
		BURST(false, 2, mtu, 2 * mtu + 1, (void)d);
		BURST(false, most, mtu, (most - 1) * mtu, (void)d);
		BURST(true, most, mtu, (most - 1) * mtu + 1, (void)d);
		BURST(true, most, mtu, most * mtu, (void)d);
		BURST(false, most + 1, mtu, most * mtu + 1, (void)d);
		BURST(false, 2, mtu - 1, 2 * mtu - 3, (void)d);
		BURST(false, 2, mtu + 1, 2 * mtu, (void)d);
	}
	BURST(true, MSR_MAX_SEGS, 256, MSR_MAX_BURST_DATA, (void)d);
	BURST(false, MSR_MAX_SEGS + 1, 256, MSR_MAX_BURST_DATA, (void)d);
	BURST(false, UINT16_MAX, 256, MSR_MAX_BURST_DATA, (void)d);
	BURST(false, 2, 0, 100, (void)d);
	BURST(false, 2, 128, 256, (void)d);
	BURST(false, 2, 8192, 16384, (void)d);
	BURST(false, 3, 32768, MSR_MAX_BURST_DATA, (void)d);
}

/* SPEC.md's rules again, field by field and in its order */
static bool frame_by_fields(const struct msr_desc *d)
{
	const struct msr_frame *f = &d->frame;
	bool partial = d->flags & MSR_FRAME_CSUM_PARTIAL;

	if (d->type != MSR_DESC_FRAME || d->flags > 3 || d->reserved || f->reserved0 ||
	    f->reserved1 || d->len < 14 || d->len > 65792 || d->hdr_len > d->len)
		return false;
	if (partial && f->csum_start + f->csum_offset + 2u > d->len)
		return false;
	switch (f->gso_type) {
	case 0:
		return !f->gso_size;
	case 1:
	case 2:
	case 3:
	case 0x81:
	case 0x82:
		return partial && f->gso_size;
	}
	return false;
}

static bool burst_by_fields(const struct msr_desc *d)
{
	const struct msr_burst *b = &d->burst;
	__u32 payload = d->len - d->hdr_len;

	if (d->type != MSR_DESC_BURST || d->flags > 7 || d->reserved || b->reserved[0] ||
	    b->reserved[1] || d->hdr_len > 256 || d->hdr_len > d->len || payload > 65536 ||
	    b->ext_first % 4 || b->ext_last % 4 || d->hdr_len < 54 + b->ext_first + b->ext_last)
		return false;
	if (b->nseg == 1)
		return payload <= 4096;
	switch (b->seg_len) {
	case 256:
	case 512:
	case 1024:
	case 2048:
	case 4096:
		return b->nseg > 1 && b->nseg <= 256 &&
		       (payload + b->seg_len - 1) / b->seg_len == b->nseg;
	}
	return false;
}

static __u32 draw(__u32 n)
{
	static __u64 state = 88172645463325252ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (__u32)((state >> 32) % n);
}

/* A number next to one that a rule has, as a rule. */
static __u32 limit(void)
{
	static const __u32 limits[] = { 0, 2, 4, 14, 54, 128, 256, 1000, 4096, 65536, 65792,
					PAIR_DATA_SIZE, UINT32_MAX };

	return limits[draw(sizeof(limits) / sizeof(limits[0]))] + draw(3) - 1;
}

static bool one_in(__u32 n)
{
	return !draw(n);
}

/*
 * The validators test several fields at once. They agree with the rules one by one for descriptors
 * that are right, nearly right and wrong in several fields.
 */
static void words(void **arg)
{
	__u32 good[2] = { 0, 0 }, n;

	(void)arg;
	for (n = 0; n < 1000000; n++) {
		bool roce_chan = n % 2, inside, verdict;
		struct msr_desc d = { .type = roce_chan ? MSR_DESC_BURST : MSR_DESC_FRAME };
		struct msr_words w;

		d.off = one_in(4) ? limit() : draw(PAIR_DATA_SIZE / 2);
		d.len = one_in(2) ? limit() : 100 + draw(2000);
		d.flags = (__u8)(one_in(2) ? draw(8) : 0);
		d.hdr_len = (__u16)(one_in(3) ? limit() : roce_chan ? 54 + draw(60) : 0);
		if (roce_chan) {
			struct msr_burst *b = &d.burst;

			b->nseg = (__u16)(one_in(2) ? 1 : one_in(4) ? limit() : draw(20));
			b->seg_len = (__u16)(one_in(8) ? limit() : 256u << draw(6));
			b->op_mid = (__u8)draw(256);
			b->op_last = (__u8)draw(256);
			b->ext_first = (__u8)(one_in(2) ? 4 * draw(8) : 0);
			b->ext_last = (__u8)(one_in(16) ? draw(256) : 0);
			if (b->nseg > 1 && !one_in(4))
				d.len = d.hdr_len + (b->nseg - 1u) * b->seg_len +
					draw(b->seg_len + 2u);
		} else {
			struct msr_frame *f = &d.frame;

			f->csum_start = (__u16)(one_in(2) ? limit() : 34);
			f->csum_offset = (__u16)(one_in(2) ? limit() : 16);
			f->gso_type = (__u8)(one_in(2) ? draw(5) | (draw(2) ? MSR_GSO_ECN : 0) : 0);
			f->gso_size = (__u16)(one_in(2) ? limit() : 0);
			f->hash = draw(UINT32_MAX);
		}
		memcpy(&w, &d, sizeof(w));
		/* one bit anywhere: reserved fields, unknown flags, another type */
		if (one_in(4))
			w.w[draw(4)] ^= 1ULL << draw(64);
		memcpy(&d, &w, sizeof(w));
		inside = (__u64)d.off + d.len <= PAIR_DATA_SIZE;
		verdict = inside && (roce_chan ? burst_by_fields(&d) : frame_by_fields(&d));
		if (msr_check_words(w, roce_chan ? MSR_CHAN_ROCE : MSR_CHAN_ETH, PAIR_DATA_SIZE) !=
		    verdict)
			fail_msg("%016llx %016llx %016llx %016llx: must be %d", w.w[0], w.w[1],
				 w.w[2], w.w[3], verdict);
		good[roce_chan] += verdict;
		/* and the words of a descriptor are what lies in its slot */
		w = msr_desc_words(&d);
		assert_memory_equal(&w, &d, sizeof(w));
	}
	assert_true(good[0] > 50000 && good[1] > 50000);
}

static void macs(void **arg)
{
	const __u8 first[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 }, zero[6] = { 0 };
	__u8 last[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x57 };
	struct msr_macs m = { 0 };
	unsigned int i;

	(void)arg;
	assert_true(msr_mac_word(first) == (MSR_MAC_VALID | 0x525400123456ULL));
	assert_false(msr_mac_listed(&m, first));
	/* a free slot is no address, not even that of six zeros */
	msr_mac_set(&m, 2, msr_mac_word(first));
	assert_int_equal(m.nr, 3);
	assert_true(msr_mac_listed(&m, first));
	assert_false(msr_mac_listed(&m, last));
	assert_false(msr_mac_listed(&m, zero));
	for (i = 0; i < 48; i++) {
		__u8 other[6];

		memcpy(other, first, 6);
		other[i / 8] ^= 1 << i % 8;
		assert_false(msr_mac_listed(&m, other));
	}
	msr_mac_set(&m, MSR_MAX_MACS - 1, msr_mac_word(last));
	assert_int_equal(m.nr, MSR_MAX_MACS);
	assert_true(msr_mac_listed(&m, last));
	/*
	 * a peer's number of slots is bounded: what lies behind the table is not read (ASan), what
	 * is in it is found
	 */
	m.nr = UINT32_MAX;
	assert_true(msr_mac_listed(&m, last));
	assert_false(msr_mac_listed(&m, zero));
	m.nr = MSR_MAX_MACS;
	msr_mac_set(&m, MSR_MAX_MACS - 1, 0);
	assert_int_equal(m.nr, 3);
	assert_false(msr_mac_listed(&m, last));
	msr_mac_set(&m, 0, msr_mac_word(last));
	msr_mac_set(&m, 2, 0);
	assert_int_equal(m.nr, 1);
	assert_true(msr_mac_listed(&m, last));
	assert_false(msr_mac_listed(&m, first));
	msr_mac_set(&m, 0, 0);
	assert_int_equal(m.nr, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(range),
		cmocka_unit_test(segment_size),
		cmocka_unit_test(bell),
		cmocka_unit_test(queue),
		cmocka_unit_test(whole_section),
		cmocka_unit_test(every_verdict_has_a_name),
		cmocka_unit_test(join),
		cmocka_unit_test(macs),
		cmocka_unit_test(frame),
		cmocka_unit_test(one_packet),
		cmocka_unit_test(many_packets),
		cmocka_unit_test(words),
	};
	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}

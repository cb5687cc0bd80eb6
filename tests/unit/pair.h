/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two sections in ordinary memory and a ring from the first to the second, for
 * tests that play both sides.
 */
#ifndef TESTS_PAIR_H
#define TESTS_PAIR_H

#include <stdlib.h>
#include <string.h>

#include <msr/ring.h>

#define PAIR_RING_LOG2	MSR_MIN_RING_LOG2
#define PAIR_RING_SIZE	(1u << PAIR_RING_LOG2)
#define PAIR_DATA_LOG2	MSR_MIN_DATA_LOG2
#define PAIR_DATA_SIZE	(1u << PAIR_DATA_LOG2)
#define PAIR_SECTION	(MSR_SEGMENT_MIN / 2)

struct pair {
	__u8 *section[2];
	struct msr_queue_info info;
	struct msr_tx tx;
	struct msr_rx rx;
};

static inline struct msr_queue_info pair_info(__u32 channel)
{
	return (struct msr_queue_info){
		.channel = channel,
		.ring_log2 = PAIR_RING_LOG2,
		.ring_off = MSR_PAGE,
		.prod_off = 2 * MSR_PAGE,
		.cons_off = 2 * MSR_PAGE + sizeof(struct msr_prod),
		.data_off = 3 * MSR_PAGE,
		.data_log2 = PAIR_DATA_LOG2,
	};
}

/* Both sides start over at index @idx and data position @pos instead of 0 */
static inline void pair_reset_at(struct pair *p, __u32 idx, __u32 pos)
{
	msr_tx_init(&p->tx, p->section[0], &p->info);
	msr_rx_init(&p->rx, p->section[1], &p->info);
	msr_tx_attach(&p->tx, p->section[1], &p->info);
	msr_rx_attach(&p->rx, p->section[0], &p->info);

	p->tx.head = p->tx.published = p->tx.tail = p->tx.belled = idx;
	p->tx.data_head = p->tx.data_tail = pos;
	p->rx.next = p->rx.avail = p->rx.released = p->rx.belled = idx;
	p->tx.prod->idx = idx;
	p->rx.cons->idx = idx;
	p->tx.prod->space_event = idx + (1u << 31);
	p->rx.cons->data_event = idx + (1u << 31);
}

static inline void pair_init_at(struct pair *p, __u32 idx, __u32 pos)
{
	int i;

	memset(p, 0, sizeof(*p));
	p->info = pair_info(MSR_CHAN_ETH);
	for (i = 0; i < 2; i++) {
		p->section[i] = aligned_alloc(MSR_PAGE, PAIR_SECTION);
		if (!p->section[i])
			abort();
		memset(p->section[i], 0, PAIR_SECTION);
	}
	pair_reset_at(p, idx, pos);
}

static inline void pair_uninit(struct pair *p)
{
	free(p->section[0]);
	free(p->section[1]);
}

static inline struct msr_desc pair_frame(__u32 off, __u32 len)
{
	return (struct msr_desc){ .off = off, .len = len, .type = MSR_DESC_FRAME };
}

#endif /* TESTS_PAIR_H */

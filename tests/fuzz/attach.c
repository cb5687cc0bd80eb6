// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A hostile first page: what msr_check_section lets pass can be attached, and every byte
 * that the attached rings can reach lies in the peer's section.
 */
#include <msr/check.h>
#include <msr/link.h>
#include <msr/ring.h>

#include "input.h"

#define SECTION		(MSR_SEGMENT_MIN / 2)

static __u8 *own, *peer;

static void ends(const void *p, size_t n)
{
	touch(p, 1);
	touch((const uint8_t *)p + n - 1, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct msr_section copy, table;
	struct input in = { data, size };
	struct msr_link own_link = { .epoch = 1 };
	struct msr_link_peer seen;
	struct msr_section *s;
	__u32 i;

	if (!own) {
		own = malloc(SECTION);
		peer = malloc(SECTION);
		MUST(own && peer);
		memset(own, 0, SECTION);
	}
	s = (struct msr_section *)peer;
	memset(peer, 0, MSR_PAGE);
	if (take8(&in) & 1) {
		/* all of it from the input */
		take(&in, peer, sizeof(*s));
	} else {
		/* a good page, then words of it overwritten */
		s->magic = MSR_MAGIC;
		s->version = MSR_VERSION;
		s->role = MSR_ROLE_FRONT;
		s->segment_size = MSR_SEGMENT_MIN;
		s->nr_queues = 1 + take8(&in) % MSR_MAX_QUEUES;
		s->epoch = 5;
		for (i = 0; i < s->nr_queues; i++)
			s->queue[i] = (struct msr_queue_info){
				.channel = 1 + (i & 1),
				.ring_log2 = MSR_MIN_RING_LOG2,
				.ring_off = MSR_PAGE,
				.prod_off = 2 * MSR_PAGE,
				.cons_off = 2 * MSR_PAGE + sizeof(struct msr_prod),
				.data_off = 3 * MSR_PAGE,
				.data_log2 = MSR_MIN_DATA_LOG2,
			};
		while (in.left) {
			__u32 word = take8(&in) | take8(&in) << 8;
			__u32 v = take32(&in);

			memcpy(peer + word * 4 % sizeof(*s), &v, sizeof(v));
		}
	}

	if (msr_link_read(s, &seen)) {
		enum msr_link_step step = msr_link_next(&own_link, &seen);

		MUST(step == MSR_LINK_STAY || step == MSR_LINK_ATTACH);
		own_link.peer_epoch = 5;
		own_link.up = true;
		step = msr_link_next(&own_link, &seen);
		MUST(step == MSR_LINK_STAY || step == MSR_LINK_DOWN);
	}
	msr_section_copy(&copy, s);
	if (msr_check_section(&copy, MSR_ROLE_FRONT, MSR_SEGMENT_MIN) != MSR_SECTION_OK)
		return 0;
	table = copy;
	MUST(msr_check_join(&table, &copy) == MSR_SECTION_OK);
	for (i = 0; i < copy.nr_queues; i++) {
		const struct msr_queue_info *q = &copy.queue[i];
		struct msr_queue_info mine = {
			.channel = q->channel,
			.ring_log2 = MSR_MIN_RING_LOG2,
			.ring_off = MSR_PAGE,
			.prod_off = 2 * MSR_PAGE,
			.cons_off = 2 * MSR_PAGE + sizeof(struct msr_prod),
			.data_off = 3 * MSR_PAGE,
			.data_log2 = MSR_MIN_DATA_LOG2,
		};
		enum msr_result result;
		struct msr_desc d;
		struct msr_tx tx;
		struct msr_rx rx;
		__u32 off, n;

		msr_tx_init(&tx, own, &mine);
		msr_rx_init(&rx, own, &mine);
		msr_tx_attach(&tx, peer, q);
		msr_rx_attach(&rx, peer, q);
		ends(rx.desc, sizeof(struct msr_desc) * (rx.mask + 1ULL));
		ends(rx.prod, sizeof(*rx.prod));
		ends(rx.data, rx.data_size);
		ends(tx.cons, sizeof(*tx.cons));
		for (n = 0; n < 4 && msr_rx_next(&rx, &d) == MSR_OK; n++)
			ends(rx.data + d.off, d.len);
		(void)!msr_rx_arm(&rx);
		(void)msr_rx_need_bell(&rx);
		if (msr_tx_reserve(&tx, 100, &off, &result)) {
			d = (struct msr_desc){ .off = off, .len = 100, .type = MSR_DESC_FRAME };
			msr_tx_commit(&tx, &d);
			msr_tx_publish(&tx);
			(void)msr_tx_need_bell(&tx);
			(void)!msr_tx_reclaim(&tx);
		}
	}
	return 0;
}

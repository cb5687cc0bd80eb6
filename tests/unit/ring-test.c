// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ring itself (msr/ring.h), both sides played in one thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pair.h"

static enum msr_result send(struct pair *p, __u32 len, __u8 fill)
{
	enum msr_result result;
	struct msr_desc d;
	void *data;
	__u32 off;

	data = msr_tx_reserve(&p->tx, len, &off, &result);
	if (!data)
		return result;
	assert_int_equal(result, MSR_OK);
	assert_int_equal(off % MSR_CACHE_LINE, 0);
	assert_true(off + len <= PAIR_DATA_SIZE);
	assert_ptr_equal(data, p->tx.data + off);
	memset(data, fill, len);
	d = pair_frame(off, len);
	d.frame.hash = fill;
	msr_tx_commit(&p->tx, &d);
	return MSR_OK;
}

static void receive(struct pair *p, __u32 len, __u8 fill)
{
	struct msr_desc d;
	__u32 i;

	assert_int_equal(msr_rx_next(&p->rx, &d), MSR_OK);
	assert_int_equal(d.len, len);
	assert_int_equal(d.frame.hash, fill);
	for (i = 0; i < len; i++)
		assert_int_equal(p->rx.data[d.off + i], fill);
}

static const __u32 starts[] = { 0, 1, UINT32_MAX, UINT32_MAX - 1, UINT32_MAX - PAIR_RING_SIZE / 2,
				UINT32_MAX - PAIR_RING_SIZE, 1u << 31, (1u << 31) - 1 };

static void fill_and_drain(void **arg)
{
	unsigned int s, round, n;
	struct pair p;

	(void)arg;
	for (s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		pair_init_at(&p, starts[s], starts[s] & ~(MSR_CACHE_LINE - 1u));
		for (round = 0; round < 5; round++) {
			struct msr_desc d;

			assert_int_equal(msr_rx_next(&p.rx, &d), MSR_EMPTY);
			for (n = 0; n < PAIR_RING_SIZE; n++)
				assert_int_equal(send(&p, 64 + n, (__u8)(round + n)), MSR_OK);
			assert_int_equal(send(&p, 64, 0), MSR_EMPTY);
			/* committed is not published */
			assert_int_equal(msr_rx_next(&p.rx, &d), MSR_EMPTY);
			msr_tx_publish(&p.tx);
			for (n = 0; n < PAIR_RING_SIZE; n++)
				receive(&p, 64 + n, (__u8)(round + n));
			assert_int_equal(msr_rx_next(&p.rx, &d), MSR_EMPTY);
			/* consumed is not released */
			assert_int_equal(send(&p, 64, 0), MSR_EMPTY);
			msr_rx_release(&p.rx, PAIR_RING_SIZE);
			assert_int_equal(msr_tx_reclaim(&p.tx), MSR_OK);
			assert_int_equal(p.tx.tail, p.tx.head);
			assert_int_equal(p.tx.data_tail, p.tx.data_head);
		}
		pair_uninit(&p);
	}
}

static void one_slot_at_a_time(void **arg)
{
	unsigned int s, n;
	struct pair p;

	(void)arg;
	for (s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		pair_init_at(&p, starts[s], starts[s] & ~(MSR_CACHE_LINE - 1u));
		for (n = 0; n < PAIR_RING_SIZE - 1; n++)
			assert_int_equal(send(&p, 100, (__u8)n), MSR_OK);
		for (; n < 5 * PAIR_RING_SIZE; n++) {
			assert_int_equal(send(&p, 100, (__u8)n), MSR_OK);
			assert_int_equal(send(&p, 100, (__u8)n), MSR_EMPTY);
			msr_tx_publish(&p.tx);
			receive(&p, 100, (__u8)(n - (PAIR_RING_SIZE - 1)));
			msr_rx_release(&p.rx, 1);
		}
		pair_uninit(&p);
	}
}

/* Data never wraps inside a descriptor: the rest before the end is skipped and comes back */
static void data_skip(void **arg)
{
	const __u32 len = PAIR_DATA_SIZE / 4 - 2 * MSR_CACHE_LINE;
	enum msr_result result;
	unsigned int n;
	struct pair p;
	__u32 off;

	(void)arg;
	pair_init_at(&p, 0, 0);
	for (n = 1; n <= 4; n++)
		assert_int_equal(send(&p, len, (__u8)n), MSR_OK);
	/* 8 cache lines are left before the end */
	assert_null(msr_tx_reserve(&p.tx, 8 * MSR_CACHE_LINE + 1, &off, &result));
	assert_int_equal(result, MSR_EMPTY);
	assert_non_null(msr_tx_reserve(&p.tx, 8 * MSR_CACHE_LINE, &off, &result));
	assert_int_equal(off, 4 * len);
	msr_tx_publish(&p.tx);
	receive(&p, len, 1);
	msr_rx_release(&p.rx, 1);
	/* the reservation is given up; what does not fit before the end starts at 0 */
	assert_non_null(msr_tx_reserve(&p.tx, 8 * MSR_CACHE_LINE + 1, &off, &result));
	assert_int_equal(off, 0);
	assert_int_equal(send(&p, 8 * MSR_CACHE_LINE + 1, 5), MSR_OK);
	msr_tx_publish(&p.tx);
	for (n = 2; n <= 4; n++)
		receive(&p, len, (__u8)n);
	receive(&p, 8 * MSR_CACHE_LINE + 1, 5);
	msr_rx_release(&p.rx, 4);
	assert_int_equal(msr_tx_reclaim(&p.tx), MSR_OK);
	assert_int_equal(p.tx.data_tail, p.tx.data_head);

	/* any lengths in any order, all of it comes back */
	for (n = 0; n < 10000; n++) {
		__u32 l = MSR_MIN_FRAME + n * 7919u % (MSR_MAX_FRAME - MSR_MIN_FRAME + 1);

		assert_int_equal(send(&p, l, (__u8)n), MSR_OK);
		msr_tx_publish(&p.tx);
		if (n % 2) {
			struct msr_desc d;

			assert_int_equal(msr_rx_next(&p.rx, &d), MSR_OK);
			assert_int_equal(msr_rx_next(&p.rx, &d), MSR_OK);
			msr_rx_release(&p.rx, 2);
		}
	}
	pair_uninit(&p);
}

/* Half of the data area fits into an idle ring whatever its position; more is refused */
static void half_of_data(void **arg)
{
	enum msr_result result;
	struct pair p;
	__u32 pos, off = 0;

	(void)arg;
	pair_init_at(&p, 0, 0);
	for (pos = 0; pos < PAIR_DATA_SIZE; pos += MSR_CACHE_LINE) {
		pair_reset_at(&p, 5, UINT32_MAX - PAIR_DATA_SIZE + 1 + pos);
		assert_non_null(msr_tx_reserve(&p.tx, PAIR_DATA_SIZE / 2, &off, &result));
		assert_true(off + PAIR_DATA_SIZE / 2 <= PAIR_DATA_SIZE);
		assert_non_null(msr_tx_reserve(&p.tx, PAIR_DATA_SIZE / 2 - 1, &off, &result));
		assert_null(msr_tx_reserve(&p.tx, PAIR_DATA_SIZE / 2 + 1, &off, &result));
		assert_int_equal(result, MSR_TOO_LONG);
		assert_null(msr_tx_reserve(&p.tx, UINT32_MAX, &off, &result));
		assert_int_equal(result, MSR_TOO_LONG);
		assert_null(msr_tx_reserve(&p.tx, UINT32_MAX - MSR_CACHE_LINE + 2, &off, &result));
		assert_int_equal(result, MSR_TOO_LONG);
		/* nothing is waited for in an empty ring */
		assert_int_equal(msr_tx_arm(&p.tx, 1), MSR_OK);
	}
	pair_uninit(&p);
	assert_true(MSR_MAX_FRAME + MSR_CACHE_LINE <= (1u << MSR_MIN_DATA_LOG2) / 2);
	assert_true(MSR_MAX_BURST_DATA + MSR_MAX_BURST_HDR + MSR_CACHE_LINE <=
		    (1u << MSR_MIN_DATA_LOG2) / 2);
}

static void no_data(void **arg)
{
	enum msr_result result;
	struct pair p;
	__u32 off, n;

	(void)arg;
	pair_init_at(&p, UINT32_MAX - 3, 0);
	for (n = 0; n < PAIR_RING_SIZE; n++) {
		struct msr_desc d = pair_frame(0, MSR_MIN_FRAME);

		assert_non_null(msr_tx_reserve(&p.tx, 0, &off, &result));
		msr_tx_commit(&p.tx, &d);
	}
	assert_null(msr_tx_reserve(&p.tx, 0, &off, &result));
	assert_int_equal(p.tx.data_head, 0);
	pair_uninit(&p);
}

/* Producer: indices that an honest consumer cannot have stored */
static void bad_consumer_index(void **arg)
{
	unsigned int s;
	struct pair p;
	__u32 n;

	(void)arg;
	for (s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		pair_init_at(&p, starts[s], 0);
		for (n = 0; n < 6; n++)
			assert_int_equal(send(&p, 64, 0), MSR_OK);
		msr_tx_publish(&p.tx);
		for (; n < 9; n++)
			assert_int_equal(send(&p, 64, 0), MSR_OK);
		p.rx.cons->idx = starts[s] + 2;
		assert_int_equal(msr_tx_reclaim(&p.tx), MSR_OK);
		p.rx.cons->idx = starts[s] + 1;		/* back */
		assert_int_equal(msr_tx_reclaim(&p.tx), MSR_BAD_INDEX);
		p.rx.cons->idx = starts[s] + 7;		/* committed, not published */
		assert_int_equal(msr_tx_reclaim(&p.tx), MSR_BAD_INDEX);
		p.rx.cons->idx = starts[s] + (1u << 31);
		assert_int_equal(msr_tx_reclaim(&p.tx), MSR_BAD_INDEX);
		assert_int_equal(msr_tx_arm(&p.tx, 1), MSR_BAD_INDEX);
		assert_int_equal(p.tx.tail, starts[s] + 2);
		p.rx.cons->idx = starts[s] + 6;		/* the limit */
		assert_int_equal(msr_tx_reclaim(&p.tx), MSR_OK);
		pair_uninit(&p);
	}
}

/* Consumer: the same of a producer */
static void bad_producer_index(void **arg)
{
	struct msr_desc d;
	unsigned int s;
	struct pair p;
	__u32 n;

	(void)arg;
	for (s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		pair_init_at(&p, starts[s], 0);
		for (n = 0; n < PAIR_RING_SIZE; n++)
			p.tx.desc[n] = pair_frame(0, MSR_MIN_FRAME);
		p.tx.prod->idx = starts[s] - 1;
		assert_int_equal(msr_rx_next(&p.rx, &d), MSR_BAD_INDEX);
		p.tx.prod->idx = starts[s] + PAIR_RING_SIZE + 1;
		assert_int_equal(msr_rx_next(&p.rx, &d), MSR_BAD_INDEX);
		assert_int_equal(msr_rx_arm(&p.rx), MSR_BAD_INDEX);
		p.tx.prod->idx = starts[s] + PAIR_RING_SIZE;	/* the limit */
		assert_int_equal(msr_rx_next(&p.rx, &d), MSR_OK);
		p.tx.prod->idx = starts[s] + PAIR_RING_SIZE - 1;	/* taken back */
		assert_int_equal(msr_rx_fill(&p.rx), MSR_BAD_INDEX);
		for (n = 1; n < PAIR_RING_SIZE; n++)
			assert_int_equal(msr_rx_next(&p.rx, &d), MSR_OK);
		/* one more than the ring holds while nothing is released */
		p.tx.prod->idx = starts[s] + PAIR_RING_SIZE + 1;
		assert_int_equal(msr_rx_next(&p.rx, &d), MSR_BAD_INDEX);
		msr_rx_release(&p.rx, 1);
		assert_int_equal(msr_rx_next(&p.rx, &d), MSR_OK);
		pair_uninit(&p);
	}
}

static void bad_descriptor(void **arg)
{
	struct msr_desc d;
	struct pair p;

	(void)arg;
	pair_init_at(&p, 0, 0);
	assert_int_equal(send(&p, 64, 0), MSR_OK);
	p.tx.desc[0].off = PAIR_DATA_SIZE - 63;
	msr_tx_publish(&p.tx);
	assert_int_equal(msr_rx_next(&p.rx, &d), MSR_BAD_DESC);
	pair_uninit(&p);
}

static void event_index(void **arg)
{
	unsigned int s;

	(void)arg;
	for (s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		__u32 i = starts[s];

		assert_false(msr_passed(i, i, i));		/* nothing moved */
		assert_true(msr_passed(i, i + 1, i));
		assert_false(msr_passed(i + 1, i + 1, i));	/* reached, not passed */
		assert_true(msr_passed(i + 1, i + 2, i));
		assert_false(msr_passed(i - 1, i + 1, i));	/* passed before */
		assert_true(msr_passed(i + 9, i + 10, i));
		assert_false(msr_passed(i + 10, i + 10, i));
		assert_false(msr_passed(i + (1u << 31), i + (1u << 14), i));
	}
}

/* Consumer arms, looks again, sleeps; the first descriptor after that rings, no other does */
static void data_bell(void **arg)
{
	struct msr_desc d;
	unsigned int s;
	struct pair p;

	(void)arg;
	for (s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		pair_init_at(&p, starts[s], 0);
		/* not armed: silent */
		assert_int_equal(send(&p, 64, 1), MSR_OK);
		msr_tx_publish(&p.tx);
		assert_false(msr_tx_need_bell(&p.tx));
		/* arming sees what came before: no bell was rung, none is needed */
		assert_int_equal(msr_rx_arm(&p.rx), MSR_OK);
		assert_int_equal(msr_rx_next(&p.rx, &d), MSR_OK);
		assert_int_equal(msr_rx_arm(&p.rx), MSR_EMPTY);
		assert_false(msr_tx_need_bell(&p.tx));	/* nothing new */
		assert_int_equal(send(&p, 64, 1), MSR_OK);
		assert_false(msr_tx_need_bell(&p.tx));	/* nothing published */
		msr_tx_publish(&p.tx);
		assert_true(msr_tx_need_bell(&p.tx));
		assert_false(msr_tx_need_bell(&p.tx));
		assert_int_equal(send(&p, 64, 1), MSR_OK);
		msr_tx_publish(&p.tx);
		assert_false(msr_tx_need_bell(&p.tx));	/* it is awake now */
		/* several publishes before the one look at the event */
		assert_int_equal(msr_rx_next(&p.rx, &d), MSR_OK);
		assert_int_equal(msr_rx_next(&p.rx, &d), MSR_OK);
		assert_int_equal(msr_rx_arm(&p.rx), MSR_EMPTY);
		assert_int_equal(send(&p, 64, 1), MSR_OK);
		msr_tx_publish(&p.tx);
		assert_int_equal(send(&p, 64, 1), MSR_OK);
		msr_tx_publish(&p.tx);
		assert_true(msr_tx_need_bell(&p.tx));
		pair_uninit(&p);
	}
}

/* Producer waits for room of n slots */
static void space_bell(void **arg)
{
	struct msr_desc d;
	unsigned int s;
	struct pair p;
	__u32 n;

	(void)arg;
	for (s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		pair_init_at(&p, starts[s], 0);
		for (n = 0; n < PAIR_RING_SIZE; n++)
			assert_int_equal(send(&p, 64, 1), MSR_OK);
		/*
		 * full of what nobody saw yet: armed all the same, to be published before sleeping
		 */
		assert_int_equal(msr_tx_arm(&p.tx, 1), MSR_EMPTY);
		msr_tx_publish(&p.tx);
		assert_int_equal(msr_tx_arm(&p.tx, 4), MSR_EMPTY);
		for (n = 0; n < PAIR_RING_SIZE; n++)
			assert_int_equal(msr_rx_next(&p.rx, &d), MSR_OK);
		assert_false(msr_rx_need_bell(&p.rx));
		msr_rx_release(&p.rx, 3);
		assert_false(msr_rx_need_bell(&p.rx));
		msr_rx_release(&p.rx, 1);
		assert_true(msr_rx_need_bell(&p.rx));
		assert_false(msr_rx_need_bell(&p.rx));
		msr_rx_release(&p.rx, 1);
		assert_false(msr_rx_need_bell(&p.rx));
		/* arming sees what was released meanwhile */
		assert_int_equal(msr_tx_arm(&p.tx, 4), MSR_OK);
		/* more than there is to come back: all of it */
		assert_int_equal(msr_tx_arm(&p.tx, 1000), MSR_EMPTY);
		msr_rx_release(&p.rx, PAIR_RING_SIZE - 6);
		assert_false(msr_rx_need_bell(&p.rx));
		msr_rx_release(&p.rx, 1);
		assert_true(msr_rx_need_bell(&p.rx));
		assert_int_equal(msr_tx_arm(&p.tx, 1), MSR_OK);

		/* the look in between: sees an event that is there, and once */
		assert_int_equal(send(&p, 64, 3), MSR_OK);
		assert_int_equal(send(&p, 64, 3), MSR_OK);
		assert_int_equal(send(&p, 64, 3), MSR_OK);
		msr_tx_publish(&p.tx);
		for (n = 0; n < 3; n++)
			assert_int_equal(msr_rx_next(&p.rx, &d), MSR_OK);
		assert_int_equal(msr_tx_arm(&p.tx, 1), MSR_EMPTY);
		msr_rx_release(&p.rx, 1);
		assert_true(msr_rx_need_bell_already(&p.rx));
		assert_false(msr_rx_need_bell_already(&p.rx));
		assert_false(msr_rx_need_bell(&p.rx));
		/* one that became visible after it is found by the next of either kind */
		msr_rx_release(&p.rx, 1);
		assert_false(msr_rx_need_bell_already(&p.rx));
		p.tx.prod->space_event = p.rx.released - 1;
		msr_rx_release(&p.rx, 1);
		if (s % 2)
			assert_true(msr_rx_need_bell_already(&p.rx));
		else
			assert_true(msr_rx_need_bell(&p.rx));
		assert_false(msr_rx_need_bell(&p.rx));
		pair_uninit(&p);
	}
}

/*
 * Any lengths, any order of steps: what is out is never handed out again, and everything
 * that fits is handed out (the shadow knows exactly what is free).
 */
static void no_overlap(void **arg)
{
	struct { __u32 off, room; } out[PAIR_RING_SIZE] = { 0 };
	__u32 first = 0, next = 0, visible = 0, seen = 0, off, n, i, refused = 0;
	enum msr_result result;
	struct msr_desc d;
	struct pair p;

	(void)arg;
	pair_init_at(&p, 0, 0);
	srand(1);
	for (n = 0; n < 300000; n++) {
		__u32 span = rand() % 3 ? 3000 : MSR_MAX_FRAME - MSR_MIN_FRAME;
		__u32 len = MSR_MIN_FRAME + (__u32)rand() % span;

		switch (rand() % 5) {
		case 0:
		case 1:
			if (!msr_tx_reserve(&p.tx, len, &off, &result)) {
				__u32 room = msr_round_up(len), at, most = 0;

				assert_int_equal(result, MSR_EMPTY);
				refused++;
				if (next - first == PAIR_RING_SIZE)
					break;
				/*
				 * the longest stretch behind the newest, or from 0 if that is full
				 */
				assert_true(next != first);
				at = out[(next - 1) % PAIR_RING_SIZE].off +
				     out[(next - 1) % PAIR_RING_SIZE].room;
				for (i = first; i != next; i++)
					if (out[i % PAIR_RING_SIZE].off >= at)
						break;
				if (i == next) {	/* nothing between it and the end */
					most = PAIR_DATA_SIZE - at;
					if (out[first % PAIR_RING_SIZE].off > most)
						most = out[first % PAIR_RING_SIZE].off;
				} else {
					most = out[first % PAIR_RING_SIZE].off - at;
				}
				/* one descriptor's skip may be held back until the next release */
				assert_true(room > most ||
					    most - room < MSR_MAX_FRAME + MSR_CACHE_LINE);
				break;
			}
			for (i = first; i != next; i++)
				assert_true(off + len <= out[i % PAIR_RING_SIZE].off ||
					    out[i % PAIR_RING_SIZE].off +
					    out[i % PAIR_RING_SIZE].room <= off);
			assert_true(off + len <= PAIR_DATA_SIZE);
			assert_true(next - first < PAIR_RING_SIZE);
			d = pair_frame(off, len);
			msr_tx_commit(&p.tx, &d);
			out[next % PAIR_RING_SIZE].off = off;
			out[next % PAIR_RING_SIZE].room = msr_round_up(len);
			next++;
			break;
		case 2:
			msr_tx_publish(&p.tx);
			visible = next;
			break;
		case 3:
			result = msr_rx_next(&p.rx, &d);
			assert_int_equal(result, seen == visible ? MSR_EMPTY : MSR_OK);
			seen += result == MSR_OK;
			break;
		case 4:
			i = seen == first ? 0 : (__u32)rand() % (seen - first + 1);
			msr_rx_release(&p.rx, i);
			first += i;
			break;
		}
	}
	assert_true(refused > 1000 && next > 10000);
	pair_uninit(&p);
}

/* Every byte of a descriptor reaches its slot */
static void whole_descriptor(void **arg)
{
	enum msr_result result;
	struct msr_desc d;
	struct pair p;
	__u8 *b = (__u8 *)&d;
	__u32 off, i;

	(void)arg;
	pair_init_at(&p, 0, 0);
	for (i = 0; i < sizeof(d); i++)
		b[i] = (__u8)(0xa0 + i);
	assert_non_null(msr_tx_reserve(&p.tx, MSR_MIN_FRAME, &off, &result));
	msr_tx_commit(&p.tx, &d);
	assert_memory_equal(&p.tx.desc[0], &d, sizeof(d));
	pair_uninit(&p);
}

/* A ring that was used comes back empty, and its data is left alone */
static void reset(void **arg)
{
	struct msr_desc d;
	struct pair p;

	(void)arg;
	pair_init_at(&p, 7, 0);
	assert_int_equal(send(&p, 64, 0x5a), MSR_OK);
	msr_tx_publish(&p.tx);
	msr_tx_init(&p.tx, p.section[0], &p.info);
	msr_rx_init(&p.rx, p.section[1], &p.info);
	assert_int_equal(p.tx.data[0], 0x5a);
	msr_tx_attach(&p.tx, p.section[1], &p.info);
	msr_rx_attach(&p.rx, p.section[0], &p.info);
	assert_int_equal(msr_rx_next(&p.rx, &d), MSR_EMPTY);
	assert_int_equal(msr_tx_reclaim(&p.tx), MSR_OK);
	assert_int_equal(send(&p, 64, 1), MSR_OK);
	msr_tx_publish(&p.tx);
	assert_false(msr_tx_need_bell(&p.tx));
	receive(&p, 64, 1);
	msr_rx_release(&p.rx, 1);
	assert_false(msr_rx_need_bell(&p.rx));
	pair_uninit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fill_and_drain),
		cmocka_unit_test(one_slot_at_a_time),
		cmocka_unit_test(data_skip),
		cmocka_unit_test(half_of_data),
		cmocka_unit_test(no_data),
		cmocka_unit_test(bad_consumer_index),
		cmocka_unit_test(bad_producer_index),
		cmocka_unit_test(bad_descriptor),
		cmocka_unit_test(event_index),
		cmocka_unit_test(data_bell),
		cmocka_unit_test(space_bell),
		cmocka_unit_test(no_overlap),
		cmocka_unit_test(whole_descriptor),
		cmocka_unit_test(reset),
	};
	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}

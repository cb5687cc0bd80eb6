// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A producer against a hostile consumer: the input says what the peer writes into
 * its index line between the producer's steps. Slot and data of a descriptor that
 * the accepted index has not given back are never handed out again.
 */
#include "ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct { __u32 off, len; } sent[RING_SIZE];
	struct input in = { data, size };
	struct msr_tx tx = { 0 };
	enum msr_result result;
	bool scribbled = false;
	__u32 off, len, i;
	struct msr_desc d;
	void *p;

	ring_alloc();
	tx.desc = ring;
	tx.prod = prod;
	tx.cons = cons;
	tx.data = area;
	tx.mask = RING_SIZE - 1;
	tx.data_mask = DATA_SIZE - 1;
	tx.head = tx.published = tx.tail = tx.belled = take32(&in);
	tx.data_head = tx.data_tail = take32(&in) & ~(MSR_CACHE_LINE - 1u);
	cons->idx = tx.tail;
	prod->idx = tx.head;

	while (in.left) {
		switch (take8(&in) % 10) {
		case 0:
			cons->idx = take32(&in);
			break;
		case 1:
			cons->idx += take8(&in) % (RING_SIZE + 2);
			break;
		case 2:
			cons->data_event = take32(&in);
			break;
		case 3:
		case 4:
		case 5:
			len = take8(&in);
			if (len & 1)
				len = take32(&in) % (len & 2 ? DATA_SIZE : UINT32_MAX);
			p = msr_tx_reserve(&tx, len, &off, &result);
			if (!p) {
				if (result == MSR_BAD_INDEX)
					return 0;
				MUST(result == (len > DATA_SIZE / 2 ? MSR_TOO_LONG : MSR_EMPTY));
				break;
			}
			MUST(p == area + off && len <= DATA_SIZE && off <= DATA_SIZE - len);
			MUST(tx.head - tx.tail < RING_SIZE);
			for (i = tx.tail; i != tx.head && !scribbled; i++)
				MUST(off + len <= sent[i % RING_SIZE].off ||
				     sent[i % RING_SIZE].off + sent[i % RING_SIZE].len <= off);
			((__u8 *)p)[0] = 1;
			if (len)
				((__u8 *)p)[len - 1] = 1;
			/* a writer may have begun later or written less than it reserved */
			if (len > 200 && len & 4) {
				off += len % 61;
				len -= len % 61 + len % 97;
			}
			d = (struct msr_desc){ .off = off, .len = len, .type = MSR_DESC_FRAME };
			sent[tx.head % RING_SIZE].off = off;
			sent[tx.head % RING_SIZE].len = len;
			msr_tx_commit(&tx, &d);
			break;
		case 6:
			msr_tx_publish(&tx);
			MUST(prod->idx == tx.head);
			break;
		case 7:
			(void)msr_tx_need_bell(&tx);
			break;
		case 8:
			result = msr_tx_arm(&tx, 1 + take8(&in));
			if (result == MSR_BAD_INDEX)
				return 0;
			MUST(result == MSR_OK || result == MSR_EMPTY);
			break;
		case 9:
			/* where the peer must not write, and can */
			take(&in, &ring[take8(&in) % RING_SIZE], 8);
			scribbled = true;
			break;
		}
		MUST(tx.head - tx.tail <= RING_SIZE);
		MUST(tx.data_head - tx.data_tail <= DATA_SIZE);
	}
	return 0;
}

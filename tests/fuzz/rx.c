// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A consumer against a hostile producer: between the consumer's steps the input
 * says what the peer writes into its index line, descriptors and data.
 */
#include "ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct msr_rx rx = { 0 };
	enum msr_result result;
	struct msr_desc d, before;
	__u32 held = 0, start, i;

	ring_alloc();
	rx.desc = ring;
	rx.prod = prod;
	rx.cons = cons;
	rx.data = area;
	rx.mask = RING_SIZE - 1;
	rx.data_size = DATA_SIZE;
	rx.channel = take8(&in) & 1 ? MSR_CHAN_ROCE : MSR_CHAN_ETH;
	start = take32(&in);
	rx.next = rx.avail = rx.released = rx.belled = start;
	prod->idx = start;
	cons->idx = start;
	for (i = 0; i < RING_SIZE; i++)
		ring[i] = (struct msr_desc){ .len = 64, .type = MSR_DESC_FRAME };

	while (in.left) {
		switch (take8(&in) % 11) {
		case 0:
			prod->idx = take32(&in);
			break;
		case 1:
			prod->idx += take8(&in);
			break;
		case 2:
			prod->space_event = take32(&in);
			break;
		case 3:
			take(&in, &ring[take8(&in) % RING_SIZE], sizeof(d));
			break;
		case 4:
			i = take8(&in) % RING_SIZE;
			ring[i] = (struct msr_desc){ .len = 54 + take8(&in), .type = MSR_DESC_BURST,
						     .hdr_len = 54, .burst = { .nseg = 1 } };
			ring[i].off = take32(&in) % DATA_SIZE;
			break;
		case 5:
		case 6:
			result = msr_rx_next(&rx, &d);
			if (result == MSR_BAD_INDEX || result == MSR_BAD_DESC)
				return 0;	/* the channel is broken now */
			if (result != MSR_OK)
				break;
			held++;
			MUST(held <= RING_SIZE);
			/* the copy stays what was checked, whatever the slot holds by now */
			before = d;
			memset(&ring[(rx.next - 1) & rx.mask], 0xff, sizeof(d));
			MUST(!memcmp(&before, &d, sizeof(d)));
			touch(rx.data + d.off, d.len);
			break;
		case 7:
			i = held ? take8(&in) % (held + 1) : 0;
			msr_rx_release(&rx, i);
			held -= i;
			break;
		case 8:
			(void)msr_rx_need_bell(&rx);
			break;
		case 9:
			result = msr_rx_arm(&rx);
			if (result == MSR_BAD_INDEX)
				return 0;
			break;
		case 10:
			(void)msr_rx_need_bell_already(&rx);
			break;
		}
		MUST(rx.avail - rx.released <= RING_SIZE);
		MUST(rx.next - rx.released == held);
		MUST(cons->idx == rx.released);
	}
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A hostile descriptor: what msr_check_desc lets pass can be read and cut into
 * its packets without leaving the data area.
 */
#include <msr/check.h>

#include "input.h"

#define DATA_SIZE	(1u << MSR_MIN_DATA_LOG2)

static void cut(const struct msr_desc *d, const __u8 *data)
{
	const struct msr_burst *b = &d->burst;
	__u32 payload = d->len - d->hdr_len, at = d->hdr_len, i;

	MUST(d->hdr_len >= MSR_MIN_BURST_HDR + b->ext_first + b->ext_last);
	for (i = 0; i < b->nseg; i++) {
		__u32 n = b->nseg == 1 ? payload : b->seg_len;

		if (b->nseg > 1 && i == b->nseg - 1u)
			n = d->len - at;
		MUST(n <= 4096);
		MUST(b->nseg == 1 || n);
		MUST(at + n <= d->len);
		touch(data + d->off + at, n);
		at += n;
	}
	MUST(at == d->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	static __u8 *area;
	struct msr_desc d;
	__u8 mode;

	if (!area) {
		area = malloc(DATA_SIZE);
		MUST(area);
		memset(area, 0, DATA_SIZE);
	}
	mode = take8(&in);
	take(&in, &d, sizeof(d));
	if (mode & 2) {
		/* near enough to something good that the later rules are reached */
		d.reserved = 0;
		d.off %= DATA_SIZE;
		d.len %= MSR_MAX_FRAME + 16;
		d.flags &= 7;
		if (mode & 1) {
			d.type = MSR_DESC_BURST;
			d.hdr_len %= MSR_MAX_BURST_HDR + 2;
			d.burst.reserved[0] = 0;
			d.burst.reserved[1] = 0;
			d.burst.ext_first &= 0x3c;
			d.burst.ext_last &= 0x1c;
			if (mode & 4)
				d.burst.nseg = 1;
			else
				d.burst.seg_len = (__u16)(256u << (d.burst.seg_len & 7));
		} else {
			d.type = MSR_DESC_FRAME;
			d.frame.reserved0 = 0;
			d.frame.reserved1 = 0;
		}
	}
	if (!msr_check_desc(&d, mode & 1 ? MSR_CHAN_ROCE : MSR_CHAN_ETH, DATA_SIZE))
		return 0;
	touch(area + d.off, d.len);
	if (mode & 1) {
		cut(&d, area);
	} else {
		MUST(d.len >= MSR_MIN_FRAME && d.len <= MSR_MAX_FRAME && d.hdr_len <= d.len);
		if (d.flags & MSR_FRAME_CSUM_PARTIAL)
			touch(area + d.off + d.frame.csum_start + d.frame.csum_offset, 2);
		MUST(!d.frame.gso_type == !d.frame.gso_size);
	}
	return 0;
}

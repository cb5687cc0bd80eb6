/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ring's own header, with a reserve that lets ASan see a step outside what was reserved. */
#ifndef TESTS_KERNEL_MSR_RING_H
#define TESTS_KERNEL_MSR_RING_H

#include_next <msr/ring.h>
#include <sanitizer/asan_interface.h>

static inline void *ring_reserve(struct msr_tx *tx, u32 len, u32 *off, enum msr_result *result)
{
	u32 given_up = tx->data_next - tx->data_head, size = tx->data_mask + 1;
	u32 at = tx->data_head & tx->data_mask;
	u8 *data;

	/* reserved before and not committed; it may begin at the start of the area */
	if (given_up) {
		u32 end = at + given_up;

		ASAN_POISON_MEMORY_REGION(tx->data + at, (end < size ? end : size) - at);
		if (end > size)
			ASAN_POISON_MEMORY_REGION(tx->data, end - size);
		tx->data_next = tx->data_head;
	}
	data = msr_tx_reserve(tx, len, off, result);
	if (data)
		ASAN_UNPOISON_MEMORY_REGION(data, len);
	return data;
}

#define msr_tx_reserve	ring_reserve

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The smallest ring that can be, for the targets of either side. Descriptors, index lines and data
 * area are allocations of their own, so that ASan sees any step outside.
 */
#ifndef TESTS_FUZZ_RING_H
#define TESTS_FUZZ_RING_H

#include <msr/ring.h>

#include "input.h"

#define RING_SIZE	(1u << MSR_MIN_RING_LOG2)
#define DATA_SIZE	(1u << MSR_MIN_DATA_LOG2)

static struct msr_desc *ring;
static struct msr_prod *prod;
static struct msr_cons *cons;
static __u8 *area;

/* Once; the parts keep what the run before left in them. */
static inline void ring_alloc(void)
{
	if (ring)
		return;
	ring = calloc(RING_SIZE, sizeof(*ring));
	prod = calloc(1, sizeof(*prod));
	cons = calloc(1, sizeof(*cons));
	area = calloc(1, DATA_SIZE);
	MUST(ring && prod && cons && area);
}

#endif /* TESTS_FUZZ_RING_H */

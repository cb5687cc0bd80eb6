/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For every fuzz target: values taken from the input one after another, 0 once it
 * is used up.
 */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct input {
	const uint8_t *data;
	size_t left;
};

static inline void take(struct input *in, void *to, size_t n)
{
	size_t have = n < in->left ? n : in->left;

	memset(to, 0, n);
	if (have)
		memcpy(to, in->data, have);
	in->data += have;
	in->left -= have;
}

static inline uint8_t take8(struct input *in)
{
	uint8_t v;

	take(in, &v, sizeof(v));
	return v;
}

static inline uint32_t take32(struct input *in)
{
	uint32_t v;

	take(in, &v, sizeof(v));
	return v;
}

/* Reads every byte where the compiler cannot leave it out; ASan looks on */
static inline void touch(const void *p, size_t n)
{
	const volatile uint8_t *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		(void)b[i];
}

#define MUST(cond)	do { if (!(cond)) abort(); } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* TESTS_FUZZ_INPUT_H */

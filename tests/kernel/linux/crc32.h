/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crc32_le() as the kernel's, bit by bit: slow, and plain enough to be trusted.
 */
#ifndef TESTS_KERNEL_CRC32_H
#define TESTS_KERNEL_CRC32_H

#include "../prelude.h"

static inline u32 crc32_le(u32 crc, const void *p, size_t len)
{
	const u8 *b = p;
	int i;

	while (len--) {
		crc ^= *b++;
		for (i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}

#endif /* TESTS_KERNEL_CRC32_H */

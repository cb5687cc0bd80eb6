/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Included before everything else (-include) where a pure file of a module is compiled as a
 * program: the kernel's short names for what user space has under other ones. tests/kernel is
 * searched first for <linux/...>.
 */
#ifndef TESTS_KERNEL_PRELUDE_H
#define TESTS_KERNEL_PRELUDE_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

/* the only architecture is x86-64 */
#define cpu_to_le32(x)	(x)

static inline u16 get_unaligned_be16(const void *p)
{
	const u8 *b = p;

	return (u16)(b[0] << 8 | b[1]);
}

#endif /* TESTS_KERNEL_PRELUDE_H */

// SPDX-License-Identifier: GPL-2.0
/*
 * CRC-32 of payload, at the CPU's best. Apart from roce.c, which is pure and compiled into
 * tests as well.
 */
#include <crypto/hash.h>
#include <linux/crc32.h>
#include <linux/err.h>

#include "roce.h"

/*
 * The library's crc32_le() of these kernels is a table walk. The crypto API has a carry-less multiplication
 * where the CPU does; it takes a multiple of its detour to pay.
 */
#define CRC_ALG_MIN	128

static struct crypto_shash *crc_alg;	/* set at module load; NULL: none, the library serves */

void mnet_roce_init(void)
{
	crc_alg = crypto_alloc_shash("crc32", 0, 0);
	if (IS_ERR(crc_alg))
		crc_alg = NULL;
}

void mnet_roce_exit(void)
{
	if (crc_alg)
		crypto_free_shash(crc_alg);
}

u32 mnet_roce_crc(u32 crc, const void *data, u32 len)
{
	SHASH_DESC_ON_STACK(desc, crc_alg);
	u32 *state = shash_desc_ctx(desc);

	if (!crc_alg || len < CRC_ALG_MIN)
		return crc32_le(crc, data, len);
	desc->tfm = crc_alg;
	*state = crc;
	if (unlikely(crypto_shash_update(desc, data, len)))
		return crc32_le(crc, data, len);
	return *state;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * CRC-32 of payload, at the CPU's best. Apart from roce.c, which is pure and compiled into
 * tests as well.
 */
#include <crypto/hash.h>
#include <linux/crc32.h>
#include <linux/err.h>

#include "../guest-kmod-common/kcompat.h"
#include "roce.h"

/*
 * Before 6.14 the library's crc32_le() is a table walk, and the crypto API uses carry-less
 * multiplication where the CPU has it; only for longer payloads does the detour pay.
 */
#define CRC_ALG_MIN	128

static struct crypto_shash *crc_alg;	/* set at module load; NULL: the library serves */

void mnet_roce_init(void)
{
	if (MOS_CRC32_LE_FAST)
		return;
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

	if (MOS_CRC32_LE_FAST || !crc_alg || len < CRC_ALG_MIN)
		return crc32_le(crc, data, len);
	desc->tfm = crc_alg;
	*state = crc;
	if (unlikely(crypto_shash_update(desc, data, len)))
		return crc32_le(crc, data, len);
	return *state;
}

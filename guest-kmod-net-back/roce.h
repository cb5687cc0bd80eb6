/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RoCEv2 packets on their way through the back: flows, and the invariant CRC.
 */
#ifndef MNET_ROCE_H
#define MNET_ROCE_H

#include <linux/types.h>
#include <asm/byteorder.h>

#include "../guest-kmod-common/roce.h"

/* Bytes of the BTH that the back changes, or that change within a flow. */
#define MNET_BTH_OPCODE		0
#define MNET_BTH_FLAGS		1
#define MNET_BTH_RESV8A		4
#define MNET_BTH_ACK		8
#define MNET_BTH_PSN		9

#define MNET_BTH_ACK_REQ	0x80	/* of MNET_BTH_ACK */

/*
 * Returns true if two packets, both parsed to @r, differ only in fields that change within a flow:
 * lengths, checksums, identification, TTL, opcode, PSN and flags.
 */
bool mnet_roce_same_flow(const u8 *a, const u8 *b, const struct mos_roce *r);

/* At module load and unload. */
void mnet_roce_init(void);
void mnet_roce_exit(void);

/* As crc32_le(), at the CPU's best. Softirq or process context. */
u32 mnet_roce_crc(u32 crc, const void *data, u32 len);

/* CRC state after the masked headers up to the BTH; then mnet_roce_crc(), mnet_roce_icrc(). */
u32 mnet_roce_crc_base(const u8 *head, const struct mos_roce *r);

/* The ICRC as it goes on the wire. */
static inline __le32 mnet_roce_icrc(u32 crc)
{
	return cpu_to_le32(~crc);
}

#endif /* MNET_ROCE_H */

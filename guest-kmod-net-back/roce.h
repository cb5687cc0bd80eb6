/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RoCEv2 packet format, as far as the back needs it: offsets and lengths of headers, and the
 * invariant CRC.
 */
#ifndef MNET_ROCE_H
#define MNET_ROCE_H

#include <linux/types.h>
#include <asm/byteorder.h>

#define MNET_ROCE_PORT		4791
#define MNET_BTH_LEN		12
#define MNET_ICRC_LEN		4
#define MNET_ROCE_MAX_MTU	4096	/* largest path MTU */

/* up to the BTH: Ethernet, two VLAN tags, IPv6, UDP, BTH */
#define MNET_ROCE_MAX_BASE	(14 + 2 * 4 + 40 + 8 + MNET_BTH_LEN)

/* bytes of the BTH */
#define MNET_BTH_OPCODE		0
#define MNET_BTH_FLAGS		1
#define MNET_BTH_RESV8A		4
#define MNET_BTH_ACK		8
#define MNET_BTH_PSN		9

#define MNET_BTH_FLAGS_SE	0x80
#define MNET_BTH_FLAGS_PAD	0x30
#define MNET_BTH_FLAGS_TVER	0x0f
#define MNET_BTH_PAD_SHIFT	4
#define MNET_BTH_ACK_REQ	0x80

/* Offsets in a packet that starts with its destination address. */
struct mnet_roce {
	u8 l3;
	u8 udp;
	u8 bth;
	bool ipv6;
};

/*
 * Returns true if @head, the first @len bytes, begins a RoCEv2 packet: up to two VLAN tags, IPv4
 * without options and not a fragment or IPv6 without extension headers, UDP to port 4791, all of
 * the BTH. Lengths are not checked.
 */
bool mnet_roce_parse(const u8 *head, unsigned int len, struct mnet_roce *r);

/* Bytes of extension headers that follow the BTH with this opcode; negative: not known. */
int mnet_roce_ext_len(u8 opcode);

/* Opcodes that continue or end a run of packets of one message. */
struct mnet_roce_run {
	u8 mid;			/* continues */
	u8 last;		/* ends it */
	u8 last_ext;		/* ends it, with extension headers; last if there is none */
};

/* Returns false if no run begins with this opcode (the last or only one of its message). */
bool mnet_roce_run(u8 opcode, struct mnet_roce_run *run);

/*
 * Returns true if two packets, both parsed to @r, differ only in fields that change within a flow:
 * lengths, checksums, identification, TTL, opcode, PSN and flags.
 */
bool mnet_roce_same_flow(const u8 *a, const u8 *b, const struct mnet_roce *r);

/* At module load and unload. */
void mnet_roce_init(void);
void mnet_roce_exit(void);

/* As crc32_le(), at the CPU's best. Softirq or process context. */
u32 mnet_roce_crc(u32 crc, const void *data, u32 len);

/* CRC state after the masked headers up to the BTH; then mnet_roce_crc(), mnet_roce_icrc(). */
u32 mnet_roce_crc_base(const u8 *head, const struct mnet_roce *r);

/* The ICRC as it goes on the wire. */
static inline __le32 mnet_roce_icrc(u32 crc)
{
	return cpu_to_le32(~crc);
}

#endif /* MNET_ROCE_H */

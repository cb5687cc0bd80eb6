/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RoCEv2 (IBTA volume 1, chapter 9; annex A17), written down once for both modules: headers as they
 * lie in a packet, the table of transport opcodes, the parser, packet sequence numbers.
 */
#ifndef MOS_ROCE_H
#define MOS_ROCE_H

#include <linux/build_bug.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/ipv6.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/udp.h>
#include <rdma/ib_pack.h>

#define MOS_ROCE_PORT		4791
#define MOS_ROCE_MAX_MTU	4096	/* largest path MTU */
#define MOS_ICRC_LEN		4
#define MOS_OP_CNP		0x81	/* congestion notification (annex A17) */
#define MOS_ECN_MASK		0x03	/* of an IP header's traffic class (RFC 3168) */
#define MOS_ECN_CE		0x03

struct mos_bth {
	u8	opcode;
	u8	flags;		/* SE, M, PadCnt, TVer */
	__be16	pkey;
	__be32	qpn;		/* upper byte: FECN, BECN, reserved */
	__be32	apsn;		/* AckReq and PSN */
} __packed;

#define MOS_BTH_SE		0x80
#define MOS_BTH_M		0x40	/* migration state: always "migrated" */
#define MOS_BTH_PAD_SHIFT	4
#define MOS_BTH_PAD_MASK	0x3
#define MOS_BTH_PAD		(MOS_BTH_PAD_MASK << MOS_BTH_PAD_SHIFT)
#define MOS_BTH_TVER_MASK	0x0f
#define MOS_BTH_ACKREQ	0x80000000u
#define MOS_PSN_MASK		0x00ffffffu
#define MOS_MCAST_QPN		0xffffffu	/* of every datagram to a group */
#define MOS_QPN_MASK		0x00ffffffu
#define MOS_PKEY		0xffff	/* the default partition, full member */

struct mos_reth {
	__be64	va;
	__be32	rkey;
	__be32	len;
} __packed;

struct mos_deth {
	__be32	qkey;
	__be32	sqp;
} __packed;

struct mos_aeth {
	__be32	smsn;		/* syndrome and MSN */
} __packed;

struct mos_atomic_eth {
	__be64	va;
	__be32	rkey;
	__be64	swap_add;
	__be64	compare;
} __packed;

struct mos_atomic_ack {
	__be64	orig;
} __packed;

struct mos_ieth {
	__be32	rkey;
} __packed;

/* Memory placement extensions (IBTA volume 1, annex A19): what to flush, and how far */
struct mos_feth {
	__be32	bits;
} __packed;

#define MOS_FETH_GLOBAL	BIT(0)	/* placement: visible to all */
#define MOS_FETH_PERSISTENT	BIT(1)	/* placement: survives power loss */
#define MOS_FETH_PLACEMENT	0x0fu
#define MOS_FETH_LEVEL_SHIFT	4
#define MOS_FETH_LEVEL_MASK	0x3u
#define MOS_FETH_RANGE	0	/* levels: what the RETH says, */
#define MOS_FETH_MR		1	/* or the whole region */

#define MOS_BTH_LEN		12
static_assert(sizeof(struct mos_bth) == MOS_BTH_LEN);
static_assert(sizeof(struct mos_reth) == 16);
static_assert(sizeof(struct mos_deth) == 8);
static_assert(sizeof(struct mos_aeth) == 4);
static_assert(sizeof(struct mos_atomic_eth) == 28);
static_assert(sizeof(struct mos_atomic_ack) == 8);
static_assert(sizeof(struct mos_ieth) == 4);
static_assert(sizeof(struct mos_feth) == 4);

#define MOS_IMM_BYTES		4
#define MOS_MAX_EXT		32	/* bytes: AtomicETH is the longest with 28 */
#define MOS_ATOMIC_BYTES	8	/* an atomic operation's operands */

/* AETH syndromes */
#define MOS_AETH_TYPE_MASK	0xe0
#define MOS_AETH_ACK		0x00
#define MOS_AETH_RNR		0x20
#define MOS_AETH_NAK		0x60
#define MOS_AETH_CODE_MASK	0x1f
#define MOS_AETH_UNLIMITED	0x1f	/* "no credit count" */

enum mos_nak {
	MOS_NAK_PSN		= MOS_AETH_NAK | 0,
	MOS_NAK_INVALID_REQ	= MOS_AETH_NAK | 1,
	MOS_NAK_REM_ACCESS	= MOS_AETH_NAK | 2,
	MOS_NAK_REM_OP	= MOS_AETH_NAK | 3,
};

/* Properties of an opcode; 0: the opcode is not known */
enum mos_op_flags {
	MOP_RC		= BIT(0),
	MOP_UC		= BIT(1),
	MOP_UD		= BIT(2),
	MOP_SEND	= BIT(3),	/* at most one of SEND to FLUSH: MOP_KIND */
	MOP_WRITE	= BIT(4),
	MOP_READ	= BIT(5),
	MOP_ATOMIC	= BIT(6),
	MOP_ATOMIC_WRITE = BIT(7),
	MOP_FLUSH	= BIT(8),
	MOP_RESP	= BIT(9),	/* travels from responder to requester */
	MOP_START	= BIT(10),	/* first packet of its message */
	MOP_END		= BIT(11),	/* last packet of its message */
	MOP_PAYLOAD	= BIT(12),
	MOP_RETH	= BIT(13),
	MOP_IMM		= BIT(14),
	MOP_IETH	= BIT(15),
	MOP_AETH	= BIT(16),
	MOP_DETH	= BIT(17),
	MOP_CNP		= BIT(18),
};

#define MOP_KIND	(MOP_SEND | MOP_WRITE | MOP_READ | MOP_ATOMIC | MOP_ATOMIC_WRITE | \
			 MOP_FLUSH)
/* Requests with a response of their own, for which no ACK can stand, and with resources for it */
#define MOP_WITH_RESPONSE (MOP_READ | MOP_ATOMIC | MOP_ATOMIC_WRITE | MOP_FLUSH)

struct mos_op_info {
	u32	flags;		/* enum mos_op_flags */
	u8	ext;		/* bytes of extension headers */
};

extern const struct mos_op_info mos_op[256];

static inline void mos_get_reth(const u8 *ext, u64 *va, u32 *rkey, u32 *len)
{
	struct mos_reth reth;

	memcpy(&reth, ext, sizeof(reth));
	*va = be64_to_cpu(reth.va);
	*rkey = be32_to_cpu(reth.rkey);
	*len = be32_to_cpu(reth.len);
}

/* > 0: @a is after @b, within half of the number space */
static inline s32 mos_psn_cmp(u32 a, u32 b)
{
	return (s32)((a - b) << 8);
}

static inline u32 mos_psn_add(u32 psn, u32 n)
{
	return (psn + n) & MOS_PSN_MASK;
}

static inline u32 mos_psn_diff(u32 a, u32 b)
{
	return (a - b) & MOS_PSN_MASK;
}

/* Offsets in a packet that starts with its destination address. */
struct mos_roce {
	u8 l3;
	u8 udp;
	u8 bth;
	bool ipv6;
};

/* Most bytes before the BTH: Ethernet, VLAN tag, IPv6, UDP; and with it */
#define MOS_ROCE_MAX_L4		(ETH_HLEN + VLAN_HLEN + sizeof(struct ipv6hdr) + \
				 sizeof(struct udphdr))
#define MOS_ROCE_MAX_BASE	(MOS_ROCE_MAX_L4 + sizeof(struct mos_bth))

/* All below in any context. */

/*
 * Returns true if @head, the first @len bytes, begins a RoCEv2 packet: at most one 802.1Q tag, IPv4
 * without options and not a fragment or IPv6 without extension headers, UDP to port 4791, all of
 * the BTH. Lengths and addresses are not checked.
 */
bool mos_roce_parse(const u8 *head, unsigned int len, struct mos_roce *r);

/* Bytes of extension headers that follow the BTH with this opcode; negative: not known. */
static inline int mos_op_ext_len(u8 opcode)
{
	return mos_op[opcode].flags ? mos_op[opcode].ext : -1;
}

/* Opcodes that continue or end a run of packets of one message. */
struct mos_op_run {
	u8 mid;			/* continues */
	u8 last;		/* ends it */
	u8 last_ext;		/* ends it, with extension headers; last if there is none */
};

/* Returns false if no run begins with this opcode (the last or only one of its message). */
bool mos_op_run(u8 opcode, struct mos_op_run *run);

#endif /* MOS_ROCE_H */

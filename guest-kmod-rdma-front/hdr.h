/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RoCEv2 headers as they lie in a packet, the table of transport opcodes, and
 * arithmetic of packet sequence numbers (IBTA volume 1, chapter 9; annex A17).
 */
#ifndef MRDMA_HDR_H
#define MRDMA_HDR_H

#include <linux/build_bug.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/ipv6.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/udp.h>
#include <rdma/ib_pack.h>

#define MRDMA_UDP_PORT		4791
#define MRDMA_OP_CNP		0x81	/* congestion notification (annex A17) */
#define MRDMA_ECN_MASK		0x03	/* of an IP header's traffic class (RFC 3168) */
#define MRDMA_ECN_CE		0x03

struct mrdma_bth {
	u8	opcode;
	u8	flags;		/* SE, M, PadCnt, TVer */
	__be16	pkey;
	__be32	qpn;		/* upper byte: FECN, BECN, reserved */
	__be32	apsn;		/* AckReq and PSN */
} __packed;

#define MRDMA_BTH_SE		0x80
#define MRDMA_BTH_M		0x40	/* migration state: always "migrated" */
#define MRDMA_BTH_PAD_SHIFT	4
#define MRDMA_BTH_PAD_MASK	0x3
#define MRDMA_BTH_TVER_MASK	0x0f
#define MRDMA_BTH_ACKREQ	0x80000000u
#define MRDMA_PSN_MASK		0x00ffffffu
#define MRDMA_MCAST_QPN		0xffffffu	/* of every datagram to a group */
#define MRDMA_QPN_MASK		0x00ffffffu
#define MRDMA_PKEY		0xffff	/* the default partition, full member */

struct mrdma_reth {
	__be64	va;
	__be32	rkey;
	__be32	len;
} __packed;

struct mrdma_deth {
	__be32	qkey;
	__be32	sqp;
} __packed;

struct mrdma_aeth {
	__be32	smsn;		/* syndrome and MSN */
} __packed;

struct mrdma_atomic_eth {
	__be64	va;
	__be32	rkey;
	__be64	swap_add;
	__be64	compare;
} __packed;

struct mrdma_atomic_ack {
	__be64	orig;
} __packed;

struct mrdma_ieth {
	__be32	rkey;
} __packed;

/* Memory placement extensions (IBTA volume 1, annex A19): what to flush, and how far */
struct mrdma_feth {
	__be32	bits;
} __packed;

#define MRDMA_FETH_GLOBAL	BIT(0)	/* placement: visible to all */
#define MRDMA_FETH_PERSISTENT	BIT(1)	/* placement: survives power loss */
#define MRDMA_FETH_PLACEMENT	0x0fu
#define MRDMA_FETH_LEVEL_SHIFT	4
#define MRDMA_FETH_LEVEL_MASK	0x3u
#define MRDMA_FETH_RANGE	0	/* levels: what the RETH says, */
#define MRDMA_FETH_MR		1	/* or the whole region */

static_assert(sizeof(struct mrdma_bth) == 12);
static_assert(sizeof(struct mrdma_reth) == 16);
static_assert(sizeof(struct mrdma_deth) == 8);
static_assert(sizeof(struct mrdma_aeth) == 4);
static_assert(sizeof(struct mrdma_atomic_eth) == 28);
static_assert(sizeof(struct mrdma_atomic_ack) == 8);
static_assert(sizeof(struct mrdma_ieth) == 4);
static_assert(sizeof(struct mrdma_feth) == 4);

#define MRDMA_IMM_BYTES		4
#define MRDMA_MAX_EXT		32	/* bytes: AtomicETH is the longest with 28 */
#define MRDMA_ATOMIC_BYTES	8	/* an atomic operation's operands */

/* AETH syndromes */
#define MRDMA_AETH_TYPE_MASK	0xe0
#define MRDMA_AETH_ACK		0x00
#define MRDMA_AETH_RNR		0x20
#define MRDMA_AETH_NAK		0x60
#define MRDMA_AETH_CODE_MASK	0x1f
#define MRDMA_AETH_UNLIMITED	0x1f	/* "no credit count" */

enum mrdma_nak {
	MRDMA_NAK_PSN		= MRDMA_AETH_NAK | 0,
	MRDMA_NAK_INVALID_REQ	= MRDMA_AETH_NAK | 1,
	MRDMA_NAK_REM_ACCESS	= MRDMA_AETH_NAK | 2,
	MRDMA_NAK_REM_OP	= MRDMA_AETH_NAK | 3,
};

/* What a packet with this opcode is; 0: not an opcode of ours */
enum mrdma_op_flags {
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
};

#define MOP_KIND	(MOP_SEND | MOP_WRITE | MOP_READ | MOP_ATOMIC | MOP_ATOMIC_WRITE | \
			 MOP_FLUSH)
/* Kinds of requests that are answered by more than an acknowledgement and hold resources for it */
#define MOP_ANSWERED	(MOP_READ | MOP_ATOMIC | MOP_ATOMIC_WRITE | MOP_FLUSH)

struct mrdma_op_info {
	u32	flags;		/* enum mrdma_op_flags */
	u8	ext;		/* bytes of extension headers */
};

extern const struct mrdma_op_info mrdma_op[256];

/* The RC opcodes of one kind of message by a packet's place in it; UC's are these | IB_OPCODE_UC */
struct mrdma_op_set {
	u8	first, middle, last, only;
};

enum mrdma_op_set_id {
	MRDMA_OPS_SEND,
	MRDMA_OPS_SEND_IMM,
	MRDMA_OPS_SEND_INV,
	MRDMA_OPS_WRITE,
	MRDMA_OPS_WRITE_IMM,
	MRDMA_OPS_READ_RESP,
	MRDMA_OPS_COUNT,
};

extern const struct mrdma_op_set mrdma_op_set[MRDMA_OPS_COUNT];

static inline void mrdma_get_reth(const u8 *ext, u64 *va, u32 *rkey, u32 *len)
{
	struct mrdma_reth reth;

	memcpy(&reth, ext, sizeof(reth));
	*va = be64_to_cpu(reth.va);
	*rkey = be32_to_cpu(reth.rkey);
	*len = be32_to_cpu(reth.len);
}

/* > 0: @a is after @b, within half of the number space */
static inline s32 mrdma_psn_cmp(u32 a, u32 b)
{
	return (s32)((a - b) << 8);
}

static inline u32 mrdma_psn_add(u32 psn, u32 n)
{
	return (psn + n) & MRDMA_PSN_MASK;
}

static inline u32 mrdma_psn_diff(u32 a, u32 b)
{
	return (a - b) & MRDMA_PSN_MASK;
}

/* Ethernet, VLAN tag, IPv6, UDP */
#define MRDMA_MAX_L4		(ETH_HLEN + VLAN_HLEN + sizeof(struct ipv6hdr) + \
				 sizeof(struct udphdr))

/* A netdev by name: neither a reference nor a pointer that may be another netdev's later */
struct mrdma_netdev_id {
	u64			net_cookie;
	int			ifindex;	/* 0: none */
};

/* Address vector: all bytes before the BTH, ready to copy */
struct mrdma_av {
	struct mrdma_netdev_id	source;		/* the source GID's netdev */
	u8			hdr[MRDMA_MAX_L4] __aligned(2);
	u8			len;		/* bytes of hdr in use */
	u8			l3;		/* offset of the IP header */
	bool			ipv6;
	bool			loop;		/* the destination is this very device */
	bool			mcast;		/* the destination is a group */
	bool			qp_port;	/* the UDP source port is that of the two QPs */
};

#endif /* MRDMA_HDR_H */

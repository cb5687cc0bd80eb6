// SPDX-License-Identifier: GPL-2.0
/*
 * The transport opcodes as data, what a packet carries and where in its message it stands; and the
 * parser of a packet's headers down to the BTH.
 */
#include <linux/ip.h>

#include "kcompat.h"
#include "roce.h"

#define S	MOP_START
#define E	MOP_END
#define P	MOP_PAYLOAD

#define RC(name, what, bytes)	[IB_OPCODE_RC_##name] = { MOP_RC | (what), bytes }
#define RC_UC(name, what, bytes) RC(name, what, bytes), \
				[IB_OPCODE_UC_##name] = { MOP_UC | (what), bytes }

const struct mos_op_info mos_op[256] = {
	RC_UC(SEND_FIRST, MOP_SEND | S | P, 0),
	RC_UC(SEND_MIDDLE, MOP_SEND | P, 0),
	RC_UC(SEND_LAST, MOP_SEND | E | P, 0),
	RC_UC(SEND_LAST_WITH_IMMEDIATE, MOP_SEND | E | P | MOP_IMM, 4),
	RC_UC(SEND_ONLY, MOP_SEND | S | E | P, 0),
	RC_UC(SEND_ONLY_WITH_IMMEDIATE, MOP_SEND | S | E | P | MOP_IMM, 4),
	RC(SEND_LAST_WITH_INVALIDATE, MOP_SEND | E | P | MOP_IETH, 4),
	RC(SEND_ONLY_WITH_INVALIDATE, MOP_SEND | S | E | P | MOP_IETH, 4),

	RC_UC(RDMA_WRITE_FIRST, MOP_WRITE | S | P | MOP_RETH, 16),
	RC_UC(RDMA_WRITE_MIDDLE, MOP_WRITE | P, 0),
	RC_UC(RDMA_WRITE_LAST, MOP_WRITE | E | P, 0),
	RC_UC(RDMA_WRITE_LAST_WITH_IMMEDIATE, MOP_WRITE | E | P | MOP_IMM, 4),
	RC_UC(RDMA_WRITE_ONLY, MOP_WRITE | S | E | P | MOP_RETH, 16),
	RC_UC(RDMA_WRITE_ONLY_WITH_IMMEDIATE, MOP_WRITE | S | E | P | MOP_RETH | MOP_IMM, 20),

	RC(RDMA_READ_REQUEST, MOP_READ | S | E | MOP_RETH, 16),
	RC(RDMA_READ_RESPONSE_FIRST, MOP_READ | MOP_RESP | S | P | MOP_AETH, 4),
	RC(RDMA_READ_RESPONSE_MIDDLE, MOP_READ | MOP_RESP | P, 0),
	RC(RDMA_READ_RESPONSE_LAST, MOP_READ | MOP_RESP | E | P | MOP_AETH, 4),
	RC(RDMA_READ_RESPONSE_ONLY, MOP_READ | MOP_RESP | S | E | P | MOP_AETH, 4),

	RC(COMPARE_SWAP, MOP_ATOMIC | S | E, 28),
	RC(FETCH_ADD, MOP_ATOMIC | S | E, 28),
	RC(ATOMIC_ACKNOWLEDGE, MOP_ATOMIC | MOP_RESP | S | E | MOP_AETH, 12),
	RC(ATOMIC_WRITE, MOP_ATOMIC_WRITE | S | E | P | MOP_RETH, 16),
	RC(FLUSH, MOP_FLUSH | S | E | MOP_RETH, 20),

	RC(ACKNOWLEDGE, MOP_RESP | S | E | MOP_AETH, 4),

	/* reserved; known so that they are refused and not lost */
	[0x15] = { MOP_RC | S | E | P, 0 },
	[0x18 ... 0x1b] = { MOP_RC | S | E | P, 0 },
	[0x1e ... 0x1f] = { MOP_RC | S | E | P, 0 },

	[IB_OPCODE_UD_SEND_ONLY] = { MOP_UD | MOP_SEND | S | E | P | MOP_DETH, 8 },
	[IB_OPCODE_UD_SEND_ONLY_WITH_IMMEDIATE] = {
		MOP_UD | MOP_SEND | S | E | P | MOP_DETH | MOP_IMM, 12 },

	[MOS_OP_CNP] = { MOP_CNP | S | E, 16 },
};

bool mos_op_run(u8 opcode, struct mos_op_run *run)
{
	/* RC's opcodes; UC's are the same with one bit more */
	const u8 transport = opcode & 0xe0;
	const u32 flags = mos_op[opcode].flags;

	if (!(flags & MOP_PAYLOAD) || flags & MOP_END)
		return false;
	switch (flags & MOP_KIND) {
	case MOP_SEND:
		*run = (struct mos_op_run) {
			.mid = IB_OPCODE_RC_SEND_MIDDLE,
			.last = IB_OPCODE_RC_SEND_LAST,
			.last_ext = IB_OPCODE_RC_SEND_LAST_WITH_IMMEDIATE,
		};
		break;
	case MOP_WRITE:
		*run = (struct mos_op_run) {
			.mid = IB_OPCODE_RC_RDMA_WRITE_MIDDLE,
			.last = IB_OPCODE_RC_RDMA_WRITE_LAST,
			.last_ext = IB_OPCODE_RC_RDMA_WRITE_LAST_WITH_IMMEDIATE,
		};
		break;
	case MOP_READ:
		*run = (struct mos_op_run) {
			.mid = IB_OPCODE_RC_RDMA_READ_RESPONSE_MIDDLE,
			.last = IB_OPCODE_RC_RDMA_READ_RESPONSE_LAST,
			.last_ext = IB_OPCODE_RC_RDMA_READ_RESPONSE_LAST,
		};
		break;
	default:
		return false;
	}
	run->mid |= transport;
	run->last |= transport;
	run->last_ext |= transport;
	return true;
}

bool mos_roce_parse(const u8 *head, unsigned int len, struct mos_roce *r)
{
	unsigned int off = offsetof(struct ethhdr, h_proto);
	u16 proto;

	if (len < ETH_HLEN)
		return false;
	proto = get_unaligned_be16(head + off);
	if (proto == ETH_P_8021Q) {
		off += VLAN_HLEN;
		if (len < off + sizeof(__be16))
			return false;
		proto = get_unaligned_be16(head + off);
	}
	r->l3 = off + sizeof(__be16);
	if (proto == ETH_P_IP) {
		const struct iphdr *ip = (const void *)head + r->l3;

		r->ipv6 = false;
		r->udp = r->l3 + sizeof(*ip);
		if (len < r->udp || *(head + r->l3) != 0x45 || ip->protocol != IPPROTO_UDP ||
		    get_unaligned_be16(&ip->frag_off) & 0xbfff)
			return false;
	} else if (proto == ETH_P_IPV6) {
		const struct ipv6hdr *ip = (const void *)head + r->l3;

		r->ipv6 = true;
		r->udp = r->l3 + sizeof(*ip);
		if (len < r->udp || head[r->l3] >> 4 != 6 || ip->nexthdr != IPPROTO_UDP)
			return false;
	} else {
		return false;
	}
	r->bth = r->udp + sizeof(struct udphdr);
	return len >= r->bth + sizeof(struct mos_bth) &&
	       get_unaligned_be16(head + r->udp + offsetof(struct udphdr, dest)) == MOS_ROCE_PORT;
}

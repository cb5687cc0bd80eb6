// SPDX-License-Identifier: GPL-2.0
/*
 * RoCEv2 packet format: header parsing and the invariant CRC of the InfiniBand
 * Architecture specification, volume 1, annex A17.
 */
#include <linux/crc32.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/udp.h>

#include "../guest-kmod-common/kcompat.h"
#include "roce.h"

/* CRC-32 state after the eight 0xff bytes that stand for an LRH, begun with all ones */
#define CRC_AFTER_LRH	0xdebb20e3

#define RETH		16
#define AETH		4
#define ATOMIC_ETH	28
#define ATOMIC_ACK_ETH	8
#define IMM		4
#define IETH		4
#define FETH		4
#define DETH		8
#define CNP_RESERVED	16

/* one more than the bytes of extension headers; 0: unknown opcode */
#define EXT(bytes)	(1 + (bytes))

static const u8 ext_len[256] = {
	/* RC */
	[0x00] = EXT(0),		/* SEND first */
	[0x01] = EXT(0),
	[0x02] = EXT(0),
	[0x03] = EXT(IMM),
	[0x04] = EXT(0),		/* SEND only */
	[0x05] = EXT(IMM),
	[0x06] = EXT(RETH),		/* WRITE first */
	[0x07] = EXT(0),
	[0x08] = EXT(0),
	[0x09] = EXT(IMM),
	[0x0a] = EXT(RETH),		/* WRITE only */
	[0x0b] = EXT(RETH + IMM),
	[0x0c] = EXT(RETH),		/* READ request */
	[0x0d] = EXT(AETH),
	[0x0e] = EXT(0),
	[0x0f] = EXT(AETH),
	[0x10] = EXT(AETH),
	[0x11] = EXT(AETH),		/* acknowledge */
	[0x12] = EXT(AETH + ATOMIC_ACK_ETH),
	[0x13] = EXT(ATOMIC_ETH),
	[0x14] = EXT(ATOMIC_ETH),
	/* reserved: the front's responder answers these with a NAK */
	[0x15] = EXT(0),
	[0x18] = EXT(0),
	[0x19] = EXT(0),
	[0x1a] = EXT(0),
	[0x1b] = EXT(0),
	[0x1e] = EXT(0),
	[0x1f] = EXT(0),
	[0x16] = EXT(IETH),
	[0x17] = EXT(IETH),
	[0x1c] = EXT(FETH + RETH),	/* FLUSH */
	[0x1d] = EXT(RETH),		/* atomic write */
	/* UC */
	[0x20] = EXT(0),
	[0x21] = EXT(0),
	[0x22] = EXT(0),
	[0x23] = EXT(IMM),
	[0x24] = EXT(0),
	[0x25] = EXT(IMM),
	[0x26] = EXT(RETH),
	[0x27] = EXT(0),
	[0x28] = EXT(0),
	[0x29] = EXT(IMM),
	[0x2a] = EXT(RETH),
	[0x2b] = EXT(RETH + IMM),
	/* UD */
	[0x64] = EXT(DETH),
	[0x65] = EXT(DETH + IMM),
	/* congestion notification */
	[0x81] = EXT(CNP_RESERVED),
};

int mnet_roce_ext_len(u8 opcode)
{
	return ext_len[opcode] - 1;
}

bool mnet_roce_run(u8 opcode, struct mnet_roce_run *run)
{
	switch (opcode) {
	case 0x00:
	case 0x01:
	case 0x20:
	case 0x21:
		*run = (struct mnet_roce_run) { 0x01, 0x02, 0x03 };
		break;
	case 0x06:
	case 0x07:
	case 0x26:
	case 0x27:
		*run = (struct mnet_roce_run) { 0x07, 0x08, 0x09 };
		break;
	case 0x0d:
	case 0x0e:
		*run = (struct mnet_roce_run) { 0x0e, 0x0f, 0x0f };
		break;
	default:
		return false;
	}
	/* UC's opcodes are RC's with this bit */
	run->mid |= opcode & 0x20;
	run->last |= opcode & 0x20;
	run->last_ext |= opcode & 0x20;
	return true;
}

bool mnet_roce_same_flow(const u8 *a, const u8 *b, const struct mnet_roce *r)
{
	const u8 *a3 = a + r->l3, *b3 = b + r->l3;
	const u8 *bth_a = a + r->bth, *bth_b = b + r->bth;

	if (memcmp(a, b, r->l3))
		return false;
	if (r->ipv6) {
		/* version, class and flow; addresses */
		if (memcmp(a3, b3, offsetof(struct ipv6hdr, payload_len)) ||
		    memcmp(a3 + offsetof(struct ipv6hdr, saddr),
			   b3 + offsetof(struct ipv6hdr, saddr), 2 * sizeof(struct in6_addr)))
			return false;
	} else if (a3[offsetof(struct iphdr, tos)] != b3[offsetof(struct iphdr, tos)] ||
		   memcmp(a3 + offsetof(struct iphdr, saddr), b3 + offsetof(struct iphdr, saddr),
			  2 * sizeof(__be32))) {
		return false;
	}
	/* source port; P_Key, congestion bits, QP */
	return !memcmp(a + r->udp, b + r->udp, sizeof(__be16)) &&
	       !memcmp(bth_a + 2, bth_b + 2, MNET_BTH_ACK - 2) &&
	       !((bth_a[MNET_BTH_FLAGS] ^ bth_b[MNET_BTH_FLAGS]) & 0x40);
}

bool mnet_roce_parse(const u8 *head, unsigned int len, struct mnet_roce *r)
{
	unsigned int off = offsetof(struct ethhdr, h_proto);
	unsigned int tags = 0;
	u16 proto;

	if (len < ETH_HLEN)
		return false;
	while (proto = get_unaligned_be16(head + off),
	       proto == ETH_P_8021Q || proto == ETH_P_8021AD) {
		off += VLAN_HLEN;
		if (++tags > 2 || len < off + sizeof(__be16))
			return false;
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
	return len >= r->bth + MNET_BTH_LEN &&
	       get_unaligned_be16(head + r->udp + offsetof(struct udphdr, dest)) == MNET_ROCE_PORT;
}

u32 mnet_roce_crc_base(const u8 *head, const struct mnet_roce *r)
{
	u8 masked[sizeof(struct ipv6hdr) + sizeof(struct udphdr) + MNET_BTH_LEN];
	unsigned int len = r->bth + MNET_BTH_LEN - r->l3;

	/* fields that routers may change count as all ones */
	memcpy(masked, head + r->l3, len);
	if (r->ipv6) {
		masked[0] |= 0x0f;			/* traffic class, flow label */
		memset(masked + 1, 0xff, 3);
		masked[offsetof(struct ipv6hdr, hop_limit)] = 0xff;
	} else {
		masked[offsetof(struct iphdr, tos)] = 0xff;
		masked[offsetof(struct iphdr, ttl)] = 0xff;
		memset(masked + offsetof(struct iphdr, check), 0xff, sizeof(__sum16));
	}
	memset(masked + r->udp - r->l3 + offsetof(struct udphdr, check), 0xff, sizeof(__sum16));
	masked[r->bth - r->l3 + MNET_BTH_RESV8A] = 0xff;
	return crc32_le(CRC_AFTER_LRH, masked, len);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * RoCEv2 packets: what belongs to one flow, and the invariant CRC (IBTA volume 1, annex A17).
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

bool mnet_roce_same_flow(const u8 *a, const u8 *b, const struct mos_roce *r)
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

u32 mnet_roce_crc_base(const u8 *head, const struct mos_roce *r)
{
	u8 masked[sizeof(struct ipv6hdr) + sizeof(struct udphdr) + MOS_BTH_LEN];
	unsigned int len = r->bth + MOS_BTH_LEN - r->l3;

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

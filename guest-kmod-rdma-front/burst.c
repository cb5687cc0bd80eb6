// SPDX-License-Identifier: GPL-2.0
/*
 * Received bursts: the pieces that their receivers look at, and fields of their IP header and VLAN
 * tag.
 */
#include <linux/ip.h>
#include <net/ipv6.h>

#include "burst.h"
#include "mrdma.h"

/* Piece @i of a burst: the first packet, those between, the last. */
bool mrdma_burst_seg(const struct mrdma_burst *b, unsigned int i, struct mrdma_seg *p)
{
	const u8 *ext = b->hdr + b->bth + sizeof(struct mos_bth);
	u32 body = (b->nseg - 1) * b->seg_len;	/* bytes before the last packet's */

	switch (i) {
	case 0:
		*p = (struct mrdma_seg) {
			.op = b->op_first,
			.npkts = 1,
			.psn = b->psn,
			.ext = ext,
			.data = b->payload,
			.len = b->nseg == 1 ? b->len : b->seg_len,
			.ack_req = b->nseg == 1 && b->ack_req,
			.solicited = b->nseg == 1 && b->solicited,
		};
		return true;
	case 1:
		if (b->nseg < 2)
			return false;
		/* with two packets there is none between: an empty piece */
		*p = (struct mrdma_seg) {
			.op = b->op_mid,
			.npkts = b->nseg - 2,
			.psn = mos_psn_add(b->psn, 1),
			.data = b->payload + b->seg_len,
			.len = (b->nseg - 2) * b->seg_len,
		};
		return true;
	case 2:
		*p = (struct mrdma_seg) {
			.op = b->op_last,
			.npkts = 1,
			.psn = mos_psn_add(b->psn, b->nseg - 1),
			.ext = ext + b->ext_first,
			.data = b->payload + body,
			.len = b->len - body,
			.ack_req = b->ack_req,
			.solicited = b->solicited,
		};
		return true;
	}
	return false;
}

void mrdma_hdr_dgid(const u8 *ip, bool ipv6, union ib_gid *gid)
{
	__be32 addr;

	if (ipv6) {
		memcpy(gid, ip + offsetof(struct ipv6hdr, daddr), sizeof(*gid));
		return;
	}
	memcpy(&addr, ip + offsetof(struct iphdr, daddr), sizeof(addr));
	ipv6_addr_set_v4mapped(addr, (struct in6_addr *)gid);
}

u16 mrdma_hdr_vlan(const u8 *hdr, u8 l3)
{
	__be16 tci;

	if (l3 == ETH_HLEN)
		return MRDMA_NO_VLAN;
	memcpy(&tci, hdr + ETH_HLEN, sizeof(tci));
	/* a tag for the priority's sake names no VLAN */
	return ntohs(tci) & VLAN_VID_MASK ?: MRDMA_NO_VLAN;
}

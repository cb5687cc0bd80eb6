// SPDX-License-Identifier: GPL-2.0
/*
 * RoCE packets of the stack to bursts for the front: everything that the wire may have got
 * wrong is found here, so that the front spends no time on it. Pad and ICRC stay behind.
 */
#include <linux/crc32.h>
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <linux/udp.h>

#include <net/ip.h>

#include "../guest-kmod-common/kcompat.h"
#include "mnet.h"
#include "roce.h"

bool mnet_is_roce(const struct mnet *mnet, const struct sk_buff *skb)
{
	u8 buf[MNET_ROCE_MAX_BASE];
	struct mnet_roce r;
	unsigned int len;
	const u8 *head;

	len = min_t(unsigned int, skb->len, sizeof(buf));
	head = skb_header_pointer(skb, 0, len, buf);
	if (!head || len < ETH_HLEN)
		return false;
	/* a bridge also floods what is meant for others */
	return (ether_addr_equal_unaligned(head, mnet->front_mac) || is_multicast_ether_addr(head)) &&
	       mnet_roce_parse(head, len, &r);
}

/*
 * Offset of the ICRC, found from the lengths in the headers, which must agree: behind it there may be
 * Ethernet padding. 0: they do not.
 */
static u32 find_icrc(const u8 *pkt, u32 len, const struct mnet_roce *r)
{
	u32 udp_len = get_unaligned_be16(pkt + r->udp + offsetof(struct udphdr, len));
	u32 ip_payload;

	if (r->ipv6) {
		ip_payload = get_unaligned_be16(pkt + r->l3 + offsetof(struct ipv6hdr, payload_len));
	} else {
		ip_payload = get_unaligned_be16(pkt + r->l3 + offsetof(struct iphdr, tot_len)) -
			     sizeof(struct iphdr);
		if (ip_fast_csum(pkt + r->l3, sizeof(struct iphdr) / 4))
			return 0;
	}
	if (udp_len != ip_payload || r->udp + udp_len > len ||
	    udp_len < sizeof(struct udphdr) + MNET_BTH_LEN + MNET_ICRC_LEN)
		return 0;
	return r->udp + udp_len - MNET_ICRC_LEN;
}

/*
 * Fills @d from the packet at @pkt, @len bytes. Returns the reason to drop it, or MOS_NR_STATS when it is
 * good.
 */
static enum mos_stat describe(const u8 *pkt, u32 len, struct msr_desc *d)
{
	u32 icrc, pad, crc;
	struct mnet_roce r;
	const u8 *bth;
	int ext;

	if (!mnet_roce_parse(pkt, len, &r))
		return MOS_STAT_DROP_HEADER;
	icrc = find_icrc(pkt, len, &r);
	bth = pkt + r.bth;
	ext = mnet_roce_ext_len(bth[MNET_BTH_OPCODE]);
	pad = (bth[MNET_BTH_FLAGS] & MNET_BTH_FLAGS_PAD) >> MNET_BTH_PAD_SHIFT;
	if (!icrc || bth[MNET_BTH_FLAGS] & MNET_BTH_FLAGS_TVER || ext < 0 ||
	    r.bth + MNET_BTH_LEN + ext + pad > icrc)
		return MOS_STAT_DROP_HEADER;
	d->hdr_len = r.bth + MNET_BTH_LEN + ext;
	d->len = icrc - pad;
	if (d->len - d->hdr_len > MNET_ROCE_MAX_MTU)
		return MOS_STAT_DROP_SIZE;
	crc = mnet_roce_crc_base(pkt, &r);
	crc = crc32_le(crc, bth + MNET_BTH_LEN, icrc - r.bth - MNET_BTH_LEN);
	if (get_unaligned((__le32 *)(pkt + icrc)) != mnet_roce_icrc(crc))
		return MOS_STAT_DROP_ICRC;

	d->flags = MSR_BURST_ICRC_OK;
	if (bth[MNET_BTH_ACK] & MNET_BTH_ACK_REQ)
		d->flags |= MSR_BURST_ACK_REQ;
	if (bth[MNET_BTH_FLAGS] & MNET_BTH_FLAGS_SE)
		d->flags |= MSR_BURST_SOLICITED;
	d->burst.nseg = 1;
	d->burst.op_mid = bth[MNET_BTH_OPCODE];
	d->burst.op_last = bth[MNET_BTH_OPCODE];
	d->burst.ext_first = ext;
	return MOS_NR_STATS;
}

netdev_tx_t mnet_roce_xmit(struct mnet_roce_queue *rq, struct sk_buff *skb)
{
	struct msr_desc d = { .type = MSR_DESC_BURST };
	struct mos_queue *q = rq->q;
	enum msr_result result;
	enum mos_stat drop;
	void *data;

	if (unlikely(!mos_link_usable(q->link))) {
		mos_stat_add(q->to_ring, MOS_STAT_DROP_DOWN, 1);
		dev_kfree_skb_any(skb);
		return NETDEV_TX_OK;
	}
	drop = MOS_STAT_DROP_SIZE;
	if (unlikely(skb->len > MSR_MAX_BURST_HDR + MNET_ROCE_MAX_MTU))
		goto err_drop;
	data = msr_tx_reserve(&q->tx, skb->len, &d.off, &result);
	if (unlikely(!data)) {
		/* the queue is stopped before this can happen, unless the peer is at fault */
		drop = MOS_STAT_DROP_DOWN;
		if (result == MSR_BAD_INDEX)
			mos_queue_fault(q, result, true, NULL);
		goto err_drop;
	}
	/* into the own section, where nobody else writes: it can be checked in place */
	drop = MOS_STAT_DROP_HEADER;
	if (unlikely(skb_copy_bits(skb, 0, data, skb->len)))
		goto err_drop;
	drop = describe(data, skb->len, &d);
	if (unlikely(drop != MOS_NR_STATS))
		goto err_drop;
	msr_tx_commit(&q->tx, &d);
	mos_stat_add(q->to_ring, MOS_STAT_BURSTS, 1);
	mos_stat_add(q->to_ring, MOS_STAT_PACKETS, 1);
	mos_stat_add(q->to_ring, MOS_STAT_BYTES, skb->len);
	dev_consume_skb_any(skb);
	mos_txq_finish(rq->txq, q, MSR_MAX_BURST_HDR + MNET_ROCE_MAX_MTU);
	return NETDEV_TX_OK;

err_drop:
	mos_stat_add(q->to_ring, drop, 1);
	dev_kfree_skb_any(skb);
	mos_txq_finish(rq->txq, q, MSR_MAX_BURST_HDR + MNET_ROCE_MAX_MTU);
	return NETDEV_TX_OK;
}

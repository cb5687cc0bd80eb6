// SPDX-License-Identifier: GPL-2.0
/*
 * RoCE packets of the stack to bursts for the front. All checks against a faulty wire are here, so
 * that the front spends no time on them. Pad and ICRC are cut off, and packets of one message that
 * come one after the other become one burst (a run).
 *
 * A run is published when its message ends, when another packet comes, and otherwise by the poll,
 * which softirq runs after the NIC's: a packet is held back for less than one batch of the NIC.
 * Packets that nothing can follow are published at once.
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

/* room for the longest extension header that ends a run (immediate data, AETH) */
#define RUN_EXT_LAST	4

/* A packet of the wire, checked but for its ICRC. */
struct packet {
	struct mos_roce r;
	u32 base;		/* bytes up to and with the BTH */
	u32 ext;		/* extension headers */
	u32 payload;
	u32 tail;		/* pad and ICRC */
	u32 psn;
	u8 opcode;
	u8 flags;		/* MSR_BURST_* */
	u8 head[MOS_ROCE_MAX_BASE + 28];
};

bool mnet_is_roce(const struct mnet *mnet, const struct sk_buff *skb)
{
	u8 buf[MOS_ROCE_MAX_BASE];
	struct mos_roce r;
	unsigned int len;
	const u8 *head;

	len = min_t(unsigned int, skb->len, sizeof(buf));
	head = skb_header_pointer(skb, 0, len, buf);
	if (!head || len < ETH_HLEN)
		return false;
	/* RoCE for other hosts (behind a bridge in the front, or flooded by one here) is a frame */
	if (!is_multicast_ether_addr(head) && !mos_link_peer_mac(&mnet->link, head))
		return false;
	if (!mos_roce_parse(head, len, &r))
		return false;
	/* a tag that the stack keeps outside the bytes counts: one 802.1Q tag in all at most */
	return !skb_vlan_tag_present(skb) ||
	       (skb->vlan_proto == htons(ETH_P_8021Q) && r.l3 == ETH_HLEN);
}

/*
 * Returns the offset of the ICRC by the lengths in the headers (Ethernet padding may follow it),
 * or 0 if they do not agree.
 */
static u32 find_icrc(const u8 *head, u32 len, const struct mos_roce *r)
{
	u32 udp_len = get_unaligned_be16(head + r->udp + offsetof(struct udphdr, len));
	u32 ip_payload;

	if (r->ipv6) {
		ip_payload = get_unaligned_be16(head + r->l3 +
						offsetof(struct ipv6hdr, payload_len));
	} else {
		ip_payload = get_unaligned_be16(head + r->l3 + offsetof(struct iphdr, tot_len)) -
			     sizeof(struct iphdr);
		if (ip_fast_csum(head + r->l3, sizeof(struct iphdr) / 4))
			return 0;
	}
	if (udp_len != ip_payload || r->udp + udp_len > len ||
	    udp_len < sizeof(struct udphdr) + MOS_BTH_LEN + MOS_ICRC_LEN)
		return 0;
	return r->udp + udp_len - MOS_ICRC_LEN;
}

/* Copies the headers and checks them. Returns the reason to drop, or MOS_NR_STATS if good. */
static enum mos_stat dissect(const struct sk_buff *skb, struct packet *p)
{
	u32 head_len = min_t(u32, skb->len, sizeof(p->head));
	const u8 *bth;
	u32 icrc, pad;
	int ext;

	if (skb_copy_bits(skb, 0, p->head, head_len) || !mos_roce_parse(p->head, head_len, &p->r))
		return MOS_STAT_DROP_HEADER;
	icrc = find_icrc(p->head, skb->len, &p->r);
	bth = p->head + p->r.bth;
	ext = mos_op_ext_len(bth[MNET_BTH_OPCODE]);
	pad = (bth[MNET_BTH_FLAGS] & MOS_BTH_PAD) >> MOS_BTH_PAD_SHIFT;
	p->base = p->r.bth + MOS_BTH_LEN;
	if (!icrc || bth[MNET_BTH_FLAGS] & MOS_BTH_TVER_MASK || ext < 0 ||
	    p->base + ext + pad > icrc)
		return MOS_STAT_DROP_HEADER;
	p->ext = ext;
	p->payload = icrc - pad - ext - p->base;
	p->tail = pad + MOS_ICRC_LEN;
	if (p->payload > MOS_ROCE_MAX_MTU)
		return MOS_STAT_DROP_SIZE;
	p->psn = get_unaligned_be24(bth + MNET_BTH_PSN);
	p->opcode = bth[MNET_BTH_OPCODE];
	p->flags = MSR_BURST_ICRC_OK;
	if (bth[MNET_BTH_ACK] & MNET_BTH_ACK_REQ)
		p->flags |= MSR_BURST_ACK_REQ;
	if (bth[MNET_BTH_FLAGS] & MOS_BTH_SE)
		p->flags |= MSR_BURST_SOLICITED;
	return MOS_NR_STATS;
}

/* Copies the payload to @to, in the own section. Returns false if the ICRC is wrong. */
static bool take_payload(const struct sk_buff *skb, const struct packet *p, u8 *to)
{
	u8 tail[3 + MOS_ICRC_LEN];
	u32 crc;

	if (skb_copy_bits(skb, p->base + p->ext, to, p->payload) ||
	    skb_copy_bits(skb, p->base + p->ext + p->payload, tail, p->tail))
		return false;
	crc = mnet_roce_crc_base(p->head, &p->r);
	crc = crc32_le(crc, p->head + p->base, p->ext);
	crc = mnet_roce_crc(crc, to, p->payload);
	crc = crc32_le(crc, tail, p->tail - MOS_ICRC_LEN);
	return get_unaligned((__le32 *)(tail + p->tail - MOS_ICRC_LEN)) == mnet_roce_icrc(crc);
}

static void commit(struct mnet_roce_queue *rq, const struct msr_desc *d, u64 bytes)
{
	struct mos_queue *q = rq->q;

	msr_tx_commit(&q->tx, d);
	mos_stat_desc(q->to_ring, d->burst.nseg, bytes);
}

static void close_run(struct mnet_roce_queue *rq)
{
	struct mnet_coalesce *run = &rq->run;

	if (!run->open)
		return;
	run->open = false;
	msr_tx_trim(&rq->q->tx, MNET_RUN_ROOM, run->d.len);
	commit(rq, &run->d, run->bytes);
}

/* Returns true if the packet continues the open run. */
static bool continues(const struct mnet_coalesce *run, const struct packet *p)
{
	const struct msr_burst *m = &run->d.burst;

	if (!run->open || p->psn != run->next_psn || m->nseg == MSR_MAX_SEGS ||
	    run->d.len - run->d.hdr_len + p->payload > MSR_MAX_BURST_DATA)
		return false;
	if (p->opcode == run->next_mid)
		return p->payload == m->seg_len && mnet_roce_same_flow(run->data, p->head, &p->r);
	if (p->opcode == run->next_last || p->opcode == run->next_last_imm)
		return p->payload && p->payload <= m->seg_len && p->ext <= RUN_EXT_LAST &&
		       mnet_roce_same_flow(run->data, p->head, &p->r);
	return false;
}

/* Returns true if packets can follow this one in a burst. */
static bool begins_run(const struct packet *p, struct mos_op_run *next)
{
	return p->payload >= 256 && is_power_of_2(p->payload) &&
	       !(p->flags & (MSR_BURST_ACK_REQ | MSR_BURST_SOLICITED)) &&
	       mos_op_run(p->opcode, next);
}

/* Appends a packet that continues() accepted. Returns false, run unchanged, on a wrong ICRC. */
static bool append(struct mnet_roce_queue *rq, const struct sk_buff *skb, const struct packet *p)
{
	struct mnet_coalesce *run = &rq->run;
	struct msr_burst *m = &run->d.burst;
	u32 ext_at = p->base + m->ext_first;

	if (!take_payload(skb, p, run->data + run->d.len))
		return false;
	if (m->nseg > 1)
		m->op_mid = m->op_last;
	else
		m->op_mid = p->opcode;
	m->op_last = p->opcode;
	if (p->opcode != run->next_mid) {
		memcpy(run->data + ext_at, p->head + p->base, p->ext);
		m->ext_last = p->ext;
	}
	m->nseg++;
	run->d.flags = p->flags;
	run->d.len += p->payload;
	run->next_psn = mos_psn_add(p->psn, 1);
	run->bytes += skb->len;
	/* the flags belong to the last packet of a burst; so does what ends a message */
	if (p->opcode != run->next_mid || p->flags & (MSR_BURST_ACK_REQ | MSR_BURST_SOLICITED))
		close_run(rq);
	return true;
}

/*
 * Begins a run, or commits a packet that nothing can follow (@next NULL), in the ring's reservation
 * at @data, which is long enough. Returns false if the ICRC is wrong.
 */
static bool begin(struct mnet_roce_queue *rq, const struct sk_buff *skb, const struct packet *p,
		  u8 *data, u32 off, const struct mos_op_run *next)
{
	struct msr_desc d = {
		.off		= off,
		.type		= MSR_DESC_BURST,
		.flags		= p->flags,
		.hdr_len	= p->base + p->ext + (next ? RUN_EXT_LAST : 0),
		.burst = {
			.nseg		= 1,
			.seg_len	= p->payload,
			.op_mid		= p->opcode,
			.op_last	= p->opcode,
			.ext_first	= p->ext,
		},
	};
	struct mnet_coalesce *run = &rq->run;

	d.len = d.hdr_len + p->payload;
	memcpy(data, p->head, p->base + p->ext);
	if (!take_payload(skb, p, data + d.hdr_len))
		return false;
	if (!next) {
		commit(rq, &d, skb->len);
		return true;
	}
	memset(data + p->base + p->ext, 0, RUN_EXT_LAST);
	*run = (struct mnet_coalesce) {
		.open		= true,
		.data		= data,
		.d		= d,
		.next_mid	= next->mid,
		.next_last	= next->last,
		.next_last_imm	= next->last_ext,
		.next_psn	= mos_psn_add(p->psn, 1),
		.bytes		= skb->len,
	};
	return true;
}

/* Returns the reason to drop, MOS_STAT_FULL to try again later, or MOS_NR_STATS. */
static enum mos_stat enqueue(struct mnet_roce_queue *rq, const struct sk_buff *skb)
{
	struct mos_queue *q = rq->q;
	struct mos_op_run next;
	enum msr_result result;
	enum mos_stat drop;
	struct packet p;
	u8 *data = NULL;
	bool runs;
	u32 off;

	drop = dissect(skb, &p);
	if (unlikely(drop != MOS_NR_STATS))
		return drop;
	if (continues(&rq->run, &p))
		return append(rq, skb, &p) ? MOS_NR_STATS : MOS_STAT_DROP_ICRC;
	close_run(rq);
	runs = begins_run(&p, &next);
	if (runs)
		data = msr_tx_reserve(&q->tx, MNET_RUN_ROOM, &off, &result);
	if (!data) {
		/* nothing can follow, or a near-full ring has no room for more than this one */
		runs = false;
		data = msr_tx_reserve(&q->tx, p.base + p.ext + p.payload, &off, &result);
	}
	if (unlikely(!data)) {
		if (result == MSR_EMPTY)
			return MOS_STAT_FULL;
		mos_queue_fault(q, result, true, NULL);
		return MOS_STAT_DROP_DOWN;
	}
	return begin(rq, skb, &p, data, off, runs ? &next : NULL) ? MOS_NR_STATS
								  : MOS_STAT_DROP_ICRC;
}

netdev_tx_t mnet_roce_xmit(struct mnet_roce_queue *rq, struct sk_buff *skb)
{
	struct mos_queue *q = rq->q;
	enum mos_stat drop;

	if (unlikely(!mos_link_usable(q->link))) {
		mos_stat_add(q->to_ring, MOS_STAT_DROP_DOWN, 1);
		dev_kfree_skb_any(skb);
		return NETDEV_TX_OK;
	}
	drop = enqueue(rq, skb);
	if (likely(drop == MOS_NR_STATS)) {
		dev_consume_skb_any(skb);
	} else if (unlikely(drop == MOS_STAT_FULL)) {
		/* the run that was open took the room that was kept for one */
		mos_txq_finish(rq->txq, q, MNET_RUN_ROOM);
		return NETDEV_TX_BUSY;
	} else {
		mos_stat_add(q->to_ring, drop, 1);
		dev_kfree_skb_any(skb);
	}
	if (rq->run.open)
		napi_schedule(&rq->napi);
	else
		mos_txq_finish(rq->txq, q, MNET_RUN_ROOM);
	return NETDEV_TX_OK;
}

void mnet_roce_flush(struct mnet_roce_queue *rq)
{
	/* set in this softirq, or by another CPU, which schedules the poll afterwards */
	if (!READ_ONCE(rq->run.open))
		return;
	__netif_tx_lock(rq->txq, smp_processor_id());
	if (mos_link_usable(rq->q->link)) {
		close_run(rq);
		mos_txq_finish(rq->txq, rq->q, MNET_RUN_ROOM);
		mos_queue_publish(rq->q);
	}
	__netif_tx_unlock(rq->txq);
}

void mnet_roce_discard(struct mnet_roce_queue *rq)
{
	rq->run.open = false;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Bursts of the front to packets of the stack: cuts a burst into its packets, completes their
 * headers (lengths, checksums, identification, opcode, PSN, flags, pad) and adds pad and ICRC.
 *
 * RoCE has no congestion window to stop it at a slow NIC: packets that overflow a qdisc are lost
 * and come again. So the number of packets in flight in stack and NIC is bounded; beyond it
 * descriptors stay in the ring, and a full ring stops the front. A packet counts until the stack
 * orphans it: at the NIC when it is bridged, but already on the way in when it is routed, goes
 * through br_netfilter, or the bridge is promiscuous; then only the qdisc bounds.
 */
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/udp.h>

#include <net/ip.h>

#include "../guest-kmod-common/kcompat.h"
#include "mnet.h"
#include "roce.h"

/*
 * In packets, the unit of qdiscs: 256 are some bursts, so that the NIC is never idle, and leave
 * room to other traffic in the shortest common queue (pfifo_fast's 1000). The bandwidth-delay
 * product may be larger, as 1 MiB of path MTU 4096 is 84 us at 100 Gb/s: with a NIC that reports
 * sent packets late, or a qdisc that delays them (netem).
 */
static unsigned int roce_in_flight = 256;
module_param(roce_in_flight, uint, 0644);
MODULE_PARM_DESC(roce_in_flight, "RoCE packets that stack and NIC may hold at a time (default 256)");

/* A burst whose descriptor and headers have been copied and checked. */
struct burst {
	const struct msr_desc *d;
	struct mos_roce r;
	u8 head[MSR_MAX_BURST_HDR];	/* private copy of the template */
	const u8 *payload;		/* in the front's section: may change at any time */
	u32 payload_len;
};

/* Copies the template out and checks it. Returns false if it contradicts itself. */
static bool load(struct burst *b, const u8 *data)
{
	const struct msr_burst *m = &b->d->burst;

	memcpy(b->head, data, b->d->hdr_len);
	barrier();
	b->payload = data + b->d->hdr_len;
	b->payload_len = b->d->len - b->d->hdr_len;
	if (!mos_roce_parse(b->head, b->d->hdr_len, &b->r))
		return false;
	return !(b->head[b->r.bth + MNET_BTH_FLAGS] & MOS_BTH_TVER_MASK) &&
	       b->r.bth + MOS_BTH_LEN + m->ext_first + m->ext_last <= b->d->hdr_len;
}

/* Finds the extension headers of packet @i in the template. Returns their length. */
static u32 extension(const struct burst *b, u32 i, const u8 **ext)
{
	const struct msr_burst *m = &b->d->burst;
	u32 last = m->nseg - 1;

	*ext = b->head + b->r.bth + MOS_BTH_LEN;
	if (!last)
		return m->ext_first + m->ext_last;
	if (!i)
		return m->ext_first;
	*ext += m->ext_first;
	return i == last ? m->ext_last : 0;
}

static void complete_headers(const struct burst *b, u8 *pkt, u32 i, u32 udp_len, u32 pad)
{
	const struct msr_burst *m = &b->d->burst;
	struct udphdr *udp = (void *)pkt + b->r.udp;
	u8 *bth = pkt + b->r.bth;
	bool last = i == m->nseg - 1u;
	u32 psn;

	if (b->r.ipv6) {
		struct ipv6hdr *ip = (void *)pkt + b->r.l3;

		put_unaligned_be16(udp_len, &ip->payload_len);
	} else {
		struct iphdr *ip = (void *)pkt + b->r.l3;

		put_unaligned_be16(sizeof(*ip) + udp_len, &ip->tot_len);
		put_unaligned_be16(get_unaligned_be16(&ip->id) + i, &ip->id);
		ip->check = 0;
		ip->check = ip_fast_csum(ip, sizeof(*ip) / 4);
	}
	put_unaligned_be16(udp_len, &udp->len);
	udp->check = 0;

	if (i)
		bth[MNET_BTH_OPCODE] = last ? m->op_last : m->op_mid;
	bth[MNET_BTH_FLAGS] &= ~(MOS_BTH_SE | MOS_BTH_PAD);
	bth[MNET_BTH_FLAGS] |= pad << MOS_BTH_PAD_SHIFT;
	bth[MNET_BTH_ACK] &= ~MNET_BTH_ACK_REQ;
	if (last && b->d->flags & MSR_BURST_SOLICITED)
		bth[MNET_BTH_FLAGS] |= MOS_BTH_SE;
	if (last && b->d->flags & MSR_BURST_ACK_REQ)
		bth[MNET_BTH_ACK] |= MNET_BTH_ACK_REQ;
	psn = mos_psn_add(get_unaligned_be24(bth + MNET_BTH_PSN), i);
	put_unaligned_be24(psn, bth + MNET_BTH_PSN);
}

/*
 * At least twice the CPUs: if half of the packets could be in packet_done() at the same time, none
 * would see that it is the last.
 */
static int in_flight_max(void)
{
	return clamp(READ_ONCE(roce_in_flight), max(64u, 2 * nr_cpu_ids), 1u << 20);
}

/* The poll goes on when half of the packets have come back, not for each. */
static int in_flight_low(void)
{
	return in_flight_max() / 2;
}

/* Destructor: any context. The queue may be gone after the last decrement. */
static void packet_done(struct sk_buff *skb)
{
	struct mnet_roce_queue *rq = skb_shinfo(skb)->destructor_arg;

	if (READ_ONCE(rq->paused) && atomic_read(&rq->in_flight) <= in_flight_low() &&
	    xchg(&rq->paused, 0)) {
		/* A task would leave the softirq pending until the next interrupt. */
		bool task = !in_interrupt() && !irqs_disabled();

		if (task)
			local_bh_disable();
		napi_schedule(&rq->napi);
		if (task)
			local_bh_enable();
	}
	atomic_dec(&rq->in_flight);
}

/* Returns true if too many packets are in flight; packet_done() reschedules the poll. */
static bool pause(struct mnet_roce_queue *rq)
{
	if (atomic_read(&rq->in_flight) < in_flight_max())
		return false;
	WRITE_ONCE(rq->paused, 1);
	/*
	 * partner: xchg in packet_done. A destructor that misses the store has not counted down
	 * yet. If most have counted down, none may be left to see the store: look again.
	 */
	smp_mb();
	if (atomic_read(&rq->in_flight) <= in_flight_low() && xchg(&rq->paused, 0))
		return false;
	mos_stat_add(rq->q->from_ring, MOS_STAT_FULL, 1);
	return true;
}

void mnet_roce_drain(struct mnet_roce_queue *rq)
{
	unsigned int ms = 0;

	while (atomic_read(&rq->in_flight)) {
		if (++ms == 1000)
			dev_info(rq->mnet->link.cfg.dev, "waiting for the NIC to send %d packets\n",
				 atomic_read(&rq->in_flight));
		usleep_range(1000, 2000);
	}
	/*
	 * Destructors that counted down last may still run this module's text: in a softirq or with
	 * preemption off, or in a task that was preempted on its way out. Disabling preemption in
	 * packet_done() would not help: enabling it is still code of this module.
	 */
	synchronize_rcu();
	synchronize_rcu_tasks();
}

/* Makes packet @i of the burst, with @len bytes of payload at @off. NULL: no memory. */
static struct sk_buff *make_packet(struct mnet_roce_queue *rq, const struct burst *b, u32 i,
				   u32 off, u32 len)
{
	u32 base = b->r.bth + MOS_BTH_LEN;
	u32 pad = -len & 3;
	u32 ext_len, total, crc;
	struct sk_buff *skb;
	const u8 *ext;
	u8 *pkt, *body;

	ext_len = extension(b, i, &ext);
	total = base + ext_len + len + pad + MOS_ICRC_LEN;
	skb = napi_alloc_skb(&rq->napi, total);
	if (!skb)
		return NULL;
	pkt = skb_put(skb, total);
	memcpy(pkt, b->head, base);
	complete_headers(b, pkt, i, total - b->r.udp, pad);
	body = pkt + base;
	memcpy(body, ext, ext_len);
	memcpy(body + ext_len, b->payload + off, len);
	memset(body + ext_len + len, 0, pad);
	crc = mnet_roce_crc_base(pkt, &b->r);
	crc = mnet_roce_crc(crc, body, ext_len + len + pad);
	put_unaligned(mnet_roce_icrc(crc), (__le32 *)(body + ext_len + len + pad));

	skb->protocol = eth_type_trans(skb, rq->mnet->netdev);
	/* no UDP checksum to verify; the ICRC was made here */
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb_record_rx_queue(skb, MNET_TXQ_ROCE);
	skb_shinfo(skb)->destructor_arg = rq;
	skb->destructor = packet_done;
	atomic_inc(&rq->in_flight);
	return skb;
}

/* Hands the packets of one burst up as a list, so that the stack and a bridge see them together. */
static void receive_burst(struct mnet_roce_queue *rq, const struct msr_desc *d, const u8 *data)
{
	const struct msr_burst *m = &d->burst;
	struct mos_queue *q = rq->q;
	struct burst b;
	u32 i, off = 0, packets = 0, bytes = 0;
	LIST_HEAD(list);

	if (unlikely(!netif_running(rq->mnet->netdev))) {
		mos_stat_add(q->from_ring, MOS_STAT_DROP_DOWN, m->nseg);
		return;
	}
	b.d = d;
	if (unlikely(!load(&b, data))) {
		mos_stat_add(q->from_ring, MOS_STAT_DROP_HEADER, m->nseg);
		return;
	}
	for (i = 0; i < m->nseg; i++) {
		u32 len = i == m->nseg - 1u ? b.payload_len - off : m->seg_len;
		struct sk_buff *skb = make_packet(rq, &b, i, off, len);

		off += len;
		if (unlikely(!skb)) {
			mos_stat_add(q->from_ring, MOS_STAT_DROP_MEMORY, 1);
			continue;
		}
		bytes += skb->len + ETH_HLEN;
		packets++;
		list_add_tail(&skb->list, &list);
	}
	mos_stat_desc(q->from_ring, packets, bytes);
	netif_receive_skb_list(&list);
}

static struct mnet_roce_queue *roce_queue_of(struct napi_struct *napi)
{
	return container_of(napi, struct mnet_roce_queue, napi);
}

static void roce_begin(struct napi_struct *napi)
{
	struct mnet_roce_queue *rq = roce_queue_of(napi);

	mnet_roce_flush(rq);
	mos_txq_wake(rq->txq, rq->q, MNET_RUN_ROOM);
}

static bool roce_pause(struct napi_struct *napi)
{
	return pause(roce_queue_of(napi));
}

/* The budget counts packets, not bursts. */
static int roce_rx(struct napi_struct *napi, struct msr_desc *d, const u8 *data)
{
	receive_burst(roce_queue_of(napi), d, data);
	return d->burst.nseg;
}

int mnet_roce_poll(struct napi_struct *napi, int budget)
{
	static const struct mos_queue_ops ops = {
		.begin	= roce_begin,
		.pause	= roce_pause,
		.rx	= roce_rx,
	};

	return mos_queue_poll(roce_queue_of(napi)->q, napi, budget, &ops);
}

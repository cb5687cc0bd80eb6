// SPDX-License-Identifier: GPL-2.0
/*
 * Ethernet over a queue pair: skb to frame descriptor and back, NAPI, flow control. Frames
 * go with checksums still to be made and with segmentation still to be done, as over virtio-net.
 */
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "eth.h"

#define LINEAR_MAX	2048	/* longer frames go into pages */
#define HEADER_COPY	256	/* of which this much is linear */
#define CSUM_AT_MAX	1024	/* largest offset of a frame's checksum (SPEC.md) */
#define TCP_SEGMENT_MIN	8	/* of a super-frame; smaller ones would make thousands of one */
#define UDP_SEGMENTS_MAX 128	/* of a super-frame (SPEC.md); UDP_MAX_SEGMENTS may change */

/* Describes the skb's checksum and segmentation to the peer. */
static void describe(const struct sk_buff *skb, struct msr_desc *d)
{
	const struct skb_shared_info *info = skb_shinfo(skb);

	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		d->flags = MSR_FRAME_CSUM_PARTIAL;
		d->frame.csum_start = skb_checksum_start_offset(skb);
		d->frame.csum_offset = skb->csum_offset;
	} else if (skb->ip_summed == CHECKSUM_UNNECESSARY) {
		d->flags = MSR_FRAME_CSUM_VALID;
	}
	if (skb_is_gso(skb)) {
		if (info->gso_type & SKB_GSO_TCPV4)
			d->frame.gso_type = MSR_GSO_TCPV4;
		else if (info->gso_type & SKB_GSO_TCPV6)
			d->frame.gso_type = MSR_GSO_TCPV6;
		else
			d->frame.gso_type = MSR_GSO_UDP;
		if (info->gso_type & SKB_GSO_TCP_ECN)
			d->frame.gso_type |= MSR_GSO_ECN;
		d->frame.gso_size = info->gso_size;
		d->hdr_len = skb_transport_offset(skb);
		d->hdr_len += info->gso_type & SKB_GSO_UDP_L4 ? sizeof(struct udphdr) :
								tcp_hdrlen(skb);
	}
	d->frame.hash = skb->hash;
}

/* For the counters: packets that the frame becomes on the wire. */
static u32 wire_packets(const struct msr_desc *d)
{
	return d->frame.gso_size ? DIV_ROUND_UP(d->len - d->hdr_len, d->frame.gso_size) : 1;
}

void mos_txq_finish(struct netdev_queue *txq, struct mos_queue *q, u32 len)
{
	enum msr_result result;
	u32 off;

	if (!msr_tx_reserve(&q->tx, len, &off, &result)) {
		/*
		 * Stop before arming: the bell may come at once, and mos_txq_wake tests the flag.
		 * Another CPU may have seen the flag and left its qdisc alone: wake, not start.
		 */
		netif_tx_stop_queue(txq);
		if (mos_queue_wait_room(q, len))
			netif_tx_wake_queue(txq);
	}
	if (!netdev_xmit_more() || netif_xmit_stopped(txq))
		mos_queue_publish(q);
}

void mos_txq_drain(struct netdev_queue *txq, struct mos_queue *q)
{
	__netif_tx_lock_bh(txq);
	mos_queue_count_unsent(q);
	__netif_tx_unlock_bh(txq);
}

void mos_txq_wake(struct netdev_queue *txq, struct mos_queue *q, u32 len)
{
	if (likely(!netif_tx_queue_stopped(txq)))
		return;
	__netif_tx_lock(txq, smp_processor_id());
	if (netif_tx_queue_stopped(txq) && mos_link_usable(q->link) && mos_queue_wait_room(q, len))
		netif_tx_wake_queue(txq);
	__netif_tx_unlock(txq);
}

netdev_features_t mos_eth_features_check(struct sk_buff *skb, struct net_device *dev,
					 netdev_features_t features)
{
	const struct skb_shared_info *info = skb_shinfo(skb);

	features = vlan_features_check(skb, features);
	if (skb->ip_summed == CHECKSUM_PARTIAL &&
	    (u32)skb_checksum_start_offset(skb) + skb->csum_offset > CSUM_AT_MAX)
		return features & ~(NETIF_F_CSUM_MASK | NETIF_F_GSO_MASK);
	/* super-frames made by GRO: segments may be tiny, the checksum verified and not partial */
	if (skb_is_gso(skb) && (skb->ip_summed != CHECKSUM_PARTIAL ||
				(info->gso_type & (SKB_GSO_TCPV4 | SKB_GSO_TCPV6) &&
				 info->gso_size < TCP_SEGMENT_MIN)))
		features &= ~NETIF_F_GSO_MASK;
	return features;
}

netdev_tx_t mos_eth_xmit(struct mos_eth *eth, struct sk_buff *skb)
{
	struct msr_desc d = { .type = MSR_DESC_FRAME, .len = skb->len };
	struct mos_queue *q = eth->q;
	enum msr_result result;
	enum mos_stat drop;
	void *data;

	if (unlikely(!mos_link_usable(q->link))) {
		mos_stat_add(q->to_ring, MOS_STAT_DROP_DOWN, 1);
		dev_kfree_skb_any(skb);
		return NETDEV_TX_OK;
	}
	drop = MOS_STAT_DROP_SIZE;
	if (unlikely(skb->len < MSR_MIN_FRAME || skb->len > MSR_MAX_FRAME))
		goto err_drop;
	data = msr_tx_reserve(&q->tx, skb->len, &d.off, &result);
	if (unlikely(!data)) {
		/* the queue is stopped before this can happen, unless the peer is at fault */
		drop = MOS_STAT_DROP_DOWN;
		if (result == MSR_BAD_INDEX)
			mos_queue_fault(q, result, true, NULL);
		goto err_drop;
	}
	drop = MOS_STAT_DROP_HEADER;
	if (unlikely(skb_copy_bits(skb, 0, data, skb->len)))
		goto err_drop;
	describe(skb, &d);
	if (unlikely(!msr_check_frame(&d)))
		goto err_drop;
	msr_tx_commit(&q->tx, &d);
	mos_stat_desc(q->to_ring, wire_packets(&d), skb->len);
	skb_tx_timestamp(skb);
	dev_consume_skb_any(skb);
	mos_txq_finish(eth->txq, q, MSR_MAX_FRAME);
	return NETDEV_TX_OK;

err_drop:
	mos_stat_add(q->to_ring, drop, 1);
	dev_kfree_skb_any(skb);
	mos_txq_finish(eth->txq, q, MSR_MAX_FRAME);
	return NETDEV_TX_OK;
}

struct sk_buff *mos_skb_copy(struct napi_struct *napi, const void *data, u32 len)
{
	u32 linear = len <= LINEAR_MAX ? len : HEADER_COPY;
	struct sk_buff *skb;
	int err;

	if (linear == len) {
		skb = napi_alloc_skb(napi, len);
		if (!skb)
			return NULL;
	} else {
		skb = alloc_skb_with_frags(NET_SKB_PAD + NET_IP_ALIGN + linear, len - linear,
					   PAGE_ALLOC_COSTLY_ORDER, &err,
					   GFP_ATOMIC | __GFP_NOWARN);
		if (!skb)
			return NULL;
		skb_reserve(skb, NET_SKB_PAD + NET_IP_ALIGN);
		skb->dev = napi->dev;
	}
	memcpy(skb_put(skb, linear), data, linear);
	if (linear < len) {
		skb->len += len - linear;
		skb->data_len += len - linear;
		if (skb_store_bits(skb, linear, data + linear, len - linear)) {
			kfree_skb(skb);
			return NULL;
		}
	}
	return skb;
}

/*
 * Applies the descriptor's checksum and segmentation to the skb, whose data is our copy by now, by
 * the rules of virtio_net_hdr_to_skb(), which some kernels have without UDP segmentation. Returns
 * false if the descriptor contradicts the data.
 */
static bool apply(struct sk_buff *skb, const struct msr_desc *d)
{
	const struct msr_frame *f = &d->frame;
	unsigned int type;
	u32 header;

	skb_reset_mac_header(skb);
	if (d->flags & MSR_FRAME_CSUM_PARTIAL) {
		/* the pull below is bounded to the size of headers, not of a frame of 64 KiB */
		if ((u32)f->csum_start + f->csum_offset > CSUM_AT_MAX ||
		    f->csum_start < ETH_HLEN + sizeof(struct iphdr) ||
		    !pskb_may_pull(skb, (u32)f->csum_start + f->csum_offset + sizeof(__sum16)) ||
		    !skb_partial_csum_set(skb, f->csum_start, f->csum_offset))
			return false;
	} else if (d->flags & MSR_FRAME_CSUM_VALID) {
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	}
	if (f->gso_type == MSR_GSO_NONE)
		return true;
	/* msr_check_frame: with segmentation comes a partial checksum, so csum_start is known */
	switch (f->gso_type & ~MSR_GSO_ECN) {
	case MSR_GSO_TCPV4:
		type = SKB_GSO_TCPV4;
		break;
	case MSR_GSO_TCPV6:
		type = SKB_GSO_TCPV6;
		break;
	default:
		type = SKB_GSO_UDP_L4;
	}
	if (type == SKB_GSO_UDP_L4) {
		header = f->csum_start + sizeof(struct udphdr);
		if (f->csum_offset != offsetof(struct udphdr, check) || header >= skb->len ||
		    skb->len - header > (u32)f->gso_size * UDP_SEGMENTS_MAX)
			return false;
	} else {
		header = f->csum_start + sizeof(struct tcphdr);
		if (f->csum_offset != offsetof(struct tcphdr, check) ||
		    f->gso_size < TCP_SEGMENT_MIN)
			return false;
	}
	if (!pskb_may_pull(skb, header) || f->gso_size == GSO_BY_FRAGS)
		return false;
	if (skb->len - header <= f->gso_size)
		return true;	/* one segment: nothing to cut */
	if (f->gso_type & MSR_GSO_ECN)
		type |= SKB_GSO_TCP_ECN;
	/*
	 * Only now: a pull may have moved the shared info. SKB_GSO_DODGY: the stack checks the
	 * headers, which are the peer's, and counts segments itself.
	 */
	skb_shinfo(skb)->gso_type = type | SKB_GSO_DODGY;
	skb_shinfo(skb)->gso_size = f->gso_size;
	skb_shinfo(skb)->gso_segs = 0;
	return true;
}

static void eth_receive(struct mos_eth *eth, const struct msr_desc *d, const u8 *data)
{
	struct mos_queue *q = eth->q;
	struct sk_buff *skb;

	if (unlikely(!netif_running(eth->dev))) {
		mos_stat_add(q->from_ring, MOS_STAT_DROP_DOWN, 1);
		return;
	}
	skb = mos_skb_copy(&eth->napi, data, d->len);
	if (unlikely(!skb)) {
		mos_stat_add(q->from_ring, MOS_STAT_DROP_MEMORY, 1);
		return;
	}
	if (unlikely(!apply(skb, d))) {
		mos_stat_add(q->from_ring, MOS_STAT_DROP_HEADER, 1);
		kfree_skb(skb);
		return;
	}
	mos_stat_desc(q->from_ring, wire_packets(d), d->len);
	skb_record_rx_queue(skb, q->info.index);
	skb->protocol = eth_type_trans(skb, eth->dev);
	if (d->frame.hash)
		skb_set_hash(skb, d->frame.hash, PKT_HASH_TYPE_L4);
	napi_gro_receive(&eth->napi, skb);
}

static void eth_begin(struct napi_struct *napi)
{
	struct mos_eth *eth = container_of(napi, struct mos_eth, napi);

	mos_txq_wake(eth->txq, eth->q, MSR_MAX_FRAME);
}

static int eth_rx(struct napi_struct *napi, struct msr_desc *d, const u8 *data)
{
	eth_receive(container_of(napi, struct mos_eth, napi), d, data);
	return 1;
}

static int eth_poll(struct napi_struct *napi, int budget)
{
	static const struct mos_queue_ops ops = { .begin = eth_begin, .rx = eth_rx };

	return mos_queue_poll(container_of(napi, struct mos_eth, napi)->q, napi, budget, &ops);
}

void mos_netdev_init(struct net_device *dev, struct mos_link *link)
{
	*(struct mos_link **)netdev_priv(dev) = link;
	SET_NETDEV_DEV(dev, link->cfg.dev);
	dev->ethtool_ops = &mos_ethtool_ops;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = MOS_ETH_MAX_MTU;
	dev->hw_features = MOS_ETH_FEATURES;
	dev->features = MOS_ETH_FEATURES;
	dev->vlan_features = MOS_ETH_FEATURES;
	netif_carrier_off(dev);
}

void mos_eth_init(struct mos_eth *eth, struct net_device *dev, struct mos_queue *q,
		  unsigned int index)
{
	eth->dev = dev;
	eth->q = q;
	eth->txq = netdev_get_tx_queue(dev, index);
	netif_napi_add(dev, &eth->napi, eth_poll);
}

void mos_eth_bell(struct mos_eth *eth)
{
	napi_schedule(&eth->napi);
}

void mos_eth_up(struct mos_eth *eth)
{
	netif_tx_wake_queue(eth->txq);
	mos_queue_start(&eth->napi);
}

void mos_eth_down(struct mos_eth *eth)
{
	mos_txq_drain(eth->txq, eth->q);
	napi_disable(&eth->napi);
}

void mos_link_stats64(const struct mos_link *link, struct rtnl_link_stats64 *stats)
{
	unsigned int i, j;

	for (i = 0; i < link->nr_queues; i++) {
		const struct mos_queue *q = &link->queue[i];

		stats->tx_packets += READ_ONCE(q->to_ring[MOS_STAT_PACKETS]);
		stats->tx_bytes += READ_ONCE(q->to_ring[MOS_STAT_BYTES]);
		stats->rx_packets += READ_ONCE(q->from_ring[MOS_STAT_PACKETS]);
		stats->rx_bytes += READ_ONCE(q->from_ring[MOS_STAT_BYTES]);
		for (j = MOS_STAT_DROP_DOWN; j < MOS_NR_STATS; j++) {
			stats->tx_dropped += READ_ONCE(q->to_ring[j]);
			stats->rx_dropped += READ_ONCE(q->from_ring[j]);
		}
	}
}

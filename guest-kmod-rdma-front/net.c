// SPDX-License-Identifier: GPL-2.0
/*
 * From an address to bytes on the wire: address vectors, and the headers of a
 * burst in the ring's memory. A vector is everything before the BTH, made once;
 * a burst copies it, adds what differs, and leaves room for the payload at a
 * cache line's start. Lengths and checksums stay zero: the back OS fills them in.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <net/ipv6.h>
#include <rdma/ib_addr.h>
#include <rdma/ib_cache.h>

#include "follow.h"
#include "mrdma.h"
#include "trace.h"

/*
 * What an address handle says of these two is for InfiniBand's header. A hop limit of 0 there
 * means "not beyond the subnet", which in IP, where no host may send 0, is 1 (RFC 1122, 3.2.1.7).
 * The two lower bits of the traffic class are ECN's: they would promise that the sender slows down
 * when it is told of congestion. This device does not, so they stay zero, and the
 * network drops instead of marking. Hardware keeps them from applications, too.
 */
static u8 hops(const struct ib_global_route *grh)
{
	return grh->hop_limit ?: 1;
}

static u8 traffic_class(const struct ib_global_route *grh)
{
	return grh->traffic_class & ~MRDMA_ECN_MASK;
}

static void put_ipv4(struct mrdma_av *av, const struct ib_global_route *grh)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tos = traffic_class(grh),
		.frag_off = htons(IP_DF),
		.ttl = hops(grh),
		.protocol = IPPROTO_UDP,
	};

	memcpy(&ip.saddr, grh->sgid_attr->gid.raw + 12, 4);
	memcpy(&ip.daddr, grh->dgid.raw + 12, 4);
	memcpy(av->hdr + av->l3, &ip, sizeof(ip));
	av->len = av->l3 + sizeof(ip);
}

static void put_ipv6(struct mrdma_av *av, const struct ib_global_route *grh)
{
	struct ipv6hdr ip = {
		.nexthdr = IPPROTO_UDP,
		.hop_limit = hops(grh),
	};

	ip6_flow_hdr(&ip, traffic_class(grh), htonl(grh->flow_label & 0xfffff));
	memcpy(&ip.saddr, grh->sgid_attr->gid.raw, 16);
	memcpy(&ip.daddr, grh->dgid.raw, 16);
	memcpy(av->hdr + av->l3, &ip, sizeof(ip));
	av->len = av->l3 + sizeof(ip);
}

/*
 * @attr's source GID is referenced by the caller; ib_core has resolved the destination's MAC, and
 * follow.c keeps it right in what has the vector. @sleepable: the caller may sleep, and the MAC
 * address is looked up again. Of an address handle, which any QP may use to any other, @lqpn and
 * @rqpn are 0.
 */
int mrdma_av_init(struct mrdma_dev *dev, const struct rdma_ah_attr *attr, u32 lqpn, u32 rqpn,
		  bool sleepable, struct mrdma_av *av)
{
	const struct ib_global_route *grh = &attr->grh;
	struct udphdr udp = { .dest = htons(MRDMA_UDP_PORT) };
	u16 vlan = 0xffff, proto;
	struct ethhdr eth;
	bool mcast;
	int err;

	if (!grh->sgid_attr)
		return -EINVAL;
	err = rdma_read_gid_l2_fields(grh->sgid_attr, &vlan, eth.h_source);
	if (err)
		return err;
	/* ib_core leaves it zero if the source's netdev resolves none; a group's is never zero */
	if (is_zero_ether_addr(attr->roce.dmac))
		return -EHOSTUNREACH;
	ether_addr_copy(eth.h_dest, attr->roce.dmac);
	/* what the kernel's connection manager resolved when it connected may be long ago */
	mcast = rdma_is_multicast_addr((struct in6_addr *)grh->dgid.raw);
	if (!mcast && sleepable)
		mrdma_next_hop(grh->sgid_attr, &grh->dgid, eth.h_dest);

	memset(av, 0, sizeof(*av));
	av->source = mrdma_gid_netdev(grh->sgid_attr);
	switch (rdma_gid_attr_network_type(grh->sgid_attr)) {
	case RDMA_NETWORK_IPV4:
		if (!ipv6_addr_v4mapped((const struct in6_addr *)&grh->dgid))
			return -EINVAL;
		proto = ETH_P_IP;
		break;
	case RDMA_NETWORK_IPV6:
		av->ipv6 = true;
		proto = ETH_P_IPV6;
		break;
	default:
		return -EINVAL;
	}

	av->l3 = ETH_HLEN;
	eth.h_proto = htons(proto);
	if (vlan < VLAN_N_VID) {
		__be16 tag[2] = { htons((attr->sl & 7) << VLAN_PRIO_SHIFT | vlan), htons(proto) };

		eth.h_proto = htons(ETH_P_8021Q);
		memcpy(av->hdr + ETH_HLEN, tag, sizeof(tag));
		av->l3 += sizeof(tag);
	}
	memcpy(av->hdr, &eth, sizeof(eth));
	if (av->ipv6)
		put_ipv6(av, grh);
	else
		put_ipv4(av, grh);
	/* what tells flows apart on their way: the label if there is one, else the two QPs */
	av->qp_port = !grh->flow_label && !lqpn;
	udp.source = htons(rdma_get_udp_sport(grh->flow_label, lqpn, rqpn));
	memcpy(av->hdr + av->len, &udp, sizeof(udp));
	av->len += sizeof(udp);
	av->loop = mrdma_own_mac(dev, eth.h_dest);
	av->mcast = mcast;
	return 0;
}

u32 mrdma_tx_max(const struct mrdma_av *av)
{
	return av->loop ? MRDMA_LOOP_BURST : MSR_MAX_BURST_DATA;
}

void mrdma_tx_begin(struct mrdma_tx *tx, struct mrdma_dev *dev)
{
	tx->dev = dev;
	tx->held = false;
	tx->pkt = NULL;
	tx->copy = NULL;
	tx->ring_end = 0;
}

static enum mrdma_tx_result reserve(struct mrdma_tx *tx, struct mrdma_qp *qp,
				    const struct mrdma_tmpl *t, u32 len, u32 *off, u8 **room)
{
	struct mrdma_dev *dev = tx->dev;
	bool full;

	/* it stands in line already */
	if (qp->waiting && !t->urgent)
		return MRDMA_TX_FULL;
	/* what was reserved and not committed is given up */
	kfree(tx->pkt);
	tx->pkt = NULL;

	if (t->av->loop) {
		tx->pkt = mrdma_loop_reserve(dev, &qp->loop_waiter, len, t->urgent, &full);
		if (!tx->pkt && full) {
			qp->waiting = true;
			qp->waits_for_loop = true;
			return MRDMA_TX_FULL;
		}
		if (!tx->pkt)
			return MRDMA_TX_LOST;
		*off = 0;
		*room = tx->pkt->data;
		return MRDMA_TX_OK;
	}

	/* a port that is down sends nothing; what is on its way inside the device arrives */
	if (!netif_running(dev->netdev))
		return MRDMA_TX_LOST;
	if (!tx->held) {
		if (!mrdma_chan_lock(dev->chan))
			return MRDMA_TX_LOST;
		tx->held = true;
	}
	*room = mrdma_chan_reserve(dev->chan, &qp->waiter, len, t->urgent, off);
	if (*room)
		return MRDMA_TX_OK;
	qp->waiting = true;
	qp->waits_for_loop = false;
	return MRDMA_TX_FULL;
}

/*
 * Writes the headers of burst @t and hands out where its payload goes; *@d is
 * for mrdma_tx_commit. Not committing gives it up.
 */
enum mrdma_tx_result mrdma_tx_burst(struct mrdma_tx *tx, struct mrdma_qp *qp,
				    const struct mrdma_tmpl *t, struct msr_desc *d, u8 **payload)
{
	const struct mrdma_av *av = t->av;
	u32 ext = t->ext_first + t->ext_last;
	u32 hdr_len = ALIGN(av->len + (u32)sizeof(struct mrdma_bth) + ext, MSR_CACHE_LINE);
	u32 pad = t->nseg == 1 ? -t->payload & 3 : 0;
	enum mrdma_tx_result result;
	struct mrdma_bth bth;
	u8 *room;
	u32 off;

	if (!t->payload)
		hdr_len = av->len + sizeof(bth) + ext;
	result = reserve(tx, qp, t, hdr_len + t->payload, &off, &room);
	if (result != MRDMA_TX_OK)
		return result;

	tx->copy = av->mcast && mrdma_mcast_wanted(tx->dev, av) ? room : NULL;
	memcpy(room, av->hdr, av->len);
	if (!av->ipv6) {
		__be16 id = htons(qp->ip_id);

		memcpy(room + av->l3 + offsetof(struct iphdr, id), &id, sizeof(id));
		qp->ip_id += t->nseg;
	}
	if (av->qp_port) {
		__be16 port = htons(rdma_get_udp_sport(0, qp->ibqp.qp_num, t->dqpn));

		memcpy(room + av->len - sizeof(struct udphdr) + offsetof(struct udphdr, source),
		       &port, sizeof(port));
	}
	bth.opcode = t->op_first;
	bth.flags = MRDMA_BTH_M | pad << MRDMA_BTH_PAD_SHIFT;
	if (t->nseg == 1 && t->solicited)
		bth.flags |= MRDMA_BTH_SE;
	bth.pkey = htons(MRDMA_PKEY);
	bth.qpn = htonl(t->dqpn);
	bth.apsn = htonl(t->psn | (t->nseg == 1 && t->ack_req ? MRDMA_BTH_ACKREQ : 0));
	memcpy(room + av->len, &bth, sizeof(bth));
	memcpy(room + av->len + sizeof(bth), t->ext, ext);

	*d = (struct msr_desc) {
		.off = off,
		.len = hdr_len + t->payload,
		.type = MSR_DESC_BURST,
		.flags = (t->ack_req ? MSR_BURST_ACK_REQ : 0) |
			 (t->solicited ? MSR_BURST_SOLICITED : 0),
		.hdr_len = hdr_len,
		.burst = {
			.nseg = t->nseg,
			.seg_len = t->seg_len,
			.op_mid = t->nseg > 2 ? t->op_mid : t->op_last,
			.op_last = t->op_last,
			.ext_first = t->ext_first,
			.ext_last = t->ext_last,
		},
	};
	tx->qp = qp;
	tx->t = t;
	*payload = room + hdr_len;
	return MRDMA_TX_OK;
}

void mrdma_tx_commit(struct mrdma_tx *tx, const struct msr_desc *d)
{
	const struct mrdma_tmpl *t = tx->t;

	trace_mrdma_send(t->dqpn, t->op_first, t->psn, t->nseg, t->payload, t->ack_req);
	mrdma_count(tx->dev, MRDMA_CNT_SENT_PKTS, d->burst.nseg);
	if (tx->pkt) {
		tx->pkt->d = *d;
		mrdma_loop_commit(tx->dev, &tx->qp->loop_waiter, tx->pkt);
		tx->pkt = NULL;
		return;
	}
	if (tx->copy)
		mrdma_loop_copy(tx->dev, d, tx->copy);
	tx->copy = NULL;
	tx->ring_end = mrdma_chan_commit(tx->dev->chan, d);
}

/* A burst without payload. */
enum mrdma_tx_result mrdma_tx_headers(struct mrdma_tx *tx, struct mrdma_qp *qp,
				      const struct mrdma_tmpl *t)
{
	enum mrdma_tx_result result;
	struct msr_desc d;
	u8 *payload;

	result = mrdma_tx_burst(tx, qp, t, &d, &payload);
	if (result == MRDMA_TX_OK)
		mrdma_tx_commit(tx, &d);
	return result;
}

void mrdma_tx_end(struct mrdma_tx *tx)
{
	kfree(tx->pkt);
	tx->pkt = NULL;
	if (tx->held)
		mrdma_chan_unlock(tx->dev->chan);
	tx->held = false;
}

void mrdma_tx_end_turn(struct mrdma_qp *qp)
{
	struct mrdma_dev *dev = mrdma_qp_dev(qp);

	lockdep_assert_held(&qp->lock);
	/*
	 * In line again, its next turn there may have been given already. What a datagram QP has left
	 * of a turn at the other place it must not take along into the line: QPs that wait at the
	 * ring with turns at the loop, and the other way round, would wait for each other.
	 */
	if (!qp->waiting || qp->waits_for_loop)
		mrdma_chan_end_turn(dev->chan, &qp->waiter);
	if (!qp->waiting || !qp->waits_for_loop)
		mrdma_loop_end_turn(dev, &qp->loop_waiter);
}

bool mrdma_tx_holds(struct mrdma_qp *qp)
{
	lockdep_assert_held(&qp->lock);
	/* the loop is never held up */
	return !qp->av.loop && mrdma_chan_holds(mrdma_qp_dev(qp)->chan, qp->req.ring_end);
}

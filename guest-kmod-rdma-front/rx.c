// SPDX-License-Identifier: GPL-2.0
/*
 * Bursts from the ring and the loop: every header field is checked here, on a private copy, before
 * a QP sees the burst. QPs that then have something to send are collected per CPU and run once at
 * the end of the batch, which is where acknowledgements coalesce.
 */
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/percpu.h>
#include <rdma/ib_cache.h>

#include "mcast.h"
#include "requester.h"
#include "responder.h"
#include "rx.h"
#include "trace.h"

#define FLUSH_BYTES	(1u << 20)	/* sent at the end of a batch, more or less */

int mrdma_rx_init(struct mrdma_dev *dev)
{
	int cpu;

	dev->poll = alloc_percpu(struct mrdma_poll);
	if (!dev->poll)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		local_lock_init(&per_cpu_ptr(dev->poll, cpu)->lock);
		INIT_LIST_HEAD(&per_cpu_ptr(dev->poll, cpu)->qps);
	}
	return 0;
}

/* Every list is empty: it is so at the end of each batch, and no batch begins any more. */
void mrdma_rx_uninit(struct mrdma_dev *dev)
{
	free_percpu(dev->poll);
}

/* Ethernet, IP and UDP. MRDMA_CNT_RCVD_PKTS, or what keeps the packet out */
static enum mrdma_counter parse_l4(struct mrdma_dev *dev, struct mrdma_burst *b, u32 hdr_len)
{
	const struct ethhdr *eth = (const void *)b->hdr;
	struct mos_roce r;
	bool mcast_ip;
	u8 tclass;

	b->mcast = is_multicast_ether_addr(eth->h_dest);
	if (!b->mcast && !mrdma_own_mac(dev, eth->h_dest))
		return MRDMA_CNT_BAD_ADDRESS;
	if (!mos_roce_parse(b->hdr, hdr_len, &r) ||
	    r.bth + sizeof(struct mos_bth) + b->ext_first + b->ext_last > hdr_len)
		return MRDMA_CNT_MALFORMED;
	b->l3 = r.l3;
	b->bth = r.bth;
	b->ipv6 = r.ipv6;
	if (b->ipv6) {
		struct ipv6hdr ip;

		memcpy(&ip, b->hdr + r.l3, sizeof(ip));
		mcast_ip = ipv6_addr_is_multicast(&ip.daddr);
		/* its lower four bits are in the second byte */
		tclass = ip.flow_lbl[0] >> 4;
	} else {
		struct iphdr ip;

		memcpy(&ip, b->hdr + r.l3, sizeof(ip));
		mcast_ip = ipv4_is_multicast(ip.daddr);
		tclass = ip.tos;
	}
	if (b->mcast != mcast_ip)
		return MRDMA_CNT_BAD_ADDRESS;
	b->marked = (tclass & MOS_ECN_MASK) == MOS_ECN_CE;
	return MRDMA_CNT_RCVD_PKTS;
}

/* Opcodes against each other, extension headers and lengths */
static bool check_ops(const struct mrdma_burst *b, const struct mos_bth *bth)
{
	const struct mos_op_info *first = &mos_op[b->op_first];
	const struct mos_op_info *mid = &mos_op[b->op_mid];
	const struct mos_op_info *last = &mos_op[b->op_last];
	const u32 same = MOP_RC | MOP_UC | MOP_UD | MOP_KIND | MOP_RESP | MOP_PAYLOAD;
	u32 pad = bth->flags >> MOS_BTH_PAD_SHIFT & MOS_BTH_PAD_MASK;

	if (!first->flags)
		return false;
	if (b->nseg == 1)
		return first->ext == b->ext_first + b->ext_last &&
		       pad == (-b->len & 3) && (!b->len || first->flags & MOP_PAYLOAD);

	if (((first->flags ^ last->flags) | (first->flags ^ mid->flags)) & same ||
	    !(first->flags & MOP_PAYLOAD))
		return false;
	return !(first->flags & MOP_END) && !(last->flags & MOP_START) &&
	       !(b->nseg > 2 && mid->flags & (MOP_START | MOP_END)) &&
	       first->ext == b->ext_first && last->ext == b->ext_last && !pad;
}

/*
 * A packet of a connection comes from where the QP is connected to and goes to the QP's own
 * address, in its VLAN.
 */
static bool same_path(const struct mrdma_burst *b, const struct mrdma_av *av)
{
	const u8 *in = b->hdr + b->l3, *out = av->hdr + av->l3;

	if (b->ipv6 != av->ipv6 ||
	    mrdma_hdr_vlan(b->hdr, b->l3) != mrdma_hdr_vlan(av->hdr, av->l3))
		return false;
	if (b->ipv6)
		return !memcmp(in + 8, out + 24, 16) && !memcmp(in + 24, out + 8, 16);
	return !memcmp(in + 12, out + 16, 4) && !memcmp(in + 16, out + 12, 4);
}

/* MRDMA_CNT_RCVD_PKTS: the QP has looked at it */
static enum mrdma_counter rx_deliver(struct mrdma_dev *dev, struct mrdma_qp *qp,
				  const struct mrdma_burst *b)
{
	u32 flags = mos_op[b->op_first].flags;

	lockdep_assert_held(&qp->lock);
	if (flags & MOP_UD) {
		if (qp->ibqp.qp_type != IB_QPT_UD && qp->ibqp.qp_type != IB_QPT_GSI)
			return MRDMA_CNT_QP_STATE;
		if (qp->state < IB_QPS_RTR || qp->state == IB_QPS_ERR)
			return MRDMA_CNT_QP_STATE;
		mrdma_ud_rx(qp, b);
		return MRDMA_CNT_RCVD_PKTS;
	}
	if (qp->ibqp.qp_type != (flags & MOP_RC ? IB_QPT_RC : IB_QPT_UC) ||
	    qp->state < IB_QPS_RTR || qp->state == IB_QPS_ERR)
		return MRDMA_CNT_QP_STATE;
	if (!same_path(b, &qp->av))
		return MRDMA_CNT_BAD_ADDRESS;
	if (qp->state == IB_QPS_RTR && !qp->comm_est && !(flags & MOP_RESP)) {
		qp->comm_est = true;
		mrdma_qp_event(qp, IB_EVENT_COMM_EST);
	}
	if (flags & MOP_UC) {
		/* the state of a broken send queue, SQE, is none of the receiver's business */
		mrdma_uc_rx(qp, b);
	} else if (flags & MOP_RESP) {
		if (qp->state != IB_QPS_RTS && qp->state != IB_QPS_SQD)
			return MRDMA_CNT_QP_STATE;
		mrdma_comp_rx(qp, b);
	} else {
		if (qp->state != IB_QPS_RTR && qp->state != IB_QPS_RTS &&
		    qp->state != IB_QPS_SQD)
			return MRDMA_CNT_QP_STATE;
		mrdma_resp_rx(qp, b);
	}
	return MRDMA_CNT_RCVD_PKTS;
}

/* Takes over the reference. Where the packet is to be counted */
static enum mrdma_counter rx_to_qp(struct mrdma_dev *dev, struct mrdma_qp *qp,
				   const struct mrdma_burst *b)
{
	enum mrdma_counter where;

	mrdma_qp_lock(qp);
	where = rx_deliver(dev, qp, b);
	if (where == MRDMA_CNT_RCVD_PKTS && !qp->polled) {
		qp->polled = true;
		local_lock_nested_bh(&dev->poll->lock);
		list_add_tail(&qp->poll_entry, &this_cpu_ptr(dev->poll)->qps);
		local_unlock_nested_bh(&dev->poll->lock);
		mrdma_qp_unlock(qp);
		/* the list keeps the reference */
	} else {
		mrdma_qp_unlock(qp);
		mrdma_qp_put(qp);
	}
	return where;
}

/*
 * Softirq. @d has passed msr_check_desc(); @data may change while it is read. Returns how many
 * QPs it was for, one at least: that many units of work.
 */
u32 mrdma_rx_burst(struct mrdma_dev *dev, const struct msr_desc *d, const u8 *data)
{
	enum mrdma_counter where;
	struct mrdma_burst b;
	struct mos_bth bth;
	struct mrdma_qp *qp;
	u32 apsn, qpn, n = 1;

	memcpy(b.hdr, data, d->hdr_len);
	/* a short header is padded, so that no field is read from the stack's past */
	memset(b.hdr + d->hdr_len, 0, sizeof(b.hdr) - d->hdr_len);
	b.ext_first = d->burst.ext_first;
	b.ext_last = d->burst.ext_last;
	where = parse_l4(dev, &b, d->hdr_len);
	if (where != MRDMA_CNT_RCVD_PKTS)
		goto out;
	if (b.marked)
		mrdma_count(dev, MRDMA_CNT_ECN, d->burst.nseg);

	memcpy(&bth, b.hdr + b.bth, sizeof(bth));
	apsn = ntohl(bth.apsn);
	b.nseg = d->burst.nseg;
	b.seg_len = d->burst.seg_len;
	b.op_first = bth.opcode;
	b.op_last = b.nseg > 1 ? d->burst.op_last : bth.opcode;
	b.op_mid = b.nseg > 2 ? d->burst.op_mid : b.op_last;
	b.psn = apsn & MOS_PSN_MASK;
	b.payload = data + d->hdr_len;
	b.len = d->len - d->hdr_len;
	b.ack_req = d->flags & MSR_BURST_ACK_REQ ||
		    (b.nseg == 1 && apsn & MOS_BTH_ACKREQ);
	b.solicited = d->flags & MSR_BURST_SOLICITED ||
		      (b.nseg == 1 && bth.flags & MOS_BTH_SE);
	where = MRDMA_CNT_CNP;
	if (bth.opcode == MOS_OP_CNP && b.nseg == 1)
		goto out;
	where = MRDMA_CNT_MALFORMED;
	if (bth.flags & MOS_BTH_TVER_MASK || !check_ops(&b, &bth))
		goto out;
	where = MRDMA_CNT_BAD_PKEY;
	if ((ntohs(bth.pkey) & 0x7fff) != (MOS_PKEY & 0x7fff))
		goto out;

	qpn = ntohl(bth.qpn) & MOS_QPN_MASK;
	trace_mrdma_receive(qpn, b.op_first, b.psn, b.nseg, b.len, b.ack_req);
	where = MRDMA_CNT_NO_QP;
	if (b.mcast) {
		if (qpn == MOS_MCAST_QPN && mos_op[b.op_first].flags & MOP_UD)
			n = mrdma_mcast_rx(dev, &b, rx_to_qp);
		else
			n = 0;
		if (n)
			where = MRDMA_CNT_RCVD_PKTS;
	} else {
		qp = mrdma_qp_get(dev, qpn);
		if (qp)
			where = rx_to_qp(dev, qp, &b);
	}
out:
	mrdma_count(dev, where, d->burst.nseg);
	return max(n, 1u);
}

static struct mrdma_qp *next_polled(struct mrdma_dev *dev)
{
	struct mrdma_qp *qp;

	local_lock_nested_bh(&dev->poll->lock);
	qp = list_first_entry_or_null(&this_cpu_ptr(dev->poll)->qps, struct mrdma_qp, poll_entry);
	if (qp)
		list_del(&qp->poll_entry);
	local_unlock_nested_bh(&dev->poll->lock);
	return qp;
}

/* Softirq: end of a batch on this CPU. What is too much for one batch is left to tasklets. */
void mrdma_rx_flush(struct mrdma_dev *dev)
{
	struct mrdma_qp *qp;
	u32 sent = 0;

	while ((qp = next_polled(dev))) {
		mrdma_qp_lock(qp);
		qp->polled = false;
		if (sent < FLUSH_BYTES)
			sent += mrdma_qp_run(qp);
		else
			tasklet_schedule(&qp->task);
		mrdma_qp_unlock(qp);
		mrdma_qp_put(qp);
	}
}

/* From the ring: as mrdma_rx_burst(), if the port is up. */
u32 mrdma_rx(struct mrdma_dev *dev, const struct msr_desc *d, const u8 *data)
{
	if (likely(netif_running(dev->netdev)))
		return mrdma_rx_burst(dev, d, data);
	mrdma_count(dev, MRDMA_CNT_PORT_DOWN, d->burst.nseg);
	return 1;
}

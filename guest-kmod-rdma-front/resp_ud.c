// SPDX-License-Identifier: GPL-2.0
/* Receiver of datagrams: one packet, one receive request, and who may send to it. */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <rdma/ib_cache.h>
#include <rdma/ib_mad.h>

#include "cq.h"
#include "mem.h"
#include "responder.h"

/* Is the GID there in this VLAN? Any netdev's will do when @ndev is NULL. */
static bool have_gid(struct mrdma_dev *dev, const union ib_gid *gid, struct net_device *ndev,
		     u16 want)
{
	const struct ib_gid_attr *attr;
	u16 vlan = MRDMA_NO_VLAN;
	bool right;

	attr = rdma_find_gid_by_port(&dev->ibdev, gid, IB_GID_TYPE_ROCE_UDP_ENCAP, 1, ndev);
	if (IS_ERR(attr))
		return false;
	right = !rdma_read_gid_l2_fields(attr, &vlan, NULL) && vlan == want;
	rdma_put_gid_attr(attr);
	return right;
}

/* Is the packet's destination one of this device's addresses, in the packet's VLAN? */
static bool own_address(struct mrdma_dev *dev, const struct mrdma_burst *b)
{
	u16 vlan = mrdma_hdr_vlan(b->hdr, b->l3);
	struct net_device *ndev = dev->netdev;
	union ib_gid gid;
	bool found;

	mrdma_hdr_dgid(b->hdr + b->l3, b->ipv6, &gid);
	/* the same address may be there in several VLANs, and this finds one of them */
	if (have_gid(dev, &gid, NULL, vlan))
		return true;
	rcu_read_lock();
	if (vlan != MRDMA_NO_VLAN)
		ndev = __vlan_find_dev_deep_rcu(dev->netdev, htons(ETH_P_8021Q), vlan);
	found = ndev && have_gid(dev, &gid, ndev, vlan);
	rcu_read_unlock();
	return found;
}

/* The 40 bytes in front of a datagram: the IPv6 header, or an IPv4 header in their second half */
static void make_grh(u8 *grh, const struct mrdma_burst *b)
{
	memset(grh, 0, sizeof(struct ib_grh));
	if (b->ipv6)
		memcpy(grh, b->hdr + b->l3, sizeof(struct ipv6hdr));
	else
		memcpy(grh + sizeof(struct ib_grh) - sizeof(struct iphdr), b->hdr + b->l3,
		       sizeof(struct iphdr));
}

/* Datagrams that do not fit in are dropped without a trace but a counter, as the wire may do. */
void mrdma_ud_rx(struct mrdma_qp *qp, const struct mrdma_burst *b)
{
	struct mrdma_dev *dev = mrdma_qp_dev(qp);
	struct mrdma_rwqe *wqe = &qp->resp.wqe;
	struct ib_pd *pd = mrdma_rq_pd(qp);
	u8 grh[sizeof(struct ib_grh)];
	struct mos_deth deth;
	enum mrdma_counter why;
	struct mrdma_seg p;
	u32 qkey, total;
	struct ib_wc wc;

	lockdep_assert_held(&qp->lock);
	why = MRDMA_CNT_MALFORMED;
	if (b->nseg != 1)
		goto drop;
	mrdma_burst_seg(b, 0, &p);
	memcpy(&deth, p.ext, sizeof(deth));
	qkey = qp->ibqp.qp_type == IB_QPT_GSI ? IB_QP1_QKEY : qp->attr.qkey;
	why = MRDMA_CNT_BAD_QKEY;
	if (be32_to_cpu(deth.qkey) != qkey)
		goto drop;
	why = MRDMA_CNT_BAD_ADDRESS;
	if (!b->mcast && !own_address(dev, b))
		goto drop;
	total = sizeof(grh) + p.len;
	why = MRDMA_CNT_NO_BUFFER;
	if (!mrdma_rq_take(qp, wqe, total))
		goto drop;

	make_grh(grh, b);
	wc = (struct ib_wc) {
		.wr_id = wqe->wr_id,
		.status = IB_WC_SUCCESS,
		.opcode = IB_WC_RECV,
		.byte_len = total,
		.qp = &qp->ibqp,
		.src_qp = be32_to_cpu(deth.sqp) & MOS_QPN_MASK,
		.wc_flags = IB_WC_GRH | IB_WC_WITH_NETWORK_HDR_TYPE | IB_WC_WITH_SMAC,
		.port_num = 1,
		.vlan_id = MRDMA_NO_VLAN,
		.network_hdr_type = b->ipv6 ? RDMA_NETWORK_IPV6 : RDMA_NETWORK_IPV4,
	};
	memcpy(wc.smac, b->hdr + ETH_ALEN, ETH_ALEN);
	if (b->l3 != ETH_HLEN) {
		__be16 tci;

		memcpy(&tci, b->hdr + ETH_HLEN, sizeof(tci));
		wc.sl = ntohs(tci) >> VLAN_PRIO_SHIFT;
		wc.vlan_id = mrdma_hdr_vlan(b->hdr, b->l3);
		if (wc.vlan_id != MRDMA_NO_VLAN)
			wc.wc_flags |= IB_WC_WITH_VLAN;
	}
	if (mos_op[p.op].flags & MOP_IMM) {
		wc.wc_flags |= IB_WC_WITH_IMM;
		memcpy(&wc.ex.imm_data, p.ext + sizeof(deth), MOS_IMM_BYTES);
	}
	if (mrdma_sge_copy(pd, wqe->sge, wqe->num_sge, 0, grh, sizeof(grh),
			   MRDMA_TO_MR) ||
	    mrdma_sge_copy(pd, wqe->sge, wqe->num_sge, sizeof(grh), (void *)p.data, p.len,
			   MRDMA_TO_MR))
		wc.status = IB_WC_LOC_PROT_ERR;
	mrdma_count(dev, MRDMA_CNT_RECVS, 1);
	mrdma_qp_complete(qp, to_mrdma_cq(qp->ibqp.recv_cq), &wc, p.solicited);
	if (wc.status != IB_WC_SUCCESS)
		mrdma_qp_error(qp);
	return;

drop:
	mrdma_count(dev, why, 1);
}

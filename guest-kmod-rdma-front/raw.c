// SPDX-License-Identifier: GPL-2.0
/*
 * Raw packet queue pairs, for users with CAP_NET_RAW: a send request is an Ethernet frame,
 * headers and all, and leaves through the Ethernet vNIC like a packet socket's. Frames that come
 * are delivered by flow rules only, and librxe has no call for those: there is nothing to
 * receive, and receive requests wait until they are flushed.
 */
#include <linux/etherdevice.h>
#include <linux/skbuff.h>

#include "qp.h"

/* Longest frame that a request may hold; the link's MTU of the day is checked for each. */
u32 mrdma_raw_max(const struct mrdma_dev *dev)
{
	return dev->netdev->max_mtu + VLAN_ETH_HLEN;
}

static bool fits(const struct net_device *netdev, const struct sk_buff *skb)
{
	u32 head = eth_type_vlan(skb->protocol) ? VLAN_ETH_HLEN : ETH_HLEN;

	return skb->len <= READ_ONCE(netdev->mtu) + head;
}

/*
 * Sends one request's frame. What the queueing discipline, a link that is down or a
 * lack of memory drops is sent as far as the QP is concerned. Below a QP lock; the transmit path
 * takes none.
 */
enum ib_wc_status mrdma_raw_send(struct mrdma_qp *qp, const struct mrdma_swqe *w)
{
	struct net_device *netdev = mrdma_qp_dev(qp)->netdev;
	struct sk_buff *skb;

	lockdep_assert_held(&qp->lock);
	if (w->length < ETH_HLEN)
		return IB_WC_LOC_LEN_ERR;
	skb = alloc_skb(LL_RESERVED_SPACE(netdev) + w->length, GFP_ATOMIC | __GFP_NOWARN);
	if (!skb) {
		mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_NOT_SENT, 1);
		return IB_WC_SUCCESS;
	}
	skb_reserve(skb, LL_RESERVED_SPACE(netdev));
	if (mrdma_swqe_copy(qp, w, 0, skb_put(skb, w->length), w->length)) {
		kfree_skb(skb);
		return IB_WC_LOC_PROT_ERR;
	}
	skb->dev = netdev;
	skb_reset_mac_header(skb);
	skb->protocol = eth_hdr(skb)->h_proto;
	skb_set_network_header(skb, ETH_HLEN);
	if (!fits(netdev, skb)) {
		kfree_skb(skb);
		return IB_WC_LOC_LEN_ERR;
	}
	dev_queue_xmit(skb);
	return IB_WC_SUCCESS;
}

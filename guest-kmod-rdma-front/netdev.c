// SPDX-License-Identifier: GPL-2.0
/*
 * Ethernet vNIC of the front: everything that is not RoCE goes through it, and the
 * RDMA device's addresses are its addresses.
 */
#include <linux/etherdevice.h>
#include <linux/rtnetlink.h>

#include "front.h"

static int mrdma_open(struct net_device *dev)
{
	struct mos_link *link = &mrdma_netdev_front(dev)->link;

	/* in an outage frames wait: mos_eth_up() wakes the queue */
	mutex_lock(&link->lock);
	if (link->up || !netif_carrier_ok(dev))
		netif_tx_start_all_queues(dev);
	mutex_unlock(&link->lock);
	return 0;
}

static int mrdma_stop(struct net_device *dev)
{
	netif_tx_disable(dev);
	return 0;
}

static netdev_tx_t mrdma_xmit(struct sk_buff *skb, struct net_device *dev)
{
	return mos_eth_xmit(&mrdma_netdev_front(dev)->eth, skb);
}

static void mrdma_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	mos_link_stats64(&mrdma_netdev_front(dev)->link, stats);
}

static const struct net_device_ops netdev_ops = {
	.ndo_open		= mrdma_open,
	.ndo_stop		= mrdma_stop,
	.ndo_start_xmit		= mrdma_xmit,
	.ndo_features_check	= mos_eth_features_check,
	.ndo_get_stats64	= mrdma_get_stats64,
	.ndo_validate_addr	= eth_validate_addr,
	/* gid.c hears of a change and tells the back, which tells RoCE packets by it */
	.ndo_set_mac_address	= eth_mac_addr,
};

static int is_vnic(struct net_device *dev, struct netdev_nested_priv *priv)
{
	return dev->netdev_ops == &netdev_ops;
}

/* Is @dev a vNIC of this module, or on top of one? RCU. */
bool mrdma_netdev_uses_vnic(struct net_device *dev)
{
	struct netdev_nested_priv none = {};

	return is_vnic(dev, &none) || netdev_walk_all_lower_dev_rcu(dev, is_vnic, &none);
}

int mrdma_netdev_create(struct mrdma_front *front, const u8 *mac,
			const struct mrdma_chan_ops *ops)
{
	struct net_device *dev;

	dev = alloc_etherdev(sizeof(struct mos_link *));
	if (!dev)
		return -ENOMEM;
	mos_netdev_init(dev, &front->link);
	front->netdev = dev;
	eth_hw_addr_set(dev, mac);
	dev->netdev_ops = &netdev_ops;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
	mos_eth_init(&front->eth, dev, mos_link_queue(&front->link, MSR_CHAN_ETH, 0), 0);
	mrdma_chan_init(&front->chan, dev, mos_link_queue(&front->link, MSR_CHAN_ROCE, 0), ops);
	return 0;
}

void mrdma_netdev_destroy(struct mrdma_front *front)
{
	free_netdev(front->netdev);
	front->netdev = NULL;
}

void mrdma_netdev_up(struct mrdma_front *front)
{
	mos_eth_up(&front->eth);
	if (!front->uplink_down)
		netif_carrier_on(front->netdev);
}

void mrdma_netdev_down(struct mrdma_front *front, bool keep)
{
	if (!keep)
		netif_carrier_off(front->netdev);
	mos_eth_down(&front->eth);
	/* frames that are sent before this are lost and counted; mos_eth_up() wakes the queue */
	if (keep)
		netif_tx_stop_queue(front->eth.txq);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * The netdev whose other end is the front OS. Bridge, routes and filters between it and the NIC are
 * ordinary configuration.
 */
#include <linux/etherdevice.h>
#include <linux/rtnetlink.h>
#include <linux/platform_device.h>

#include "mnet.h"

static int mnet_open(struct net_device *dev)
{
	netif_tx_start_all_queues(dev);
	return 0;
}

static int mnet_stop(struct net_device *dev)
{
	netif_tx_disable(dev);
	return 0;
}

static u16 mnet_select_queue(struct net_device *dev, struct sk_buff *skb, struct net_device *sb_dev)
{
	return mnet_is_roce(mnet_from_netdev(dev), skb) ? MNET_TXQ_ROCE : MNET_TXQ_ETH;
}

static netdev_tx_t mnet_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct mnet *mnet = mnet_from_netdev(dev);

	/*
	 * The mapping says which tx lock is held. If tc's skbedit changed it after
	 * mnet_select_queue, a frame in the RoCE queue is dropped and counted, and a RoCE packet in
	 * the other queue is a frame to the front's stack.
	 */
	if (skb_get_queue_mapping(skb) == MNET_TXQ_ROCE)
		return mnet_roce_xmit(&mnet->roce, skb);
	return mos_eth_xmit(&mnet->eth, skb);
}

static netdev_features_t mnet_features_check(struct sk_buff *skb, struct net_device *dev,
					     netdev_features_t features)
{
	features = mos_eth_features_check(skb, dev, features);
	/* a super-frame made by GRO is a run of packets, each with an ICRC of its own */
	if (skb_is_gso(skb) && mnet_is_roce(mnet_from_netdev(dev), skb))
		features &= ~NETIF_F_GSO_MASK;
	return features;
}

static void mnet_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	mos_link_stats64(&mnet_from_netdev(dev)->link, stats);
}

static const struct net_device_ops netdev_ops = {
	.ndo_open		= mnet_open,
	.ndo_stop		= mnet_stop,
	.ndo_select_queue	= mnet_select_queue,
	.ndo_start_xmit		= mnet_xmit,
	.ndo_features_check	= mnet_features_check,
	.ndo_get_stats64	= mnet_get_stats64,
	.ndo_validate_addr	= eth_validate_addr,
	.ndo_set_mac_address	= eth_mac_addr,
};

/*
 * The address is derived from the front's, so that it is the same after a restart. It is locally
 * administered and high, as libvirt's for taps: a bridge takes the lowest address of its ports,
 * which must be the NIC's.
 */
static void set_address(struct net_device *dev, const u8 *front_mac)
{
	u8 mac[ETH_ALEN];

	ether_addr_copy(mac, front_mac);
	mac[0] = front_mac[0] == 0xfe ? 0xfa : 0xfe;
	if (is_valid_ether_addr(mac))
		eth_hw_addr_set(dev, mac);
	else
		eth_hw_addr_random(dev);
}

int mnet_netdev_create(struct mnet *mnet)
{
	struct net_device *dev;
	int err;

	dev = alloc_netdev_mqs(sizeof(struct mos_link *), "mos%d", NET_NAME_PREDICTABLE, ether_setup,
			       MNET_NR_TXQ, MNET_NR_TXQ);
	if (!dev)
		return -ENOMEM;
	mos_netdev_init(dev, &mnet->link);
	mnet->netdev = dev;
	set_address(dev, mnet->front_mac);
	dev->netdev_ops = &netdev_ops;
	mos_eth_init(&mnet->eth, dev, mos_link_queue(&mnet->link, MSR_CHAN_ETH, 0), MNET_TXQ_ETH);
	mnet->roce.mnet = mnet;
	mnet->roce.q = mos_link_queue(&mnet->link, MSR_CHAN_ROCE, 0);
	mnet->roce.txq = netdev_get_tx_queue(dev, MNET_TXQ_ROCE);
	netif_napi_add(dev, &mnet->roce.napi, mnet_roce_poll);

	err = register_netdev(dev);
	if (err) {
		/* uplink.c looks at it under RTNL */
		rtnl_lock();
		mnet->netdev = NULL;
		rtnl_unlock();
		free_netdev(dev);
	}
	return err;
}

void mnet_netdev_destroy(struct mnet *mnet)
{
	free_netdev(mnet->netdev);
}

void mnet_netdev_up(struct mnet *mnet)
{
	mos_eth_up(&mnet->eth);
	netif_tx_wake_queue(mnet->roce.txq);
	mos_queue_start(&mnet->roce.napi);
	netif_carrier_on(mnet->netdev);
}

void mnet_netdev_down(struct mnet *mnet)
{
	netif_carrier_off(mnet->netdev);
	mos_eth_down(&mnet->eth);
	mos_txq_drain(mnet->roce.txq, mnet->roce.q);
	napi_disable(&mnet->roce.napi);
	mnet_roce_discard(&mnet->roce);
}

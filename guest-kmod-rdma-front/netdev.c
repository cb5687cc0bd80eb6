// SPDX-License-Identifier: GPL-2.0
/*
 * Ethernet vNIC of the front: everything that is not RoCE goes through it, and the
 * RDMA device's addresses are its addresses.
 */
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>

#include "front.h"

static int mrdma_open(struct net_device *dev)
{
	netif_tx_start_all_queues(dev);
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
	.ndo_get_stats64	= mrdma_get_stats64,
	.ndo_validate_addr	= eth_validate_addr,
	/* no ndo_set_mac_address: the back sends RoCE packets by the address that the device names */
};

static void mrdma_get_drvinfo(struct net_device *dev, struct ethtool_drvinfo *info)
{
	struct mrdma_front *front = mrdma_netdev_front(dev);

	strscpy(info->driver, KBUILD_MODNAME, sizeof(info->driver));
	strscpy(info->bus_info, pci_name(front->pdev), sizeof(info->bus_info));
	snprintf(info->fw_version, sizeof(info->fw_version), "ring %u", MSR_VERSION);
}

static int mrdma_get_sset_count(struct net_device *dev, int sset)
{
	return sset == ETH_SS_STATS ? mos_link_nr_stats(&mrdma_netdev_front(dev)->link) : -EOPNOTSUPP;
}

static void mrdma_get_strings(struct net_device *dev, u32 sset, u8 *data)
{
	if (sset == ETH_SS_STATS)
		mos_link_stat_strings(&mrdma_netdev_front(dev)->link, data);
}

static void mrdma_get_ethtool_stats(struct net_device *dev, struct ethtool_stats *stats, u64 *data)
{
	mos_link_stat_values(&mrdma_netdev_front(dev)->link, data);
}

static int mrdma_get_link_ksettings(struct net_device *dev, struct ethtool_link_ksettings *cmd)
{
	/* memory has no line rate; a figure keeps bonding, bridges and ib_core content, as veth's does */
	cmd->base.speed = SPEED_10000;
	cmd->base.duplex = DUPLEX_FULL;
	cmd->base.port = PORT_OTHER;
	cmd->base.autoneg = AUTONEG_DISABLE;
	return 0;
}

static const struct ethtool_ops ethtool_ops = {
	.get_drvinfo		= mrdma_get_drvinfo,
	.get_link		= ethtool_op_get_link,
	.get_link_ksettings	= mrdma_get_link_ksettings,
	.get_sset_count		= mrdma_get_sset_count,
	.get_strings		= mrdma_get_strings,
	.get_ethtool_stats	= mrdma_get_ethtool_stats,
	.get_ts_info		= ethtool_op_get_ts_info,
};

int mrdma_netdev_create(struct mrdma_front *front, const u8 *mac)
{
	struct net_device *dev;

	dev = alloc_etherdev(sizeof(struct mrdma_front *));
	if (!dev)
		return -ENOMEM;
	*(struct mrdma_front **)netdev_priv(dev) = front;
	front->netdev = dev;
	SET_NETDEV_DEV(dev, &front->pdev->dev);
	eth_hw_addr_set(dev, mac);
	dev->netdev_ops = &netdev_ops;
	dev->ethtool_ops = &ethtool_ops;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = MOS_ETH_MAX_MTU;
	dev->hw_features = MOS_ETH_FEATURES;
	dev->features = MOS_ETH_FEATURES;
	dev->vlan_features = MOS_ETH_FEATURES;
	netif_carrier_off(dev);
	mos_eth_init(&front->eth, dev, mos_link_queue(&front->link, MSR_CHAN_ETH, 0), 0);
	mrdma_chan_init(&front->chan, front, mos_link_queue(&front->link, MSR_CHAN_ROCE, 0));
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
	mrdma_chan_up(&front->chan);
	netif_carrier_on(front->netdev);
}

void mrdma_netdev_down(struct mrdma_front *front)
{
	netif_carrier_off(front->netdev);
	mos_eth_down(&front->eth);
	mrdma_chan_down(&front->chan);
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ethernet over a queue pair: the part of a netdev that is the same on both sides.
 */
#ifndef MOS_ETH_H
#define MOS_ETH_H

#include <linux/netdevice.h>

#include "link.h"

/* Features of a netdev on this channel: all that mos_eth_xmit() takes. */
#define MOS_ETH_FEATURES	(NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HW_CSUM | \
				 NETIF_F_HIGHDMA | NETIF_F_TSO | NETIF_F_TSO6 | \
				 NETIF_F_TSO_ECN | NETIF_F_GSO_UDP_L4)

#define MOS_ETH_MAX_MTU		9000
#define MOS_ETH_POLL_WEIGHT	64

struct mos_eth {
	struct net_device *dev;
	struct mos_queue *q;
	struct netdev_queue *txq;	/* its lock is q's to-ring lock */
	struct napi_struct napi;
};

extern const struct ethtool_ops mos_ethtool_ops;

/* Sets up a fresh netdev, whose private memory is a pointer to its link, for either module. */
void mos_netdev_init(struct net_device *dev, struct mos_link *link);

static inline struct mos_link *mos_netdev_link(const struct net_device *dev)
{
	return *(struct mos_link **)netdev_priv(dev);
}

/* after the netdev's queues are there; @index of the netdev's transmit queue */
void mos_eth_init(struct mos_eth *eth, struct net_device *dev, struct mos_queue *q,
		  unsigned int index);

/* Link callbacks. */
void mos_eth_up(struct mos_eth *eth);
void mos_eth_down(struct mos_eth *eth);
void mos_eth_bell(struct mos_eth *eth);

/* ndo_features_check: super-frames that a descriptor does not take are cut by the stack. */
netdev_features_t mos_eth_features_check(struct sk_buff *skb, struct net_device *dev,
					 netdev_features_t features);
/* Under the transmit queue's lock. */
netdev_tx_t mos_eth_xmit(struct mos_eth *eth, struct sk_buff *skb);

/*
 * Under the transmit queue's lock, after a commit: stops the queue when @len more bytes do not fit,
 * and publishes unless more is to come.
 */
void mos_txq_finish(struct netdev_queue *txq, struct mos_queue *q, u32 len);
/*
 * The link is down, process context: waits for a sender that has seen it up, and counts what the
 * ring to the peer still held. Later senders see it down.
 */
void mos_txq_drain(struct netdev_queue *txq, struct mos_queue *q);
/* Poll: starts a queue that was stopped for want of room. */
void mos_txq_wake(struct netdev_queue *txq, struct mos_queue *q, u32 len);

/* A copy of @len bytes at @data with room for headers in front; NULL: no memory. Softirq. */
struct sk_buff *mos_skb_copy(struct napi_struct *napi, const void *data, u32 len);

/* Sums of the queues in dev->stats form. */
void mos_link_stats64(const struct mos_link *link, struct rtnl_link_stats64 *stats);

#endif /* MOS_ETH_H */

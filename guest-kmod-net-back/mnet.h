/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The back's device: link to the front and the netdev whose other end is the front OS.
 *
 * Locks (those of link and queues: guest-kmod-common/link.h):
 *
 *   netdev tx lock of transmit queue MNET_TXQ_ETH   to-ring side of the ETH queue pair
 *   netdev tx lock of transmit queue MNET_TXQ_ROCE  to-ring side of the ROCE queue pair
 *
 * One queue for each, so that a full RoCE ring does not stop Ethernet, nor the other way round.
 * Neither lock is taken while the other is held.
 */
#ifndef MNET_H
#define MNET_H

#include <linux/if_ether.h>
#include <linux/netdevice.h>
#include <linux/notifier.h>
#include <linux/workqueue.h>

#include "../guest-kmod-common/eth.h"
#include "../guest-kmod-common/link.h"

enum {
	MNET_TXQ_ETH,
	MNET_TXQ_ROCE,
	MNET_NR_TXQ,
};

struct platform_device;
struct mnet;

/*
 * A burst in the making: packets of one message that came one after the other. It lies in the
 * ring's data area and is not committed. Under the tx lock.
 */
struct mnet_coalesce {
	bool open;
	u8 *data;			/* reservation of MNET_RUN_ROOM bytes */
	struct msr_desc d;		/* of the packets so far */
	u8 next_mid, next_last, next_last_imm;	/* opcodes that continue it */
	u32 next_psn;
	u64 bytes;			/* on the wire so far */
};

/* RoCE bursts of the front become packets of the stack, and the other way round. */
struct mnet_roce_queue {
	struct mnet *mnet;
	struct mos_queue *q;
	struct netdev_queue *txq;	/* its lock is q's to-ring lock */
	struct mnet_coalesce run;
	struct napi_struct napi;
	atomic_t in_flight;		/* packets in flight: stack or NIC hold them */
	int paused;			/* the poll waits for fewer (xchg, any context) */
};

struct mnet {
	struct platform_device *pdev;
	void __iomem *regs;
	struct net_device *netdev;
	struct mos_link link;
	struct mos_eth eth;
	struct mnet_roce_queue roce;
	u8 front_mac[ETH_ALEN];
	struct notifier_block panic;
	struct workqueue_struct *health_wq;
	struct delayed_work heartbeat;
	unsigned long heartbeat_period;		/* jiffies */
	bool powers_off;			/* heartbeat work only */
	struct notifier_block pm;
	struct notifier_block netdevs;
	u32 uplink;				/* RTNL; as told to the device */
};

static inline struct mnet *mnet_from_netdev(struct net_device *dev)
{
	return container_of(mos_netdev_link(dev), struct mnet, link);
}

/*
 * checkpoint.c: process context. With checkpoint=1, lets the device copy this OS. Returns once now,
 * and once more at each start from the copy.
 */
void mnet_checkpoint(struct mnet *mnet);

/* health.c: process context. Stopped, the device expects no further heartbeat. */
int mnet_health_start(struct mnet *mnet);
void mnet_health_stop(struct mnet *mnet);

/* uplink.c: process context, not under RTNL. Start before netdev.c's create, stop before destroy */
int mnet_uplink_start(struct mnet *mnet);
void mnet_uplink_stop(struct mnet *mnet);

/* netdev.c */
int mnet_netdev_create(struct mnet *mnet);
void mnet_netdev_destroy(struct mnet *mnet);
void mnet_netdev_up(struct mnet *mnet);
void mnet_netdev_down(struct mnet *mnet);

/* from_ring.c: NAPI poll of the ROCE queue */
int mnet_roce_poll(struct napi_struct *napi, int budget);
/* Process context, netdev unregistered: sleeps until stack and NIC have let go of our packets. */
void mnet_roce_drain(struct mnet_roce_queue *rq);

/* to_ring.c */
/* Any context. Returns true for a RoCEv2 packet to the front's RDMA device. */
bool mnet_is_roce(const struct mnet *mnet, const struct sk_buff *skb);
/* Under the transmit queue's lock. */
netdev_tx_t mnet_roce_xmit(struct mnet_roce_queue *rq, struct sk_buff *skb);
/* Poll: ends a run that waited for more. */
void mnet_roce_flush(struct mnet_roce_queue *rq);
/* Link down, queue and poll stopped: discards a run. */
void mnet_roce_discard(struct mnet_roce_queue *rq);

/* most bytes of a run: headers with the longest extension at its end, payload */
#define MNET_RUN_ROOM	(MSR_MAX_BURST_HDR + MSR_MAX_BURST_DATA)

#endif /* MNET_H */

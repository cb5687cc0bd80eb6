// SPDX-License-Identifier: GPL-2.0
/*
 * The GIDs that the device offers. ib_core proposes every address of the Ethernet vNIC and of all
 * devices on top of it, whatever they are and in whatever net namespace; this file takes those by
 * which packets of this device can come and go, and keeps the table of the MAC addresses that such
 * packets have.
 *
 * A RoCE packet leaves by the vNIC with the source address and VLAN of the GID's netdev, past the
 * netdevs in between. So these must pass packets unchanged and must not choose
 * among several ways: bridge, bond, VLAN, macvlan, ipvlan in mode L2. Packets for a
 * MAC address of the table come by the RoCE ring, all others by the vNIC (shm-ring/SPEC.md, "MAC
 * addresses").
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <net/rtnetlink.h>
#include <rdma/ib_cache.h>

#include "front.h"
#include "gid.h"

/* Slot of the vNIC's own address, which stays whatever GIDs there are */
#define OWN_SLOT	0

static void set_slot(struct mrdma_dev *dev, u32 slot, u64 word)
{
	lockdep_assert_held(&dev->macs.lock);
	msr_mac_set(&dev->macs.table, slot, word);
	mos_link_set_mac(&dev->front->link, slot, word);
}

static int get_mac(struct mrdma_dev *dev, const u8 *addr)
{
	struct mrdma_macs *macs = &dev->macs;
	u64 word = msr_mac_word(addr);
	int i, slot = -ENOSPC;

	lockdep_assert_held(&macs->lock);
	for (i = MSR_MAX_MACS - 1; i > OWN_SLOT; i--) {
		if (macs->users[i] && macs->table.mac[i] == word) {
			macs->users[i]++;
			return i;
		}
		if (!macs->users[i])
			slot = i;
	}
	if (slot < 0)
		return slot;
	macs->users[slot] = 1;
	set_slot(dev, slot, word);
	return slot;
}

static void put_mac(struct mrdma_dev *dev, int slot)
{
	lockdep_assert_held(&dev->macs.lock);
	if (!--dev->macs.users[slot])
		set_slot(dev, slot, 0);
}

/* The netdevs from a GID's down to the vNIC */
struct way {
	struct net_device	*netdev;	/* the vNIC */
	const char		*why;		/* reason not to offer the GID, or NULL */
	u16			vlan;		/* MRDMA_NO_VLAN: none */
};

static bool is_ipvlan(const struct net_device *netdev)
{
	return netdev->rtnl_link_ops && !strcmp(netdev->rtnl_link_ops->kind, "ipvlan");
}

static int check_step(struct net_device *step, struct way *way)
{
	if (step == way->netdev)
		return 0;
	if (is_vlan_dev(step)) {
		if (vlan_dev_vlan_proto(step) != htons(ETH_P_8021Q))
			way->why = "its packets have a tag of 802.1ad";
		else if (way->vlan != MRDMA_NO_VLAN)
			way->why = "its packets have two VLAN tags";
		way->vlan = vlan_dev_vlan_id(step);
	} else if (step->flags & IFF_NOARP) {
		/*
		 * an ipvlan has the flag from going up on: mrdma_av_init refuses an address given
		 * before
		 */
		way->why = "it knows no neighbours' MAC addresses (ipvlan must be in mode L2)";
	} else if (!netif_is_bridge_master(step) && !netif_is_bond_master(step) &&
		   !netif_is_macvlan(step) && !is_ipvlan(step)) {
		way->why = "it is neither bridge, bond, VLAN, macvlan nor ipvlan, and may change packets";
	}
	return way->why ? -EOPNOTSUPP : 0;
}

/* RCU. What a bridge has beside the way to the vNIC is no concern. */
static int check_lower(struct net_device *lower, struct netdev_nested_priv *priv)
{
	struct way *way = priv->data;

	return netdev_has_upper_dev_all_rcu(way->netdev, lower) ? check_step(lower, way) : 0;
}

static const char *why_not(struct mrdma_dev *dev, const struct ib_gid_attr *attr, u16 vlan)
{
	struct way way = { .netdev = dev->netdev, .vlan = MRDMA_NO_VLAN };
	struct netdev_nested_priv priv = { .data = &way };
	struct net_device *ndev;

	rcu_read_lock();
	ndev = rcu_dereference(attr->ndev);
	if (ndev && ndev != dev->netdev && !check_step(ndev, &way))
		netdev_walk_all_lower_dev_rcu(ndev, check_lower, &priv);
	rcu_read_unlock();
	/* ib_core looks for a VLAN below all ports of a bridge, and expects it in what arrives */
	if (!way.why && way.vlan != vlan)
		way.why = "another way down from it than that to this device is a VLAN";
	return way.why;
}

/* ib_core's work queue or registration, serialised by its table's lock; perhaps under RTNL. */
int mrdma_add_gid(const struct ib_gid_attr *attr, void **context)
{
	struct mrdma_dev *dev = to_mrdma_dev(attr->device);
	u8 mac[ETH_ALEN];
	const char *why;
	u16 vlan;
	int slot;

	slot = rdma_read_gid_l2_fields(attr, &vlan, mac);
	if (slot)
		return slot;
	why = why_not(dev, attr, vlan);
	if (!why) {
		mutex_lock(&dev->macs.lock);
		slot = get_mac(dev, mac);
		mutex_unlock(&dev->macs.lock);
		if (slot >= 0) {
			*context = &dev->macs.users[slot];
			return 0;
		}
		why = "the table of MAC addresses is full";
	}
	rcu_read_lock();
	ibdev_warn_ratelimited(attr->device, "address %pI6c of %s is not offered as a GID: %s\n",
			       attr->gid.raw, netdev_name(rcu_dereference(attr->ndev)), why);
	rcu_read_unlock();
	return slot < 0 ? slot : -EOPNOTSUPP;
}

int mrdma_del_gid(const struct ib_gid_attr *attr, void **context)
{
	struct mrdma_dev *dev = to_mrdma_dev(attr->device);
	u32 *users = *context;

	mutex_lock(&dev->macs.lock);
	put_mac(dev, users - dev->macs.users);
	mutex_unlock(&dev->macs.lock);
	return 0;
}

/* The vNIC's address is new or has changed. Process context. */
void mrdma_macs_follow(struct mrdma_dev *dev)
{
	mutex_lock(&dev->macs.lock);
	set_slot(dev, OWN_SLOT, msr_mac_word(dev->netdev->dev_addr));
	mutex_unlock(&dev->macs.lock);
}

void mrdma_macs_init(struct mrdma_dev *dev)
{
	mutex_init(&dev->macs.lock);
}

/* No GID is left: the device is unregistered. */
void mrdma_macs_uninit(struct mrdma_dev *dev)
{
	mutex_lock(&dev->macs.lock);
	set_slot(dev, OWN_SLOT, 0);
	mutex_unlock(&dev->macs.lock);
	mutex_destroy(&dev->macs.lock);
}

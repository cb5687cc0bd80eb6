// SPDX-License-Identifier: GPL-2.0
/*
 * Multicast groups: which QPs are attached to which multicast GID. A RoCEv2 group is
 * an IP multicast group: its Ethernet address goes into the netdev's filter while a QP is
 * attached. IGMP and MLD are rdma_cm's, or the application's, as with every RoCE device.
 *
 * A datagram that a QP of this device sends to a group reaches the group's QPs of this device
 * through the loop. The sender gets one, too, if it is attached, as with RDMA hardware.
 */
#include <linux/jhash.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <rdma/ib_addr.h>

#include "mcast.h"
#include "qp.h"

struct group {
	struct hlist_node	node;		/* mcast.lock; RCU */
	union ib_gid		mgid;
	u8			mac[ETH_ALEN];
	u32			nr_members;	/* mcast.lock */
	struct list_head	members;	/* mcast.lock; RCU */
	struct rcu_head		rcu;
};

/* Holds a reference to its QP until no softirq can find it any more. */
struct member {
	struct list_head	entry;
	struct mrdma_qp		*qp;
	struct rcu_head		rcu;
};

static struct hlist_head *bucket(struct mrdma_dev *dev, const union ib_gid *mgid)
{
	return &dev->mcast.groups[hash_min(jhash2((const u32 *)mgid, sizeof(*mgid) / 4, 0),
					   HASH_BITS(dev->mcast.groups))];
}

static struct group *find_group(struct mrdma_dev *dev, const union ib_gid *mgid)
{
	struct group *g;

	hlist_for_each_entry_rcu(g, bucket(dev, mgid), node, lockdep_is_held(&dev->mcast.lock))
		if (!memcmp(&g->mgid, mgid, sizeof(*mgid)))
			return g;
	return NULL;
}

static struct member *find_member(const struct group *g, const struct mrdma_qp *qp)
{
	struct member *m;

	list_for_each_entry(m, &g->members, entry)
		if (m->qp == qp)
			return m;
	return NULL;
}

static struct group *create_group(struct mrdma_dev *dev, const union ib_gid *mgid)
{
	struct group *g;
	int err;

	if (dev->mcast.nr_groups >= MRDMA_MAX_MCAST_GRP)
		return ERR_PTR(-ENOMEM);
	g = kzalloc(sizeof(*g), GFP_KERNEL_ACCOUNT);
	if (!g)
		return ERR_PTR(-ENOMEM);
	g->mgid = *mgid;
	INIT_LIST_HEAD(&g->members);
	if (ipv6_addr_v4mapped((const struct in6_addr *)mgid))
		ip_eth_mc_map(*(const __be32 *)(mgid->raw + 12), g->mac);
	else
		ipv6_eth_mc_map((const struct in6_addr *)mgid, g->mac);
	err = dev_mc_add(dev->netdev, g->mac);
	if (err) {
		kfree(g);
		return ERR_PTR(err);
	}
	hlist_add_head_rcu(&g->node, bucket(dev, mgid));
	dev->mcast.nr_groups++;
	return g;
}

static void drop_empty_group(struct mrdma_dev *dev, struct group *g)
{
	if (g->nr_members)
		return;
	hlist_del_rcu(&g->node);
	dev->mcast.nr_groups--;
	dev_mc_del(dev->netdev, g->mac);
	kfree_rcu(g, rcu);
}

/* ib_core has seen to it that the QP is UD and the GID a multicast one. */
int mrdma_attach_mcast(struct ib_qp *ibqp, union ib_gid *mgid, u16 lid)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibqp->device);
	struct mrdma_qp *qp = to_mrdma_qp(ibqp);
	struct member *m;
	struct group *g;
	int err = 0;

	m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);
	if (!m)
		return -ENOMEM;
	m->qp = qp;
	mutex_lock(&dev->mcast.lock);
	g = find_group(dev, mgid) ?: create_group(dev, mgid);
	if (IS_ERR(g))
		err = PTR_ERR(g);
	else if (find_member(g, qp))
		err = -EEXIST;
	else if (g->nr_members >= MRDMA_MAX_MCAST_QP ||
		 dev->mcast.nr_members >= MRDMA_MAX_MCAST_TOTAL)
		err = -ENOMEM;
	if (!err) {
		kref_get(&qp->ref);
		list_add_tail_rcu(&m->entry, &g->members);
		g->nr_members++;
		dev->mcast.nr_members++;
	} else if (!IS_ERR(g)) {
		drop_empty_group(dev, g);
	}
	mutex_unlock(&dev->mcast.lock);
	if (err)
		kfree(m);
	return err;
}

static void free_member(struct rcu_head *rcu)
{
	struct member *m = container_of(rcu, struct member, rcu);

	mrdma_qp_put(m->qp);
	kfree(m);
}

/* ib_core destroys no QP that is attached. */
int mrdma_detach_mcast(struct ib_qp *ibqp, union ib_gid *mgid, u16 lid)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibqp->device);
	struct member *m = NULL;
	struct group *g;

	mutex_lock(&dev->mcast.lock);
	g = find_group(dev, mgid);
	if (g)
		m = find_member(g, to_mrdma_qp(ibqp));
	if (m) {
		list_del_rcu(&m->entry);
		g->nr_members--;
		dev->mcast.nr_members--;
		call_rcu(&m->rcu, free_member);
		drop_empty_group(dev, g);
	}
	mutex_unlock(&dev->mcast.lock);
	return m ? 0 : -EINVAL;
}

/* Does a QP of this device listen to the group that the vector leads to? Under a QP lock. */
bool mrdma_mcast_wanted(struct mrdma_dev *dev, const struct mrdma_av *av)
{
	union ib_gid mgid;
	bool wanted;

	mrdma_hdr_dgid(av->hdr + av->l3, av->ipv6, &mgid);
	rcu_read_lock();
	wanted = find_group(dev, &mgid);
	rcu_read_unlock();
	return wanted;
}

/*
 * One packet for every QP of its group: @deliver takes over a reference to the QP. Softirq. Returns
 * how many there are.
 */
u32 mrdma_mcast_rx(struct mrdma_dev *dev, const struct mrdma_burst *b, mrdma_mcast_fn deliver)
{
	union ib_gid mgid;
	struct member *m;
	struct group *g;
	u32 n = 0;

	mrdma_hdr_dgid(b->hdr + b->l3, b->ipv6, &mgid);
	rcu_read_lock();
	g = find_group(dev, &mgid);
	if (g) {
		list_for_each_entry_rcu(m, &g->members, entry) {
			/*
			 * the member's own reference is given up after this section at the earliest
			 */
			kref_get(&m->qp->ref);
			deliver(dev, m->qp, b);
			n++;
		}
	}
	rcu_read_unlock();
	return n;
}

void mrdma_mcast_init(struct mrdma_dev *dev)
{
	mutex_init(&dev->mcast.lock);
	hash_init(dev->mcast.groups);
}

/* All QPs are gone, and with them all groups; callbacks of this module may still run. */
void mrdma_mcast_uninit(struct mrdma_dev *dev)
{
	rcu_barrier();
	WARN_ON(dev->mcast.nr_groups);
	mutex_destroy(&dev->mcast.lock);
}

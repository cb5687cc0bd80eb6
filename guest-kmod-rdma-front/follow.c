// SPDX-License-Identifier: GPL-2.0
/*
 * Address vectors follow routes and neighbours, as IP's packets do. A vector has the MAC
 * addresses of its packets ready made. When a neighbour's MAC address changes (a gateway or a peer
 * fails over, a VM moves), a route leads to another gateway, or the netdev of the source GID gets
 * another MAC address, a work item looks up all vectors again. Nothing is looked up for a packet.
 *
 * The work runs after events of neighbours, of routes in every net namespace, and of netdevs.
 * The kernel drops neighbour entries that IP does not use, and sends no events for them then. So
 * signs of a broken path start the work as well, which then asks the neighbours as IP would: a
 * request's time-out, and a request that comes twice. UC and UD show neither.
 *
 * Not told of: a nexthop object (ip nexthop) that changes under its routes, and a neighbour that
 * moves without announcing it. The first is found by a time-out, the second as slowly as IP finds it.
 */
#include <linux/etherdevice.h>
#include <linux/inetdevice.h>
#include <net/fib_notifier.h>
#include <net/ip6_route.h>
#include <net/neighbour.h>
#include <net/net_namespace.h>
#include <net/netevent.h>
#include <net/netns/generic.h>
#include <net/route.h>
#include <rdma/ib_cache.h>

#include "follow.h"
#include "kcompat.h"
#include "qp.h"

/*
 * Delay between an event and the work, so that several events share one walk. It grows with the
 * length of the last walk, up to the maximum.
 */
#define DELAY_MS	20
#define DELAY_MAX_MS	200

static struct dst_entry *find_route(struct net *net, int oif, const struct ib_gid_attr *sgid,
				    const union ib_gid *dgid)
{
	struct rtable *rt;

	if (rdma_gid_attr_network_type(sgid) == RDMA_NETWORK_IPV4) {
		struct flowi4 fl4 = { .flowi4_oif = oif };

		memcpy(&fl4.saddr, sgid->gid.raw + 12, sizeof(fl4.saddr));
		memcpy(&fl4.daddr, dgid->raw + 12, sizeof(fl4.daddr));
		rt = ip_route_output_key(net, &fl4);
		return IS_ERR(rt) ? NULL : &rt->dst;
	}
#if IS_ENABLED(CONFIG_IPV6)
	if (rdma_gid_attr_network_type(sgid) == RDMA_NETWORK_IPV6 && ipv6_mod_enabled()) {
		struct flowi6 fl6 = { .flowi6_oif = oif };
		struct dst_entry *dst;

		memcpy(&fl6.saddr, sgid->gid.raw, sizeof(fl6.saddr));
		memcpy(&fl6.daddr, dgid->raw, sizeof(fl6.daddr));
		dst = ip6_route_output(net, NULL, &fl6);
		if (!dst->error)
			return dst;
		dst_release(dst);
	}
#endif
	return NULL;
}

/*
 * The MAC address that packets from @sgid to @dgid are sent to now. Returns false if none is
 * known: the neighbour has not answered yet, or the address is this host's, or, in IPv6, there is
 * no route (IPv4 takes the destination for a neighbour then). A
 * neighbour that is not known, or with @ask has not been heard of for a while, is asked. Does
 * not wait; process context, as it may send.
 */
bool mrdma_next_hop(const struct ib_gid_attr *sgid, const union ib_gid *dgid, bool ask, u8 *dmac)
{
	const void *daddr = dgid->raw;
	struct neighbour *neigh;
	struct net_device *ndev;
	struct dst_entry *dst;
	bool known = false;
	u8 mac[ETH_ALEN];

	if (rdma_gid_attr_network_type(sgid) == RDMA_NETWORK_IPV4)
		daddr += 12;
	rcu_read_lock();
	ndev = rdma_read_gid_attr_ndev_rcu(sgid);
	if (IS_ERR(ndev))
		goto out;
	dst = find_route(dev_net(ndev), ndev->ifindex, sgid, dgid);
	if (!dst)
		goto out;
	/* a local address has a route by the loopback device */
	neigh = dst->dev == ndev ? dst_neigh_lookup(dst, daddr) : NULL;
	if (neigh) {
		if (ask || !(READ_ONCE(neigh->nud_state) & NUD_VALID))
			neigh_event_send(neigh, NULL);
		if (READ_ONCE(neigh->nud_state) & NUD_VALID) {
			neigh_ha_snapshot(mac, neigh, ndev);
			known = is_valid_ether_addr(mac);
		}
		neigh_release(neigh);
	}
	dst_release(dst);
	if (known)
		ether_addr_copy(dmac, mac);
out:
	rcu_read_unlock();
	return known;
}

/* A path, and what was found about it; the same for many queue pairs in turn. */
struct hop {
	const struct ib_gid_attr *sgid;		/* referenced; NULL: none */
	union ib_gid	dgid;
	bool		ask;
	bool		known;
	u8		smac[ETH_ALEN];
	u8		dmac[ETH_ALEN];
};

static bool same(const struct hop *h, const struct ib_gid_attr *sgid, const union ib_gid *dgid)
{
	return h->sgid == sgid && !memcmp(&h->dgid, dgid, sizeof(*dgid));
}

static void forget(struct hop *h)
{
	if (h->sgid)
		rdma_put_gid_attr(h->sgid);
	h->sgid = NULL;
}

/* Under the lock of what has the path. */
static void take_hop(struct hop *h, const struct ib_gid_attr *sgid, const union ib_gid *dgid)
{
	forget(h);
	rdma_hold_gid_attr(sgid);
	h->sgid = sgid;
	h->dgid = *dgid;
}

static void look_up(struct hop *h)
{
	u16 vlan;

	h->known = mrdma_next_hop(h->sgid, &h->dgid, h->ask, h->dmac) &&
		   !rdma_read_gid_l2_fields(h->sgid, &vlan, h->smac);
}

/* Under the lock of what has @av. */
static void renew(struct mrdma_dev *dev, struct mrdma_av *av, struct rdma_ah_attr *attr,
		  const struct hop *h)
{
	struct ethhdr *eth = (struct ethhdr *)av->hdr;
	bool loop;

	/*
	 * An address that ib_core has not told gid.c of: of a netdev on top of the vNIC that has
	 * changed its own. Nothing would come back to it.
	 */
	if (!h->known || av->mcast || !mrdma_own_mac(dev, h->smac))
		return;
	ether_addr_copy(attr->roce.dmac, h->dmac);
	loop = mrdma_own_mac(dev, h->dmac);
	if (ether_addr_equal(eth->h_dest, h->dmac) && ether_addr_equal(eth->h_source, h->smac) &&
	    av->loop == loop)
		return;
	ether_addr_copy(eth->h_dest, h->dmac);
	ether_addr_copy(eth->h_source, h->smac);
	av->loop = loop;
	mrdma_count(dev, MRDMA_CNT_PATH_UPDATES, 1);
}

static void follow_qp(struct mrdma_dev *dev, struct mrdma_qp *qp, struct hop *h)
{
	const union ib_gid *dgid = &qp->attr.ah_attr.grh.dgid;
	bool known;

	mrdma_qp_lock(qp);
	known = !qp->sgid || qp->state < IB_QPS_RTR || qp->state == IB_QPS_ERR ||
		same(h, qp->sgid, dgid);
	if (!known)
		take_hop(h, qp->sgid, dgid);
	else if (qp->sgid && same(h, qp->sgid, dgid))
		renew(dev, &qp->av, &qp->attr.ah_attr, h);
	mrdma_qp_unlock(qp);
	if (known)
		return;
	/* not under the lock: the neighbour may be sent a packet */
	look_up(h);
	mrdma_qp_lock(qp);
	if (qp->sgid && same(h, qp->sgid, dgid))
		renew(dev, &qp->av, &qp->attr.ah_attr, h);
	mrdma_qp_unlock(qp);
}

static void follow_qps(struct mrdma_dev *dev, struct hop *h)
{
	unsigned long qpn = 0;
	struct mrdma_qp *qp;

	while ((qp = mrdma_qp_get_next(dev, &qpn))) {
		follow_qp(dev, qp, h);
		mrdma_qp_put(qp);
		qpn++;
		cond_resched();
	}
}

static void follow_ahs(struct mrdma_dev *dev, struct hop *h)
{
	unsigned long num = 0, looked_up = 0, flags;
	struct mrdma_ah *ah;
	bool known;

	for (;;) {
		xa_lock_irqsave(&dev->ahs, flags);
		ah = xa_find(&dev->ahs, &num, ULONG_MAX, XA_PRESENT);
		known = !ah || ah->av.mcast || same(h, ah->sgid, &ah->attr.grh.dgid);
		if (ah && known)
			renew(dev, &ah->av, &ah->attr, h);
		else if (ah)
			take_hop(h, ah->sgid, &ah->attr.grh.dgid);
		xa_unlock_irqrestore(&dev->ahs, flags);
		if (!ah)
			break;
		/* taken once more when it is looked up; it may be gone then, or lead elsewhere again */
		if (!known)
			look_up(h);
		if (known || num == looked_up)
			num++;
		else
			looked_up = num;
		cond_resched();
	}
}

static void follow(struct work_struct *work)
{
	struct mrdma_dev *dev = container_of(to_delayed_work(work), struct mrdma_dev, follow);
	unsigned long start = jiffies;
	struct hop h = { .ask = xchg(&dev->follow_ask, false) };

	if (READ_ONCE(dev->follow_stopped))
		return;
	follow_qps(dev, &h);
	follow_ahs(dev, &h);
	forget(&h);
	/* ten times the walk, if that is not too long for a connection whose peer moves next */
	WRITE_ONCE(dev->follow_delay, clamp(10 * (jiffies - start), msecs_to_jiffies(DELAY_MS),
					    msecs_to_jiffies(DELAY_MAX_MS)));
}

/* Some path may lead elsewhere than before. Any context. */
void mrdma_follow(struct mrdma_dev *dev)
{
	queue_delayed_work(system_dfl_wq, &dev->follow, READ_ONCE(dev->follow_delay));
}

/* Some path seems to lead nowhere: its neighbour may not have told that it has moved. */
void mrdma_follow_broken(struct mrdma_dev *dev)
{
	WRITE_ONCE(dev->follow_ask, true);
	mrdma_follow(dev);
}

/* ---- events ---- */

static LIST_HEAD(devices);
static DEFINE_SPINLOCK(devices_lock);
static unsigned int fib_net_id;

static int netevent(struct notifier_block *nb, unsigned long event, void *arg)
{
	struct mrdma_dev *dev = container_of(nb, struct mrdma_dev, netevent_nb);
	struct neighbour *neigh = arg;

	if (event == NETEVENT_NEIGH_UPDATE &&
	    (!(READ_ONCE(neigh->nud_state) & (NUD_CONNECTED | NUD_STALE)) ||
	     (neigh->dev != dev->netdev && !netdev_has_upper_dev_all_rcu(dev->netdev, neigh->dev))))
		return NOTIFY_DONE;
	if (event == NETEVENT_NEIGH_UPDATE || event == NETEVENT_REDIRECT)
		mrdma_follow(dev);
	return NOTIFY_DONE;
}

static int fib_event(struct notifier_block *nb, unsigned long event, void *arg)
{
	struct mrdma_dev *dev;

	spin_lock_bh(&devices_lock);
	list_for_each_entry(dev, &devices, follow_entry)
		mrdma_follow(dev);
	spin_unlock_bh(&devices_lock);
	return NOTIFY_DONE;
}

/*
 * Registering fails if the routes keep changing while they are dumped. The net namespace is created
 * all the same; its paths are followed by neighbours' events and time-outs only.
 */
static int __net_init fib_net_init(struct net *net)
{
	struct notifier_block *nb = net_generic(net, fib_net_id);

	nb->notifier_call = fib_event;
	register_fib_notifier(net, nb, NULL, NULL);
	return 0;
}

static void __net_exit fib_net_exit(struct net *net)
{
	unregister_fib_notifier(net, net_generic(net, fib_net_id));
}

static struct pernet_operations fib_net_ops = {
	.init = fib_net_init,
	.exit = fib_net_exit,
	.id = &fib_net_id,
	.size = sizeof(struct notifier_block),
};

int mrdma_follow_init(struct mrdma_dev *dev)
{
	int err;

	INIT_DELAYED_WORK(&dev->follow, follow);
	dev->follow_delay = msecs_to_jiffies(DELAY_MS);
	dev->netevent_nb.notifier_call = netevent;
	err = register_netevent_notifier(&dev->netevent_nb);
	if (err)
		return err;
	spin_lock_bh(&devices_lock);
	list_add(&dev->follow_entry, &devices);
	spin_unlock_bh(&devices_lock);
	return 0;
}

/* After return the work holds no GID; queue pairs and address handles hold theirs to their end. */
void mrdma_follow_stop(struct mrdma_dev *dev)
{
	spin_lock_bh(&devices_lock);
	list_del(&dev->follow_entry);
	spin_unlock_bh(&devices_lock);
	unregister_netevent_notifier(&dev->netevent_nb);
	WRITE_ONCE(dev->follow_stopped, true);
	cancel_delayed_work_sync(&dev->follow);
}

/* No queue pair is left whose time-out could queue the work. */
void mrdma_follow_uninit(struct mrdma_dev *dev)
{
	cancel_delayed_work_sync(&dev->follow);
}

int __init mrdma_follow_register(void)
{
	return register_pernet_subsys(&fib_net_ops);
}

void mrdma_follow_unregister(void)
{
	unregister_pernet_subsys(&fib_net_ops);
}

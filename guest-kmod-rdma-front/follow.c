// SPDX-License-Identifier: GPL-2.0
/*
 * Address vectors follow routes and neighbours, as IP's packets do. A vector has the MAC
 * addresses of its packets ready made. When a neighbour's MAC address changes (a gateway or a peer
 * fails over, a VM moves), a route leads to another gateway, or the netdev of the source GID gets
 * another MAC address, a work item looks up all vectors again. Nothing is looked up for a packet.
 *
 * When a netdev's MAC address changes ib_core takes its GIDs out of the table and puts them in
 * anew, as others. So does a user who takes an IP address away and gives it back. The vectors then
 * get the GID that the same netdev has now.
 *
 * The work runs after events of neighbours, of routes in every net namespace, and of GIDs.
 * The kernel drops neighbour entries that IP does not use, and sends no events for them then. So
 * signs of a broken path start the work as well, which then asks the neighbours as IP would: a
 * request's time-out, and a request that comes twice. UC and UD show neither.
 *
 * No event tells of a neighbour that moves without announcing it. It is found as slowly as by IP.
 */
#include <linux/etherdevice.h>
#include <linux/inetdevice.h>
#include <net/addrconf.h>
#include <net/arp.h>
#include <net/fib_notifier.h>
#include <net/ip6_route.h>
#include <net/ndisc.h>
#include <net/neighbour.h>
#include <net/net_namespace.h>
#include <net/netevent.h>
#include <net/netns/generic.h>
#include <net/nexthop.h>
#include <net/route.h>
#include <rdma/ib_addr.h>
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

/* A request from @sgid, which its netdev's present MAC address is learned from. */
static void solicit(struct neighbour *neigh, const struct ib_gid_attr *sgid)
{
	if (rdma_gid_attr_network_type(sgid) == RDMA_NETWORK_IPV4) {
		__be32 to, from;

		memcpy(&to, neigh->primary_key, sizeof(to));
		memcpy(&from, sgid->gid.raw + 12, sizeof(from));
		arp_send(ARPOP_REQUEST, ETH_P_ARP, to, neigh->dev, from, NULL,
			 neigh->dev->dev_addr, NULL);
		return;
	}
#if IS_ENABLED(CONFIG_IPV6)
	if (rdma_gid_attr_network_type(sgid) == RDMA_NETWORK_IPV6 && ipv6_mod_enabled()) {
		const struct in6_addr *to = (const struct in6_addr *)neigh->primary_key;
		const struct in6_addr *from = (const struct in6_addr *)sgid->gid.raw;
		struct in6_addr group;
		struct sk_buff *skb = ndisc_ns_create(neigh->dev, to, from, 0);

		addrconf_addr_solict_mult(to, &group);
		if (skb)
			ndisc_send_skb(skb, &group, from);
	}
#endif
}

/*
 * The MAC address that packets from @sgid to @dgid are sent to now. Returns false if none is
 * known: the neighbour has not answered yet, or the address is this host's, or, in IPv6, there is
 * no route (IPv4 takes the destination for a neighbour then). A neighbour that is not known, or
 * with @ask has not been heard of for a while, is asked. With @announce it gets a request from
 * the very address @sgid: IP's own may come from another address of the netdev.
 */
static bool next_hop(const struct ib_gid_attr *sgid, const union ib_gid *dgid, bool ask,
		     bool announce, u8 *dmac)
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
		if (announce)
			solicit(neigh, sgid);
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

/* As above. Does not wait; process context, as it may send. */
bool mrdma_next_hop(const struct ib_gid_attr *sgid, const union ib_gid *dgid, u8 *dmac)
{
	return next_hop(sgid, dgid, false, false, dmac);
}

struct mrdma_netdev_id mrdma_gid_netdev(const struct ib_gid_attr *gid)
{
	struct mrdma_netdev_id id = {};
	struct net_device *ndev;

	rcu_read_lock();
	ndev = rdma_read_gid_attr_ndev_rcu(gid);
	if (!IS_ERR(ndev)) {
		id.net_cookie = dev_net(ndev)->net_cookie;
		id.ifindex = ndev->ifindex;
	}
	rcu_read_unlock();
	return id;
}

/* A path, and its next hop; the same for many queue pairs in turn. */
struct hop {
	const struct ib_gid_attr *sgid;		/* the vector's, referenced; NULL: none */
	const struct ib_gid_attr *now;	/* the one in ib_core's table, referenced; or NULL */
	struct mrdma_netdev_id source;
	union ib_gid	dgid;
	bool		ask;
	bool		known;
	u8		smac_before[ETH_ALEN];	/* the vector's */
	u8		smac[ETH_ALEN];
	u8		dmac[ETH_ALEN];
};

static bool same(const struct hop *h, const struct ib_gid_attr *sgid, const union ib_gid *dgid)
{
	return h->sgid == sgid && !memcmp(&h->dgid, dgid, sizeof(*dgid));
}

static void forget_hop(struct hop *h)
{
	if (h->sgid)
		rdma_put_gid_attr(h->sgid);
	if (h->now)
		rdma_put_gid_attr(h->now);
	h->sgid = NULL;
	h->now = NULL;
}

/* Under the lock of what has the path. */
static void take_hop(struct hop *h, const struct ib_gid_attr *sgid, const struct mrdma_av *av,
		     const union ib_gid *dgid)
{
	forget_hop(h);
	rdma_hold_gid_attr(sgid);
	h->sgid = sgid;
	h->source = av->source;
	ether_addr_copy(h->smac_before, ((const struct ethhdr *)av->hdr)->h_source);
	h->dgid = *dgid;
}

/* The GID in the table that is the path's, referenced, or NULL. */
static const struct ib_gid_attr *gid_now(struct mrdma_dev *dev, const struct hop *h)
{
	const struct ib_gid_attr *now = NULL;
	struct net_device *ndev;
	struct net *net;

	if (mrdma_gid_netdev(h->sgid).ifindex) {
		rdma_hold_gid_attr(h->sgid);
		return h->sgid;
	}
	rcu_read_lock();
	for_each_net_rcu(net) {
		if (net->net_cookie != h->source.net_cookie)
			continue;
		ndev = dev_get_by_index_rcu(net, h->source.ifindex);
		if (ndev)
			now = rdma_find_gid_by_port(&dev->ibdev, &h->sgid->gid, h->sgid->gid_type,
						    1, ndev);
		break;
	}
	rcu_read_unlock();
	return IS_ERR(now) ? NULL : now;
}

static void look_up(struct mrdma_dev *dev, struct hop *h)
{
	u16 vlan;

	h->now = gid_now(dev, h);
	h->known = h->now && !rdma_read_gid_l2_fields(h->now, &vlan, h->smac);
	if (!h->known || rdma_is_multicast_addr((struct in6_addr *)h->dgid.raw))
		return;
	/* a path that seems broken: the first announcement of this address may have been lost */
	h->known = next_hop(h->now, &h->dgid, h->ask,
			    h->ask || !ether_addr_equal(h->smac, h->smac_before), h->dmac);
}

/* Under the lock of what has @av and @sgid. */
static void renew(struct mrdma_dev *dev, struct mrdma_av *av, struct rdma_ah_attr *attr,
		  const struct ib_gid_attr **sgid, const struct hop *h)
{
	struct ethhdr *eth = (struct ethhdr *)av->hdr;
	const u8 *dmac;
	bool loop;

	if (h->now && h->now != *sgid) {
		rdma_put_gid_attr(*sgid);
		rdma_hold_gid_attr(h->now);
		*sgid = h->now;
	}
	/* the netdev's address may be newer than its GID: nothing would come back to it */
	if (!h->known || !mrdma_own_mac(dev, h->smac))
		return;
	/* a group's address follows from the GID */
	dmac = av->mcast ? eth->h_dest : h->dmac;
	loop = mrdma_own_mac(dev, dmac);
	if (ether_addr_equal(eth->h_dest, dmac) && ether_addr_equal(eth->h_source, h->smac) &&
	    av->loop == loop)
		return;
	ether_addr_copy(attr->roce.dmac, dmac);
	ether_addr_copy(eth->h_dest, dmac);
	ether_addr_copy(eth->h_source, h->smac);
	av->loop = loop;
	mrdma_count(dev, MRDMA_CNT_PATH_UPDATES, 1);
}

static void follow_qp(struct mrdma_qp *qp, void *arg)
{
	const union ib_gid *dgid = &qp->attr.ah_attr.grh.dgid;
	struct mrdma_dev *dev = mrdma_qp_dev(qp);
	struct hop *h = arg;
	bool known;

	mrdma_qp_lock(qp);
	known = !qp->sgid || qp->state < IB_QPS_RTR || qp->state == IB_QPS_ERR ||
		same(h, qp->sgid, dgid);
	if (!known)
		take_hop(h, qp->sgid, &qp->av, dgid);
	else if (qp->sgid && same(h, qp->sgid, dgid))
		renew(dev, &qp->av, &qp->attr.ah_attr, &qp->sgid, h);
	mrdma_qp_unlock(qp);
	if (known)
		return;
	/* not under the lock: the neighbour may be sent a packet */
	look_up(dev, h);
	mrdma_qp_lock(qp);
	if (qp->sgid && same(h, qp->sgid, dgid))
		renew(dev, &qp->av, &qp->attr.ah_attr, &qp->sgid, h);
	mrdma_qp_unlock(qp);
}

static void follow_ahs(struct mrdma_dev *dev, struct hop *h)
{
	unsigned long num = 0, looked_up = 0, flags;
	struct mrdma_ah *ah;
	bool known;

	for (;;) {
		xa_lock_irqsave(&dev->ahs, flags);
		ah = xa_find(&dev->ahs, &num, ULONG_MAX, XA_PRESENT);
		known = !ah || same(h, ah->sgid, &ah->attr.grh.dgid);
		if (ah && known)
			renew(dev, &ah->av, &ah->attr, &ah->sgid, h);
		else if (ah)
			take_hop(h, ah->sgid, &ah->av, &ah->attr.grh.dgid);
		xa_unlock_irqrestore(&dev->ahs, flags);
		if (!ah)
			break;
		/*
		 * taken once more when it is looked up; it may be gone then, or lead elsewhere
		 * again
		 */
		if (!known)
			look_up(dev, h);
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
	mrdma_qp_walk(dev, follow_qp, &h);
	follow_ahs(dev, &h);
	forget_hop(&h);
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

/* The notifiers of a net namespace */
struct follow_net {
	struct notifier_block	fib;
	/* a nexthop object (ip nexthop) changes its routes silently */
	struct notifier_block	nexthop;
};

static void gid_event(struct ib_event_handler *handler, struct ib_event *event)
{
	if (event->event == IB_EVENT_GID_CHANGE)
		mrdma_follow(container_of(handler, struct mrdma_dev, gid_handler));
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
	struct follow_net *fn = net_generic(net, fib_net_id);

	fn->fib.notifier_call = fib_event;
	fn->nexthop.notifier_call = fib_event;
	register_fib_notifier(net, &fn->fib, NULL, NULL);
	register_nexthop_notifier(net, &fn->nexthop, NULL);
	return 0;
}

static void __net_exit fib_net_exit(struct net *net)
{
	struct follow_net *fn = net_generic(net, fib_net_id);

	unregister_nexthop_notifier(net, &fn->nexthop);
	unregister_fib_notifier(net, &fn->fib);
}

static struct pernet_operations fib_net_ops = {
	.init = fib_net_init,
	.exit = fib_net_exit,
	.id = &fib_net_id,
	.size = sizeof(struct follow_net),
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
	INIT_IB_EVENT_HANDLER(&dev->gid_handler, &dev->ibdev, gid_event);
	ib_register_event_handler(&dev->gid_handler);
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
	ib_unregister_event_handler(&dev->gid_handler);
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

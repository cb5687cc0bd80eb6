// SPDX-License-Identifier: GPL-2.0
/*
 * Address vectors: everything before the BTH, made once. A burst copies it and adds what differs
 * (tx.c); follow.c keeps its MAC addresses right. And the MTU that the port has by its link.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <net/ipv6.h>
#include <rdma/ib_addr.h>
#include <rdma/ib_cache.h>

#include "addr.h"
#include "follow.h"

/*
 * Hop limit and traffic class of an address handle are made for InfiniBand's header. A hop limit of
 * 0 means "not beyond the subnet" there; in IP no host may send 0, and 1 says the same (RFC 1122,
 * 3.2.1.7). The two lower bits of the traffic class are ECN's: they would promise that the sender
 * slows down when it is told of congestion. This device does not slow down, so they stay zero, and
 * the network drops instead of marking. RDMA hardware keeps them from applications, too.
 */
static u8 hops(const struct ib_global_route *grh)
{
	return grh->hop_limit ?: 1;
}

static u8 traffic_class(const struct ib_global_route *grh)
{
	return grh->traffic_class & ~MOS_ECN_MASK;
}

static void put_ipv4(struct mrdma_av *av, const struct ib_global_route *grh)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tos = traffic_class(grh),
		.frag_off = htons(IP_DF),
		.ttl = hops(grh),
		.protocol = IPPROTO_UDP,
	};

	memcpy(&ip.saddr, grh->sgid_attr->gid.raw + 12, 4);
	memcpy(&ip.daddr, grh->dgid.raw + 12, 4);
	memcpy(av->hdr + av->l3, &ip, sizeof(ip));
	av->len = av->l3 + sizeof(ip);
}

static void put_ipv6(struct mrdma_av *av, const struct ib_global_route *grh)
{
	struct ipv6hdr ip = {
		.nexthdr = IPPROTO_UDP,
		.hop_limit = hops(grh),
	};

	ip6_flow_hdr(&ip, traffic_class(grh), htonl(grh->flow_label & 0xfffff));
	memcpy(&ip.saddr, grh->sgid_attr->gid.raw, 16);
	memcpy(&ip.daddr, grh->dgid.raw, 16);
	memcpy(av->hdr + av->l3, &ip, sizeof(ip));
	av->len = av->l3 + sizeof(ip);
}

/*
 * @attr's source GID is referenced by the caller; ib_core has resolved the destination's MAC, and
 * follow.c keeps it right in what has the vector. @sleepable: the caller may sleep, and the MAC
 * address is looked up again. Of an address handle, which any QP may use to any other, @lqpn and
 * @rqpn are 0.
 */
int mrdma_av_init(struct mrdma_dev *dev, const struct rdma_ah_attr *attr, u32 lqpn, u32 rqpn,
		  bool sleepable, struct mrdma_av *av)
{
	const struct ib_global_route *grh = &attr->grh;
	struct udphdr udp = { .dest = htons(MOS_ROCE_PORT) };
	u16 vlan = MRDMA_NO_VLAN, proto;
	struct ethhdr eth;
	bool mcast;
	int err;

	if (!grh->sgid_attr)
		return -EINVAL;
	err = rdma_read_gid_l2_fields(grh->sgid_attr, &vlan, eth.h_source);
	if (err)
		return err;
	/* ib_core leaves it zero if the source's netdev resolves none; a group's is never zero */
	if (is_zero_ether_addr(attr->roce.dmac))
		return -EHOSTUNREACH;
	ether_addr_copy(eth.h_dest, attr->roce.dmac);
	/* what the kernel's connection manager resolved when it connected may be long ago */
	mcast = rdma_is_multicast_addr((struct in6_addr *)grh->dgid.raw);
	if (!mcast && sleepable)
		mrdma_next_hop(grh->sgid_attr, &grh->dgid, eth.h_dest);

	memset(av, 0, sizeof(*av));
	av->source = mrdma_gid_netdev(grh->sgid_attr);
	switch (rdma_gid_attr_network_type(grh->sgid_attr)) {
	case RDMA_NETWORK_IPV4:
		if (!ipv6_addr_v4mapped((const struct in6_addr *)&grh->dgid))
			return -EINVAL;
		proto = ETH_P_IP;
		break;
	case RDMA_NETWORK_IPV6:
		av->ipv6 = true;
		proto = ETH_P_IPV6;
		break;
	default:
		return -EINVAL;
	}

	av->l3 = ETH_HLEN;
	eth.h_proto = htons(proto);
	if (vlan < VLAN_N_VID) {
		__be16 tag[2] = { htons((attr->sl & 7) << VLAN_PRIO_SHIFT | vlan), htons(proto) };

		eth.h_proto = htons(ETH_P_8021Q);
		memcpy(av->hdr + ETH_HLEN, tag, sizeof(tag));
		av->l3 += sizeof(tag);
	}
	memcpy(av->hdr, &eth, sizeof(eth));
	if (av->ipv6)
		put_ipv6(av, grh);
	else
		put_ipv4(av, grh);
	/* what tells flows apart on their way: the label if there is one, else the two QPs */
	av->qp_port = !grh->flow_label && !lqpn;
	udp.source = htons(rdma_get_udp_sport(grh->flow_label, lqpn, rqpn));
	memcpy(av->hdr + av->len, &udp, sizeof(udp));
	av->len += sizeof(udp);
	av->loop = mrdma_own_mac(dev, eth.h_dest);
	av->mcast = mcast;
	return 0;
}

enum ib_mtu mrdma_active_mtu(struct mrdma_dev *dev)
{
	int mtu = READ_ONCE(dev->netdev->mtu) - MRDMA_WIRE_OVERHEAD;

	if (mtu >= 4096)
		return IB_MTU_4096;
	if (mtu >= 2048)
		return IB_MTU_2048;
	if (mtu >= 1024)
		return IB_MTU_1024;
	return mtu >= 512 ? IB_MTU_512 : IB_MTU_256;
}

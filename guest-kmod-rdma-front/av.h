/* SPDX-License-Identifier: GPL-2.0 */
/* An address vector: where a packet goes, with all of its bytes down to the BTH. */
#ifndef MRDMA_AV_H
#define MRDMA_AV_H

#include <linux/types.h>

#include "../guest-kmod-common/roce.h"

/* A netdev by name: neither a reference nor a pointer that may be another netdev's later */
struct mrdma_netdev_id {
	u64			net_cookie;
	int			ifindex;	/* 0: none */
};

/* Address vector: all bytes before the BTH, ready to copy */
struct mrdma_av {
	struct mrdma_netdev_id	source;		/* the source GID's netdev */
	u8			hdr[MOS_ROCE_MAX_L4] __aligned(2);
	u8			len;		/* bytes of hdr in use */
	u8			l3;		/* offset of the IP header */
	bool			ipv6;
	bool			loop;		/* the destination is this very device */
	bool			mcast;		/* the destination is a group */
	bool			qp_port;	/* the UDP source port is that of the two QPs */
};

#endif /* MRDMA_AV_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* Received bursts, see burst.c. */
#ifndef MRDMA_BURST_H
#define MRDMA_BURST_H

#include <rdma/ib_verbs.h>

#include <msr/wire.h>

#include "../guest-kmod-common/roce.h"

/* A checked burst: headers are a private copy, payload is the sender's memory */
struct mrdma_burst {
	u8			hdr[MSR_MAX_BURST_HDR];
	u8			l3;		/* offsets in hdr */
	u8			bth;
	bool			ipv6;
	bool			mcast;		/* to a group */
	bool			marked;		/* congestion experienced */
	bool			ack_req;	/* in the last packet */
	bool			solicited;
	u8			op_first;
	u8			op_mid;
	u8			op_last;
	u8			ext_first;	/* bytes */
	u8			ext_last;
	u16			nseg;
	u16			seg_len;
	u32			psn;
	const u8		*payload;
	u32			len;		/* payload bytes */
};

/* One packet of a burst, or all those between the first and the last */
struct mrdma_seg {
	u8			op;
	bool			ack_req;
	bool			solicited;
	u16			npkts;
	u32			psn;
	const u8		*ext;
	const u8		*data;
	u32			len;
};

/* All in any context */

bool mrdma_burst_seg(const struct mrdma_burst *b, unsigned int i, struct mrdma_seg *p);
/* As a GID: where a packet goes, by its IP header. */
void mrdma_hdr_dgid(const u8 *ip, bool ipv6, union ib_gid *gid);
/* The VLAN of a packet whose IP header is at @l3; MRDMA_NO_VLAN: none */
u16 mrdma_hdr_vlan(const u8 *hdr, u8 l3);

#endif /* MRDMA_BURST_H */

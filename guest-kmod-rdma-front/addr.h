/* SPDX-License-Identifier: GPL-2.0 */
/* Addresses: address vectors and the handles that have them. */
#ifndef MRDMA_ADDR_H
#define MRDMA_ADDR_H

#include "mrdma.h"

struct mrdma_ah {
	struct ib_ah		ibah;
	u32			num;
	struct mrdma_av		av;		/* this and all below: the array's lock */
	const struct ib_gid_attr *sgid;		/* referenced */
	struct rdma_ah_attr	attr;		/* as created, without the GID reference */
};

static inline struct mrdma_ah *to_mrdma_ah(struct ib_ah *ibah)
{
	return container_of(ibah, struct mrdma_ah, ibah);
}

/* av.c */

/* Process context with @sleepable, else any. */
int mrdma_av_init(struct mrdma_dev *dev, const struct rdma_ah_attr *attr, u32 lqpn, u32 rqpn,
		  bool sleepable, struct mrdma_av *av);
/* The largest path MTU that the link MTU allows now. Any context. */
enum ib_mtu mrdma_active_mtu(struct mrdma_dev *dev);

/* ah.c; verbs. Process context, create and destroy also under a spinlock if so flagged. */

int mrdma_create_ah(struct ib_ah *ibah, struct rdma_ah_init_attr *init, struct ib_udata *udata);
int mrdma_modify_ah(struct ib_ah *ibah, struct rdma_ah_attr *attr);
int mrdma_query_ah(struct ib_ah *ibah, struct rdma_ah_attr *attr);
int mrdma_destroy_ah(struct ib_ah *ibah, u32 flags);

/* A copy of the vector of AH @num, if @pd has it. Any context. */
bool mrdma_ah_get_av(struct mrdma_dev *dev, struct ib_pd *pd, u32 num, struct mrdma_av *av);

#endif /* MRDMA_ADDR_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* Address vectors follow routes and neighbours, see follow.c. */
#ifndef MRDMA_FOLLOW_H
#define MRDMA_FOLLOW_H

#include <rdma/ib_verbs.h>

#include "av.h"

struct mrdma_dev;

/* For the module's life. Process context */
int mrdma_follow_register(void);
void mrdma_follow_unregister(void);

int mrdma_follow_init(struct mrdma_dev *dev);
/* Before the device is unregistered. After return the work holds no GID. */
void mrdma_follow_stop(struct mrdma_dev *dev);
void mrdma_follow_uninit(struct mrdma_dev *dev);
/* Some path may lead elsewhere. Any context. */
void mrdma_follow(struct mrdma_dev *dev);
/* Some path seems to lead nowhere. Any context. */
void mrdma_follow_broken(struct mrdma_dev *dev);
/* The netdev of a GID. Its ifindex is 0 if ib_core's table has the GID no longer. Any context. */
struct mrdma_netdev_id mrdma_gid_netdev(const struct ib_gid_attr *gid);
/* Process context; returns false if the MAC address is not known now, and leaves @dmac alone. */
bool mrdma_next_hop(const struct ib_gid_attr *sgid, const union ib_gid *dgid, u8 *dmac);

#endif /* MRDMA_FOLLOW_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* GIDs and their MAC addresses, see gid.c. */
#ifndef MRDMA_GID_H
#define MRDMA_GID_H

#include "mrdma.h"

/* Process context */
int mrdma_add_gid(const struct ib_gid_attr *attr, void **context);
int mrdma_del_gid(const struct ib_gid_attr *attr, void **context);
void mrdma_macs_init(struct mrdma_dev *dev);
void mrdma_macs_uninit(struct mrdma_dev *dev);
void mrdma_macs_follow(struct mrdma_dev *dev);

#endif /* MRDMA_GID_H */

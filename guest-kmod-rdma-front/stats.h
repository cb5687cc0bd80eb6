/* SPDX-License-Identifier: GPL-2.0 */
/* Counters as ib_core shows them, see stats.c. Process context */
#ifndef MRDMA_STATS_H
#define MRDMA_STATS_H

#include <rdma/ib_verbs.h>

struct rdma_hw_stats *mrdma_alloc_hw_port_stats(struct ib_device *ibdev, u32 port);
int mrdma_get_hw_stats(struct ib_device *ibdev, struct rdma_hw_stats *stats, u32 port, int index);

#endif /* MRDMA_STATS_H */

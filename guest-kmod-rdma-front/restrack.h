/* SPDX-License-Identifier: GPL-2.0 */
/* Driver attributes of "rdma resource show", see restrack.c. */
#ifndef MRDMA_RESTRACK_H
#define MRDMA_RESTRACK_H

#include <linux/skbuff.h>
#include <rdma/ib_verbs.h>

int mrdma_fill_res_qp(struct sk_buff *msg, struct ib_qp *ibqp);
int mrdma_fill_res_cq(struct sk_buff *msg, struct ib_cq *ibcq);
int mrdma_fill_res_mr(struct sk_buff *msg, struct ib_mr *ibmr);
int mrdma_fill_res_srq(struct sk_buff *msg, struct ib_srq *ibsrq);

#endif /* MRDMA_RESTRACK_H */

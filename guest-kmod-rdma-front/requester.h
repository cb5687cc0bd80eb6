/* SPDX-License-Identifier: GPL-2.0 */
/* The requester of a queue pair: requests out, answers to them in. All under the QP lock. */
#ifndef MRDMA_REQUESTER_H
#define MRDMA_REQUESTER_H

#include "burst.h"
#include "tx.h"

/* req.c */
void mrdma_req_reset(struct mrdma_qp *qp);
/* Returns true if the budget ended before the work did. */
bool mrdma_req_run(struct mrdma_qp *qp, struct mrdma_tx *tx, u32 *budget);

/* retry.c */
void mrdma_retry_seek(struct mrdma_qp *qp);
void mrdma_retry_go_back(struct mrdma_qp *qp);
void mrdma_retry_gap(struct mrdma_qp *qp);
void mrdma_retry_progress(struct mrdma_qp *qp);
void mrdma_retry_rnr(struct mrdma_qp *qp, u8 code);
void mrdma_retry_arm(struct mrdma_qp *qp);
bool mrdma_retry_after_outage(struct mrdma_qp *qp);
/* A timer has expired. Both return true if the QP has to run. */
bool mrdma_retry_expired(struct mrdma_qp *qp);
bool mrdma_retry_rnr_expired(struct mrdma_qp *qp);

/* comp.c */
void mrdma_comp_rx(struct mrdma_qp *qp, const struct mrdma_burst *b);

#endif /* MRDMA_REQUESTER_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* The responders of queue pairs: requests in, answers out. */
#ifndef MRDMA_RESPONDER_H
#define MRDMA_RESPONDER_H

#include "burst.h"
#include "tx.h"

/* place.c; under the QP lock */

/* Why a packet was not placed */
enum mrdma_place {
	MRDMA_PLACE_OK,
	MRDMA_PLACE_NO_RECV,
	MRDMA_PLACE_REFUSED,	/* not allowed on this QP, or makes no sense */
	MRDMA_PLACE_TOO_LONG,
	MRDMA_PLACE_NO_ACCESS,	/* key, right or range */
	MRDMA_PLACE_INVALIDATE,	/* the key was not to be invalidated */
	MRDMA_PLACE_LOCAL,	/* the receive request's own memory */
};

bool mrdma_place_sequence(const struct mrdma_qp *qp, const struct mrdma_seg *p);
enum mrdma_place mrdma_place_data(struct mrdma_qp *qp, const struct mrdma_seg *p);
bool mrdma_place_fail(struct mrdma_qp *qp, enum ib_wc_status status);

/* resp_rc.c */

/* Any context that may sleep */
struct mrdma_resp_resources *mrdma_resp_resources_alloc(u32 max_dest_rd_atomic);
/* Under the QP lock */
struct mrdma_resp_resources *mrdma_resp_grow(struct mrdma_qp *qp,
					     struct mrdma_resp_resources *rings);
void mrdma_resp_reset(struct mrdma_qp *qp);
void mrdma_resp_rx(struct mrdma_qp *qp, const struct mrdma_burst *b);
/* Returns true if the budget ended before the work did. */
bool mrdma_resp_run(struct mrdma_qp *qp, struct mrdma_tx *tx, u32 *budget);

/* resp_uc.c, resp_ud.c; under the QP lock */

void mrdma_uc_rx(struct mrdma_qp *qp, const struct mrdma_burst *b);
void mrdma_ud_rx(struct mrdma_qp *qp, const struct mrdma_burst *b);

#endif /* MRDMA_RESPONDER_H */

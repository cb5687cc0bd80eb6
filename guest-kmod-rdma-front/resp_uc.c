// SPDX-License-Identifier: GPL-2.0
/*
 * Responder of unreliable connections: places what comes (place.c), and no more. Nothing is
 * answered, and of a message with a packet lost or wrong nothing is seen but what it left in the
 * memory it was for.
 */
#include "responder.h"

/*
 * Unreliable connection. A receive request that a broken message had begun to fill serves the next
 * message (class D1 of IBTA volume 1, section 9.9.3).
 */
void mrdma_uc_rx(struct mrdma_qp *qp, const struct mrdma_burst *b)
{
	struct mrdma_resp *resp = &qp->resp;
	struct mrdma_seg p;
	unsigned int i;

	lockdep_assert_held(&qp->lock);
	for (i = 0; mrdma_burst_seg(b, i, &p); i++) {
		if (!p.npkts)
			continue;
		if (p.psn != resp->psn) {
			mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_OUT_OF_SEQ, 1);
			resp->kind = 0;
		}
		resp->psn = mos_psn_add(p.psn, p.npkts);
		/* whatever was under way is over when another message begins */
		if (mos_op[p.op].flags & MOP_START)
			resp->kind = 0;
		if (!mrdma_place_sequence(qp, &p)) {
			resp->kind = 0;
			continue;
		}
		switch (mrdma_place_data(qp, &p)) {
		case MRDMA_PLACE_OK:
			break;
		case MRDMA_PLACE_LOCAL:
			mrdma_place_fail(qp, IB_WC_LOC_PROT_ERR);
			mrdma_qp_error(qp);
			return;
		case MRDMA_PLACE_NO_RECV:
			resp->kind = 0;
			mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_NO_BUFFER, p.npkts);
			break;
		default:
			resp->kind = 0;
			mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_REFUSED, p.npkts);
			break;
		}
	}
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Completer: acknowledgements, READ responses and results of atomic operations against the
 * requests under way.
 */
#include "mem.h"
#include "requester.h"

static void finish(struct mrdma_qp *qp, struct mrdma_swqe *w)
{
	struct mrdma_req *req = &qp->req;

	req->una = mos_psn_add(w->last_psn, 1);
	req->rnr_retry = qp->attr.rnr_retry;
	mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_SENDS, 1);
	if (qp->sq.cur == qp->sq.tail) {
		/* it had gone back for this request, whose answer came after all */
		qp->sq.cur++;
		req->off = 0;
	}
	mrdma_sq_done(qp, IB_WC_SUCCESS);
	mrdma_sq_done_local(qp);
}

/* Done ahead of the cursor: it had gone back too far. Nothing is sent from behind what is done. */
static void catch_up(struct mrdma_qp *qp)
{
	if (mos_psn_cmp(qp->req.una, qp->req.psn) > 0)
		mrdma_retry_seek(qp);
}

/*
 * The peer has received everything up to and including @psn. Returns false if a READ or atomic
 * operation before it has no response yet: the response was lost.
 */
static bool acked(struct mrdma_qp *qp, u32 psn)
{
	struct mrdma_sq *sq = &qp->sq;
	struct mrdma_req *req = &qp->req;
	struct mrdma_swqe *w;
	u32 una = req->una;
	bool ok = true;

	while (sq->tail != sq->numbered) {
		w = mrdma_swqe(sq, sq->tail);
		if (mos_psn_cmp(w->first_psn, psn) > 0)
			break;
		if (mrdma_wr_has_response(w->opcode)) {
			/* one of several requests for it may be meant, and have been answered */
			ok = mos_psn_cmp(psn, req->una) < 0;
			break;
		}
		if (mos_psn_cmp(w->last_psn, psn) > 0) {
			if (mos_psn_cmp(psn, req->una) >= 0)
				req->una = mos_psn_add(psn, 1);
			break;
		}
		finish(qp, w);
	}
	if (req->una != una)
		mrdma_retry_progress(qp);
	catch_up(qp);
	return ok;
}

static void rx_nak(struct mrdma_qp *qp, u8 syndrome, u32 psn)
{
	struct mrdma_dev *dev = mrdma_qp_dev(qp);
	enum ib_wc_status status;

	/* the packet before it is the last that was accepted */
	if (!acked(qp, mos_psn_add(psn, MOS_PSN_MASK))) {
		mrdma_retry_gap(qp);
		return;
	}
	if (qp->sq.tail == qp->sq.numbered || mos_psn_cmp(psn, qp->req.una) < 0)
		return;

	if ((syndrome & MOS_AETH_TYPE_MASK) == MOS_AETH_RNR) {
		mrdma_count(dev, MRDMA_CNT_RCV_RNR, 1);
		if (qp->req.rnr_wait)
			return;
		if (!qp->req.rnr_retry) {
			mrdma_count(dev, MRDMA_CNT_RNR_EXCEEDED, 1);
			mrdma_sq_fail(qp, IB_WC_RNR_RETRY_EXC_ERR);
			return;
		}
		/* 7 means without end */
		if (qp->req.rnr_retry != 7)
			qp->req.rnr_retry--;
		mrdma_retry_seek(qp);
		mrdma_retry_rnr(qp, syndrome & MOS_AETH_CODE_MASK);
		return;
	}

	switch (syndrome) {
	case MOS_NAK_PSN:
		/* said once by the responder; twice without progress is the network's doing */
		mrdma_count(dev, MRDMA_CNT_RCV_SEQ_ERR, 1);
		if (!qp->req.went_back)
			mrdma_retry_go_back(qp);
		return;
	case MOS_NAK_INVALID_REQ:
		status = IB_WC_REM_INV_REQ_ERR;
		break;
	case MOS_NAK_REM_ACCESS:
		status = IB_WC_REM_ACCESS_ERR;
		break;
	case MOS_NAK_REM_OP:
		status = IB_WC_REM_OP_ERR;
		break;
	default:
		status = IB_WC_BAD_RESP_ERR;
		break;
	}
	mrdma_sq_fail(qp, status);
}

static u8 piece_syndrome(const struct mrdma_seg *p)
{
	struct mos_aeth aeth;

	memcpy(&aeth, p->ext, sizeof(aeth));
	return ntohl(aeth.smsn) >> 24;
}

static void rx_ack(struct mrdma_qp *qp, const struct mrdma_seg *p)
{
	u8 syndrome = piece_syndrome(p);

	switch (syndrome & MOS_AETH_TYPE_MASK) {
	case MOS_AETH_ACK:
		if (!acked(qp, p->psn))
			mrdma_retry_gap(qp);
		break;
	case MOS_AETH_RNR:
	case MOS_AETH_NAK:
		rx_nak(qp, syndrome, p->psn);
		break;
	}
}

/*
 * A response with PSN @psn has come. Returns the oldest request that waits for responses; plain
 * requests before it complete, as the response acknowledges them. NULL: none waits for this one.
 */
static struct mrdma_swqe *find_request(struct mrdma_qp *qp, u32 psn)
{
	struct mrdma_sq *sq = &qp->sq;
	struct mrdma_req *req = &qp->req;
	struct mrdma_swqe *w, *found = NULL;

	while (sq->tail != sq->numbered) {
		w = mrdma_swqe(sq, sq->tail);
		if (mrdma_wr_has_response(w->opcode)) {
			if (mos_psn_cmp(req->una, w->first_psn) < 0)
				req->una = w->first_psn;
			found = w;
			break;
		}
		/*
		 * a late duplicate; so far back that it may look as if it lay behind @w, of 2 GiB
		 */
		if (mos_psn_cmp(psn, req->una) < 0)
			break;
		if (mos_psn_cmp(w->last_psn, psn) >= 0) {
			/* what has this number is answered by an ACK */
			mrdma_sq_fail(qp, IB_WC_BAD_RESP_ERR);
			break;
		}
		finish(qp, w);
		mrdma_retry_progress(qp);
	}
	/* whatever the caller makes of the answer */
	catch_up(qp);
	return found;
}

/* Responses to @w up to @psn are taken; @end: they end the responses to one of its requests. */
static void answers_taken(struct mrdma_qp *qp, struct mrdma_swqe *w, u32 psn, u32 npkts, bool end)
{
	struct mrdma_req *req = &qp->req;

	/* after going back, what was not asked for again is not counted either */
	if (mos_psn_cmp(psn, req->psn) < 0) {
		req->rd_pkts -= min_t(u32, req->rd_pkts, npkts);
		if (end && req->rd_out)
			req->rd_out--;
	}
	if (psn == w->last_psn)
		finish(qp, w);
	else
		req->una = mos_psn_add(psn, 1);
	mrdma_retry_progress(qp);
	catch_up(qp);
}

/* Responses to a READ. Returns false if the rest of the burst is of no use. */
static bool comp_read(struct mrdma_qp *qp, struct mrdma_seg *p)
{
	struct mrdma_req *req = &qp->req;
	struct mrdma_swqe *w;
	u32 skip, off, want, end_psn;
	bool last, end;

	w = find_request(qp, p->psn);
	if (!w)
		return false;
	if (mos_psn_cmp(p->psn, req->una) > 0) {
		mrdma_retry_gap(qp);
		return false;
	}
	skip = mos_psn_diff(req->una, p->psn);
	if (skip >= p->npkts)
		return true;	/* seen before */
	p->psn = req->una;
	p->npkts -= skip;
	p->data += skip * qp->mtu;
	p->len -= skip * qp->mtu;

	end_psn = mos_psn_add(p->psn, p->npkts - 1);
	if (w->opcode == IB_WR_FLUSH || w->opcode == IB_WR_ATOMIC_WRITE) {
		/* answered as a READ of nothing */
		if (p->op != IB_OPCODE_RC_RDMA_READ_RESPONSE_ONLY || p->len) {
			mrdma_sq_fail(qp, IB_WC_BAD_RESP_ERR);
			return false;
		}
		answers_taken(qp, w, end_psn, 1, true);
		return true;
	}
	off = mos_psn_diff(p->psn, w->first_psn) * qp->mtu;
	/*
	 * The answer to each of our requests begins with FIRST or ONLY, and nothing else does. To
	 * one that was repeated from its middle on it may (rdma_rxe goes on with MIDDLE).
	 */
	if (!skip && p->psn != req->rd_again &&
	    !(off % MRDMA_READ_BYTES) != !!(mos_op[p->op].flags & MOP_START)) {
		mrdma_sq_fail(qp, IB_WC_BAD_RESP_ERR);
		return false;
	}
	last = end_psn == w->last_psn;
	want = last ? w->length - off : p->npkts * qp->mtu;
	/* the responder's last packet ends one of our requests for this READ, and only it does */
	end = off + want == mrdma_read_end(w, off);
	if (w->opcode != IB_WR_RDMA_READ ||
	    mos_psn_diff(w->last_psn, p->psn) + 1 < p->npkts || p->len != want ||
	    end != !!(mos_op[p->op].flags & MOP_END)) {
		mrdma_sq_fail(qp, IB_WC_BAD_RESP_ERR);
		return false;
	}
	if (p->len && mrdma_sge_copy(qp->ibqp.pd, w->sge, w->num_sge, off, (void *)p->data,
				     p->len, MRDMA_TO_MR)) {
		mrdma_sq_fail(qp, IB_WC_LOC_PROT_ERR);
		return false;
	}
	answers_taken(qp, w, end_psn, p->npkts, end);
	return true;
}

static void comp_atomic(struct mrdma_qp *qp, const struct mrdma_seg *p)
{
	struct mrdma_req *req = &qp->req;
	struct mos_atomic_ack ack;
	struct mrdma_swqe *w;
	u64 orig;

	w = find_request(qp, p->psn);
	if (!w)
		return;
	if (p->psn != req->una) {
		if (mos_psn_cmp(p->psn, req->una) > 0)
			mrdma_retry_gap(qp);
		return;
	}
	if (w->opcode != IB_WR_ATOMIC_CMP_AND_SWP && w->opcode != IB_WR_ATOMIC_FETCH_AND_ADD) {
		mrdma_sq_fail(qp, IB_WC_BAD_RESP_ERR);
		return;
	}
	memcpy(&ack, p->ext + sizeof(struct mos_aeth), sizeof(ack));
	orig = be64_to_cpu(ack.orig);
	if (mrdma_sge_copy(qp->ibqp.pd, w->sge, w->num_sge, 0, &orig, sizeof(orig),
			   MRDMA_TO_MR)) {
		mrdma_sq_fail(qp, IB_WC_LOC_PROT_ERR);
		return;
	}
	answers_taken(qp, w, p->psn, 1, true);
}

void mrdma_comp_rx(struct mrdma_qp *qp, const struct mrdma_burst *b)
{
	struct mrdma_seg p;
	unsigned int i;

	lockdep_assert_held(&qp->lock);
	/* an answer to something never asked */
	if (mos_psn_cmp(mos_psn_add(b->psn, b->nseg - 1), qp->req.max_psn) >= 0)
		return;
	for (i = 0; mrdma_burst_seg(b, i, &p); i++) {
		if (!p.npkts)
			continue;
		if (p.op == IB_OPCODE_RC_ACKNOWLEDGE) {
			rx_ack(qp, &p);
			return;
		}
		if (p.op == IB_OPCODE_RC_ATOMIC_ACKNOWLEDGE) {
			comp_atomic(qp, &p);
			return;
		}
		if (!comp_read(qp, &p))
			return;
	}
}

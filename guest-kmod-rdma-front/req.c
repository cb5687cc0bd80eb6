// SPDX-License-Identifier: GPL-2.0
/*
 * Requester: turns send requests into bursts. A request is numbered when its
 * first packet goes out; going back (retry.c) only moves the cursor to the
 * oldest packet without acknowledgement. Bytes under way are bounded so that a slow
 * receiver is not flooded, and bounded closer after a loss; an acknowledgement is asked for at
 * the end of messages and at least every ACK_EVERY bytes, so that the window never closes
 * without one.
 */
#include <linux/jiffies.h>

#include "mr.h"
#include "mw.h"
#include "requester.h"

#define ACK_EVERY	(64u << 10)	/* bytes at most without AckReq */
#define ACK_EVERY_MSGS	16		/* and a small message counts as so many bytes' part */

void mrdma_req_reset(struct mrdma_qp *qp)
{
	struct mrdma_sq *sq = &qp->sq;
	struct mrdma_req *req = &qp->req;

	if (qp->user) {
		/* what is queued is discarded: the indices stay congruent to the user's */
		sq->tail += (mrdma_queue_prod(&sq->q) - sq->tail) & sq->mask;
		mrdma_queue_set_cons(&sq->q, sq->tail);
	} else {
		sq->tail = READ_ONCE(sq->prod);
	}
	sq->pulled = sq->tail;
	sq->numbered = sq->tail;
	sq->cur = sq->tail;
	memset(req, 0, sizeof(*req));
	req->retry = qp->attr.retry_cnt;
	req->rnr_retry = qp->attr.rnr_retry;
	req->window = MRDMA_WINDOW_BYTES;
	req->rd_again = U32_MAX;
}

static u32 wqe_pkts(const struct mrdma_qp *qp, const struct mrdma_swqe *w)
{
	return w->length ? DIV_ROUND_UP(w->length, qp->mtu) : 1;
}

static void number_wqe(struct mrdma_qp *qp, struct mrdma_swqe *w)
{
	struct mrdma_req *req = &qp->req;

	w->first_psn = req->next_psn;
	w->last_psn = mos_psn_add(w->first_psn, wqe_pkts(qp, w) - 1);
	req->next_psn = mos_psn_add(w->last_psn, 1);
	qp->sq.numbered++;
}

static void put_reth(struct mrdma_tmpl *t, u64 va, u32 rkey, u32 len)
{
	struct mos_reth reth = {
		.va = cpu_to_be64(va),
		.rkey = cpu_to_be32(rkey),
		.len = cpu_to_be32(len),
	};

	memcpy(t->ext + t->ext_first, &reth, sizeof(reth));
	t->ext_first += sizeof(reth);
}

static void sent(struct mrdma_qp *qp, const struct mrdma_tx *tx, u32 pkts)
{
	struct mrdma_req *req = &qp->req;

	/* the first packet under way starts the clock */
	if (!req->overdue && (!req->armed || req->una == req->psn))
		mrdma_retry_arm(qp);
	if (req->psn == req->max_psn && req->una == req->psn) {
		req->timing = true;
		req->sent_at = jiffies;
	}
	req->ring_end = tx->ring_end;
	req->psn = mos_psn_add(req->psn, pkts);
	if (mos_psn_cmp(req->psn, req->max_psn) > 0)
		req->max_psn = req->psn;
}

enum step {
	STEP_ON,	/* go on with the next burst */
	STEP_STOP,	/* an event will bring us back */
};

/* Where a burst's payload comes from: request @w, from byte @off on */
struct source {
	const struct mrdma_swqe	*w;
	u32			off;
};

static int fill_request(struct mrdma_qp *qp, const void *source, u8 *to, u32 bytes)
{
	const struct source *s = source;

	return mrdma_swqe_copy(qp, s->w, s->off, to, bytes);
}

/*
 * Sends burst @t of @w, with payload from byte @off on. Returns false if it is not sent: *@step is
 * then what comes next.
 */
static bool send_burst(struct mrdma_qp *qp, struct mrdma_tx *tx, struct mrdma_swqe *w, u32 off,
		       const struct mrdma_tmpl *t, enum step *step)
{
	const struct source source = { .w = w, .off = off };

	switch (mrdma_tx_send(tx, qp, t, fill_request, &source)) {
	case MRDMA_TX_FULL:
		*step = STEP_STOP;
		return false;
	case MRDMA_TX_UNREADABLE:
		w->status = IB_WC_LOC_PROT_ERR;
		*step = STEP_ON;
		return false;
	default:
		return true;
	}
}

/*
 * May @w be outstanding beside those that are? The limit may have become another while the queue
 * pair was in SQD (IBTA volume 1, section 10.3.1): what began before still ends, and what begins
 * where none is allowed ends with an error.
 */
static bool may_ask(struct mrdma_qp *qp, struct mrdma_swqe *w)
{
	struct mrdma_req *req = &qp->req;
	u32 limit = qp->attr.max_rd_atomic;

	if (!limit && !req->off && req->psn == req->max_psn) {
		w->status = IB_WC_LOC_QP_OP_ERR;
		return false;
	}
	return req->rd_out < max(limit, 1u);
}

/*
 * A long READ goes out as several requests that share its numbers: the responder sends
 * without being acknowledged, so what is asked for at once is all that bounds it,
 * and all that it sends in vain after a loss.
 */
static enum step send_read(struct mrdma_qp *qp, struct mrdma_tx *tx, struct mrdma_swqe *w)
{
	struct mrdma_req *req = &qp->req;
	u32 bytes = mrdma_read_end(w, req->off) - req->off;
	u32 pkts = bytes ? DIV_ROUND_UP(bytes, qp->mtu) : 1;
	struct mrdma_tmpl t = {
		.av = &qp->av,
		.dqpn = qp->attr.dest_qp_num,
		.psn = req->psn,
		.nseg = 1,
		.op_first = IB_OPCODE_RC_RDMA_READ_REQUEST,
		.op_last = IB_OPCODE_RC_RDMA_READ_REQUEST,
		.urgent = true,
	};

	if (!may_ask(qp, w))
		return w->status == IB_WC_SUCCESS ? STEP_STOP : STEP_ON;
	if (req->rd_pkts && req->rd_pkts + pkts > MRDMA_WINDOW_BYTES / qp->mtu)
		return STEP_STOP;
	/* after a loss only what has not arrived is asked for again */
	put_reth(&t, w->rdma.va + req->off, w->rdma.rkey, bytes);
	if (mrdma_tx_headers(tx, qp, &t) == MRDMA_TX_FULL)
		return STEP_STOP;
	if (req->off % MRDMA_READ_BYTES)
		req->rd_again = req->psn;
	req->rd_out++;
	req->rd_pkts += pkts;
	req->noack_bytes = 0;
	sent(qp, tx, pkts);
	req->off += bytes;
	if (req->off == w->length) {
		req->off = 0;
		qp->sq.cur++;
	}
	return STEP_ON;
}

/* An atomic operation or FLUSH: one packet each way */
static enum step send_atomic(struct mrdma_qp *qp, struct mrdma_tx *tx, struct mrdma_swqe *w)
{
	struct mrdma_req *req = &qp->req;
	struct mrdma_tmpl t = {
		.av = &qp->av,
		.dqpn = qp->attr.dest_qp_num,
		.psn = req->psn,
		.nseg = 1,
	};
	struct mos_atomic_eth eth = {
		.va = cpu_to_be64(w->rdma.va),
		.rkey = cpu_to_be32(w->rdma.rkey),
		.swap_add = cpu_to_be64(w->rdma.swap_add),
		.compare = cpu_to_be64(w->rdma.compare),
	};
	__be32 feth = cpu_to_be32(w->rdma.feth);
	enum step step;

	if (!may_ask(qp, w))
		return w->status == IB_WC_SUCCESS ? STEP_STOP : STEP_ON;
	switch (w->opcode) {
	case IB_WR_ATOMIC_WRITE:
		t.op_first = IB_OPCODE_RC_ATOMIC_WRITE;
		t.payload = w->length;
		put_reth(&t, w->rdma.va, w->rdma.rkey, w->length);
		break;
	case IB_WR_FLUSH:
		t.op_first = IB_OPCODE_RC_FLUSH;
		memcpy(t.ext, &feth, sizeof(feth));
		t.ext_first = sizeof(feth);
		put_reth(&t, w->rdma.va, w->rdma.rkey, w->rdma.bytes);
		break;
	default:
		t.op_first = w->opcode == IB_WR_ATOMIC_CMP_AND_SWP ? IB_OPCODE_RC_COMPARE_SWAP :
								    IB_OPCODE_RC_FETCH_ADD;
		memcpy(t.ext, &eth, sizeof(eth));
		t.ext_first = sizeof(eth);
		break;
	}
	t.op_last = t.op_first;
	if (!send_burst(qp, tx, w, 0, &t, &step))
		return step;
	req->rd_out++;
	req->rd_pkts++;
	req->noack_bytes = 0;
	sent(qp, tx, 1);
	qp->sq.cur++;
	return STEP_ON;
}

/* May the acknowledgement wait for a request behind this one? */
static bool more_follows(struct mrdma_qp *qp)
{
	struct mrdma_sq *sq = &qp->sq;
	struct mrdma_swqe *next;

	/* draining: nothing begins any more */
	if (qp->state == IB_QPS_SQD && sq->cur + 1 == sq->numbered)
		return false;
	if (sq->cur + 1 == sq->pulled && !mrdma_sq_pull(qp))
		return false;
	next = mrdma_swqe(sq, sq->cur + 1);
	return next->status == IB_WC_SUCCESS && !mrdma_wr_has_response(next->opcode) &&
	       !mrdma_wr_local(next->opcode) && !(next->flags & IB_SEND_FENCE);
}

/*
 * UC, UD, raw packets: the request is done when it is sent, nobody will ever say whether it
 * arrived.
 */
static void done_unanswered(struct mrdma_qp *qp, struct mrdma_dev *dev)
{
	qp->sq.cur++;
	mrdma_count(dev, MRDMA_CNT_SENDS, 1);
	mrdma_sq_done(qp, IB_WC_SUCCESS);
}

static enum step send_data(struct mrdma_qp *qp, struct mrdma_tx *tx, struct mrdma_swqe *w,
			   u32 *budget)
{
	static const u8 op_sets[] = {
		[IB_WR_RDMA_WRITE] = MRDMA_OPS_WRITE,
		[IB_WR_RDMA_WRITE_WITH_IMM] = MRDMA_OPS_WRITE_IMM,
		[IB_WR_SEND] = MRDMA_OPS_SEND,
		[IB_WR_SEND_WITH_IMM] = MRDMA_OPS_SEND_IMM,
		[IB_WR_SEND_WITH_INV] = MRDMA_OPS_SEND_INV,
	};
	const struct mrdma_op_set *ops = &mrdma_op_set[op_sets[w->opcode]];
	bool write = w->opcode == IB_WR_RDMA_WRITE || w->opcode == IB_WR_RDMA_WRITE_WITH_IMM;
	bool imm = w->opcode == IB_WR_RDMA_WRITE_WITH_IMM || w->opcode == IB_WR_SEND_WITH_IMM;
	struct mrdma_req *req = &qp->req;
	bool rc = qp->ibqp.qp_type == IB_QPT_RC;
	u32 mtu = qp->mtu, in_flight = 0, window = 0, max, bytes, pkts;
	struct mrdma_tmpl t = {
		.av = &qp->av,
		.dqpn = qp->attr.dest_qp_num,
		.psn = req->psn,
		.seg_len = mtu,
	};
	bool start = !req->off, end;
	enum step step;

	max = mrdma_tx_max(&qp->av);
	if (rc) {
		in_flight = mos_psn_diff(req->psn, req->una);
		in_flight -= min(req->rd_pkts, in_flight);
		window = req->probing ? 1 : req->window / mtu;
		if (in_flight >= window)
			return STEP_STOP;
		max = min(max, (window - in_flight) * mtu);
	}
	bytes = min(w->length - req->off, max);
	end = req->off + bytes == w->length;
	pkts = bytes ? DIV_ROUND_UP(bytes, mtu) : 1;
	t.nseg = pkts;
	t.payload = bytes;

	mrdma_tmpl_ops(&t, ops, start, end);
	if (!rc) {
		t.op_first |= IB_OPCODE_UC;
		t.op_mid |= IB_OPCODE_UC;
		t.op_last |= IB_OPCODE_UC;
	}
	if (start && write)
		put_reth(&t, w->rdma.va, w->rdma.rkey, w->length);
	if (end && imm) {
		memcpy(t.ext + t.ext_first, &w->imm, MOS_IMM_BYTES);
		t.ext_last = MOS_IMM_BYTES;
	}
	if (end && w->opcode == IB_WR_SEND_WITH_INV) {
		__be32 key = cpu_to_be32(w->inv_key);

		memcpy(t.ext, &key, sizeof(key));
		t.ext_last = sizeof(key);
	}
	/* SE is for messages that take a receive request (IBTA volume 1, section 9.2) */
	t.solicited = end && w->flags & IB_SEND_SOLICITED && w->opcode != IB_WR_RDMA_WRITE;
	if (rc) {
		req->noack_bytes += max(bytes, ACK_EVERY / ACK_EVERY_MSGS);
		t.ack_req = req->noack_bytes >= ACK_EVERY || (end && !more_follows(qp)) ||
			    in_flight + pkts >= window;
	}

	if (!send_burst(qp, tx, w, req->off, &t, &step))
		return step;
	if (t.ack_req)
		req->noack_bytes = 0;
	if (rc)
		sent(qp, tx, pkts);
	else
		req->psn = mos_psn_add(req->psn, pkts);
	mrdma_tx_charge(budget, bytes);
	if (!end) {
		req->off += bytes;
		return STEP_ON;
	}
	req->off = 0;
	if (rc)
		qp->sq.cur++;
	else
		done_unanswered(qp, tx->dev);
	return STEP_ON;
}

static enum step send_ud(struct mrdma_qp *qp, struct mrdma_tx *tx, struct mrdma_swqe *w,
			 u32 *budget)
{
	struct mrdma_dev *dev = tx->dev;
	struct mos_deth deth;
	struct mrdma_tmpl t = {
		.dqpn = w->ud.qpn,
		.psn = qp->req.psn,
		.nseg = 1,
		.op_first = IB_OPCODE_UD_SEND_ONLY,
		.ext_first = sizeof(deth),
		.payload = w->length,
		.solicited = w->flags & IB_SEND_SOLICITED,
		/* connections are made and kept by these */
		.urgent = qp->ibqp.qp_type == IB_QPT_GSI,
	};
	enum step step;

	t.av = &w->ud.av;
	if (w->ud.ah_num && !mrdma_ah_get_av(dev, qp->ibqp.pd, w->ud.ah_num, &w->ud.av)) {
		w->status = IB_WC_LOC_QP_OP_ERR;
		return STEP_ON;
	}
	if (!w->ud.ah_num && qp->user) {
		w->status = IB_WC_LOC_QP_OP_ERR;
		return STEP_ON;
	}
	/* longer than the port's MTU is neither sent nor an error (IBTA volume 1, C10-93.1.1) */
	if (w->length > ib_mtu_enum_to_int(mrdma_active_mtu(dev))) {
		mrdma_count(dev, MRDMA_CNT_NOT_SENT, 1);
		mrdma_tx_charge(budget, 0);
		done_unanswered(qp, dev);
		return STEP_ON;
	}
	/* a QKey with its top bit set stands for the QP's own */
	deth.qkey = cpu_to_be32(w->ud.qkey & BIT(31) ? qp->attr.qkey : w->ud.qkey);
	deth.sqp = cpu_to_be32(qp->ibqp.qp_num);
	memcpy(t.ext, &deth, sizeof(deth));
	if (w->opcode == IB_WR_SEND_WITH_IMM) {
		t.op_first = IB_OPCODE_UD_SEND_ONLY_WITH_IMMEDIATE;
		memcpy(t.ext + sizeof(deth), &w->imm, MOS_IMM_BYTES);
		t.ext_last = MOS_IMM_BYTES;
	}
	t.op_last = t.op_first;

	if (!send_burst(qp, tx, w, 0, &t, &step))
		return step;
	qp->req.psn = mos_psn_add(qp->req.psn, 1);
	mrdma_tx_charge(budget, w->length);
	done_unanswered(qp, dev);
	return STEP_ON;
}

static enum step send_raw(struct mrdma_qp *qp, struct mrdma_tx *tx, struct mrdma_swqe *w,
			  u32 *budget)
{
	w->status = mrdma_raw_send(qp, w);
	if (w->status != IB_WC_SUCCESS)
		return STEP_ON;
	mrdma_tx_charge(budget, w->length);
	done_unanswered(qp, tx->dev);
	return STEP_ON;
}

/*
 * An operation on keys takes effect in its turn and completes in its turn: what was sent before it
 * may still be unacknowledged, unless a fence says otherwise. It has no packet sequence number, so
 * going back passes over it; it is not done again.
 */
static enum step run_local(struct mrdma_qp *qp, struct mrdma_swqe *w, u32 *budget)
{
	struct mrdma_sq *sq = &qp->sq;
	int err = -EINVAL;

	if (sq->cur != sq->numbered) {
		sq->cur++;
		return STEP_ON;
	}
	if (w->flags & IB_SEND_FENCE && sq->cur != sq->tail)
		return STEP_STOP;
	switch (w->opcode) {
	case IB_WR_LOCAL_INV:
		err = mrdma_mr_invalidate(qp, w->inv_key, false);
		break;
	case IB_WR_REG_MR:
		err = mrdma_mr_fast_reg(qp, w->reg.key, w->reg.access);
		break;
	case IB_WR_BIND_MW:
		err = mrdma_mw_bind(qp, &w->bind);
		break;
	}
	if (err) {
		/* "memory management operation error" of IBTA volume 1, section 11.6.2 */
		w->status = IB_WC_MW_BIND_ERR;
		return STEP_ON;
	}
	w->first_psn = qp->req.next_psn;
	w->last_psn = mos_psn_add(w->first_psn, MOS_PSN_MASK);
	sq->numbered++;
	sq->cur++;
	mrdma_tx_charge(budget, 0);
	mrdma_sq_done_local(qp);
	return STEP_ON;
}

/*
 * The packet that would have carried AckReq will not be sent: rewinds, so that the last packets are
 * sent again, with AckReq. Returns false if no packet is without an acknowledgement request.
 */
static bool ask_for_ack(struct mrdma_qp *qp)
{
	if (!qp->req.noack_bytes)
		return false;
	mrdma_retry_seek(qp);
	return true;
}

/* All that has begun is complete; the cursor may have gone back to it. */
static void check_drained(struct mrdma_qp *qp)
{
	if (qp->state == IB_QPS_SQD && qp->sqd_notify && qp->sq.tail == qp->sq.numbered) {
		qp->sqd_notify = false;
		mrdma_qp_event(qp, IB_EVENT_SQ_DRAINED);
	}
}

/* Returns true if the budget ended before the work did. */
bool mrdma_req_run(struct mrdma_qp *qp, struct mrdma_tx *tx, u32 *budget)
{
	struct mrdma_req *req = &qp->req;
	struct mrdma_sq *sq = &qp->sq;
	struct mrdma_swqe *w;
	enum step step;

	lockdep_assert_held(&qp->lock);
	if (qp->ibqp.qp_type == IB_QPT_RC)
		mrdma_retry_after_outage(qp);
	/* a completion that overruns its queue ends it, too */
	while (!req->rnr_wait && qp->state != IB_QPS_ERR) {
		if (!*budget)
			return true;
		if (req->probing && req->psn != req->una)
			break;
		/* draining: what has begun goes on, nothing begins */
		if (qp->state == IB_QPS_SQD && !req->off && sq->cur == sq->numbered) {
			if (ask_for_ack(qp))
				continue;
			break;
		}
		if (sq->cur == sq->pulled && !mrdma_sq_pull(qp))
			break;
		w = mrdma_swqe(sq, sq->cur);
		if (unlikely(w->status != IB_WC_SUCCESS)) {
			/* in its turn, when all before it are done */
			if (sq->cur != sq->tail) {
				if (ask_for_ack(qp))
					continue;
				break;
			}
			mrdma_count(tx->dev, MRDMA_CNT_SEND_ERR, 1);
			mrdma_sq_fail(qp, w->status);
			break;
		}
		if (mrdma_wr_local(w->opcode)) {
			if (run_local(qp, w, budget) == STEP_STOP)
				break;
			continue;
		}
		if (w->flags & IB_SEND_FENCE && req->rd_out && !req->off)
			break;
		if (sq->cur == sq->numbered)
			number_wqe(qp, w);
		if (qp->ibqp.qp_type == IB_QPT_RAW_PACKET)
			step = send_raw(qp, tx, w, budget);
		else if (!mrdma_qp_connected(qp))
			step = send_ud(qp, tx, w, budget);
		else if (w->opcode == IB_WR_RDMA_READ)
			step = send_read(qp, tx, w);
		else if (mrdma_wr_has_response(w->opcode))
			step = send_atomic(qp, tx, w);
		else
			step = send_data(qp, tx, w, budget);
		if (step == STEP_STOP)
			break;
	}
	check_drained(qp);
	return false;
}

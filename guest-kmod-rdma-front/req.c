// SPDX-License-Identifier: GPL-2.0
/*
 * Requester: turns send requests into bursts. A request is numbered when its
 * first packet goes out; going back (go-back-N) only moves the cursor to the
 * oldest packet without acknowledgement. Bytes under way are bounded so that a slow
 * receiver is not flooded, and bounded closer after a loss; an acknowledgement is asked for at the end of messages
 * and at least every ACK_EVERY bytes, so that the window never closes without one.
 */
#include <linux/jiffies.h>

#include "mrdma.h"

#define WINDOW_BYTES	(512u << 10)	/* unacknowledged payload of SEND and WRITE */
#define WINDOW_MIN_PKTS	16u
#define ACK_EVERY	(64u << 10)	/* bytes at most without AckReq */
#define ACK_EVERY_MSGS	16		/* and a small message counts as so many bytes' part */

/* RNR timer field in microseconds (IBTA volume 1, table 45) */
static const u32 rnr_usecs[32] = {
	655360, 10, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480, 640, 960, 1280, 1920,
	2560, 3840, 5120, 7680, 10240, 15360, 20480, 30720, 40960, 61440, 81920, 122880,
	163840, 245760, 327680, 491520,
};

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
	req->window = WINDOW_BYTES;
}

/* Copies a user's request out of its queue, once, and checks the copy. */
static void copy_wqe(struct mrdma_qp *qp, struct mrdma_swqe *w, const struct rxe_send_wqe *u)
{
	bool ud = qp->ibqp.qp_type == IB_QPT_UD;
	u32 opcode = READ_ONCE(u->wr.opcode);
	u32 num_sge = READ_ONCE(u->dma.num_sge);
	u64 sum = 0;
	u32 i;

	w->wr_id = READ_ONCE(u->wr.wr_id);
	w->flags = READ_ONCE(u->wr.send_flags) & (IB_SEND_FENCE | IB_SEND_SIGNALED |
						  IB_SEND_SOLICITED | IB_SEND_INLINE);
	w->imm = READ_ONCE(u->wr.ex.imm_data);
	w->length = READ_ONCE(u->dma.length);
	w->opcode = opcode & 0xff;
	w->status = IB_WC_SUCCESS;
	w->num_sge = 0;
	w->inline_data = NULL;
	if (opcode > 0xff) {
		w->status = IB_WC_LOC_QP_OP_ERR;
		return;
	}
	if (mrdma_wr_local(opcode)) {
		w->flags &= ~IB_SEND_INLINE;
		w->length = 0;
		/* of no meaning but to BIND_MW; the key of LOCAL_INV is where others have imm */
		w->bind = (struct mrdma_bind) {
			.addr = READ_ONCE(u->wr.wr.mw.addr),
			.length = READ_ONCE(u->wr.wr.mw.length),
			.lkey = READ_ONCE(u->wr.wr.mw.mr_lkey),
			.rkey = READ_ONCE(u->wr.wr.mw.mw_rkey),
			.new_rkey = READ_ONCE(u->wr.wr.mw.rkey),
			.access = READ_ONCE(u->wr.wr.mw.access),
		};
		return;
	}
	if (ud) {
		w->ud.qpn = READ_ONCE(u->wr.wr.ud.remote_qpn) & MRDMA_QPN_MASK;
		w->ud.qkey = READ_ONCE(u->wr.wr.ud.remote_qkey);
		w->ud.ah_num = READ_ONCE(u->wr.wr.ud.ah_num);
	} else {
		w->rdma.va = READ_ONCE(u->wr.wr.rdma.remote_addr);
		w->rdma.rkey = READ_ONCE(u->wr.wr.rdma.rkey);
	}
	if (w->flags & IB_SEND_INLINE) {
		/* the bytes stay in the queue: they are the user's to spoil until completion */
		if (w->length > qp->sq.max_inline)
			w->status = IB_WC_LOC_LEN_ERR;
		w->inline_data = u->dma.inline_data;
		return;
	}
	if (num_sge > qp->sq.max_sge) {
		w->status = IB_WC_LOC_QP_OP_ERR;
		return;
	}
	w->num_sge = num_sge;
	memcpy(w->sge, u->dma.sge, num_sge * sizeof(w->sge[0]));
	for (i = 0; i < num_sge; i++)
		sum += w->sge[i].length;
	if (sum != w->length)
		w->status = IB_WC_LOC_LEN_ERR;
}

static void check_wqe(struct mrdma_qp *qp, struct mrdma_swqe *w)
{
	bool rc = qp->ibqp.qp_type == IB_QPT_RC;

	if (w->status != IB_WC_SUCCESS)
		return;
	switch (w->opcode) {
	case IB_WR_SEND:
	case IB_WR_SEND_WITH_IMM:
		break;
	case IB_WR_RDMA_READ:
		if (!rc || w->flags & IB_SEND_INLINE || !qp->attr.max_rd_atomic)
			w->status = IB_WC_LOC_QP_OP_ERR;
		break;
	case IB_WR_RDMA_WRITE:
	case IB_WR_RDMA_WRITE_WITH_IMM:
		if (!rc)
			w->status = IB_WC_LOC_QP_OP_ERR;
		break;
	case IB_WR_LOCAL_INV:
		if (!rc)
			w->status = IB_WC_LOC_QP_OP_ERR;
		break;
	case IB_WR_REG_MR:
		/* physical memory: kernel users only */
		if (!rc || qp->user)
			w->status = IB_WC_LOC_QP_OP_ERR;
		break;
	case IB_WR_BIND_MW:
		if (!rc || !qp->user)
			w->status = IB_WC_LOC_QP_OP_ERR;
		break;
	default:
		w->status = IB_WC_LOC_QP_OP_ERR;
		break;
	}
	if (w->length > (rc ? MRDMA_MAX_MSG : qp->mtu))
		w->status = IB_WC_LOC_LEN_ERR;
}

/* Takes the next posted request into private memory. */
bool mrdma_sq_pull(struct mrdma_qp *qp)
{
	struct mrdma_sq *sq = &qp->sq;
	u32 idx = sq->pulled;

	/* all slots hold requests without completion: the user moved its index too far */
	if (idx - sq->tail >= sq->mask)
		return false;
	if (qp->user) {
		if (mrdma_queue_prod(&sq->q) == (idx & sq->mask))
			return false;
		copy_wqe(qp, mrdma_swqe(sq, idx), mrdma_queue_elem(&sq->q, idx));
	} else {
		/* partner: the store-release in post_kernel; the request is complete */
		if (smp_load_acquire(&sq->prod) == idx)
			return false;
	}
	check_wqe(qp, mrdma_swqe(sq, idx));
	sq->pulled++;
	return true;
}

static u32 wqe_pkts(const struct mrdma_qp *qp, const struct mrdma_swqe *w)
{
	return w->length ? DIV_ROUND_UP(w->length, qp->mtu) : 1;
}

static void number_wqe(struct mrdma_qp *qp, struct mrdma_swqe *w)
{
	struct mrdma_req *req = &qp->req;

	w->first_psn = req->next_psn;
	w->last_psn = mrdma_psn_add(w->first_psn, wqe_pkts(qp, w) - 1);
	req->next_psn = mrdma_psn_add(w->last_psn, 1);
	qp->sq.numbered++;
}

/* Moves the cursor to the oldest packet without acknowledgement. */
void mrdma_req_seek(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;
	struct mrdma_sq *sq = &qp->sq;
	struct mrdma_swqe *w;

	req->psn = req->una;
	req->off = 0;
	req->rd_out = 0;
	req->rd_pkts = 0;
	req->noack_bytes = 0;
	for (sq->cur = sq->tail; sq->cur != sq->numbered; sq->cur++) {
		w = mrdma_swqe(sq, sq->cur);
		if (mrdma_psn_cmp(req->una, w->last_psn) <= 0) {
			req->off = mrdma_psn_diff(req->una, w->first_psn) * qp->mtu;
			break;
		}
	}
}

void mrdma_req_arm(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;
	u64 ns;

	if (!qp->attr.timeout || qp->dead)
		return;
	/*
	 * The specification allows one to four times the nominal time; twice it
	 * forgives a peer whose CPU is not scheduled for a while.
	 */
	ns = (u64)(4096 * 2) << qp->attr.timeout;
	req->deadline = jiffies + nsecs_to_jiffies(ns) + 1;
	if (!req->armed) {
		req->armed = true;
		mod_timer(&qp->timer, req->deadline);
	}
}

/* Back to the oldest packet after a loss; the retry counter runs out without progress. */
void mrdma_req_retry(struct mrdma_qp *qp)
{
	struct mrdma_dev *dev = mrdma_qp_dev(qp);
	struct mrdma_req *req = &qp->req;

	if (req->went_back && !req->retry) {
		mrdma_count(dev, MRDMA_CNT_RETRY_EXCEEDED, 1);
		mrdma_comp_fail(qp, IB_WC_RETRY_EXC_ERR);
		return;
	}
	if (req->went_back)
		req->retry--;
	mrdma_count(dev, MRDMA_CNT_RETRY, 1);
	req->went_back = true;
	req->gap = false;
	req->timing = false;
	req->gap_until = jiffies + max(2u, req->srtt / 4);
	/* all that was behind the loss went in vain: have less there next time */
	req->window = max(req->window / 2, WINDOW_MIN_PKTS * qp->mtu);
	mrdma_req_seek(qp);
	mrdma_req_arm(qp);
}

/*
 * A gap in what comes back. After going back, what was under way before still arrives,
 * out of order by nature; to go back again for it would ask for everything once
 * more with every packet. So for two round trips gaps are only noted.
 */
void mrdma_req_gap(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;

	mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_RCV_SEQ_ERR, 1);
	if (!time_before(jiffies, req->gap_until)) {
		mrdma_req_retry(qp);
		return;
	}
	if (!req->gap && !qp->dead) {
		req->gap = true;
		req->armed = true;
		mod_timer(&qp->timer, req->gap_until);
	}
}

void mrdma_req_progress(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;

	if (req->timing) {
		u32 rtt = min_t(unsigned long, jiffies - req->sent_at, HZ);

		req->srtt += rtt - req->srtt / 8;
		req->timing = false;
	}
	req->retry = qp->attr.retry_cnt;
	req->went_back = false;
	req->gap = false;
	req->window = min(req->window + req->window / 8, WINDOW_BYTES);
	if (req->una != req->max_psn)
		mrdma_req_arm(qp);
}

void mrdma_req_timeout(struct timer_list *t)
{
	struct mrdma_qp *qp = from_timer(qp, t, timer);
	struct mrdma_req *req = &qp->req;

	mrdma_qp_lock(qp);
	req->armed = false;
	if (qp->dead || (qp->state != IB_QPS_RTS && qp->state != IB_QPS_SQD) ||
	    req->una == req->max_psn || req->rnr_wait)
		goto out;
	if (req->gap && !time_before(jiffies, req->gap_until)) {
		/* noted, and nothing has filled it since: not the end of a retry's time */
		req->went_back = false;
		mrdma_req_retry(qp);
		mrdma_qp_run(qp);
		goto out;
	}
	if (!qp->attr.timeout)
		goto out;
	if (time_before(jiffies, req->deadline)) {
		/* there was progress since it was armed */
		req->armed = true;
		mod_timer(&qp->timer, req->gap ? min(req->gap_until, req->deadline) :
						 req->deadline);
		goto out;
	}
	/* the first timeout counts as well, whatever the going back for gaps did */
	req->went_back = true;
	mrdma_req_retry(qp);
	mrdma_qp_run(qp);
out:
	mrdma_qp_unlock(qp);
}

void mrdma_req_rnr_timeout(struct timer_list *t)
{
	struct mrdma_qp *qp = from_timer(qp, t, rnr_timer);

	mrdma_qp_lock(qp);
	if (!qp->dead && qp->req.rnr_wait) {
		qp->req.rnr_wait = false;
		mrdma_req_seek(qp);
		mrdma_req_arm(qp);
		mrdma_qp_run(qp);
	}
	mrdma_qp_unlock(qp);
}

/* The responder had no receive request: wait as long as it asked for. */
void mrdma_req_rnr(struct mrdma_qp *qp, u8 code)
{
	if (qp->dead)
		return;
	qp->req.rnr_wait = true;
	mod_timer(&qp->rnr_timer, jiffies + usecs_to_jiffies(rnr_usecs[code & 31]) + 1);
}

static void put_reth(struct mrdma_tmpl *t, u64 va, u32 rkey, u32 len)
{
	struct mrdma_reth reth = {
		.va = cpu_to_be64(va),
		.rkey = cpu_to_be32(rkey),
		.len = cpu_to_be32(len),
	};

	memcpy(t->ext, &reth, sizeof(reth));
	t->ext_first = sizeof(reth);
}

static int copy_payload(struct mrdma_qp *qp, const struct mrdma_swqe *w, u32 off, u8 *to, u32 len)
{
	if (w->inline_data) {
		memcpy(to, w->inline_data + off, len);
		return 0;
	}
	return mrdma_sge_copy(qp->ibqp.pd, w->sge, w->num_sge, off, to, len, MRDMA_FROM_MR);
}

static void sent(struct mrdma_qp *qp, u32 pkts)
{
	struct mrdma_req *req = &qp->req;

	/* the first packet under way starts the clock */
	if (!req->armed || req->una == req->psn)
		mrdma_req_arm(qp);
	if (req->psn == req->max_psn && req->una == req->psn) {
		req->timing = true;
		req->sent_at = jiffies;
	}
	req->psn = mrdma_psn_add(req->psn, pkts);
	if (mrdma_psn_cmp(req->psn, req->max_psn) > 0)
		req->max_psn = req->psn;
}

enum step {
	STEP_ON,	/* go on with the next burst */
	STEP_STOP,	/* an event will bring us back */
};

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
	};

	if (req->rd_out >= qp->attr.max_rd_atomic ||
	    (req->rd_pkts && req->rd_pkts + pkts > WINDOW_BYTES / qp->mtu))
		return STEP_STOP;
	/* after a loss only what has not arrived is asked for again */
	put_reth(&t, w->rdma.va + req->off, w->rdma.rkey, bytes);
	if (mrdma_tx_headers(tx, qp, &t) == MRDMA_TX_FULL)
		return STEP_STOP;
	req->rd_out++;
	req->rd_pkts += pkts;
	req->noack_bytes = 0;
	sent(qp, pkts);
	req->off += bytes;
	if (req->off == w->length) {
		req->off = 0;
		qp->sq.cur++;
	}
	return STEP_ON;
}

/* May the acknowledgement wait for a request behind this one? */
static bool more_follows(struct mrdma_qp *qp)
{
	struct mrdma_sq *sq = &qp->sq;
	struct mrdma_swqe *next;

	if (sq->cur + 1 == sq->pulled && !mrdma_sq_pull(qp))
		return false;
	next = mrdma_swqe(sq, sq->cur + 1);
	return next->status == IB_WC_SUCCESS && next->opcode != IB_WR_RDMA_READ &&
	       !mrdma_wr_local(next->opcode) && !(next->flags & IB_SEND_FENCE);
}

static enum step send_data(struct mrdma_qp *qp, struct mrdma_tx *tx, struct mrdma_swqe *w,
			   u32 *budget)
{
	static const u8 op_sets[] = {
		[IB_WR_RDMA_WRITE] = MRDMA_OPS_WRITE,
		[IB_WR_RDMA_WRITE_WITH_IMM] = MRDMA_OPS_WRITE_IMM,
		[IB_WR_SEND] = MRDMA_OPS_SEND,
		[IB_WR_SEND_WITH_IMM] = MRDMA_OPS_SEND_IMM,
	};
	const struct mrdma_op_set *ops = &mrdma_op_set[op_sets[w->opcode]];
	bool write = w->opcode == IB_WR_RDMA_WRITE || w->opcode == IB_WR_RDMA_WRITE_WITH_IMM;
	bool imm = w->opcode == IB_WR_RDMA_WRITE_WITH_IMM || w->opcode == IB_WR_SEND_WITH_IMM;
	struct mrdma_req *req = &qp->req;
	u32 mtu = qp->mtu, flying, window, max, bytes, pkts;
	struct mrdma_tmpl t = {
		.av = &qp->av,
		.dqpn = qp->attr.dest_qp_num,
		.psn = req->psn,
		.seg_len = mtu,
	};
	bool start = !req->off, end;
	enum mrdma_tx_result result;
	struct msr_desc d;
	u8 *payload;

	flying = mrdma_psn_diff(req->psn, req->una) - min(req->rd_pkts,
							  mrdma_psn_diff(req->psn, req->una));
	window = req->window / mtu;
	if (flying >= window)
		return STEP_STOP;
	max = min(mrdma_tx_max(&qp->av), (window - flying) * mtu);
	bytes = min(w->length - req->off, max);
	end = req->off + bytes == w->length;
	pkts = bytes ? DIV_ROUND_UP(bytes, mtu) : 1;
	t.nseg = pkts;
	t.payload = bytes;

	t.op_mid = ops->middle;
	if (pkts == 1) {
		t.op_first = start ? (end ? ops->only : ops->first) :
				     (end ? ops->last : ops->middle);
		t.op_last = t.op_first;
	} else {
		t.op_first = start ? ops->first : ops->middle;
		t.op_last = end ? ops->last : ops->middle;
	}
	if (start && write)
		put_reth(&t, w->rdma.va, w->rdma.rkey, w->length);
	if (end && imm) {
		memcpy(t.ext + t.ext_first, &w->imm, MRDMA_IMM_BYTES);
		t.ext_last = MRDMA_IMM_BYTES;
	}
	t.solicited = end && w->flags & IB_SEND_SOLICITED;
	req->noack_bytes += max(bytes, ACK_EVERY / ACK_EVERY_MSGS);
	t.ack_req = req->noack_bytes >= ACK_EVERY || (end && !more_follows(qp)) ||
		    flying + pkts >= window;

	result = mrdma_tx_burst(tx, qp, &t, &d, &payload);
	if (result == MRDMA_TX_FULL)
		return STEP_STOP;
	if (result == MRDMA_TX_OK) {
		if (bytes && copy_payload(qp, w, req->off, payload, bytes)) {
			w->status = IB_WC_LOC_PROT_ERR;
			return STEP_ON;
		}
		mrdma_tx_commit(tx, &d);
	}
	if (t.ack_req)
		req->noack_bytes = 0;
	sent(qp, pkts);
	*budget -= min(*budget, bytes + 1024);
	if (end) {
		req->off = 0;
		qp->sq.cur++;
	} else {
		req->off += bytes;
	}
	return STEP_ON;
}

static enum step send_ud(struct mrdma_qp *qp, struct mrdma_tx *tx, struct mrdma_swqe *w,
			 u32 *budget)
{
	struct mrdma_dev *dev = tx->dev;
	struct mrdma_deth deth;
	struct mrdma_tmpl t = {
		.dqpn = w->ud.qpn,
		.psn = qp->req.psn,
		.nseg = 1,
		.op_first = IB_OPCODE_UD_SEND_ONLY,
		.ext_first = sizeof(deth),
		.payload = w->length,
		.solicited = w->flags & IB_SEND_SOLICITED,
	};
	enum mrdma_tx_result result;
	struct msr_desc d;
	u8 *payload;

	t.av = &w->ud.av;
	if (w->ud.ah_num && !mrdma_ah_get_av(dev, qp->ibqp.pd, w->ud.ah_num, &w->ud.av)) {
		w->status = IB_WC_LOC_QP_OP_ERR;
		return STEP_ON;
	}
	if (!w->ud.ah_num && qp->user) {
		w->status = IB_WC_LOC_QP_OP_ERR;
		return STEP_ON;
	}
	/* a QKey with its top bit set stands for the QP's own */
	deth.qkey = cpu_to_be32(w->ud.qkey & BIT(31) ? qp->attr.qkey : w->ud.qkey);
	deth.sqp = cpu_to_be32(qp->ibqp.qp_num);
	memcpy(t.ext, &deth, sizeof(deth));
	if (w->opcode == IB_WR_SEND_WITH_IMM) {
		t.op_first = IB_OPCODE_UD_SEND_ONLY_WITH_IMMEDIATE;
		memcpy(t.ext + sizeof(deth), &w->imm, MRDMA_IMM_BYTES);
		t.ext_last = MRDMA_IMM_BYTES;
	}
	t.op_last = t.op_first;

	result = mrdma_tx_burst(tx, qp, &t, &d, &payload);
	if (result == MRDMA_TX_FULL)
		return STEP_STOP;
	if (result == MRDMA_TX_OK) {
		if (w->length && copy_payload(qp, w, 0, payload, w->length)) {
			w->status = IB_WC_LOC_PROT_ERR;
			return STEP_ON;
		}
		mrdma_tx_commit(tx, &d);
	}
	qp->req.psn = mrdma_psn_add(qp->req.psn, 1);
	*budget -= min(*budget, w->length + 1024);
	qp->sq.cur++;
	mrdma_count(dev, MRDMA_CNT_SENDS, 1);
	mrdma_comp_done(qp, IB_WC_SUCCESS);
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
	w->last_psn = mrdma_psn_add(w->first_psn, MRDMA_PSN_MASK);
	sq->numbered++;
	sq->cur++;
	*budget -= min(*budget, 1024u);
	mrdma_comp_local(qp);
	return STEP_ON;
}

static void check_drained(struct mrdma_qp *qp)
{
	if (qp->state == IB_QPS_SQD && qp->sqd_notify && !qp->req.off &&
	    qp->sq.tail == qp->sq.cur) {
		qp->sqd_notify = false;
		mrdma_qp_event(qp, IB_EVENT_SQ_DRAINED);
	}
}

/* True: the budget ended before the work did. */
bool mrdma_req_run(struct mrdma_qp *qp, struct mrdma_tx *tx, u32 *budget)
{
	bool rc = qp->ibqp.qp_type == IB_QPT_RC;
	struct mrdma_req *req = &qp->req;
	struct mrdma_sq *sq = &qp->sq;
	struct mrdma_swqe *w;
	enum step step;

	lockdep_assert_held(&qp->lock);
	while (!req->rnr_wait) {
		if (!*budget)
			return true;
		/* draining: what has begun goes on, nothing begins */
		if (qp->state == IB_QPS_SQD && !req->off && sq->cur == sq->numbered)
			break;
		if (sq->cur == sq->pulled && !mrdma_sq_pull(qp))
			break;
		w = mrdma_swqe(sq, sq->cur);
		if (unlikely(w->status != IB_WC_SUCCESS)) {
			/* in its turn, when all before it are done */
			if (sq->cur != sq->tail)
				break;
			mrdma_count(tx->dev, MRDMA_CNT_SEND_ERR, 1);
			mrdma_comp_fail(qp, w->status);
			break;
		}
		if (mrdma_wr_local(w->opcode)) {
			step = run_local(qp, w, budget);
		} else if (!rc) {
			step = send_ud(qp, tx, w, budget);
		} else {
			if (w->flags & IB_SEND_FENCE && req->rd_out && !req->off)
				break;
			if (sq->cur == sq->numbered)
				number_wqe(qp, w);
			if (w->opcode == IB_WR_RDMA_READ)
				step = send_read(qp, tx, w);
			else
				step = send_data(qp, tx, w, budget);
		}
		if (step == STEP_STOP)
			break;
	}
	check_drained(qp);
	return false;
}

static int post_kernel(struct mrdma_qp *qp, const struct ib_send_wr *wr)
{
	struct mrdma_sq *sq = &qp->sq;
	struct mrdma_swqe *w;
	u64 length = 0;
	int i;

	lockdep_assert_held(&sq->lock);
	/* partner: the store-release in mrdma_comp_done; the slot is not read any more */
	if (sq->prod - smp_load_acquire(&sq->tail) >= sq->mask)
		return -ENOMEM;
	if (wr->num_sge > sq->max_sge)
		return -EINVAL;
	for (i = 0; i < wr->num_sge; i++)
		length += wr->sg_list[i].length;
	if (length > MRDMA_MAX_MSG)
		return -EINVAL;

	w = mrdma_swqe(sq, sq->prod);
	w->wr_id = wr->wr_id;
	w->length = length;
	w->imm = wr->ex.imm_data;
	w->opcode = wr->opcode;
	w->flags = wr->send_flags & (IB_SEND_FENCE | IB_SEND_SIGNALED | IB_SEND_SOLICITED |
				     IB_SEND_INLINE);
	w->status = IB_WC_SUCCESS;
	w->num_sge = wr->num_sge;
	w->inline_data = NULL;

	if (qp->ibqp.qp_type != IB_QPT_RC && wr->opcode != IB_WR_SEND &&
	    wr->opcode != IB_WR_SEND_WITH_IMM) {
		/* ib_drain_sq() posts a WRITE on any type; it is flushed before anyone looks */
		w->status = IB_WC_LOC_QP_OP_ERR;
	} else if (qp->ibqp.qp_type != IB_QPT_RC) {
		w->ud.qpn = ud_wr(wr)->remote_qpn & MRDMA_QPN_MASK;
		w->ud.qkey = ud_wr(wr)->remote_qkey;
		w->ud.ah_num = 0;
		w->ud.av = to_mrdma_ah(ud_wr(wr)->ah)->av;
	} else if (wr->opcode == IB_WR_RDMA_READ || wr->opcode == IB_WR_RDMA_WRITE ||
		   wr->opcode == IB_WR_RDMA_WRITE_WITH_IMM) {
		w->rdma.va = rdma_wr(wr)->remote_addr;
		w->rdma.rkey = rdma_wr(wr)->rkey;
	} else if (wr->opcode == IB_WR_REG_MR) {
		w->reg.key = reg_wr(wr)->key;
		w->reg.access = reg_wr(wr)->access;
	} else if (wr->opcode == IB_WR_LOCAL_INV) {
		w->inv_key = wr->ex.invalidate_rkey;
	} else if (wr->opcode != IB_WR_SEND && wr->opcode != IB_WR_SEND_WITH_IMM) {
		return -EOPNOTSUPP;
	}

	if (w->flags & IB_SEND_INLINE) {
		u8 *to = (u8 *)w->sge;

		if (length > sq->max_inline)
			return -EINVAL;
		for (i = 0; i < wr->num_sge; i++) {
			memcpy(to, (void *)(uintptr_t)wr->sg_list[i].addr, wr->sg_list[i].length);
			to += wr->sg_list[i].length;
		}
		w->inline_data = (u8 *)w->sge;
		w->num_sge = 0;
	} else {
		for (i = 0; i < wr->num_sge; i++)
			w->sge[i] = (struct rxe_sge) {
				.addr = wr->sg_list[i].addr,
				.length = wr->sg_list[i].length,
				.lkey = wr->sg_list[i].lkey,
			};
	}
	/* partner: the load-acquire in mrdma_sq_pull; the request is complete */
	smp_store_release(&sq->prod, sq->prod + 1);
	return 0;
}

/*
 * A user's call is a doorbell: the requests lie in the mapped queue and go out
 * here, on the application's CPU. A kernel user may call with interrupts off and
 * leaves the work to the tasklet.
 */
int mrdma_post_send(struct ib_qp *ibqp, const struct ib_send_wr *wr,
		    const struct ib_send_wr **bad_wr)
{
	struct mrdma_qp *qp = to_mrdma_qp(ibqp);
	unsigned long flags;
	int err = 0;

	*bad_wr = wr;
	if (qp->user) {
		if (wr)
			return -EINVAL;
		mrdma_qp_lock(qp);
		if (qp->state < IB_QPS_RTS)
			err = -EINVAL;
		else
			mrdma_qp_run(qp);
		mrdma_qp_unlock(qp);
		return err;
	}

	if (READ_ONCE(qp->state) < IB_QPS_RTS)
		return -EINVAL;
	spin_lock_irqsave(&qp->sq.lock, flags);
	for (; wr; wr = wr->next) {
		err = post_kernel(qp, wr);
		if (err) {
			*bad_wr = wr;
			break;
		}
	}
	spin_unlock_irqrestore(&qp->sq.lock, flags);
	tasklet_schedule(&qp->task);
	return err;
}

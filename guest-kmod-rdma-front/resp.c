// SPDX-License-Identifier: GPL-2.0
/*
 * Responder of a reliable connection: requests in order, duplicates, negative
 * acknowledgements, and the answers. A burst is taken in pieces (first packet, those
 * between, last), each with one copy to its destination. Answers go out in the
 * order of the requests: READ responses first, then the one acknowledgement that
 * covers all before it.
 */
#include "mrdma.h"

void mrdma_resp_reset(struct mrdma_qp *qp)
{
	struct mrdma_resp *resp = &qp->resp;
	struct mrdma_rjob *job = resp->job;

	memset(resp, 0, sizeof(*resp));
	resp->job = job;
	mrdma_rq_reset(qp);
}

static void send_nak(struct mrdma_qp *qp, u8 syndrome, u32 psn)
{
	struct mrdma_resp *resp = &qp->resp;

	resp->nak = syndrome;
	resp->nak_psn = psn;
	resp->nak_pending = true;
	resp->nak_sent = true;
}

/* The message under way, if any, ends here; the requester is told why. */
static void fail(struct mrdma_qp *qp, u8 syndrome, enum ib_wc_status status)
{
	struct mrdma_resp *resp = &qp->resp;

	send_nak(qp, syndrome, resp->psn);
	if (resp->have_wqe) {
		struct ib_wc wc = {
			.wr_id = resp->wqe.wr_id,
			.status = status,
			.opcode = IB_WC_RECV,
			.qp = &qp->ibqp,
			.port_num = 1,
		};

		resp->have_wqe = false;
		mrdma_cq_post(to_mrdma_cq(qp->ibqp.recv_cq), &wc, false);
	} else {
		/* no completion tells of it */
		mrdma_qp_event(qp, syndrome == MRDMA_NAK_REM_ACCESS ? IB_EVENT_QP_ACCESS_ERR :
								      IB_EVENT_QP_REQ_ERR);
	}
	mrdma_qp_error(qp);
}

static bool out_of_order(struct mrdma_qp *qp)
{
	mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_OUT_OF_SEQ, 1);
	if (!qp->resp.nak_sent)
		send_nak(qp, MRDMA_NAK_PSN, qp->resp.psn);
	return false;
}

static bool get_wqe(struct mrdma_qp *qp)
{
	struct mrdma_resp *resp = &qp->resp;

	if (resp->have_wqe)
		return true;
	if (mrdma_rq_take(qp, &resp->wqe, 0)) {
		resp->have_wqe = true;
		return true;
	}
	mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_SND_RNR, 1);
	send_nak(qp, MRDMA_AETH_RNR | qp->attr.min_rnr_timer, resp->psn);
	return false;
}

static void complete_recv(struct mrdma_qp *qp, const struct mrdma_piece *p, bool write)
{
	struct mrdma_resp *resp = &qp->resp;
	u32 flags = mrdma_op[p->op].flags;
	struct ib_wc wc = {
		.wr_id = resp->wqe.wr_id,
		.status = IB_WC_SUCCESS,
		.opcode = write ? IB_WC_RECV_RDMA_WITH_IMM : IB_WC_RECV,
		.byte_len = resp->len,
		.qp = &qp->ibqp,
		.src_qp = qp->attr.dest_qp_num,
		.port_num = 1,
	};

	if (flags & MOP_IMM) {
		wc.wc_flags |= IB_WC_WITH_IMM;
		memcpy(&wc.ex.imm_data, p->ext + mrdma_op[p->op].ext - MRDMA_IMM_BYTES,
		       MRDMA_IMM_BYTES);
	}
	resp->have_wqe = false;
	mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_RECVS, 1);
	mrdma_cq_post(to_mrdma_cq(qp->ibqp.recv_cq), &wc, p->solicited);
}

static void get_reth(const struct mrdma_piece *p, u64 *va, u32 *rkey, u32 *len)
{
	struct mrdma_reth reth;

	memcpy(&reth, p->ext, sizeof(reth));
	*va = be64_to_cpu(reth.va);
	*rkey = be32_to_cpu(reth.rkey);
	*len = be32_to_cpu(reth.len);
}

static bool rx_send(struct mrdma_qp *qp, const struct mrdma_piece *p)
{
	struct mrdma_resp *resp = &qp->resp;
	u32 flags = mrdma_op[p->op].flags;

	if (flags & MOP_START) {
		if (!get_wqe(qp))
			return false;
		resp->len = 0;
	}
	if (p->len > resp->wqe.length - resp->len) {
		fail(qp, MRDMA_NAK_INVALID_REQ, IB_WC_LOC_LEN_ERR);
		return false;
	}
	if (p->len && mrdma_sge_copy(mrdma_rq_pd(qp), resp->wqe.sge, resp->wqe.num_sge, resp->len,
				     (void *)p->data, p->len, MRDMA_TO_MR)) {
		fail(qp, MRDMA_NAK_REM_OP, IB_WC_LOC_PROT_ERR);
		return false;
	}
	resp->len += p->len;
	return true;
}

static bool rx_write(struct mrdma_qp *qp, const struct mrdma_piece *p)
{
	struct mrdma_resp *resp = &qp->resp;
	u32 flags = mrdma_op[p->op].flags;

	/* asked before anything is changed: the packet comes again after an RNR NAK */
	if (flags & MOP_IMM && !get_wqe(qp))
		return false;
	if (flags & MOP_START) {
		if (!(qp->attr.qp_access_flags & IB_ACCESS_REMOTE_WRITE)) {
			fail(qp, MRDMA_NAK_INVALID_REQ, IB_WC_LOC_ACCESS_ERR);
			return false;
		}
		get_reth(p, &resp->va, &resp->rkey, &resp->total);
		resp->len = 0;
		if (resp->total > MRDMA_MAX_MSG) {
			fail(qp, MRDMA_NAK_INVALID_REQ, IB_WC_LOC_LEN_ERR);
			return false;
		}
		if (resp->total && mrdma_mr_check(qp, resp->rkey, resp->va, resp->total,
						  IB_ACCESS_REMOTE_WRITE)) {
			fail(qp, MRDMA_NAK_REM_ACCESS, IB_WC_LOC_ACCESS_ERR);
			return false;
		}
	}
	if (p->len > resp->total - resp->len ||
	    (flags & MOP_END && p->len != resp->total - resp->len)) {
		fail(qp, MRDMA_NAK_INVALID_REQ, IB_WC_LOC_LEN_ERR);
		return false;
	}
	if (mrdma_mr_copy(qp, resp->rkey, resp->va + resp->len, (void *)p->data, p->len,
			  IB_ACCESS_REMOTE_WRITE, MRDMA_TO_MR)) {
		fail(qp, MRDMA_NAK_REM_ACCESS, IB_WC_LOC_ACCESS_ERR);
		return false;
	}
	resp->len += p->len;
	return true;
}

static u32 read_pkts(const struct mrdma_qp *qp, u32 len)
{
	return len ? DIV_ROUND_UP(len, qp->mtu) : 1;
}

static bool queue_read(struct mrdma_qp *qp, const struct mrdma_piece *p, u32 msn, bool again)
{
	struct mrdma_resp *resp = &qp->resp;
	struct mrdma_rjob *job;

	if (resp->job_head - resp->job_tail >= MRDMA_MAX_RD_ATOMIC)
		return false;
	job = &resp->job[resp->job_head % MRDMA_MAX_RD_ATOMIC];
	get_reth(p, &job->va, &job->rkey, &job->length);
	job->off = 0;
	job->psn = p->psn;
	job->msn = msn;
	job->again = again;
	resp->job_head++;
	return true;
}

/*
 * READs that hold responder resources (IBTA vol. 1, chapter 9). Not those that are
 * answered again: the requester may have had the first answer by now and ask for more.
 */
static u32 reads_held(const struct mrdma_resp *resp)
{
	u32 i, n = 0;

	for (i = resp->job_tail; i != resp->job_head; i++)
		n += !resp->job[i % MRDMA_MAX_RD_ATOMIC].again;
	return n;
}

/* In order. Sets *@npkts to what the request takes of the number space. */
static bool rx_read_req(struct mrdma_qp *qp, const struct mrdma_piece *p, u32 *npkts)
{
	struct mrdma_resp *resp = &qp->resp;
	u32 rkey, len;
	u64 va;

	get_reth(p, &va, &rkey, &len);
	if (!(qp->attr.qp_access_flags & IB_ACCESS_REMOTE_READ) ||
	    reads_held(resp) >= qp->attr.max_dest_rd_atomic ||
	    len > MRDMA_MAX_MSG) {
		fail(qp, MRDMA_NAK_INVALID_REQ, IB_WC_LOC_QP_OP_ERR);
		return false;
	}
	if (len && mrdma_mr_check(qp, rkey, va, len, IB_ACCESS_REMOTE_READ)) {
		fail(qp, MRDMA_NAK_REM_ACCESS, IB_WC_LOC_ACCESS_ERR);
		return false;
	}
	*npkts = read_pkts(qp, len);
	return queue_read(qp, p, resp->msn + 1, false);
}

/* A packet from before the expected one: answered again, never executed again. */
static void rx_duplicate(struct mrdma_qp *qp, const struct mrdma_piece *p)
{
	struct mrdma_resp *resp = &qp->resp;
	u32 rkey, len;
	u64 va;

	mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_DUP_REQ, 1);
	if (!(mrdma_op[p->op].flags & MOP_READ)) {
		resp->ack_pending = true;
		return;
	}
	/* the requester went back: it will repeat whatever it had asked for after this */
	while (resp->job_head != resp->job_tail) {
		const struct mrdma_rjob *job =
			&resp->job[(resp->job_head - 1) % MRDMA_MAX_RD_ATOMIC];

		if (mrdma_psn_cmp(job->psn, p->psn) < 0)
			break;
		resp->job_head--;
	}
	if (resp->job_head != resp->job_tail) {
		/* an earlier one that runs into this one's numbers ends where this one begins */
		struct mrdma_rjob *job = &resp->job[(resp->job_head - 1) % MRDMA_MAX_RD_ATOMIC];
		u32 before = mrdma_psn_diff(p->psn, job->psn);

		if (before < read_pkts(qp, job->length))
			resp->job_head--;
	}
	get_reth(p, &va, &rkey, &len);
	/* only what has been asked for before */
	if (len > MRDMA_MAX_MSG || read_pkts(qp, len) > mrdma_psn_diff(resp->psn, p->psn))
		return;
	if (len && mrdma_mr_check(qp, rkey, va, len, IB_ACCESS_REMOTE_READ))
		return;
	queue_read(qp, p, resp->msn, true);
}

/* Opcode and length against the message under way. */
static bool check_sequence(const struct mrdma_qp *qp, const struct mrdma_piece *p)
{
	u32 flags = mrdma_op[p->op].flags;

	if (flags & MOP_START ? qp->resp.kind != 0 : qp->resp.kind != (flags & MOP_KIND))
		return false;
	if (!(flags & MOP_PAYLOAD))
		return true;
	if (!(flags & MOP_END))
		return p->len == p->npkts * qp->mtu;
	return p->len <= qp->mtu && (p->len || flags & MOP_START);
}

static bool in_order(struct mrdma_qp *qp, const struct mrdma_piece *p)
{
	struct mrdma_resp *resp = &qp->resp;
	u32 flags = mrdma_op[p->op].flags;
	u32 npkts = p->npkts;
	bool ok;

	if (!check_sequence(qp, p)) {
		fail(qp, MRDMA_NAK_INVALID_REQ, IB_WC_LOC_QP_OP_ERR);
		return false;
	}
	switch (flags & MOP_KIND) {
	case MOP_SEND:
		ok = rx_send(qp, p);
		break;
	case MOP_WRITE:
		ok = rx_write(qp, p);
		break;
	case MOP_READ:
		ok = rx_read_req(qp, p, &npkts);
		break;
	default:
		fail(qp, MRDMA_NAK_INVALID_REQ, IB_WC_LOC_QP_OP_ERR);
		return false;
	}
	if (!ok)
		return false;

	resp->psn = mrdma_psn_add(resp->psn, npkts);
	if (!(flags & MOP_READ))
		resp->ack_psn = mrdma_psn_add(resp->psn, MRDMA_PSN_MASK);
	resp->nak_sent = false;
	resp->kind = flags & MOP_END ? 0 : flags & MOP_KIND;
	if (flags & MOP_END) {
		resp->msn = (resp->msn + 1) & MRDMA_PSN_MASK;
		if (flags & MOP_SEND || flags & MOP_IMM)
			complete_recv(qp, p, flags & MOP_WRITE);
	}
	if (p->ack_req && !(flags & MOP_READ))
		resp->ack_pending = true;
	return true;
}

void mrdma_resp_rx(struct mrdma_qp *qp, const struct mrdma_burst *b)
{
	struct mrdma_resp *resp = &qp->resp;
	struct mrdma_piece p;
	unsigned int i;
	u32 old;

	lockdep_assert_held(&qp->lock);
	if (unlikely(!qp->comm_est)) {
		qp->comm_est = true;
		if (qp->state == IB_QPS_RTR)
			mrdma_qp_event(qp, IB_EVENT_COMM_EST);
	}
	for (i = 0; mrdma_burst_piece(b, i, &p); i++) {
		if (!p.npkts)
			continue;
		if (mrdma_psn_cmp(p.psn, resp->psn) > 0) {
			out_of_order(qp);
			return;
		}
		old = mrdma_psn_diff(resp->psn, p.psn);
		if (old >= p.npkts) {
			rx_duplicate(qp, &p);
			continue;
		}
		/* the first of the packets between may be old, the others new */
		p.psn = resp->psn;
		p.npkts -= old;
		p.data += old * b->seg_len;
		p.len -= old * b->seg_len;
		if (!in_order(qp, &p))
			return;
	}
}

static void put_aeth(struct mrdma_tmpl *t, u8 syndrome, u32 msn)
{
	struct mrdma_aeth aeth = {
		.smsn = cpu_to_be32((u32)syndrome << 24 | (msn & MRDMA_PSN_MASK)),
	};

	memcpy(t->ext + t->ext_first + t->ext_last, &aeth, sizeof(aeth));
}

/* One burst of READ responses. */
static enum mrdma_tx_result answer_read(struct mrdma_qp *qp, struct mrdma_tx *tx,
					struct mrdma_rjob *job, u32 *budget)
{
	const struct mrdma_op_set *ops = &mrdma_op_set[MRDMA_OPS_READ_RESP];
	u8 syndrome = MRDMA_AETH_ACK | MRDMA_AETH_UNLIMITED;
	u32 bytes = min(job->length - job->off, mrdma_tx_max(&qp->av));
	u32 pkts = read_pkts(qp, bytes);
	bool start = !job->off, end = job->off + bytes == job->length;
	struct mrdma_tmpl t = {
		.av = &qp->av,
		.dqpn = qp->attr.dest_qp_num,
		.psn = mrdma_psn_add(job->psn, job->off / qp->mtu),
		.nseg = pkts,
		.seg_len = qp->mtu,
		.op_mid = ops->middle,
		.payload = bytes,
	};
	enum mrdma_tx_result result;
	struct msr_desc d;
	u8 *payload;

	if (pkts == 1) {
		t.op_first = start ? (end ? ops->only : ops->first) :
				     (end ? ops->last : ops->middle);
		t.op_last = t.op_first;
	} else {
		t.op_first = start ? ops->first : ops->middle;
		t.op_last = end ? ops->last : ops->middle;
	}
	if (mrdma_op[t.op_first].flags & MOP_AETH) {
		put_aeth(&t, syndrome, job->msn);
		t.ext_first = sizeof(struct mrdma_aeth);
	}
	if (pkts > 1 && mrdma_op[t.op_last].flags & MOP_AETH) {
		put_aeth(&t, syndrome, job->msn);
		t.ext_last = sizeof(struct mrdma_aeth);
	}

	result = mrdma_tx_burst(tx, qp, &t, &d, &payload);
	if (result == MRDMA_TX_FULL)
		return result;
	if (result == MRDMA_TX_OK) {
		if (mrdma_mr_copy(qp, job->rkey, job->va + job->off, payload, bytes,
				  IB_ACCESS_REMOTE_READ, MRDMA_FROM_MR)) {
			/* the region went away meanwhile: said at the packet that it concerns */
			qp->resp.job_head = qp->resp.job_tail;
			fail(qp, MRDMA_NAK_REM_ACCESS, IB_WC_LOC_ACCESS_ERR);
			qp->resp.nak_psn = t.psn;
			return MRDMA_TX_LOST;
		}
		mrdma_tx_commit(tx, &d);
	}
	job->off += bytes;
	*budget -= min(*budget, bytes + 1024);
	if (end)
		qp->resp.job_tail++;
	return MRDMA_TX_OK;
}

static enum mrdma_tx_result acknowledge(struct mrdma_qp *qp, struct mrdma_tx *tx, u8 syndrome,
					u32 psn)
{
	struct mrdma_tmpl t = {
		.av = &qp->av,
		.dqpn = qp->attr.dest_qp_num,
		.psn = psn,
		.nseg = 1,
		.op_first = IB_OPCODE_RC_ACKNOWLEDGE,
		.op_last = IB_OPCODE_RC_ACKNOWLEDGE,
	};

	put_aeth(&t, syndrome, qp->resp.msn);
	t.ext_first = sizeof(struct mrdma_aeth);
	return mrdma_tx_headers(tx, qp, &t);
}

/* Sends what is owed to the requester. True: the budget ended before the work did. */
bool mrdma_resp_run(struct mrdma_qp *qp, struct mrdma_tx *tx, u32 *budget)
{
	struct mrdma_resp *resp = &qp->resp;

	lockdep_assert_held(&qp->lock);
	while (resp->job_head != resp->job_tail && qp->state != IB_QPS_ERR) {
		if (!*budget)
			return true;
		if (answer_read(qp, tx, &resp->job[resp->job_tail % MRDMA_MAX_RD_ATOMIC],
				budget) == MRDMA_TX_FULL)
			return false;
	}
	if (resp->ack_pending && !resp->nak_pending && qp->state != IB_QPS_ERR) {
		/*
		 * Never with the PSN of a READ: its responses may be lost, and there are requesters
		 * (rdma_rxe) that take an ACK of its last PSN for its end.
		 */
		if (acknowledge(qp, tx, MRDMA_AETH_ACK | MRDMA_AETH_UNLIMITED, resp->ack_psn) ==
		    MRDMA_TX_FULL)
			return false;
		resp->ack_pending = false;
	}
	if (resp->nak_pending) {
		if (acknowledge(qp, tx, resp->nak, resp->nak_psn) == MRDMA_TX_FULL)
			return false;
		resp->nak_pending = false;
		/* it acknowledges all before it as well */
		resp->ack_pending = false;
	}
	return false;
}

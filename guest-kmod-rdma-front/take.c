// SPDX-License-Identifier: GPL-2.0
/*
 * What SEND and WRITE packets do where they arrive, on reliable and unreliable connections:
 * sequence of opcodes, receive requests, placement, completion. And the responder of unreliable
 * connections, which is that and no more: nothing is answered, and of a message with
 * a packet lost or wrong nothing is seen but what it left in the memory it was for.
 */
#include "mrdma.h"

/* Opcode and length against the message under way. */
bool mrdma_take_sequence(const struct mrdma_qp *qp, const struct mrdma_piece *p)
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

static bool get_wqe(struct mrdma_qp *qp)
{
	struct mrdma_resp *resp = &qp->resp;

	if (!resp->have_wqe)
		resp->have_wqe = mrdma_rq_take(qp, &resp->wqe, 0);
	return resp->have_wqe;
}

static u32 get_be32(const u8 *p)
{
	__be32 v;

	memcpy(&v, p, sizeof(v));
	return be32_to_cpu(v);
}

static enum mrdma_take take_send(struct mrdma_qp *qp, const struct mrdma_piece *p)
{
	struct mrdma_resp *resp = &qp->resp;
	u32 flags = mrdma_op[p->op].flags;

	if (flags & MOP_START) {
		if (!get_wqe(qp))
			return MRDMA_TAKE_NO_RECV;
		resp->len = 0;
	}
	if (p->len > resp->wqe.length - resp->len)
		return MRDMA_TAKE_TOO_LONG;
	if (p->len && mrdma_sge_copy(mrdma_rq_pd(qp), resp->wqe.sge, resp->wqe.num_sge, resp->len,
				     (void *)p->data, p->len, MRDMA_TO_MR))
		return MRDMA_TAKE_LOCAL;
	if (flags & MOP_IETH && mrdma_mr_invalidate(qp, get_be32(p->ext), true))
		return MRDMA_TAKE_INVALIDATE;
	resp->len += p->len;
	return MRDMA_TAKE_OK;
}

static enum mrdma_take take_write(struct mrdma_qp *qp, const struct mrdma_piece *p)
{
	struct mrdma_resp *resp = &qp->resp;
	u32 flags = mrdma_op[p->op].flags;

	/* asked before anything is changed: the packet comes again after an RNR NAK */
	if (flags & MOP_IMM && !get_wqe(qp))
		return MRDMA_TAKE_NO_RECV;
	if (flags & MOP_START) {
		if (!(qp->attr.qp_access_flags & IB_ACCESS_REMOTE_WRITE))
			return MRDMA_TAKE_REFUSED;
		mrdma_get_reth(p->ext, &resp->va, &resp->rkey, &resp->total);
		resp->len = 0;
		if (resp->total > MRDMA_MAX_MSG)
			return MRDMA_TAKE_TOO_LONG;
		if (resp->total && mrdma_mem_check(qp, resp->rkey, resp->va, resp->total,
						   IB_ACCESS_REMOTE_WRITE))
			return MRDMA_TAKE_NO_ACCESS;
	}
	if (p->len > resp->total - resp->len ||
	    (flags & MOP_END && p->len != resp->total - resp->len))
		return MRDMA_TAKE_TOO_LONG;
	if (mrdma_mem_copy(qp, resp->rkey, resp->va + resp->len, (void *)p->data, p->len,
			   IB_ACCESS_REMOTE_WRITE, MRDMA_TO_MR))
		return MRDMA_TAKE_NO_ACCESS;
	resp->len += p->len;
	return MRDMA_TAKE_OK;
}

static void complete_recv(struct mrdma_qp *qp, const struct mrdma_piece *p)
{
	struct mrdma_resp *resp = &qp->resp;
	u32 flags = mrdma_op[p->op].flags;
	const u8 *tail = p->ext + mrdma_op[p->op].ext - MRDMA_IMM_BYTES;
	struct ib_wc wc = {
		.wr_id = resp->wqe.wr_id,
		.status = IB_WC_SUCCESS,
		.opcode = flags & MOP_WRITE ? IB_WC_RECV_RDMA_WITH_IMM : IB_WC_RECV,
		.byte_len = resp->len,
		.qp = &qp->ibqp,
		.src_qp = qp->attr.dest_qp_num,
		.port_num = 1,
	};

	if (flags & MOP_IMM) {
		wc.wc_flags |= IB_WC_WITH_IMM;
		memcpy(&wc.ex.imm_data, tail, MRDMA_IMM_BYTES);
	} else if (flags & MOP_IETH) {
		wc.wc_flags |= IB_WC_WITH_INVALIDATE;
		wc.ex.invalidate_rkey = get_be32(tail);
	}
	resp->have_wqe = false;
	mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_RECVS, 1);
	mrdma_cq_post(to_mrdma_cq(qp->ibqp.recv_cq), &wc, p->solicited);
}

/* One or more packets of a SEND or WRITE, in sequence. At its end the receiver is told. */
enum mrdma_take mrdma_take_data(struct mrdma_qp *qp, const struct mrdma_piece *p)
{
	u32 flags = mrdma_op[p->op].flags;
	enum mrdma_take taken;

	taken = flags & MOP_SEND ? take_send(qp, p) : take_write(qp, p);
	if (taken != MRDMA_TAKE_OK)
		return taken;
	qp->resp.kind = flags & MOP_END ? 0 : flags & MOP_KIND;
	if (flags & MOP_END && flags & (MOP_SEND | MOP_IMM))
		complete_recv(qp, p);
	return MRDMA_TAKE_OK;
}

/* The receive request that was being filled ends with an error. False: there was none. */
bool mrdma_take_fail(struct mrdma_qp *qp, enum ib_wc_status status)
{
	struct mrdma_resp *resp = &qp->resp;
	struct ib_wc wc = {
		.wr_id = resp->wqe.wr_id,
		.status = status,
		.opcode = IB_WC_RECV,
		.qp = &qp->ibqp,
		.port_num = 1,
	};

	if (!resp->have_wqe)
		return false;
	resp->have_wqe = false;
	mrdma_cq_post(to_mrdma_cq(qp->ibqp.recv_cq), &wc, false);
	return true;
}

/*
 * Unreliable connection. A receive request that a broken message had begun to fill serves the next
 * message (class D1 of IBTA volume 1, section 9.9.3).
 */
void mrdma_uc_rx(struct mrdma_qp *qp, const struct mrdma_burst *b)
{
	struct mrdma_resp *resp = &qp->resp;
	struct mrdma_piece p;
	unsigned int i;

	lockdep_assert_held(&qp->lock);
	for (i = 0; mrdma_burst_piece(b, i, &p); i++) {
		if (!p.npkts)
			continue;
		if (p.psn != resp->psn) {
			mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_OUT_OF_SEQ, 1);
			resp->kind = 0;
		}
		resp->psn = mrdma_psn_add(p.psn, p.npkts);
		/* whatever was under way is over when another message begins */
		if (mrdma_op[p.op].flags & MOP_START)
			resp->kind = 0;
		if (!mrdma_take_sequence(qp, &p)) {
			resp->kind = 0;
			continue;
		}
		switch (mrdma_take_data(qp, &p)) {
		case MRDMA_TAKE_OK:
			break;
		case MRDMA_TAKE_LOCAL:
			mrdma_take_fail(qp, IB_WC_LOC_PROT_ERR);
			mrdma_qp_error(qp);
			return;
		case MRDMA_TAKE_NO_RECV:
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

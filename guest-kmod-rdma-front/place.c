// SPDX-License-Identifier: GPL-2.0
/*
 * Placement of SEND and WRITE packets on reliable and unreliable connections: sequence of opcodes,
 * receive requests, copies, completions.
 */
#include "cq.h"
#include "mem.h"
#include "mr.h"
#include "responder.h"

/* Opcode and length against the message under way. */
bool mrdma_place_sequence(const struct mrdma_qp *qp, const struct mrdma_seg *p)
{
	u32 flags = mos_op[p->op].flags;

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

static enum mrdma_place place_send(struct mrdma_qp *qp, const struct mrdma_seg *p)
{
	struct mrdma_resp *resp = &qp->resp;
	u32 flags = mos_op[p->op].flags;

	if (flags & MOP_START) {
		if (!get_wqe(qp))
			return MRDMA_PLACE_NO_RECV;
		resp->len = 0;
	}
	if (p->len > resp->wqe.length - resp->len)
		return MRDMA_PLACE_TOO_LONG;
	if (p->len && mrdma_sge_copy(mrdma_rq_pd(qp), resp->wqe.sge, resp->wqe.num_sge, resp->len,
				     (void *)p->data, p->len, MRDMA_TO_MR))
		return MRDMA_PLACE_LOCAL;
	if (flags & MOP_IETH && mrdma_mr_invalidate(qp, get_be32(p->ext), true))
		return MRDMA_PLACE_INVALIDATE;
	resp->len += p->len;
	return MRDMA_PLACE_OK;
}

static enum mrdma_place place_write(struct mrdma_qp *qp, const struct mrdma_seg *p)
{
	struct mrdma_resp *resp = &qp->resp;
	u32 flags = mos_op[p->op].flags;

	/* asked before anything is changed: the packet comes again after an RNR NAK */
	if (flags & MOP_IMM && !get_wqe(qp))
		return MRDMA_PLACE_NO_RECV;
	if (flags & MOP_START) {
		if (!(qp->attr.qp_access_flags & IB_ACCESS_REMOTE_WRITE))
			return MRDMA_PLACE_REFUSED;
		mos_get_reth(p->ext, &resp->va, &resp->rkey, &resp->total);
		resp->len = 0;
		if (resp->total > MRDMA_MAX_MSG)
			return MRDMA_PLACE_TOO_LONG;
		if (resp->total && mrdma_mem_check(qp, resp->rkey, resp->va, resp->total,
						   IB_ACCESS_REMOTE_WRITE))
			return MRDMA_PLACE_NO_ACCESS;
	}
	if (p->len > resp->total - resp->len ||
	    (flags & MOP_END && p->len != resp->total - resp->len))
		return MRDMA_PLACE_TOO_LONG;
	if (mrdma_mem_copy(qp, resp->rkey, resp->va + resp->len, (void *)p->data, p->len,
			   IB_ACCESS_REMOTE_WRITE, MRDMA_TO_MR))
		return MRDMA_PLACE_NO_ACCESS;
	resp->len += p->len;
	return MRDMA_PLACE_OK;
}

static void complete_recv(struct mrdma_qp *qp, const struct mrdma_seg *p)
{
	struct mrdma_resp *resp = &qp->resp;
	u32 flags = mos_op[p->op].flags;
	const u8 *tail = p->ext + mos_op[p->op].ext - MOS_IMM_BYTES;
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
		memcpy(&wc.ex.imm_data, tail, MOS_IMM_BYTES);
	} else if (flags & MOP_IETH) {
		wc.wc_flags |= IB_WC_WITH_INVALIDATE;
		wc.ex.invalidate_rkey = get_be32(tail);
	}
	resp->have_wqe = false;
	mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_RECVS, 1);
	mrdma_qp_complete(qp, to_mrdma_cq(qp->ibqp.recv_cq), &wc, p->solicited);
}

/* One or more packets of a SEND or WRITE, in sequence. At its end the receiver is told. */
enum mrdma_place mrdma_place_data(struct mrdma_qp *qp, const struct mrdma_seg *p)
{
	u32 flags = mos_op[p->op].flags;
	enum mrdma_place placed;

	placed = flags & MOP_SEND ? place_send(qp, p) : place_write(qp, p);
	if (placed != MRDMA_PLACE_OK)
		return placed;
	qp->resp.kind = flags & MOP_END ? 0 : flags & MOP_KIND;
	if (flags & MOP_END && flags & (MOP_SEND | MOP_IMM))
		complete_recv(qp, p);
	return MRDMA_PLACE_OK;
}

/*
 * Completes the receive request that was being filled with an error. Returns false if there was
 * none.
 */
bool mrdma_place_fail(struct mrdma_qp *qp, enum ib_wc_status status)
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
	mrdma_qp_complete(qp, to_mrdma_cq(qp->ibqp.recv_cq), &wc, false);
	return true;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Send queue: a user's requests are copied out of the mapped queue, once, and the copies checked; a
 * kernel user's are in that form when they are posted (post.c). A request that cannot be
 * carried out is taken all the same, with the status that it ends with when its turn comes. The
 * other end of the queue: completions, the end by an error, and the flush.
 */
#include "cq.h"
#include "mem.h"
#include "qp.h"
#include "trace.h"

/* Sets the operands of an atomic operation as they go into its packet. */
void mrdma_swqe_put_operands(struct mrdma_swqe *w, u64 compare_add, u64 swap)
{
	if (w->opcode == IB_WR_ATOMIC_FETCH_AND_ADD) {
		w->rdma.swap_add = compare_add;
		w->rdma.compare = 0;
	} else {
		w->rdma.swap_add = swap;
		w->rdma.compare = compare_add;
	}
}

/* Remote address, key and operands of a connected QP's request */
static void copy_remote(struct mrdma_swqe *w, const struct rxe_send_wqe *u)
{
	switch (w->opcode) {
	case IB_WR_ATOMIC_CMP_AND_SWP:
	case IB_WR_ATOMIC_FETCH_AND_ADD:
		w->rdma.va = READ_ONCE(u->wr.wr.atomic.remote_addr);
		w->rdma.rkey = READ_ONCE(u->wr.wr.atomic.rkey);
		mrdma_swqe_put_operands(w, READ_ONCE(u->wr.wr.atomic.compare_add),
					READ_ONCE(u->wr.wr.atomic.swap));
		break;
	case IB_WR_FLUSH:
		w->rdma.va = READ_ONCE(mrdma_flush_wr(u)->remote_addr);
		w->rdma.rkey = READ_ONCE(mrdma_flush_wr(u)->rkey);
		/* librxe has told rdma_rxe either here or there */
		w->rdma.bytes = w->length ?: READ_ONCE(mrdma_flush_wr(u)->length);
		w->rdma.feth = (READ_ONCE(mrdma_flush_wr(u)->type) & MOS_FETH_PLACEMENT) |
			       (READ_ONCE(mrdma_flush_wr(u)->level) & MOS_FETH_LEVEL_MASK) <<
			       MOS_FETH_LEVEL_SHIFT;
		w->length = 0;
		break;
	default:
		w->rdma.va = READ_ONCE(u->wr.wr.rdma.remote_addr);
		w->rdma.rkey = READ_ONCE(u->wr.wr.rdma.rkey);
		break;
	}
}

/* Copies a user's request out of its queue, once, and checks the copy. */
static void copy_wqe(struct mrdma_qp *qp, struct mrdma_swqe *w, const struct rxe_send_wqe *u)
{
	bool ud = !mrdma_qp_connected(qp);
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
		w->ud.qpn = READ_ONCE(u->wr.wr.ud.remote_qpn) & MOS_QPN_MASK;
		w->ud.qkey = READ_ONCE(u->wr.wr.ud.remote_qkey);
		w->ud.ah_num = READ_ONCE(u->wr.wr.ud.ah_num);
	} else {
		copy_remote(w, u);
	}
	if (opcode == IB_WR_FLUSH)
		return;
	/* librxe puts the eight bytes (atomic_wr) where inline data is, and says nothing */
	if (opcode == IB_WR_ATOMIC_WRITE && !num_sge)
		w->flags |= IB_SEND_INLINE;
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

/* Can this type of QP do it? */
bool mrdma_sq_opcode_ok(const struct mrdma_qp *qp, u32 opcode, u32 flags)
{
	bool rc = qp->ibqp.qp_type == IB_QPT_RC;

	switch (opcode) {
	case IB_WR_SEND:
		return true;
	case IB_WR_SEND_WITH_IMM:
		return qp->ibqp.qp_type != IB_QPT_RAW_PACKET;
	case IB_WR_RDMA_WRITE:
	case IB_WR_RDMA_WRITE_WITH_IMM:
		return mrdma_qp_connected(qp);
	case IB_WR_SEND_WITH_INV:
	case IB_WR_LOCAL_INV:
		return rc;
	case IB_WR_REG_MR:
		/* physical memory: kernel users only */
		return rc && !qp->user;
	case IB_WR_BIND_MW:
		return rc && qp->user;
	case IB_WR_RDMA_READ:
	case IB_WR_ATOMIC_CMP_AND_SWP:
	case IB_WR_ATOMIC_FETCH_AND_ADD:
		/* there is something to be put into memory */
		return rc && !(flags & IB_SEND_INLINE);
	case IB_WR_ATOMIC_WRITE:
	case IB_WR_FLUSH:
		return rc;
	default:
		return false;
	}
}

static void check_wqe(struct mrdma_qp *qp, struct mrdma_swqe *w)
{
	if (w->status != IB_WC_SUCCESS)
		return;
	if (!mrdma_sq_opcode_ok(qp, w->opcode, w->flags)) {
		w->status = IB_WC_LOC_QP_OP_ERR;
		return;
	}
	switch (w->opcode) {
	case IB_WR_ATOMIC_CMP_AND_SWP:
	case IB_WR_ATOMIC_FETCH_AND_ADD:
		if (w->length < MOS_ATOMIC_BYTES)
			w->status = IB_WC_LOC_LEN_ERR;
		/* more room than that is none of ours */
		w->length = MOS_ATOMIC_BYTES;
		break;
	case IB_WR_ATOMIC_WRITE:
		if (w->length != MOS_ATOMIC_BYTES)
			w->status = IB_WC_LOC_LEN_ERR;
		break;
	}
	if ((mrdma_qp_connected(qp) && w->length > MRDMA_MAX_MSG) ||
	    (qp->ibqp.qp_type == IB_QPT_RAW_PACKET && w->length > qp->mtu))
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
	trace_mrdma_post(qp, mrdma_swqe(sq, idx));
	sq->pulled++;
	return true;
}

/* @len bytes of a request's data from @off on */
int mrdma_swqe_copy(struct mrdma_qp *qp, const struct mrdma_swqe *w, u32 off, u8 *to, u32 len)
{
	if (w->inline_data) {
		memcpy(to, w->inline_data + off, len);
		return 0;
	}
	return mrdma_sge_copy(qp->ibqp.pd, w->sge, w->num_sge, off, to, len, MRDMA_FROM_MR);
}

static enum ib_wc_opcode wc_opcode(u8 opcode)
{
	switch (opcode) {
	case IB_WR_RDMA_WRITE:
	case IB_WR_RDMA_WRITE_WITH_IMM:
		return IB_WC_RDMA_WRITE;
	case IB_WR_RDMA_READ:
		return IB_WC_RDMA_READ;
	case IB_WR_ATOMIC_CMP_AND_SWP:
		return IB_WC_COMP_SWAP;
	case IB_WR_ATOMIC_FETCH_AND_ADD:
		return IB_WC_FETCH_ADD;
	case IB_WR_ATOMIC_WRITE:
		return IB_WC_ATOMIC_WRITE;
	case IB_WR_FLUSH:
		return IB_WC_FLUSH;
	case IB_WR_LOCAL_INV:
		return IB_WC_LOCAL_INV;
	case IB_WR_REG_MR:
		return IB_WC_REG_MR;
	case IB_WR_BIND_MW:
		return IB_WC_BIND_MW;
	default:
		return IB_WC_SEND;
	}
}

/* Completes the oldest request; a successful one tells only if it was asked to. */
void mrdma_sq_done(struct mrdma_qp *qp, enum ib_wc_status status)
{
	struct mrdma_sq *sq = &qp->sq;
	struct mrdma_swqe *w = mrdma_swqe(sq, sq->tail);
	bool tell = status != IB_WC_SUCCESS || qp->sig_type == IB_SIGNAL_ALL_WR ||
		    w->flags & IB_SEND_SIGNALED;
	struct ib_wc wc;

	lockdep_assert_held(&qp->lock);
	if (tell)
		wc = (struct ib_wc) {
			.wr_id = w->wr_id,
			.status = status,
			.opcode = wc_opcode(w->opcode),
			.byte_len = w->length,
			.qp = &qp->ibqp,
			.port_num = 1,
		};
	/* the slot is free before the completion can be seen: who polls it may post */
	if (qp->user)
		mrdma_queue_set_cons(&sq->q, sq->tail + 1);
	/* partner: the load-acquire in post_kernel; the slot is not read any more */
	smp_store_release(&sq->tail, sq->tail + 1);
	if (tell)
		mrdma_qp_complete(qp, to_mrdma_cq(qp->ibqp.send_cq), &wc, false);
}

/* The oldest request ends with an error, and the QP with it. */
void mrdma_sq_fail(struct mrdma_qp *qp, enum ib_wc_status status)
{
	struct mrdma_sq *sq = &qp->sq;

	lockdep_assert_held(&qp->lock);
	/* what failed unsent was still the cursor's, and perhaps without a number */
	if (sq->numbered == sq->tail)
		sq->numbered++;
	if (sq->cur == sq->tail)
		sq->cur++;
	mrdma_sq_done(qp, status);
	if (qp->ibqp.qp_type != IB_QPT_RC) {
		/* a datagram's sender stops, its receiver goes on, unless this was lost */
		if (qp->state == IB_QPS_ERR)
			return;
		qp->state = IB_QPS_SQE;
		mrdma_sq_flush(qp);
		return;
	}
	mrdma_qp_error(qp);
}

/* Operations on keys that were done when their turn came, and are the oldest now */
void mrdma_sq_done_local(struct mrdma_qp *qp)
{
	struct mrdma_sq *sq = &qp->sq;

	while (sq->tail != sq->numbered && mrdma_wr_local(mrdma_swqe(sq, sq->tail)->opcode)) {
		if (sq->cur == sq->tail)
			sq->cur++;
		mrdma_sq_done(qp, IB_WC_SUCCESS);
	}
}

/* State SQE or ERR: all that is posted ends unsent. */
void mrdma_sq_flush(struct mrdma_qp *qp)
{
	struct mrdma_sq *sq = &qp->sq;
	u32 n;

	/* a user that keeps posting waits for its next doorbell */
	for (n = 0; n <= sq->mask; n++) {
		if (sq->tail == sq->pulled && !mrdma_sq_pull(qp))
			break;
		mrdma_sq_done(qp, IB_WC_WR_FLUSH_ERR);
	}
	sq->cur = sq->tail;
	sq->numbered = sq->tail;
	qp->req.off = 0;
	qp->req.rnr_wait = false;
}

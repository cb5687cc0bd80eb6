// SPDX-License-Identifier: GPL-2.0
/*
 * Send requests on their way from their users to the requester: a user's are copied out of
 * the mapped queue, once, and the copies checked; a kernel user's are written in that form
 * when they are posted. A request that cannot be carried out is taken all the same, with the
 * status that it ends with when its turn comes.
 */
#include "mrdma.h"
#include "trace.h"

static void put_operands(struct mrdma_swqe *w, u64 compare_add, u64 swap)
{
	if (w->opcode == IB_WR_ATOMIC_FETCH_AND_ADD) {
		w->rdma.swap_add = compare_add;
		w->rdma.compare = 0;
	} else {
		w->rdma.swap_add = swap;
		w->rdma.compare = compare_add;
	}
}

/* What a connected QP's request is about at the other end */
static void copy_remote(struct mrdma_swqe *w, const struct rxe_send_wqe *u)
{
	switch (w->opcode) {
	case IB_WR_ATOMIC_CMP_AND_SWP:
	case IB_WR_ATOMIC_FETCH_AND_ADD:
		w->rdma.va = READ_ONCE(u->wr.wr.atomic.remote_addr);
		w->rdma.rkey = READ_ONCE(u->wr.wr.atomic.rkey);
		put_operands(w, READ_ONCE(u->wr.wr.atomic.compare_add),
			     READ_ONCE(u->wr.wr.atomic.swap));
		break;
	case IB_WR_FLUSH:
		w->rdma.va = READ_ONCE(mrdma_flush_wr(u)->remote_addr);
		w->rdma.rkey = READ_ONCE(mrdma_flush_wr(u)->rkey);
		/* librxe has told rdma_rxe either here or there */
		w->rdma.bytes = w->length ?: READ_ONCE(mrdma_flush_wr(u)->length);
		w->rdma.feth = (READ_ONCE(mrdma_flush_wr(u)->type) & MRDMA_FETH_PLACEMENT) |
			       (READ_ONCE(mrdma_flush_wr(u)->level) & MRDMA_FETH_LEVEL_MASK) <<
			       MRDMA_FETH_LEVEL_SHIFT;
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
		w->ud.qpn = READ_ONCE(u->wr.wr.ud.remote_qpn) & MRDMA_QPN_MASK;
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
static bool opcode_ok(const struct mrdma_qp *qp, u32 opcode, u32 flags)
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
	if (!opcode_ok(qp, w->opcode, w->flags)) {
		w->status = IB_WC_LOC_QP_OP_ERR;
		return;
	}
	switch (w->opcode) {
	case IB_WR_ATOMIC_CMP_AND_SWP:
	case IB_WR_ATOMIC_FETCH_AND_ADD:
		if (w->length < MRDMA_ATOMIC_BYTES)
			w->status = IB_WC_LOC_LEN_ERR;
		/* more room than that is none of ours */
		w->length = MRDMA_ATOMIC_BYTES;
		break;
	case IB_WR_ATOMIC_WRITE:
		if (w->length != MRDMA_ATOMIC_BYTES)
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
	/* ib_drain_sq() posts a WRITE on any type, in the error state: it is flushed unseen */
	if (!opcode_ok(qp, wr->opcode, wr->send_flags) &&
	    !(wr->opcode == IB_WR_RDMA_WRITE && READ_ONCE(qp->state) == IB_QPS_ERR))
		return -EINVAL;
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

	switch ((u32)wr->opcode) {
	case IB_WR_SEND_WITH_INV:
	case IB_WR_LOCAL_INV:
		w->inv_key = wr->ex.invalidate_rkey;
		break;
	case IB_WR_SEND:
	case IB_WR_SEND_WITH_IMM:
		if (mrdma_qp_connected(qp))
			break;
		w->ud.qpn = ud_wr(wr)->remote_qpn & MRDMA_QPN_MASK;
		w->ud.qkey = ud_wr(wr)->remote_qkey;
		/* copied now: the handle may be destroyed before it is sent */
		w->ud.ah_num = 0;
		mrdma_ah_get_av(mrdma_qp_dev(qp), ud_wr(wr)->ah->pd,
				to_mrdma_ah(ud_wr(wr)->ah)->num, &w->ud.av);
		break;
	case IB_WR_RDMA_READ:
	case IB_WR_RDMA_WRITE:
	case IB_WR_RDMA_WRITE_WITH_IMM:
	case IB_WR_ATOMIC_WRITE:
		w->rdma.va = rdma_wr(wr)->remote_addr;
		w->rdma.rkey = rdma_wr(wr)->rkey;
		break;
	case IB_WR_REG_MR:
		w->reg.key = reg_wr(wr)->key;
		w->reg.access = reg_wr(wr)->access;
		break;
	case IB_WR_ATOMIC_CMP_AND_SWP:
	case IB_WR_ATOMIC_FETCH_AND_ADD:
		w->rdma.va = atomic_wr(wr)->remote_addr;
		w->rdma.rkey = atomic_wr(wr)->rkey;
		put_operands(w, atomic_wr(wr)->compare_add, atomic_wr(wr)->swap);
		break;
	default:
		return -EINVAL;
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

// SPDX-License-Identifier: GPL-2.0
/*
 * Posting of send requests: a user's call is a doorbell, a kernel user's requests are written into
 * the send queue (sq.c).
 */
#include "qp.h"

static int post_kernel(struct mrdma_qp *qp, const struct ib_send_wr *wr)
{
	struct mrdma_sq *sq = &qp->sq;
	struct mrdma_swqe *w;
	u64 length = 0;
	int i;

	lockdep_assert_held(&sq->lock);
	/* partner: the store-release in mrdma_sq_done; the slot is not read any more */
	if (sq->prod - smp_load_acquire(&sq->tail) >= sq->mask)
		return -ENOMEM;
	/* ib_drain_sq() posts a WRITE on any type, in the error state: it is flushed unseen */
	if (!mrdma_sq_opcode_ok(qp, wr->opcode, wr->send_flags) &&
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
		w->ud.qpn = ud_wr(wr)->remote_qpn & MOS_QPN_MASK;
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
		mrdma_swqe_put_operands(w, atomic_wr(wr)->compare_add, atomic_wr(wr)->swap);
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

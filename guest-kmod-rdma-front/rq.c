// SPDX-License-Identifier: GPL-2.0
/*
 * Receive queues. A receive request is taken out of its queue, that of the QP or a shared one,
 * when a message begins to fill it, and copied once.
 */
#include "cq.h"
#include "qp.h"

size_t mrdma_rq_elem_size(u32 max_sge)
{
	return sizeof(struct rxe_recv_wqe) + max_sge * sizeof(struct rxe_sge);
}

int mrdma_rq_init(struct mrdma_rq *rq, struct ib_ucontext *uctx, u32 depth, u32 max_sge,
		  struct mminfo *mi)
{
	rq->max_sge = max_sge;
	spin_lock_init(&rq->lock);
	return mrdma_queue_create(&rq->q, uctx, depth, mrdma_rq_elem_size(max_sge), mi);
}

/*
 * Returns false if there is none, or if the oldest has less than @need bytes; it stays where it is
 * then.
 */
static bool take(struct mrdma_rq *rq, struct mrdma_rwqe *wqe, u32 need)
{
	const struct rxe_recv_wqe *u;
	u64 length = 0;
	u32 i, n;

	if (mrdma_queue_prod(&rq->q) == (rq->cons & rq->q.mask))
		return false;
	u = mrdma_queue_elem(&rq->q, rq->cons);
	wqe->wr_id = READ_ONCE(u->wr_id);
	n = READ_ONCE(u->dma.num_sge);
	/* more than the queue was made for: as if it had none, any payload is too long */
	wqe->num_sge = n <= rq->max_sge ? n : 0;
	memcpy(wqe->sge, u->dma.sge, wqe->num_sge * sizeof(wqe->sge[0]));
	for (i = 0; i < wqe->num_sge; i++)
		length += wqe->sge[i].length;
	wqe->length = min_t(u64, length, U32_MAX);
	if (wqe->length < need)
		return false;
	rq->cons++;
	mrdma_queue_set_cons(&rq->q, rq->cons);
	return true;
}

static bool take_shared(struct mrdma_qp *qp, struct mrdma_srq *srq, struct mrdma_rwqe *wqe,
			u32 need)
{
	struct mrdma_rq *rq = &srq->rq;
	unsigned long flags;
	bool ok;

	spin_lock_irqsave(&rq->lock, flags);
	ok = take(rq, wqe, need);
	if (ok && srq->limit &&
	    ((mrdma_queue_prod(&rq->q) - rq->cons) & rq->q.mask) < srq->limit) {
		srq->limit = 0;
		mrdma_qp_event(qp, IB_EVENT_SRQ_LIMIT_REACHED);
	}
	spin_unlock_irqrestore(&rq->lock, flags);
	return ok;
}

/* Takes the oldest receive request if it has room for @need bytes. */
bool mrdma_rq_take(struct mrdma_qp *qp, struct mrdma_rwqe *wqe, u32 need)
{
	lockdep_assert_held(&qp->lock);
	if (qp->ibqp.srq)
		return take_shared(qp, to_mrdma_srq(qp->ibqp.srq), wqe, need);
	return take(&qp->rq, wqe, need);
}

/* The protection domain of receive requests: that of the queue they were posted to */
struct ib_pd *mrdma_rq_pd(struct mrdma_qp *qp)
{
	return qp->ibqp.srq ? qp->ibqp.srq->pd : qp->ibqp.pd;
}

/* State RESET: all that is posted to the QP's own queue is discarded. */
void mrdma_rq_reset(struct mrdma_qp *qp)
{
	struct mrdma_rq *rq = &qp->rq;

	lockdep_assert_held(&qp->lock);
	qp->last_wqe = false;
	if (qp->ibqp.srq)
		return;
	rq->cons += (mrdma_queue_prod(&rq->q) - rq->cons) & rq->q.mask;
	mrdma_queue_set_cons(&rq->q, rq->cons);
}

static void flush_one(struct mrdma_qp *qp)
{
	struct ib_wc wc = {
		.wr_id = qp->resp.wqe.wr_id,
		.status = IB_WC_WR_FLUSH_ERR,
		.opcode = IB_WC_RECV,
		.qp = &qp->ibqp,
		.port_num = 1,
	};

	mrdma_qp_complete(qp, to_mrdma_cq(qp->ibqp.recv_cq), &wc, false);
}

/*
 * State ERR: what has been taken, and all that is posted to the QP's own queue, ends
 * unused. What is in a shared queue stays there for others: an event says that this QP
 * takes no more.
 */
void mrdma_rq_flush(struct mrdma_qp *qp)
{
	u32 n;

	lockdep_assert_held(&qp->lock);
	if (qp->resp.have_wqe) {
		qp->resp.have_wqe = false;
		flush_one(qp);
	}
	if (qp->ibqp.srq) {
		if (!qp->last_wqe)
			mrdma_qp_event(qp, IB_EVENT_QP_LAST_WQE_REACHED);
		qp->last_wqe = true;
		return;
	}
	for (n = 0; n <= qp->rq.q.mask && mrdma_rq_take(qp, &qp->resp.wqe, 0); n++)
		flush_one(qp);
}

static int post_one(struct mrdma_rq *rq, const struct ib_recv_wr *wr)
{
	struct rxe_recv_wqe *u;
	int i;

	if (((rq->prod + 1) & rq->q.mask) == mrdma_queue_cons(&rq->q))
		return -ENOMEM;
	if (wr->num_sge > rq->max_sge)
		return -EINVAL;
	u = mrdma_queue_elem(&rq->q, rq->prod);
	u->wr_id = wr->wr_id;
	u->dma.num_sge = wr->num_sge;
	for (i = 0; i < wr->num_sge; i++)
		u->dma.sge[i] = (struct rxe_sge) {
			.addr = wr->sg_list[i].addr,
			.length = wr->sg_list[i].length,
			.lkey = wr->sg_list[i].lkey,
		};
	rq->prod = (rq->prod + 1) & rq->q.mask;
	mrdma_queue_set_prod(&rq->q, rq->prod);
	return 0;
}

/* Kernel users; librxe writes a user's queue itself, without a call. */
int mrdma_rq_post(struct mrdma_rq *rq, const struct ib_recv_wr *wr,
		  const struct ib_recv_wr **bad_wr)
{
	unsigned long flags;
	int err = 0;

	spin_lock_irqsave(&rq->lock, flags);
	for (; wr; wr = wr->next) {
		err = post_one(rq, wr);
		if (err) {
			*bad_wr = wr;
			break;
		}
	}
	spin_unlock_irqrestore(&rq->lock, flags);
	return err;
}

int mrdma_post_recv(struct ib_qp *ibqp, const struct ib_recv_wr *wr,
		    const struct ib_recv_wr **bad_wr)
{
	struct mrdma_qp *qp = to_mrdma_qp(ibqp);
	int err;

	*bad_wr = wr;
	if (qp->user || ibqp->srq || READ_ONCE(qp->state) == IB_QPS_RESET)
		return -EINVAL;
	err = mrdma_rq_post(&qp->rq, wr, bad_wr);
	/* partner: the state is stored before the flush looks at the queue, under the QP lock */
	smp_mb();
	if (READ_ONCE(qp->state) == IB_QPS_ERR)
		tasklet_schedule(&qp->task);
	return err;
}

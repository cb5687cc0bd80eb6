// SPDX-License-Identifier: GPL-2.0
/*
 * The base of a queue pair: lookup by number, references, and the lock with the events that it
 * defers.
 */
#include "cq.h"
#include "qp.h"

static void release_qp(struct kref *ref)
{
	struct mrdma_qp *qp = container_of(ref, struct mrdma_qp, ref);

	complete(&qp->idle);
}

/* Packets come in softirq; the reference is taken under the array's lock. */
struct mrdma_qp *mrdma_qp_get(struct mrdma_dev *dev, u32 qpn)
{
	struct mrdma_qp *qp;

	xa_lock_bh(&dev->qps);
	qp = xa_load(&dev->qps, qpn);
	if (qp)
		kref_get(&qp->ref);
	xa_unlock_bh(&dev->qps);
	return qp;
}

/* The one with the lowest number from *@qpn on, which is set to its number; NULL: none */
static struct mrdma_qp *get_next(struct mrdma_dev *dev, unsigned long *qpn)
{
	struct mrdma_qp *qp;

	xa_lock_bh(&dev->qps);
	qp = xa_find(&dev->qps, qpn, ULONG_MAX, XA_PRESENT);
	if (qp)
		kref_get(&qp->ref);
	xa_unlock_bh(&dev->qps);
	return qp;
}

void mrdma_qp_put(struct mrdma_qp *qp)
{
	kref_put(&qp->ref, release_qp);
}

void mrdma_qp_walk(struct mrdma_dev *dev, void (*visit)(struct mrdma_qp *qp, void *arg), void *arg)
{
	unsigned long qpn = 0;
	struct mrdma_qp *qp;

	while ((qp = get_next(dev, &qpn))) {
		visit(qp, arg);
		mrdma_qp_put(qp);
		qpn++;
		cond_resched();
	}
}

void mrdma_qp_lock(struct mrdma_qp *qp)
{
	spin_lock_bh(&qp->lock);
}

/* The order that the indices and numbers of a QP keep whatever user and peer do. */
static void check_qp(const struct mrdma_qp *qp)
{
	const struct mrdma_sq *sq = &qp->sq;
	const struct mrdma_req *req = &qp->req;

	mos_assert(sq->pulled - sq->tail <= sq->mask);
	mos_assert(sq->cur - sq->tail <= sq->pulled - sq->tail);
	mos_assert(qp->resp.job_head == qp->resp.job_tail ||
		   qp->resp.job_head - qp->resp.job_tail - 1 <= qp->resp.rings->mask);
	if (qp->ibqp.qp_type != IB_QPT_RC)
		return;
	mos_assert(sq->numbered - sq->tail <= sq->pulled - sq->tail);
	mos_assert(sq->cur - sq->tail <= sq->numbered - sq->tail);
	mos_assert(mos_psn_cmp(req->una, req->psn) <= 0);
	mos_assert(mos_psn_cmp(req->psn, req->max_psn) <= 0);
	mos_assert(mos_psn_cmp(req->max_psn, req->next_psn) <= 0);
}

/* No lock is held: a handler may call verbs. */
static void raise(struct mrdma_qp *qp, enum ib_event_type event)
{
	struct ib_event ev = { .device = qp->ibqp.device, .event = event };
	struct ib_srq *srq = qp->ibqp.srq;

	switch (event) {
	case IB_EVENT_CQ_ERR:
		mrdma_cq_raise_error(to_mrdma_cq(qp->ibqp.send_cq));
		mrdma_cq_raise_error(to_mrdma_cq(qp->ibqp.recv_cq));
		break;
	case IB_EVENT_SRQ_LIMIT_REACHED:
		ev.element.srq = srq;
		if (srq->event_handler)
			srq->event_handler(&ev, srq->srq_context);
		break;
	default:
		ev.element.qp = &qp->ibqp;
		if (qp->ibqp.event_handler)
			qp->ibqp.event_handler(&ev, qp->ibqp.qp_context);
		break;
	}
}

/* The caller holds a reference or is a verb on the QP: event handlers run after the unlock. */
void mrdma_qp_unlock(struct mrdma_qp *qp)
{
	unsigned long events = qp->events;
	unsigned int bit;

	check_qp(qp);
	qp->events = 0;
	spin_unlock_bh(&qp->lock);
	if (likely(!events))
		return;
	for_each_set_bit(bit, &events, 32)
		raise(qp, bit);
}

void mrdma_qp_event(struct mrdma_qp *qp, enum ib_event_type event)
{
	lockdep_assert_held(&qp->lock);
	qp->events |= BIT(event);
}

/* To the error state; mrdma_qp_run flushes. */
void mrdma_qp_error(struct mrdma_qp *qp)
{
	lockdep_assert_held(&qp->lock);
	if (qp->state == IB_QPS_ERR || qp->state == IB_QPS_RESET)
		return;
	qp->state = IB_QPS_ERR;
	tasklet_schedule(&qp->task);
}

/*
 * Posts a completion of @qp. A QP whose completion is lost ends in the error state: a work queue
 * that cannot report is in catastrophic error (IBTA volume 1, section 11.6.3).
 */
void mrdma_qp_complete(struct mrdma_qp *qp, struct mrdma_cq *cq, const struct ib_wc *wc,
		       bool solicited)
{
	lockdep_assert_held(&qp->lock);
	if (likely(mrdma_cq_post(cq, wc, solicited)))
		return;
	/* raised for the first completion that is lost, see mrdma_cq_raise_error() */
	mrdma_qp_event(qp, IB_EVENT_CQ_ERR);
	if (qp->state != IB_QPS_ERR) {
		mrdma_qp_event(qp, IB_EVENT_QP_FATAL);
		mrdma_qp_error(qp);
	}
}

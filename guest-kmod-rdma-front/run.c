// SPDX-License-Identifier: GPL-2.0
/*
 * The one place where a QP sends (mrdma_qp_run), and whatever starts it again later: the tasklet,
 * those who wake it when there is room, and the requester's timers.
 */
#include "chan.h"
#include "loop.h"
#include "requester.h"
#include "responder.h"

/* payload of answers, and as much of requests, sent in one go before others get the CPU */
#define RUN_BYTES	(256u << 10)

static bool run_answers(struct mrdma_qp *qp, struct mrdma_tx *tx, u32 *budget)
{
	return qp->ibqp.qp_type == IB_QPT_RC && mrdma_resp_run(qp, tx, budget);
}

static bool run_requests(struct mrdma_qp *qp, struct mrdma_tx *tx, u32 *budget)
{
	return (qp->state == IB_QPS_RTS || qp->state == IB_QPS_SQD) &&
	       mrdma_req_run(qp, tx, budget);
}

/*
 * Sends what can be sent. Answers and requests have a budget each, and by turns the first
 * claim to the room that there is: neither waits until the other has nothing more to send,
 * which a peer that reads without end could put off for ever. Called under the QP lock after
 * anything that may have made progress possible.
 */
u32 mrdma_qp_run(struct mrdma_qp *qp)
{
	u32 answers = RUN_BYTES, requests = RUN_BYTES;
	bool again, waited = qp->waiting;
	struct mrdma_tx tx;

	lockdep_assert_held(&qp->lock);
	if (qp->dead)
		return 0;
	switch (qp->state) {
	case IB_QPS_RTR:
	case IB_QPS_RTS:
	case IB_QPS_SQD:
		break;
	case IB_QPS_SQE:
		mrdma_sq_flush(qp);
		return 0;
	case IB_QPS_ERR:
		mrdma_sq_flush(qp);
		mrdma_rq_flush(qp);
		if (!qp->resp.nak_pending)
			return 0;
		break;
	default:
		return 0;
	}

	mrdma_tx_begin(&tx, mrdma_qp_dev(qp));
	if (qp->requests_first) {
		again = run_requests(qp, &tx, &requests);
		again |= run_answers(qp, &tx, &answers);
	} else {
		again = run_answers(qp, &tx, &answers);
		again |= run_requests(qp, &tx, &requests);
	}
	mrdma_tx_end(&tx);
	if (qp->waiting && !waited)
		qp->requests_first = !qp->requests_first;
	if (again && !qp->waiting)
		tasklet_schedule(&qp->task);
	return 2 * RUN_BYTES - answers - requests;
}

/* A run outside of a receive batch. Also takes a pending wake. */
static void run_once(struct mrdma_qp *qp)
{
	mrdma_qp_lock(qp);
	if (xchg(&qp->woken, false))
		qp->waiting = false;
	mrdma_qp_run(qp);
	mrdma_tx_end_turn(qp);
	mrdma_qp_unlock(qp);
}

static void run_task(struct tasklet_struct *t)
{
	struct mrdma_qp *qp = from_tasklet(qp, t, task);

	run_once(qp);
}

static void visit(struct mrdma_qp *qp, void *unused)
{
	run_once(qp);
}

void mrdma_run_all(struct mrdma_dev *dev)
{
	mrdma_qp_walk(dev, visit, NULL);
}

/* Under the lock of whoever wakes: no QP lock may be taken here. */
static void wake_qp(struct mrdma_qp *qp)
{
	xchg(&qp->woken, true);
	tasklet_schedule(&qp->task);
}

static void wake_ring(struct mrdma_waiter *w)
{
	wake_qp(container_of(w, struct mrdma_qp, waiter));
}

static void wake_loop(struct mrdma_waiter *w)
{
	wake_qp(container_of(w, struct mrdma_qp, loop_waiter));
}

static void retry_timeout(struct timer_list *t)
{
	struct mrdma_qp *qp = timer_container_of(qp, t, timer);

	mrdma_qp_lock(qp);
	if (mrdma_retry_expired(qp))
		mrdma_qp_run(qp);
	mrdma_qp_unlock(qp);
}

static void rnr_timeout(struct timer_list *t)
{
	struct mrdma_qp *qp = timer_container_of(qp, t, rnr_timer);

	mrdma_qp_lock(qp);
	if (mrdma_retry_rnr_expired(qp))
		mrdma_qp_run(qp);
	mrdma_qp_unlock(qp);
}

void mrdma_qp_run_init(struct mrdma_qp *qp)
{
	tasklet_setup(&qp->task, run_task);
	timer_setup(&qp->timer, retry_timeout, 0);
	timer_setup(&qp->rnr_timer, rnr_timeout, 0);
	mrdma_waiter_init(&qp->waiter, wake_ring);
	mrdma_waiter_init(&qp->loop_waiter, wake_loop);
}

/*
 * The QP is dead and no softirq has a reference: timers may run and a wake may be under way. Each
 * is waited for, in an order in which none is started by one that comes after it.
 */
void mrdma_qp_run_stop(struct mrdma_qp *qp)
{
	struct mrdma_dev *dev = mrdma_qp_dev(qp);

	timer_delete_sync(&qp->timer);
	timer_delete_sync(&qp->rnr_timer);
	mrdma_chan_unwait(dev->chan, &qp->waiter);
	mrdma_loop_unwait(dev, &qp->loop_waiter);
	tasklet_kill(&qp->task);
}

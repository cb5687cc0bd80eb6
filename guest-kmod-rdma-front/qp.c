// SPDX-License-Identifier: GPL-2.0
/*
 * Life of a queue pair: creation, lookup by number, references, and the lock with the events it
 * defers.
 */
#include <linux/overflow.h>
#include <linux/slab.h>
#include <rdma/ib_cache.h>
#include <rdma/uverbs_ioctl.h>

#include "mrdma.h"


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

struct mrdma_qp *mrdma_qp_get_next(struct mrdma_dev *dev, unsigned long *qpn)
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
	mos_assert(mrdma_psn_cmp(req->una, req->psn) <= 0);
	mos_assert(mrdma_psn_cmp(req->psn, req->max_psn) <= 0);
	mos_assert(mrdma_psn_cmp(req->max_psn, req->next_psn) <= 0);
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

void mrdma_qp_reset(struct mrdma_qp *qp)
{
	lockdep_assert_held(&qp->lock);
	mrdma_req_reset(qp);
	mrdma_resp_reset(qp);
	qp->comm_est = false;
	qp->events = 0;
}

static int check_init(struct ib_qp_init_attr *init, struct ib_udata *udata)
{
	struct ib_qp_cap *cap = &init->cap;

	if (init->create_flags || init->rwq_ind_tbl)
		return -EOPNOTSUPP;
	switch (init->qp_type) {
	case IB_QPT_RC:
	case IB_QPT_UC:
	case IB_QPT_UD:
		break;
	case IB_QPT_GSI:
		if (udata || init->srq)
			return -EOPNOTSUPP;
		break;
	case IB_QPT_RAW_PACKET:
		/* ib_uverbs has asked for CAP_NET_RAW */
		if (!udata || init->srq)
			return -EOPNOTSUPP;
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (!init->send_cq || !init->recv_cq)
		return -EINVAL;
	if (init->srq) {
		/* it has no receive queue of its own */
		cap->max_recv_wr = 0;
		cap->max_recv_sge = 0;
	}
	/* one slot of a queue always stays free */
	if (cap->max_send_wr >= MRDMA_MAX_QP_WR || cap->max_recv_wr >= MRDMA_MAX_QP_WR ||
	    cap->max_send_sge > MRDMA_MAX_SGE || cap->max_recv_sge > MRDMA_MAX_SGE ||
	    cap->max_inline_data > MRDMA_MAX_INLINE)
		return -EINVAL;
	return 0;
}

static int init_sq(struct mrdma_qp *qp, struct ib_qp_init_attr *init, struct ib_ucontext *uctx,
		   struct mminfo *mi)
{
	struct ib_qp_cap *cap = &init->cap;
	struct mrdma_sq *sq = &qp->sq;
	u32 bytes;
	int err;

	/* gather list and inline data share the place */
	bytes = max_t(u32, cap->max_send_sge * sizeof(struct rxe_sge), cap->max_inline_data);
	bytes = ALIGN(bytes, sizeof(struct rxe_sge));
	sq->max_sge = bytes / sizeof(struct rxe_sge);
	sq->max_inline = bytes;
	sq->mask = roundup_pow_of_two(cap->max_send_wr + 1) - 1;
	sq->wqe_size = ALIGN(sizeof(struct mrdma_swqe) + bytes, 16);
	spin_lock_init(&sq->lock);
	sq->wqe = kvcalloc(sq->mask + 1, sq->wqe_size, MRDMA_GFP_USER);
	if (!sq->wqe)
		return -ENOMEM;
	if (uctx) {
		err = mrdma_queue_create(&sq->q, uctx, sq->mask,
					 sizeof(struct rxe_send_wqe) + bytes, mi);
		if (err)
			goto err_free_wqe;
	}
	cap->max_send_wr = sq->mask;
	cap->max_send_sge = sq->max_sge;
	cap->max_inline_data = sq->max_inline;
	return 0;

err_free_wqe:
	kvfree(sq->wqe);
	return err;
}

static int init_rq(struct mrdma_qp *qp, struct ib_qp_init_attr *init, struct ib_ucontext *uctx,
		   struct mminfo *mi)
{
	struct ib_qp_cap *cap = &init->cap;
	int err;

	if (init->srq)
		return 0;
	err = mrdma_rq_init(&qp->rq, uctx, cap->max_recv_wr, cap->max_recv_sge, mi);
	if (err)
		return err;
	cap->max_recv_wr = qp->rq.q.mask;
	return 0;
}

static void free_queues(struct mrdma_qp *qp)
{
	mrdma_queue_destroy(&qp->sq.q);
	mrdma_queue_destroy(&qp->rq.q);
	kvfree(qp->sq.wqe);
	kvfree(qp->resp.rings);
}

static int publish_qp(struct mrdma_dev *dev, struct mrdma_qp *qp)
{
	u32 qpn = 1;
	int err;

	xa_lock_bh(&dev->qps);
	if (qp->ibqp.qp_type == IB_QPT_GSI)
		err = __xa_insert(&dev->qps, qpn, qp, GFP_KERNEL);
	else
		err = __xa_alloc_cyclic(&dev->qps, &qpn, qp,
					XA_LIMIT(MRDMA_MIN_QPN, MRDMA_QPN_MASK - 1),
					&dev->next_qpn, GFP_KERNEL);
	xa_unlock_bh(&dev->qps);
	if (err < 0)
		return err;
	qp->ibqp.qp_num = qpn;
	return 0;
}

int mrdma_create_qp(struct ib_qp *ibqp, struct ib_qp_init_attr *init, struct ib_udata *udata)
{
	struct mrdma_ucontext *uctx = rdma_udata_to_drv_context(udata, struct mrdma_ucontext, ibuc);
	struct mrdma_dev *dev = to_mrdma_dev(ibqp->device);
	struct mrdma_qp *qp = to_mrdma_qp(ibqp);
	struct rxe_create_qp_resp resp = {};
	int err;

	err = check_init(init, udata);
	if (err)
		return err;
	if (udata && udata->outlen < sizeof(resp))
		return -EINVAL;

	spin_lock_init(&qp->lock);
	kref_init(&qp->ref);
	init_completion(&qp->idle);
	INIT_LIST_HEAD(&qp->poll_entry);
	INIT_LIST_HEAD(&qp->windows);
	mrdma_qp_run_init(qp);
	qp->user = udata;
	qp->state = IB_QPS_RESET;
	qp->sig_type = init->sq_sig_type;
	/* connections set their path's; datagrams are looked at when they are sent */
	qp->mtu = init->qp_type == IB_QPT_RAW_PACKET ? mrdma_raw_max(dev) : 4096;

	err = mrdma_object_get(dev, MRDMA_OBJ_QP);
	if (err)
		return err;
	err = init_sq(qp, init, uctx ? &uctx->ibuc : NULL, &resp.sq_mi);
	if (err)
		goto err_put;
	err = init_rq(qp, init, uctx ? &uctx->ibuc : NULL, &resp.rq_mi);
	if (err)
		goto err_free_queues;
	qp->attr.cap = init->cap;
	mrdma_qp_lock(qp);
	mrdma_qp_reset(qp);
	mrdma_qp_unlock(qp);
	if (udata) {
		err = ib_copy_to_udata(udata, &resp, sizeof(resp));
		if (err)
			goto err_free_queues;
	}
	err = publish_qp(dev, qp);
	if (err)
		goto err_free_queues;
	return 0;

err_free_queues:
	free_queues(qp);
err_put:
	mrdma_object_put(dev, MRDMA_OBJ_QP);
	return err;
}

/*
 * When it is erased from the array, softirqs may still hold references, timers
 * may run and a wake may be under way: each is waited for, in this order, after
 * "dead" has stopped all of them from starting the others again.
 */
int mrdma_destroy_qp(struct ib_qp *ibqp, struct ib_udata *udata)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibqp->device);
	struct mrdma_qp *qp = to_mrdma_qp(ibqp);

	xa_erase_bh(&dev->qps, ibqp->qp_num);
	mrdma_qp_lock(qp);
	qp->dead = true;
	qp->state = IB_QPS_RESET;
	qp->events = 0;
	qp->resp.job_tail = qp->resp.job_head;
	mrdma_qp_unlock(qp);

	mrdma_qp_put(qp);
	wait_for_completion(&qp->idle);
	mrdma_qp_run_stop(qp);
	mrdma_mw_unbind_all(qp);
	free_queues(qp);
	if (qp->sgid)
		rdma_put_gid_attr(qp->sgid);
	mrdma_object_put(dev, MRDMA_OBJ_QP);
	return 0;
}

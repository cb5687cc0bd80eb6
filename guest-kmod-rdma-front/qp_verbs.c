// SPDX-License-Identifier: GPL-2.0
/*
 * Verbs of a queue pair: create, modify, query and destroy. Which attributes a transition
 * needs and allows is ib_core's table (ib_modify_qp_is_ok).
 */
#include <linux/slab.h>
#include <rdma/ib_cache.h>
#include <rdma/ib_verbs.h>
#include <rdma/uverbs_ioctl.h>

#include "mw.h"
#include "requester.h"
#include "responder.h"

static void reset_qp(struct mrdma_qp *qp)
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
					XA_LIMIT(MRDMA_MIN_QPN, MOS_QPN_MASK - 1),
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
	reset_qp(qp);
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

static int qp_check_attr(struct mrdma_dev *dev, const struct ib_qp_attr *attr, int mask)
{
	if (mask & (IB_QP_ALT_PATH | IB_QP_PATH_MIG_STATE) &&
	    !(mask & IB_QP_PATH_MIG_STATE && attr->path_mig_state == IB_MIG_MIGRATED))
		return -EOPNOTSUPP;
	if (mask & IB_QP_PORT && attr->port_num != 1)
		return -EINVAL;
	if (mask & IB_QP_PKEY_INDEX && attr->pkey_index)
		return -EINVAL;
	if (mask & IB_QP_MAX_QP_RD_ATOMIC && attr->max_rd_atomic > MRDMA_MAX_RD_ATOMIC)
		return -EINVAL;
	if (mask & IB_QP_MAX_DEST_RD_ATOMIC && attr->max_dest_rd_atomic > MRDMA_MAX_RD_ATOMIC)
		return -EINVAL;
	if (mask & IB_QP_TIMEOUT && attr->timeout > 31)
		return -EINVAL;
	if (mask & IB_QP_RETRY_CNT && attr->retry_cnt > 7)
		return -EINVAL;
	if (mask & IB_QP_RNR_RETRY && attr->rnr_retry > 7)
		return -EINVAL;
	if (mask & IB_QP_MIN_RNR_TIMER && attr->min_rnr_timer > 31)
		return -EINVAL;
	if (mask & IB_QP_DEST_QPN && attr->dest_qp_num > MOS_QPN_MASK)
		return -EINVAL;
	if (mask & IB_QP_PATH_MTU &&
	    (attr->path_mtu < IB_MTU_256 || attr->path_mtu > mrdma_active_mtu(dev)))
		return -EINVAL;
	return 0;
}

static void store_attr(struct mrdma_qp *qp, const struct ib_qp_attr *attr, int mask,
		       const struct mrdma_av *av)
{
	struct ib_qp_attr *mine = &qp->attr;

	if (mask & IB_QP_EN_SQD_ASYNC_NOTIFY)
		mine->en_sqd_async_notify = attr->en_sqd_async_notify;
	if (mask & IB_QP_ACCESS_FLAGS)
		mine->qp_access_flags = attr->qp_access_flags;
	if (mask & IB_QP_PKEY_INDEX)
		mine->pkey_index = attr->pkey_index;
	if (mask & IB_QP_PORT)
		mine->port_num = attr->port_num;
	if (mask & IB_QP_QKEY)
		mine->qkey = attr->qkey;
	if (mask & IB_QP_AV) {
		mine->ah_attr = attr->ah_attr;
		mine->ah_attr.grh.sgid_attr = NULL;
		qp->av = *av;
		/*
		 * ib_core has one of its own in the QP (av_sgid_attr), which no lock of ours
		 * protects
		 */
		rdma_hold_gid_attr(attr->ah_attr.grh.sgid_attr);
		if (qp->sgid)
			rdma_put_gid_attr(qp->sgid);
		qp->sgid = attr->ah_attr.grh.sgid_attr;
	}
	if (mask & IB_QP_PATH_MTU) {
		mine->path_mtu = attr->path_mtu;
		qp->mtu = ib_mtu_enum_to_int(attr->path_mtu);
	}
	if (mask & IB_QP_TIMEOUT)
		mine->timeout = attr->timeout;
	if (mask & IB_QP_RETRY_CNT) {
		mine->retry_cnt = attr->retry_cnt;
		qp->req.retry = attr->retry_cnt;
	}
	if (mask & IB_QP_RNR_RETRY) {
		mine->rnr_retry = attr->rnr_retry;
		qp->req.rnr_retry = attr->rnr_retry;
	}
	if (mask & IB_QP_RQ_PSN) {
		mine->rq_psn = attr->rq_psn & MOS_PSN_MASK;
		qp->resp.psn = mine->rq_psn;
		qp->resp.ack_psn = mos_psn_add(mine->rq_psn, MOS_PSN_MASK);
	}
	if (mask & IB_QP_SQ_PSN) {
		mine->sq_psn = attr->sq_psn & MOS_PSN_MASK;
		qp->req.psn = mine->sq_psn;
		qp->req.next_psn = mine->sq_psn;
		qp->req.una = mine->sq_psn;
		qp->req.max_psn = mine->sq_psn;
	}
	if (mask & IB_QP_MAX_QP_RD_ATOMIC)
		mine->max_rd_atomic = attr->max_rd_atomic;
	if (mask & IB_QP_MAX_DEST_RD_ATOMIC)
		mine->max_dest_rd_atomic = attr->max_dest_rd_atomic;
	if (mask & IB_QP_MIN_RNR_TIMER)
		mine->min_rnr_timer = attr->min_rnr_timer;
	if (mask & IB_QP_DEST_QPN)
		mine->dest_qp_num = attr->dest_qp_num;
}

static void enter_state(struct mrdma_qp *qp, enum ib_qp_state state, bool sqd_notify)
{
	switch (state) {
	case IB_QPS_RESET:
		qp->state = state;
		reset_qp(qp);
		break;
	case IB_QPS_ERR:
		mrdma_qp_error(qp);
		break;
	case IB_QPS_SQD:
		if (qp->state != IB_QPS_SQD)
			qp->sqd_notify = sqd_notify;
		qp->state = state;
		break;
	default:
		qp->state = state;
		break;
	}
	mrdma_qp_run(qp);
}

int mrdma_modify_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask, struct ib_udata *udata)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibqp->device);
	struct mrdma_qp *qp = to_mrdma_qp(ibqp);
	struct mrdma_resp_resources *rings = NULL;
	enum ib_qp_state cur, next;
	struct mrdma_av av;
	int err;

	if (mask & ~IB_QP_ATTR_STANDARD_BITS)
		return -EOPNOTSUPP;
	err = qp_check_attr(dev, attr, mask);
	if (err)
		return err;
	if (mask & IB_QP_AV) {
		u32 rqpn = mask & IB_QP_DEST_QPN ? attr->dest_qp_num : qp->attr.dest_qp_num;

		err = mrdma_av_init(dev, &attr->ah_attr, ibqp->qp_num, rqpn, true, &av);
		if (err)
			return err;
	}

	if (mask & IB_QP_MAX_DEST_RD_ATOMIC) {
		rings = mrdma_resp_resources_alloc(attr->max_dest_rd_atomic);
		if (!rings)
			return -ENOMEM;
	}

	mrdma_qp_lock(qp);
	cur = qp->state;
	next = mask & IB_QP_STATE ? attr->qp_state : cur;
	if ((mask & IB_QP_CUR_STATE && attr->cur_qp_state != cur) ||
	    !ib_modify_qp_is_ok(cur, next, ibqp->qp_type, mask)) {
		err = -EINVAL;
		goto out;
	}
	if (rings)
		rings = mrdma_resp_grow(qp, rings);
	store_attr(qp, attr, mask, &av);
	if (mask & IB_QP_STATE)
		enter_state(qp, next,
			    mask & IB_QP_EN_SQD_ASYNC_NOTIFY && attr->en_sqd_async_notify);
out:
	mrdma_qp_unlock(qp);
	/* before the QP may be used for another peer, which is not to have the old one's rights */
	if (!err && mask & IB_QP_STATE && next == IB_QPS_RESET)
		mrdma_mw_unbind_all(qp);
	kvfree(rings);
	return err;
}

int mrdma_query_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		   struct ib_qp_init_attr *init)
{
	struct mrdma_qp *qp = to_mrdma_qp(ibqp);

	mrdma_qp_lock(qp);
	*attr = qp->attr;
	attr->qp_state = qp->state;
	attr->cur_qp_state = qp->state;
	attr->path_mig_state = IB_MIG_MIGRATED;
	attr->rq_psn = qp->resp.psn;
	attr->sq_psn = qp->req.psn;
	attr->sq_draining = qp->state == IB_QPS_SQD && qp->sq.tail != qp->sq.numbered;
	mrdma_qp_unlock(qp);

	init->event_handler = ibqp->event_handler;
	init->qp_context = ibqp->qp_context;
	init->send_cq = ibqp->send_cq;
	init->recv_cq = ibqp->recv_cq;
	init->srq = ibqp->srq;
	init->cap = attr->cap;
	init->sq_sig_type = qp->sig_type;
	init->qp_type = ibqp->qp_type;
	init->port_num = 1;
	return 0;
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

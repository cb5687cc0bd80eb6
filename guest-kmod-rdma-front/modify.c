// SPDX-License-Identifier: GPL-2.0
/*
 * State machine of a queue pair: modify and query. Which attributes a transition
 * needs and allows is ib_core's table (ib_modify_qp_is_ok).
 */
#include <linux/slab.h>
#include <rdma/ib_cache.h>
#include <rdma/ib_verbs.h>

#include "mrdma.h"

static int check_attr(struct mrdma_dev *dev, const struct ib_qp_attr *attr, int mask)
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
	if (mask & IB_QP_DEST_QPN && attr->dest_qp_num > MRDMA_QPN_MASK)
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
		/* ib_core has one of its own in the QP (av_sgid_attr), which no lock of ours protects */
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
		mine->rq_psn = attr->rq_psn & MRDMA_PSN_MASK;
		qp->resp.psn = mine->rq_psn;
		qp->resp.ack_psn = mrdma_psn_add(mine->rq_psn, MRDMA_PSN_MASK);
	}
	if (mask & IB_QP_SQ_PSN) {
		mine->sq_psn = attr->sq_psn & MRDMA_PSN_MASK;
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
		mrdma_qp_reset(qp);
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
	struct mrdma_rings *rings = NULL;
	enum ib_qp_state cur, next;
	struct mrdma_av av;
	int err;

	if (mask & ~IB_QP_ATTR_STANDARD_BITS)
		return -EOPNOTSUPP;
	err = check_attr(dev, attr, mask);
	if (err)
		return err;
	if (mask & IB_QP_AV) {
		u32 rqpn = mask & IB_QP_DEST_QPN ? attr->dest_qp_num : qp->attr.dest_qp_num;

		err = mrdma_av_init(dev, &attr->ah_attr, ibqp->qp_num, rqpn, true, &av);
		if (err)
			return err;
	}

	if (mask & IB_QP_MAX_DEST_RD_ATOMIC) {
		rings = mrdma_rings_alloc(attr->max_dest_rd_atomic);
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
		enter_state(qp, next, mask & IB_QP_EN_SQD_ASYNC_NOTIFY && attr->en_sqd_async_notify);
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

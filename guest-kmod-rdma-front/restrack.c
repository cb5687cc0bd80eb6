// SPDX-License-Identifier: GPL-2.0
/*
 * Driver attributes of "rdma resource show": positions of a QP's two directions, the fill of a CQ,
 * the make-up of a region. None of them opens memory.
 */
#include <rdma/rdma_netlink.h>
#include <rdma/restrack.h>

#include "cq.h"
#include "mr.h"
#include "qp.h"
#include "restrack.h"

struct field {
	const char	*name;
	u32		value;
};

static int put(struct sk_buff *msg, const struct field *f, unsigned int n)
{
	struct nlattr *table = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	unsigned int i;

	if (!table)
		return -EMSGSIZE;
	for (i = 0; i < n; i++)
		if (rdma_nl_put_driver_u32(msg, f[i].name, f[i].value))
			goto err_cancel;
	nla_nest_end(msg, table);
	return 0;

err_cancel:
	nla_nest_cancel(msg, table);
	return -EMSGSIZE;
}

int mrdma_fill_res_qp(struct sk_buff *msg, struct ib_qp *ibqp)
{
	struct mrdma_qp *qp = to_mrdma_qp(ibqp);
	unsigned int n = 0;
	struct field f[12];

	mrdma_qp_lock(qp);
	f[n++] = (struct field) { "path-mtu", qp->mtu };
	f[n++] = (struct field) { "sq-depth", qp->sq.mask };
	/* taken from the queue, and not complete */
	f[n++] = (struct field) { "sq-outstanding", qp->sq.pulled - qp->sq.tail };
	f[n++] = (struct field) { "sq-unsent", qp->sq.pulled - qp->sq.cur };
	if (qp->rq.q.buf)
		f[n++] = (struct field) { "rq-depth", qp->rq.q.mask };
	if (ibqp->qp_type == IB_QPT_RC) {
		f[n++] = (struct field) { "unacked-psn", qp->req.una };
		f[n++] = (struct field) { "highest-psn", qp->req.max_psn };
		f[n++] = (struct field) { "window", qp->req.window };
		f[n++] = (struct field) { "retries-left", qp->req.retry };
		f[n++] = (struct field) { "rnr-waiting", qp->req.rnr_wait };
		f[n++] = (struct field) { "msn", qp->resp.msn };
	}
	f[n++] = (struct field) { "waits-for-room", qp->waiting };
	mrdma_qp_unlock(qp);
	return put(msg, f, n);
}

int mrdma_fill_res_cq(struct sk_buff *msg, struct ib_cq *ibcq)
{
	struct mrdma_cq *cq = to_mrdma_cq(ibcq);
	unsigned long flags;
	struct field f[3];

	spin_lock_irqsave(&cq->lock, flags);
	f[0] = (struct field) { "unpolled", mrdma_cq_unpolled(cq) };
	f[1] = (struct field) { "armed", cq->notify };
	f[2] = (struct field) { "overrun", cq->overrun };
	spin_unlock_irqrestore(&cq->lock, flags);
	return put(msg, f, ARRAY_SIZE(f));
}

int mrdma_fill_res_mr(struct sk_buff *msg, struct ib_mr *ibmr)
{
	struct mrdma_mem *mem = &to_mrdma_mr(ibmr)->mem;
	struct field f[4];

	read_lock_bh(&mem->lock);
	f[0] = (struct field) { "valid", mem->valid };
	f[1] = (struct field) { "access", mem->access };
	f[2] = (struct field) { "block-shift", mem->shift };
	f[3] = (struct field) { "windows", mem->windows };
	read_unlock_bh(&mem->lock);
	return put(msg, f, ARRAY_SIZE(f));
}

int mrdma_fill_res_srq(struct sk_buff *msg, struct ib_srq *ibsrq)
{
	struct mrdma_srq *srq = to_mrdma_srq(ibsrq);
	struct mrdma_rq *rq = &srq->rq;
	unsigned long flags;
	struct field f[3];
	u32 prod;

	spin_lock_irqsave(&rq->lock, flags);
	if (!srq->user)
		prod = rq->prod;
	else
		prod = rq->q.buf ? mrdma_queue_prod(&rq->q) : rq->cons;	/* just destroyed */
	f[0] = (struct field) { "depth", rq->q.mask };
	f[1] = (struct field) { "posted", (prod - rq->cons) & rq->q.mask };
	f[2] = (struct field) { "limit", srq->limit };
	spin_unlock_irqrestore(&rq->lock, flags);
	return put(msg, f, ARRAY_SIZE(f));
}

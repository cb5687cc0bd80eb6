// SPDX-License-Identifier: GPL-2.0
/*
 * Shared receive queues: creation, resizing, and the limit at which their owner is told
 * to post more. QPs take from them in rq.c.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <rdma/uverbs_ioctl.h>

#include "wq.h"

static u32 posted(const struct mrdma_rq *rq)
{
	lockdep_assert_held(&rq->lock);
	return (mrdma_queue_prod(&rq->q) - rq->cons) & rq->q.mask;
}

int mrdma_create_srq(struct ib_srq *ibsrq, struct ib_srq_init_attr *init, struct ib_udata *udata)
{
	struct mrdma_ucontext *uctx = rdma_udata_to_drv_context(udata, struct mrdma_ucontext, ibuc);
	struct mrdma_dev *dev = to_mrdma_dev(ibsrq->device);
	struct mrdma_srq *srq = to_mrdma_srq(ibsrq);
	struct rxe_create_srq_resp resp = {};
	struct ib_srq_attr *attr = &init->attr;
	int err;

	if (init->srq_type != IB_SRQT_BASIC)
		return -EOPNOTSUPP;
	if (!attr->max_wr || attr->max_wr >= MRDMA_MAX_SRQ_WR || attr->max_sge > MRDMA_MAX_SGE)
		return -EINVAL;
	if (udata && udata->outlen < sizeof(resp))
		return -EINVAL;

	srq->user = udata;
	err = ida_alloc_range(&dev->srqs, 1, MRDMA_MAX_SRQ, GFP_KERNEL);
	if (err < 0)
		return err;
	srq->num = err;
	err = mrdma_rq_init(&srq->rq, uctx ? &uctx->ibuc : NULL, attr->max_wr, attr->max_sge,
			    &resp.mi);
	if (err)
		goto err_free_num;
	attr->max_wr = srq->rq.q.mask;
	if (udata) {
		resp.srq_num = srq->num;
		err = ib_copy_to_udata(udata, &resp, sizeof(resp));
		if (err)
			goto err_destroy_queue;
	}
	return 0;

err_destroy_queue:
	mrdma_queue_destroy(&srq->rq.q);
err_free_num:
	ida_free(&dev->srqs, srq->num);
	return err;
}

/*
 * A queue of another size takes over the requests that are posted. librxe keeps its
 * threads from posting meanwhile.
 */
static int resize(struct mrdma_srq *srq, u32 max_wr, u32 limit, struct ib_udata *udata)
{
	struct mrdma_ucontext *uctx = rdma_udata_to_drv_context(udata, struct mrdma_ucontext, ibuc);
	struct mrdma_rq *rq = &srq->rq;
	struct rxe_modify_srq_cmd cmd;
	struct mrdma_queue q, old;
	struct mminfo mi = {};
	u32 n = 0;
	int err;

	if (srq->user && udata->inlen < sizeof(cmd))
		return -EINVAL;
	err = mrdma_queue_create(&q, uctx ? &uctx->ibuc : NULL, max_wr,
				 mrdma_rq_elem_size(rq->max_sge), &mi);
	if (err)
		return err;
	if (srq->user) {
		err = ib_copy_from_udata(&cmd, udata, sizeof(cmd));
		if (err)
			goto err_destroy_queue;
		/* the command has no room for a response: librxe says where it wants it */
		if (copy_to_user(u64_to_user_ptr(cmd.mmap_info_addr), &mi, sizeof(mi))) {
			err = -EFAULT;
			goto err_destroy_queue;
		}
	}

	spin_lock_irq(&rq->lock);
	if (posted(rq) > q.mask || limit > q.mask) {
		spin_unlock_irq(&rq->lock);
		err = -EINVAL;
		goto err_destroy_queue;
	}
	for (; n < q.mask && posted(rq); n++, rq->cons++)
		memcpy(mrdma_queue_elem(&q, n), mrdma_queue_elem(&rq->q, rq->cons), 1u << q.shift);
	old = rq->q;
	rq->q = q;
	rq->cons = 0;
	rq->prod = n;
	mrdma_queue_set_prod(&rq->q, n);
	spin_unlock_irq(&rq->lock);

	mrdma_queue_destroy(&old);
	return 0;

err_destroy_queue:
	mrdma_queue_destroy(&q);
	return err;
}

/* Fewer requests than the limit when it is set count like falling below it. */
static void arm(struct mrdma_srq *srq, u32 limit)
{
	struct ib_srq *ibsrq = &srq->ibsrq;
	struct ib_event ev = {
		.device = ibsrq->device,
		.element.srq = ibsrq,
		.event = IB_EVENT_SRQ_LIMIT_REACHED,
	};
	bool reached;

	spin_lock_irq(&srq->rq.lock);
	reached = posted(&srq->rq) < limit;
	srq->limit = reached ? 0 : limit;
	spin_unlock_irq(&srq->rq.lock);
	if (reached && ibsrq->event_handler)
		ibsrq->event_handler(&ev, ibsrq->srq_context);
}

int mrdma_modify_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr, enum ib_srq_attr_mask mask,
		     struct ib_udata *udata)
{
	struct mrdma_srq *srq = to_mrdma_srq(ibsrq);
	u32 limit;
	int err;

	if (mask & ~(IB_SRQ_MAX_WR | IB_SRQ_LIMIT))
		return -EINVAL;
	limit = mask & IB_SRQ_LIMIT ? attr->srq_limit : READ_ONCE(srq->limit);
	if (mask & IB_SRQ_MAX_WR) {
		if (!attr->max_wr || attr->max_wr >= MRDMA_MAX_SRQ_WR)
			return -EINVAL;
		err = resize(srq, attr->max_wr, limit, udata);
		if (err)
			return err;
	} else if (limit > srq->rq.q.mask) {
		return -EINVAL;
	}
	if (mask & IB_SRQ_LIMIT)
		arm(srq, limit);
	return 0;
}

int mrdma_query_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr)
{
	struct mrdma_srq *srq = to_mrdma_srq(ibsrq);

	spin_lock_irq(&srq->rq.lock);
	attr->max_wr = srq->rq.q.mask;
	attr->max_sge = srq->rq.max_sge;
	attr->srq_limit = srq->limit;
	spin_unlock_irq(&srq->rq.lock);
	return 0;
}

/* ib_core has seen to it that no QP uses the queue. */
int mrdma_destroy_srq(struct ib_srq *ibsrq, struct ib_udata *udata)
{
	struct mrdma_srq *srq = to_mrdma_srq(ibsrq);

	mrdma_queue_retire(&srq->rq.q, &srq->rq.lock);
	ida_free(&to_mrdma_dev(ibsrq->device)->srqs, srq->num);
	return 0;
}

int mrdma_post_srq_recv(struct ib_srq *ibsrq, const struct ib_recv_wr *wr,
			const struct ib_recv_wr **bad_wr)
{
	struct mrdma_srq *srq = to_mrdma_srq(ibsrq);

	*bad_wr = wr;
	if (srq->user)
		return -EINVAL;
	return mrdma_rq_post(&srq->rq, wr, bad_wr);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Completion queues. A user's queue is mapped and holds struct ib_uverbs_wc, a
 * kernel user's is private and holds struct ib_wc. A user's handler only wakes a
 * reader and is called at once; a kernel user's may post and runs in a tasklet.
 */
#include <linux/slab.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/uverbs_ioctl.h>

#include "mrdma.h"

static void call_handler(struct tasklet_struct *t)
{
	struct mrdma_cq *cq = from_tasklet(cq, t, task);

	if (!READ_ONCE(cq->dying))
		cq->ibcq.comp_handler(&cq->ibcq, cq->ibcq.cq_context);
}

int mrdma_cq_init(struct mrdma_cq *cq, const struct ib_cq_init_attr *attr,
		  struct ib_udata *udata)
{
	struct mrdma_ucontext *uctx = rdma_udata_to_drv_context(udata, struct mrdma_ucontext, ibuc);
	struct rxe_create_cq_resp resp = {};
	int err;

	if (attr->flags)
		return -EOPNOTSUPP;
	if (!attr->cqe || attr->cqe > MRDMA_MAX_CQE)
		return -EINVAL;
	spin_lock_init(&cq->lock);
	tasklet_setup(&cq->task, call_handler);
	cq->user = udata;

	if (!udata) {
		cq->mask = roundup_pow_of_two(attr->cqe + 1) - 1;
		cq->wc = kvcalloc(cq->mask + 1, sizeof(*cq->wc), GFP_KERNEL);
		if (!cq->wc)
			return -ENOMEM;
		cq->ibcq.cqe = cq->mask;
		return 0;
	}

	if (udata->outlen < sizeof(resp))
		return -EINVAL;
	err = mrdma_queue_create(&cq->q, &uctx->ibuc, attr->cqe, sizeof(struct ib_uverbs_wc),
				 &resp.mi);
	if (err)
		return err;
	cq->mask = cq->q.mask;
	cq->ibcq.cqe = cq->mask;
	err = ib_copy_to_udata(udata, &resp, sizeof(resp));
	if (err)
		goto err_destroy_queue;
	return 0;

err_destroy_queue:
	mrdma_queue_destroy(&cq->q);
	return err;
}

/* ib_core has seen to it that no QP uses the queue. */
int mrdma_destroy_cq(struct ib_cq *ibcq, struct ib_udata *udata)
{
	struct mrdma_cq *cq = to_mrdma_cq(ibcq);

	WRITE_ONCE(cq->dying, true);
	tasklet_kill(&cq->task);
	mrdma_queue_destroy(&cq->q);
	kvfree(cq->wc);
	return 0;
}

int mrdma_resize_cq(struct ib_cq *ibcq, int cqe, struct ib_udata *udata)
{
	struct mrdma_ucontext *uctx = rdma_udata_to_drv_context(udata, struct mrdma_ucontext, ibuc);
	struct mrdma_cq *cq = to_mrdma_cq(ibcq);
	struct rxe_resize_cq_resp resp = {};
	struct mrdma_queue q, old;
	u32 cons, n = 0;
	unsigned long flags;
	int err;

	if (!udata || !cq->user)
		return -EOPNOTSUPP;
	if (cqe < 1 || cqe > MRDMA_MAX_CQE || udata->outlen < sizeof(resp))
		return -EINVAL;
	err = mrdma_queue_create(&q, &uctx->ibuc, cqe, sizeof(struct ib_uverbs_wc), &resp.mi);
	if (err)
		return err;
	err = ib_copy_to_udata(udata, &resp, sizeof(resp));
	if (err)
		goto err_destroy_queue;

	spin_lock_irqsave(&cq->lock, flags);
	cons = mrdma_queue_cons(&cq->q);
	if (((cq->prod - cons) & cq->mask) > q.mask) {
		spin_unlock_irqrestore(&cq->lock, flags);
		err = -EINVAL;
		goto err_destroy_queue;
	}
	for (; cons != cq->prod; cons = (cons + 1) & cq->mask)
		memcpy(mrdma_queue_elem(&q, n++), mrdma_queue_elem(&cq->q, cons),
		       sizeof(struct ib_uverbs_wc));
	old = cq->q;
	cq->q = q;
	cq->mask = q.mask;
	cq->prod = n;
	mrdma_queue_set_prod(&cq->q, n);
	ibcq->cqe = q.mask;
	spin_unlock_irqrestore(&cq->lock, flags);

	mrdma_queue_destroy(&old);
	return 0;

err_destroy_queue:
	mrdma_queue_destroy(&q);
	return err;
}

static void put_user_wc(struct mrdma_cq *cq, const struct ib_wc *wc)
{
	struct ib_uverbs_wc *u = mrdma_queue_elem(&cq->q, cq->prod);

	u->wr_id = wc->wr_id;
	u->status = wc->status;
	u->opcode = wc->opcode;
	u->vendor_err = wc->vendor_err;
	u->byte_len = wc->byte_len;
	u->ex.imm_data = wc->ex.imm_data;
	u->qp_num = wc->qp->qp_num;
	u->src_qp = wc->src_qp;
	/* user space knows the first bits only */
	u->wc_flags = wc->wc_flags & (IB_WC_GRH | IB_WC_WITH_IMM);
	u->pkey_index = wc->pkey_index;
	u->slid = 0;
	u->sl = wc->sl;
	u->dlid_path_bits = 0;
	u->port_num = wc->port_num;
	u->reserved = 0;
}

/* Caller holds the lock of the QP that completes. */
void mrdma_cq_post(struct mrdma_cq *cq, const struct ib_wc *wc, bool solicited)
{
	bool notify = false, overrun = false;
	unsigned long flags;
	u32 next, cons;

	spin_lock_irqsave(&cq->lock, flags);
	next = (cq->prod + 1) & cq->mask;
	cons = cq->user ? mrdma_queue_cons(&cq->q) : cq->cons;
	if (unlikely(next == cons)) {
		overrun = !cq->overrun;
		cq->overrun = true;
	} else {
		if (cq->user)
			put_user_wc(cq, wc);
		else
			cq->wc[cq->prod] = *wc;
		cq->prod = next;
		if (cq->user)
			mrdma_queue_set_prod(&cq->q, next);
		if (cq->notify == IB_CQ_NEXT_COMP ||
		    (cq->notify == IB_CQ_SOLICITED && (solicited || wc->status != IB_WC_SUCCESS))) {
			cq->notify = 0;
			notify = true;
		}
	}
	spin_unlock_irqrestore(&cq->lock, flags);

	if (notify && cq->ibcq.comp_handler) {
		if (cq->user)
			cq->ibcq.comp_handler(&cq->ibcq, cq->ibcq.cq_context);
		else
			tasklet_schedule(&cq->task);
	}
	if (unlikely(overrun) && cq->ibcq.event_handler) {
		struct ib_event ev = {
			.device = cq->ibcq.device,
			.element.cq = &cq->ibcq,
			.event = IB_EVENT_CQ_ERR,
		};

		cq->ibcq.event_handler(&ev, cq->ibcq.cq_context);
	}
}

/* Kernel users; librxe reads a user's queue itself. */
int mrdma_poll_cq(struct ib_cq *ibcq, int num, struct ib_wc *wc)
{
	struct mrdma_cq *cq = to_mrdma_cq(ibcq);
	unsigned long flags;
	int n;

	if (cq->user)
		return -EOPNOTSUPP;
	spin_lock_irqsave(&cq->lock, flags);
	for (n = 0; n < num && cq->cons != cq->prod; n++) {
		wc[n] = cq->wc[cq->cons];
		cq->cons = (cq->cons + 1) & cq->mask;
	}
	spin_unlock_irqrestore(&cq->lock, flags);
	return n;
}

int mrdma_peek_cq(struct ib_cq *ibcq, int num)
{
	struct mrdma_cq *cq = to_mrdma_cq(ibcq);
	unsigned long flags;
	u32 cons, n;

	spin_lock_irqsave(&cq->lock, flags);
	cons = cq->user ? mrdma_queue_cons(&cq->q) : cq->cons;
	n = (cq->prod - cons) & cq->mask;
	spin_unlock_irqrestore(&cq->lock, flags);
	return min_t(u32, n, num);
}

int mrdma_req_notify_cq(struct ib_cq *ibcq, enum ib_cq_notify_flags flags)
{
	struct mrdma_cq *cq = to_mrdma_cq(ibcq);
	unsigned long irq;
	int missed = 0;
	u32 cons;

	spin_lock_irqsave(&cq->lock, irq);
	/* a request for the next completion is not weakened by a later one */
	if (cq->notify != IB_CQ_NEXT_COMP)
		cq->notify = flags & IB_CQ_SOLICITED_MASK;
	cons = cq->user ? mrdma_queue_cons(&cq->q) : cq->cons;
	if ((flags & IB_CQ_REPORT_MISSED_EVENTS) && cons != cq->prod)
		missed = 1;
	spin_unlock_irqrestore(&cq->lock, irq);
	return missed;
}

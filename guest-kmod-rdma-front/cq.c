// SPDX-License-Identifier: GPL-2.0
/*
 * Completion queues. A user's queue is mapped and holds struct ib_uverbs_wc, a
 * kernel user's is private and holds struct ib_wc. A user's handler only wakes a
 * reader and is called at once; a kernel user's may post and runs in a tasklet.
 *
 * A queue that overran stays in error: what it holds can be polled, nothing is added,
 * and each QP that would complete there ends in the error state.
 */
#include <linux/slab.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/uverbs_ioctl.h>

#include "cq.h"
#include "trace.h"

static void call_handler(struct tasklet_struct *t)
{
	struct mrdma_cq *cq = from_tasklet(cq, t, task);

	if (!READ_ONCE(cq->dying))
		cq->ibcq.comp_handler(&cq->ibcq, cq->ibcq.cq_context);
}

static void tell(struct mrdma_cq *cq)
{
	if (!cq->ibcq.comp_handler)
		return;
	if (cq->user)
		cq->ibcq.comp_handler(&cq->ibcq, cq->ibcq.cq_context);
	else
		tasklet_schedule(&cq->task);
}

/* The oldest completion that an event waits with has waited long enough. */
static enum hrtimer_restart period_over(struct hrtimer *timer)
{
	struct mrdma_cq *cq = container_of(timer, struct mrdma_cq, timer);
	unsigned long flags;
	bool notify;

	spin_lock_irqsave(&cq->lock, flags);
	notify = cq->held && cq->notify;
	if (notify) {
		cq->held = 0;
		cq->notify = 0;
	}
	spin_unlock_irqrestore(&cq->lock, flags);
	if (notify)
		tell(cq);
	return HRTIMER_NORESTART;
}

int mrdma_cq_init(struct mrdma_cq *cq, const struct ib_cq_init_attr *attr,
		  struct ib_udata *udata)
{
	struct mrdma_ucontext *uctx = rdma_udata_to_drv_context(udata, struct mrdma_ucontext, ibuc);
	struct rxe_create_cq_resp resp = {};
	int err;

	if (attr->flags)
		return -EOPNOTSUPP;
	if (!attr->cqe || attr->cqe >= MRDMA_MAX_CQE)
		return -EINVAL;
	spin_lock_init(&cq->lock);
	tasklet_setup(&cq->task, call_handler);
	hrtimer_setup(&cq->timer, period_over, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
	cq->user = udata;

	if (!udata) {
		cq->mask = roundup_pow_of_two(attr->cqe + 1) - 1;
		cq->wc = kvcalloc(cq->mask + 1, sizeof(*cq->wc), MRDMA_GFP_USER);
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

/* ib_core has seen to it that no QP uses the queue: the timer is not started any more. */
int mrdma_destroy_cq(struct ib_cq *ibcq, struct ib_udata *udata)
{
	struct mrdma_cq *cq = to_mrdma_cq(ibcq);

	hrtimer_cancel(&cq->timer);
	WRITE_ONCE(cq->dying, true);
	tasklet_kill(&cq->task);
	/* ib_free_cq has cancelled it already, but the tasklet may have queued it again */
	if (!cq->user && (ibcq->poll_ctx == IB_POLL_WORKQUEUE ||
			  ibcq->poll_ctx == IB_POLL_UNBOUND_WORKQUEUE))
		cancel_work_sync(&ibcq->work);
	mrdma_queue_retire(&cq->q, &cq->lock);
	kvfree(cq->wc);
	mrdma_object_put(to_mrdma_dev(ibcq->device), MRDMA_OBJ_CQ);
	return 0;
}

u32 mrdma_cq_unpolled(const struct mrdma_cq *cq)
{
	u32 cons = cq->cons;

	lockdep_assert_held(&cq->lock);
	if (cq->user)
		cons = cq->q.buf ? mrdma_queue_cons(&cq->q) : cq->prod;
	return (cq->prod - cons) & cq->mask;
}

static int resize_user(struct mrdma_cq *cq, int cqe, struct ib_udata *udata)
{
	struct mrdma_ucontext *uctx = rdma_udata_to_drv_context(udata, struct mrdma_ucontext, ibuc);
	struct rxe_resize_cq_resp resp = {};
	struct mrdma_queue q, old;
	u32 i, n;
	int err;

	if (udata->outlen < sizeof(resp))
		return -EINVAL;
	err = mrdma_queue_create(&q, &uctx->ibuc, cqe, sizeof(struct ib_uverbs_wc), &resp.mi);
	if (err)
		return err;
	err = ib_copy_to_udata(udata, &resp, sizeof(resp));
	if (err)
		goto err_destroy_queue;

	spin_lock_irq(&cq->lock);
	/* once: the user may move its index at any time */
	n = mrdma_cq_unpolled(cq);
	if (n > q.mask) {
		spin_unlock_irq(&cq->lock);
		err = -EINVAL;
		goto err_destroy_queue;
	}
	for (i = 0; i < n; i++)
		memcpy(mrdma_queue_elem(&q, i), mrdma_queue_elem(&cq->q, cq->prod - n + i),
		       sizeof(struct ib_uverbs_wc));
	old = cq->q;
	cq->q = q;
	cq->mask = q.mask;
	cq->prod = n;
	mrdma_queue_set_prod(&cq->q, n);
	cq->ibcq.cqe = q.mask;
	spin_unlock_irq(&cq->lock);

	mrdma_queue_destroy(&old);
	return 0;

err_destroy_queue:
	mrdma_queue_destroy(&q);
	return err;
}

static int resize_kernel(struct mrdma_cq *cq, int cqe)
{
	u32 mask = roundup_pow_of_two(cqe + 1) - 1;
	struct ib_wc *wc, *old;
	u32 n = 0;

	wc = kvcalloc(mask + 1, sizeof(*wc), MRDMA_GFP_USER);
	if (!wc)
		return -ENOMEM;
	spin_lock_irq(&cq->lock);
	if (mrdma_cq_unpolled(cq) > mask) {
		spin_unlock_irq(&cq->lock);
		kvfree(wc);
		return -EINVAL;
	}
	for (; cq->cons != cq->prod; cq->cons = (cq->cons + 1) & cq->mask)
		wc[n++] = cq->wc[cq->cons];
	old = cq->wc;
	cq->wc = wc;
	cq->mask = mask;
	cq->cons = 0;
	cq->prod = n;
	cq->ibcq.cqe = mask;
	spin_unlock_irq(&cq->lock);
	kvfree(old);
	return 0;
}

/* Completions may come meanwhile. Of a user's threads librxe lets none poll. */
int mrdma_resize_cq(struct ib_cq *ibcq, mrdma_cqe_t cqe, struct ib_udata *udata)
{
	struct mrdma_cq *cq = to_mrdma_cq(ibcq);

	if (cqe < 1 || cqe >= MRDMA_MAX_CQE)
		return -EINVAL;
	return cq->user ? resize_user(cq, cqe, udata) : resize_kernel(cq, cqe);
}

/* An event waits for @count completions, or @period microseconds from the first of them. */
int mrdma_modify_cq(struct ib_cq *ibcq, u16 count, u16 period)
{
	struct mrdma_cq *cq = to_mrdma_cq(ibcq);

	spin_lock_irq(&cq->lock);
	cq->mod_count = count;
	cq->mod_period = period;
	spin_unlock_irq(&cq->lock);
	return 0;
}

/* IBV_WC_WITH_INV of <infiniband/verbs.h>: not the kernel's bit */
#define USER_WC_WITH_INV	BIT(3)

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
	u->wc_flags = wc->wc_flags & (IB_WC_GRH | IB_WC_WITH_IMM);
	if (wc->wc_flags & IB_WC_WITH_INVALIDATE)
		u->wc_flags |= USER_WC_WITH_INV;
	u->pkey_index = wc->pkey_index;
	u->slid = 0;
	u->sl = wc->sl;
	u->dlid_path_bits = 0;
	u->port_num = wc->port_num;
	u->reserved = 0;
}

/* Is it time for the event that was asked for? Errors and solicited messages do not wait. */
static bool event_due(struct mrdma_cq *cq, bool urgent)
{
	lockdep_assert_held(&cq->lock);
	if (!cq->notify || (cq->notify == IB_CQ_SOLICITED && !urgent))
		return false;
	if (!urgent && cq->mod_count > 1 && cq->mod_period && ++cq->held < cq->mod_count) {
		if (cq->held == 1)
			hrtimer_start(&cq->timer, ns_to_ktime(cq->mod_period * NSEC_PER_USEC),
				      HRTIMER_MODE_REL_SOFT);
		return false;
	}
	cq->held = 0;
	cq->notify = 0;
	return true;
}

/*
 * Under the lock of the QP that completes. Returns false if the queue is full, or overran before:
 * the completion is lost.
 */
bool mrdma_cq_post(struct mrdma_cq *cq, const struct ib_wc *wc, bool solicited)
{
	bool urgent = solicited || wc->status != IB_WC_SUCCESS;
	bool notify = false, lost;
	unsigned long flags;

	trace_mrdma_complete(wc, solicited);
	spin_lock_irqsave(&cq->lock, flags);
	lost = cq->overrun || mrdma_cq_unpolled(cq) == cq->mask;
	if (unlikely(lost)) {
		cq->err_event |= !cq->overrun;
		cq->overrun = true;
	} else {
		if (cq->user)
			put_user_wc(cq, wc);
		else
			cq->wc[cq->prod] = *wc;
		cq->prod = (cq->prod + 1) & cq->mask;
		if (cq->user)
			mrdma_queue_set_prod(&cq->q, cq->prod);
		notify = event_due(cq, urgent);
	}
	spin_unlock_irqrestore(&cq->lock, flags);

	if (notify)
		tell(cq);
	return !lost;
}

/* Without a QP lock: the event, one for each queue, that mrdma_cq_post has left behind. */
void mrdma_cq_raise_error(struct mrdma_cq *cq)
{
	struct ib_event ev = {
		.device = cq->ibcq.device,
		.element.cq = &cq->ibcq,
		.event = IB_EVENT_CQ_ERR,
	};
	unsigned long flags;
	bool raise;

	spin_lock_irqsave(&cq->lock, flags);
	raise = cq->err_event;
	cq->err_event = false;
	spin_unlock_irqrestore(&cq->lock, flags);
	if (raise && cq->ibcq.event_handler)
		cq->ibcq.event_handler(&ev, cq->ibcq.cq_context);
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
	u32 n;

	spin_lock_irqsave(&cq->lock, flags);
	n = mrdma_cq_unpolled(cq);
	spin_unlock_irqrestore(&cq->lock, flags);
	return min_t(u32, n, num);
}

int mrdma_req_notify_cq(struct ib_cq *ibcq, enum ib_cq_notify_flags flags)
{
	struct mrdma_cq *cq = to_mrdma_cq(ibcq);
	unsigned long irq;
	int missed;

	spin_lock_irqsave(&cq->lock, irq);
	/* a request for the next completion is not weakened by a later one */
	if (cq->notify != IB_CQ_NEXT_COMP)
		cq->notify = flags & IB_CQ_SOLICITED_MASK;
	missed = flags & IB_CQ_REPORT_MISSED_EVENTS && mrdma_cq_unpolled(cq);
	spin_unlock_irqrestore(&cq->lock, irq);
	return missed;
}

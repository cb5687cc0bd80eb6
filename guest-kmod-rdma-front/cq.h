/* SPDX-License-Identifier: GPL-2.0 */
/* Completion queues, see cq.c. */
#ifndef MRDMA_CQ_H
#define MRDMA_CQ_H

#include <linux/hrtimer.h>

#include "mrdma.h"
#include "queue.h"

struct mrdma_cq {
	struct ib_cq		ibcq;
	spinlock_t		lock;		/* protects: all below */
	struct mrdma_queue	q;		/* of a user: struct ib_uverbs_wc */
	struct ib_wc		*wc;		/* of a kernel user */
	u32			mask;
	u32			prod;		/* masked */
	u32			cons;		/* masked; kernel users */
	u8			notify;		/* enum ib_cq_notify_flags, 0: not armed */
	u16			mod_count;	/* moderation: completions an event may wait for */
	u16			mod_period;	/* and microseconds; 0: none */
	u16			held;		/* completions that an event waits with */
	bool			overrun;	/* takes no completion any more */
	bool			err_event;	/* CQ_ERR is to be raised at a QP's unlock */
	bool			user;
	bool			dying;
	struct tasklet_struct	task;		/* calls a kernel user's handler */
	struct hrtimer		timer;		/* of the moderation, softirq */
};

static inline struct mrdma_cq *to_mrdma_cq(struct ib_cq *ibcq)
{
	return container_of(ibcq, struct mrdma_cq, ibcq);
}

/* Verbs. Process context, but any for poll, peek and notify */
int mrdma_cq_init(struct mrdma_cq *cq, const struct ib_cq_init_attr *attr,
		  struct ib_udata *udata);
int mrdma_destroy_cq(struct ib_cq *ibcq, struct ib_udata *udata);
int mrdma_resize_cq(struct ib_cq *ibcq, mrdma_cqe_t cqe, struct ib_udata *udata);
int mrdma_modify_cq(struct ib_cq *ibcq, u16 count, u16 period);
int mrdma_poll_cq(struct ib_cq *ibcq, int num, struct ib_wc *wc);
int mrdma_peek_cq(struct ib_cq *ibcq, int num);
int mrdma_req_notify_cq(struct ib_cq *ibcq, enum ib_cq_notify_flags flags);

/* Completions that wait to be polled; none in a user's CQ that is being destroyed. cq->lock */
u32 mrdma_cq_unpolled(const struct mrdma_cq *cq);
/* Returns false if the completion is lost. Lock of the QP that completes */
bool mrdma_cq_post(struct mrdma_cq *cq, const struct ib_wc *wc, bool solicited);
/* Not under a QP lock */
void mrdma_cq_raise_error(struct mrdma_cq *cq);

#endif /* MRDMA_CQ_H */

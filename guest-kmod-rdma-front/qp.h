/* SPDX-License-Identifier: GPL-2.0 */
/* Queue pairs. */
#ifndef MRDMA_QP_H
#define MRDMA_QP_H

#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/kref.h>
#include <linux/timer.h>

#include "turns.h"
#include "wq.h"

struct mrdma_cq;

#define MRDMA_WINDOW_BYTES	(512u << 10)	/* unacknowledged payload of SEND and WRITE */

struct mrdma_req {
	u32			psn;		/* of the next packet */
	u32			next_psn;	/* of the next request to be numbered */
	u32			una;		/* oldest not acknowledged */
	u32			max_psn;	/* one after the highest ever sent */
	u32			off;		/* bytes of the current message already sent */
	u32			noack_bytes;	/* sent since the last AckReq */
	u32			rd_again;	/* PSN of the last READ request within one */
	u32			rd_pkts;	/* of the outstanding: response packets of those */
	u8			rd_out;		/* READs and atomics outstanding */
	u8			retry;		/* left */
	u8			rnr_retry;	/* left */
	bool			rnr_wait;
	bool			probing;	/* after an RNR NAK: one packet until progress */
	bool			went_back;	/* since the last progress */
	bool			overdue;	/* and again, for a gap: the deadline stays */
	bool			armed;		/* the retry timer runs */
	bool			gap;		/* seen before gap_until; the timer looks again */
	bool			timing;		/* sent_at is that of a packet not repeated */
	unsigned long		deadline;	/* jiffies */
	unsigned long		gap_until;	/* jiffies: until then old packets may come */
	unsigned long		sent_at;	/* jiffies */
	u32			srtt;		/* smoothed round trip, 1/8 jiffies */
	u32			window;		/* bytes that may be unacknowledged */
	u32			ring_end;	/* position in the ring behind what was sent last */
	u32			losses;		/* mrdma_chan_losses() at the last look */
};

/* A queued response: READ or atomic. FLUSH and ATOMIC_WRITE are answered as zero-length READs. */
struct mrdma_resp_res {
	union {
		u64		va;
		u64		orig;		/* atomic: what had been there */
	};
	u32			rkey;
	u32			length;
	u32			off;		/* bytes sent */
	u32			psn;		/* of the first response packet */
	u32			msn;
	bool			again;		/* asked for before */
	bool			atomic;
};

/* The value that an atomic operation found, to answer a duplicate of its request */
struct mrdma_result {
	u32			psn;
	u64			orig;
};

/* Two rings of a connection's responder; only their size is that of one */
struct mrdma_resp_resources {
	u32			mask;		/* elements of each - 1 */
	struct mrdma_result	*result;	/* behind job[] */
	struct mrdma_resp_res	job[];
};

struct mrdma_resp {
	u32			psn;		/* expected */
	u32			ack_psn;	/* of the last packet taken that an ACK answers */
	u32			msn;
	u32			kind;		/* MOP_SEND, MOP_WRITE: message under way; 0 */
	bool			have_wqe;	/* wqe is taken and waits for its completion */
	bool			ack_pending;
	bool			nak_pending;
	bool			nak_sent;	/* waiting for the expected packet: no other NAK */
	bool			fatal;		/* the NAK ends the connection, after what is due */
	u8			nak;		/* AETH syndrome */
	u32			nak_psn;
	u32			len;		/* bytes received of this message */
	u32			total;		/* of a WRITE */
	u32			rkey;
	u64			va;
	struct mrdma_rwqe	wqe;
	struct mrdma_resp_resources	*rings;		/* NULL: not connected yet */
	u32			job_head;
	u32			job_tail;
	u32			results;	/* ever; wraps */
	u32			kept;		/* the last so many of them are in result[] */
};

struct mrdma_qp {
	struct ib_qp		ibqp;
	spinlock_t		lock;		/* protects: all below, see the table of mrdma.h */
	struct kref		ref;
	struct completion	idle;
	struct ib_qp_attr	attr;
	struct mrdma_av		av;		/* of a connection */
	const struct ib_gid_attr *sgid;		/* its source, referenced; NULL: not connected */
	enum ib_qp_state	state;
	enum ib_sig_type	sig_type;
	u32			mtu;		/* bytes */
	u16			ip_id;
	bool			user;
	bool			dead;		/* being destroyed: nothing is armed any more */
	bool			waiting;	/* in line: only urgent bursts are tried */
	bool			waits_for_loop;	/* in the loop's line, not the ring's */
	bool			woken;		/* waiting ends (xchg, any context) */
	bool			requests_first;	/* in the next run, else answers */
	bool			polled;		/* on a list of mrdma_poll */
	bool			comm_est;
	bool			sqd_notify;
	bool			last_wqe;	/* LAST_WQE_REACHED has been raised */
	u32			events;		/* BIT(enum ib_event_type), raised at unlock */
	struct mrdma_sq		sq;
	struct mrdma_rq		rq;
	struct mrdma_req	req;
	struct mrdma_resp	resp;
	struct timer_list	timer;		/* retry */
	struct timer_list	rnr_timer;
	struct tasklet_struct	task;		/* goes on where a budget or the ring ended */
	struct mrdma_waiter	waiter;		/* for the ring */
	struct mrdma_waiter	loop_waiter;	/* for the loop */
	struct list_head	poll_entry;	/* per-CPU list, owned with polled */
	struct list_head	windows;	/* of type 2, bound on it (mrdma_dev.mw_lock) */
};

static inline struct mrdma_qp *to_mrdma_qp(struct ib_qp *ibqp)
{
	return container_of(ibqp, struct mrdma_qp, ibqp);
}

static inline struct mrdma_dev *mrdma_qp_dev(struct mrdma_qp *qp)
{
	return to_mrdma_dev(qp->ibqp.device);
}

static inline bool mrdma_qp_connected(const struct mrdma_qp *qp)
{
	return qp->ibqp.qp_type == IB_QPT_RC || qp->ibqp.qp_type == IB_QPT_UC;
}

/* qp_core.c */

/* Any context but interrupts */
struct mrdma_qp *mrdma_qp_get(struct mrdma_dev *dev, u32 qpn);
void mrdma_qp_put(struct mrdma_qp *qp);
/* Process context. All QPs, each with a reference and without its lock; @visit may sleep. */
void mrdma_qp_walk(struct mrdma_dev *dev, void (*visit)(struct mrdma_qp *qp, void *arg), void *arg);
void mrdma_qp_lock(struct mrdma_qp *qp);
void mrdma_qp_unlock(struct mrdma_qp *qp);
/* Under the QP lock */
void mrdma_qp_event(struct mrdma_qp *qp, enum ib_event_type event);
void mrdma_qp_error(struct mrdma_qp *qp);
void mrdma_qp_complete(struct mrdma_qp *qp, struct mrdma_cq *cq, const struct ib_wc *wc,
		       bool solicited);

/* run.c */

/* Under the QP lock. Returns the bytes of bulk that it sent. */
u32 mrdma_qp_run(struct mrdma_qp *qp);
/* Process context. Runs all QPs: after an outage each resends what is not acknowledged. */
void mrdma_run_all(struct mrdma_dev *dev);
void mrdma_qp_run_init(struct mrdma_qp *qp);
void mrdma_qp_run_stop(struct mrdma_qp *qp);

/* qp_verbs.c; verbs. Process context */

int mrdma_create_qp(struct ib_qp *ibqp, struct ib_qp_init_attr *init, struct ib_udata *udata);
int mrdma_modify_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask, struct ib_udata *udata);
int mrdma_query_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		   struct ib_qp_init_attr *init);
int mrdma_destroy_qp(struct ib_qp *ibqp, struct ib_udata *udata);

/* post.c; verb. Process context of a user, any of a kernel user */
int mrdma_post_send(struct ib_qp *ibqp, const struct ib_send_wr *wr,
		    const struct ib_send_wr **bad_wr);

/* raw.c; the second one under the QP lock */
u32 mrdma_raw_max(const struct mrdma_dev *dev);
enum ib_wc_status mrdma_raw_send(struct mrdma_qp *qp, const struct mrdma_swqe *w);

#endif /* MRDMA_QP_H */

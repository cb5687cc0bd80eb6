/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The front module's transport as a program: its own files for headers, requester, completer,
 * responder and queue pairs, with what they stand on from here: memory regions of exactly so many
 * bytes (ASan sees a step outside), completion queues that keep what was posted, and the back's end
 * of the ring, which the module's own chan.c fills.
 */
#ifndef TESTS_KERNEL_NIC_H
#define TESTS_KERNEL_NIC_H

#include "../../guest-kmod-rdma-front/chan.h"
#include "../../guest-kmod-rdma-front/cq.h"
#include "../../guest-kmod-rdma-front/follow.h"
#include "../../guest-kmod-rdma-front/front.h"
#include "../../guest-kmod-rdma-front/gid.h"
#include "../../guest-kmod-rdma-front/loop.h"
#include "../../guest-kmod-rdma-front/mcast.h"
#include "../../guest-kmod-rdma-front/mr.h"
#include "../../guest-kmod-rdma-front/mw.h"
#include "../../guest-kmod-rdma-front/requester.h"
#include "../../guest-kmod-rdma-front/responder.h"
#include "../../guest-kmod-rdma-front/rx.h"

#define NIC_MEMS	8
#define NIC_QPS		512
#define NIC_MAX_WC	512
#define NIC_RING	10	/* log2 descriptors, as in the module */
#define NIC_SMALL_RING	4	/* the smallest that the specification allows */

struct nic_mem {
	u32 key;
	int access;
	struct ib_pd *pd;
	u64 va;
	u32 len;
	u8 *bytes;
};

/* A burst or packet on its way */
struct nic_pkt {
	struct list_head entry;
	struct msr_desc d;
	u8 *data;		/* of exactly d.len bytes */
	u64 at;			/* when something happens to it, see path.h */
};

struct nic_qp {
	struct mrdma_qp qp;	/* first */
	struct nic *nic;
	struct mrdma_cq scq, rcq;
	struct ib_wc wc[2][NIC_MAX_WC];	/* [0] sends, [1] receives */
	u32 nwc[2];
	u32 events;		/* BIT(enum ib_event_type) that were raised */
	u32 sq_prod, rq_prod;
};

struct mos_bell {
	bool rung;		/* the back is to look at its end */
};

struct nic {
	struct mrdma_front front;
	struct mos_bell bell;
	bool outage;		/* nic_link(): the link that goes down is expected back */
	u8 *section[2];		/* the front's, the back's */
	u32 section_size;
	struct msr_tx back_tx;
	struct msr_rx back_rx;
	struct mrdma_dev dev;
	struct net_device netdev;
	struct ib_gid_attr gid;
	u32 followed;		/* calls of mrdma_follow_broken() */
	struct ib_pd pd, other_pd;
	struct mrdma_ucontext uctx;
	struct nic_mem mem[NIC_MEMS];
	struct nic_qp *qp[NIC_QPS];
	u32 nqps;		/* of which so many have been in use */
};

/* A ring of 2^@ring_log2 descriptors, data as much as such a ring has in the module */
struct nic *nic_create(u8 number, u32 ring_log2);
void nic_destroy(struct nic *nic);
struct nic_mem *nic_reg(struct nic *nic, u32 len, int access);
struct nic_qp *nic_qp_create(struct nic *nic, enum ib_qp_type type, u32 depth, u32 max_sge);
void nic_qp_destroy(struct nic_qp *q);
int nic_qp_init(struct nic_qp *q);
/* To state RTS; @peer: the other end, number @dqpn */
int nic_qp_connect(struct nic_qp *q, const struct nic *peer, u32 dqpn, enum ib_mtu mtu, u32 rq_psn,
		   u32 sq_psn);
/* The next free element of a user's queue; posted by the second call. NULL: full */
struct rxe_send_wqe *nic_sq_next(struct nic_qp *q);
/* The next WQE, NULL if there is none: signalled, @len bytes at the begin of @from and of @to. */
struct rxe_send_wqe *nic_sq_wqe(struct nic_qp *q, u8 opcode, const struct nic_mem *from,
				const struct nic_mem *to, u32 len);
void nic_sq_post(struct nic_qp *q);
struct rxe_recv_wqe *nic_rq_next(struct nic_qp *q);
void nic_rq_post(struct nic_qp *q);

/* One burst arrives, past the ring, in memory of its own; nic_end ends the batch. */
void nic_deliver(struct nic *nic, const struct nic_pkt *pkt);
void nic_end(struct nic *nic);
/* one burst arrives by the ring; nic_work polls it */
void nic_receive(struct nic *nic, const struct nic_pkt *pkt);
void nic_link(struct nic *nic, bool up);	/* what the rings held is lost */
u32 nic_queued(const struct nic *nic);		/* bursts in the ring */
/* the oldest burst that goes out, or NULL; nic_release gives @n back */
struct nic_pkt *nic_next(struct nic *nic);
void nic_release(struct nic *nic, u32 n);
struct nic_pkt *nic_take(struct nic *nic);	/* both */
/* packet @i of a burst, as on the wire */
struct nic_pkt *nic_packet(const struct nic_pkt *b, u32 i);
/*
 * @b behind @a in one burst, as the back OS joins what arrives; NULL: it does not continue @a,
 * which is as before
 */
struct nic_pkt *nic_join(const struct nic_pkt *a, const struct nic_pkt *b);
struct nic_pkt *nic_copy(const struct nic_pkt *pkt);
void nic_free(struct nic_pkt *pkt);
/*
 * Softirq: NAPI of @nic and tasklets by turns, until none is scheduled. Returns the number of
 * tasklets that ran.
 */
u32 nic_work(struct nic *nic);
/* Timers whose time has come */
void nic_timers(struct nic *nic);
/* The next time at which one runs, or jiffies when there is none */
unsigned long nic_next_timer(const struct nic *nic);

#endif

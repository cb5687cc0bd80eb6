/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The front module's transport as a program: its own files for headers, requester, completer, responder and queue pairs,
 * with what they stand on from here: memory regions of exactly so many bytes (ASan sees a step outside), completion
 * queues that keep what was posted, and in place of the ring a list of bursts on their way out.
 */
#ifndef TESTS_KERNEL_NIC_H
#define TESTS_KERNEL_NIC_H

#include "../../guest-kmod-rdma-front/mrdma.h"

#define NIC_MEMS	8
#define NIC_QPS		8
#define NIC_MAX_WC	512

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

struct nic {
	struct mrdma_front front;
	struct mrdma_dev dev;
	struct net_device netdev;
	struct ib_gid_attr gid;
	struct ib_pd pd, other_pd;
	struct mrdma_ucontext uctx;
	struct nic_mem mem[NIC_MEMS];
	struct nic_qp *qp[NIC_QPS];
	struct list_head out;
	u32 queued;		/* bursts in it */
	u32 room;		/* bursts at most; 0: the ring is full */
	bool down;
	bool locked;
	struct list_head waiters;
	u8 *reserved;
	u32 reserved_len;
};

struct nic *nic_create(u8 number);
void nic_destroy(struct nic *nic);
struct nic_mem *nic_reg(struct nic *nic, u32 len, int access);
struct nic_qp *nic_qp_create(struct nic *nic, enum ib_qp_type type, u32 depth, u32 max_sge);
void nic_qp_destroy(struct nic_qp *q);
int nic_qp_init(struct nic_qp *q);
/* To state RTS; @peer: the other end, number @dqpn */
int nic_qp_connect(struct nic_qp *q, const struct nic *peer, u32 dqpn, enum ib_mtu mtu, u32 rq_psn, u32 sq_psn);
/* The next free element of a user's queue; posted by the second call. NULL: full */
struct rxe_send_wqe *nic_sq_next(struct nic_qp *q);
void nic_sq_post(struct nic_qp *q);
struct rxe_recv_wqe *nic_rq_next(struct nic_qp *q);
void nic_rq_post(struct nic_qp *q);

void nic_deliver(struct nic *nic, const struct nic_pkt *pkt);	/* one burst arrives; nic_end ends the batch */
void nic_end(struct nic *nic);
struct nic_pkt *nic_take(struct nic *nic);		/* the oldest burst that goes out, or NULL */
struct nic_pkt *nic_packet(const struct nic_pkt *b, u32 i);	/* packet @i of a burst, as on the wire */
/* @b behind @a in one burst, as the back OS joins what arrives; NULL: it does not continue @a, which is as before */
struct nic_pkt *nic_join(const struct nic_pkt *a, const struct nic_pkt *b);
struct nic_pkt *nic_copy(const struct nic_pkt *pkt);
void nic_free(struct nic_pkt *pkt);
/* Tasklets until none is scheduled, and whoever waits for room that there is */
void nic_work(struct nic *nic);
/* Timers whose time has come */
void nic_timers(struct nic *nic);
/* The next time at which one runs, or jiffies when there is none */
unsigned long nic_next_timer(const struct nic *nic);

#endif

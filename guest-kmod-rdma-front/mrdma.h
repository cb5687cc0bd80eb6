/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The RDMA vNIC: objects behind an ib_device and what the files of the provider
 * call in each other.
 *
 * Locks, outermost first. BH: taken with softirqs off; IRQ: with interrupts off.
 *
 *   lock               protects                                  context
 *   mrdma_mcast.lock   multicast groups and their members        process
 *   mrdma_macs.lock    GIDs of each MAC address, see gid.c       process, inside RTNL and ib_core's GID
 *                                                                table lock; the link's lock is taken inside
 *   mrdma_qp.lock      the QP's state, requester, responder,     BH: system call, NAPI,
 *                      consumer side of both work queues         timers, tasklets
 *   chan lock          the RoCE ring towards the back (chan.h),  BH: below a QP lock
 *                      the line of those who wait for its room
 *   mrdma_loop.lock    packets on their way to this very device, BH: below a QP or chan lock
 *                      the line of those who wait for room
 *   netdev's tx locks  what raw packet QPs send (raw.c)          BH: below a QP lock
 *   mrdma_sq.lock      producer side of a kernel user's SQ       IRQ: any
 *   mrdma_rq.lock      producer side of a kernel user's RQ;      IRQ: any
 *                      all of an SRQ's, below a QP lock
 *   mrdma_cq.lock      the completion queue                      IRQ: innermost
 *   xa_lock of qps     QP number to QP, with a reference         BH: innermost
 *   xa_lock of ahs     AH number to AH; the vector is copied     IRQ: innermost
 *   mrdma_mem.lock     what a key opens; held over the copy      BH: below a QP or chan lock; a
 *                                                                window's before its region's
 *   mrdma_dev.mw_lock  which windows of type 2 a QP has          BH: below a window's lock
 *   mrdma_poll.lock    QPs to run at the end of a batch          softirq, below a QP lock
 *   RCU                key to struct mrdma_mem                   any
 *   RCU                multicast group to QPs                    BH: outside a QP lock
 *
 * No two QP locks are held at once: what a QP sends to this very device goes
 * through loop.c. A QP that waits for room is woken under the chan or loop lock, where no QP
 * lock may be taken: its tasklet does the rest. ib_core's event and completion handlers of
 * kernel users run without a QP lock, as they may post.
 */
#ifndef MRDMA_H
#define MRDMA_H

#include <linux/completion.h>
#include <linux/hashtable.h>
#include <linux/hrtimer.h>
#include <linux/idr.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/interrupt.h>
#include <linux/ipv6.h>
#include <linux/kref.h>
#include <linux/local_lock.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/udp.h>
#include <linux/xarray.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>
#include <rdma/rdma_user_rxe.h>
#include <msr/mac.h>
#include <msr/wire.h>

#include "chan.h"
#include "front.h"
#include "hdr.h"
#include "kcompat.h"
#include "queue.h"
#include "turns.h"

#define MRDMA_MAX_QP		65536
#define MRDMA_MIN_QPN		17		/* 0 and 1 are the management QPs */
#define MRDMA_MAX_QP_WR		16384
#define MRDMA_MAX_SGE		32
#define MRDMA_MAX_INLINE	512		/* bytes; 32 scatter/gather entries take as much */
#define MRDMA_MAX_CQ		65536
#define MRDMA_MAX_CQE		(1 << 17)
#define MRDMA_MAX_SRQ		65536
#define MRDMA_MAX_SRQ_WR	16384
#define MRDMA_MAX_MR		(1 << 20)
#define MRDMA_MAX_MW		(1 << 20)
#define MRDMA_MAX_FAST_REG	4096		/* pages of a fast registration */
#define MRDMA_MAX_AH		(1 << 16)
#define MRDMA_MAX_PD		65536
#define MRDMA_MAX_MR_SIZE	(1ull << 43)	/* bytes; ib_umem_get() pins < 2^32 pages */
#define MRDMA_MAX_RD_ATOMIC	128
#define MRDMA_GID_TBL		1024		/* entries */
#define MRDMA_MAX_MCAST_GRP	8192
#define MRDMA_MAX_MCAST_QP	240		/* attached to one group, as mlx5; copies in one go */
#define MRDMA_MAX_MCAST_TOTAL	65536		/* attachments */
#define MRDMA_MAX_MSG		(1u << 31)	/* bytes; what a RETH may ask for at most */

/* Ethernet, VLAN tag, IPv6, UDP */
#define MRDMA_MAX_L4		(ETH_HLEN + VLAN_HLEN + sizeof(struct ipv6hdr) + \
				 sizeof(struct udphdr))
/* What a link MTU must hold beside the payload: IPv6, UDP, BTH, RETH, ImmDt, ICRC */
#define MRDMA_WIRE_OVERHEAD	(40 + 8 + 12 + 16 + 4 + 4)

enum mrdma_counter {
	MRDMA_CNT_SENT_PKTS,
	MRDMA_CNT_RCVD_PKTS,
	MRDMA_CNT_DUP_REQ,
	MRDMA_CNT_OUT_OF_SEQ,
	MRDMA_CNT_RCV_RNR,
	MRDMA_CNT_SND_RNR,
	MRDMA_CNT_RCV_SEQ_ERR,
	MRDMA_CNT_RETRY_EXCEEDED,
	MRDMA_CNT_RNR_EXCEEDED,
	MRDMA_CNT_RETRY,
	MRDMA_CNT_SEND_ERR,
	MRDMA_CNT_LINK_DOWNED,
	MRDMA_CNT_SENDS,
	MRDMA_CNT_RECVS,
	MRDMA_CNT_NOT_SENT,	/* longer than the link takes, or no memory */
	/* received, and filed under this instead of RCVD_PKTS */
	MRDMA_CNT_MALFORMED,	/* headers, opcodes, lengths that make no packet */
	MRDMA_CNT_BAD_ADDRESS,	/* neither this device's nor the connection's */
	MRDMA_CNT_BAD_PKEY,
	MRDMA_CNT_NO_QP,	/* number of no QP, group without a member */
	MRDMA_CNT_QP_STATE,	/* the QP is of another type, or does not receive now */
	MRDMA_CNT_PORT_DOWN,
	MRDMA_CNT_CNP,		/* told to slow down, which this device cannot */
	/* received by a QP of an unreliable service, and dropped there */
	MRDMA_CNT_BAD_QKEY,
	MRDMA_CNT_NO_BUFFER,	/* nothing posted, or too small */
	MRDMA_CNT_REFUSED,	/* key, right, range or length */
	MRDMA_CNT_ECN,		/* marked: met a queue that grew long */
	MRDMA_CNT_PATH_UPDATES,	/* a path's MAC addresses have changed */
	MRDMA_NR_COUNTERS,
};

struct mrdma_stats {
	u64	count[MRDMA_NR_COUNTERS];
};

/* Objects that are counted; the others end with the numbers that are given out for them. */
enum mrdma_object {
	MRDMA_OBJ_PD,
	MRDMA_OBJ_CQ,
	MRDMA_OBJ_QP,
	MRDMA_OBJ_AH,
	MRDMA_NR_OBJECTS,
};

/* Packets to this very device, see loop.c */
struct mrdma_loop {
	spinlock_t		lock;		/* protects: the fields below */
	struct list_head	pkts;
	struct mrdma_turns	turns;		/* of those who wait for room */
	u32			bytes;		/* queued */
	struct tasklet_struct	task;
};

/* MAC addresses that GIDs have, see gid.c */
struct mrdma_macs {
	struct mutex		lock;		/* protects: all below; table is read in any context */
	struct msr_macs		table;		/* as the link shows it to the back */
	u32			users[MSR_MAX_MACS];	/* GIDs of each slot */
};

/* QPs to run at the end of a batch, see rx.c */
struct mrdma_poll {
	local_lock_t		lock;		/* protects: qps, from softirqs of this CPU (PREEMPT_RT) */
	struct list_head	qps;
};

/* Multicast groups, see mcast.c */
struct mrdma_mcast {
	struct mutex		lock;		/* protects: all below; read under RCU */
	DECLARE_HASHTABLE(groups, 8);
	u32			nr_groups;
	u32			nr_members;
};

struct mrdma_dev {
	struct ib_device	ibdev;		/* first: allocated by ib_core */
	struct mrdma_front	*front;
	struct net_device	*netdev;
	struct mrdma_chan	*chan;
	struct xarray		qps;
	u32			next_qpn;
	struct ida		srqs;		/* numbers of shared receive queues */
	struct xarray		mems;
	u32			next_mr;
	u32			next_mw;
	struct xarray		ahs;
	u32			next_ah;
	atomic_t		objects[MRDMA_NR_OBJECTS];	/* that there are */
	spinlock_t		mw_lock;	/* protects: mrdma_qp.windows, mrdma_mem.bound */
	struct mrdma_loop	loop;
	struct mrdma_mcast	mcast;
	struct mrdma_macs	macs;
	struct mrdma_stats __percpu *stats;
	struct mrdma_poll __percpu *poll;
	struct notifier_block	netdev_nb;
	struct notifier_block	netevent_nb;
	struct ib_event_handler	gid_handler;	/* see follow.c */
	struct list_head	follow_entry;	/* of all devices, see follow.c */
	struct delayed_work	follow;
	unsigned long		follow_delay;	/* jiffies, WRITE_ONCE by the work */
	bool			follow_ask;	/* neighbours that have answered are asked again (xchg) */
	bool			follow_stopped;	/* WRITE_ONCE: the work takes no reference any more */
	struct ib_client	client;		/* see verbs.c */
	int			port_state;	/* enum ib_port_state last announced */
};

struct mrdma_ucontext {
	struct ib_ucontext	ibuc;
};

struct mrdma_pd {
	struct ib_pd		ibpd;
};

/* Address vector: all bytes before the BTH, ready to copy */
/* A netdev by name: neither a reference nor a pointer that may be another netdev's later */
struct mrdma_netdev_id {
	u64			net_cookie;
	int			ifindex;	/* 0: none */
};

struct mrdma_av {
	struct mrdma_netdev_id	source;		/* the source GID's netdev */
	u8			hdr[MRDMA_MAX_L4] __aligned(2);
	u8			len;		/* bytes of hdr in use */
	u8			l3;		/* offset of the IP header */
	bool			ipv6;
	bool			loop;		/* the destination is this very device */
	bool			mcast;		/* the destination is a group */
	bool			qp_port;	/* the UDP source port is that of the two QPs */
};

struct mrdma_ah {
	struct ib_ah		ibah;
	u32			num;
	struct mrdma_av		av;		/* this and all below: the array's lock */
	const struct ib_gid_attr *sgid;		/* referenced */
	struct rdma_ah_attr	attr;		/* as created, without the GID reference */
};

enum mrdma_mem_type {
	MRDMA_MEM_DMA,		/* all of kernel memory, address = pointer */
	MRDMA_MEM_USER,
	MRDMA_MEM_FAST,		/* fast registration */
	MRDMA_MEM_MW1,		/* window, type 1 */
	MRDMA_MEM_MW2,		/* window, type 2B */
};

/* What a key opens: a region, or a window into one */
struct mrdma_mem {
	rwlock_t		lock;		/* protects: all below but type */
	enum mrdma_mem_type	type;
	bool			valid;
	u8			shift;		/* log2 bytes of a block */
	u32			key;
	u32			qpn;		/* of a type 2 window: the QP it is bound on */
	struct list_head	bound;		/* type 2 window: in mrdma_qp.windows (mw_lock) */
	u32			windows;	/* bound to this region */
	int			access;		/* enum ib_access_flags */
	struct ib_pd		*pd;
	u64			iova;		/* address of the first byte */
	u64			length;
	u64			start;		/* of the first byte in region's blocks */
	struct mrdma_mem	*region;	/* itself, or what the window is bound to */
	u8			**block;	/* kernel addresses */
	struct rcu_head		rcu;
};

struct mrdma_mr {
	struct ib_mr		ibmr;
	struct mrdma_mem	mem;
	struct ib_umem		*umem;
	u8			**list;		/* fast registration: as mapped, not in force yet */
	u32			num_list;
	u32			max_list;
};

struct mrdma_mw {
	struct ib_mw		ibmw;		/* first: allocated by ib_core */
	struct mrdma_mem	*mem;
};

/* A request to bind a window */
struct mrdma_bind {
	u64			addr;
	u64			length;
	u32			lkey;		/* of the region */
	u32			rkey;		/* of the window, as it is */
	u32			new_rkey;	/* its low byte is what the window's will be */
	int			access;
};

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

/* A send request, copied out of the user's queue and checked */
struct mrdma_swqe {
	u64			wr_id;
	u32			length;
	u32			first_psn;
	u32			last_psn;
	union {
		__be32		imm;
		u32		inv_key;	/* to be invalidated here or there */
	};
	u8			opcode;		/* enum ib_wr_opcode */
	u8			flags;		/* enum ib_send_flags */
	u8			status;		/* enum ib_wc_status it must end with */
	u8			num_sge;
	const u8		*inline_data;	/* NULL: sge[] */
	union {
		struct {
			u64	va;
			u32	rkey;
			u32	feth;	/* FLUSH: what and how far, */
			u32	bytes;	/* and of how much */
			u64	compare;
			u64	swap_add;
		} rdma;
		struct {
			u32	qpn;
			u32	qkey;
			u32	ah_num;		/* 0: av */
			struct mrdma_av av;
		} ud;
		struct {
			u32	key;
			int	access;
		} reg;
		struct mrdma_bind bind;
	};
	struct rxe_sge		sge[];		/* or bytes of a kernel user's inline data */
};

/*
 * Send queue. Indices run free; [tail, pulled) are requests in private memory,
 * of which [tail, numbered) have packet sequence numbers.
 */
struct mrdma_sq {
	struct mrdma_queue	q;		/* of a user: struct rxe_send_wqe */
	spinlock_t		lock;		/* protects: prod of a kernel user */
	u8			*wqe;		/* struct mrdma_swqe, wqe_size each */
	u32			wqe_size;
	u32			mask;
	u32			prod;		/* kernel users: posted */
	u32			pulled;
	u32			numbered;
	u32			cur;		/* next to send, or being sent */
	u32			tail;		/* oldest without completion */
	u32			max_sge;
	u32			max_inline;
};

struct mrdma_rwqe {
	u64			wr_id;
	u32			length;
	u32			num_sge;
	struct rxe_sge		sge[MRDMA_MAX_SGE];
};

struct mrdma_rq {
	struct mrdma_queue	q;		/* struct rxe_recv_wqe; none in a QP on an SRQ */
	spinlock_t		lock;		/* protects: prod; in an SRQ all of it */
	u32			prod;		/* kernel users */
	u32			cons;
	u32			max_sge;
};

struct mrdma_srq {
	struct ib_srq		ibsrq;
	struct mrdma_rq		rq;		/* rq.lock protects: limit, too */
	u32			limit;		/* 0: not armed */
	int			num;
	bool			user;
};

struct mrdma_req {
	u32			psn;		/* of the next packet */
	u32			next_psn;	/* of the next request to be numbered */
	u32			una;		/* oldest not acknowledged */
	u32			max_psn;	/* one after the highest ever sent */
	u32			off;		/* bytes of the current message already sent */
	u32			noack_bytes;	/* sent since the last AckReq */
	u32			rd_again;	/* PSN of the last READ request that begins inside one */
	u32			rd_pkts;	/* of the outstanding: response packets of those */
	u8			rd_out;		/* READs and atomics outstanding */
	u8			retry;		/* left */
	u8			rnr_retry;	/* left */
	bool			rnr_wait;
	bool			probing;	/* after an RNR NAK: one packet until progress */
	bool			went_back;	/* since the last progress */
	bool			overdue;	/* and again, for a gap: the deadline stays */
	bool			armed;		/* the retry timer runs */
	bool			gap;		/* one was seen before gap_until; the timer looks again */
	bool			timing;		/* sent_at is that of a packet not repeated */
	unsigned long		deadline;	/* jiffies */
	unsigned long		gap_until;	/* jiffies: what comes may be from before going back */
	unsigned long		sent_at;	/* jiffies */
	u32			srtt;		/* smoothed round trip, 1/8 jiffies */
	u32			window;		/* bytes that may be unacknowledged */
	u32			ring_end;	/* position in the ring behind what was sent last */
};

/* An answer that is due: to a READ, to an atomic operation, or like that to a READ of nothing */
struct mrdma_rjob {
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

/* What an atomic operation found, for a duplicate of its request */
struct mrdma_result {
	u32			psn;
	u64			orig;
};

/* Two rings of a connection's responder; only their size is that of one */
struct mrdma_rings {
	u32			mask;		/* elements of each - 1 */
	struct mrdma_result	*result;	/* behind job[] */
	struct mrdma_rjob	job[];
};

struct mrdma_resp {
	u32			psn;		/* expected */
	u32			ack_psn;	/* of the last packet taken that an ACK answers */
	u32			msn;
	u32			kind;		/* MOP_SEND, MOP_WRITE: message under way; 0 */
	bool			have_wqe;	/* wqe has been taken and waits for its completion */
	bool			ack_pending;
	bool			nak_pending;
	bool			nak_sent;	/* waiting for the expected packet: no other NAK */
	bool			fatal;		/* the pending NAK ends the connection, after what is due */
	u8			nak;		/* AETH syndrome */
	u32			nak_psn;
	u32			len;		/* bytes received of this message */
	u32			total;		/* of a WRITE */
	u32			rkey;
	u64			va;
	struct mrdma_rwqe	wqe;
	struct mrdma_rings	*rings;		/* NULL: not connected yet */
	u32			job_head;
	u32			job_tail;
	u32			results;	/* ever; wraps */
	u32			kept;		/* the last so many of them are in result[] */
};

struct mrdma_qp {
	struct ib_qp		ibqp;
	spinlock_t		lock;		/* protects: all below, lock table above */
	struct kref		ref;
	struct completion	idle;
	struct ib_qp_attr	attr;
	struct mrdma_av		av;		/* of a connection */
	const struct ib_gid_attr *sgid;		/* its source, referenced; NULL: not connected yet */
	enum ib_qp_state	state;
	enum ib_sig_type	sig_type;
	u32			mtu;		/* bytes */
	u16			ip_id;
	bool			user;
	bool			dead;		/* being destroyed: nothing is armed any more */
	bool			waiting;	/* in line: only what is urgent goes */
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

static inline struct mrdma_dev *to_mrdma_dev(struct ib_device *ibdev)
{
	return container_of(ibdev, struct mrdma_dev, ibdev);
}

static inline struct mrdma_ah *to_mrdma_ah(struct ib_ah *ibah)
{
	return container_of(ibah, struct mrdma_ah, ibah);
}

static inline struct mrdma_mr *to_mrdma_mr(struct ib_mr *ibmr)
{
	return container_of(ibmr, struct mrdma_mr, ibmr);
}

static inline struct mrdma_mw *to_mrdma_mw(struct ib_mw *ibmw)
{
	return container_of(ibmw, struct mrdma_mw, ibmw);
}

static inline bool mrdma_mem_window(const struct mrdma_mem *mem)
{
	return mem->type == MRDMA_MEM_MW1 || mem->type == MRDMA_MEM_MW2;
}

static inline struct mrdma_cq *to_mrdma_cq(struct ib_cq *ibcq)
{
	return container_of(ibcq, struct mrdma_cq, ibcq);
}

static inline struct mrdma_srq *to_mrdma_srq(struct ib_srq *ibsrq)
{
	return container_of(ibsrq, struct mrdma_srq, ibsrq);
}

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

static inline void mrdma_count(struct mrdma_dev *dev, enum mrdma_counter c, u32 n)
{
	this_cpu_add(dev->stats->count[c], n);
}

static inline struct mrdma_swqe *mrdma_swqe(struct mrdma_sq *sq, u32 idx)
{
	return (struct mrdma_swqe *)(sq->wqe + (size_t)(idx & sq->mask) * sq->wqe_size);
}

/* Done on this side alone, without a packet: changes what keys open */
static inline bool mrdma_wr_local(u32 opcode)
{
	return opcode == IB_WR_LOCAL_INV || opcode == IB_WR_REG_MR || opcode == IB_WR_BIND_MW;
}

/* The responder answers it by more than an acknowledgement (MOP_ANSWERED) */
static inline bool mrdma_wr_answered(u32 opcode)
{
	return opcode == IB_WR_RDMA_READ || opcode == IB_WR_ATOMIC_CMP_AND_SWP ||
	       opcode == IB_WR_ATOMIC_FETCH_AND_ADD || opcode == IB_WR_ATOMIC_WRITE ||
	       opcode == IB_WR_FLUSH;
}

#define MRDMA_READ_BYTES	(128u << 10)	/* one READ request asks for at most so much */

/* Where the READ request for the bytes from @off on ends */
static inline u32 mrdma_read_end(const struct mrdma_swqe *w, u32 off)
{
	return min(w->length, round_down(off, MRDMA_READ_BYTES) + MRDMA_READ_BYTES);
}

/* ---- sending: net.c, loop.c ---- */

enum mrdma_tx_result {
	MRDMA_TX_OK,
	MRDMA_TX_FULL,		/* the QP now waits for room */
	MRDMA_TX_LOST,		/* link down: as if it had been sent */
};

/* One session of sending under a QP lock; the ring's lock is taken at the first burst. */
struct mrdma_tx {
	struct mrdma_dev	*dev;
	bool			held;
	struct mrdma_loop_pkt	*pkt;	/* reserved in the loop */
	struct mrdma_qp		*qp;	/* that has reserved */
	const struct mrdma_tmpl	*t;	/* of what is reserved, the caller's */
	u32			ring_end;	/* position in the ring behind the last burst */
	const u8		*copy;	/* of a multicast datagram: it is for QPs of this device as well */
};

/* What the headers of a burst say */
struct mrdma_tmpl {
	const struct mrdma_av	*av;
	u32			dqpn;
	u32			psn;
	u16			nseg;
	u16			seg_len;
	u8			op_first;
	u8			op_mid;
	u8			op_last;
	u8			ext_first;	/* bytes of ext */
	u8			ext_last;	/* bytes of ext behind them */
	bool			ack_req;
	bool			solicited;
	bool			urgent;		/* passes bulk; short, and never many */
	u8			ext[MRDMA_MAX_EXT];
	u32			payload;	/* bytes */
};

/* Largest payload of one burst on this path, bytes */
u32 mrdma_tx_max(const struct mrdma_av *av);
void mrdma_tx_begin(struct mrdma_tx *tx, struct mrdma_dev *dev);
enum mrdma_tx_result mrdma_tx_burst(struct mrdma_tx *tx, struct mrdma_qp *qp,
				    const struct mrdma_tmpl *t, struct msr_desc *d, u8 **payload);
void mrdma_tx_commit(struct mrdma_tx *tx, const struct msr_desc *d);
enum mrdma_tx_result mrdma_tx_headers(struct mrdma_tx *tx, struct mrdma_qp *qp,
				      const struct mrdma_tmpl *t);
void mrdma_tx_end(struct mrdma_tx *tx);
/* Gives back what is left of @qp's turns, but not at the place in whose line it stands again. */
void mrdma_tx_end_turn(struct mrdma_qp *qp);
/* Is what @qp sent last as a requester still here, in the ring? */
bool mrdma_tx_holds(struct mrdma_qp *qp);

/* Is it the MAC address of a GID of this device, or the vNIC's own? Any context. */
static inline bool mrdma_own_mac(const struct mrdma_dev *dev, const u8 *addr)
{
	return msr_mac_listed(&dev->macs.table, addr);
}

int mrdma_av_init(struct mrdma_dev *dev, const struct rdma_ah_attr *attr, u32 lqpn, u32 rqpn,
		  bool sleepable, struct mrdma_av *av);

struct mrdma_loop_pkt {
	struct list_head	entry;
	struct msr_desc		d;
	u8			data[];
};

#define MRDMA_LOOP_BURST	(12u << 10)	/* payload bytes: four pages with its headers */

void mrdma_loop_init(struct mrdma_dev *dev);
void mrdma_loop_stop(struct mrdma_dev *dev);
/* NULL with *full: too much under way, @w stands in line; NULL: no memory */
struct mrdma_loop_pkt *mrdma_loop_reserve(struct mrdma_dev *dev, struct mrdma_waiter *w, u32 len,
					  bool urgent, bool *full);
/* @w: as for the reservation, or NULL for a packet without one */
void mrdma_loop_commit(struct mrdma_dev *dev, struct mrdma_waiter *w, struct mrdma_loop_pkt *pkt);
void mrdma_loop_copy(struct mrdma_dev *dev, const struct msr_desc *d, const u8 *data);
/* Gives back what is left of @w's turn. Not while @w stands in line. BH off. */
void mrdma_loop_end_turn(struct mrdma_dev *dev, struct mrdma_waiter *w);
void mrdma_loop_unwait(struct mrdma_dev *dev, struct mrdma_waiter *w);

/* ---- receiving: rx.c ---- */

/* A checked burst: headers are a private copy, payload is the sender's memory */
struct mrdma_burst {
	u8			hdr[MSR_MAX_BURST_HDR];
	u8			l3;		/* offsets in hdr */
	u8			bth;
	bool			ipv6;
	bool			mcast;		/* to a group */
	bool			marked;		/* congestion experienced */
	bool			ack_req;	/* in the last packet */
	bool			solicited;
	u8			op_first;
	u8			op_mid;
	u8			op_last;
	u8			ext_first;	/* bytes */
	u8			ext_last;
	u16			nseg;
	u16			seg_len;
	u32			psn;
	const u8		*payload;
	u32			len;		/* payload bytes */
};

/* One packet of a burst, or all those between the first and the last */
struct mrdma_piece {
	u8			op;
	bool			ack_req;
	bool			solicited;
	u16			npkts;
	u32			psn;
	const u8		*ext;
	const u8		*data;
	u32			len;
};

bool mrdma_burst_piece(const struct mrdma_burst *b, unsigned int i, struct mrdma_piece *p);
u32 mrdma_rx_burst(struct mrdma_dev *dev, const struct msr_desc *d, const u8 *data);
enum mrdma_counter mrdma_rx_to_qp(struct mrdma_dev *dev, struct mrdma_qp *qp,
				  const struct mrdma_burst *b);
void mrdma_rx_flush(struct mrdma_dev *dev);
int mrdma_rx_init(struct mrdma_dev *dev);
void mrdma_rx_uninit(struct mrdma_dev *dev);

/* As a GID: where a packet goes, by its IP header. */
void mrdma_hdr_dgid(const u8 *ip, bool ipv6, union ib_gid *gid);
/* The VLAN of a packet whose IP header is at @l3; 0xffff: none */
u16 mrdma_hdr_vlan(const u8 *hdr, u8 l3);

/* ---- the port, the device's limits: verbs.c ---- */

int mrdma_object_get(struct mrdma_dev *dev, enum mrdma_object what);
void mrdma_object_put(struct mrdma_dev *dev, enum mrdma_object what);
enum ib_mtu mrdma_active_mtu(struct mrdma_dev *dev);

/* ---- queue pairs: qp.c, modify.c; post.c, requester, completer, responder ---- */

int mrdma_create_qp(struct ib_qp *ibqp, struct ib_qp_init_attr *init, struct ib_udata *udata);
int mrdma_modify_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask, struct ib_udata *udata);
int mrdma_query_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		   struct ib_qp_init_attr *init);
int mrdma_destroy_qp(struct ib_qp *ibqp, struct ib_udata *udata);

struct mrdma_qp *mrdma_qp_get(struct mrdma_dev *dev, u32 qpn);
/* The one with the lowest number from *@qpn on, which is set to its number; NULL: none */
struct mrdma_qp *mrdma_qp_get_next(struct mrdma_dev *dev, unsigned long *qpn);
void mrdma_qp_put(struct mrdma_qp *qp);
void mrdma_qp_lock(struct mrdma_qp *qp);
void mrdma_qp_unlock(struct mrdma_qp *qp);
void mrdma_qp_event(struct mrdma_qp *qp, enum ib_event_type event);
void mrdma_qp_error(struct mrdma_qp *qp);
/* Returns the bytes of bulk that it sent. */
u32 mrdma_qp_run(struct mrdma_qp *qp);
void mrdma_qp_reset(struct mrdma_qp *qp);

int mrdma_post_send(struct ib_qp *ibqp, const struct ib_send_wr *wr,
		    const struct ib_send_wr **bad_wr);
bool mrdma_sq_pull(struct mrdma_qp *qp);
int mrdma_swqe_copy(struct mrdma_qp *qp, const struct mrdma_swqe *w, u32 off, u8 *to, u32 len);

u32 mrdma_raw_max(const struct mrdma_dev *dev);
enum ib_wc_status mrdma_raw_send(struct mrdma_qp *qp, const struct mrdma_swqe *w);

void mrdma_req_reset(struct mrdma_qp *qp);
bool mrdma_req_run(struct mrdma_qp *qp, struct mrdma_tx *tx, u32 *budget);
void mrdma_req_seek(struct mrdma_qp *qp);
void mrdma_req_retry(struct mrdma_qp *qp);
void mrdma_req_gap(struct mrdma_qp *qp);
void mrdma_req_progress(struct mrdma_qp *qp);
void mrdma_req_rnr(struct mrdma_qp *qp, u8 code);
void mrdma_req_arm(struct mrdma_qp *qp);
void mrdma_req_timeout(struct timer_list *t);
void mrdma_req_rnr_timeout(struct timer_list *t);

void mrdma_comp_rx(struct mrdma_qp *qp, const struct mrdma_burst *b);
void mrdma_comp_done(struct mrdma_qp *qp, enum ib_wc_status status);
void mrdma_comp_local(struct mrdma_qp *qp);
void mrdma_comp_fail(struct mrdma_qp *qp, enum ib_wc_status status);
void mrdma_sq_flush(struct mrdma_qp *qp);

int mrdma_post_recv(struct ib_qp *ibqp, const struct ib_recv_wr *wr,
		    const struct ib_recv_wr **bad_wr);
struct mrdma_rings *mrdma_rings_alloc(u32 max_dest_rd_atomic);
struct mrdma_rings *mrdma_resp_grow(struct mrdma_qp *qp, struct mrdma_rings *rings);
void mrdma_resp_reset(struct mrdma_qp *qp);
void mrdma_resp_rx(struct mrdma_qp *qp, const struct mrdma_burst *b);
bool mrdma_resp_run(struct mrdma_qp *qp, struct mrdma_tx *tx, u32 *budget);

/* take.c: why a packet was not taken */
enum mrdma_take {
	MRDMA_TAKE_OK,
	MRDMA_TAKE_NO_RECV,
	MRDMA_TAKE_REFUSED,	/* not allowed on this QP, or makes no sense */
	MRDMA_TAKE_TOO_LONG,
	MRDMA_TAKE_NO_ACCESS,	/* key, right or range */
	MRDMA_TAKE_INVALIDATE,	/* the key was not to be invalidated */
	MRDMA_TAKE_LOCAL,	/* the receive request's own memory */
};

bool mrdma_take_sequence(const struct mrdma_qp *qp, const struct mrdma_piece *p);
enum mrdma_take mrdma_take_data(struct mrdma_qp *qp, const struct mrdma_piece *p);
bool mrdma_take_fail(struct mrdma_qp *qp, enum ib_wc_status status);
void mrdma_uc_rx(struct mrdma_qp *qp, const struct mrdma_burst *b);
void mrdma_ud_rx(struct mrdma_qp *qp, const struct mrdma_burst *b);

/* ---- receive queues: rq.c, srq.c ---- */

int mrdma_rq_init(struct mrdma_rq *rq, struct ib_ucontext *uctx, u32 depth, u32 max_sge,
		  struct mminfo *mi);
size_t mrdma_rq_elem_size(u32 max_sge);
int mrdma_rq_post(struct mrdma_rq *rq, const struct ib_recv_wr *wr,
		  const struct ib_recv_wr **bad_wr);
bool mrdma_rq_take(struct mrdma_qp *qp, struct mrdma_rwqe *wqe, u32 need);
struct ib_pd *mrdma_rq_pd(struct mrdma_qp *qp);
void mrdma_rq_reset(struct mrdma_qp *qp);
void mrdma_rq_flush(struct mrdma_qp *qp);

int mrdma_create_srq(struct ib_srq *ibsrq, struct ib_srq_init_attr *init, struct ib_udata *udata);
int mrdma_modify_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr, enum ib_srq_attr_mask mask,
		     struct ib_udata *udata);
int mrdma_query_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr);
int mrdma_destroy_srq(struct ib_srq *ibsrq, struct ib_udata *udata);
int mrdma_post_srq_recv(struct ib_srq *ibsrq, const struct ib_recv_wr *wr,
			const struct ib_recv_wr **bad_wr);

/* ---- memory: mr.c, mw.c ---- */

enum mrdma_dir {
	MRDMA_FROM_MR,
	MRDMA_TO_MR,
};

struct ib_mr *mrdma_get_dma_mr(struct ib_pd *ibpd, int access);
struct ib_mr *mrdma_reg_user_mr(struct ib_pd *ibpd, u64 start, u64 length, u64 iova, int access,
				struct ib_udata *udata);
struct ib_mr *mrdma_rereg_user_mr(struct ib_mr *ibmr, int flags, u64 start, u64 length, u64 iova,
				  int access, struct ib_pd *ibpd, struct ib_udata *udata);
struct ib_mr *mrdma_alloc_mr(struct ib_pd *ibpd, enum ib_mr_type type, u32 max_num_sg);
int mrdma_map_mr_sg(struct ib_mr *ibmr, struct scatterlist *sg, int sg_nents,
		    unsigned int *sg_offset);
int mrdma_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata);
int mrdma_mr_fast_reg(struct mrdma_qp *qp, u32 key, int access);
int mrdma_mr_invalidate(struct mrdma_qp *qp, u32 key, bool remote);
/* For the peer. 0, or -EACCES: no such key, domain, right or range */
int mrdma_mr_check(struct mrdma_qp *qp, u32 key, u64 va, u32 len, int access);
int mrdma_mr_check_key(struct mrdma_qp *qp, u32 key, int access);
int mrdma_mr_copy(struct mrdma_qp *qp, u32 key, u64 va, void *buf, u32 len, int access,
		  enum mrdma_dir dir);

enum mrdma_atomic_kind {
	MRDMA_CMP_SWAP,
	MRDMA_FETCH_ADD,
	MRDMA_STORE,
};

struct mrdma_atomic {
	enum mrdma_atomic_kind	kind;
	u64			compare;
	u64			swap_add;
	u64			orig;		/* result */
};

/* Also -EINVAL: not aligned */
int mrdma_mr_atomic(struct mrdma_qp *qp, u32 key, u64 va, int access, struct mrdma_atomic *op);

/* For work requests */
int mrdma_sge_copy(struct ib_pd *pd, const struct rxe_sge *sge, u32 num_sge, u32 off,
		   void *buf, u32 len, enum mrdma_dir dir);

struct mrdma_mem *mrdma_mem_find(struct mrdma_dev *dev, u32 key);
int mrdma_mem_publish(struct mrdma_dev *dev, struct mrdma_mem *mem, bool window);
void mrdma_mem_unpublish(struct mrdma_dev *dev, struct mrdma_mem *mem);

int mrdma_alloc_mw(struct ib_mw *ibmw, struct ib_udata *udata);
int mrdma_dealloc_mw(struct ib_mw *ibmw);
int mrdma_mw_bind(struct mrdma_qp *qp, const struct mrdma_bind *b);
void mrdma_mw_unbind(struct mrdma_mem *mem);
void mrdma_mw_unbind_all(struct mrdma_qp *qp);

/* ---- completion queues: cq.c ---- */

int mrdma_cq_init(struct mrdma_cq *cq, const struct ib_cq_init_attr *attr,
		  struct ib_udata *udata);
int mrdma_destroy_cq(struct ib_cq *ibcq, struct ib_udata *udata);
int mrdma_resize_cq(struct ib_cq *ibcq, mrdma_cqe_t cqe, struct ib_udata *udata);
int mrdma_poll_cq(struct ib_cq *ibcq, int num, struct ib_wc *wc);
int mrdma_peek_cq(struct ib_cq *ibcq, int num);
int mrdma_modify_cq(struct ib_cq *ibcq, u16 count, u16 period);
/* Completions that wait to be polled; none in a user's CQ that is being destroyed. Under cq->lock. */
u32 mrdma_cq_unpolled(const struct mrdma_cq *cq);
void mrdma_cq_raise_error(struct mrdma_cq *cq);
int mrdma_req_notify_cq(struct ib_cq *ibcq, enum ib_cq_notify_flags flags);
void mrdma_cq_post(struct mrdma_cq *cq, const struct ib_wc *wc, bool solicited);

/* ---- GIDs and their MAC addresses: gid.c ---- */

int mrdma_add_gid(const struct ib_gid_attr *attr, void **context);
int mrdma_del_gid(const struct ib_gid_attr *attr, void **context);
void mrdma_macs_init(struct mrdma_dev *dev);
void mrdma_macs_uninit(struct mrdma_dev *dev);
void mrdma_macs_follow(struct mrdma_dev *dev);

/* ---- address handles: ah.c ---- */

int mrdma_create_ah(struct ib_ah *ibah, struct rdma_ah_init_attr *init, struct ib_udata *udata);
int mrdma_modify_ah(struct ib_ah *ibah, struct rdma_ah_attr *attr);
int mrdma_query_ah(struct ib_ah *ibah, struct rdma_ah_attr *attr);
int mrdma_destroy_ah(struct ib_ah *ibah, u32 flags);
bool mrdma_ah_get_av(struct mrdma_dev *dev, struct ib_pd *pd, u32 num, struct mrdma_av *av);

/* ---- multicast: mcast.c ---- */

void mrdma_mcast_init(struct mrdma_dev *dev);
void mrdma_mcast_uninit(struct mrdma_dev *dev);
int mrdma_attach_mcast(struct ib_qp *ibqp, union ib_gid *mgid, u16 lid);
int mrdma_detach_mcast(struct ib_qp *ibqp, union ib_gid *mgid, u16 lid);
bool mrdma_mcast_wanted(struct mrdma_dev *dev, const struct mrdma_av *av);
u32 mrdma_mcast_rx(struct mrdma_dev *dev, const struct mrdma_burst *b);

/* ---- counters: stats.c ---- */

struct rdma_hw_stats *mrdma_alloc_hw_port_stats(struct ib_device *ibdev, u32 port);
int mrdma_get_hw_stats(struct ib_device *ibdev, struct rdma_hw_stats *stats, u32 port, int index);

#endif /* MRDMA_H */

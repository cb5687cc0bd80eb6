/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The RDMA vNIC: its locks, limits and counters, and the device that its objects hang on. The
 * objects have headers of their own.
 *
 * Locks, outermost first. BH: taken with softirqs off; IRQ: with interrupts off.
 *
 *   lock               protects                                  context
 *   mrdma_mcast.lock   multicast groups and their members        process
 *   mrdma_macs.lock    GIDs of each MAC address, see gid.c       process, inside RTNL and ib_core's
 *                                                                GID table lock; the link's lock is
 *                                                                taken inside
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

#include <linux/hashtable.h>
#include <linux/idr.h>
#include <linux/interrupt.h>
#include <linux/local_lock.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <rdma/ib_verbs.h>
#include <rdma/rdma_user_rxe.h>
#include <msr/mac.h>
#include <msr/wire.h>

#include "../guest-kmod-common/debug.h"
#include "../guest-kmod-common/roce.h"
#include "av.h"
#include "opcode.h"
#include "kcompat.h"
#include "turns.h"

struct mrdma_chan;
struct mrdma_dev;
struct mrdma_front;
struct mrdma_qp;

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
#define MRDMA_MAX_MCAST_QP	240	/* attached to one group, as mlx5; copies in one go */
#define MRDMA_MAX_MCAST_TOTAL	65536		/* attachments */
#define MRDMA_MAX_MSG		(1u << 31)	/* bytes; what a RETH may ask for at most */

#define MRDMA_NO_VLAN		0xffff	/* no VLAN, as ib_core encodes it */

/* Bytes of the link MTU beside the payload: IPv6, UDP, BTH, RETH, ImmDt, ICRC */
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
	MRDMA_CNT_NOT_SENT,	/* longer than the link takes, no memory, or no link */
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

/* Receiver of the loop's packets. Returns the units of work that it cost, as mrdma_rx_burst(). */
typedef u32 (*mrdma_loop_rx)(struct mrdma_dev *dev, const struct msr_desc *d, const u8 *data);
/* End of a batch */
typedef void (*mrdma_loop_rx_end)(struct mrdma_dev *dev);

/* Packets to this very device, see loop.c */
struct mrdma_loop {
	mrdma_loop_rx		rx;		/* set at init, as the next */
	mrdma_loop_rx_end	rx_end;
	spinlock_t		lock;		/* protects: the fields below */
	struct list_head	pkts;
	struct mrdma_turns	turns;		/* of those who wait for room */
	u32			bytes;		/* queued */
	struct tasklet_struct	task;
};

/* MAC addresses that GIDs have, see gid.c */
struct mrdma_macs {
	struct mutex		lock;	/* protects: all below; table is read in any context */
	struct msr_macs		table;		/* as the link shows it to the back */
	u32			users[MSR_MAX_MACS];	/* GIDs of each slot */
};

/* QPs to run at the end of a batch, see rx.c */
struct mrdma_poll {
	local_lock_t		lock;	/* protects: qps, from softirqs of this CPU (PREEMPT_RT) */
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
	/* neighbours that have answered are asked again (xchg) */
	bool			follow_ask;
	/* WRITE_ONCE: the work takes no reference any more */
	bool			follow_stopped;
	struct work_struct	resume;		/* connections, after an outage */
	struct ib_client	client;		/* see verbs.c */
	int			port_state;	/* enum ib_port_state last announced */
};

struct mrdma_ucontext {
	struct ib_ucontext	ibuc;
};

struct mrdma_pd {
	struct ib_pd		ibpd;
};

static inline struct mrdma_dev *to_mrdma_dev(struct ib_device *ibdev)
{
	return container_of(ibdev, struct mrdma_dev, ibdev);
}

static inline void mrdma_count(struct mrdma_dev *dev, enum mrdma_counter c, u32 n)
{
	this_cpu_add(dev->stats->count[c], n);
}

/* Is it the MAC address of a GID of this device, or the vNIC's own? Any context. */
static inline bool mrdma_own_mac(const struct mrdma_dev *dev, const u8 *addr)
{
	return msr_mac_listed(&dev->macs.table, addr);
}

/* object.c; any context. 0, or -ENOMEM: there are as many as query_device() announces */
int mrdma_object_get(struct mrdma_dev *dev, enum mrdma_object what);
void mrdma_object_put(struct mrdma_dev *dev, enum mrdma_object what);

#endif /* MRDMA_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Work queues: send queues, receive queues, shared receive queues, and requests that are copied
 * out of them.
 */
#ifndef MRDMA_WQ_H
#define MRDMA_WQ_H

#include "addr.h"
#include "queue.h"

/* A request to bind a window */
struct mrdma_bind {
	u64			addr;
	u64			length;
	u32			lkey;		/* of the region */
	u32			rkey;		/* of the window, as it is */
	u32			new_rkey;	/* its low byte is what the window's will be */
	int			access;
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

static inline struct mrdma_srq *to_mrdma_srq(struct ib_srq *ibsrq)
{
	return container_of(ibsrq, struct mrdma_srq, ibsrq);
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

/* The responder answers it by more than an acknowledgement (MOP_WITH_RESPONSE) */
static inline bool mrdma_wr_has_response(u32 opcode)
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

/* sq.c; under the QP lock, but mrdma_sq_opcode_ok() and mrdma_swqe_put_operands() in any context */

bool mrdma_sq_opcode_ok(const struct mrdma_qp *qp, u32 opcode, u32 flags);
bool mrdma_sq_pull(struct mrdma_qp *qp);
void mrdma_swqe_put_operands(struct mrdma_swqe *w, u64 compare_add, u64 swap);
int mrdma_swqe_copy(struct mrdma_qp *qp, const struct mrdma_swqe *w, u32 off, u8 *to, u32 len);
void mrdma_sq_done(struct mrdma_qp *qp, enum ib_wc_status status);
void mrdma_sq_fail(struct mrdma_qp *qp, enum ib_wc_status status);
void mrdma_sq_done_local(struct mrdma_qp *qp);
void mrdma_sq_flush(struct mrdma_qp *qp);

/* rq.c */

/* Process context */
int mrdma_rq_init(struct mrdma_rq *rq, struct ib_ucontext *uctx, u32 depth, u32 max_sge,
		  struct mminfo *mi);
size_t mrdma_rq_elem_size(u32 max_sge);
/* Kernel users; any context */
int mrdma_rq_post(struct mrdma_rq *rq, const struct ib_recv_wr *wr,
		  const struct ib_recv_wr **bad_wr);
int mrdma_post_recv(struct ib_qp *ibqp, const struct ib_recv_wr *wr,
		    const struct ib_recv_wr **bad_wr);
/* Under the QP lock */
bool mrdma_rq_take(struct mrdma_qp *qp, struct mrdma_rwqe *wqe, u32 need);
struct ib_pd *mrdma_rq_pd(struct mrdma_qp *qp);
void mrdma_rq_reset(struct mrdma_qp *qp);
void mrdma_rq_flush(struct mrdma_qp *qp);

/* srq.c; verbs. Process context, but any for mrdma_post_srq_recv() */

int mrdma_create_srq(struct ib_srq *ibsrq, struct ib_srq_init_attr *init, struct ib_udata *udata);
int mrdma_modify_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr, enum ib_srq_attr_mask mask,
		     struct ib_udata *udata);
int mrdma_query_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr);
int mrdma_destroy_srq(struct ib_srq *ibsrq, struct ib_udata *udata);
int mrdma_post_srq_recv(struct ib_srq *ibsrq, const struct ib_recv_wr *wr,
			const struct ib_recv_wr **bad_wr);

#endif /* MRDMA_WQ_H */

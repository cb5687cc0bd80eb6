/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints, below events/multios_rdma/ of tracefs: a request as it is taken from its queue,
 * bursts of packets as they are sent and received, completions, and everything that makes packets
 * go out again.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM multios_rdma

#if !defined(MRDMA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MRDMA_TRACE_H

#include <linux/tracepoint.h>

#include "qp.h"

TRACE_EVENT(mrdma_post,
	TP_PROTO(const struct mrdma_qp *qp, const struct mrdma_swqe *w),
	TP_ARGS(qp, w),
	TP_STRUCT__entry(
		__field(u64, wr_id)
		__field(u32, qpn)
		__field(u32, length)
		__field(u8, opcode)
		__field(u8, flags)
		__field(u8, status)
	),
	TP_fast_assign(
		__entry->wr_id = w->wr_id;
		__entry->qpn = qp->ibqp.qp_num;
		__entry->length = w->length;
		__entry->opcode = w->opcode;
		__entry->flags = w->flags;
		__entry->status = w->status;
	),
	TP_printk("qpn=%#x wr_id=%#llx opcode=%u length=%u flags=%#x status=%u", __entry->qpn,
		  __entry->wr_id, __entry->opcode, __entry->length, __entry->flags, __entry->status)
);

DECLARE_EVENT_CLASS(mrdma_packets,
	TP_PROTO(u32 qpn, u8 opcode, u32 psn, u32 npkts, u32 bytes, bool ack_req),
	TP_ARGS(qpn, opcode, psn, npkts, bytes, ack_req),
	TP_STRUCT__entry(
		__field(u32, qpn)
		__field(u32, psn)
		__field(u32, npkts)
		__field(u32, bytes)
		__field(u8, opcode)
		__field(bool, ack_req)
	),
	TP_fast_assign(
		__entry->qpn = qpn;
		__entry->psn = psn;
		__entry->npkts = npkts;
		__entry->bytes = bytes;
		__entry->opcode = opcode;
		__entry->ack_req = ack_req;
	),
	TP_printk("dqpn=%#x opcode=%#x psn=%#x packets=%u payload=%u ack_req=%u", __entry->qpn,
		  __entry->opcode, __entry->psn, __entry->npkts, __entry->bytes, __entry->ack_req)
);

/* A burst: the opcode is its first packet's, AckReq its last one's. */
DEFINE_EVENT(mrdma_packets, mrdma_send,
	TP_PROTO(u32 qpn, u8 opcode, u32 psn, u32 npkts, u32 bytes, bool ack_req),
	TP_ARGS(qpn, opcode, psn, npkts, bytes, ack_req));
DEFINE_EVENT(mrdma_packets, mrdma_receive,
	TP_PROTO(u32 qpn, u8 opcode, u32 psn, u32 npkts, u32 bytes, bool ack_req),
	TP_ARGS(qpn, opcode, psn, npkts, bytes, ack_req));

TRACE_EVENT(mrdma_complete,
	TP_PROTO(const struct ib_wc *wc, bool solicited),
	TP_ARGS(wc, solicited),
	TP_STRUCT__entry(
		__field(u64, wr_id)
		__field(u32, qpn)
		__field(u32, byte_len)
		__field(u32, opcode)
		__field(u32, status)
		__field(bool, solicited)
	),
	TP_fast_assign(
		__entry->wr_id = wc->wr_id;
		__entry->qpn = wc->qp->qp_num;
		__entry->byte_len = wc->byte_len;
		__entry->opcode = wc->opcode;
		__entry->status = wc->status;
		__entry->solicited = solicited;
	),
	TP_printk("qpn=%#x wr_id=%#llx opcode=%u status=%u byte_len=%u solicited=%u", __entry->qpn,
		  __entry->wr_id, __entry->opcode, __entry->status, __entry->byte_len,
		  __entry->solicited)
);

/* The requester goes back to packet @una. */
TRACE_EVENT(mrdma_retry,
	TP_PROTO(const struct mrdma_qp *qp, bool rnr),
	TP_ARGS(qp, rnr),
	TP_STRUCT__entry(
		__field(u32, qpn)
		__field(u32, una)
		__field(u32, psn)
		__field(u32, window)
		__field(u8, left)
		__field(bool, rnr)
	),
	TP_fast_assign(
		__entry->qpn = qp->ibqp.qp_num;
		__entry->una = qp->req.una;
		__entry->psn = qp->req.psn;
		__entry->window = qp->req.window;
		__entry->left = rnr ? qp->req.rnr_retry : qp->req.retry;
		__entry->rnr = rnr;
	),
	TP_printk("qpn=%#x from=%#x to=%#x window=%u left=%u %s", __entry->qpn, __entry->psn,
		  __entry->una, __entry->window, __entry->left, __entry->rnr ? "rnr" : "loss")
);

#endif /* MRDMA_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>

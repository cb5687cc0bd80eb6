// SPDX-License-Identifier: GPL-2.0
/*
 * Responder of a reliable connection: requests in order, duplicates, negative
 * acknowledgements, and the answers. A burst is taken in pieces (first packet, those
  * between, last), each with one copy to its destination (place.c). Answers go out in the
 * order of the requests: responses to READs and atomic operations first, then the one
 * acknowledgement that covers all before it.
 */
#include <linux/overflow.h>
#include <linux/slab.h>

#include "follow.h"
#include "mem.h"
#include "responder.h"

/*
 * As many answers as the peer may wait for, and as many again: it may ask once more
 * before the first answers have reached it.
 */
struct mrdma_resp_resources *mrdma_resp_resources_alloc(u32 max_dest_rd_atomic)
{
	u32 n = roundup_pow_of_two(2 * max(max_dest_rd_atomic, 1u));
	struct mrdma_resp_resources *rings;

	rings = kvzalloc(struct_size(rings, job, n) + n * sizeof(*rings->result),
			MRDMA_GFP_USER);
	if (!rings)
		return NULL;
	rings->mask = n - 1;
	rings->result = (struct mrdma_result *)(rings->job + n);
	return rings;
}

static struct mrdma_resp_res *job_at(const struct mrdma_resp *resp, u32 i)
{
	return &resp->rings->job[i & resp->rings->mask];
}

static struct mrdma_result *result_at(const struct mrdma_resp *resp, u32 i)
{
	return &resp->rings->result[i & resp->rings->mask];
}

/* Larger rings take over what is in those before. Returns what the caller is to free. */
struct mrdma_resp_resources *mrdma_resp_grow(struct mrdma_qp *qp,
					     struct mrdma_resp_resources *rings)
{
	struct mrdma_resp *resp = &qp->resp;
	struct mrdma_resp_resources *old = resp->rings;
	u32 i;

	lockdep_assert_held(&qp->lock);
	if (old && old->mask >= rings->mask)
		return rings;
	if (old) {
		for (i = resp->job_tail; i != resp->job_head; i++)
			rings->job[i & rings->mask] = *job_at(resp, i);
		for (i = resp->results - resp->kept; i != resp->results; i++)
			rings->result[i & rings->mask] = *result_at(resp, i);
	}
	resp->rings = rings;
	return old;
}

void mrdma_resp_reset(struct mrdma_qp *qp)
{
	struct mrdma_resp *resp = &qp->resp;
	struct mrdma_resp_resources *rings = resp->rings;

	memset(resp, 0, sizeof(*resp));
	resp->rings = rings;
	mrdma_rq_reset(qp);
}

static void send_nak(struct mrdma_qp *qp, u8 syndrome, u32 psn)
{
	struct mrdma_resp *resp = &qp->resp;

	resp->nak = syndrome;
	resp->nak_psn = psn;
	resp->nak_pending = true;
	resp->nak_sent = true;
}

/* The message under way, if any, ends here, and the QP with it; the requester is told why. */
static void fail(struct mrdma_qp *qp, u8 syndrome, enum ib_wc_status status)
{
	send_nak(qp, syndrome, qp->resp.psn);
	/* what came before it is answered before it is refused */
	qp->resp.fatal = true;
	/* when no completion tells of it, an event does */
	if (!mrdma_place_fail(qp, status))
		mrdma_qp_event(qp, syndrome == MOS_NAK_REM_ACCESS ? IB_EVENT_QP_ACCESS_ERR :
								      IB_EVENT_QP_REQ_ERR);
	mrdma_qp_error(qp);
}

static bool out_of_order(struct mrdma_qp *qp)
{
	mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_OUT_OF_SEQ, 1);
	if (!qp->resp.nak_sent)
		send_nak(qp, MOS_NAK_PSN, qp->resp.psn);
	return false;
}

/* A packet that was not placed. */
static void resp_refuse(struct mrdma_qp *qp, enum mrdma_place why)
{
	static const struct {
		u8 nak;
		u8 status;	/* enum ib_wc_status of the receive request, if it has one */
	} answer[] = {
		[MRDMA_PLACE_REFUSED] = { MOS_NAK_INVALID_REQ, IB_WC_LOC_ACCESS_ERR },
		[MRDMA_PLACE_TOO_LONG] = { MOS_NAK_INVALID_REQ, IB_WC_LOC_LEN_ERR },
		[MRDMA_PLACE_NO_ACCESS] = { MOS_NAK_REM_ACCESS, IB_WC_LOC_ACCESS_ERR },
		[MRDMA_PLACE_INVALIDATE] = { MOS_NAK_REM_ACCESS, IB_WC_REM_INV_REQ_ERR },
		[MRDMA_PLACE_LOCAL] = { MOS_NAK_REM_OP, IB_WC_LOC_PROT_ERR },
	};

	if (why == MRDMA_PLACE_NO_RECV) {
		mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_SND_RNR, 1);
		send_nak(qp, MOS_AETH_RNR | qp->attr.min_rnr_timer, qp->resp.psn);
		return;
	}
	fail(qp, answer[why].nak, answer[why].status);
}

static u32 read_pkts(const struct mrdma_qp *qp, u32 len)
{
	return len ? DIV_ROUND_UP(len, qp->mtu) : 1;
}

static struct mrdma_resp_res job_for(const struct mrdma_qp *qp, const struct mrdma_seg *p,
				     bool again)
{
	return (struct mrdma_resp_res) {
		.psn = p->psn,
		/* that of the request itself, which counts when it has been taken */
		.msn = again ? qp->resp.msn : qp->resp.msn + 1,
		.again = again,
	};
}

/* No more answers can be noted: the request is passed over and will come again. */
static bool jobs_full(const struct mrdma_resp *resp)
{
	return resp->job_head - resp->job_tail > resp->rings->mask;
}

/*
 * Answers that hold responder resources (IBTA vol. 1, chapter 9). Not those that are
 * given again: the requester may have had the first answer by now and ask for more.
 */
static u32 jobs_held(const struct mrdma_resp *resp)
{
	u32 i, n = 0;

	for (i = resp->job_tail; i != resp->job_head; i++)
		n += !job_at(resp, i)->again;
	return n;
}

/* Sets *@npkts to what the request takes of the number space. */
static enum mrdma_place resp_read(struct mrdma_qp *qp, const struct mrdma_seg *p,
				struct mrdma_resp_res *job, u32 *npkts)
{
	if (!(qp->attr.qp_access_flags & IB_ACCESS_REMOTE_READ))
		return MRDMA_PLACE_REFUSED;
	mos_get_reth(p->ext, &job->va, &job->rkey, &job->length);
	if (job->length > MRDMA_MAX_MSG)
		return MRDMA_PLACE_TOO_LONG;
	if (job->length && mrdma_mem_check(qp, job->rkey, job->va, job->length,
					   IB_ACCESS_REMOTE_READ))
		return MRDMA_PLACE_NO_ACCESS;
	*npkts = read_pkts(qp, job->length);
	return MRDMA_PLACE_OK;
}

/* Executes it. The result is kept: should the answer be lost, it is given again, not made again. */
static enum mrdma_place resp_atomic(struct mrdma_qp *qp, const struct mrdma_seg *p,
				  struct mrdma_resp_res *job)
{
	struct mrdma_resp *resp = &qp->resp;
	struct mos_atomic_eth eth;
	struct mrdma_atomic op;
	int err;

	if (!(qp->attr.qp_access_flags & IB_ACCESS_REMOTE_ATOMIC))
		return MRDMA_PLACE_REFUSED;
	memcpy(&eth, p->ext, sizeof(eth));
	op = (struct mrdma_atomic) {
		.kind = p->op == IB_OPCODE_RC_COMPARE_SWAP ? MRDMA_CMP_SWAP : MRDMA_FETCH_ADD,
		.swap_add = be64_to_cpu(eth.swap_add),
		.compare = be64_to_cpu(eth.compare),
	};
	err = mrdma_mem_atomic(qp, be32_to_cpu(eth.rkey), be64_to_cpu(eth.va),
			       IB_ACCESS_REMOTE_ATOMIC, &op);
	if (err)
		return err == -EINVAL ? MRDMA_PLACE_REFUSED : MRDMA_PLACE_NO_ACCESS;
	job->atomic = true;
	job->orig = op.orig;
	*result_at(resp, resp->results++) = (struct mrdma_result) {
		.psn = p->psn,
		.orig = op.orig,
	};
	if (resp->kept <= resp->rings->mask)
		resp->kept++;
	return MRDMA_PLACE_OK;
}

static enum mrdma_place rx_atomic_write(struct mrdma_qp *qp, const struct mrdma_seg *p)
{
	struct mrdma_atomic op = { .kind = MRDMA_STORE };
	u32 rkey, len;
	u64 va;
	int err;

	if (!(qp->attr.qp_access_flags & IB_ACCESS_REMOTE_WRITE))
		return MRDMA_PLACE_REFUSED;
	mos_get_reth(p->ext, &va, &rkey, &len);
	if (len != MOS_ATOMIC_BYTES || p->len != len)
		return MRDMA_PLACE_REFUSED;
	/* eight bytes as they are: no number with an order of bytes */
	memcpy(&op.swap_add, p->data, sizeof(op.swap_add));
	err = mrdma_mem_atomic(qp, rkey, va, IB_ACCESS_REMOTE_WRITE, &op);
	if (err)
		return err == -EINVAL ? MRDMA_PLACE_REFUSED : MRDMA_PLACE_NO_ACCESS;
	return MRDMA_PLACE_OK;
}

/*
 * Nothing to do: earlier writes are visible to all CPUs, as they went through this one's caches.
 * There is no persistent memory here: the right to flush to it is never granted
 * (IB_DEVICE_FLUSH_PERSISTENT).
 */
static enum mrdma_place rx_flush(struct mrdma_qp *qp, const struct mrdma_seg *p)
{
	struct mos_feth feth;
	u32 bits, level, rkey, len;
	int access = 0, err;
	u64 va;

	memcpy(&feth, p->ext, sizeof(feth));
	mos_get_reth(p->ext + sizeof(feth), &va, &rkey, &len);
	bits = be32_to_cpu(feth.bits);
	if (bits & MOS_FETH_GLOBAL)
		access |= IB_ACCESS_FLUSH_GLOBAL;
	if (bits & MOS_FETH_PERSISTENT)
		access |= IB_ACCESS_FLUSH_PERSISTENT;
	level = bits >> MOS_FETH_LEVEL_SHIFT & MOS_FETH_LEVEL_MASK;
	if (!access || (qp->attr.qp_access_flags & access) != access || level > MOS_FETH_MR)
		return MRDMA_PLACE_REFUSED;
	err = level == MOS_FETH_MR ? mrdma_mem_check_key(qp, rkey, access) :
				       mrdma_mem_check(qp, rkey, va, len, access);
	if (err)
		return MRDMA_PLACE_NO_ACCESS;
	/* before the answer: orders the stores of earlier packets for whoever learns of it */
	smp_mb();
	return MRDMA_PLACE_OK;
}

/* An in-order request of MOP_WITH_RESPONSE. */
static bool rx_with_response(struct mrdma_qp *qp, const struct mrdma_seg *p, u32 *npkts)
{
	struct mrdma_resp *resp = &qp->resp;
	enum mrdma_place placed = MRDMA_PLACE_REFUSED;
	struct mrdma_resp_res *job;

	if (jobs_held(resp) >= qp->attr.max_dest_rd_atomic) {
		resp_refuse(qp, MRDMA_PLACE_REFUSED);
		return false;
	}
	if (jobs_full(resp))
		return false;
	job = job_at(resp, resp->job_head);
	*job = job_for(qp, p, false);
	switch (mos_op[p->op].flags & MOP_KIND) {
	case MOP_READ:
		placed = resp_read(qp, p, job, npkts);
		break;
	case MOP_ATOMIC:
		placed = resp_atomic(qp, p, job);
		break;
	/* the answer to these is that to a READ of nothing */
	case MOP_ATOMIC_WRITE:
		placed = rx_atomic_write(qp, p);
		break;
	case MOP_FLUSH:
		placed = rx_flush(qp, p);
		break;
	}
	if (placed != MRDMA_PLACE_OK) {
		resp_refuse(qp, placed);
		return false;
	}
	resp->job_head++;
	return true;
}

/* The answer to an atomic operation before the expected packet, if it is remembered */
static bool find_result(const struct mrdma_resp *resp, u32 psn, u64 *orig)
{
	u32 i;

	/* newest first: an old one may have the same number, from before it wrapped */
	for (i = 1; i <= resp->kept; i++) {
		const struct mrdma_result *r = result_at(resp, resp->results - i);

		if (r->psn == psn) {
			*orig = r->orig;
			return true;
		}
	}
	return false;
}

/*
 * Sets @job to the response that a duplicate request gets. Returns false if no such request was
 * received before.
 */
static bool redo(struct mrdma_qp *qp, const struct mrdma_seg *p, struct mrdma_resp_res *job)
{
	struct mrdma_resp *resp = &qp->resp;

	*job = job_for(qp, p, true);
	switch (mos_op[p->op].flags & MOP_KIND) {
	case MOP_READ:
		mos_get_reth(p->ext, &job->va, &job->rkey, &job->length);
		if (!(qp->attr.qp_access_flags & IB_ACCESS_REMOTE_READ) ||
		    !qp->attr.max_dest_rd_atomic)
			return false;
		if (job->length > MRDMA_MAX_MSG ||
		    read_pkts(qp, job->length) > mos_psn_diff(resp->psn, p->psn))
			return false;
		return !job->length || !mrdma_mem_check(qp, job->rkey, job->va, job->length,
							IB_ACCESS_REMOTE_READ);
	case MOP_ATOMIC:
		job->atomic = true;
		return find_result(resp, p->psn, &job->orig);
	}
	return true;
}

/*
 * A packet from before the expected one: answered again, never executed again. Answers are given
 * in the order of their numbers. Those to later requests stay due: the duplicate may be the
 * network's doing, and its requester not repeat anything.
 */
static void rx_duplicate(struct mrdma_qp *qp, const struct mrdma_seg *p)
{
	struct mrdma_resp *resp = &qp->resp;
	struct mrdma_resp_res job, *at;
	u32 i, k;

	mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_DUP_REQ, 1);
	/* the answer may have gone astray, and may again */
	mrdma_follow_broken(mrdma_qp_dev(qp));
	if (!(mos_op[p->op].flags & MOP_WITH_RESPONSE)) {
		resp->ack_pending = true;
		return;
	}
	if (!redo(qp, p, &job))
		return;

	/* the first of the answers that are not before this one */
	for (i = resp->job_head; i != resp->job_tail; i--)
		if (mos_psn_cmp(job_at(resp, i - 1)->psn, p->psn) < 0)
			break;
	if (i != resp->job_head && job_at(resp, i)->psn == p->psn) {
		at = job_at(resp, i);
		/* what has not begun is not late; what has begun may be lost, and begins again */
		if (at->off)
			*at = job;
		return;
	}
	if (i != resp->job_tail) {
		/* the requester has what an earlier READ has in front of this one */
		at = job_at(resp, i - 1);
		if (mos_psn_diff(p->psn, at->psn) < read_pkts(qp, at->length)) {
			*at = job;
			return;
		}
	}
	if (jobs_full(resp))
		return;
	for (k = resp->job_head++; k != i; k--)
		*job_at(resp, k) = *job_at(resp, k - 1);
	*job_at(resp, i) = job;
}

static bool in_order(struct mrdma_qp *qp, const struct mrdma_seg *p)
{
	struct mrdma_resp *resp = &qp->resp;
	u32 flags = mos_op[p->op].flags;
	u32 npkts = p->npkts;

	/* reserved opcodes are of no kind */
	if (!(flags & MOP_KIND) || !mrdma_place_sequence(qp, p)) {
		fail(qp, MOS_NAK_INVALID_REQ, IB_WC_LOC_QP_OP_ERR);
		return false;
	}
	if (flags & MOP_WITH_RESPONSE) {
		if (!rx_with_response(qp, p, &npkts))
			return false;
	} else {
		enum mrdma_place placed = mrdma_place_data(qp, p);

		if (placed != MRDMA_PLACE_OK) {
			resp_refuse(qp, placed);
			return false;
		}
	}

	resp->psn = mos_psn_add(resp->psn, npkts);
	resp->nak_sent = false;
	/* that it was not ready is not true any more; a gap behind this packet still is */
	if ((resp->nak & MOS_AETH_TYPE_MASK) == MOS_AETH_RNR)
		resp->nak_pending = false;
	if (flags & MOP_END)
		resp->msn = (resp->msn + 1) & MOS_PSN_MASK;
	if (!(flags & MOP_WITH_RESPONSE)) {
		resp->ack_psn = mos_psn_add(resp->psn, MOS_PSN_MASK);
		if (p->ack_req)
			resp->ack_pending = true;
	}
	return true;
}

void mrdma_resp_rx(struct mrdma_qp *qp, const struct mrdma_burst *b)
{
	struct mrdma_resp *resp = &qp->resp;
	struct mrdma_seg p;
	unsigned int i;
	u32 old;

	lockdep_assert_held(&qp->lock);
	for (i = 0; mrdma_burst_seg(b, i, &p); i++) {
		if (!p.npkts)
			continue;
		if (mos_psn_cmp(p.psn, resp->psn) > 0) {
			out_of_order(qp);
			return;
		}
		old = mos_psn_diff(resp->psn, p.psn);
		if (old >= p.npkts) {
			rx_duplicate(qp, &p);
			continue;
		}
		/* the first of the packets between may be old, the others new */
		p.psn = resp->psn;
		p.npkts -= old;
		p.data += old * b->seg_len;
		p.len -= old * b->seg_len;
		if (!in_order(qp, &p))
			return;
	}
}

static void put_aeth(struct mrdma_tmpl *t, u8 syndrome, u32 msn)
{
	struct mos_aeth aeth = {
		.smsn = cpu_to_be32((u32)syndrome << 24 | (msn & MOS_PSN_MASK)),
	};

	memcpy(t->ext + t->ext_first + t->ext_last, &aeth, sizeof(aeth));
}

/* Copies the payload of a READ response: READ @source, from the bytes already sent on */
static int fill_response(struct mrdma_qp *qp, const void *source, u8 *to, u32 bytes)
{
	const struct mrdma_resp_res *job = source;

	return mrdma_mem_copy(qp, job->rkey, job->va + job->off, to, bytes, IB_ACCESS_REMOTE_READ,
			      MRDMA_FROM_MR);
}

/* One burst of READ responses. */
static enum mrdma_tx_result answer_read(struct mrdma_qp *qp, struct mrdma_tx *tx,
					struct mrdma_resp_res *job, u32 *budget)
{
	const struct mrdma_op_set *ops = &mrdma_op_set[MRDMA_OPS_READ_RESP];
	u8 syndrome = MOS_AETH_ACK | MOS_AETH_UNLIMITED;
	u32 bytes = min(job->length - job->off, mrdma_tx_max(&qp->av));
	u32 pkts = read_pkts(qp, bytes);
	bool start = !job->off, end = job->off + bytes == job->length;
	struct mrdma_tmpl t = {
		.av = &qp->av,
		.dqpn = qp->attr.dest_qp_num,
		.psn = mos_psn_add(job->psn, job->off / qp->mtu),
		.nseg = pkts,
		.seg_len = qp->mtu,
		.payload = bytes,
	};
	enum mrdma_tx_result result;

	mrdma_tmpl_ops(&t, ops, start, end);
	if (mos_op[t.op_first].flags & MOP_AETH) {
		put_aeth(&t, syndrome, job->msn);
		t.ext_first = sizeof(struct mos_aeth);
	}
	if (pkts > 1 && mos_op[t.op_last].flags & MOP_AETH) {
		put_aeth(&t, syndrome, job->msn);
		t.ext_last = sizeof(struct mos_aeth);
	}

	result = mrdma_tx_send(tx, qp, &t, fill_response, job);
	if (result == MRDMA_TX_FULL)
		return result;
	if (result == MRDMA_TX_UNREADABLE) {
		/* replay: the requester got the data, and has since taken the key back. Drop it. */
		if (job->again) {
			qp->resp.job_tail++;
			return result;
		}
		/* the region is gone since: NAK the PSN of this burst */
		qp->resp.job_head = qp->resp.job_tail;
		fail(qp, MOS_NAK_REM_ACCESS, IB_WC_LOC_ACCESS_ERR);
		qp->resp.nak_psn = t.psn;
		return result;
	}
	job->off += bytes;
	mrdma_tx_charge(budget, bytes);
	if (end)
		qp->resp.job_tail++;
	return MRDMA_TX_OK;
}

static enum mrdma_tx_result answer_atomic(struct mrdma_qp *qp, struct mrdma_tx *tx,
					  const struct mrdma_resp_res *job)
{
	struct mos_atomic_ack ack = { .orig = cpu_to_be64(job->orig) };
	struct mrdma_tmpl t = {
		.av = &qp->av,
		.dqpn = qp->attr.dest_qp_num,
		.psn = job->psn,
		.nseg = 1,
		.op_first = IB_OPCODE_RC_ATOMIC_ACKNOWLEDGE,
		.op_last = IB_OPCODE_RC_ATOMIC_ACKNOWLEDGE,
	};
	enum mrdma_tx_result result;

	put_aeth(&t, MOS_AETH_ACK | MOS_AETH_UNLIMITED, job->msn);
	memcpy(t.ext + sizeof(struct mos_aeth), &ack, sizeof(ack));
	t.ext_first = sizeof(struct mos_aeth) + sizeof(ack);
	result = mrdma_tx_headers(tx, qp, &t);
	if (result != MRDMA_TX_FULL)
		qp->resp.job_tail++;
	return result;
}

static enum mrdma_tx_result acknowledge(struct mrdma_qp *qp, struct mrdma_tx *tx, u8 syndrome,
					u32 psn)
{
	struct mrdma_tmpl t = {
		.av = &qp->av,
		.dqpn = qp->attr.dest_qp_num,
		.psn = psn,
		.nseg = 1,
		.op_first = IB_OPCODE_RC_ACKNOWLEDGE,
		.op_last = IB_OPCODE_RC_ACKNOWLEDGE,
		.urgent = true,
	};

	put_aeth(&t, syndrome, qp->resp.msn);
	t.ext_first = sizeof(struct mos_aeth);
	return mrdma_tx_headers(tx, qp, &t);
}

/*
 * Sends responses and acknowledgements that are due. Returns true if the budget ended before they
 * did.
 */
bool mrdma_resp_run(struct mrdma_qp *qp, struct mrdma_tx *tx, u32 *budget)
{
	struct mrdma_resp *resp = &qp->resp;
	enum mrdma_tx_result result;
	struct mrdma_resp_res *job;

	lockdep_assert_held(&qp->lock);
	while (resp->job_head != resp->job_tail && (qp->state != IB_QPS_ERR || resp->fatal)) {
		job = job_at(resp, resp->job_tail);
		if (!*budget)
			return true;
		result = job->atomic ? answer_atomic(qp, tx, job) :
				       answer_read(qp, tx, job, budget);
		if (result == MRDMA_TX_FULL)
			return false;
		/* it acknowledges what is before it, which must not be said again behind it */
		if (mos_psn_cmp(job->psn, resp->ack_psn) > 0)
			resp->ack_pending = false;
	}
	if (resp->ack_pending && !resp->nak_pending && qp->state != IB_QPS_ERR) {
		/*
		 * Never with the PSN of a READ or atomic: its response may be lost, and there are
		 * requesters (rdma_rxe) that take an ACK of its last PSN for its end.
		 */
		if (acknowledge(qp, tx, MOS_AETH_ACK | MOS_AETH_UNLIMITED, resp->ack_psn) ==
		    MRDMA_TX_FULL)
			return false;
		resp->ack_pending = false;
	}
	if (resp->nak_pending) {
		if (acknowledge(qp, tx, resp->nak, resp->nak_psn) == MRDMA_TX_FULL)
			return false;
		resp->nak_pending = false;
		/* it acknowledges all before it as well */
		resp->ack_pending = false;
	}
	return false;
}

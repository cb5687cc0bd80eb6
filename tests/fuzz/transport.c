// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The front module's transport against a hostile peer, wire, application and scheduler: the input
 * says which packets arrive, with what in them, what an application writes into its mapped queues,
 * how fast the ring empties, which timer runs when, and what becomes of the queue pair. Whatever
 * that is: sequence and message numbers only go up, requests complete one by one and in order, no
 * byte outside a region is touched (each is an allocation of its own), and all is given back in the
 * end.
 */
#include "../kernel/nic.h"
#include "input.h"

#define DEPTH	8
#define LEN	3000

static struct nic *nic, *peer;
static struct nic_mem *rw, *ro;
static struct nic_qp *q;

struct seen {
	u32 rpsn, msn, una;
	u32 nwc[2];
	u64 next[2];		/* the wr_id that a completion must have at least */
	u64 posted[2];
	bool spoilt[2];		/* the application lied to itself: its numbers mean nothing */
};

static u64 some_va(struct input *in, const struct nic_mem *m)
{
	switch (take8(in) % 8) {
	case 0:
		return take32(in);
	case 1:
		return m->va + m->len - take8(in) % 16;
	default:
		return m->va + take8(in) * 8;
	}
}

static u32 some_key(struct input *in)
{
	u8 k = take8(in);

	return k < 200 ? rw->key : k < 230 ? ro->key : k < 245 ? rw->key ^ k : take32(in);
}

static u32 some_len(struct input *in)
{
	u8 k = take8(in);

	return k < 128 ? k * 8 : k < 250 ? (u32)(k - 128) * 16 : take32(in);
}

/*
 * A packet or burst whose headers are right as a rule; d has passed msr_check_desc(), as in the
 * ring.
 */
static void packet(struct input *in)
{
	u8 head[MSR_MAX_BURST_HDR] = { 0 }, *data;
	const struct mrdma_av *av = &q->qp.av;
	u8 how = take8(in), opcode = take8(in), ext[2] = { 0 };
	u32 at, len, psn, seg = 256, nseg = how & 1 ? 1 + take8(in) % 12 : 1, i;
	struct msr_desc d = { .type = MSR_DESC_BURST };
	struct mos_bth bth;

	/* from the peer's address to ours: the vector turned round */
	memcpy(head, av->hdr, av->len);
	if (av->len) {
		memcpy(head, av->hdr + ETH_ALEN, ETH_ALEN);
		memcpy(head + ETH_ALEN, av->hdr, ETH_ALEN);
		memcpy(head + av->l3 + 12, av->hdr + av->l3 + 16, 4);
		memcpy(head + av->l3 + 16, av->hdr + av->l3 + 12, 4);
	} else {
		take(in, head, 42);
		memcpy(head, nic->netdev.dev_addr, ETH_ALEN);
	}
	at = av->len ? av->len : 42;
	if (how & 2 && take8(in) < 20)
		head[take8(in) % at] = take8(in);
	if (how & 4)
		psn = take32(in) & MOS_PSN_MASK;
	else
		psn = mos_psn_add(mos_op[opcode].flags & MOP_RESP ? q->qp.req.una
								      : q->qp.resp.psn,
				    take8(in) % 16 - 6);
	bth = (struct mos_bth){
		.opcode = opcode,
		.flags = MOS_BTH_M | (how & 8 ? MOS_BTH_SE : 0),
		.pkey = htons(how & 2 && take8(in) < 10 ? 1 : MOS_PKEY),
		.qpn = htonl(q->qp.ibqp.qp_num),
		.apsn = htonl((how & 16 ? MOS_BTH_ACKREQ : 0) | psn),
	};
	if (nseg == 1) {
		ext[0] = how & 32 && take8(in) < 20 ? take8(in) % 40 : mos_op[opcode].ext;
		len = some_len(in) % 5000;
		if (!(mos_op[opcode].flags & MOP_PAYLOAD) && take8(in) < 230)
			len = 0;
		bth.flags |= (-len & 3) << MOS_BTH_PAD_SHIFT;
		seg = len;
		d.burst.op_last = d.burst.op_mid = opcode;
	} else {
		d.burst.op_mid = take8(in) < 230 ? opcode | 1 : take8(in);
		d.burst.op_last = take8(in);
		ext[0] = mos_op[opcode].ext;
		ext[1] = mos_op[d.burst.op_last].ext;
		seg = take8(in) < 230 ? 256 : 1 + take8(in) * 4;
		len = (nseg - 1) * seg + 1 + take8(in) % seg;
	}
	d.hdr_len = at + sizeof(bth) + ext[0] + ext[1];
	if (d.hdr_len > sizeof(head))
		return;
	memcpy(head + at, &bth, sizeof(bth));
	/* extension headers: a RETH or AtomicETH that may be good, else noise */
	at += sizeof(bth);
	take(in, head + at, ext[0] + ext[1]);
	if (ext[0] >= 16 && !(how & 64)) {
		struct mos_reth reth = {
			.va = cpu_to_be64(some_va(in, rw)), .rkey = cpu_to_be32(some_key(in)),
			.len = cpu_to_be32(take8(in) < 200 ? len : some_len(in)),
		};

		memcpy(head + at, &reth, sizeof(reth));
	}
	if (mos_op[opcode].flags & MOP_AETH && !(how & 64))
		head[at] = take8(in) < 128 ? 0x1f : head[at];
	d.len = d.hdr_len + len;
	d.burst.nseg = nseg;
	d.burst.seg_len = seg;
	d.burst.ext_first = ext[0];
	d.burst.ext_last = ext[1];
	d.flags = (how & 16 ? MSR_BURST_ACK_REQ : 0) | (how & 8 ? MSR_BURST_SOLICITED : 0);
	if (nseg > 1 && !seg)
		return;
	data = malloc(d.len);
	MUST(data);
	memcpy(data, head, d.hdr_len);
	for (i = d.hdr_len; i < d.len; i++)
		data[i] = i;
	nic_deliver(nic, &(struct nic_pkt){ .d = d, .data = data });
	free(data);
}

static void post_send(struct input *in, struct seen *s)
{
	static const u8 usual[] = {
		IB_WR_SEND,
		IB_WR_RDMA_WRITE,
		IB_WR_RDMA_READ,
		IB_WR_SEND_WITH_IMM,
		IB_WR_RDMA_WRITE_WITH_IMM,
		IB_WR_ATOMIC_FETCH_AND_ADD,
		IB_WR_ATOMIC_CMP_AND_SWP,
		IB_WR_SEND_WITH_INV,
	};
	struct rxe_send_wqe *w = nic_sq_next(q);
	u8 k = take8(in);

	if (!w)
		return;
	if (k > 240) {
		take(in, w, sizeof(*w));
	} else {
		memset(w, 0, sizeof(*w));
		w->wr.opcode = usual[k % sizeof(usual)];
		w->wr.send_flags = take8(in) & 15;
		w->wr.wr.rdma.remote_addr = take32(in);
		w->dma.length = some_len(in);
		w->dma.num_sge = 1;
		if (w->wr.send_flags & IB_SEND_INLINE)
			w->dma.length &= 63;
		else
			w->dma.sge[0] = (struct rxe_sge){ .addr = some_va(in, rw),
							  .length = w->dma.length,
							  .lkey = some_key(in) };
	}
	w->wr.wr_id = s->posted[0]++;
	nic_sq_post(q);
}

static void post_recv(struct input *in, struct seen *s)
{
	struct rxe_recv_wqe *w = nic_rq_next(q);

	if (!w)
		return;
	memset(w, 0, sizeof(*w));
	w->dma.num_sge = take8(in) < 250 ? take8(in) % 3 : take32(in);
	w->dma.sge[0] = (struct rxe_sge){ .addr = some_va(in, rw),
					  .length = some_len(in),
					  .lkey = some_key(in) };
	w->dma.sge[1] = (struct rxe_sge){ .addr = some_va(in, rw),
					  .length = some_len(in),
					  .lkey = some_key(in) };
	w->wr_id = s->posted[1]++;
	nic_rq_post(q);
}

static void check(struct seen *s, bool fresh)
{
	const struct mrdma_qp *qp = &q->qp;
	u32 i, k;

	for (k = 0; k < 2; k++) {
		MUST(q->nwc[k] - s->nwc[k] <= NIC_MAX_WC);
		for (i = s->nwc[k]; i < q->nwc[k]; i++) {
			const struct ib_wc *wc = &q->wc[k][i % NIC_MAX_WC];

			/* each at most once, in order; a successful send may stay unsaid */
			MUST(s->spoilt[k] || (wc->wr_id >= s->next[k] && wc->wr_id < s->posted[k]));
			MUST(wc->status <= IB_WC_RNR_RETRY_EXC_ERR);
			s->next[k] = wc->wr_id + 1;
		}
		s->nwc[k] = q->nwc[k];
	}
	/* an unreliable connection goes on with whatever number comes */
	if (!fresh && qp->ibqp.qp_type == IB_QPT_RC) {
		MUST(mos_psn_cmp(qp->resp.psn, s->rpsn) >= 0);
		MUST(mos_psn_cmp(qp->resp.msn, s->msn) >= 0);
		if (qp->state == IB_QPS_RTS)
			MUST(mos_psn_cmp(qp->req.una, s->una) >= 0);
	}
	s->rpsn = qp->resp.psn;
	s->msn = qp->resp.msn;
	s->una = qp->req.una;
	MUST(qp->sq.pulled - qp->sq.tail <= qp->sq.mask);
	if (qp->state == IB_QPS_RTS && qp->ibqp.qp_type == IB_QPT_RC)
		MUST(qp->sq.numbered - qp->sq.tail <= qp->sq.pulled - qp->sq.tail);
	MUST(qp->resp.job_head - qp->resp.job_tail <= MRDMA_MAX_RD_ATOMIC);
}

static void drop_out(u32 n)
{
	struct nic_pkt *pkt;

	for (; n && (pkt = nic_take(nic)); n--) {
		touch(pkt->data, pkt->d.len);
		MUST(pkt->d.hdr_len <= pkt->d.len && pkt->d.burst.nseg);
		nic_free(pkt);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const u8 types[] = { IB_QPT_RC, IB_QPT_RC, IB_QPT_UC, IB_QPT_UD };
	struct input in = { bytes, size };
	struct seen s = { 0 };
	enum ib_qp_type type;
	u32 work = 0;

	jiffies = 1000;
	nic = nic_create(1, NIC_SMALL_RING);
	peer = nic_create(2, NIC_SMALL_RING);
	rw = nic_reg(nic, LEN,
		     IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_READ |
			     IB_ACCESS_REMOTE_ATOMIC);
	ro = nic_reg(nic, LEN / 3, IB_ACCESS_REMOTE_READ);
	type = types[take8(&in) % sizeof(types)];
	q = nic_qp_create(nic, type, DEPTH, 4);
	if (!q)
		goto out;
	MUST(!nic_qp_init(q));
	if (nic_qp_connect(q, peer, 0x123456, IB_MTU_256, take32(&in), take32(&in)))
		goto out;
	check(&s, true);

	while (in.left && work++ < 400) {
		bool fresh = false;
		u8 what = take8(&in);

		switch (what % 16) {
		default:
			packet(&in);
			if (what & 16)
				nic_end(nic);
			break;
		case 6:
		case 7:
			post_send(&in, &s);
			break;
		case 8:
			post_recv(&in, &s);
			break;
		case 9:
			nic_end(nic);
			nic_work(nic);
			break;
		case 10:
			jiffies = nic_next_timer(nic);
			nic_timers(nic);
			break;
		case 11:
			jiffies += take8(&in);
			nic_timers(nic);
			break;
		case 12:
			nic->outage = what >> 4 & 1;
			nic_link(nic, !nic->front.link.up);
			break;
		case 13:
			drop_out(take8(&in));
			break;
		case 14:
			if (what >> 4 == 15) {
				struct ib_qp_attr attr = { .qp_state = take8(&in) % 7 };

				fresh = attr.qp_state == IB_QPS_RESET;
				(void)mrdma_modify_qp(&q->qp.ibqp, &attr, IB_QP_STATE, NULL);
				if (fresh) {
					MUST(!nic_qp_init(q));
					(void)nic_qp_connect(q, peer, 0x123456, IB_MTU_256,
							     take32(&in), take32(&in));
					/*
					 * what was queued is discarded, and the indices go on from
					 * there
					 */
					s.next[0] = s.posted[0];
					s.next[1] = s.posted[1];
				}
			}
			break;
		case 15:
			/*
			 * an application that spoils its own indices, or those of its running
			 * requests
			 */
			s.spoilt[what >> 4 == 14] = true;
			if (what >> 4 == 15)
				q->qp.sq.q.buf->consumer_index = take32(&in);
			else if (what >> 4 == 14)
				q->qp.rq.q.buf->consumer_index = take32(&in);
			else
				take(&in, q->qp.sq.q.buf->data + take8(&in), 8);
			break;
		}
		check(&s, fresh);
	}
	nic_end(nic);
	nic_work(nic);
	drop_out(~0u);
out:
	nic_destroy(nic);
	nic_destroy(peer);
	return 0;
}

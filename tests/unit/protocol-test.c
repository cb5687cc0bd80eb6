// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Single rules of the transport, on the front module's own files: what two healthy ends over a
 * random wire (transport-test) do not show by their bytes and completions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../kernel/nic.h"

#define AREA	(4u << 20)
#define REMOTE	(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_READ | \
		 IB_ACCESS_REMOTE_ATOMIC)

/* Two devices and a reliable connection between them */
static struct pair {
	struct nic *nic[2];
	struct nic_qp *q[2];
	struct nic_mem *mem[2];
} p;

static int connect_pair(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 2; i++) {
		p.nic[i] = nic_create(i + 1, NIC_RING);
		p.mem[i] = nic_reg(p.nic[i], AREA, REMOTE);
		p.q[i] = nic_qp_create(p.nic[i], IB_QPT_RC, 127, 2);
		assert_non_null(p.q[i]);
		assert_int_equal(nic_qp_init(p.q[i]), 0);
	}
	for (i = 0; i < 2; i++)
		assert_int_equal(nic_qp_connect(p.q[i], p.nic[!i], p.q[!i]->qp.ibqp.qp_num,
						IB_MTU_1024, 1000 * !i, 1000 * i),
				 0);
	return 0;
}

static int destroy_pair(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 2; i++)
		nic_destroy(p.nic[i]);
	return 0;
}

static struct rxe_send_wqe *wqe(struct nic_qp *q, u8 opcode, u32 len)
{
	struct pair *pair = &p;
	u32 i = q == pair->q[1];
	struct rxe_send_wqe *w = nic_sq_wqe(q, opcode, pair->mem[i], pair->mem[!i], len);

	assert_non_null(w);
	return w;
}

static void post(struct nic_qp *q, u8 opcode, u32 len)
{
	wqe(q, opcode, len);
	nic_sq_post(q);
}

static void post_atomic(struct nic_qp *q)
{
	struct rxe_send_wqe *w = wqe(q, IB_WR_ATOMIC_FETCH_AND_ADD, 8);

	w->wr.wr.atomic.remote_addr = p.mem[q == p.q[0]]->va;
	w->wr.wr.atomic.rkey = p.mem[q == p.q[0]]->key;
	w->wr.wr.atomic.compare_add = 1;
	nic_sq_post(q);
}

static void set_attr(struct nic_qp *q, int mask, struct ib_qp_attr attr)
{
	assert_int_equal(mrdma_modify_qp(&q->qp.ibqp, &attr, mask, NULL), 0);
}

/* Delivers the packets that @from has sent; returns their bytes on the wire. */
static u64 carry(u32 from)
{
	struct nic_pkt *pkt;
	u64 bytes = 0;

	nic_work(p.nic[from]);
	while ((pkt = nic_take(p.nic[from]))) {
		bytes += pkt->d.len;
		nic_deliver(p.nic[!from], pkt);
		nic_free(pkt);
	}
	nic_end(p.nic[!from]);
	return bytes;
}

static struct mos_bth bth_of(const struct nic_pkt *pkt)
{
	struct mos_bth bth;

	memcpy(&bth, pkt->data + ETH_HLEN + 20 + 8, sizeof(bth));
	return bth;
}

/*
 * Is there room in the ring for more than acknowledgements and requests for READs? If not, all of
 * it is promised to others in line.
 */
static void let_send(struct nic *nic, bool room)
{
	struct mrdma_chan *ch = &nic->front.chan;

	if (!room) {
		ch->turns.promised += ch->limit;
		return;
	}
	ch->turns.promised -= ch->limit;
	mrdma_chan_bell(ch);
}

/*
 * The network doubles the first of two requests while their answers wait for room: both are
 * answered, without the retry timer.
 */
static void doubled(u8 opcode)
{
	struct nic_pkt *first, *second;
	u32 i;

	for (i = 0; i < 2; i++)
		if (opcode == IB_WR_RDMA_READ)
			post(p.q[0], opcode, 65536);
		else
			post_atomic(p.q[0]);
	nic_work(p.nic[0]);
	first = nic_take(p.nic[0]);
	second = nic_take(p.nic[0]);
	assert_true(first && second);
	let_send(p.nic[1], false);
	nic_deliver(p.nic[1], first);
	nic_deliver(p.nic[1], second);
	nic_end(p.nic[1]);
	nic_deliver(p.nic[1], first);
	nic_end(p.nic[1]);
	nic_free(first);
	nic_free(second);
	let_send(p.nic[1], true);
	for (i = 0; i < 10; i++) {
		carry(1);
		carry(0);
	}
	assert_int_equal(p.q[0]->nwc[0], 2);
	assert_int_equal(p.q[0]->wc[0][0].status, IB_WC_SUCCESS);
	assert_int_equal(p.q[0]->wc[0][1].status, IB_WC_SUCCESS);
}

static void doubled_read(void **state)
{
	(void)state;
	doubled(IB_WR_RDMA_READ);
}

static void doubled_atomic(void **state)
{
	u64 sum;

	(void)state;
	doubled(IB_WR_ATOMIC_FETCH_AND_ADD);
	memcpy(&sum, p.mem[1]->bytes, sizeof(sum));
	assert_int_equal(sum, 2);
}

/* Duplicates of what has been answered already, while a later answer is due: given before it. */
static void doubled_old_read(void **state)
{
	struct nic_pkt *pkt[3], *out;
	u32 i, psn[3];

	(void)state;
	for (i = 0; i < 3; i++)
		post(p.q[0], IB_WR_RDMA_READ, 1024);
	nic_work(p.nic[0]);
	for (i = 0; i < 3; i++) {
		pkt[i] = nic_take(p.nic[0]);
		psn[i] = ntohl(bth_of(pkt[i]).apsn) & MOS_PSN_MASK;
	}
	for (i = 0; i < 2; i++)
		nic_deliver(p.nic[1], pkt[i]);
	nic_end(p.nic[1]);
	for (i = 0; i < 2; i++)
		nic_free(nic_take(p.nic[1]));
	let_send(p.nic[1], false);
	/* the last one is new; then the first two again, as after going back */
	for (i = 0; i < 3; i++)
		nic_deliver(p.nic[1], pkt[(i + 2) % 3]);
	nic_end(p.nic[1]);
	let_send(p.nic[1], true);
	nic_work(p.nic[1]);
	for (i = 0; i < 3; i++) {
		out = nic_take(p.nic[1]);
		assert_non_null(out);
		/* in the order of their numbers */
		assert_int_equal(ntohl(bth_of(out).apsn) & MOS_PSN_MASK, psn[i]);
		nic_deliver(p.nic[0], out);
		nic_free(out);
	}
	assert_null(nic_take(p.nic[1]));
	nic_end(p.nic[0]);
	assert_int_equal(p.q[0]->nwc[0], 3);
	for (i = 0; i < 3; i++)
		nic_free(pkt[i]);
}

/* However many atomic operations there have been: the last ones' results are remembered. */
static void results_saturate(void **state)
{
	struct nic_pkt *pkt, *copy;
	u64 sum;

	(void)state;
	p.q[1]->qp.resp.results = U32_MAX;
	post_atomic(p.q[0]);
	nic_work(p.nic[0]);
	pkt = nic_take(p.nic[0]);
	copy = nic_copy(pkt);
	nic_deliver(p.nic[1], pkt);
	nic_end(p.nic[1]);
	nic_free(pkt);
	/* its answer is lost */
	nic_free(nic_take(p.nic[1]));
	nic_deliver(p.nic[1], copy);
	nic_end(p.nic[1]);
	nic_free(copy);
	carry(1);
	assert_int_equal(p.q[0]->nwc[0], 1);
	memcpy(&sum, p.mem[1]->bytes, sizeof(sum));
	assert_int_equal(sum, 1);
	memcpy(&sum, p.mem[0]->bytes, sizeof(sum));
	assert_int_equal(sum, 0);
}

/* Nothing is posted at the receiver: what goes out in vain is one packet for each RNR NAK. */
static void rnr_probes(void **state)
{
	u32 i, naks = 0, posted = 0;
	u64 bytes = 0, before;

	(void)state;
	while (nic_sq_next(p.q[0]) && posted < 100) {
		post(p.q[0], IB_WR_SEND, 65536);
		posted++;
	}
	carry(0);
	carry(1);
	naks = p.nic[1]->dev.stats->count[MRDMA_CNT_SND_RNR];
	assert_int_equal(naks, 1);
	for (i = 0; i < 1000; i++) {
		jiffies++;
		nic_timers(p.nic[0]);
		bytes += carry(0);
		carry(1);
	}
	naks = p.nic[1]->dev.stats->count[MRDMA_CNT_SND_RNR] - naks;
	assert_true(naks > 100);
	assert_true(bytes <= naks * (1024 + 128ull));
	assert_int_equal(p.q[0]->nwc[0], 0);

	/*
	 * one receive request: its message goes through; what is refused behind it is bounded, too
	 */
	for (i = 0; i < 20; i++) {
		struct rxe_recv_wqe *r = nic_rq_next(p.q[1]);

		r->dma.num_sge = 1;
		r->dma.sge[0] = (struct rxe_sge){ .addr = p.mem[1]->va,
						  .length = 65536,
						  .lkey = p.mem[1]->key };
		nic_rq_post(p.q[1]);
		before = bytes;
		while (p.q[0]->nwc[0] <= i) {
			jiffies++;
			nic_timers(p.nic[0]);
			bytes += carry(0);
			carry(1);
		}
		assert_int_equal(p.q[1]->nwc[1], i + 1);
		assert_true(bytes - before < 3 * 65536);
	}
}

/* SE belongs to what takes a receive request (IBTA volume 1, section 9.2). */
static void solicits(void **state)
{
	static const struct { u8 opcode; bool se;
	} rule[] = {
		{ IB_WR_SEND, true },
		{ IB_WR_SEND_WITH_IMM, true },
		{ IB_WR_RDMA_WRITE_WITH_IMM, true },
		{ IB_WR_RDMA_WRITE, false },
	};
	struct nic_pkt *pkt;
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rule); i++) {
		wqe(p.q[0], rule[i].opcode, 64)->wr.send_flags |= IB_SEND_SOLICITED;
		nic_sq_post(p.q[0]);
		pkt = nic_take(p.nic[0]);
		assert_non_null(pkt);
		assert_int_equal(!!(bth_of(pkt).flags & MOS_BTH_SE), rule[i].se);
		nic_free(pkt);
	}
}

/*
 * Posted while READs were allowed, and not any more when their turn comes: an error, and no
 * silence.
 */
static void read_limit_taken(void **state)
{
	u32 i;

	(void)state;
	/* one more than may be outstanding */
	for (i = 0; i < 5; i++)
		post(p.q[0], IB_WR_RDMA_READ, 64);
	set_attr(p.q[0], IB_QP_STATE, (struct ib_qp_attr){ .qp_state = IB_QPS_SQD });
	set_attr(p.q[0], IB_QP_MAX_QP_RD_ATOMIC, (struct ib_qp_attr){ .max_rd_atomic = 0 });
	carry(0);
	carry(1);
	assert_int_equal(p.q[0]->nwc[0], 5);
	assert_int_equal(p.q[0]->wc[0][4].status, IB_WC_LOC_QP_OP_ERR);
	assert_int_equal(p.q[0]->qp.state, IB_QPS_ERR);
}

/* Requests that had begun before end, even if they must be sent again. */
static void read_limit_taken_late(void **state)
{
	u32 i;

	(void)state;
	post(p.q[0], IB_WR_RDMA_READ, 300000);
	nic_work(p.nic[0]);
	set_attr(p.q[0], IB_QP_STATE, (struct ib_qp_attr){ .qp_state = IB_QPS_SQD });
	set_attr(p.q[0], IB_QP_MAX_QP_RD_ATOMIC, (struct ib_qp_attr){ .max_rd_atomic = 0 });
	/* the requests are lost */
	while (nic_queued(p.nic[0]))
		nic_free(nic_take(p.nic[0]));
	for (i = 0; i < 1000 && !p.q[0]->nwc[0]; i++) {
		jiffies++;
		nic_timers(p.nic[0]);
		carry(0);
		carry(1);
	}
	assert_int_equal(p.q[0]->nwc[0], 1);
	assert_int_equal(p.q[0]->wc[0][0].status, IB_WC_SUCCESS);
}

/* A kernel user is told at once of what its queue pair cannot do, and at which request. */
static void post_refuses(void **state)
{
	struct ib_send_wr send = { .opcode = IB_WR_SEND }, *bad;
	struct ib_rdma_wr wr = { .wr = { .opcode = IB_WR_RDMA_READ,
					 .send_flags = IB_SEND_INLINE } };
	struct nic_qp *uc = nic_qp_create(p.nic[0], IB_QPT_UC, 16, 2);

	(void)state;
	assert_non_null(uc);
	assert_int_equal(nic_qp_init(uc), 0);
	assert_int_equal(nic_qp_connect(uc, p.nic[1], 99, IB_MTU_1024, 0, 0), 0);
	/* as a kernel user's: no mapped queues */
	uc->qp.user = p.q[0]->qp.user = false;
	send.next = &wr.wr;
	bad = NULL;
	assert_int_equal(mrdma_post_send(&p.q[0]->qp.ibqp, &send, (const struct ib_send_wr **)&bad),
			 -EINVAL);
	assert_ptr_equal(bad, &wr.wr);
	wr.wr.send_flags = 0;
	assert_int_equal(mrdma_post_send(&p.q[0]->qp.ibqp, &send, (const struct ib_send_wr **)&bad),
			 0);
	assert_int_equal(mrdma_post_send(&uc->qp.ibqp, &send, (const struct ib_send_wr **)&bad),
			 -EINVAL);
	assert_ptr_equal(bad, &wr.wr);
	wr.wr.opcode = IB_WR_RDMA_WRITE;
	assert_int_equal(mrdma_post_send(&uc->qp.ibqp, &send, (const struct ib_send_wr **)&bad), 0);
	wr.wr.opcode = IB_WR_SEND_WITH_INV;
	assert_int_equal(mrdma_post_send(&uc->qp.ibqp, &wr.wr, (const struct ib_send_wr **)&bad),
			 -EINVAL);
	uc->qp.user = p.q[0]->qp.user = true;
	uc->qp.state = p.q[0]->qp.state = IB_QPS_RESET;
}

/* ---- datagrams ---- */

#define IP_AT	ETH_HLEN
#define UDP_AT	(IP_AT + 20)
#define BTH_AT	(UDP_AT + 8)
#define DETH_AT	(BTH_AT + 12)

static struct nic_qp *datagram_qp(u32 i)
{
	struct nic_qp *q = nic_qp_create(p.nic[i], IB_QPT_UD, 16, 2);

	assert_non_null(q);
	assert_int_equal(nic_qp_init(q), 0);
	assert_int_equal(nic_qp_connect(q, p.nic[!i], 0, IB_MTU_1024, 0, 0), 0);
	return q;
}

/* As it goes out from device 0 to queue pair @to of device 1 */
static struct nic_pkt *datagram(struct nic_qp *from, const struct nic_qp *to)
{
	struct rxe_send_wqe *w = wqe(from, IB_WR_SEND, 64);
	struct nic_pkt *pkt;

	w->wr.wr.ud.remote_qpn = to->qp.ibqp.qp_num;
	w->wr.wr.ud.remote_qkey = 0x1234;
	w->wr.wr.ud.ah_num = 2;
	nic_sq_post(from);
	pkt = nic_take(p.nic[0]);
	assert_non_null(pkt);
	return pkt;
}

static u64 counter(u32 i, enum mrdma_counter c)
{
	return p.nic[i]->dev.stats->count[c];
}

/* Each packet is counted once, under the reason for which it got no further. */
static void counted_by_reason(void **state)
{
	static const struct {
		u32 at;		/* byte that differs */
		u8 xor;
		enum mrdma_counter counter;
	} flaw[] = {
		{ 5, 0x10, MRDMA_CNT_BAD_ADDRESS },
		{ IP_AT, 0x10, MRDMA_CNT_MALFORMED },
		{ IP_AT + 6, 0x20, MRDMA_CNT_MALFORMED },
		{ UDP_AT + 3, 1, MRDMA_CNT_MALFORMED },
		{ BTH_AT, 0x80, MRDMA_CNT_MALFORMED },
		{ BTH_AT + 1, 1, MRDMA_CNT_MALFORMED },
		{ BTH_AT + 3, 1, MRDMA_CNT_BAD_PKEY },
		{ BTH_AT + 5, 0x40, MRDMA_CNT_NO_QP },
		{ DETH_AT + 3, 1, MRDMA_CNT_BAD_QKEY },
		{ IP_AT + 19, 0x70, MRDMA_CNT_BAD_ADDRESS },
		{ 0, 0, MRDMA_CNT_NO_BUFFER },
		{ BTH_AT, 0x64 ^ MOS_OP_CNP, MRDMA_CNT_CNP },
		{ IP_AT + 1, MOS_ECN_CE, MRDMA_CNT_ECN },
	};
	struct nic_qp *from = datagram_qp(0), *to = datagram_qp(1);
	struct nic_pkt *pkt = datagram(from, to);
	u64 before[MRDMA_NR_COUNTERS];
	u32 i, k;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(flaw); i++) {
		bool qp_looks = flaw[i].counter >= MRDMA_CNT_BAD_QKEY || flaw[i].at == IP_AT + 19;

		memcpy(before, p.nic[1]->dev.stats->count, sizeof(before));
		pkt->data[flaw[i].at] ^= flaw[i].xor;
		nic_deliver(p.nic[1], pkt);
		nic_end(p.nic[1]);
		pkt->data[flaw[i].at] ^= flaw[i].xor;
		for (k = 0; k < MRDMA_NR_COUNTERS; k++) {
			bool more = k == flaw[i].counter ||
				    (k == MRDMA_CNT_RCVD_PKTS && qp_looks) ||
				    (k == MRDMA_CNT_NO_BUFFER && flaw[i].counter == MRDMA_CNT_ECN);

			assert_int_equal(counter(1, k) - before[k], more);
		}
	}
	to->qp.state = IB_QPS_ERR;
	nic_deliver(p.nic[1], pkt);
	assert_int_equal(counter(1, MRDMA_CNT_QP_STATE), 1);
	to->qp.state = IB_QPS_RTS;
	nic_free(pkt);
}

/*
 * No packet promises that this side heeds congestion marks; a hop limit of 0 does not leave the
 * subnet.
 */
static void path_headers(void **state)
{
	struct rdma_ah_attr attr = {
		.grh = { .sgid_attr = &p.nic[0]->gid,
			 .dgid = p.nic[1]->gid.gid,
			 .hop_limit = 0,
			 .traffic_class = 0xbf },
		.roce = { .dmac = { 2, 0, 0, 0, 0, 2 } },
	};
	struct mrdma_av av;

	(void)state;
	assert_int_equal(mrdma_av_init(&p.nic[0]->dev, &attr, 1, 1, true, &av), 0);
	assert_int_equal(av.hdr[IP_AT + 1], 0xbc);
	assert_int_equal(av.hdr[IP_AT + 8], 1);
	attr.grh.hop_limit = 17;
	assert_int_equal(mrdma_av_init(&p.nic[0]->dev, &attr, 1, 1, true, &av), 0);
	assert_int_equal(av.hdr[IP_AT + 8], 17);
}

static u32 source_port(struct nic_qp *from, const struct nic_qp *to)
{
	struct nic_pkt *pkt = datagram(from, to);
	u32 port = pkt->data[UDP_AT] << 8 | pkt->data[UDP_AT + 1];

	nic_free(pkt);
	return port;
}

/* Datagrams of one pair of QPs take one path, those of others may take another. */
static void ports_of_pairs(void **state)
{
	struct nic_qp *from[2] = { datagram_qp(0), datagram_qp(0) },
		      *to[2] = { datagram_qp(1), datagram_qp(1) };
	u32 port = source_port(from[0], to[0]);

	(void)state;
	assert_true(port >= 0xc000);
	assert_int_equal(source_port(from[0], to[0]), port);
	assert_int_not_equal(source_port(from[1], to[0]), port);
	assert_int_not_equal(source_port(from[0], to[1]), port);
}

/* A datagram for a group is as much work as the group has members. */
static void group_is_work(void **state)
{
	struct nic_qp *from = datagram_qp(0), *to = datagram_qp(1);
	struct nic_pkt *pkt = datagram(from, to);

	(void)state;
	datagram_qp(1);
	datagram_qp(1);
	assert_int_equal(mrdma_rx(&p.nic[1]->dev, &pkt->d, pkt->data), 1);
	memcpy(pkt->data, (u8[]){ 0x01, 0, 0x5e, 1, 2, 3 }, ETH_ALEN);
	memcpy(pkt->data + IP_AT + 16, (u8[]){ 239, 1, 2, 3 }, 4);
	memset(pkt->data + BTH_AT + 5, 0xff, 3);
	assert_int_equal(mrdma_rx(&p.nic[1]->dev, &pkt->d, pkt->data), 3);
	/* nobody's is looked at all the same */
	pkt->data[BTH_AT + 7] = 0;
	assert_int_equal(mrdma_rx(&p.nic[1]->dev, &pkt->d, pkt->data), 1);
	assert_int_equal(counter(1, MRDMA_CNT_NO_BUFFER), 4);
	assert_int_equal(counter(1, MRDMA_CNT_NO_QP), 1);
	nic_end(p.nic[1]);
	nic_free(pkt);
}

/*
 * In an outage a datagram completes, is lost, and is counted. The request of a reliable connection
 * waits for the link.
 */
static void outage_by_service(void **state)
{
	struct nic_qp *ud = datagram_qp(0);
	struct rxe_send_wqe *w = wqe(ud, IB_WR_SEND, 64);

	(void)state;
	p.nic[0]->outage = true;
	nic_link(p.nic[0], false);
	w->wr.wr.ud.remote_qkey = 0x1234;
	w->wr.wr.ud.ah_num = 2;
	nic_sq_post(ud);
	assert_int_equal(ud->nwc[0], 1);
	assert_int_equal(ud->wc[0][0].status, IB_WC_SUCCESS);
	assert_int_equal(counter(0, MRDMA_CNT_NOT_SENT), 1);
	post(p.q[0], IB_WR_RDMA_WRITE, 1000);
	nic_work(p.nic[0]);
	assert_int_equal(p.q[0]->qp.req.max_psn, p.q[0]->qp.req.una);
	assert_int_equal(counter(0, MRDMA_CNT_NOT_SENT), 1);
	nic_link(p.nic[0], true);
	carry(0);
	carry(1);
	nic_work(p.nic[0]);
	assert_int_equal(p.q[0]->nwc[0], 1);
	assert_int_equal(p.q[0]->wc[0][0].status, IB_WC_SUCCESS);
}

/* A response that an outage held up is sent when the link is back, before the peer repeats. */
static void answer_after_outage(void **state)
{
	(void)state;
	post(p.q[0], IB_WR_RDMA_READ, 1000);
	p.nic[1]->outage = true;
	nic_link(p.nic[1], false);
	carry(0);
	nic_work(p.nic[1]);
	nic_link(p.nic[1], true);
	carry(1);
	nic_work(p.nic[0]);
	assert_int_equal(p.q[0]->nwc[0], 1);
	assert_int_equal(p.q[0]->wc[0][0].status, IB_WC_SUCCESS);
	assert_int_equal(counter(0, MRDMA_CNT_RETRY), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, connect_pair, destroy_pair)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(doubled_read),	CASE(doubled_atomic),
		CASE(doubled_old_read), CASE(results_saturate),
		CASE(rnr_probes),	CASE(solicits),
		CASE(read_limit_taken), CASE(read_limit_taken_late),
		CASE(post_refuses),	CASE(counted_by_reason),
		CASE(path_headers),	CASE(ports_of_pairs),
		CASE(group_is_work),	CASE(outage_by_service),
		CASE(answer_after_outage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

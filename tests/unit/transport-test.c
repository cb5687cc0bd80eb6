// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two of the front module's transports, back to back over a wire that loses, doubles and reorders
 * packets by a seed: the very files of the module, deterministic to the last timer. A plan of
 * random requests both ways tells beforehand what every byte of both memories must be in the end,
 * and every completion.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../kernel/nic.h"

#define DEPTH		32
#define AREA		(4u << 20)
#define MAX_LEN		20000
#define OPS		150
/* READs of several requests each, fewer of them */
#define LONG_AREA	(8u << 20)
#define LONG_LEN	500000
#define LONG_OPS	40

struct wire {
	u32 loss, twice, late;	/* per mille */
	u32 again;		/* per mille: a second one, behind all that is under way */
	enum ib_mtu mtu;	/* 0: 256 */
	bool long_reads;
	bool drain;		/* the application goes to SQD and back all the time */
	bool bursts;	/* as they were sent; else cut into packets, and those joined again */
	bool tight;		/* a ring with room for few bursts */
};

static u64 rng;

static u32 rnd(void)
{
	u64 z = (rng += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (z ^ (z >> 31)) >> 16;
}

static u32 below(u32 n)
{
	return rnd() % n;
}

struct op {
	u8 opcode;
	u32 len, from, to;	/* offsets: source, destination */
	u64 orig;		/* an atomic's */
};

struct side {
	struct nic *nic;
	struct nic_qp *q;
	struct nic_mem *tx, *rx;	/* what its requests read, what anything writes */
	u8 *want;			/* rx in the end */
	u32 used;			/* of rx */
	struct op op[OPS];
	u32 nops, posted, done, recvs, posted_recvs;
	u32 recv_at[OPS], recv_len[OPS];	/* of the peer's SENDs, in their order */
	bool recv_imm[OPS];
	u32 counter;			/* offset in rx of what the peer's atomics add to */
	u64 sum;
	bool draining;
};

static u32 area(const struct wire *how)
{
	return how->long_reads ? LONG_AREA : AREA;
}

static u32 max_len(const struct wire *how)
{
	return how->long_reads ? LONG_LEN : MAX_LEN;
}

static u32 ops(const struct wire *how)
{
	return how->long_reads ? LONG_OPS : OPS;
}

static u32 room(struct side *s, u32 len)
{
	u32 at = s->used;

	/* a gap between any two, which must stay as it is */
	s->used += ALIGN(len + 9, 8);
	assert_true(s->used <= s->rx->len);
	return at;
}

static u32 some_len(const struct wire *how, u8 opcode)
{
	if (how->long_reads && opcode == IB_WR_RDMA_READ)
		switch (below(4)) {
		case 0:
			return MRDMA_READ_BYTES * (1 + below(3));
		case 1:
			return MRDMA_READ_BYTES + below(300) - 150;
		case 2:
			return below(LONG_LEN);
		}
	switch (below(6)) {
	case 0:
		return below(3);
	case 1:
		return 256 * (1 + below(8));
	case 2:
		return below(MAX_LEN);
	default:
		return below(900);
	}
}

static void plan(const struct wire *how, struct side *s, struct side *peer)
{
	static const u8 kind[] = {
		IB_WR_SEND,	  IB_WR_SEND_WITH_IMM,
		IB_WR_RDMA_WRITE, IB_WR_RDMA_WRITE_WITH_IMM,
		IB_WR_RDMA_READ,  IB_WR_ATOMIC_FETCH_AND_ADD,
	};
	u32 i;

	for (i = 0; i < ops(how); i++) {
		struct op *op = &s->op[i];

		op->opcode = kind[below(6)];
		op->len = some_len(how, op->opcode);
		op->from = below(area(how) - max_len(how));
		switch (op->opcode) {
		case IB_WR_RDMA_READ:
			op->to = room(s, op->len);
			memcpy(s->want + op->to, peer->tx->bytes + op->from, op->len);
			break;
		case IB_WR_ATOMIC_FETCH_AND_ADD:
			op->len = 8;
			op->to = room(s, 8);
			op->orig = peer->sum;
			memcpy(s->want + op->to, &op->orig, 8);
			peer->sum += i + 1;
			break;
		default:
			op->to = room(peer, op->len);
			memcpy(peer->want + op->to, s->tx->bytes + op->from, op->len);
			if (op->opcode != IB_WR_RDMA_WRITE) {
				peer->recv_at[peer->recvs] = op->opcode == IB_WR_RDMA_WRITE_WITH_IMM
								     ? room(peer, 8)
								     : op->to;
				peer->recv_imm[peer->recvs] = op->opcode != IB_WR_SEND;
				peer->recv_len[peer->recvs++] = op->len;
			}
		}
	}
	s->nops = ops(how);
}

static void post_some(struct side *s, struct side *peer)
{
	struct rxe_send_wqe *w;
	struct rxe_recv_wqe *r;
	u32 n;

	for (n = below(6); n && s->posted_recvs < s->recvs && (r = nic_rq_next(s->q)); n--) {
		r->wr_id = s->posted_recvs;
		r->dma.num_sge = 1;
		r->dma.sge[0] = (struct rxe_sge){
			.addr = s->rx->va + s->recv_at[s->posted_recvs],
			.lkey = s->rx->key,
			.length = s->recv_imm[s->posted_recvs]
					  ? max(s->recv_len[s->posted_recvs], 8u)
					  : s->recv_len[s->posted_recvs],
		};
		s->posted_recvs++;
		nic_rq_post(s->q);
	}
	for (n = below(6); n && s->posted < s->nops && (w = nic_sq_next(s->q)); n--) {
		const struct op *op = &s->op[s->posted];
		bool in = op->opcode == IB_WR_RDMA_READ || op->opcode == IB_WR_ATOMIC_FETCH_AND_ADD;
		u32 split = op->len ? below(op->len + 1) : 0;

		w->wr.wr_id = s->posted;
		w->wr.opcode = op->opcode;
		w->wr.send_flags = IB_SEND_SIGNALED | (below(8) ? 0 : IB_SEND_FENCE);
		w->wr.ex.imm_data = htonl(s->posted);
		if (op->opcode == IB_WR_ATOMIC_FETCH_AND_ADD) {
			w->wr.wr.atomic.remote_addr = peer->rx->va + peer->counter;
			w->wr.wr.atomic.rkey = peer->rx->key;
			w->wr.wr.atomic.compare_add = s->posted + 1;
			split = 8;
		} else {
			w->wr.wr.rdma.remote_addr = op->opcode == IB_WR_RDMA_READ
							    ? peer->tx->va + op->from
							    : peer->rx->va + op->to;
			w->wr.wr.rdma.rkey = op->opcode == IB_WR_RDMA_READ ? peer->tx->key
									   : peer->rx->key;
		}
		w->dma.length = op->len;
		w->dma.num_sge = split < op->len ? 2 : 1;
		w->dma.sge[0] = (struct rxe_sge){
			.addr = in ? s->rx->va + op->to : s->tx->va + op->from,
			.length = split,
			.lkey = in ? s->rx->key : s->tx->key,
		};
		if (split < op->len) {
			w->dma.sge[1] = w->dma.sge[0];
			w->dma.sge[1].addr += split;
			w->dma.sge[1].length = op->len - split;
		}
		s->posted++;
		nic_sq_post(s->q);
	}
}

/* Requests that have begun go on in SQD, and all of them in RTS again. */
static void drain(struct side *s)
{
	struct ib_qp_attr attr = { .qp_state = s->draining ? IB_QPS_RTS : IB_QPS_SQD };

	assert_int_equal(mrdma_modify_qp(&s->q->qp.ibqp, &attr, IB_QP_STATE, NULL), 0);
	s->draining = !s->draining;
}

/* One burst of @from's goes over the wire. */
static void carry(struct nic *from, struct list_head *wire, const struct wire *how)
{
	struct nic_pkt *b = nic_take(from), *p;
	u32 i, n = how->bursts ? 1 : b->d.burst.nseg;

	for (i = 0; i < n; i++) {
		if (below(1000) < how->loss)
			continue;
		p = how->bursts ? nic_copy(b) : nic_packet(b, i);
		list_add_tail(&p->entry, wire);
		if (below(1000) < how->twice) {
			p = nic_copy(p);
			list_add_tail(&p->entry, wire);
		}
	}
	nic_free(b);
}

static void arrive(struct nic *to, struct list_head *wire, const struct wire *how)
{
	u32 n = 1 + below(8);
	struct nic_pkt *p, *q;

	for (; n && (p = list_first_entry_or_null(wire, struct nic_pkt, entry)); n--) {
		list_del(&p->entry);
		if (below(1000) < how->late && !list_empty(wire)) {
			list_add_tail(&p->entry, wire);
			continue;
		}
		if (below(1000) < how->again) {
			q = nic_copy(p);
			list_add_tail(&q->entry, wire);
		}
		/* what follows each other may come as one burst */
		while (!how->bursts &&
		       (q = list_first_entry_or_null(wire, struct nic_pkt, entry)) && below(8)) {
			struct nic_pkt *both = nic_join(p, q);

			if (!both)
				break;
			list_del(&q->entry);
			nic_free(q);
			nic_free(p);
			p = both;
		}
		nic_deliver(to, p);
		nic_free(p);
	}
	nic_end(to);
}

static void check_wcs(struct side *s)
{
	u32 i;

	for (i = s->done; i < s->q->nwc[0]; i++) {
		assert_int_equal(s->q->wc[0][i].wr_id, i);
		assert_int_equal(s->q->wc[0][i].status, IB_WC_SUCCESS);
	}
	s->done = s->q->nwc[0];
	for (i = 0; i < s->q->nwc[1]; i++) {
		assert_int_equal(s->q->wc[1][i].wr_id, i);
		assert_int_equal(s->q->wc[1][i].status, IB_WC_SUCCESS);
		assert_int_equal(s->q->wc[1][i].byte_len, s->recv_len[i]);
		assert_int_equal(!!(s->q->wc[1][i].wc_flags & IB_WC_WITH_IMM), s->recv_imm[i]);
	}
}

static void run(u64 seed, const struct wire *how)
{
	struct side s[2] = { 0 };
	struct list_head wire[2];
	struct nic_pkt *p;
	u32 i, steps = 0;
	u32 psn[2];

	rng = seed;
	for (i = 0; i < 2; i++) {
		INIT_LIST_HEAD(&wire[i]);
		s[i].nic = nic_create(i + 1, how->tight ? NIC_SMALL_RING : NIC_RING);
		s[i].tx = nic_reg(s[i].nic, area(how), IB_ACCESS_REMOTE_READ);
		s[i].rx = nic_reg(s[i].nic, area(how),
				  IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE |
					  IB_ACCESS_REMOTE_ATOMIC);
		s[i].want = calloc(1, area(how));
		for (u32 k = 0; k < area(how); k += 4)
			memcpy(s[i].tx->bytes + k, &(u32){ rnd() }, 4);
		s[i].counter = room(&s[i], 8);
		s[i].q = nic_qp_create(s[i].nic, IB_QPT_RC, DEPTH, 2);
		assert_non_null(s[i].q);
		psn[i] = below(3) ? 0xffffff - below(300) : below(1 << 24);
	}
	plan(how, &s[0], &s[1]);
	plan(how, &s[1], &s[0]);
	for (i = 0; i < 2; i++) {
		memcpy(s[i].want + s[i].counter, &s[i].sum, 8);
		assert_int_equal(nic_qp_init(s[i].q), 0);
		assert_int_equal(nic_qp_connect(s[i].q, s[!i].nic, s[!i].q->qp.ibqp.qp_num,
						how->mtu ?: IB_MTU_256, psn[!i], psn[i]), 0);
	}

	while (s[0].done < ops(how) || s[1].done < ops(how) || s[0].q->nwc[1] < s[0].recvs ||
	       s[1].q->nwc[1] < s[1].recvs) {
		assert_true(++steps < 2000000);
		i = below(2);
		switch (below(4)) {
		case 0:
			post_some(&s[i], &s[!i]);
			if (how->drain && !below(40))
				drain(&s[i]);
			break;
		case 1:
			if (nic_queued(s[i].nic))
				carry(s[i].nic, &wire[!i], how);
			break;
		case 2:
			arrive(s[i].nic, &wire[i], how);
			break;
		case 3:
			nic_work(s[i].nic);
			/* time passes when nothing else moves, and sometimes in between */
			if ((list_empty(&wire[0]) && list_empty(&wire[1]) &&
			     !nic_queued(s[0].nic) && !nic_queued(s[1].nic)) ||
			    !below(64))
				jiffies++;
			nic_timers(s[i].nic);
			break;
		}
		check_wcs(&s[i]);
		assert_int_equal(s[i].q->qp.state, s[i].draining ? IB_QPS_SQD : IB_QPS_RTS);
	}
	for (i = 0; i < 2; i++) {
		assert_memory_equal(s[i].rx->bytes, s[i].want, area(how));
		assert_int_equal(s[i].q->nwc[0], ops(how));
		assert_int_equal(s[i].q->nwc[1], s[i].recvs);
		while ((p = list_first_entry_or_null(&wire[i], struct nic_pkt, entry))) {
			list_del(&p->entry);
			nic_free(p);
		}
	}
	for (i = 0; i < 2; i++) {
		nic_destroy(s[i].nic);
		free(s[i].want);
	}
}

static void runs(u32 n, const struct wire *how)
{
	u32 i;

	for (i = 0; i < n; i++)
		run(i * 1001 + how->loss, how);
}

static void clean(void **state)
{
	(void)state;
	runs(5, &(struct wire){ 0 });
}

static void clean_bursts(void **state)
{
	(void)state;
	runs(5, &(struct wire){ .bursts = true });
}

static void tight_ring(void **state)
{
	(void)state;
	runs(5, &(struct wire){ .bursts = true, .tight = true });
}

static void loss(void **state)
{
	(void)state;
	runs(10, &(struct wire){ .loss = 30 });
	runs(5, &(struct wire){ .loss = 80, .bursts = true });
}

static void duplicates(void **state)
{
	(void)state;
	runs(5, &(struct wire){ .twice = 300 });
}

static void reordering(void **state)
{
	(void)state;
	runs(5, &(struct wire){ .late = 50 });
}

static void everything(void **state)
{
	(void)state;
	runs(15, &(struct wire){ .loss = 20, .twice = 50, .late = 30 });
	runs(5,
	     &(struct wire){ .loss = 20, .twice = 50, .late = 30, .bursts = true, .tight = true });
}

/* READs of several requests, with all that can happen to these and their responses. */
static void long_reads(void **state)
{
	static const struct wire how[] = {
		{ .mtu = IB_MTU_256 },
		{ .mtu = IB_MTU_1024, .loss = 3 },
		{ .mtu = IB_MTU_1024, .loss = 10, .bursts = true, .tight = true },
		{ .mtu = IB_MTU_1024, .twice = 100 },
		{ .mtu = IB_MTU_1024, .again = 10 },
		{ .mtu = IB_MTU_1024, .loss = 2, .again = 5, .late = 2, .twice = 20 },
		{ .mtu = IB_MTU_1024, .loss = 2, .again = 5, .late = 2, .drain = true },
		{ .mtu = IB_MTU_4096,
		  .loss = 5,
		  .again = 5,
		  .late = 5,
		  .drain = true,
		  .tight = true },
	};
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(how); i++) {
		struct wire w = how[i];

		w.long_reads = true;
		runs(1, &w);
	}
}

/*
 * A device has the MAC addresses of the devices on top of its netdev, too: packets to one of them
 * are its own, and what is sent to one of them does not leave the machine.
 */
static void mac_addresses(void **state)
{
	struct nic *nic[3];
	struct nic_qp *q[2], *loop;
	struct rxe_send_wqe *w;
	struct nic_pkt *p, *ack;
	u32 i;

	(void)state;
	for (i = 0; i < 3; i++)
		nic[i] = nic_create(i + 1, NIC_RING);
	for (i = 0; i < 2; i++) {
		q[i] = nic_qp_create(nic[i], IB_QPT_RC, DEPTH, 1);
		assert_int_equal(nic_qp_init(q[i]), 0);
	}
	for (i = 0; i < 2; i++)
		assert_int_equal(
			nic_qp_connect(q[i], nic[!i], q[!i]->qp.ibqp.qp_num, IB_MTU_256, 7, 7), 0);
	w = nic_sq_next(q[0]);
	w->wr.opcode = IB_WR_RDMA_WRITE;
	nic_sq_post(q[0]);
	nic_work(nic[0]);
	p = nic_take(nic[0]);
	assert_non_null(p);
	memcpy(p->data, nic[2]->netdev.dev_addr, ETH_ALEN);

	nic_deliver(nic[1], p);
	nic_end(nic[1]);
	assert_null(nic_take(nic[1]));
	loop = nic_qp_create(nic[1], IB_QPT_RC, DEPTH, 1);
	assert_int_equal(nic_qp_init(loop), 0);
	assert_int_equal(nic_qp_connect(loop, nic[2], 99, IB_MTU_256, 7, 7), 0);
	assert_false(loop->qp.av.loop);
	nic_qp_destroy(loop);

	msr_mac_set(&nic[1]->dev.macs.table, 3, msr_mac_word(nic[2]->netdev.dev_addr));
	nic_deliver(nic[1], p);
	nic_end(nic[1]);
	ack = nic_take(nic[1]);
	assert_non_null(ack);
	assert_memory_equal(ack->data, nic[0]->netdev.dev_addr, ETH_ALEN);
	loop = nic_qp_create(nic[1], IB_QPT_RC, DEPTH, 1);
	assert_int_equal(nic_qp_init(loop), 0);
	assert_int_equal(nic_qp_connect(loop, nic[2], 99, IB_MTU_256, 7, 7), 0);
	assert_true(loop->qp.av.loop);
	nic_qp_destroy(loop);

	nic_free(p);
	nic_free(ack);
	for (i = 0; i < 3; i++)
		nic_destroy(nic[i]);
}

/* ib_core leaves the destination's address zero where the source's netdev resolves none. */
static void no_neighbour(void **state)
{
	struct nic *nic = nic_create(1, NIC_RING), *peer = nic_create(2, NIC_RING);
	struct nic_qp *q = nic_qp_create(nic, IB_QPT_RC, DEPTH, 1);

	(void)state;
	memset(peer->netdev.dev_addr, 0, ETH_ALEN);
	assert_int_equal(nic_qp_init(q), 0);
	assert_int_equal(nic_qp_connect(q, peer, 99, IB_MTU_256, 7, 7), -EHOSTUNREACH);
	nic_destroy(nic);
	nic_destroy(peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mac_addresses), cmocka_unit_test(no_neighbour),
		cmocka_unit_test(clean),	 cmocka_unit_test(clean_bursts),
		cmocka_unit_test(tight_ring),	 cmocka_unit_test(loss),
		cmocka_unit_test(duplicates),	 cmocka_unit_test(reordering),
		cmocka_unit_test(everything),	 cmocka_unit_test(long_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shares of a full ring: the front module's transport and its queue on the real ring,
 * many queue pairs, a back OS and a slow wire, in simulated time. No bound here is one of the
 * machine's time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../kernel/path.h"

#define ACCESS	(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_READ)
#define ALL_QPS	NIC_QPS
#define DEPTH	16
#define GBIT	118	/* bytes a microsecond */
#define MTU	1024

struct flow {
	struct nic_qp *qp, *peer;
	u32 psn;		/* highest when it last sent something new, */
	u64 since;		/* and when that was */
	u64 waited;		/* longest time without anything new out, while it stood in line */
	bool dead;
};

struct scene {
	struct path path;
	struct nic *front, *peer;
	struct nic_mem *mem, *peer_mem;
	struct flow flow[ALL_QPS];
	u32 nflows;
	u32 msg;		/* bytes of a message */
};

/* User's queue pair, connected, with the timeout that most programs ask for. */
static void connect_flow(struct flow *f, struct nic *front, struct nic *peer)
{
	u32 qpn, peer_qpn;

	f->qp = nic_qp_create(front, IB_QPT_RC, DEPTH, 1);
	f->peer = nic_qp_create(peer, IB_QPT_RC, DEPTH, 1);
	assert_int_equal(nic_qp_init(f->qp), 0);
	assert_int_equal(nic_qp_init(f->peer), 0);
	qpn = f->qp->qp.ibqp.qp_num;
	peer_qpn = f->peer->qp.ibqp.qp_num;
	assert_int_equal(nic_qp_connect(f->qp, peer, peer_qpn, IB_MTU_1024, 0, 0), 0);
	assert_int_equal(nic_qp_connect(f->peer, front, qpn, IB_MTU_1024, 0, 0), 0);
	f->qp->qp.attr.timeout = f->peer->qp.attr.timeout = 14;
}

static struct scene *new_scene(u32 nflows, u32 rate, u32 delay, u32 msg)
{
	struct scene *s = calloc(1, sizeof(*s));
	u32 i;

	assert_non_null(s);
	s->front = nic_create(1, NIC_RING);
	s->peer = nic_create(2, NIC_RING);
	s->mem = nic_reg(s->front, msg, ACCESS);
	s->peer_mem = nic_reg(s->peer, msg, ACCESS);
	s->nflows = nflows;
	s->msg = msg;
	path_init(&s->path, s->front, s->peer, rate, delay);
	s->path.user = s;
	for (i = 0; i < nflows; i++)
		connect_flow(&s->flow[i], s->front, s->peer);
	return s;
}

static void end_scene(struct scene *s)
{
	path_end(&s->path);
	nic_destroy(s->front);
	nic_destroy(s->peer);
	free(s);
}

static void post(struct nic_qp *q, u8 opcode, const struct nic_mem *from, const struct nic_mem *to,
		 u32 len)
{
	assert_non_null(nic_sq_wqe(q, opcode, from, to, len));
	nic_sq_post(q);
}

static bool alive(const struct flow *f)
{
	return f->qp->qp.state == IB_QPS_RTS;
}

/* Every flow has eight WRITEs posted. */
static void write_on(struct path *p)
{
	struct scene *s = p->user;
	u32 i;

	for (i = 0; i < s->nflows; i++) {
		struct flow *f = &s->flow[i];

		while (alive(f) && f->qp->sq_prod - f->qp->nwc[0] < 8) {
			post(f->qp, IB_WR_RDMA_WRITE, s->mem, s->peer_mem, s->msg);
			path_softirq(p);
		}
		if (f->qp->qp.req.max_psn != f->psn || !f->since || !f->qp->qp.waiting) {
			f->psn = f->qp->qp.req.max_psn;
			f->since = p->now;
		}
		f->waited = max(f->waited, p->now - f->since);
	}
}

static u64 count_of(struct nic *nic, enum mrdma_counter c)
{
	return nic->dev.stats->count[c];
}

struct share {
	u64 bytes;		/* new at the peer, of all flows */
	u64 least, most;	/* of one */
	u64 waited;
	u32 dead;
};

static struct share shares(const struct scene *s)
{
	struct share sh = { .least = ~0ULL };
	u32 i;

	for (i = 0; i < s->nflows; i++) {
		u64 bytes = (u64)s->flow[i].peer->qp.resp.psn * MTU;

		sh.bytes += bytes;
		sh.least = min(sh.least, bytes);
		sh.most = max(sh.most, bytes);
		sh.waited = max(sh.waited, s->flow[i].waited);
		sh.dead += !alive(&s->flow[i]);
	}
	return sh;
}

/* Microseconds in which each of @n flows has sent one burst */
static u64 fair_turn(const struct scene *s)
{
	return (u64)s->nflows * MSR_MAX_BURST_DATA / s->path.rate;
}

/* Bounds that hold for each writer and wire, as long as nothing is lost. */
static void check_shares(const struct scene *s, const char *what)
{
	struct share sh = shares(s);

	print_message("%s: %.1f tasklets a burst, %.2f bytes on the wire for each new one, "
		      "shares %.1f to %.1f MB, waited %.1f fair turns, %llu retries\n", what,
		      (double)s->path.tasklets / s->path.bursts,
		      (double)s->path.wire_bytes / sh.bytes, sh.least / 1e6, sh.most / 1e6,
		      (double)sh.waited / fair_turn(s),
		      (unsigned long long)count_of(s->front, MRDMA_CNT_RETRY));
	assert_int_equal(sh.dead, 0);
	assert_true(s->path.tasklets < 8 * s->path.bursts);
	assert_true(sh.waited < 5 * fair_turn(s));
	assert_true(s->path.wire_bytes < sh.bytes + sh.bytes / 20);
	assert_true(sh.most < 2 * sh.least);
}

static void busy(u32 nflows, u32 rate, u32 delay, u64 us, const char *what)
{
	struct scene *s = new_scene(nflows, rate, delay, 256 << 10);

	s->path.apps = write_on;
	path_run(&s->path, us);
	check_shares(s, what);
	end_scene(s);
}

static void slow_wire(void **state)
{
	(void)state;
	busy(64, GBIT, 50, 1000000, "64 on 1 Gbit/s");
	busy(500, GBIT, 50, 4000000, "500 on 1 Gbit/s");
	busy(8, GBIT / 10, 50, 1000000, "8 on 100 Mbit/s");
}

static void fast_wire(void **state)
{
	(void)state;
	busy(64, 10 * GBIT, 5, 200000, "64 on 10 Gbit/s, near");
	busy(128, 10 * GBIT, 5, 400000, "128 on 10 Gbit/s, near");
	busy(128, 10 * GBIT, 200, 400000, "128 on 10 Gbit/s, far");
	busy(400, 10 * GBIT, 5, 800000, "400 on 10 Gbit/s, near");
}

/*
 * A peer that is none of ours: it reads with requests of any length, keeps so many outstanding,
 * and acknowledges each SEND, unless it is told to lose it.
 */
struct reader {
	u32 read_len, outstanding;
	u32 psn[ALL_QPS];	/* of its next request */
	u32 out[ALL_QPS];
	u32 lose;		/* so many SENDs on each queue pair, that is, the first */
	u32 seen[ALL_QPS];	/* SENDs */
	u32 done[ALL_QPS];
	u64 bursts_at[ALL_QPS];
	u64 longest;		/* bursts on the wire until a SEND was complete */
	u32 completed;
};

struct reading {
	struct scene *s;
	struct reader r;
};

static void from_reader(struct path *p, struct flow *f, u8 opcode, u32 psn, const void *ext,
			u32 ext_len)
{
	const struct mrdma_av *av = &f->peer->qp.av;
	struct msr_desc d = {
		.len = av->len + sizeof(struct mos_bth) + ext_len,
		.type = MSR_DESC_BURST, .flags = MSR_BURST_ACK_REQ,
		.burst = { .nseg = 1, .op_mid = opcode, .op_last = opcode, .ext_first = ext_len },
	};
	struct mos_bth bth = {
		.opcode = opcode, .flags = MOS_BTH_M, .pkey = htons(MOS_PKEY),
		.qpn = htonl(f->qp->qp.ibqp.qp_num), .apsn = htonl(MOS_BTH_ACKREQ | psn),
	};
	u8 data[128] = { 0 };

	d.hdr_len = d.len;
	memcpy(data, av->hdr, av->len);
	memcpy(data + av->len, &bth, sizeof(bth));
	memcpy(data + av->len + sizeof(bth), ext, ext_len);
	path_return(p, &(struct nic_pkt){ .d = d, .data = data });
}

static void ask(struct path *p, u32 i)
{
	struct reading *x = p->user;
	struct mos_reth reth = {
		.va = cpu_to_be64(x->s->mem->va),
		.rkey = cpu_to_be32(x->s->mem->key),
		.len = cpu_to_be32(x->r.read_len),
	};

	from_reader(p, &x->s->flow[i], IB_OPCODE_RC_RDMA_READ_REQUEST, x->r.psn[i], &reth,
		    sizeof(reth));
	x->r.psn[i] = mos_psn_add(x->r.psn[i], DIV_ROUND_UP(x->r.read_len, MTU));
	x->r.out[i]++;
}

static void reader_gets(struct path *p, const struct nic_pkt *pkt)
{
	u8 syndrome = MOS_AETH_ACK | MOS_AETH_UNLIMITED, last = pkt->d.burst.op_last;
	struct mos_aeth aeth = { .smsn = cpu_to_be32((u32)syndrome << 24) };
	struct reading *x = p->user;
	struct mos_bth bth;
	u32 i, qpn;

	memcpy(&bth, pkt->data + x->s->flow[0].qp->qp.av.len, sizeof(bth));
	qpn = ntohl(bth.qpn) & MOS_QPN_MASK;
	for (i = 0; x->s->flow[i].peer->qp.ibqp.qp_num != qpn; i++)
		assert_true(i + 1 < x->s->nflows);
	if (bth.opcode == IB_OPCODE_RC_SEND_ONLY) {
		if (x->r.seen[i]++ >= x->r.lose)
			from_reader(p, &x->s->flow[i], IB_OPCODE_RC_ACKNOWLEDGE,
				    ntohl(bth.apsn) & MOS_PSN_MASK, &aeth, sizeof(aeth));
	} else if (mos_op[last].flags & MOP_END) {
		x->r.out[i]--;
	}
}

/* One SEND at a time on each queue pair. */
static void send_beside(struct path *p)
{
	struct reading *x = p->user;
	struct reader *r = &x->r;
	u32 i;

	for (i = 0; i < x->s->nflows; i++) {
		struct nic_qp *q = x->s->flow[i].qp;

		while (r->out[i] < r->outstanding)
			ask(p, i);
		if (q->nwc[0] != r->done[i]) {
			assert_int_equal(q->wc[0][r->done[i] % NIC_MAX_WC].status, IB_WC_SUCCESS);
			r->done[i]++;
			r->completed++;
			r->longest = max(r->longest, p->bursts - r->bursts_at[i]);
		}
		/* what still waits counts as well */
		if (q->sq_prod != r->done[i]) {
			r->longest = max(r->longest, p->bursts - r->bursts_at[i]);
			continue;
		}
		r->bursts_at[i] = p->bursts;
		post(q, IB_WR_SEND, x->s->mem, x->s->peer_mem, 64);
		path_softirq(p);
	}
}

static void read_beside(u32 nflows, u32 rate, u32 outstanding, u32 read_len, u32 lose, u64 us)
{
	struct reading x = { .s = new_scene(nflows, rate, 50, read_len) };
	struct path *p = &x.s->path;

	x.r.read_len = read_len;
	x.r.outstanding = outstanding;
	x.r.lose = lose;
	p->user = &x;
	p->arrive = reader_gets;
	p->apps = send_beside;
	path_run(p, us);
	print_message("%u flows, %u READs of %u KiB on each: %u SENDs complete, "
		      "each within %llu of %llu bursts\n",
		      nflows, outstanding, read_len >> 10, x.r.completed,
		      (unsigned long long)x.r.longest, (unsigned long long)p->bursts);
	assert_true(x.r.completed >= nflows);
	/*
	 * what is in the ring, and some turns of all; one that was lost waits for its time-out, too
	 */
	if (!lose)
		assert_true(x.r.longest < 32 + 4 * nflows);
	end_scene(x.s);
}

/* A peer that reads without end does not keep the queue pair from sending. */
static void long_reads(void **state)
{
	(void)state;
	read_beside(1, GBIT, 1, 64 << 20, 0, 400000);
	read_beside(1, GBIT, 4, 8 << 20, 0, 400000);
	read_beside(2, 10 * GBIT, 4, 4 << 20, 0, 100000);
	read_beside(16, 10 * GBIT, 4, 1 << 20, 0, 200000);
}

/* Nor from sending again what was lost: that ends in success. */
static void loss_beside_reads(void **state)
{
	(void)state;
	read_beside(1, GBIT, 4, 8 << 20, 1, 3000000);
	read_beside(4, 10 * GBIT, 4, 4 << 20, 3, 3000000);
}

/* The responses to many READ requests that come at once are not all copied in one poll. */
static void many_reads(void **state)
{
	struct reading x = { .s = new_scene(128, GBIT, 0, 256 << 10) };
	struct path *p = &x.s->path;
	const struct msr_tx *tx = &x.s->front->front.chan.q->tx;
	struct nic_pkt *pkt;
	u32 i;

	(void)state;
	x.r.read_len = 256 << 10;
	p->user = &x;
	for (i = 0; i < x.s->nflows; i++)
		ask(p, i);
	while ((pkt = list_first_entry_or_null(&p->returning, struct nic_pkt, entry))) {
		list_del(&pkt->entry);
		nic_receive(x.s->front, pkt);
		nic_free(pkt);
	}
	assert_true(x.s->front->front.chan.napi.poll(&x.s->front->front.chan.napi, 64) == 64);
	print_message("64 READs of 256 KiB in one poll: %u KiB of responses\n",
		      (tx->data_head - tx->data_tail) >> 10);
	assert_true(tx->data_head - tx->data_tail < 2 << 20);
	end_scene(x.s);
}

struct ping {
	struct scene *s;
	u64 at, longest;
	u32 done;
};

/* As write_on, and the peer WRITEs 64 bytes at a time to the front, on the last queue pair. */
static void ping(struct path *p)
{
	struct ping *x = p->user;
	struct nic_qp *q = x->s->flow[x->s->nflows].peer;
	struct nic_pkt *pkt;

	p->user = x->s;
	write_on(p);
	p->user = x;
	if (q->nwc[0] != x->done) {
		x->done++;
		x->longest = max(x->longest, p->now - x->at);
	}
	if (q->sq_prod == x->done) {
		x->at = p->now;
		post(q, IB_WR_RDMA_WRITE, x->s->peer_mem, x->s->mem, 64);
		while ((pkt = nic_take(x->s->peer))) {
			path_return(p, pkt);
			nic_free(pkt);
		}
	}
}

/* A busy front acknowledges a peer's packets long before they time out: 14 is 67 ms. */
static void late_acks(u32 nflows, u32 rate)
{
	struct ping x = { .s = new_scene(nflows, rate, 50, 256 << 10) };
	struct path *p = &x.s->path;

	connect_flow(&x.s->flow[nflows], x.s->front, x.s->peer);
	p->user = &x;
	p->apps = ping;
	path_run(p, 1000000);
	print_message("%u flows at %u bytes/us: a peer's WRITE is acknowledged within %.1f ms\n",
		      nflows, rate, x.longest / 1e3);
	assert_true(x.done > 10);
	assert_true(x.longest < 67000 / 4);
	assert_int_equal(count_of(x.s->peer, MRDMA_CNT_RETRY), 0);
	check_shares(x.s, "beside it");
	end_scene(x.s);
}

static void acks_pass(void **state)
{
	(void)state;
	late_acks(16, GBIT);
	late_acks(64, GBIT);
	late_acks(32, 10 * GBIT);
}

/* The link goes down while all are busy: what was under way is lost, and all go on. */
static void flaps(u32 nflows, u32 rate, u32 n, u64 us)
{
	struct scene *s = new_scene(nflows, rate, 5, 256 << 10);
	struct share sh;
	u32 i;

	s->path.apps = write_on;
	for (i = 0; i < n; i++) {
		path_run(&s->path, 300000);
		path_link(&s->path, false);
		path_run(&s->path, 20000);
		path_link(&s->path, true);
	}
	path_run(&s->path, us);
	sh = shares(s);
	print_message("%u flows, %u flaps: shares %.1f to %.1f MB, %llu retries\n", nflows, n,
		      sh.least / 1e6, sh.most / 1e6,
		      (unsigned long long)count_of(s->front, MRDMA_CNT_RETRY));
	assert_int_equal(sh.dead, 0);
	assert_true(sh.least > sh.most / 4);
	end_scene(s);
}

static void link_flaps(void **state)
{
	(void)state;
	flaps(64, 10 * GBIT, 3, 300000);
	flaps(500, GBIT, 1, 6000000);
}

static void down_for(struct scene *s, u64 us)
{
	path_link(&s->path, false);
	path_run(&s->path, us);
}

static void lose(struct path *p, const struct nic_pkt *pkt)
{
	(void)p;
	(void)pkt;
}

/*
 * The back OS is away for much longer than all retries take. They do not count in that time: each
 * connection goes on as soon as the link is up, and sends nothing in vain before.
 */
static void outage(void **state)
{
	struct scene *s = new_scene(64, 10 * GBIT, 5, 256 << 10);
	struct share before, after;
	u32 i;

	(void)state;
	s->front->outage = true;
	s->path.apps = write_on;
	path_run(&s->path, 300000);
	for (i = 0; i < 3; i++) {
		/* packets that had left the ring arrive */
		down_for(s, 20000);
		before = shares(s);
		path_run(&s->path, 5000000);
		assert_int_equal(shares(s).bytes, before.bytes);
		path_link(&s->path, true);
		/* no timer has expired by then */
		path_run(&s->path, fair_turn(s));
		assert_true(shares(s).least > before.least);
		path_run(&s->path, 300000);
	}
	after = shares(s);
	assert_int_equal(after.dead, 0);
	assert_true(after.least > after.most / 2);
	assert_int_equal(count_of(s->front, MRDMA_CNT_RETRY), 0);
	assert_int_equal(count_of(s->front, MRDMA_CNT_NOT_SENT), 0);
	end_scene(s);
}

/* The outage is given up: retries count, and each connection ends. */
static void outage_given_up(void **state)
{
	struct scene *s = new_scene(16, 10 * GBIT, 5, 256 << 10);

	(void)state;
	s->front->outage = true;
	s->path.apps = write_on;
	path_run(&s->path, 300000);
	down_for(s, 5000000);
	assert_int_equal(shares(s).dead, 0);
	mrdma_chan_give_up(&s->front->front.chan);
	path_softirq(&s->path);
	path_run(&s->path, 5000000);
	assert_int_equal(shares(s).dead, 16);
	end_scene(s);
}

/*
 * The link is up, but the back loses all packets for longer than all retries take. Retries do not
 * count until a packet comes from the wire; then all connections go back at once.
 */
static void late_wire(void **state)
{
	struct scene *s = new_scene(16, 10 * GBIT, 5, 256 << 10);
	struct share before;

	(void)state;
	s->front->outage = true;
	s->path.apps = write_on;
	path_run(&s->path, 300000);
	down_for(s, 1000000);
	path_link(&s->path, true);
	s->path.arrive = lose;
	path_run(&s->path, 5000000);
	assert_int_equal(shares(s).dead, 0);
	before = shares(s);
	s->path.arrive = path_to_peer;
	/* until the first of the timers, which wait for 32 to 64 ms here */
	path_run(&s->path, 70000 + fair_turn(s));
	assert_true(shares(s).least > before.least);
	end_scene(s);
}

/* No outage: connections go back all the same when the link returns. */
static void back_after_all(void **state)
{
	struct scene *s = new_scene(16, 10 * GBIT, 5, 256 << 10);
	struct share before;

	(void)state;
	s->path.apps = write_on;
	path_run(&s->path, 300000);
	down_for(s, 20000);
	before = shares(s);
	path_link(&s->path, true);
	/* a window of each, and no timer has expired by then */
	path_run(&s->path, 20000);
	assert_true(shares(s).least > before.least);
	end_scene(s);
}

/* A back takes nothing for seconds: nothing has gone out, so no peer is given up for it. */
static void back_stalls(void **state)
{
	struct scene *s = new_scene(16, GBIT, 50, 256 << 10);
	u32 i;

	(void)state;
	s->path.apps = write_on;
	path_run(&s->path, 100000);
	for (i = 0; i < 10 * HZ; i++) {
		jiffies++;
		nic_timers(s->front);
		nic_work(s->front);
	}
	path_run(&s->path, 500000);
	assert_int_equal(shares(s).dead, 0);
	/* what had gone out just before may be repeated, once by each */
	assert_true(count_of(s->front, MRDMA_CNT_RETRY) <= 2 * s->nflows);
	end_scene(s);
}

/* A peer that answers nothing is given up, although others keep the ring busy. */
static void lose_first(struct path *p, const struct nic_pkt *pkt)
{
	struct scene *s = p->user;
	struct mos_bth bth;

	memcpy(&bth, pkt->data + s->flow[0].qp->qp.av.len, sizeof(bth));
	if ((ntohl(bth.qpn) & MOS_QPN_MASK) != s->flow[0].peer->qp.ibqp.qp_num)
		path_to_peer(p, pkt);
}

static void dead_peer(void **state)
{
	struct scene *s = new_scene(32, GBIT, 50, 256 << 10);
	struct nic_qp *q = s->flow[0].qp;

	(void)state;
	s->path.apps = write_on;
	s->path.arrive = lose_first;
	/* one try and seven more, each of at most four times the timeout and a turn */
	path_run(&s->path, 8 * (4 * 67109 + 8 * fair_turn(s)));
	assert_int_equal(q->qp.state, IB_QPS_ERR);
	assert_int_equal(q->wc[0][0].status, IB_WC_RETRY_EXC_ERR);
	assert_int_equal(shares(s).dead, 1);
	/* each time the path was looked up again */
	assert_int_equal(s->path.front->followed, 8);
	end_scene(s);
}

/* Queue pairs of one device among themselves: as many are woken as there is room for. */
static void to_itself(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	u64 tasklets = 0, bytes = 0;
	u32 i, k;

	(void)state;
	assert_non_null(s);
	s->front = nic_create(1, NIC_RING);
	s->mem = nic_reg(s->front, 256 << 10, ACCESS);
	for (i = 0; i < 128; i++)
		connect_flow(&s->flow[i], s->front, s->front);
	for (k = 0; k < 8; k++)
		for (i = 0; i < 128; i++) {
			post(s->flow[i].qp, IB_WR_RDMA_WRITE, s->mem, s->mem, s->mem->len);
			bytes += s->mem->len;
		}
	tasklets = nic_work(s->front);
	for (i = 0; i < 128; i++) {
		assert_int_equal(s->flow[i].qp->nwc[0], 8);
		for (k = 0; k < 8; k++)
			assert_int_equal(s->flow[i].qp->wc[0][k].status, IB_WC_SUCCESS);
	}
	print_message("%.1f tasklets a packet\n", (double)tasklets * MRDMA_LOOP_BURST / bytes);
	assert_true(tasklets * MRDMA_LOOP_BURST < 2 * bytes);
	assert_int_equal(nic_queued(s->front), 0);
	nic_destroy(s->front);
	free(s);
}

/* Each queue pair sends datagrams to its own device and to the peer by turns, a few at a time. */
static void datagrams(struct path *p)
{
	struct scene *s = p->user;
	u32 i;

	for (i = 0; i < s->nflows; i++) {
		struct nic_qp *q = s->flow[i].qp;
		struct rxe_send_wqe *w;

		while ((w = nic_sq_next(q))) {
			memset(w, 0, sizeof(*w));
			w->wr.opcode = IB_WR_SEND;
			w->wr.send_flags = IB_SEND_SIGNALED;
			w->wr.wr.ud.remote_qpn = 3;	/* nobody's */
			w->wr.wr.ud.ah_num = (q->sq_prod / 5 + i) % 2 ? 1 : 2;
			w->dma.length = s->msg;
			w->dma.num_sge = 1;
			w->dma.sge[0] = (struct rxe_sge){ s->mem->va, s->msg, s->mem->key };
			nic_sq_post(q);
		}
	}
	path_softirq(p);
}

/*
 * The line of the ring and that of the loop: a queue pair in one of them keeps no turn in the
 * other. If it did, some would wait at the ring with all of the loop's room, and the others the
 * other way round.
 */
static void two_lines(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	u32 i, k, last[64] = {};

	(void)state;
	assert_non_null(s);
	s->front = nic_create(1, NIC_RING);
	s->peer = nic_create(2, NIC_RING);
	s->msg = 4096;
	s->mem = nic_reg(s->front, s->msg, ACCESS);
	s->nflows = 64;
	path_init(&s->path, s->front, s->peer, 10 * GBIT, 50);
	s->path.user = s;
	s->path.apps = datagrams;
	for (i = 0; i < s->nflows; i++) {
		s->flow[i].qp = nic_qp_create(s->front, IB_QPT_UD, DEPTH, 1);
		assert_int_equal(nic_qp_init(s->flow[i].qp), 0);
		assert_int_equal(nic_qp_connect(s->flow[i].qp, s->peer, 0, IB_MTU_4096, 0, 0), 0);
	}
	for (k = 0; k < 10; k++) {
		path_run(&s->path, 50000);
		for (i = 0; i < s->nflows; i++) {
			assert_int_equal(s->flow[i].qp->qp.state, IB_QPS_RTS);
			assert_true(s->flow[i].qp->sq_prod > last[i]);
			last[i] = s->flow[i].qp->sq_prod;
		}
	}
	end_scene(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_wire), cmocka_unit_test(fast_wire),
		cmocka_unit_test(long_reads), cmocka_unit_test(loss_beside_reads),
		cmocka_unit_test(many_reads), cmocka_unit_test(acks_pass),
		cmocka_unit_test(link_flaps), cmocka_unit_test(back_stalls),
		cmocka_unit_test(outage), cmocka_unit_test(outage_given_up),
		cmocka_unit_test(late_wire), cmocka_unit_test(back_after_all),
		cmocka_unit_test(dead_peer), cmocka_unit_test(to_itself),
		cmocka_unit_test(two_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * States of the client's queue pairs, of each type: every transition of InfiniBand Architecture,
 * volume 1, section 10.3 works and every other is refused and changes nothing; so are transitions
 * with an attribute missing, out of range or out of place; work ends as it must when its queue
 * stops. And ATOMIC_WRITE and FLUSH, where both devices have them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vc.h"

#define NR_STATES	(IBV_QPS_ERR + 1)
#define WORDS		64

/* IBV_DEVICE_ATOMIC_WRITE and others of newer headers */
#define DEVICE_FLUSH_GLOBAL	(1ULL << 38)
#define DEVICE_ATOMIC_WRITE	(1ULL << 40)
#define ACCESS_FLUSH_GLOBAL	(1 << 8)
#define FLUSH_GLOBAL		1
#define WR_FLUSH		14

static const char *const state_name[NR_STATES] = { "RESET", "INIT", "RTR", "RTS", "SQD", "SQE", "ERR" };

static const struct type {
	enum ibv_qp_type type;
	const char *name;
	int init, rtr, rts; /* attributes that the transition to a state needs beside the state */
} types[] = {
	{ IBV_QPT_RC, "RC", IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS,
	  IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
		  IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
	  IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
		  IBV_QP_MAX_QP_RD_ATOMIC },
	{ IBV_QPT_UC, "UC", IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS,
	  IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN, IBV_QP_SQ_PSN },
	{ IBV_QPT_UD, "UD", IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY, 0, IBV_QP_SQ_PSN },
};

static struct ibv_qp_attr attr_for(struct vc *vc, enum ibv_qp_state state)
{
	return (struct ibv_qp_attr){
		.qp_state = state,
		.port_num = 1,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE,
		.qkey = 0x1111,
		.path_mtu = __builtin_ctz(vc->mtu) - 7,
		.dest_qp_num = vc->peer.qpn[0],
		.max_rd_atomic = 1,
		.max_dest_rd_atomic = 1,
		.timeout = 14,
		.ah_attr = {
			.is_global = 1,
			.port_num = 1,
			.grh = {
				.dgid = vc->peer.gid, .sgid_index = vc->gid_index, .hop_limit = 64,
			},
		},
	};
}

static int mask_for(const struct type *t, enum ibv_qp_state from, enum ibv_qp_state to)
{
	if (to == IBV_QPS_INIT)
		return IBV_QP_STATE | t->init;
	if (to == IBV_QPS_RTR)
		return IBV_QP_STATE | t->rtr;
	if (to == IBV_QPS_RTS && from == IBV_QPS_RTR)
		return IBV_QP_STATE | t->rts;
	return IBV_QP_STATE;
}

static enum ibv_qp_state state_of(struct ibv_qp *qp)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	return ibv_query_qp(qp, &attr, IBV_QP_STATE, &init) ? IBV_QPS_UNKNOWN : attr.qp_state;
}

static int go(struct vc *vc, const struct type *t, struct ibv_qp *qp, enum ibv_qp_state to)
{
	struct ibv_qp_attr attr = attr_for(vc, to);

	return ibv_modify_qp(qp, &attr, mask_for(t, state_of(qp), to));
}

/* A new queue pair in a state that modifying leads to. */
static struct ibv_qp *in_state(struct vc *vc, const struct type *t, enum ibv_qp_state state)
{
	static const enum ibv_qp_state way[] = { IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS,
						 IBV_QPS_SQD };
	struct ibv_qp *qp = vc_create_qp(vc, t->type, 0);
	int i, err = 0;

	if (state == IBV_QPS_ERR) {
		err = go(vc, t, qp, IBV_QPS_INIT) ?: go(vc, t, qp, IBV_QPS_ERR);
	} else {
		for (i = 0; i < 4 && !err && state_of(qp) < state; i++)
			err = go(vc, t, qp, way[i]);
	}
	if (err || state_of(qp) != state)
		vc_die("%s queue pair to %s: %s", t->name, state_name[state], strerror(err));
	return qp;
}

static void gone(struct vc *vc, struct ibv_qp *qp)
{
	if (ibv_destroy_qp(qp))
		vc_wrong(vc, "ibv_destroy_qp failed");
}

static bool legal(enum ibv_qp_state from, enum ibv_qp_state to)
{
	/* RESET to ERR would be, too: Linux's ib_core has not got it */
	if (to == IBV_QPS_RESET || to == IBV_QPS_ERR)
		return from != IBV_QPS_RESET || to == IBV_QPS_RESET;
	switch (from) {
	case IBV_QPS_RESET:
		return to == IBV_QPS_INIT;
	case IBV_QPS_INIT:
		return to == IBV_QPS_INIT || to == IBV_QPS_RTR;
	case IBV_QPS_RTR:
		return to == IBV_QPS_RTS;
	case IBV_QPS_RTS:
	case IBV_QPS_SQD:
		return to == IBV_QPS_RTS || to == IBV_QPS_SQD;
	default:
		return false;
	}
}

static void transitions(struct vc *vc, const struct type *t)
{
	enum ibv_qp_state from, to;

	for (from = IBV_QPS_RESET; from < NR_STATES; from++)
		for (to = IBV_QPS_RESET; from != IBV_QPS_SQE && to < NR_STATES; to++) {
			struct ibv_qp *qp = in_state(vc, t, from);
			int err = go(vc, t, qp, to);
			enum ibv_qp_state now = state_of(qp);

			if (!err != legal(from, to) || now != (err ? from : to))
				vc_wrong(vc, "%s queue pair from %s to %s: %s, now in %s", t->name, state_name[from],
					 state_name[to], err ? strerror(err) : "done",
					 now < NR_STATES ? state_name[now] : "no state");
			gone(vc, qp);
		}
}

/* Each needed attribute missing, and one that has no place there. */
static void missing(struct vc *vc, const struct type *t)
{
	static const enum ibv_qp_state from[] = { IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR };
	int i, bit;

	for (i = 0; i < 3; i++) {
		enum ibv_qp_state to = from[i] + 1;
		struct ibv_qp *qp = in_state(vc, t, from[i]);
		int mask = mask_for(t, from[i], to);
		struct ibv_qp_attr attr = attr_for(vc, to);

		for (bit = 1; bit <= IBV_QP_DEST_QPN; bit <<= 1) {
			if (bit == IBV_QP_STATE || !(mask & bit))
				continue;
			if (!ibv_modify_qp(qp, &attr, mask & ~bit) || state_of(qp) != from[i])
				vc_wrong(vc, "%s queue pair from %s to %s without attribute %#x: not refused", t->name,
					 state_name[from[i]], state_name[to], bit);
		}
		bit = to == IBV_QPS_RTS ? IBV_QP_PATH_MTU : IBV_QP_SQ_PSN;
		if (!ibv_modify_qp(qp, &attr, mask | bit) || state_of(qp) != from[i])
			vc_wrong(vc, "%s queue pair from %s to %s with attribute %#x: not refused", t->name,
				 state_name[from[i]], state_name[to], bit);
		gone(vc, qp);
	}
}

static void must_refuse(struct vc *vc, struct ibv_qp *qp, const char *what, struct ibv_qp_attr attr,
			int mask)
{
	enum ibv_qp_state before = state_of(qp);

	if (!ibv_modify_qp(qp, &attr, mask) || state_of(qp) != before)
		vc_wrong(vc, "%s: not refused", what);
}

static void ranges(struct vc *vc)
{
	const struct type *t = &types[0];
	struct ibv_qp *qp = in_state(vc, t, IBV_QPS_RESET);
	struct ibv_qp_attr attr = attr_for(vc, IBV_QPS_INIT);
	int mask = mask_for(t, IBV_QPS_RESET, IBV_QPS_INIT);

	attr.port_num = 2;
	must_refuse(vc, qp, "port 2", attr, mask);
	attr.port_num = 1;
	attr.pkey_index = 7;
	must_refuse(vc, qp, "P_Key index 7", attr, mask);
	gone(vc, qp);

	qp = in_state(vc, t, IBV_QPS_INIT);
	mask = mask_for(t, IBV_QPS_INIT, IBV_QPS_RTR);
	attr = attr_for(vc, IBV_QPS_RTR);
	attr.path_mtu = 0;
	must_refuse(vc, qp, "path MTU 0", attr, mask);
	attr.path_mtu = IBV_MTU_4096 + 1;
	must_refuse(vc, qp, "path MTU 8192", attr, mask);
	attr = attr_for(vc, IBV_QPS_RTR);
	attr.max_dest_rd_atomic = 255;
	must_refuse(vc, qp, "255 responder resources", attr, mask);
	attr = attr_for(vc, IBV_QPS_RTR);
	attr.ah_attr.grh.sgid_index = 200;
	must_refuse(vc, qp, "an empty GID", attr, mask);
	attr = attr_for(vc, IBV_QPS_RTR);
	attr.ah_attr.is_global = 0;
	must_refuse(vc, qp, "a path without GRH", attr, mask);
	gone(vc, qp);

	qp = in_state(vc, t, IBV_QPS_RTR);
	mask = mask_for(t, IBV_QPS_RTR, IBV_QPS_RTS);
	attr = attr_for(vc, IBV_QPS_RTS);
	attr.max_rd_atomic = 255;
	must_refuse(vc, qp, "255 requests to be answered", attr, mask);
	gone(vc, qp);
}

static void post(struct vc *vc, struct ibv_qp *qp, uint64_t id, uint32_t lkey, bool inlined)
{
	struct ibv_sge sge = { .addr = (uintptr_t)vc->tx, .length = 8, .lkey = lkey };
	struct ibv_send_wr wr = {
		.wr_id = id,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED | (inlined ? IBV_SEND_INLINE : 0),
		.wr.rdma = { .remote_addr = vc->peer.rx_addr, .rkey = vc->peer.rx_rkey },
	}, *bad;
	int err = ibv_post_send(qp, &wr, &bad);

	if (err)
		vc_wrong(vc, "posting request %llu: %s", (unsigned long long)id, strerror(err));
}

static void expect(struct vc *vc, int which, uint64_t id, enum ibv_wc_status status,
		   const char *when)
{
	double end = vc_now() + 15;
	struct ibv_wc wc;

	while (!vc_wait(vc, which, &wc, 1, true))
		if (vc_now() > end) {
			vc_wrong(vc, "%s: request %llu did not complete", when, (unsigned long long)id);
			return;
		}
	if (wc.wr_id != id || wc.status != status)
		vc_wrong(vc, "%s: request %llu completed with '%s', expected %llu with '%s'", when,
			 (unsigned long long)wc.wr_id, ibv_wc_status_str(wc.status),
			 (unsigned long long)id, ibv_wc_status_str(status));
}

/* A send queue that fails on UC: it alone stops, and goes on after a transition back to RTS. */
static void send_queue_error(struct vc *vc)
{
	const struct type *t = &types[1];
	struct ibv_qp *qp = in_state(vc, t, IBV_QPS_RTS);
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RTS, .cur_qp_state = IBV_QPS_SQE };

	post(vc, qp, 1, vc->tx_mr->lkey ^ 0x11, false);
	post(vc, qp, 2, vc->tx_mr->lkey, false);
	expect(vc, 0, 1, IBV_WC_LOC_PROT_ERR, "send queue error");
	expect(vc, 0, 2, IBV_WC_WR_FLUSH_ERR, "send queue error");
	if (state_of(qp) != IBV_QPS_SQE)
		vc_wrong(vc, "UC queue pair in state %d after an error of its send queue, not SQE", state_of(qp));
	post(vc, qp, 3, vc->tx_mr->lkey, false);
	expect(vc, 0, 3, IBV_WC_WR_FLUSH_ERR, "in SQE");
	if (!go(vc, t, qp, IBV_QPS_SQD) || !go(vc, t, qp, IBV_QPS_RTR))
		vc_wrong(vc, "UC queue pair from SQE to SQD or RTR: not refused");
	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_CUR_STATE) ||
	    state_of(qp) != IBV_QPS_RTS)
		vc_wrong(vc, "UC queue pair from SQE to RTS failed");
	/* to nobody: the queue pair there is reliable and drops it */
	post(vc, qp, 4, vc->tx_mr->lkey, false);
	expect(vc, 0, 4, IBV_WC_SUCCESS, "in RTS again");
	gone(vc, qp);
}

/*
 * All that is posted before and after ends with a flush error, in order, on both queues; RESET
 * forgets.
 */
static void flush(struct vc *vc, const struct type *t)
{
	struct ibv_qp *qp = in_state(vc, t, IBV_QPS_INIT);
	struct ibv_sge sge = { .addr = (uintptr_t)vc->rx, .length = 64, .lkey = vc->rx_mr->lkey };
	struct ibv_recv_wr wr = { .sg_list = &sge, .num_sge = 1 }, *bad;
	struct ibv_wc wc;

	for (wr.wr_id = 10; wr.wr_id < 13; wr.wr_id++)
		if (ibv_post_recv(qp, &wr, &bad))
			vc_wrong(vc, "ibv_post_recv in INIT failed");
	if (go(vc, t, qp, IBV_QPS_ERR))
		vc_wrong(vc, "%s queue pair to ERR failed", t->name);
	for (wr.wr_id = 10; wr.wr_id < 13; wr.wr_id++)
		expect(vc, 1, wr.wr_id, IBV_WC_WR_FLUSH_ERR, "flush");
	if (t->type != IBV_QPT_UD) {
		post(vc, qp, 20, vc->tx_mr->lkey, false);
		expect(vc, 0, 20, IBV_WC_WR_FLUSH_ERR, "posted in ERR");
	}
	gone(vc, qp);

	qp = in_state(vc, t, IBV_QPS_INIT);
	wr.wr_id = 30;
	if (ibv_post_recv(qp, &wr, &bad) || go(vc, t, qp, IBV_QPS_RESET))
		vc_wrong(vc, "%s queue pair to RESET failed", t->name);
	usleep(20000);
	if (vc_wait(vc, 1, &wc, 1, false))
		vc_wrong(vc, "%s queue pair: a completion for what RESET discards", t->name);
	gone(vc, qp);
}

static struct ibv_qp *builder_qp(struct vc *vc, uint64_t ops)
{
	struct ibv_qp_init_attr_ex init = {
		.send_cq = vc->cq[0],
		.recv_cq = vc->cq[1],
		.cap = { .max_send_wr = VC_DEPTH,
			 .max_recv_wr = 1,
			 .max_send_sge = 1,
			 .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
		.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.pd = vc->pd,
		.send_ops_flags = ops,
	};
	struct ibv_qp *qp = ibv_create_qp_ex(vc->ctx, &init);

	if (!qp)
		vc_die("a queue pair with operations %#llx: %s", (unsigned long long)ops, strerror(errno));
	return qp;
}

static bool offers(struct vc *vc, uint64_t cap)
{
	struct ibv_device_attr_ex attr = { 0 };

	return !ibv_query_device_ex(vc->ctx, NULL, &attr) && attr.device_cap_flags_ex & cap;
}

struct ends {
	uint32_t qpn, psn, able, rkey;
};

/* Both sides tell what they can. False: one of them cannot. */
static bool both(struct vc *vc, const char *what, const struct ends *mine, struct ends *theirs)
{
	vc_swap(vc, mine, theirs, sizeof(*mine));
	if (mine->able && theirs->able)
		return true;
	vc_note("%s: not offered by %s", what, mine->able ? "the other device" : "this device");
	return false;
}

/* Words of the other side's memory, each of which is there when its request completes. */
static void atomic_write(struct vc *vc)
{
	struct ends mine = { .psn = 0xfffff0, .able = offers(vc, DEVICE_ATOMIC_WRITE) }, theirs;
	struct ibv_qp_ex *qpx;
	struct ibv_qp *qp = NULL;
	uint32_t step = 0, off = -(VC_SKEW + VC_GUARD) & 7;
	uint64_t *word = (uint64_t *)(vc->rx + VC_GUARD + off), value, before = vc->wrong;
	int i, n;

	if (mine.able) {
		qp = builder_qp(vc, IBV_QP_EX_WITH_ATOMIC_WRITE);
		vc_qp_init(vc, qp);
		mine.qpn = qp->qp_num;
	}
	memset(word, 0, WORDS * 8);
	if (!both(vc, "ATOMIC_WRITE", &mine, &theirs)) {
		if (qp)
			gone(vc, qp);
		return;
	}
	vc_qp_connect(vc, qp, theirs.qpn, mine.psn, theirs.psn, 7, 7, vc->cfg.timeout);
	vc_swap(vc, &step, &step, sizeof(step));
	qpx = ibv_qp_to_qp_ex(qp);
	for (i = 0; i < WORDS; i += n) {
		for (n = 0; n < VC_DEPTH / 2 && i + n < WORDS; n++) {
			value = ~(uint64_t)(i + n) * 0x0101010101010101ULL ^ vc->side;
			ibv_wr_start(qpx);
			qpx->wr_id = i + n;
			qpx->wr_flags = IBV_SEND_SIGNALED;
			ibv_wr_atomic_write(qpx, vc->peer.rx_rkey,
					    vc->peer.rx_addr + VC_GUARD + off + (i + n) * 8,
					    &value);
			if (ibv_wr_complete(qpx))
				vc_die("posting an ATOMIC_WRITE failed");
		}
		for (step = 0; step < (uint32_t)n; step++)
			expect(vc, 0, i + step, IBV_WC_SUCCESS, "ATOMIC_WRITE");
	}
	vc_swap(vc, &step, &step, sizeof(step));
	for (i = 0; i < WORDS; i++) {
		value = ~(uint64_t)i * 0x0101010101010101ULL ^ !vc->side;
		if (memcmp(&word[i], &value, 8))
			vc_wrong(vc, "ATOMIC_WRITE of word %d: %#llx arrived, must be %#llx", i, (unsigned long long)word[i],
				 (unsigned long long)value);
	}
	gone(vc, qp);
	vc_note("%s: ATOMIC_WRITE of %d words each way", vc->wrong == before ? "ok" : "FAILED", WORDS);
}

/*
 * <infiniband/verbs.h> of this age has no call for FLUSH: a WRITE is built, found in the queue that
 * is mapped, and made one before the doorbell.
 */
static bool make_flush(uint64_t wr_id, uint64_t addr, uint32_t len, uint32_t rkey, int level)
{
	struct {
		uint64_t wr_id;
		uint32_t reserved, opcode, flags, imm;
		uint64_t addr;
		uint32_t len, rkey;
		uint8_t type, level;
	} *wqe;
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	char line[512];
	bool done = false;

	while (maps && !done && fgets(line, sizeof(line), maps)) {
		if (!strstr(line, "uverbs") || sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		for (; from + sizeof(*wqe) <= to && !done; from += 8) {
			wqe = (void *)from;
			if (wqe->wr_id != wr_id || wqe->opcode != IBV_WR_RDMA_WRITE)
				continue;
			wqe->opcode = WR_FLUSH;
			wqe->addr = addr;
			wqe->len = len;
			wqe->rkey = rkey;
			wqe->type = FLUSH_GLOBAL;
			wqe->level = level;
			done = true;
		}
	}
	if (maps)
		fclose(maps);
	return done;
}

static void post_flush(struct vc *vc, struct ibv_qp *qp, uint64_t id, uint64_t addr, uint32_t len,
		       uint32_t rkey, int level, enum ibv_wc_status status)
{
	struct ibv_qp_ex *qpx = ibv_qp_to_qp_ex(qp);
	uint64_t wr_id = 0x464c555348000000ULL + id;

	ibv_wr_start(qpx);
	qpx->wr_id = wr_id;
	qpx->wr_flags = IBV_SEND_SIGNALED;
	ibv_wr_rdma_write(qpx, rkey, addr);
	ibv_wr_set_sge_list(qpx, 0, NULL);
	if (!make_flush(wr_id, addr, len, rkey, level))
		vc_die("no FLUSH could be made of a WRITE");
	if (ibv_wr_complete(qpx))
		vc_die("posting a FLUSH failed");
	expect(vc, 0, wr_id, status, "FLUSH");
}

/*
 * Of a range, of the whole region, and without the right. rdma_rxe (6.12) takes the headers of a
 * FLUSH twice into its ICRC and so understands nobody but itself: between two of ours only.
 */
static void flush_remote(struct vc *vc)
{
	bool ours = !strncmp(ibv_get_device_name(vc->ctx->device), "rxe_mos", 7);
	struct ends mine = { .psn = 0xfffff0, .able = ours && offers(vc, DEVICE_FLUSH_GLOBAL) },
		    theirs;
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT,
				    .port_num = 1,
				    .qp_access_flags = ACCESS_FLUSH_GLOBAL };
	struct ibv_qp *qp = NULL;
	struct ibv_mr *mr = NULL;
	uint64_t before = vc->wrong;
	uint32_t step = 0;

	if (mine.able) {
		qp = builder_qp(vc, IBV_QP_EX_WITH_RDMA_WRITE);
		if (ibv_modify_qp(qp, &attr,
				  IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
					  IBV_QP_ACCESS_FLAGS))
			vc_wrong(vc, "a queue pair that lets flush: refused");
		mr = ibv_reg_mr(vc->pd, vc->rx, vc->area,
				ACCESS_FLUSH_GLOBAL | IBV_ACCESS_REMOTE_WRITE |
					IBV_ACCESS_LOCAL_WRITE);
		if (!mr)
			vc_die("a region that lets flush: %s", strerror(errno));
		mine.rkey = mr->rkey;
		mine.qpn = qp->qp_num;
	}
	if (both(vc, "FLUSH", &mine, &theirs)) {
		vc_qp_connect(vc, qp, theirs.qpn, mine.psn, theirs.psn, 7, 7, vc->cfg.timeout);
		vc_swap(vc, &step, &step, sizeof(step));
		post_flush(vc, qp, 1, vc->peer.rx_addr + 100, 5000, theirs.rkey, 0, IBV_WC_SUCCESS);
		post_flush(vc, qp, 2, vc->peer.rx_addr + 100, 5000, theirs.rkey, 1, IBV_WC_SUCCESS);
		vc_swap(vc, &step, &step, sizeof(step));
		if (!vc->side)
			post_flush(vc, qp, 3, vc->peer.rx_addr + 100, 5000, vc->peer.rx_rkey, 0,
				   IBV_WC_REM_ACCESS_ERR);
		vc_swap(vc, &step, &step, sizeof(step));
		vc_note("%s: FLUSH", vc->wrong == before ? "ok" : "FAILED");
	}
	if (qp)
		gone(vc, qp);
	if (mr && ibv_dereg_mr(mr))
		vc_wrong(vc, "ibv_dereg_mr failed");
}

void vc_states(struct vc *vc)
{
	uint32_t step = 0, i;

	vc_alive("trying states and transitions", vc->cfg.stall + 60);
	for (i = 0; vc->side == 0 && i < sizeof(types) / sizeof(types[0]); i++) {
		uint64_t before = vc->wrong;

		transitions(vc, &types[i]);
		missing(vc, &types[i]);
		flush(vc, &types[i]);
		vc_note("%s: states of %s", vc->wrong == before ? "ok" : "FAILED", types[i].name);
	}
	if (vc->side == 0) {
		ranges(vc);
		send_queue_error(vc);
	}
	vc_swap(vc, &step, &step, sizeof(step));
	atomic_write(vc);
	flush_remote(vc);
	vc->messages++;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Error cases: each on a queue pair of its own, started once by either side. What the initiator and
 * the responder see is compared with what the InfiniBand Architecture, volume 1, chapters 9.9 and
 * 10.10, allows; requests behind the failed one are flushed, memory stays as it was, and a round on
 * other queue pairs still succeeds.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vc.h"

#define S(x)	(1u << IBV_WC_##x)

enum trick {
	NOTHING,
	BAD_RKEY_KEY,
	BAD_RKEY_INDEX,
	BEYOND_END,
	BEFORE_START,
	NO_WRITE_RIGHT,
	NO_READ_RIGHT,
	BAD_LKEY,
	LOCAL_BEYOND,
	NO_RECV,
	SHORT_RECV,
	BAD_RECV_LKEY,
	PEER_GONE,
	OWN_ERROR,
};

static const struct err_case {
	const char *name;
	enum ibv_wr_opcode opcode;
	enum trick trick;
	uint32_t len;
	uint32_t first;		/* statuses the first request may end with */
	/* statuses the posted receive may end with; 0: stays posted, or there is none */
	uint32_t recv;
} cases[] = {
	{ "WRITE, key part of the rkey wrong", IBV_WR_RDMA_WRITE, BAD_RKEY_KEY, 5000, S(REM_ACCESS_ERR), S(WR_FLUSH_ERR) },
	{ "WRITE, index part of the rkey wrong", IBV_WR_RDMA_WRITE, BAD_RKEY_INDEX, 10, S(REM_ACCESS_ERR), S(WR_FLUSH_ERR) },
	{ "WRITE, ends behind the region", IBV_WR_RDMA_WRITE, BEYOND_END, 3000, S(REM_ACCESS_ERR), S(WR_FLUSH_ERR) },
	{ "WRITE, starts before the region", IBV_WR_RDMA_WRITE, BEFORE_START, 3000, S(REM_ACCESS_ERR), S(WR_FLUSH_ERR) },
	{ "WRITE to a region without remote write", IBV_WR_RDMA_WRITE, NO_WRITE_RIGHT, 64, S(REM_ACCESS_ERR), S(WR_FLUSH_ERR) },
	{ "READ, key part of the rkey wrong", IBV_WR_RDMA_READ, BAD_RKEY_KEY, 5000, S(REM_ACCESS_ERR), S(WR_FLUSH_ERR) },
	{ "READ, ends behind the region", IBV_WR_RDMA_READ, BEYOND_END, 70000, S(REM_ACCESS_ERR), S(WR_FLUSH_ERR) },
	{ "READ from a region without remote read", IBV_WR_RDMA_READ, NO_READ_RIGHT, 64, S(REM_ACCESS_ERR), S(WR_FLUSH_ERR) },
	{ "CAS, key part of the rkey wrong", IBV_WR_ATOMIC_CMP_AND_SWP, BAD_RKEY_KEY, 8, S(REM_ACCESS_ERR), S(WR_FLUSH_ERR) },
	{ "ADD, ends behind the region", IBV_WR_ATOMIC_FETCH_AND_ADD, BEYOND_END, 8, S(REM_ACCESS_ERR), S(WR_FLUSH_ERR) },
	{ "ADD to a region without remote atomic", IBV_WR_ATOMIC_FETCH_AND_ADD, NO_WRITE_RIGHT, 8, S(REM_ACCESS_ERR), S(WR_FLUSH_ERR) },
	{ "WRITE, lkey wrong", IBV_WR_RDMA_WRITE, BAD_LKEY, 100, S(LOC_PROT_ERR) | S(LOC_QP_OP_ERR), 0 },
	{ "SEND, local buffer ends behind its region", IBV_WR_SEND, LOCAL_BEYOND, 3000, S(LOC_PROT_ERR) | S(LOC_QP_OP_ERR), 0 },
	{ "SEND, no receive posted", IBV_WR_SEND, NO_RECV, 100, S(RNR_RETRY_EXC_ERR), 0 },
	{ "SEND longer than the receive", IBV_WR_SEND, SHORT_RECV, 5000, S(REM_INV_REQ_ERR) | S(REM_OP_ERR),
	  S(LOC_LEN_ERR) | S(REM_INV_REQ_ERR) | S(LOC_QP_OP_ERR) },
	{ "SEND to a receive with a wrong lkey", IBV_WR_SEND, BAD_RECV_LKEY, 100, S(REM_OP_ERR), S(LOC_PROT_ERR) | S(LOC_QP_OP_ERR) },
	{ "SEND to a queue pair that is gone", IBV_WR_SEND, PEER_GONE, 100, S(RETRY_EXC_ERR), 0 },
	{ "SEND on a queue pair in state ERROR", IBV_WR_SEND, OWN_ERROR, 100, S(WR_FLUSH_ERR), 0 },
};

#define NR_CASES	(int)(sizeof(cases) / sizeof(cases[0]))
#define FOLLOWERS	2

static void post_first(struct vc *vc, struct ibv_qp *qp, const struct err_case *c)
{
	struct ibv_sge sge = { .addr = (uintptr_t)vc->tx + VC_GUARD,
			       .length = c->len,
			       .lkey = vc->tx_mr->lkey };
	struct ibv_send_wr wr = { .wr_id = 1,
				  .sg_list = &sge,
				  .num_sge = 1,
				  .opcode = c->opcode,
				  .send_flags = IBV_SEND_SIGNALED };
	struct ibv_send_wr *bad;
	bool read = c->opcode == IBV_WR_RDMA_READ;
	bool atomic = c->opcode == IBV_WR_ATOMIC_CMP_AND_SWP ||
		      c->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD;
	uint64_t base = read ? vc->peer.tx_addr : vc->peer.rx_addr;
	int err;

	wr.wr.rdma.remote_addr = base + VC_GUARD;
	wr.wr.rdma.rkey = read ? vc->peer.tx_rkey : vc->peer.rx_rkey;
	if (read || atomic) {
		sge.addr = (uintptr_t)vc->rx + VC_GUARD;
		sge.lkey = vc->rx_mr->lkey;
	}
	switch (c->trick) {
	case BAD_RKEY_KEY:
		wr.wr.rdma.rkey ^= 0x11;
		break;
	case BAD_RKEY_INDEX:
		wr.wr.rdma.rkey ^= 0x5a5a00;
		break;
	case BEYOND_END:
		wr.wr.rdma.remote_addr = base + vc->area - c->len + 1;
		break;
	case BEFORE_START:
		wr.wr.rdma.remote_addr = base - 1;
		break;
	case NO_WRITE_RIGHT:
		wr.wr.rdma.remote_addr = vc->peer.tx_addr;
		wr.wr.rdma.rkey = vc->peer.tx_rkey;
		break;
	case NO_READ_RIGHT:
		wr.wr.rdma.remote_addr = vc->peer.rx_addr;
		wr.wr.rdma.rkey = vc->peer.rx_rkey;
		break;
	case BAD_LKEY:
		sge.lkey ^= 0x11;
		break;
	case LOCAL_BEYOND:
		sge.addr = (uintptr_t)vc->tx + vc->area - c->len + 1;
		break;
	default:
		break;
	}
	if (atomic) {
		/* the two kinds' fields overlap; librxe wants it aligned */
		uint64_t to = (wr.wr.rdma.remote_addr + 7) & ~7ULL;
		uint32_t key = wr.wr.rdma.rkey;

		wr.wr.atomic.remote_addr = to;
		wr.wr.atomic.rkey = key;
		wr.wr.atomic.compare_add = wr.wr.atomic.swap = 1;
	}
	err = ibv_post_send(qp, &wr, &bad);
	if (err)
		vc_die("%s: ibv_post_send: %s", c->name, strerror(err));
}

static void post_follower(struct vc *vc, struct ibv_qp *qp, uint64_t id)
{
	struct ibv_sge sge = { .addr = (uintptr_t)vc->tx, .length = 8, .lkey = vc->tx_mr->lkey };
	struct ibv_send_wr wr = { .wr_id = id,
				  .sg_list = &sge,
				  .num_sge = 1,
				  .opcode = IBV_WR_SEND,
				  .send_flags = IBV_SEND_SIGNALED };
	struct ibv_send_wr *bad;
	int err = ibv_post_send(qp, &wr, &bad);

	if (err)
		vc_wrong(vc, "ibv_post_send behind a failed request: %s", strerror(err));
}

static uint32_t recv_len(const struct err_case *c)
{
	return c->trick == SHORT_RECV ? 100 : 8000;
}

static void post_recv(struct vc *vc, struct ibv_qp *qp, const struct err_case *c)
{
	struct ibv_sge sge = { .addr = (uintptr_t)vc->rx + VC_GUARD,
			       .length = recv_len(c),
			       .lkey = vc->rx_mr->lkey };
	struct ibv_recv_wr wr = { .wr_id = 7, .sg_list = &sge, .num_sge = 1 }, *bad;

	if (c->trick == BAD_RECV_LKEY)
		sge.lkey ^= 0x11;
	if (ibv_post_recv(qp, &wr, &bad))
		vc_die("ibv_post_recv: %s", strerror(errno));
}

static bool wait_one(struct vc *vc, int which, struct ibv_wc *wc, double seconds)
{
	double end = vc_now() + seconds;

	do {
		if (vc_wait(vc, which, wc, 1, true))
			return true;
	} while (vc_now() < end);
	return false;
}

static void expect(struct vc *vc, const struct err_case *c, int which, uint64_t id,
		   uint32_t allowed)
{
	struct ibv_wc wc;

	if (!wait_one(vc, which, &wc, 15))
		vc_wrong(vc, "%s: no completion of request %llu within 15 s", c->name, (unsigned long long)id);
	else if (wc.wr_id != id || !(allowed & (1u << wc.status)))
		vc_wrong(vc, "%s: request %llu completed with '%s'%s", c->name, (unsigned long long)wc.wr_id,
			 ibv_wc_status_str(wc.status), wc.wr_id != id ? ", out of turn" : "");
}

static void initiate(struct vc *vc, struct ibv_qp *qp, const struct err_case *c)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
	struct ibv_qp_init_attr init;
	int i;

	if (c->trick == OWN_ERROR && ibv_modify_qp(qp, &attr, IBV_QP_STATE))
		vc_wrong(vc, "queue pair to ERROR failed");
	post_first(vc, qp, c);
	for (i = 0; i < FOLLOWERS; i++)
		post_follower(vc, qp, 2 + i);
	expect(vc, c, 0, 1, c->first);
	for (i = 0; i < FOLLOWERS; i++)
		expect(vc, c, 0, 2 + i, S(WR_FLUSH_ERR));
	post_follower(vc, qp, 9);
	expect(vc, c, 0, 9, S(WR_FLUSH_ERR));
	if (ibv_query_qp(qp, &attr, IBV_QP_STATE, &init) || attr.qp_state != IBV_QPS_ERR)
		vc_wrong(vc, "%s: queue pair in state %d afterwards, not ERROR", c->name, attr.qp_state);
}

static void one_case(struct vc *vc, const struct err_case *c, int initiator)
{
	struct { uint32_t qpn, psn; } mine, theirs;
	bool starts = vc->side == initiator, recv = c->trick != NO_RECV && c->trick != PEER_GONE;
	struct ibv_qp *qp = vc_create_qp(vc, IBV_QPT_RC, 0);
	uint64_t before = vc->wrong;
	struct ibv_wc wc;
	uint32_t step = 0;

	vc_alive(c->name, vc->cfg.stall + 60);
	vc_qp_init(vc, qp);
	vc_make_images(vc);
	if (!starts && recv)
		post_recv(vc, qp, c);
	mine.qpn = qp->qp_num;
	mine.psn = 0xfffffe;
	vc_swap(vc, &mine, &theirs, sizeof(mine));
	/* 67 ms, or 0.5 s where a busy host's pause must not look like a peer that is gone */
	vc_qp_connect(vc, qp, theirs.qpn, mine.psn, theirs.psn, 2, 1,
		      c->trick == PEER_GONE ? 14 : 17);
	if (!starts && c->trick == PEER_GONE) {
		if (ibv_destroy_qp(qp))
			vc_wrong(vc, "ibv_destroy_qp failed");
		qp = NULL;
	}
	vc_swap(vc, &step, &step, sizeof(step));
	if (starts)
		initiate(vc, qp, c);
	else if (c->recv)
		expect(vc, c, 1, 7, c->recv);
	vc_swap(vc, &step, &step, sizeof(step));
	if (!starts && recv && !c->recv && vc_wait(vc, 1, &wc, 1, false))
		vc_wrong(vc, "%s: the receive completed with '%s'", c->name, ibv_wc_status_str(wc.status));
	if (qp && ibv_destroy_qp(qp))
		vc_wrong(vc, "ibv_destroy_qp failed");
	/* A message that failed on the way may have left its first packets in the receive. */
	if (!starts && recv && (c->trick == SHORT_RECV || c->trick == LOCAL_BEYOND))
		memcpy(vc->want + VC_GUARD, vc->rx + VC_GUARD, recv_len(c));
	vc_check_images(vc);
	vc->messages++;
	vc_note("%s: %s, started by the %s", vc->wrong == before ? "ok" : "FAILED", c->name, initiator ? "server" : "client");
}

void vc_errors(struct vc *vc)
{
	int i, side;

	for (i = 0; i < NR_CASES; i++)
		for (side = 0; side < 2; side++) {
			vc_make_plan(vc, i);
			/*
			 * No message of the plan takes place in the error case: its images stay as
			 * filled.
			 */
			vc->plan.nops = 0;
			vc->plan.used[0][0] = vc->plan.used[0][1] = vc->plan.used[1][0] =
				vc->plan.used[1][1] = vc->area - VC_GUARD;
			one_case(vc, &cases[i], side);
			vc_make_plan(vc, i);
			vc_rc_round(vc);
		}
}

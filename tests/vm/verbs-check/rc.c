// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One round on the connected queue pairs: post both directions' messages, reap and check every
 * completion.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vc.h"

/* Positions in the plan, by queue pair: what of ours completes next, and what of the peer's. */
struct progress {
	int posted, sends_left, recvs_left;
	int next_send[VC_MAX_QPS], next_recv[VC_MAX_QPS], checked[VC_MAX_QPS];
};

static bool takes_recv(const struct vc_op *op)
{
	return op->opcode == VC_SEND || op->opcode == VC_SEND_IMM || op->opcode == VC_WRITE_IMM;
}

static int qp_of(struct vc *vc, uint32_t qpn)
{
	uint32_t i;

	for (i = 0; i < vc->cfg.qps; i++)
		if (vc->qp[i]->qp_num == qpn)
			return i;
	return -1;
}

static void sges(const struct vc_range *r, int n, const uint8_t *base, uint32_t lkey,
		 struct ibv_sge *out)
{
	int i;

	for (i = 0; i < n; i++)
		out[i] = (struct ibv_sge){ .addr = (uintptr_t)base + r[i].off,
					   .length = r[i].len,
					   .lkey = lkey };
}

static void post_recvs(struct vc *vc, struct progress *p)
{
	struct ibv_sge sge[VC_MAX_SGE];
	struct ibv_recv_wr *bad;
	int i;

	for (i = 0; i < vc->plan.nops; i++) {
		struct vc_op *op = &vc->plan.op[i];
		struct ibv_recv_wr wr = { .wr_id = i, .sg_list = sge, .num_sge = op->npeer };
		int err;

		if (op->dir == vc->side || !takes_recv(op))
			continue;
		sges(op->peer, op->npeer, vc->rx, vc->rx_mr->lkey, sge);
		err = ibv_post_recv(vc->qp[op->qp], &wr, &bad);
		if (err)
			vc_die("ibv_post_recv: %s", strerror(err));
		p->recvs_left++;
	}
}

static void fill_wr(struct vc *vc, int i, struct ibv_send_wr *wr, struct ibv_sge *sge)
{
	static const enum ibv_wr_opcode code[] = {
		[VC_WRITE] = IBV_WR_RDMA_WRITE,		[VC_WRITE_IMM] = IBV_WR_RDMA_WRITE_WITH_IMM,
		[VC_READ] = IBV_WR_RDMA_READ,		[VC_SEND] = IBV_WR_SEND,
		[VC_SEND_IMM] = IBV_WR_SEND_WITH_IMM,	[VC_CAS] = IBV_WR_ATOMIC_CMP_AND_SWP,
		[VC_ADD] = IBV_WR_ATOMIC_FETCH_AND_ADD,
	};
	struct vc_op *op = &vc->plan.op[i];
	bool read = op->opcode == VC_READ, atomic = op->opcode == VC_CAS || op->opcode == VC_ADD;
	bool fetch = read || atomic;

	sges(op->local, op->nlocal, fetch ? vc->rx : vc->tx,
	     fetch ? vc->rx_mr->lkey : vc->tx_mr->lkey, sge);
	*wr = (struct ibv_send_wr){
		.wr_id = i,
		.sg_list = sge,
		.num_sge = op->nlocal,
		.opcode = code[op->opcode],
		.send_flags = (op->signaled ? IBV_SEND_SIGNALED : 0) |
			      (op->inlined ? IBV_SEND_INLINE : 0) |
			      (op->solicited && takes_recv(op) ? IBV_SEND_SOLICITED : 0),
		.imm_data = op->imm,
	};
	if (atomic) {
		wr->wr.atomic.remote_addr = vc->peer.rx_addr + op->target.off;
		wr->wr.atomic.rkey = vc->peer.rx_rkey;
		wr->wr.atomic.compare_add = op->opcode == VC_CAS ? op->compare : 1;
		wr->wr.atomic.swap = op->swap;
		return;
	}
	wr->wr.rdma.remote_addr = (read ? vc->peer.tx_addr : vc->peer.rx_addr) + op->target.off;
	wr->wr.rdma.rkey = read ? vc->peer.tx_rkey : vc->peer.rx_rkey;
}

/* Chains of up to four work requests of one queue pair, as the plan's order gives them. */
static void post_sends(struct vc *vc, struct progress *p)
{
	struct ibv_send_wr wr[4], *bad;
	struct ibv_sge sge[4][VC_MAX_SGE];
	int i, n = 0, err;

	for (i = 0; i <= vc->plan.nops; i++) {
		struct vc_op *op = &vc->plan.op[i];

		if (i < vc->plan.nops && op->dir != vc->side)
			continue;
		if (n && (n == 4 || i == vc->plan.nops || vc->plan.op[wr[0].wr_id].qp != op->qp)) {
			err = ibv_post_send(vc->qp[vc->plan.op[wr[0].wr_id].qp], wr, &bad);
			if (err)
				vc_die("ibv_post_send: %s", strerror(err));
			n = 0;
		}
		if (i == vc->plan.nops)
			break;
		fill_wr(vc, i, &wr[n], sge[n]);
		if (n)
			wr[n - 1].next = &wr[n];
		n++;
		p->sends_left++;
	}
}

static void on_send(struct vc *vc, struct progress *p, const struct ibv_wc *wc)
{
	static const enum ibv_wc_opcode code[] = {
		[VC_WRITE] = IBV_WC_RDMA_WRITE, [VC_WRITE_IMM] = IBV_WC_RDMA_WRITE,
		[VC_READ] = IBV_WC_RDMA_READ,	[VC_SEND] = IBV_WC_SEND,
		[VC_SEND_IMM] = IBV_WC_SEND,	[VC_CAS] = IBV_WC_COMP_SWAP,
		[VC_ADD] = IBV_WC_FETCH_ADD,
	};
	struct vc_op *op;
	int q = qp_of(vc, wc->qp_num), i;

	if (q < 0 || wc->wr_id >= (uint64_t)vc->plan.nops)
		vc_die("send completion of QP %#x, wr_id %llu: never posted", wc->qp_num, (unsigned long long)wc->wr_id);
	op = &vc->plan.op[wc->wr_id];
	if (wc->status != IBV_WC_SUCCESS)
		vc_die("%s of %u bytes on QP %d failed: %s, vendor %#x", vc_op_name[op->opcode], op->len, q,
		       ibv_wc_status_str(wc->status), wc->vendor_err);
	for (i = p->next_send[q]; i < vc->plan.nops; i++) {
		struct vc_op *o = &vc->plan.op[i];

		if (o->dir != vc->side || o->qp != q)
			continue;
		p->sends_left--;
		if (o->signaled)
			break;
	}
	if (i != (int)wc->wr_id)
		vc_die("completion of message %d on QP %d, expected that of %d", (int)wc->wr_id, q, i);
	p->next_send[q] = i + 1;
	if (wc->opcode != code[op->opcode])
		vc_wrong(vc, "completion opcode %d of a %s", wc->opcode, vc_op_name[op->opcode]);
}

/* A receive tells that everything before it on this queue pair has been placed: look at once. */
static void on_recv(struct vc *vc, struct progress *p, const struct ibv_wc *wc)
{
	struct vc_op *op = NULL, *o;
	int q = qp_of(vc, wc->qp_num), i, k;
	bool imm;

	if (vc_ud_late(vc, wc) || vc_uc_late(vc, wc))
		return;
	if (q < 0)
		vc_die("receive completion of an unknown QP %#x", wc->qp_num);
	if (wc->status != IBV_WC_SUCCESS)
		vc_die("receive on QP %d failed: %s, vendor %#x", q, ibv_wc_status_str(wc->status), wc->vendor_err);
	for (i = p->next_recv[q]; i < vc->plan.nops; i++) {
		op = &vc->plan.op[i];
		if (op->dir != vc->side && op->qp == q && takes_recv(op))
			break;
	}
	if (i >= vc->plan.nops || i != (int)wc->wr_id)
		vc_die("receive %d on QP %d completed, expected %d", (int)wc->wr_id, q, i);
	p->next_recv[q] = i + 1;
	p->recvs_left--;
	imm = op->opcode != VC_SEND;
	if (wc->opcode != (op->opcode == VC_WRITE_IMM ? IBV_WC_RECV_RDMA_WITH_IMM : IBV_WC_RECV))
		vc_wrong(vc, "receive completion opcode %d of a %s", wc->opcode, vc_op_name[op->opcode]);
	if (wc->byte_len != op->len)
		vc_wrong(vc, "byte_len %u of a %s of %u bytes", wc->byte_len, vc_op_name[op->opcode], op->len);
	if (!!(wc->wc_flags & IBV_WC_WITH_IMM) != imm || (imm && wc->imm_data != op->imm))
		vc_wrong(vc, "immediate data of a %s: flags %#x, %#x instead of %#x", vc_op_name[op->opcode],
			 wc->wc_flags, wc->imm_data, op->imm);
	for (; p->checked[q] <= i; p->checked[q]++) {
		o = &vc->plan.op[p->checked[q]];
		if (o->dir == vc->side || o->qp != q || o->opcode == VC_READ)
			continue;
		/* others may still count on an ADD's counter */
		if (o->opcode == VC_WRITE || o->opcode == VC_WRITE_IMM || o->opcode == VC_CAS)
			vc_check_range(vc, o, o->target, "at a later receive");
		for (k = 0; k < o->npeer; k++)
			vc_check_range(vc, o, o->peer[k], "at the receive");
	}
}

void vc_rc_round(struct vc *vc)
{
	struct progress p = { 0 };
	struct ibv_wc wc[8];
	uint32_t token = vc->plan.round, theirs;
	int i, n;

	vc_make_images(vc);
	if (!vc->plan.late)
		post_recvs(vc, &p);
	vc_alive("waiting for the other side to be ready for the round", vc->cfg.stall);
	vc_swap(vc, &token, &theirs, sizeof(token));
	if (theirs != token)
		vc_die("out of step: round %u here, %u there", token, theirs);
	post_sends(vc, &p);
	if (vc->plan.late) {
		usleep(5000);
		post_recvs(vc, &p);
	}
	while (p.sends_left || p.recvs_left) {
		vc_alive(p.sends_left ? "waiting for the completion of a send" : "waiting for the completion of a receive",
			 vc->cfg.stall);
		n = p.sends_left ? vc_wait(vc, 0, wc, 8, vc->plan.events && !p.recvs_left) : 0;
		for (i = 0; i < n; i++)
			on_send(vc, &p, &wc[i]);
		n = p.recvs_left ? vc_wait(vc, 1, wc, 8, vc->plan.events) : 0;
		for (i = 0; i < n; i++)
			on_recv(vc, &p, &wc[i]);
	}
	vc_alive("waiting for the other side to end the round", vc->cfg.stall);
	vc_swap(vc, &token, &theirs, sizeof(token));
	if (vc_wait(vc, 0, wc, 1, false) ||
	    (vc_wait(vc, 1, wc, 1, false) && !vc_ud_late(vc, wc) && !vc_uc_late(vc, wc)))
		vc_wrong(vc, "a completion that nothing posted accounts for: QP %#x, status %d", wc->qp_num, wc->status);
	vc_alive("checking", vc->cfg.stall);
	vc_check_images(vc);
	for (i = 0; i < vc->plan.nops; i++) {
		vc->count[vc->plan.op[i].opcode]++;
		vc->messages++;
		vc->bytes += vc->plan.op[i].len;
	}
}

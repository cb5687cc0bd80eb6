// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages on an unreliable connection, both ways. What arrives must be a whole message of this
 * round, in its place; with
 * --lossy one may be missing, come twice or be of the round before.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "vc.h"

#define MSGS		12	/* a round and direction */
#define RECVS		32
#define SLOT		20480	/* bytes: the longest message, and some that must not be touched */
#define LONGEST		20000
#define HALF		(MSGS * SLOT)

/*
 * One buffer: receive requests, then what the peer writes to (message i of an odd round and of an
 * even one have places of their own, so that what comes late cannot hurt), then what is sent.
 */
#define RECV_AT(i)	((size_t)(i) * SLOT)
#define TARGET_AT(r, i)	(RECV_AT(RECVS) + ((r) & 1) * HALF + (size_t)(i) * SLOT)
#define SEND_AT(i)	(TARGET_AT(0, 2 * MSGS) + (size_t)(i) * SLOT)
#define UC_BYTES	SEND_AT(MSGS)

struct message {
	enum vc_opcode opcode;
	uint32_t len, imm, round, number, seen;
	uint64_t fill;
};

static struct message sent[MSGS], due[2][MSGS];	/* due: of this round and of the one before */
static int ndue[2];

static bool has_imm(const struct message *m)
{
	return m->opcode == VC_SEND_IMM || m->opcode == VC_WRITE_IMM;
}

static int plan(struct vc *vc, uint32_t round, int side, struct message *m)
{
	static const enum vc_opcode kind[] = { VC_SEND, VC_SEND_IMM, VC_WRITE, VC_WRITE_IMM };
	struct vc_rng r = { vc->cfg.seed ^ (round * 0xfedcbaULL) ^ ((uint64_t)side << 61) };
	int i, n = 1 + vc_below(&r, MSGS);

	for (i = 0; i < n; i++) {
		m[i] = (struct message){
			.opcode = i == n - 1 ? VC_SEND_IMM : kind[vc_below(&r, 4)],
			.round = round,
			.number = i,
			.imm = vc_rand(&r),
			.fill = vc_rand(&r),
		};
		switch (vc_below(&r, 4)) {
		case 0:
			m[i].len = vc_below(&r, 3);
			break;
		case 1:
			m[i].len = vc->mtu * (1 + vc_below(&r, LONGEST / vc->mtu - 1)) +
				   vc_below(&r, 3) - 1;
			break;
		default:
			m[i].len = vc_below(&r, LONGEST);
		}
	}
	return n;
}

static void post_recv(struct vc *vc, int i)
{
	struct ibv_sge sge = { .addr = (uintptr_t)vc->uc_buf + RECV_AT(i),
			       .length = LONGEST + 100,
			       .lkey = vc->uc_mr->lkey };
	struct ibv_recv_wr wr = { .wr_id = i, .sg_list = &sge, .num_sge = 1 }, *bad;
	int err;

	vc_fill(vc->uc_buf + RECV_AT(i), SLOT, i);
	err = ibv_post_recv(vc->uc, &wr, &bad);
	if (err)
		vc_die("ibv_post_recv (UC): %s", strerror(err));
}

void vc_uc_setup(struct vc *vc)
{
	if (!(vc->cfg.ops & (1u << VC_UC)))
		return;
	if (!vc->uc_buf) {
		vc->uc_buf = mmap(NULL, UC_BYTES, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (vc->uc_buf == MAP_FAILED)
			vc_die("no memory for UC messages");
	}
	vc->uc_mr = ibv_reg_mr(vc->pd, vc->uc_buf, UC_BYTES,
			       IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	if (!vc->uc_mr)
		vc_die("ibv_reg_mr (UC): %s", strerror(errno));
	vc->uc = vc_create_qp(vc, IBV_QPT_UC, 0);
	vc_qp_init(vc, vc->uc);
	vc->me.qpn[VC_MAX_QPS + 1] = vc->uc->qp_num;
	/* wraps soon */
	vc->me.psn[VC_MAX_QPS + 1] = 0xffffff - (vc->cfg.seed & 0xff);
	vc->me.uc_addr = (uintptr_t)vc->uc_buf;
	vc->me.uc_rkey = vc->uc_mr->rkey;
	ndue[0] = ndue[1] = 0;
}

void vc_uc_connect(struct vc *vc)
{
	int i;

	if (!vc->uc)
		return;
	vc_qp_connect(vc, vc->uc, vc->peer.qpn[VC_MAX_QPS + 1], vc->me.psn[VC_MAX_QPS + 1],
		      vc->peer.psn[VC_MAX_QPS + 1], 0, 0, 0);
	for (i = 0; i < RECVS; i++)
		post_recv(vc, i);
}

void vc_uc_teardown(struct vc *vc)
{
	if (!vc->uc)
		return;
	if (ibv_destroy_qp(vc->uc) | ibv_dereg_mr(vc->uc_mr))
		vc_wrong(vc, "destroying the UC queue pair failed");
	vc->uc = NULL;
}

static void post_sends(struct vc *vc, int n)
{
	static const enum ibv_wr_opcode code[] = {
		[VC_WRITE] = IBV_WR_RDMA_WRITE, [VC_WRITE_IMM] = IBV_WR_RDMA_WRITE_WITH_IMM,
		[VC_SEND] = IBV_WR_SEND, [VC_SEND_IMM] = IBV_WR_SEND_WITH_IMM,
	};
	int i, err;

	for (i = 0; i < n; i++) {
		struct message *m = &sent[i];
		uint8_t *p = vc->uc_buf + SEND_AT(i) + (m->imm & 63);
		struct ibv_sge sge = { .addr = (uintptr_t)p,
				       .length = m->len,
				       .lkey = vc->uc_mr->lkey };
		struct ibv_send_wr wr = {
			.wr_id = i,
			.sg_list = &sge,
			.num_sge = !!m->len,
			.opcode = code[m->opcode],
			.send_flags = IBV_SEND_SIGNALED,
			.imm_data = m->imm,
			.wr.rdma = {
				.remote_addr = vc->peer.uc_addr + TARGET_AT(m->round, i),
				.rkey = vc->peer.uc_rkey,
			},
		}, *bad;

		vc_fill(p, m->len, m->fill);
		err = ibv_post_send(vc->uc, &wr, &bad);
		if (err)
			vc_die("ibv_post_send (UC): %s", strerror(err));
	}
}

static bool content_ok(const struct message *m, const uint8_t *data)
{
	static uint8_t want[SLOT];

	vc_fill(want, m->len, m->fill);
	return !memcmp(want, data, m->len);
}

static bool matches(struct vc *vc, const struct message *m, const struct ibv_wc *wc)
{
	bool write = wc->opcode == IBV_WC_RECV_RDMA_WITH_IMM;

	if (m->opcode == VC_WRITE || write != (m->opcode == VC_WRITE_IMM) ||
	    m->len != wc->byte_len || has_imm(m) != !!(wc->wc_flags & IBV_WC_WITH_IMM) ||
	    (has_imm(m) && m->imm != wc->imm_data))
		return false;
	return content_ok(m, vc->uc_buf +
				     (write ? TARGET_AT(m->round, m->number) : RECV_AT(wc->wr_id)));
}

static void took(struct vc *vc, const struct message *m)
{
	vc->messages++;
	vc->bytes += m->len;
	vc->count[VC_UC]++;
}

/* Returns 1 when it is one that had been missing in this round. */
static int on_recv(struct vc *vc, const struct ibv_wc *wc)
{
	struct message *m = NULL, *twice = NULL;
	uint8_t untouched[SLOT], *data;
	int age, i, fresh = 0;

	if (wc->status != IBV_WC_SUCCESS)
		vc_die("receive on the UC queue pair failed: %s", ibv_wc_status_str(wc->status));
	for (age = 0; age <= (int)vc->cfg.lossy && !m; age++)
		for (i = 0; i < ndue[age] && !m; i++) {
			if (!matches(vc, &due[age][i], wc))
				continue;
			if (!due[age][i].seen) {
				m = &due[age][i];
				fresh = !age;
			} else {
				twice = &due[age][i];
			}
		}
	if (m) {
		m->seen = 1;
		took(vc, m);
		if (!fresh)
			vc->uc_lost--;
	} else if (!twice || !vc->cfg.lossy) {
		vc_wrong(vc, "UC message of %u bytes (completion opcode %d, flags %#x) that %s", wc->byte_len, wc->opcode,
			 wc->wc_flags, twice ? "came twice" : "nobody sent like this");
	}
	/*
	 * a message that broke off on the way may have left more bytes than the one that ended here
	 */
	data = vc->uc_buf + RECV_AT(wc->wr_id);
	vc_fill(untouched, SLOT, wc->wr_id);
	i = vc->cfg.lossy			      ? LONGEST + 100
	    : wc->opcode == IBV_WC_RECV_RDMA_WITH_IMM ? 0
						      : wc->byte_len;
	if (i <= SLOT && memcmp(untouched + i, data + i, SLOT - i))
		vc_wrong(vc, "bytes behind a UC message of %u bytes were written", wc->byte_len);
	post_recv(vc, wc->wr_id);
	return fresh;
}

/* A message that came after its round, which has counted it as lost? */
bool vc_uc_late(struct vc *vc, const struct ibv_wc *wc)
{
	if (!vc->uc || wc->qp_num != vc->uc->qp_num)
		return false;
	vc->uc_lost -= on_recv(vc, wc);
	return true;
}

/* Messages that nothing tells of; their round is over, and they had been sent before its last. */
static void check_writes(struct vc *vc)
{
	int i;

	for (i = 0; i < ndue[0]; i++) {
		const struct message *m = &due[0][i];

		if (m->opcode != VC_WRITE)
			continue;
		if (content_ok(m, vc->uc_buf + TARGET_AT(m->round, i)))
			took(vc, m);
		else if (vc->cfg.lossy)
			vc->uc_lost++;
		else
			vc_wrong(vc, "UC WRITE of %u bytes did not arrive", m->len);
	}
}

void vc_uc_round(struct vc *vc, uint32_t round)
{
	double patience = vc->cfg.patience / 1e3, last;
	uint32_t token = ~round, theirs;
	int n, i, sends, missing = 0;
	struct ibv_wc wc[8];

	memcpy(due[1], due[0], sizeof(due[1]));
	ndue[1] = ndue[0];
	ndue[0] = plan(vc, round, !vc->side, due[0]);
	for (i = 0; i < ndue[0]; i++)
		missing += due[0][i].opcode != VC_WRITE;
	sends = plan(vc, round, vc->side, sent);
	vc_alive("waiting for the other side to be ready for UC messages", vc->cfg.stall);
	vc_swap(vc, &token, &theirs, sizeof(token));
	post_sends(vc, sends);
	last = vc_now();
	while (sends || (missing && vc_now() - last < patience)) {
		vc_alive("waiting for completions of UC messages", vc->cfg.stall);
		n = sends ? vc_wait(vc, 0, wc, 8, false) : 0;
		for (i = 0; i < n; i++, sends--)
			if (wc[i].status != IBV_WC_SUCCESS)
				vc_die("sending a UC message: %s", ibv_wc_status_str(wc[i].status));
		n = vc_wait(vc, 1, wc, 8, round & 1);
		for (i = 0; i < n; i++) {
			if (vc_ud_late(vc, &wc[i]))
				continue;
			missing -= on_recv(vc, &wc[i]);
			last = vc_now();
		}
	}
	vc->uc_lost += missing;
	if (missing && !vc->cfg.lossy)
		vc_wrong(vc, "%d of %d UC messages did not arrive", missing, ndue[0]);
	check_writes(vc);
	vc_alive("waiting for the other side to end the round of UC messages", vc->cfg.stall);
	vc_swap(vc, &token, &theirs, sizeof(token));
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Datagrams both ways. A received one must equal, in length, immediate data and content, one that
 * the other side sent in this round (with --lossy: or in the one before). Only with --lossy may one
 * be missing or come twice.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "vc.h"

#define GRH		40
#define RECVS		48
#define SLOT		(4096 + GRH + 64)
#define QKEY		0x1234567

struct datagram {
	uint32_t len, imm, seen;
	bool with_imm;
	uint64_t fill;
};

/* due: of this round and of the one before */
static struct datagram sent[VC_UD_MAX], due[2][VC_UD_MAX];
static int ndue[2];

static int plan(struct vc *vc, uint32_t round, int side, struct datagram *d)
{
	struct vc_rng r = { vc->cfg.seed ^ (round * 0xabcdefULL) ^ ((uint64_t)side << 60) };
	int i, n = 1 + vc_below(&r, VC_UD_MAX);

	for (i = 0; i < n; i++) {
		switch (vc_below(&r, 4)) {
		case 0:
			d[i].len = vc_below(&r, 3);
			break;
		case 1:
			d[i].len = vc->mtu - vc_below(&r, 3);
			break;
		case 2:
			d[i].len = 64 * (1 + vc_below(&r, vc->mtu / 64 - 1)) + vc_below(&r, 3) - 1;
			break;
		default:
			d[i].len = vc_below(&r, vc->mtu + 1);
		}
		d[i].imm = vc_rand(&r);
		d[i].with_imm = vc_below(&r, 2);
		d[i].fill = vc_rand(&r);
		d[i].seen = 0;
	}
	return n;
}

static uint8_t *slot(struct vc *vc, int i)
{
	return vc->ud_buf + 64 + (size_t)i * SLOT;
}

static void post_recv(struct vc *vc, int i)
{
	struct ibv_sge sge[2] = {
		{ .addr = (uintptr_t)slot(vc, i), .length = GRH, .lkey = vc->ud_mr->lkey },
		{ .addr = (uintptr_t)slot(vc, i) + GRH, .length = 4096, .lkey = vc->ud_mr->lkey },
	};
	struct ibv_recv_wr wr = { .wr_id = i, .sg_list = sge, .num_sge = 2 }, *bad;
	int err;

	if (vc->me.max_sge < 2) {
		sge[0].length += sge[1].length;
		wr.num_sge = 1;
	}
	vc_fill(slot(vc, i), SLOT, i);
	err = ibv_post_recv(vc->ud, &wr, &bad);
	if (err)
		vc_die("ibv_post_recv (UD): %s", strerror(err));
}

void vc_ud_setup(struct vc *vc)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT, .port_num = 1, .qkey = QKEY };
	size_t len = 64 + (size_t)(RECVS + VC_UD_MAX) * SLOT;
	int i, err;

	if (!(vc->cfg.ops & (1 << VC_UD)))
		return;
	if (!vc->ud_buf) {
		vc->ud_buf = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  -1, 0);
		if (vc->ud_buf == MAP_FAILED)
			vc_die("no memory for datagrams");
	}
	vc->ud_mr = ibv_reg_mr(vc->pd, vc->ud_buf, len, IBV_ACCESS_LOCAL_WRITE);
	if (!vc->ud_mr)
		vc_die("ibv_reg_mr (UD): %s", strerror(errno));
	vc->ud = vc_create_qp(vc, IBV_QPT_UD, 0);
	err = ibv_modify_qp(vc->ud, &attr,
			    IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY);
	attr.qp_state = IBV_QPS_RTR;
	err = err ?: ibv_modify_qp(vc->ud, &attr, IBV_QP_STATE);
	attr.qp_state = IBV_QPS_RTS;
	attr.sq_psn = vc->cfg.seed & 0xffffff;
	err = err ?: ibv_modify_qp(vc->ud, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN);
	if (err)
		vc_die("UD queue pair to RTS: %s", strerror(err));
	vc->me.qpn[VC_MAX_QPS] = vc->ud->qp_num;
	for (i = 0; i < RECVS; i++)
		post_recv(vc, i);
	ndue[0] = ndue[1] = 0;
}

void vc_ud_teardown(struct vc *vc)
{
	int err = 0;

	if (!vc->ud)
		return;
	if (vc->ah)
		err = ibv_destroy_ah(vc->ah);
	err |= ibv_destroy_qp(vc->ud) | ibv_dereg_mr(vc->ud_mr);
	vc->ah = NULL;
	vc->ud = NULL;
	if (err)
		vc_wrong(vc, "destroying the UD queue pair failed");
}

static void post_sends(struct vc *vc, int n)
{
	int i, err;

	for (i = 0; i < n; i++) {
		struct datagram *d = &sent[i];
		uint8_t *p = slot(vc, RECVS + i) + (d->imm & 31);
		uint32_t first = d->imm & 0x100 ? d->len / 3 : d->len;
		struct ibv_sge sge[2] = {
			{ .addr = (uintptr_t)p, .length = first, .lkey = vc->ud_mr->lkey },
			{ .addr = (uintptr_t)p + first,
			  .length = d->len - first,
			  .lkey = vc->ud_mr->lkey },
		};
		struct ibv_send_wr wr = {
			.wr_id = 1000 + i,
			.sg_list = sge,
			.num_sge = !d->len ? 0 : first && first < d->len ? 2 : 1,
			.opcode = d->with_imm ? IBV_WR_SEND_WITH_IMM : IBV_WR_SEND,
			.send_flags = IBV_SEND_SIGNALED,
			.imm_data = d->imm,
			.wr.ud = {
				.ah = vc->ah, .remote_qpn = vc->peer.qpn[VC_MAX_QPS],
				.remote_qkey = QKEY,
			},
		}, *bad;

		if (wr.num_sge == 1)
			sge[0].length = d->len;
		vc_fill(p, d->len, d->fill);
		err = ibv_post_send(vc->ud, &wr, &bad);
		if (err)
			vc_die("ibv_post_send (UD): %s", strerror(err));
	}
}

static bool matches(const struct datagram *d, const struct ibv_wc *wc, const uint8_t *data)
{
	uint8_t want[4096];
	bool imm = wc->wc_flags & IBV_WC_WITH_IMM;

	if (d->len + GRH != wc->byte_len || d->with_imm != imm || (imm && d->imm != wc->imm_data))
		return false;
	vc_fill(want, d->len, d->fill);
	return !memcmp(want, data, d->len);
}

static void check_grh(struct vc *vc, const struct ibv_wc *wc, const uint8_t *grh)
{
	const uint8_t *gid = vc->peer.gid.raw;
	bool same = vc->cfg.ipv6 ? !memcmp(grh + 8, gid, 16) : !memcmp(grh + 20 + 12, gid + 12, 4);

	if (!(wc->wc_flags & IBV_WC_GRH) || !same)
		vc_wrong(vc, "datagram without the sender's address in its GRH (flags %#x)", wc->wc_flags);
	if (wc->src_qp != vc->peer.qpn[VC_MAX_QPS])
		vc_wrong(vc, "datagram with src_qp %#x instead of %#x", wc->src_qp, vc->peer.qpn[VC_MAX_QPS]);
}

/* Returns 1 when it is one that had been missing in this round. */
static int on_recv(struct vc *vc, const struct ibv_wc *wc)
{
	uint8_t untouched[SLOT], *data = slot(vc, wc->wr_id) + GRH;
	struct datagram *d = NULL, *twice = NULL;
	int age, i, fresh = 0;

	if (wc->status != IBV_WC_SUCCESS)
		vc_die("receive of a datagram failed: %s", ibv_wc_status_str(wc->status));
	check_grh(vc, wc, data - GRH);
	for (age = 0; age <= (int)vc->cfg.lossy && !d; age++)
		for (i = 0; i < ndue[age] && !d; i++) {
			if (!matches(&due[age][i], wc, data))
				continue;
			if (!due[age][i].seen) {
				d = &due[age][i];
				fresh = !age;
			} else {
				twice = &due[age][i];
			}
		}
	if (d) {
		d->seen = 1;
		vc->messages++;
		vc->bytes += d->len;
		vc->count[VC_UD]++;
		if (!fresh)
			vc->ud_lost--;
	} else if (twice && vc->cfg.lossy) {
		vc->ud_twice++;
	} else {
		vc_wrong(vc, "datagram of %u bytes that %s", wc->byte_len - GRH, twice ? "came twice" : "nobody sent like this");
	}
	vc_fill(untouched, SLOT, wc->wr_id);
	if (wc->byte_len <= GRH + 4096 &&
	    memcmp(untouched + wc->byte_len, slot(vc, wc->wr_id) + wc->byte_len,
		   SLOT - wc->byte_len))
		vc_wrong(vc, "bytes behind a datagram of %u bytes were written", wc->byte_len - GRH);
	post_recv(vc, wc->wr_id);
	return fresh;
}

/*
 * A datagram that came after its round, which has counted it as lost? All kinds share a completion
 * queue.
 */
bool vc_ud_late(struct vc *vc, const struct ibv_wc *wc)
{
	if (!vc->ud || wc->qp_num != vc->ud->qp_num)
		return false;
	vc->ud_lost -= on_recv(vc, wc);
	return true;
}

static void make_ah(struct vc *vc)
{
	struct ibv_ah_attr attr = {
		.is_global = 1,
		.port_num = 1,
		.grh = { .dgid = vc->peer.gid, .sgid_index = vc->gid_index, .hop_limit = 64 },
	};

	vc->ah = ibv_create_ah(vc->pd, &attr);
	if (!vc->ah)
		vc_die("ibv_create_ah: %s", strerror(errno));
}

void vc_ud_round(struct vc *vc, uint32_t round)
{
	/* A lost datagram cannot be told from a slow one. */
	double patience = vc->cfg.patience / 1e3, last;
	uint32_t token = ~round, theirs;
	int n, i, sends, missing;
	struct ibv_wc wc[8];

	if (!vc->ah)
		make_ah(vc);
	memcpy(due[1], due[0], sizeof(due[1]));
	ndue[1] = ndue[0];
	ndue[0] = missing = plan(vc, round, !vc->side, due[0]);
	sends = plan(vc, round, vc->side, sent);
	vc_alive("waiting for the other side to be ready for datagrams", vc->cfg.stall);
	vc_swap(vc, &token, &theirs, sizeof(token));
	post_sends(vc, sends);
	last = vc_now();
	while (sends || (missing && vc_now() - last < patience)) {
		vc_alive("waiting for completions of datagrams", vc->cfg.stall);
		n = sends ? vc_wait(vc, 0, wc, 8, false) : 0;
		for (i = 0; i < n; i++, sends--)
			if (wc[i].status != IBV_WC_SUCCESS || wc[i].opcode != IBV_WC_SEND)
				vc_die("sending a datagram: %s", ibv_wc_status_str(wc[i].status));
		n = vc_wait(vc, 1, wc, 8, round & 1);
		for (i = 0; i < n; i++) {
			if (vc_uc_late(vc, &wc[i]))
				continue;
			missing -= on_recv(vc, &wc[i]);
			last = vc_now();
		}
	}
	vc->ud_lost += missing;
	if (missing && !vc->cfg.lossy)
		vc_wrong(vc, "%d of %d datagrams did not arrive", missing, ndue[0]);
	vc_alive("waiting for the other side to end the round of datagrams", vc->cfg.stall);
	vc_swap(vc, &token, &theirs, sizeof(token));
}

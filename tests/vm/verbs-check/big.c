// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One WRITE and one READ of up to 2 GiB, the longest that there are. Neither side has such memory: both buffers are
 * one piece, mapped again and again, so that what lands at a wrong place within a piece is seen.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vc.h"

#define PIECE	(16u << 20)

static uint8_t *repeated(uint64_t len)
{
	int fd = memfd_create("verbs-check", 0);
	uint8_t *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t off;

	if (fd < 0 || ftruncate(fd, PIECE) || p == MAP_FAILED)
		vc_die("memory for the long message: %s", strerror(errno));
	for (off = 0; off < len; off += PIECE)
		if (mmap(p + off, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			vc_die("mapping the long message: %s", strerror(errno));
	close(fd);
	return p;
}

static void one(struct vc *vc, struct ibv_qp *qp, enum ibv_wr_opcode opcode, struct ibv_mr *mr, uint64_t addr, uint32_t rkey)
{
	struct ibv_sge sge = { .addr = (uintptr_t)mr->addr, .length = vc->cfg.big, .lkey = mr->lkey };
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = opcode,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { .remote_addr = addr, .rkey = rkey },
	}, *bad;
	const char *name = opcode == IBV_WR_RDMA_READ ? "READ" : "WRITE";
	double start = vc_now();
	struct ibv_wc wc;
	int err;

	vc_alive(name, 900);
	err = ibv_post_send(qp, &wr, &bad);
	if (err)
		vc_die("posting a %s of %u bytes: %s", name, vc->cfg.big, strerror(err));
	while (!vc_wait(vc, 0, &wc, 1, true))
		;
	if (wc.status != IBV_WC_SUCCESS)
		vc_die("%s of %u bytes: %s", name, vc->cfg.big, ibv_wc_status_str(wc.status));
	vc_note("%s of %u bytes: %.1f s", name, vc->cfg.big, vc_now() - start);
	vc->messages++;
	vc->bytes += vc->cfg.big;
}

static void check(struct vc *vc, const uint8_t *p, uint64_t seed, const char *what)
{
	uint8_t *want = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (want == MAP_FAILED)
		vc_die("no memory");
	vc_fill(want, PIECE, seed);
	if (memcmp(want, p, PIECE))
		vc_wrong(vc, "%s: other bytes than were sent", what);
	munmap(want, PIECE);
}

void vc_big(struct vc *vc)
{
	struct { uint64_t addr; uint32_t rkey, qpn, psn, pad; } mine = { .psn = 0xfff000 }, theirs;
	uint64_t len = ((uint64_t)vc->cfg.big + PIECE - 1) / PIECE * PIECE;
	uint8_t *src = repeated(len), *dst = repeated(len);
	struct ibv_qp *qp = vc_create_qp(vc, IBV_QPT_RC, 0);
	struct ibv_mr *out, *in;
	uint32_t step = 0;

	vc_alive("registering long buffers", 300);
	out = ibv_reg_mr(vc->pd, src, len, IBV_ACCESS_REMOTE_READ);
	in = ibv_reg_mr(vc->pd, dst, len, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	if (!out || !in)
		vc_die("ibv_reg_mr of %llu bytes: %s", (unsigned long long)len, strerror(errno));
	vc_fill(src, PIECE, vc->cfg.seed + vc->side);
	vc_qp_init(vc, qp);
	/* the client writes to the server, then reads from it */
	mine.addr = (uintptr_t)dst;
	mine.rkey = in->rkey;
	mine.qpn = qp->qp_num;
	vc_swap(vc, &mine, &theirs, sizeof(mine));
	vc_qp_connect(vc, qp, theirs.qpn, mine.psn, theirs.psn, 7, 7, 20);
	vc_swap(vc, &step, &step, sizeof(step));
	if (!vc->side)
		one(vc, qp, IBV_WR_RDMA_WRITE, out, theirs.addr, theirs.rkey);
	vc_alive("the other side's long message", 900);
	vc_swap(vc, &step, &step, sizeof(step));
	if (vc->side)
		check(vc, dst, vc->cfg.seed, "WRITE");
	mine.addr = (uintptr_t)src;
	mine.rkey = out->rkey;
	vc_swap(vc, &mine, &theirs, sizeof(mine));
	if (!vc->side) {
		one(vc, qp, IBV_WR_RDMA_READ, in, theirs.addr, theirs.rkey);
		check(vc, dst, vc->cfg.seed + 1, "READ");
	}
	vc_alive("the other side's long message", 900);
	vc_swap(vc, &step, &step, sizeof(step));
	if (ibv_destroy_qp(qp) | ibv_dereg_mr(out) | ibv_dereg_mr(in) | munmap(src, len) | munmap(dst, len))
		vc_wrong(vc, "giving back the long buffers failed");
}

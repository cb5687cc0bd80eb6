// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One WRITE and one READ of up to 2 GiB, the longest that there are. Neither side has such memory:
 * both buffers are one piece, mapped again and again, so that what lands at a wrong place within a
 * piece is seen.
 *
 * And: the client reads without end, while the server sends on the same queue pair.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vc.h"

#define PIECE	(16u << 20)
#define READS	2	/* outstanding: the responder always has one to answer */
#define SENDS	16
#define SEND_BYTES	64

static uint8_t *repeated(uint64_t len)
{
	int fd = memfd_create("verbs-check", 0);
	uint8_t *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t off;

	if (fd < 0 || ftruncate(fd, PIECE) || p == MAP_FAILED)
		vc_die("memory for the long message: %s", strerror(errno));
	for (off = 0; off < len; off += PIECE)
		if (mmap(p + off, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED)
			vc_die("mapping the long message: %s", strerror(errno));
	close(fd);
	return p;
}

static void one(struct vc *vc, struct ibv_qp *qp, enum ibv_wr_opcode opcode, struct ibv_mr *mr,
		uint64_t addr, uint32_t rkey)
{
	struct ibv_sge sge = { .addr = (uintptr_t)mr->addr,
			       .length = vc->cfg.big,
			       .lkey = mr->lkey };
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
	uint8_t *want = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);

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
	if (ibv_destroy_qp(qp) | ibv_dereg_mr(out) | ibv_dereg_mr(in) | munmap(src, len) |
	    munmap(dst, len))
		vc_wrong(vc, "giving back the long buffers failed");
}

static void post_read(struct vc *vc, struct ibv_qp *qp, struct ibv_mr *mr, uint64_t addr,
		      uint32_t rkey)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)mr->addr, .length = vc->cfg.beside, .lkey = mr->lkey,
	};
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_READ,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { .remote_addr = addr, .rkey = rkey },
	}, *bad;
	int err = ibv_post_send(qp, &wr, &bad);

	if (err)
		vc_die("posting a READ of %u bytes: %s", vc->cfg.beside, strerror(err));
}

static void wait_wc(struct vc *vc, int which, struct ibv_wc *wc, const char *what)
{
	while (!vc_wait(vc, which, wc, 1, true))
		;
	if (wc->status != IBV_WC_SUCCESS)
		vc_die("%s: %s", what, ibv_wc_status_str(wc->status));
}

/*
 * Posts READs until all of the server's SENDs have come. The first is done before the server
 * begins.
 */
static void read_on(struct vc *vc, struct ibv_qp *qp, struct ibv_mr *mr, uint64_t addr,
		    uint32_t rkey)
{
	uint32_t posted = 0, done = 0, sends = 0, step = 0;
	struct ibv_wc wc;

	while (sends < SENDS) {
		for (; posted - done < READS; posted++)
			post_read(vc, qp, mr, addr, rkey);
		if (!done) {
			wait_wc(vc, 0, &wc, "READ");
			done++;
			post_read(vc, qp, mr, addr, rkey);
			posted++;
			vc_swap(vc, &step, &step, sizeof(step));
		}
		if (vc_wait(vc, 0, &wc, 1, false)) {
			if (wc.status != IBV_WC_SUCCESS)
				vc_die("READ: %s", ibv_wc_status_str(wc.status));
			done++;
		}
		if (vc_wait(vc, 1, &wc, 1, true)) {
			if (wc.status != IBV_WC_SUCCESS || wc.byte_len != SEND_BYTES)
				vc_die("SEND: %s, %u bytes", ibv_wc_status_str(wc.status), wc.byte_len);
			sends++;
		}
	}
	for (; done < posted; done++)
		wait_wc(vc, 0, &wc, "READ");
	vc_note("%u SENDs came beside %u READs of %u bytes", sends, done, vc->cfg.beside);
}

/* One at a time, each when the one before it is complete. */
static void send_beside(struct vc *vc, struct ibv_qp *qp, struct ibv_mr *mr)
{
	struct ibv_sge sge = { .addr = (uintptr_t)mr->addr,
			       .length = SEND_BYTES,
			       .lkey = mr->lkey };
	struct ibv_send_wr wr = {
		.sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	}, *bad;
	struct ibv_wc wc;
	uint32_t i;
	int err;

	for (i = 0; i < SENDS; i++) {
		err = ibv_post_send(qp, &wr, &bad);
		if (err)
			vc_die("posting a SEND: %s", strerror(err));
		wait_wc(vc, 0, &wc, "SEND");
		vc->messages++;
		vc->bytes += SEND_BYTES;
	}
}

void vc_beside(struct vc *vc)
{
	struct { uint64_t addr; uint32_t rkey, qpn, psn, pad; } mine = { .psn = 0xfff000 }, theirs;
	uint64_t len = ((uint64_t)vc->cfg.beside + PIECE - 1) / PIECE * PIECE;
	struct ibv_qp *qp = vc_create_qp(vc, IBV_QPT_RC, 0);
	struct ibv_recv_wr wr = { .num_sge = 1 }, *bad;
	uint8_t *p = repeated(len), *inbox = repeated(PIECE);
	struct ibv_mr *mr, *inbox_mr;
	struct ibv_sge sge;
	uint32_t i, step = 0;

	vc_alive("a READ without end, and SENDs beside it", 120);
	mr = ibv_reg_mr(vc->pd, p, len, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ);
	inbox_mr = ibv_reg_mr(vc->pd, inbox, PIECE, IBV_ACCESS_LOCAL_WRITE);
	if (!mr || !inbox_mr)
		vc_die("ibv_reg_mr of %llu bytes: %s", (unsigned long long)len, strerror(errno));
	if (vc->side)
		vc_fill(p, PIECE, vc->cfg.seed);
	vc_qp_init(vc, qp);
	sge = (struct ibv_sge){ .addr = (uintptr_t)inbox, .length = PIECE, .lkey = inbox_mr->lkey };
	wr.sg_list = &sge;
	for (i = 0; !vc->side && i < SENDS; i++)
		if (ibv_post_recv(qp, &wr, &bad))
			vc_die("posting a receive: %s", strerror(errno));
	mine.addr = (uintptr_t)p;
	mine.rkey = mr->rkey;
	mine.qpn = qp->qp_num;
	vc_swap(vc, &mine, &theirs, sizeof(mine));
	vc_qp_connect(vc, qp, theirs.qpn, mine.psn, theirs.psn, 7, 7, 20);
	vc_swap(vc, &step, &step, sizeof(step));
	if (vc->side) {
		/* it says when it reads */
		vc_swap(vc, &step, &step, sizeof(step));
		send_beside(vc, qp, mr);
	} else {
		read_on(vc, qp, mr, theirs.addr, theirs.rkey);
		check(vc, p, vc->cfg.seed, "READ");
	}
	vc_swap(vc, &step, &step, sizeof(step));
	if (ibv_destroy_qp(qp) | ibv_dereg_mr(mr) | ibv_dereg_mr(inbox_mr) | munmap(p, len) |
	    munmap(inbox, PIECE))
		vc_wrong(vc, "giving back the long buffers failed");
}

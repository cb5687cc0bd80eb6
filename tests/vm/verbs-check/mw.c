// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that a key opens, and when it stops to: memory windows of types 1 and 2B, invalidation by
 * work request and by the peer, and re-registration. The client (the owner) gives rights to a
 * buffer, the server (the guest) uses them or must be refused. Rules: InfiniBand Architecture,
 * volume 1, section 10.6. The owner is not rdma_rxe: that of Linux 6.1 looks at the bounds of a
 * window's region and not at the window's, and cannot destroy a queue pair that a window is bound
 * on.
 */
#include <errno.h>
#include <rdma/ib_user_verbs.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vc.h"

#define S(x)		(1u << IBV_WC_##x)
#define OK		S(SUCCESS)
#define REFUSED		S(REM_ACCESS_ERR)
/* The specification has one status for a failed operation on keys; rdma_rxe also uses another. */
#define BAD_LOCAL	(S(MW_BIND_ERR) | S(LOC_QP_OP_ERR))

#define BUF		40000	/* bytes of the owner's buffer */
#define OFF		5000	/* the part that is opened */
#define LEN		20000
#define FULL		(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | \
			 IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_MW_BIND)
#define RW		(IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

struct key {
	uint64_t addr;		/* of the first byte that is opened */
	uint32_t rkey;
};

struct mem {
	struct vc *vc;
	const char *name;
	struct ibv_qp *qp;
	struct ibv_pd *pd2;
	uint8_t *page, *buf;	/* buf: anywhere in its page */
	struct ibv_mr *mr;
	struct key key;		/* the owner's, the guest's copy of it */
	uint32_t tries;
};

static bool own(const struct mem *m)
{
	return m->vc->side == 0;
}

static void in_step(struct mem *m)
{
	uint32_t step = 0;

	vc_swap(m->vc, &step, &step, sizeof(step));
}

/* From state RESET */
static void connect_qps(struct mem *m)
{
	struct { uint32_t qpn, psn; } mine, theirs;
	struct vc *vc = m->vc;

	vc_qp_init(vc, m->qp);
	mine.qpn = m->qp->qp_num;
	mine.psn = 0xfffffc;
	vc_swap(vc, &mine, &theirs, sizeof(mine));
	vc_qp_connect(vc, m->qp, theirs.qpn, mine.psn, theirs.psn, 3, 3, 16);
	in_step(m);
}

static void reconnect(struct mem *m)
{
	if (m->qp && ibv_destroy_qp(m->qp))
		vc_wrong(m->vc, "%s: ibv_destroy_qp failed", m->name);
	m->qp = vc_create_qp(m->vc, IBV_QPT_RC, 0);
	connect_qps(m);
}

static void done(struct mem *m, int which, const char *what, uint32_t allowed, struct ibv_wc *wc)
{
	double end = vc_now() + 15;

	do {
		if (!vc_wait(m->vc, which, wc, 1, true))
			continue;
		if (!(allowed & (1u << wc->status)))
			vc_wrong(m->vc, "%s: %s ended with '%s'", m->name, what, ibv_wc_status_str(wc->status));
		return;
	} while (vc_now() < end);
	vc_wrong(m->vc, "%s: no completion of %s within 15 s", m->name, what);
	memset(wc, 0, sizeof(*wc));
}

static void post(struct mem *m, struct ibv_send_wr *wr, const char *what, uint32_t allowed)
{
	struct ibv_send_wr *bad;
	struct ibv_wc wc;
	int err;

	wr->send_flags |= IBV_SEND_SIGNALED;
	err = ibv_post_send(m->qp, wr, &bad);
	if (err)
		vc_wrong(m->vc, "%s: ibv_post_send of %s: %s", m->name, what, strerror(err));
	else
		done(m, 0, what, allowed, &wc);
}

/*
 * The guest writes and reads @len bytes from @off of the opened part on; the owner looks at its
 * buffer.
 */
static void access_one(struct mem *m, enum ibv_wr_opcode opcode, int32_t off, uint32_t len,
		       uint32_t allowed)
{
	static const char *const names[] = { [IBV_WR_RDMA_WRITE] = "WRITE", [IBV_WR_RDMA_READ] = "READ" };
	struct vc *vc = m->vc;
	uint64_t seed = vc->cfg.seed + ++m->tries, place = (uintptr_t)(m->buf + OFF) + off;
	bool write = opcode == IBV_WR_RDMA_WRITE;
	uint8_t *mine = write ? vc->tx : vc->rx, want[LEN];
	uint32_t i;

	vc_swap(vc, &m->key, own(m) ? (void *)&(struct key){ 0 } : &m->key, sizeof(m->key));
	vc_fill(want, len, seed);
	if (own(m)) {
		vc_fill(m->buf, BUF, ~seed);
		if (!write)
			memcpy((void *)(uintptr_t)place, want, len);
	}
	in_step(m);
	if (!own(m)) {
		struct ibv_sge sge = { (uintptr_t)mine, len,
				       write ? vc->tx_mr->lkey : vc->rx_mr->lkey };
		struct ibv_send_wr wr = {
			.wr_id = 1, .sg_list = &sge, .num_sge = 1, .opcode = opcode
		};

		wr.wr.rdma.remote_addr = m->key.addr + off;
		wr.wr.rdma.rkey = m->key.rkey;
		if (write)
			memcpy(mine, want, len);
		else
			memset(mine, 0x5a, len);
		post(m, &wr, names[opcode], allowed);
		for (i = 0; !write && i < len; i++)
			if (mine[i] != (allowed == OK ? want[i] : 0x5a)) {
				vc_wrong(vc, "%s: byte %u of what was read is wrong", m->name, i);
				break;
			}
	}
	in_step(m);
	if (own(m)) {
		uint8_t *should = vc->rx;	/* not used on this side: large enough */

		vc_fill(should, BUF, ~seed);
		if (!write || allowed == OK)
			memcpy(should + (place - (uintptr_t)m->buf), want, len);
		for (i = 0; i < BUF; i++)
			if (m->buf[i] != should[i]) {
				vc_wrong(vc, "%s: byte %u of the owner's buffer is wrong after a %s", m->name, i, names[opcode]);
				break;
			}
	}
}

static void may(struct mem *m, int32_t off, uint32_t len)
{
	access_one(m, IBV_WR_RDMA_WRITE, off, len, OK);
	access_one(m, IBV_WR_RDMA_READ, off, len, OK);
}

/* A refused access ends the queue pairs on both sides. */
static void may_not(struct mem *m, enum ibv_wr_opcode opcode, int32_t off, uint32_t len)
{
	access_one(m, opcode, off, len, REFUSED);
	reconnect(m);
}

static struct ibv_mw *alloc_mw(struct mem *m, struct ibv_pd *pd, enum ibv_mw_type type)
{
	struct ibv_mw *mw = ibv_alloc_mw(pd, type);

	if (!mw)
		vc_die("%s: ibv_alloc_mw: %s", m->name, strerror(errno));
	return mw;
}

static void dealloc_mw(struct mem *m, struct ibv_mw *mw)
{
	int err = ibv_dealloc_mw(mw);

	if (err)
		vc_wrong(m->vc, "%s: ibv_dealloc_mw: %s", m->name, strerror(err));
}

/* Type 1, by the verb. Length 0 unbinds. */
static void bind1(struct mem *m, struct ibv_mw *mw, uint32_t off, uint32_t len, int access)
{
	struct ibv_mw_bind b = { .wr_id = 2, .send_flags = IBV_SEND_SIGNALED };
	struct ibv_wc wc;
	int err;

	/* librxe looks at the region even if there is nothing to bind */
	b.bind_info = (struct ibv_mw_bind_info){ m->mr, (uintptr_t)m->buf + off, len, access };
	err = ibv_bind_mw(m->qp, mw, &b);
	if (err) {
		vc_wrong(m->vc, "%s: ibv_bind_mw: %s", m->name, strerror(err));
		return;
	}
	done(m, 0, "a bind", OK, &wc);
	if (wc.opcode != IBV_WC_BIND_MW)
		vc_wrong(m->vc, "%s: a bind completed as opcode %d", m->name, wc.opcode);
	m->key = (struct key){ (uintptr_t)m->buf + off, mw->rkey };
}

/* Type 2, by a request. The new key is told from the old one by its last byte. */
static void bind2(struct mem *m, struct ibv_mw *mw, struct ibv_mr *mr, uint64_t addr, uint64_t len,
		  int access, uint32_t allowed)
{
	struct ibv_send_wr wr = { .wr_id = 3, .opcode = IBV_WR_BIND_MW };

	wr.bind_mw.mw = mw;
	wr.bind_mw.rkey = ibv_inc_rkey(mw->rkey);
	wr.bind_mw.bind_info = (struct ibv_mw_bind_info){ mr, addr, len, access };
	post(m, &wr, "a bind", allowed);
	if (allowed != OK)
		return;
	mw->rkey = wr.bind_mw.rkey;
	m->key = (struct key){ access & IBV_ACCESS_ZERO_BASED ? 0 : addr, mw->rkey };
}

static void local_inv(struct mem *m, uint32_t rkey, uint32_t allowed)
{
	struct ibv_send_wr wr = { .wr_id = 4, .opcode = IBV_WR_LOCAL_INV, .invalidate_rkey = rkey };

	post(m, &wr, "a LOCAL_INV", allowed);
}

static void type1(struct mem *m)
{
	struct ibv_mw *mw = NULL;
	struct key old;
	int err;

	if (own(m)) {
		mw = alloc_mw(m, m->vc->pd, IBV_MW_TYPE_1);
		bind1(m, mw, OFF, LEN, RW);
	}
	may(m, 0, LEN);
	may(m, 7, 1);
	may_not(m, IBV_WR_RDMA_WRITE, LEN - 10, 11);
	may_not(m, IBV_WR_RDMA_READ, -1, 1);
	old = m->key;
	if (own(m)) {
		err = ibv_dereg_mr(m->mr);
		if (!err)
			vc_die("%s: a region with a window bound was deregistered", m->name);
		bind1(m, mw, OFF, LEN - 1, IBV_ACCESS_REMOTE_READ);
		if (m->key.rkey == old.rkey)
			vc_wrong(m->vc, "%s: a new bind has the old key", m->name);
	}
	access_one(m, IBV_WR_RDMA_READ, 0, LEN - 1, OK);
	may_not(m, IBV_WR_RDMA_READ, 0, LEN);
	may_not(m, IBV_WR_RDMA_WRITE, 0, 8);
	if (own(m))
		m->key = old;
	may_not(m, IBV_WR_RDMA_READ, 0, 8);
	if (own(m)) {
		bind1(m, mw, 0, 0, 0);
		m->key.addr = old.addr;
	}
	may_not(m, IBV_WR_RDMA_READ, 0, 8);
	if (own(m)) {
		bind1(m, mw, OFF, LEN, RW);
		dealloc_mw(m, mw);
	}
	may_not(m, IBV_WR_RDMA_WRITE, 0, 8);
}

static void type2(struct mem *m)
{
	uint64_t at = (uintptr_t)m->buf + OFF;
	struct ibv_mw *mw = NULL;

	if (own(m)) {
		mw = alloc_mw(m, m->vc->pd, IBV_MW_TYPE_2);
		m->key = (struct key){ at, mw->rkey };
	}
	may_not(m, IBV_WR_RDMA_READ, 0, 1);
	if (own(m))
		bind2(m, mw, m->mr, at, LEN, RW, OK);
	may(m, 0, LEN);
	may(m, LEN - 1, 1);
	if (own(m)) {
		local_inv(m, mw->rkey, OK);
		bind2(m, mw, m->mr, at, LEN, RW, OK);
	}
	may(m, 1, LEN - 1);
	/* the queue pair that it was bound on ends with this: no other may use it */
	may_not(m, IBV_WR_RDMA_WRITE, 1, LEN);
	may_not(m, IBV_WR_RDMA_WRITE, 0, 8);
	if (own(m)) {
		dealloc_mw(m, mw);
		mw = alloc_mw(m, m->vc->pd, IBV_MW_TYPE_2);
		bind2(m, mw, m->mr, at, LEN, RW | IBV_ACCESS_ZERO_BASED, OK);
	}
	may(m, 0, LEN);
	may_not(m, IBV_WR_RDMA_READ, 10, LEN - 9);
	if (own(m))
		dealloc_mw(m, mw);
}

/* Binds a window of type 2 to the owner's memory at @at. The guest has none: NULL. */
static struct ibv_mw *window2(struct mem *m, uint64_t at)
{
	struct ibv_mw *mw;

	if (!own(m))
		return NULL;
	mw = alloc_mw(m, m->vc->pd, IBV_MW_TYPE_2);
	bind2(m, mw, m->mr, at, LEN, RW, OK);
	return mw;
}

/*
 * The rights that a window of type 2 gives end with the connection, and the window is free again.
 */
static void qp_ends(struct mem *m)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };
	uint64_t at = (uintptr_t)m->buf + OFF;
	struct ibv_mw *mw = window2(m, at);

	may(m, 0, 100);
	if (ibv_modify_qp(m->qp, &attr, IBV_QP_STATE))
		vc_die("%s: to RESET: %s", m->name, strerror(errno));
	in_step(m);
	/* the same two queue pairs: whoever is connected to the owner's now has no right */
	connect_qps(m);
	may_not(m, IBV_WR_RDMA_READ, 0, 8);
	if (own(m))
		bind2(m, mw, m->mr, at, LEN, RW, OK);
	may(m, 0, 100);
	reconnect(m);
	if (own(m)) {
		int err = ibv_dereg_mr(m->mr);

		if (err)
			vc_die("%s: a region whose window's queue pair is gone stays in use: %s", m->name, strerror(err));
		m->mr = ibv_reg_mr(m->vc->pd, m->buf, BUF, FULL);
		if (!m->mr)
			vc_die("%s: ibv_reg_mr: %s", m->name, strerror(errno));
		bind2(m, mw, m->mr, at, LEN, RW, OK);
	}
	may(m, 0, 100);
	if (own(m))
		dealloc_mw(m, mw);
}

/* Invalidated here, or by the guest; what the owner may not do to a window of its own. */
static void invalidate(struct mem *m)
{
	uint64_t at = (uintptr_t)m->buf + OFF;
	struct ibv_mw *mw = window2(m, at);

	may(m, 0, 100);
	if (own(m))
		local_inv(m, mw->rkey, OK);
	may_not(m, IBV_WR_RDMA_READ, 0, 8);
	if (own(m)) {
		bind2(m, mw, m->mr, at, LEN, RW, OK);
		bind2(m, mw, m->mr, at, LEN, RW, BAD_LOCAL);
	}
	reconnect(m);
	if (own(m)) {
		dealloc_mw(m, mw);
		mw = alloc_mw(m, m->vc->pd, IBV_MW_TYPE_2);
		bind2(m, mw, m->mr, at, LEN, RW, OK);
		local_inv(m, mw->rkey ^ 1, BAD_LOCAL);
	}
	reconnect(m);
	if (own(m))
		local_inv(m, m->mr->rkey, BAD_LOCAL);
	reconnect(m);
	if (own(m)) {
		dealloc_mw(m, mw);
		mw = alloc_mw(m, m->vc->pd, IBV_MW_TYPE_1);
		bind1(m, mw, OFF, LEN, RW);
		local_inv(m, mw->rkey, BAD_LOCAL);
	}
	reconnect(m);
	if (own(m))
		dealloc_mw(m, mw);
}

static void remote_invalidate(struct mem *m)
{
	/* behind what may() compares with: the SEND comes while the owner still does */
	struct ibv_sge sge = { (uintptr_t)m->vc->rx + BUF, 4, m->vc->rx_mr->lkey };
	struct ibv_recv_wr recv = { .wr_id = 5, .sg_list = &sge, .num_sge = 1 }, *bad;
	uint64_t at = (uintptr_t)m->buf + OFF;
	struct ibv_mw *mw = NULL;
	struct ibv_wc wc;

	if (own(m)) {
		mw = alloc_mw(m, m->vc->pd, IBV_MW_TYPE_2);
		bind2(m, mw, m->mr, at, LEN, RW, OK);
		if (ibv_post_recv(m->qp, &recv, &bad))
			vc_die("%s: ibv_post_recv: %s", m->name, strerror(errno));
	}
	may(m, 0, LEN);
	if (own(m)) {
		done(m, 1, "the receive", OK, &wc);
		if (!(wc.wc_flags & IBV_WC_WITH_INV) || wc.invalidated_rkey != mw->rkey)
			vc_wrong(m->vc, "%s: the receive tells of no invalidation, or of another key", m->name);
	} else {
		struct ibv_send_wr wr = { .wr_id = 6,
					  .sg_list = &sge,
					  .num_sge = 1,
					  .opcode = IBV_WR_SEND_WITH_INV,
					  .invalidate_rkey = m->key.rkey };

		post(m, &wr, "SEND with invalidate", OK);
	}
	may_not(m, IBV_WR_RDMA_WRITE, 0, 8);
	if (own(m))
		dealloc_mw(m, mw);
}

/* Binds that must fail. Each ends the queue pair. */
static void bad_binds(struct mem *m)
{
	static const struct {
		int32_t off, len;
		int mr_access, access;
		bool pd2;
	} bad[] = {
		{ BUF - 10, 11, FULL, RW, false },
		{ -1, 8, FULL, RW, false },
		{ OFF, LEN, FULL & ~IBV_ACCESS_MW_BIND, RW, false },
		{ OFF, LEN, IBV_ACCESS_MW_BIND | IBV_ACCESS_REMOTE_READ, RW, false },
		{ OFF, LEN, FULL, RW, true },
		{ OFF, 0, FULL, RW, false },
		{ OFF, LEN, FULL, RW | IBV_ACCESS_ON_DEMAND, false },
	};
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (own(m)) {
			struct ibv_mw *mw = alloc_mw(m, bad[i].pd2 ? m->pd2 : m->vc->pd,
						     IBV_MW_TYPE_2);
			struct ibv_mr *mr = ibv_reg_mr(m->vc->pd, m->buf, BUF, bad[i].mr_access);

			if (!mr)
				vc_die("%s: ibv_reg_mr: %s", m->name, strerror(errno));
			bind2(m, mw, mr, (uintptr_t)m->buf + bad[i].off, bad[i].len, bad[i].access,
			      BAD_LOCAL);
			dealloc_mw(m, mw);
			if (ibv_dereg_mr(mr))
				vc_wrong(m->vc, "%s: a region that a bind was refused for is in use", m->name);
		}
		reconnect(m);
	}
}

/* librxe has no ibv_rereg_mr yet: the command itself. */
static int rereg(struct mem *m, uint32_t flags, struct ibv_pd *pd, uint8_t *start, int access)
{
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_rereg_mr cmd;
	} msg = {
		.hdr = { IB_USER_VERBS_CMD_REREG_MR, sizeof(msg) / 4,
			 sizeof(struct ib_uverbs_rereg_mr_resp) / 4 },
	};
	struct ib_uverbs_rereg_mr_resp resp = { 0 };

	msg.cmd = (struct ib_uverbs_rereg_mr){
		.response = (uintptr_t)&resp,
		.mr_handle = m->mr->handle,
		.flags = flags,
		.start = (uintptr_t)start,
		.length = BUF,
		.hca_va = (uintptr_t)start,
		.access_flags = access,
		.pd_handle = pd ? pd->handle : 0,
	};
	if (write(m->vc->ctx->cmd_fd, &msg, sizeof(msg)) != sizeof(msg))
		return errno;
	if (resp.rkey != m->mr->rkey || resp.lkey != m->mr->lkey) {
		m->mr->rkey = resp.rkey;
		m->mr->lkey = resp.lkey;
		m->key.rkey = resp.rkey;
	}
	return 0;
}

static void must_rereg(struct mem *m, int want, uint32_t flags, struct ibv_pd *pd, uint8_t *start,
		       int access)
{
	int err = rereg(m, flags, pd, start, access);

	if (err != want)
		vc_wrong(m->vc, "%s: re-registration (flags %u): %s", m->name, flags, strerror(err));
}

static void reregister(struct mem *m)
{
	uint8_t *first = m->buf, *other = NULL;
	struct ibv_mw *mw = NULL;

	if (own(m))
		m->key = (struct key){ (uintptr_t)m->buf + OFF, m->mr->rkey };
	may(m, 0, LEN);
	if (own(m))
		must_rereg(m, 0, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, IBV_ACCESS_REMOTE_READ);
	access_one(m, IBV_WR_RDMA_READ, 0, LEN, OK);
	may_not(m, IBV_WR_RDMA_WRITE, 0, LEN);
	if (own(m)) {
		must_rereg(m, EINVAL, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL,
			   IBV_ACCESS_REMOTE_WRITE);
		must_rereg(m, EINVAL, 0, NULL, NULL, 0);
		must_rereg(m, 0, IBV_REREG_MR_CHANGE_PD, m->pd2, NULL, 0);
	}
	may_not(m, IBV_WR_RDMA_READ, 0, 1);
	if (own(m))
		must_rereg(m, 0, IBV_REREG_MR_CHANGE_ACCESS | IBV_REREG_MR_CHANGE_PD, m->vc->pd,
			   NULL, FULL);
	may(m, 0, LEN);

	if (own(m)) {
		other = mmap(NULL, BUF + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);
		if (other == MAP_FAILED)
			vc_die("no memory");
		/* nothing is mapped there: the region stays as it was */
		must_rereg(m, EFAULT, IBV_REREG_MR_CHANGE_TRANSLATION, NULL,
			   (uint8_t *)(4096 + (m->buf - m->page)), 0);
	}
	may(m, 0, LEN);
	if (own(m)) {
		m->buf = other + 77;
		must_rereg(m, 0, IBV_REREG_MR_CHANGE_TRANSLATION, NULL, m->buf, 0);
		m->key.addr = (uintptr_t)m->buf + OFF;
	}
	may(m, 0, LEN);
	may_not(m, IBV_WR_RDMA_WRITE, LEN - 1, BUF - OFF - LEN + 2);
	if (own(m)) {
		mw = alloc_mw(m, m->vc->pd, IBV_MW_TYPE_1);
		bind1(m, mw, OFF, LEN, RW);
		must_rereg(m, EBUSY, IBV_REREG_MR_CHANGE_TRANSLATION, NULL, first, 0);
	}
	may(m, 0, LEN);
	if (own(m)) {
		dealloc_mw(m, mw);
		must_rereg(m, 0, IBV_REREG_MR_CHANGE_TRANSLATION, NULL, first, 0);
		m->buf = first;
		m->key = (struct key){ (uintptr_t)first + OFF, m->mr->rkey };
		munmap(other, BUF + 8192);
	}
	may(m, 0, LEN);
}

/* Across the seams of large pages, whose pieces of a region are larger than those of others. */
static void large_pages(struct mem *m)
{
	const size_t page = 2 << 20, pages = 4;
	uint8_t *first = m->buf, *map = NULL, *base = NULL;
	struct ibv_mr *mr = NULL;
	unsigned int i;

	if (own(m)) {
		map = mmap(NULL, (pages + 1) * page, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (map == MAP_FAILED)
			vc_die("no memory");
		base = (uint8_t *)(((uintptr_t)map + page - 1) & ~(page - 1));
		/*
		 * advice: with pages of the usual size the case is another, and must succeed as
		 * well
		 */
		madvise(base, pages * page, MADV_HUGEPAGE);
		memset(base, 1, pages * page);
		mr = ibv_reg_mr(m->vc->pd, base + 77, pages * page - 154, FULL);
		if (!mr)
			vc_die("%s: ibv_reg_mr: %s", m->name, strerror(errno));
	}
	for (i = 1; i < pages; i++) {
		if (own(m)) {
			m->buf = base + i * page - BUF / 2;
			m->key = (struct key){ (uintptr_t)m->buf + OFF, mr->rkey };
		}
		may(m, 0, LEN);
		may(m, BUF / 2 - OFF - 1, 2);
	}
	if (own(m)) {
		if (ibv_dereg_mr(mr))
			vc_wrong(m->vc, "%s: ibv_dereg_mr failed", m->name);
		m->buf = first;
		munmap(map, (pages + 1) * page);
	}
	/* the region is gone */
	may_not(m, IBV_WR_RDMA_READ, 0, 1);
}

/* Kinds of memory that the device has, and those that it must refuse clearly. */
static void refusals(struct mem *m)
{
	struct ibv_mr *mr;

	if (!own(m))
		return;
	mr = ibv_reg_mr(m->vc->pd, m->buf, BUF, FULL | IBV_ACCESS_ON_DEMAND);
	if (mr || (errno != EOPNOTSUPP && errno != EINVAL))
		vc_wrong(m->vc, "%s: on-demand paging: %s", m->name, mr ? "taken" : strerror(errno));
	mr = ibv_reg_mr(m->vc->pd, m->buf, BUF, IBV_ACCESS_REMOTE_WRITE);
	if (mr || errno != EINVAL)
		vc_wrong(m->vc, "%s: remote without local write: %s", m->name, mr ? "taken" : strerror(errno));
	mr = ibv_reg_dmabuf_mr(m->vc->pd, 0, BUF, 0, 0, FULL);
	if (mr || errno != EOPNOTSUPP)
		vc_wrong(m->vc, "%s: dma-buf: %s", m->name, mr ? "taken" : strerror(errno));
}

static void begin(struct mem *m)
{
	m->page = mmap(NULL, BUF + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	if (m->page == MAP_FAILED)
		vc_die("no memory");
	m->buf = m->page + 321;
	m->mr = ibv_reg_mr(m->vc->pd, m->buf, BUF, FULL);
	m->pd2 = ibv_alloc_pd(m->vc->ctx);
	if (!m->mr || !m->pd2)
		vc_die("region of %u bytes or second domain: %s", BUF, strerror(errno));
	reconnect(m);
}

static void end(struct mem *m)
{
	if (ibv_destroy_qp(m->qp) || ibv_dereg_mr(m->mr) || ibv_dealloc_pd(m->pd2))
		vc_wrong(m->vc, "%s: queue pair, region or domain in use at the end", m->name);
	m->qp = NULL;
	munmap(m->page, BUF + 8192);
}

void vc_memory(struct vc *vc)
{
	static const struct {
		const char *name;
		void (*run)(struct mem *m);
	} cases[] = {
		{ "window of type 1", type1 },
		{ "window of type 2", type2 },
		{ "window of a queue pair that ends", qp_ends },
		{ "invalidation by work request", invalidate },
		{ "invalidation by the peer", remote_invalidate },
		{ "binds to be refused", bad_binds },
		{ "re-registration", reregister },
		{ "memory in large pages", large_pages },
		{ "registrations to be refused", refusals },
	};
	struct mem m = { .vc = vc };
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t before = vc->wrong;

		m.name = cases[i].name;
		vc_alive(m.name, vc->cfg.stall + 60);
		begin(&m);
		cases[i].run(&m);
		end(&m);
		vc->messages++;
		vc_note("%s: %s", vc->wrong != before ? "FAILED" : "ok", m.name);
	}
}

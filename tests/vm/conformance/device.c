// SPDX-License-Identifier: GPL-2.0-or-later
/* The DUT's side: does what the peer says, one command after the other, with plain verbs. */
#include <errno.h>
#include <fcntl.h>
#include <endian.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cf.h"

struct slot {
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq[2];	/* [0] sends, [1] receives */
	struct ibv_qp *qp;
	struct ibv_ah *ah;
	struct cf_cmd opened;
};

static struct {
	struct vc vc;
	struct ibv_context *ctx;
	struct ibv_pd *pd[2];
	struct ibv_mr *rw, *ro, *foreign;
	uint32_t stale;
	uint8_t *area;
	union ibv_gid gid[2], peer[2];	/* [ipv6] */
	int gid_index[2];
	struct slot slot[2];	/* 0: the case's queue pair; 1: one that only answers */
} d;

static const int everything = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
			      IBV_ACCESS_REMOTE_READ;

static bool qp_type_works(int type)
{
	struct ibv_cq *cq = ibv_create_cq(d.ctx, 4, NULL, NULL, 0);
	struct ibv_qp_init_attr init = {
		.send_cq = cq, .recv_cq = cq, .qp_type = type,
		.cap = { .max_send_wr = 1, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1 },
	};
	struct ibv_qp *qp = cq ? ibv_create_qp(d.pd[0], &init) : NULL;
	bool works = qp;

	if (qp)
		ibv_destroy_qp(qp);
	if (cq)
		ibv_destroy_cq(cq);
	return works;
}

static void hello(struct cf_reply *r)
{
	struct ibv_device_attr_ex ex = { 0 };
	struct ibv_device_attr attr;
	struct ibv_mr *mr;
	uint8_t *p = d.area + CF_MR_OFF;

	if (!d.rw) {
		ibv_query_device(d.ctx, &attr);
		r->has_atomic = attr.atomic_cap != IBV_ATOMIC_NONE;
		r->has_inv = !!(attr.device_cap_flags & IBV_DEVICE_MEM_MGT_EXTENSIONS);
		ibv_query_device_ex(d.ctx, NULL, &ex);
		/*
		 * the kernel's names for them are younger than this library:
		 * IB_UVERBS_DEVICE_ATOMIC_WRITE
		 */
		r->has_placement = ex.device_cap_flags_ex >> 40 & 1;
		r->has_uc = qp_type_works(IBV_QPT_UC);
		d.rw = ibv_reg_mr(d.pd[0], p, CF_MR_LEN,
				  everything | (r->has_atomic ? IBV_ACCESS_REMOTE_ATOMIC : 0));
		d.ro = ibv_reg_mr(d.pd[0], p, CF_MR_LEN, IBV_ACCESS_LOCAL_WRITE);
		d.foreign = ibv_reg_mr(d.pd[1], p, CF_MR_LEN, everything);
		mr = ibv_reg_mr(d.pd[0], p, CF_MR_LEN, everything);
		if (!d.rw || !d.ro || !d.foreign || !mr)
			vc_die("ibv_reg_mr: %s", strerror(errno));
		d.stale = mr->rkey;
		ibv_dereg_mr(mr);
	}
	r->base = (uintptr_t)p;
	r->key[CF_KEY_RW] = d.rw->rkey;
	r->key[CF_KEY_RO] = d.ro->rkey;
	r->key[CF_KEY_FOREIGN] = d.foreign->rkey;
	r->key[CF_KEY_STALE] = d.stale;
}

static int to_init(struct slot *s)
{
	const struct cf_cmd *c = &s->opened;
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = c->access,
		.qkey = CF_QKEY,
	};

	return ibv_modify_qp(s->qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
			     (c->type == IBV_QPT_UD ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS));
}

static struct ibv_ah_attr path(const struct cf_cmd *c)
{
	return (struct ibv_ah_attr){
		.is_global = 1,
		.port_num = 1,
		.grh = { .dgid = d.peer[c->ipv6],
			 .sgid_index = d.gid_index[c->ipv6],
			 .hop_limit = 64 },
	};
}

static int to_rtr(struct slot *s)
{
	const struct cf_cmd *c = &s->opened;
	int mask = IBV_QP_STATE;
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = __builtin_ctz(c->mtu) - 7,
		.dest_qp_num = c->dqpn,
		.rq_psn = c->rq_psn,
		.max_dest_rd_atomic = c->dest_rd,
		.min_rnr_timer = c->min_rnr,
		.ah_attr = path(c),
	};

	if (c->type != IBV_QPT_UD)
		mask |= IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN;
	if (c->type == IBV_QPT_RC)
		mask |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
	return ibv_modify_qp(s->qp, &attr, mask);
}

static int to_rts(struct slot *s)
{
	const struct cf_cmd *c = &s->opened;
	int mask = IBV_QP_STATE | IBV_QP_SQ_PSN;
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = c->sq_psn,
		.timeout = c->timeout,
		.retry_cnt = c->retry,
		.rnr_retry = c->rnr_retry,
		.max_rd_atomic = c->rd,
	};

	if (c->type == IBV_QPT_RC)
		mask |= IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			IBV_QP_MAX_QP_RD_ATOMIC;
	return ibv_modify_qp(s->qp, &attr, mask);
}

static int close_slot(struct slot *s)
{
	int err = 0, i;

	if (s->qp)
		err |= ibv_destroy_qp(s->qp);
	if (s->ah)
		err |= ibv_destroy_ah(s->ah);
	for (i = 0; i < 2; i++)
		if (s->cq[i])
			err |= ibv_destroy_cq(s->cq[i]);
	if (s->channel)
		err |= ibv_destroy_comp_channel(s->channel);
	memset(s, 0, sizeof(*s));
	return err;
}

static int open_slot(struct slot *s, const struct cf_cmd *c, struct cf_reply *r)
{
	struct ibv_qp_init_attr init = {
		.qp_type = c->type,
		.cap = {
			.max_send_wr = CF_DEPTH, .max_recv_wr = CF_DEPTH, .max_send_sge = 1,
			.max_recv_sge = 1,
			.max_inline_data = 64,
		},
	};
	int err = 0, i;

	if (s->qp)
		return EBUSY;
	s->opened = *c;
	s->channel = ibv_create_comp_channel(d.ctx);
	if (!s->channel)
		return errno;
	fcntl(s->channel->fd, F_SETFL, O_NONBLOCK);
	for (i = 0; i < 2; i++) {
		s->cq[i] = ibv_create_cq(d.ctx, 2 * CF_DEPTH, NULL, s->channel, 0);
		if (!s->cq[i])
			return errno;
	}
	init.send_cq = s->cq[0];
	init.recv_cq = s->cq[1];
	s->qp = ibv_create_qp(d.pd[0], &init);
	if (!s->qp)
		return errno;
	r->qpn = s->qp->qp_num;
	if (c->type == IBV_QPT_UD) {
		struct ibv_ah_attr attr = path(c);

		s->ah = ibv_create_ah(d.pd[0], &attr);
		if (!s->ah)
			return errno;
	}
	if (c->state >= IBV_QPS_INIT)
		err = to_init(s);
	if (!err && c->state >= IBV_QPS_RTR)
		err = to_rtr(s);
	if (!err && c->state >= IBV_QPS_RTS)
		err = to_rts(s);
	return err;
}

static int set_state(struct slot *s, uint32_t state)
{
	struct ibv_qp_attr attr = { .qp_state = state };

	switch (state) {
	case IBV_QPS_INIT:
		return to_init(s);
	case IBV_QPS_RTR:
		return to_rtr(s);
	case IBV_QPS_RTS: {
		struct ibv_qp_init_attr init;

		if (ibv_query_qp(s->qp, &attr, IBV_QP_STATE, &init))
			return errno;
		if (attr.qp_state == IBV_QPS_RTR)
			return to_rts(s);
		attr.qp_state = state;
	}
	}
	return ibv_modify_qp(s->qp, &attr, IBV_QP_STATE);
}

static int query(struct slot *s, struct cf_reply *r)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	int err = ibv_query_qp(s->qp, &attr, IBV_QP_STATE | IBV_QP_RQ_PSN, &init);

	r->state = attr.qp_state;
	r->draining = attr.sq_draining;
	r->rq_psn = attr.rq_psn;
	return err;
}

static int post_send(struct slot *s, const struct cf_cmd *c)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)d.area + CF_MR_OFF + c->off,
		.length = c->len,
		.lkey = d.rw->lkey,
	}, last = sge;
	struct ibv_send_wr wr[CF_DEPTH], *bad;
	uint32_t i, n = c->count ? c->count : 1;

	last.lkey ^= c->bad_lkey;

	if (n > CF_DEPTH)
		return EINVAL;
	for (i = 0; i < n; i++) {
		wr[i] = (struct ibv_send_wr){
			.wr_id = c->wr_id + i,
			.next = i + 1 < n ? &wr[i + 1] : NULL,
			.sg_list = i + 1 < n ? &sge : &last,
			.num_sge = c->len ? 1 : 0,
			.opcode = c->opcode,
			.send_flags = c->flags,
			.imm_data = htobe32(c->imm),
		};
		if (s->opened.type == IBV_QPT_UD) {
			wr[i].wr.ud.ah = s->ah;
			wr[i].wr.ud.remote_qpn = s->opened.dqpn;
			wr[i].wr.ud.remote_qkey = CF_QKEY;
		} else if (c->opcode == IBV_WR_ATOMIC_CMP_AND_SWP ||
			   c->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
			wr[i].wr.atomic.remote_addr = c->va;
			wr[i].wr.atomic.rkey = c->rkey;
			wr[i].wr.atomic.compare_add = c->add;
			wr[i].wr.atomic.swap = c->swap;
		} else if (c->opcode == IBV_WR_SEND_WITH_INV) {
			wr[i].invalidate_rkey = c->rkey;
		} else {
			wr[i].wr.rdma.remote_addr = c->va;
			wr[i].wr.rdma.rkey = c->rkey;
		}
	}
	return ibv_post_send(s->qp, wr, &bad);
}

static int post_recv(struct slot *s, const struct cf_cmd *c)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)d.area + CF_MR_OFF + c->off,
		.length = c->len,
		.lkey = d.rw->lkey ^ c->bad_lkey,
	};
	struct ibv_recv_wr wr = { .wr_id = c->wr_id, .sg_list = &sge, .num_sge = c->len ? 1 : 0 },
			   *bad;

	return ibv_post_recv(s->qp, &wr, &bad);
}

static int poll_cqs(struct slot *s, const struct cf_cmd *c, struct cf_reply *r)
{
	double end = vc_now() + c->ms * 1e-3;
	struct ibv_wc wc;
	int i, got;

	do {
		for (i = 0; i < 2; i++) {
			while (r->n < CF_MAX_WC && (got = ibv_poll_cq(s->cq[i], 1, &wc)) > 0)
				r->wc[r->n++] = (struct cf_wc){
					.wr_id = wc.wr_id,
					.status = wc.status,
					.opcode = wc.opcode,
					.len = wc.byte_len,
					.flags = wc.wc_flags,
					.imm = be32toh(wc.imm_data),
					.src_qp = wc.src_qp,
					.send = !i,
				};
			if (r->n < CF_MAX_WC && got < 0)
				return EIO;
		}
		if (r->n < c->n)
			usleep(200);
	} while (r->n < c->n && vc_now() < end);
	return 0;
}

static int async_events(const struct cf_cmd *c, struct cf_reply *r)
{
	struct pollfd pfd = { .fd = d.ctx->async_fd, .events = POLLIN };
	struct ibv_async_event e;

	if (c->ms)
		poll(&pfd, 1, c->ms);
	while (r->n < CF_MAX_EVENTS && !ibv_get_async_event(d.ctx, &e)) {
		r->event[r->n++] = e.event_type;
		ibv_ack_async_event(&e);
	}
	return 0;
}

/* n: how many completion events there were */
static int notified(struct slot *s, const struct cf_cmd *c, struct cf_reply *r)
{
	struct pollfd pfd = { .fd = s->channel->fd, .events = POLLIN };
	struct ibv_cq *cq;
	void *arg;

	if (c->ms)
		poll(&pfd, 1, c->ms);
	while (!ibv_get_cq_event(s->channel, &cq, &arg)) {
		ibv_ack_cq_events(cq, 1);
		r->n++;
	}
	return 0;
}

static void obey(struct cf_cmd *c, struct cf_reply *r)
{
	struct slot *s = &d.slot[c->slot & 1];

	c->ipv6 = !!c->ipv6;
	switch (c->what) {
	case CF_HELLO:
		hello(r);
		break;
	case CF_OPEN:
		r->err = open_slot(s, c, r);
		break;
	case CF_CLOSE:
		r->err = close_slot(s);
		break;
	case CF_STATE:
		r->err = set_state(s, c->state);
		break;
	case CF_QUERY:
		r->err = query(s, r);
		break;
	case CF_SEND:
		r->err = post_send(s, c);
		break;
	case CF_RECV:
		r->err = post_recv(s, c);
		break;
	case CF_POLL:
		r->err = poll_cqs(s, c, r);
		break;
	case CF_ASYNC:
		r->err = async_events(c, r);
		break;
	case CF_ARM:
		r->err = ibv_req_notify_cq(s->cq[1], c->flags);
		break;
	case CF_NOTIFIED:
		r->err = notified(s, c, r);
		break;
	case CF_FILL:
		vc_fill(d.area, CF_AREA, c->seed);
		break;
	case CF_SUM:
		r->sum = cf_sum(d.area);
		break;
	case CF_PEEK:
	case CF_POKE:
		if (c->off > CF_AREA || c->len > CF_AREA - c->off)
			r->err = ERANGE;
		break;
	default:
		r->err = ENOSYS;
	}
}

static void find_gids(void)
{
	struct ibv_gid_entry e;
	int i, v6;

	d.gid_index[0] = d.gid_index[1] = -1;
	for (i = 0; i < 64; i++) {
		if (ibv_query_gid_ex(d.ctx, 1, i, &e, 0) || e.gid_type != IBV_GID_TYPE_ROCE_V2 ||
		    e.gid.raw[0] == 0xfe)
			continue;
		v6 = e.gid.raw[10] != 0xff || e.gid.raw[0];
		if (d.gid_index[v6] < 0) {
			d.gid_index[v6] = i;
			d.gid[v6] = e.gid;
		}
	}
	if (d.gid_index[0] < 0 || d.gid_index[1] < 0)
		vc_die("a RoCE v2 GID of each IP version is needed");
}

int cf_device(const char *device, int wait)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct cf_cmd c;
	int i;

	for (i = 0; list && list[i]; i++)
		if (!device || !strcmp(device, ibv_get_device_name(list[i])))
			break;
	if (!list || !list[i])
		vc_die("no RDMA device %s", device ? device : "");
	d.ctx = ibv_open_device(list[i]);
	if (!d.ctx)
		vc_die("cannot open %s: %s", ibv_get_device_name(list[i]), strerror(errno));
	ibv_free_device_list(list);
	fcntl(d.ctx->async_fd, F_SETFL, O_NONBLOCK);
	find_gids();
	for (i = 0; i < 2; i++) {
		d.pd[i] = ibv_alloc_pd(d.ctx);
		if (!d.pd[i])
			vc_die("ibv_alloc_pd: %s", strerror(errno));
	}
	d.area = mmap(NULL, CF_AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (d.area == MAP_FAILED)
		vc_die("no memory");

	d.vc.tcp = vc_listen(CF_PORT, wait);
	setsockopt(d.vc.tcp, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	vc_recv(&d.vc, d.peer, sizeof(d.peer));
	vc_send(&d.vc, d.gid, sizeof(d.gid));
	for (;;) {
		struct cf_reply r = { 0 };

		vc_alive("waiting for the peer's next command", 120);
		if (recv(d.vc.tcp, &c, 1, MSG_PEEK) <= 0)
			break;
		vc_recv(&d.vc, &c, sizeof(c));
		obey(&c, &r);
		vc_send(&d.vc, &r, sizeof(r));
		if (c.what == CF_PEEK && !r.err)
			vc_send(&d.vc, d.area + c.off, c.len);
		else if (c.what == CF_POKE && !r.err)
			vc_recv(&d.vc, d.area + c.off, c.len);
	}
	close_slot(&d.slot[0]);
	close_slot(&d.slot[1]);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Queue cases: shared receive queues, resizing with requests and completions in the queues,
 * overrun, and the asynchronous events that go with them. In each case one side is the subject and
 * the other sends to it; then they change places. Stock rdma_rxe raises fewer events than the
 * InfiniBand Architecture, volume 1, chapter 11.6.3, has: as a subject it takes part in the cases
 * that carry data.
 */
#include <errno.h>
#include <poll.h>
#include <rdma/ib_user_verbs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vc.h"

#define SLOT		8192u	/* bytes of a receive */
#define NR_SLOTS	96
#define MAX_QPS		4
#define MESSAGES	300

struct queues {
	struct ibv_comp_channel *channel;
	struct ibv_cq *scq, *rcq;
	struct ibv_srq *srq;
	struct ibv_qp *qp[MAX_QPS];
	int nr_qps;
	bool subject;
};

static void step(struct vc *vc)
{
	uint32_t x = 0;

	vc_swap(vc, &x, &x, sizeof(x));
}

static bool strict(struct vc *vc)
{
	return strncmp(ibv_get_device_name(vc->ctx->device), "rxe", 3) || strstr(ibv_get_device_name(vc->ctx->device), "mos");
}

static uint8_t *slot(struct vc *vc, uint32_t i)
{
	return vc->rx + VC_GUARD + i * SLOT;
}

static uint32_t msg_len(struct vc *vc, uint32_t seq)
{
	struct vc_rng r = { vc->cfg.seed ^ seq * 0x9e3779b97f4a7c15ULL };

	return vc_below(&r, 4) ? vc_below(&r, 6000) : vc_below(&r, 40);
}

static void post_recv(struct vc *vc, struct queues *q, int qp, uint32_t i)
{
	struct ibv_sge sge = { .addr = (uintptr_t)slot(vc, i),
			       .length = SLOT,
			       .lkey = vc->rx_mr->lkey };
	struct ibv_recv_wr wr = { .wr_id = i, .sg_list = &sge, .num_sge = 1 }, *bad;
	int err = q->srq ? ibv_post_srq_recv(q->srq, &wr, &bad)
			 : ibv_post_recv(q->qp[qp], &wr, &bad);

	if (err)
		vc_die("posting receive %u: %s", i, strerror(err));
}

static int send_bytes(struct vc *vc, struct queues *q, int qp, uint32_t seq, uint32_t len,
		      int flags)
{
	struct ibv_sge sge = { .addr = (uintptr_t)vc->tx + VC_GUARD + seq % 16 * SLOT,
			       .length = len,
			       .lkey = vc->tx_mr->lkey };
	struct ibv_send_wr wr = { .wr_id = seq,
				  .sg_list = &sge,
				  .num_sge = 1,
				  .opcode = IBV_WR_SEND_WITH_IMM,
				  .send_flags = IBV_SEND_SIGNALED | flags,
				  .imm_data = seq },
			   *bad;

	vc_fill(vc->tx + VC_GUARD + seq % 16 * SLOT, len, seq + 1);
	return ibv_post_send(q->qp[qp], &wr, &bad);
}

static struct ibv_qp *make_qp(struct vc *vc, struct queues *q, enum ibv_qp_type type)
{
	struct ibv_qp_init_attr init = {
		.send_cq = q->scq,
		.recv_cq = q->rcq,
		.srq = q->srq,
		.qp_type = type,
		.cap = { .max_send_wr = 64,
			 .max_recv_wr = q->srq ? 0 : NR_SLOTS,
			 .max_send_sge = 1,
			 .max_recv_sge = 1 },
	};
	struct ibv_qp *qp = ibv_create_qp(vc->pd, &init);

	if (!qp)
		vc_die("ibv_create_qp: %s", strerror(errno));
	return qp;
}

/*
 * Queue pairs of both sides, connected. The subject's have an SRQ of @srq_wr requests unless that
 * is 0.
 */
static void make(struct vc *vc, struct queues *q, bool subject, int nr_qps, uint32_t srq_wr,
		 int rcq_len)
{
	struct { uint32_t qpn[MAX_QPS], psn; } mine = { .psn = 0xffffff - 20 }, theirs;
	struct ibv_srq_init_attr init = { .attr = { .max_wr = srq_wr, .max_sge = 1 } };
	int i;

	memset(q, 0, sizeof(*q));
	q->subject = subject;
	q->nr_qps = nr_qps;
	q->channel = ibv_create_comp_channel(vc->ctx);
	q->scq = ibv_create_cq(vc->ctx, 256, NULL, NULL, 0);
	q->rcq = ibv_create_cq(vc->ctx, rcq_len, NULL, q->channel, 0);
	if (!q->channel || !q->scq || !q->rcq)
		vc_die("creating completion queues: %s", strerror(errno));
	if (subject && srq_wr) {
		q->srq = ibv_create_srq(vc->pd, &init);
		if (!q->srq)
			vc_die("ibv_create_srq: %s", strerror(errno));
		if (init.attr.max_wr < srq_wr)
			vc_wrong(vc, "an SRQ of %u requests, %u asked for", init.attr.max_wr, srq_wr);
	}
	for (i = 0; i < nr_qps; i++) {
		q->qp[i] = make_qp(vc, q, IBV_QPT_RC);
		vc_qp_init(vc, q->qp[i]);
		mine.qpn[i] = q->qp[i]->qp_num;
	}
	vc_swap(vc, &mine, &theirs, sizeof(mine));
	for (i = 0; i < nr_qps; i++)
		vc_qp_connect(vc, q->qp[i], theirs.qpn[i], mine.psn, theirs.psn, 7, 7,
			      vc->cfg.timeout);
	step(vc);
}

static void unmake(struct vc *vc, struct queues *q)
{
	int i, err = 0;

	step(vc);
	for (i = 0; i < q->nr_qps; i++)
		if (q->qp[i])
			err |= ibv_destroy_qp(q->qp[i]);
	if (q->srq)
		err |= ibv_destroy_srq(q->srq);
	err |= ibv_destroy_cq(q->scq) | ibv_destroy_cq(q->rcq) |
	       ibv_destroy_comp_channel(q->channel);
	if (err)
		vc_wrong(vc, "destroying queues failed");
	vc->messages++;
}

/* The event of @type about @element within @seconds; others that come are passed over. */
static bool wait_event(struct vc *vc, enum ibv_event_type type, const void *element, double seconds)
{
	struct pollfd pfd = { .fd = vc->ctx->async_fd, .events = POLLIN };
	double end = vc_now() + seconds;
	struct ibv_async_event ev;
	bool found = false;

	while (!found && vc_now() < end) {
		if (poll(&pfd, 1, 50) != 1 || ibv_get_async_event(vc->ctx, &ev))
			continue;
		found = ev.event_type == type && ev.element.qp == element;
		ibv_ack_async_event(&ev);
	}
	return found;
}

static void expect_event(struct vc *vc, enum ibv_event_type type, const void *element)
{
	if (!wait_event(vc, type, element, 15))
		vc_wrong(vc, "no event '%s' within 15 s", ibv_event_type_str(type));
}

static void expect_no_event(struct vc *vc, enum ibv_event_type type, const void *element)
{
	if (wait_event(vc, type, element, 0.3))
		vc_wrong(vc, "event '%s' without cause", ibv_event_type_str(type));
}

/* One completion, or false after @seconds. */
static bool reap(struct ibv_cq *cq, struct ibv_wc *wc, double seconds)
{
	double end = vc_now() + seconds;

	do {
		if (ibv_poll_cq(cq, 1, wc) == 1)
			return true;
		usleep(200);
	} while (vc_now() < end);
	return false;
}

static void expect_sent(struct vc *vc, struct queues *q, int n)
{
	struct ibv_wc wc;

	while (n-- > 0) {
		if (!reap(q->scq, &wc, 20))
			vc_die("a send did not complete within 20 s");
		if (wc.status != IBV_WC_SUCCESS)
			vc_wrong(vc, "send %d ended with '%s'", (int)wc.wr_id, ibv_wc_status_str(wc.status));
	}
}

static void send_some(struct vc *vc, struct queues *q, int qp, int n, int flags)
{
	int i, err;

	for (i = 0; i < n; i++) {
		err = send_bytes(vc, q, qp, i, 100, flags);
		if (err)
			vc_die("ibv_post_send: %s", strerror(err));
	}
	expect_sent(vc, q, n);
}

static void send_all(struct vc *vc, struct queues *q)
{
	struct vc_rng r = { vc->cfg.seed };
	uint32_t seq;
	int err;

	for (seq = 0; seq < MESSAGES; seq++) {
		/* the buffers are used again, and queue pairs complete in any order */
		if (seq && seq % 16 == 0)
			expect_sent(vc, q, 16);
		err = send_bytes(vc, q, vc_below(&r, q->nr_qps), seq, msg_len(vc, seq), 0);
		if (err)
			vc_die("ibv_post_send: %s", strerror(err));
	}
	expect_sent(vc, q, MESSAGES % 16 ? MESSAGES % 16 : 16);
}

static void resize_some(struct vc *vc, struct queues *q, uint32_t n)
{
	struct ibv_srq_attr attr = {};
	int err = 0;

	switch (n) {
	case 40: err = ibv_resize_cq(q->rcq, 1000); break;
	case 90: err = ibv_resize_cq(q->rcq, 200); break;
	case 100: attr.max_wr = 500; err = ibv_modify_srq(q->srq, &attr, IBV_SRQ_MAX_WR); break;
	case 200: attr.max_wr = 100; err = ibv_modify_srq(q->srq, &attr, IBV_SRQ_MAX_WR); break;
	}
	if (err)
		vc_wrong(vc, "resizing a queue after %u messages: %s", n, strerror(err));
}

static void take_all(struct vc *vc, struct queues *q)
{
	uint32_t last[MAX_QPS] = { 0 }, held[NR_SLOTS], nr_held = 0, n, i;
	struct ibv_wc wc;

	for (n = 0; n < MESSAGES; n++) {
		if (!reap(q->rcq, &wc, 30))
			vc_die("message %u of %u does not come", n, MESSAGES);
		if (wc.status != IBV_WC_SUCCESS)
			vc_die("receive failed: %s", ibv_wc_status_str(wc.status));
		for (i = 0; i < (uint32_t)q->nr_qps && q->qp[i]->qp_num != wc.qp_num; i++)
			;
		if (i == (uint32_t)q->nr_qps || wc.imm_data >= MESSAGES || wc.wr_id >= NR_SLOTS ||
		    !(wc.wc_flags & IBV_WC_WITH_IMM))
			vc_die("receive of QP %#x, wr_id %llu, message %u: none such", wc.qp_num, (unsigned long long)wc.wr_id, wc.imm_data);
		if (last[i] > wc.imm_data)
			vc_wrong(vc, "message %u after message %u of the same queue pair", wc.imm_data, last[i]);
		last[i] = wc.imm_data;
		if (wc.byte_len != msg_len(vc, wc.imm_data))
			vc_wrong(vc, "message %u has %u bytes, must have %u", wc.imm_data, wc.byte_len, msg_len(vc, wc.imm_data));
		vc_fill(vc->want, wc.byte_len, wc.imm_data + 1);
		if (memcmp(vc->want, slot(vc, wc.wr_id), wc.byte_len))
			vc_wrong(vc, "message %u arrived with other bytes", wc.imm_data);
		vc->bytes += wc.byte_len;
		resize_some(vc, q, n);
		held[nr_held++] = wc.wr_id;
		/* at first until none is left: receiver not ready */
		if (n < MESSAGES / 2 && nr_held < NR_SLOTS)
			continue;
		if (nr_held == NR_SLOTS)
			usleep(20000);
		while (nr_held)
			post_recv(vc, q, 0, held[--nr_held]);
	}
}

static void srq_traffic(struct vc *vc, bool subject)
{
	struct queues q;
	uint32_t i;

	make(vc, &q, subject, MAX_QPS, 97, 300);
	for (i = 0; subject && i < NR_SLOTS; i++)
		post_recv(vc, &q, 0, i);
	if (subject)
		take_all(vc, &q);
	else
		send_all(vc, &q);
	unmake(vc, &q);
}

/* Takes @n messages that are not looked at. */
static void take_some(struct vc *vc, struct queues *q, int n)
{
	struct ibv_wc wc;

	while (n-- > 0) {
		if (!reap(q->rcq, &wc, 20))
			vc_die("a message does not come");
		if (wc.status != IBV_WC_SUCCESS)
			vc_wrong(vc, "receive ended with '%s'", ibv_wc_status_str(wc.status));
	}
}

static void srq_limit(struct vc *vc, bool subject)
{
	struct ibv_srq_attr attr = { .srq_limit = 5 };
	struct queues q;
	uint32_t i;

	make(vc, &q, subject, 2, 16, 64);
	if (!subject) {
		send_some(vc, &q, 0, 5, 0);
		step(vc);
		step(vc);
		send_some(vc, &q, 1, 1, 0);
		step(vc);
		step(vc);
		send_some(vc, &q, 1, 1, 0);
		unmake(vc, &q);
		return;
	}
	for (i = 0; i < 10; i++)
		post_recv(vc, &q, 0, i);
	if (ibv_modify_srq(q.srq, &attr, IBV_SRQ_LIMIT))
		vc_wrong(vc, "arming the limit: %s", strerror(errno));
	step(vc);
	expect_no_event(vc, IBV_EVENT_SRQ_LIMIT_REACHED, q.srq);
	step(vc);
	step(vc);
	expect_event(vc, IBV_EVENT_SRQ_LIMIT_REACHED, q.srq);
	if (ibv_query_srq(q.srq, &attr) || attr.srq_limit || attr.max_wr < 16 || !attr.max_sge)
		vc_wrong(vc, "after the limit: %u requests, limit %u", attr.max_wr, attr.srq_limit);
	step(vc);
	take_some(vc, &q, 7);
	expect_no_event(vc, IBV_EVENT_SRQ_LIMIT_REACHED, q.srq);
	attr.srq_limit = 60000;
	if (!ibv_modify_srq(q.srq, &attr, IBV_SRQ_LIMIT))
		vc_wrong(vc, "a limit of 60000 was taken");
	if (!ibv_destroy_srq(q.srq))
		vc_die("an SRQ that queue pairs use was destroyed");
	if (strict(vc)) {
		attr.srq_limit = 4;
		if (ibv_modify_srq(q.srq, &attr, IBV_SRQ_LIMIT))
			vc_wrong(vc, "arming the limit again: %s", strerror(errno));
		/* three are left */
		expect_event(vc, IBV_EVENT_SRQ_LIMIT_REACHED, q.srq);
		attr.max_wr = 1;
		if (!ibv_modify_srq(q.srq, &attr, IBV_SRQ_MAX_WR))
			vc_die("an SRQ of 1 request holds 3");
	}
	unmake(vc, &q);
}

static void to_error(struct vc *vc, struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE))
		vc_wrong(vc, "queue pair to ERROR: %s", strerror(errno));
}

static enum ibv_qp_state state_of(struct ibv_qp *qp)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	return ibv_query_qp(qp, &attr, IBV_QP_STATE, &init) ? IBV_QPS_UNKNOWN : attr.qp_state;
}

/* A queue pair of an SRQ fails: the requests stay for the others. */
static void last_wqe(struct vc *vc, bool subject)
{
	struct queues q;
	struct ibv_wc wc;
	uint32_t i;

	make(vc, &q, subject, 2, 16, 64);
	if (!subject) {
		step(vc);
		send_some(vc, &q, 1, 3, 0);
		/* longer than a receive */
		if (send_bytes(vc, &q, 1, 3, SLOT + 1, 0) || !reap(q.scq, &wc, 20) ||
		    wc.status == IBV_WC_SUCCESS)
			vc_wrong(vc, "a message longer than the receive did not fail");
		unmake(vc, &q);
		return;
	}
	for (i = 0; i < 4; i++)
		post_recv(vc, &q, 0, i);
	to_error(vc, q.qp[0]);
	expect_event(vc, IBV_EVENT_QP_LAST_WQE_REACHED, q.qp[0]);
	step(vc);
	take_some(vc, &q, 3);
	if (!reap(q.rcq, &wc, 20) || wc.status != IBV_WC_LOC_LEN_ERR ||
	    wc.qp_num != q.qp[1]->qp_num)
		vc_wrong(vc, "the receive of a message that is too long did not end with a length error");
	expect_event(vc, IBV_EVENT_QP_LAST_WQE_REACHED, q.qp[1]);
	if (reap(q.rcq, &wc, 0.2))
		vc_wrong(vc, "a receive of the SRQ ended with '%s'", ibv_wc_status_str(wc.status));
	unmake(vc, &q);
}

static void cq_overrun(struct vc *vc, bool subject)
{
	struct queues q;
	struct ibv_wc wc;
	int i, n = 0;

	make(vc, &q, subject, 1, 0, 7);
	if (!subject) {
		step(vc);
		for (i = 0; i < 12; i++)
			send_bytes(vc, &q, 0, i, 100, 0);
		unmake(vc, &q);
		return;
	}
	for (i = 0; i < 20; i++)
		post_recv(vc, &q, 0, i);
	step(vc);
	/* raised in this order */
	expect_event(vc, IBV_EVENT_CQ_ERR, q.rcq);
	expect_event(vc, IBV_EVENT_QP_FATAL, q.qp[0]);
	if (state_of(q.qp[0]) != IBV_QPS_ERR)
		vc_wrong(vc, "queue pair in state %d after its completion queue overran", state_of(q.qp[0]));
	while (reap(q.rcq, &wc, 0.2))
		n++;
	if (n != 7)
		vc_wrong(vc, "%d completions of a queue of 7 that overran", n);
	unmake(vc, &q);
}

static bool cq_event(struct queues *q, double seconds)
{
	struct pollfd pfd = { .fd = q->channel->fd, .events = POLLIN };
	struct ibv_cq *cq;
	void *arg;

	if (poll(&pfd, 1, seconds * 1000) != 1)
		return false;
	if (ibv_get_cq_event(q->channel, &cq, &arg))
		vc_die("ibv_get_cq_event: %s", strerror(errno));
	ibv_ack_cq_events(cq, 1);
	return true;
}

static void solicited(struct vc *vc, bool subject)
{
	struct queues q;
	int i;

	make(vc, &q, subject, 1, 0, 64);
	for (i = 0; subject && i < 20; i++)
		post_recv(vc, &q, 0, i);
	if (subject)
		ibv_req_notify_cq(q.rcq, 1);
	step(vc);
	if (!subject) {
		send_some(vc, &q, 0, 3, 0);
		step(vc);
		step(vc);
		send_some(vc, &q, 0, 1, IBV_SEND_SOLICITED);
		step(vc);
		step(vc);
		send_some(vc, &q, 0, 2, 0);
		unmake(vc, &q);
		return;
	}
	step(vc);
	if (cq_event(&q, 0.2))
		vc_wrong(vc, "an event for messages that were not solicited");
	step(vc);
	if (!cq_event(&q, 15))
		vc_wrong(vc, "no event for a solicited message");
	step(vc);
	take_some(vc, &q, 4);
	/* the stronger request holds */
	ibv_req_notify_cq(q.rcq, 0);
	ibv_req_notify_cq(q.rcq, 1);
	step(vc);
	if (!cq_event(&q, 15))
		vc_wrong(vc, "no event for the next completion");
	take_some(vc, &q, 2);
	if (cq_event(&q, 0.2))
		vc_wrong(vc, "two events for one request");
	unmake(vc, &q);
}

/* librxe has no call for it; any program can make the system call. */
static int moderate(struct vc *vc, struct ibv_cq *cq, uint16_t count, uint16_t period)
{
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_ex_cmd_hdr ex;
		struct ib_uverbs_ex_modify_cq cmd;
	} c = {
		.hdr = { IB_USER_VERBS_CMD_FLAG_EXTENDED | IB_USER_VERBS_EX_CMD_MODIFY_CQ,
			 sizeof(c.cmd) / 8, 0 },
		.cmd = { .cq_handle = cq->handle, .attr_mask = 1, .attr = { count, period } },
	};

	return write(vc->ctx->cmd_fd, &c, sizeof(c)) == sizeof(c) ? 0 : errno;
}

static void moderated(struct vc *vc, bool subject)
{
	struct queues q;
	int i, err;

	make(vc, &q, subject, 1, 0, 64);
	if (!subject) {
		for (i = 0; i < 3; i++) {
			step(vc);
			send_some(vc, &q, 0, 3, i == 2 ? IBV_SEND_SOLICITED : 0);
			step(vc);
		}
		unmake(vc, &q);
		return;
	}
	for (i = 0; i < 20; i++)
		post_recv(vc, &q, 0, i);
	/* fewer than are to be waited for: after the period, and once */
	err = moderate(vc, q.rcq, 1000, 50000);
	if (err)
		vc_wrong(vc, "modify CQ: %s", strerror(err));
	for (i = 0; i < 3; i++) {
		ibv_req_notify_cq(q.rcq, 0);
		step(vc);
		if (!cq_event(&q, 15))
			vc_wrong(vc, "no event of moderated completions");
		step(vc);
		take_some(vc, &q, 3);
		if (cq_event(&q, 0.2))
			vc_wrong(vc, "two events for one request");
		/* now exactly as many as are to be waited for */
		err = moderate(vc, q.rcq, 3, 65535);
		if (err)
			vc_wrong(vc, "modify CQ: %s", strerror(err));
	}
	unmake(vc, &q);
}

static void sq_drained(struct vc *vc, bool subject)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_SQD, .en_sqd_async_notify = 1 };
	struct queues q;
	int i;

	make(vc, &q, subject, 1, 0, 64);
	if (!subject) {
		for (i = 0; i < 40; i++)
			post_recv(vc, &q, 0, i);
		step(vc);
		take_some(vc, &q, 40);
		unmake(vc, &q);
		return;
	}
	step(vc);
	for (i = 0; i < 20; i++)
		send_bytes(vc, &q, 0, i, SLOT, 0);
	if (ibv_modify_qp(q.qp[0], &attr, IBV_QP_STATE | IBV_QP_EN_SQD_ASYNC_NOTIFY))
		vc_wrong(vc, "queue pair to SQD: %s", strerror(errno));
	for (i = 0; i < 20; i++)
		send_bytes(vc, &q, 0, i, 100, 0);
	expect_event(vc, IBV_EVENT_SQ_DRAINED, q.qp[0]);
	attr.qp_state = IBV_QPS_RTS;
	if (ibv_modify_qp(q.qp[0], &attr, IBV_QP_STATE))
		vc_wrong(vc, "queue pair from SQD to RTS: %s", strerror(errno));
	/* no doorbell comes for what was posted while draining: going on is the state's doing */
	expect_sent(vc, &q, 40);
	unmake(vc, &q);
}

/* A message for a queue pair that cannot send yet, then one that it must not take. */
static void other_events(struct vc *vc, bool subject)
{
	struct { uint32_t qpn, psn; } mine = { .psn = 7 }, theirs;
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };
	struct ibv_sge sge = { .addr = (uintptr_t)vc->tx, .length = 8, .lkey = vc->tx_mr->lkey };
	struct ibv_send_wr wr = { .wr_id = 1,
				  .sg_list = &sge,
				  .num_sge = 1,
				  .opcode = IBV_WR_RDMA_WRITE,
				  .send_flags = IBV_SEND_SIGNALED },
			   *bad;
	struct queues q;
	struct ibv_wc wc;

	make(vc, &q, subject, 1, 0, 64);
	/* connected a second time, the subject up to RTR only */
	if (ibv_modify_qp(q.qp[0], &attr, IBV_QP_STATE))
		vc_die("queue pair to RESET: %s", strerror(errno));
	vc_qp_init(vc, q.qp[0]);
	if (subject)
		post_recv(vc, &q, 0, 0);
	mine.qpn = q.qp[0]->qp_num;
	vc_swap(vc, &mine, &theirs, sizeof(mine));
	vc_qp_rtr(vc, q.qp[0], theirs.qpn, theirs.psn);
	if (!subject)
		vc_qp_rts(vc, q.qp[0], mine.psn, 7, 7, vc->cfg.timeout);
	step(vc);
	if (subject) {
		expect_event(vc, IBV_EVENT_COMM_EST, q.qp[0]);
		take_some(vc, &q, 1);
		step(vc);
		expect_event(vc, IBV_EVENT_QP_ACCESS_ERR, q.qp[0]);
		if (state_of(q.qp[0]) != IBV_QPS_ERR)
			vc_wrong(vc, "queue pair in state %d after a forbidden WRITE", state_of(q.qp[0]));
	} else {
		send_some(vc, &q, 0, 1, 0);
		step(vc);
		wr.wr.rdma.remote_addr = vc->peer.rx_addr;
		wr.wr.rdma.rkey = vc->peer.rx_rkey ^ 0x11;
		if (ibv_post_send(q.qp[0], &wr, &bad) || !reap(q.scq, &wc, 20) ||
		    wc.status != IBV_WC_REM_ACCESS_ERR)
			vc_wrong(vc, "a WRITE with a wrong key did not fail");
	}
	unmake(vc, &q);
}

static const struct {
	const char *name;
	void (*run)(struct vc *vc, bool subject);
	bool strict;
} cases[] = {
	{ "shared receive queue, resized under traffic", srq_traffic, false },
	{ "SRQ limit", srq_limit, false },
	{ "failed queue pairs of an SRQ", last_wqe, true },
	{ "completion queue overrun", cq_overrun, true },
	{ "solicited events", solicited, false },
	{ "moderated events", moderated, true },
	{ "send queue drained", sq_drained, true },
	{ "communication established, access error", other_events, true },
};

void vc_queues(struct vc *vc)
{
	bool mine = strict(vc), theirs;
	unsigned int i;
	int side;

	vc_swap(vc, &mine, &theirs, sizeof(mine));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (side = 0; side < 2; side++) {
			uint64_t before = vc->wrong;
			bool subject = vc->side == side;

			if (cases[i].strict && !(subject ? mine : theirs))
				continue;
			vc_alive(cases[i].name, vc->cfg.stall + 60);
			cases[i].run(vc, subject);
			vc_note("%s: %s, of the %s", vc->wrong == before ? "ok" : "FAILED", cases[i].name, side ? "server" : "client");
		}
}

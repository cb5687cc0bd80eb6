// SPDX-License-Identifier: GPL-2.0-or-later
/* The device, its buffers, completion queues and connected queue pairs. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vc.h"

#define RX_ACCESS	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | \
			 IBV_ACCESS_REMOTE_ATOMIC)
#define TX_ACCESS	IBV_ACCESS_REMOTE_READ

static bool v4_mapped(const union ibv_gid *gid)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(gid->raw, prefix, sizeof(prefix));
}

static void find_gid(struct vc *vc)
{
	struct ibv_gid_entry e;
	int i, max = vc->gid_index < 0 ? 64 : vc->gid_index + 1;

	for (i = vc->gid_index < 0 ? 0 : vc->gid_index; i < max; i++) {
		if (ibv_query_gid_ex(vc->ctx, 1, i, &e, 0) || e.gid_type != IBV_GID_TYPE_ROCE_V2)
			continue;
		/* any global address of the family; fe80:: only when asked for by its index */
		if (vc->gid_index < 0 &&
		    (v4_mapped(&e.gid) == !!vc->cfg.ipv6 || e.gid.raw[0] == 0xfe))
			continue;
		vc->gid_index = i;
		vc->me.gid = e.gid;
		return;
	}
	vc_die("device %s has no RoCE v2 GID%s", ibv_get_device_name(vc->ctx->device),
	       vc->gid_index >= 0 ? " at this --gid-index" : vc->cfg.ipv6 ? " with a global IPv6 address" : " with an IPv4 address");
}

static uint8_t *area(size_t len)
{
	/* Areas start and end anywhere in a page. */
	uint8_t *p = mmap(NULL, len + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);

	if (p == MAP_FAILED)
		vc_die("no memory for an area of %zu bytes", len);
	return p + VC_SKEW;
}

void vc_open(struct vc *vc)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_port_attr port;
	int i;

	for (i = 0; list && list[i]; i++)
		if (!vc->device || !strcmp(vc->device, ibv_get_device_name(list[i])))
			break;
	if (!list || !list[i])
		vc_die("no RDMA device%s%s", vc->device ? " " : "", vc->device ? vc->device : "");
	vc->ctx = ibv_open_device(list[i]);
	if (!vc->ctx)
		vc_die("cannot open %s: %s", ibv_get_device_name(list[i]), strerror(errno));
	ibv_free_device_list(list);
	if (ibv_query_device(vc->ctx, &vc->attr) || ibv_query_port(vc->ctx, 1, &port))
		vc_die("cannot query the device");
	if (port.state != IBV_PORT_ACTIVE)
		vc_die("the port is %s, not active", ibv_port_state_str(port.state));
	vc->me.mtu = 128 << port.active_mtu;
	find_gid(vc);
	vc->pd = ibv_alloc_pd(vc->ctx);
	if (!vc->pd)
		vc_die("ibv_alloc_pd: %s", strerror(errno));
	vc->area = vc->cfg.max_size * 3 + (1 << 20) + 13;
	vc->tx = area(vc->area);
	vc->rx = area(vc->area);
	vc->peer_tx = area(vc->area);
	vc->want = area(vc->area);
}

void vc_close(struct vc *vc)
{
	if (ibv_dealloc_pd(vc->pd))
		vc_wrong(vc, "ibv_dealloc_pd: %s", strerror(errno));
	if (ibv_close_device(vc->ctx))
		vc_wrong(vc, "ibv_close_device: %s", strerror(errno));
}

struct ibv_qp *vc_create_qp(struct vc *vc, enum ibv_qp_type type, uint32_t max_inline)
{
	struct ibv_qp_init_attr init = {
		.send_cq = vc->cq[0],
		.recv_cq = vc->cq[1],
		.qp_type = type,
		.cap = {
			.max_send_wr = VC_DEPTH,
			.max_recv_wr = VC_DEPTH,
			.max_send_sge = VC_MAX_SGE < vc->attr.max_sge ? VC_MAX_SGE :
								       vc->attr.max_sge,
			.max_recv_sge = VC_MAX_SGE < vc->attr.max_sge ? VC_MAX_SGE :
								       vc->attr.max_sge,
			.max_inline_data = max_inline,
		},
	};
	struct ibv_qp *qp = ibv_create_qp(vc->pd, &init);

	if (!qp)
		vc_die("ibv_create_qp: %s", strerror(errno));
	if (init.cap.max_send_wr < VC_DEPTH || init.cap.max_recv_wr < VC_DEPTH)
		vc_wrong(vc, "queue pair with %u/%u work requests, %u asked for", init.cap.max_send_wr, init.cap.max_recv_wr, VC_DEPTH);
	vc->me.max_inline = init.cap.max_inline_data;
	vc->me.max_sge = init.cap.max_send_sge < init.cap.max_recv_sge ? init.cap.max_send_sge
								       : init.cap.max_recv_sge;
	return qp;
}

void vc_qp_init(struct vc *vc, struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |
				   IBV_ACCESS_REMOTE_ATOMIC,
	};
	int err = ibv_modify_qp(
		qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);

	(void)vc;
	if (err)
		vc_die("queue pair to INIT: %s", strerror(err));
}

static enum ibv_mtu mtu_code(uint32_t bytes)
{
	return __builtin_ctz(bytes) - 7;
}

static uint32_t max_rd(struct vc *vc)
{
	return vc->me.max_rd < vc->peer.max_rd ? vc->me.max_rd : vc->peer.max_rd;
}

void vc_qp_rtr(struct vc *vc, struct ibv_qp *qp, uint32_t qpn, uint32_t peer_psn)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = mtu_code(vc->mtu),
		.dest_qp_num = qpn,
		.rq_psn = peer_psn,
		.max_dest_rd_atomic = max_rd(vc),
		.min_rnr_timer = 12,	/* 0.64 ms */
		.ah_attr = {
			.is_global = 1,
			.port_num = 1,
			.grh = {
				.dgid = vc->peer.gid, .sgid_index = vc->gid_index, .hop_limit = 64,
			},
		},
	};
	bool rc = qp->qp_type == IBV_QPT_RC;
	int err = ibv_modify_qp(
		qp, &attr,
		IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			(rc ? IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER : 0));

	if (err)
		vc_die("queue pair to RTR: %s", strerror(err));
}

void vc_qp_rts(struct vc *vc, struct ibv_qp *qp, uint32_t psn, int retry, int rnr_retry,
	       uint32_t timeout)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = psn,
		.timeout = timeout,
		.retry_cnt = retry,
		.rnr_retry = rnr_retry,
		.max_rd_atomic = max_rd(vc),
	};
	bool rc = qp->qp_type == IBV_QPT_RC;
	int err = ibv_modify_qp(qp, &attr,
				IBV_QP_STATE | IBV_QP_SQ_PSN |
					(rc ? IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
							 IBV_QP_MAX_QP_RD_ATOMIC
					    : 0));

	if (err)
		vc_die("queue pair to RTS: %s", strerror(err));
}

void vc_qp_connect(struct vc *vc, struct ibv_qp *qp, uint32_t qpn, uint32_t psn, uint32_t peer_psn,
		   int retry, int rnr_retry, uint32_t timeout)
{
	vc_qp_rtr(vc, qp, qpn, peer_psn);
	vc_qp_rts(vc, qp, psn, retry, rnr_retry, timeout);
}

static void choose_mtu(struct vc *vc)
{
	uint32_t most = vc->me.mtu < vc->peer.mtu ? vc->me.mtu : vc->peer.mtu;

	vc->mtu = vc->cfg.path_mtu ? vc->cfg.path_mtu : most;
	if (vc->mtu > most)
		vc_die("--path-mtu %u is more than the ports' active MTU (%u here, %u there)", vc->mtu, vc->me.mtu, vc->peer.mtu);
}

void vc_setup(struct vc *vc)
{
	/* Packet sequence numbers: anywhere, every second time so that they wrap during the run. */
	struct vc_rng r = { vc->cfg.seed + vc->plan.round * 77 + vc->side };
	uint32_t i;

	for (i = 0; i < 2; i++) {
		vc->channel[i] = ibv_create_comp_channel(vc->ctx);
		if (!vc->channel[i])
			vc_die("ibv_create_comp_channel: %s", strerror(errno));
		vc->cq[i] = ibv_create_cq(vc->ctx, VC_DEPTH * (vc->cfg.qps + 2), NULL,
					  vc->channel[i], 0);
		if (!vc->cq[i])
			vc_die("ibv_create_cq: %s", strerror(errno));
		vc->unacked[i] = 0;
	}
	vc->tx_mr = ibv_reg_mr(vc->pd, vc->tx, vc->area, TX_ACCESS);
	vc->rx_mr = ibv_reg_mr(vc->pd, vc->rx, vc->area, RX_ACCESS);
	if (!vc->tx_mr || !vc->rx_mr)
		vc_die("ibv_reg_mr of %u bytes: %s", vc->area, strerror(errno));
	vc->me.tx_addr = (uintptr_t)vc->tx;
	vc->me.rx_addr = (uintptr_t)vc->rx;
	vc->me.tx_rkey = vc->tx_mr->rkey;
	vc->me.rx_rkey = vc->rx_mr->rkey;
	vc->me.max_rd = vc->attr.max_qp_rd_atom < 4 ? vc->attr.max_qp_rd_atom : 4;
	for (i = 0; i < vc->cfg.qps; i++) {
		vc->qp[i] = vc_create_qp(vc, IBV_QPT_RC, 100);
		vc_qp_init(vc, vc->qp[i]);
		vc->me.qpn[i] = vc->qp[i]->qp_num;
		vc->me.psn[i] = vc_rand(&r) & 0xffffff;
		if (vc_below(&r, 2))
			vc->me.psn[i] = 0xffffff - vc_below(&r, 600);
	}
	vc_ud_setup(vc);
	vc_uc_setup(vc);
	vc_swap(vc, &vc->me, &vc->peer, sizeof(vc->me));
	choose_mtu(vc);
	for (i = 0; i < vc->cfg.qps; i++)
		vc_qp_connect(vc, vc->qp[i], vc->peer.qpn[i], vc->me.psn[i], vc->peer.psn[i], 7, 7,
			      vc->cfg.timeout);
	vc_uc_connect(vc);
}

void vc_teardown(struct vc *vc)
{
	uint32_t i;
	int err = 0;

	vc_ud_teardown(vc);
	vc_uc_teardown(vc);
	for (i = 0; i < vc->cfg.qps; i++)
		err |= ibv_destroy_qp(vc->qp[i]);
	err |= ibv_dereg_mr(vc->tx_mr) | ibv_dereg_mr(vc->rx_mr);
	for (i = 0; i < 2; i++) {
		if (vc->unacked[i])
			ibv_ack_cq_events(vc->cq[i], vc->unacked[i]);
		err |= ibv_destroy_cq(vc->cq[i]);
		err |= ibv_destroy_comp_channel(vc->channel[i]);
	}
	if (err)
		vc_wrong(vc, "destroying queue pairs, regions or queues failed");
}

/* A peer of one that was killed would wait until it counts as stuck. */
static void look_at_peer(struct vc *vc)
{
	static unsigned int calls;
	ssize_t n;
	char c;

	if (++calls % 64)
		return;
	n = recv(vc->tcp, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	if (!n || (n < 0 && errno == ECONNRESET))
		vc_die("the other side is gone");
}

int vc_wait(struct vc *vc, int which, struct ibv_wc *wc, int n, bool events)
{
	struct pollfd pfd = { .fd = vc->channel[which]->fd, .events = POLLIN };
	struct ibv_cq *cq;
	void *arg;
	int got = ibv_poll_cq(vc->cq[which], n, wc);

	if (!got && events) {
		/* Arm, then look again: what came before arming raises no event. */
		if (ibv_req_notify_cq(vc->cq[which], 0))
			vc_die("ibv_req_notify_cq: %s", strerror(errno));
		got = ibv_poll_cq(vc->cq[which], n, wc);
		/*
		 * 20 ms: the caller has two queues to look at, and an event of an earlier arming
		 * may be pending.
		 */
		if (!got && poll(&pfd, 1, 20) == 1 &&
		    !ibv_get_cq_event(vc->channel[which], &cq, &arg)) {
			vc->unacked[which]++;
			got = ibv_poll_cq(vc->cq[which], n, wc);
		}
	} else if (!got) {
		sched_yield();
	}
	if (got < 0)
		vc_die("ibv_poll_cq: %d", got);
	if (!got)
		look_at_peer(vc);
	return got;
}

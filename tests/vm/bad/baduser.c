// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A hostile application of the RDMA device that it was given. Nothing that it does may harm others
 * or the kernel; what it does to itself, up to its own crash, is its own affair: the work is done
 * by children that are started anew until the time is over.
 *
 * usage: baduser [-s SECONDS] [-S SEED] queues|memory|mmap|calls|hold
 *   queues   rewrites its mapped queues, index words and headers included, while the kernel uses
 *            them
 *   memory   unmaps, moves, truncates and deregisters buffers under traffic, uses keys of another
 *            process
 *   mmap     threads map any offset while queues are created, resized and destroyed
 *   calls    random write() and ioctl() on the device's file
 *   hold     uses the device until it is taken away, and says whether that ended as it must
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <rdma/rdma_user_rxe.h>

#define BUF		(64u << 10)
/* 0-1 and 2-3 are connected to each other, 2 and 3 have an SRQ; 4 is UD */
#define NR_QPS		5
#define MAX_MAPS	32

static uint64_t rng_state;

static uint32_t rnd(uint32_t n)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return n ? (rng_state >> 20) % n : rng_state >> 20;
}

/* Any 64-bit value, mostly one near a border */
static uint64_t odd64(void)
{
	static const uint64_t edge[] = { 0,	     1,		 4095,	     4096,	 0x7fffffff,
					 0x80000000, 0xffffffff, 1ull << 32, 1ull << 47, ~0ull };

	return rnd(3) ? edge[rnd(10)] + rnd(3) - 1 : (uint64_t)rnd(0) << 32 | rnd(0);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "baduser: %s: %s\n", what, strerror(errno));
	exit(2);
}

struct map {
	uint8_t *p;
	size_t len;
	uint32_t shift, mask;	/* as they were before anything was rewritten */
};

struct user {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	union ibv_gid gid;
	int gid_index;
	uint8_t *buf;
	struct ibv_mr *mr;
	struct ibv_cq *cq;
	struct ibv_srq *srq;
	struct ibv_ah *ah;
	struct ibv_qp *qp[NR_QPS];
	struct map map[MAX_MAPS];
	int nr_maps;
};

static void open_device(struct user *u)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_gid_entry e;

	if (!list || !list[0])
		die("no RDMA device");
	u->ctx = ibv_open_device(list[0]);
	if (!u->ctx)
		die("ibv_open_device");
	u->pd = ibv_alloc_pd(u->ctx);
	if (!u->pd)
		die("ibv_alloc_pd");
	for (u->gid_index = 0; u->gid_index < 64; u->gid_index++)
		if (!ibv_query_gid_ex(u->ctx, 1, u->gid_index, &e, 0) &&
		    e.gid_type == IBV_GID_TYPE_ROCE_V2 && e.gid.raw[10] == 0xff)
			break;
	u->gid = e.gid;
}

static bool connect_qp(struct user *u, struct ibv_qp *qp, uint32_t dqpn)
{
	struct ibv_qp_attr a = { .qp_state = IBV_QPS_RESET };
	int access = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;

	if (ibv_modify_qp(qp, &a, IBV_QP_STATE))
		return false;
	a = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_INIT, .port_num = 1, .qp_access_flags = access, .qkey = 0x11
	};
	if (ibv_modify_qp(qp, &a, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
			  (qp->qp_type == IBV_QPT_UD ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS)))
		return false;
	a = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = dqpn,
		.max_dest_rd_atomic = 4,
		.min_rnr_timer = 1,
		.ah_attr = { .is_global = 1,
			     .port_num = 1,
			     .grh = { .dgid = u->gid,
				      .sgid_index = u->gid_index,
				      .hop_limit = 1 } },
	};
	if (ibv_modify_qp(qp, &a,
			  qp->qp_type == IBV_QPT_UD
				  ? IBV_QP_STATE
				  : IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
					    IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
					    IBV_QP_MIN_RNR_TIMER))
		return false;
	a = (struct ibv_qp_attr){ .qp_state = IBV_QPS_RTS,
				  .timeout = 8,
				  .retry_cnt = 3,
				  .rnr_retry = 3,
				  .max_rd_atomic = 4 };
	return !ibv_modify_qp(qp, &a,
			      qp->qp_type == IBV_QPT_UD
				      ? IBV_QP_STATE | IBV_QP_SQ_PSN
				      : IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT |
						IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
						IBV_QP_MAX_QP_RD_ATOMIC);
}

static void connect_all(struct user *u)
{
	int i;

	for (i = 0; i < NR_QPS; i++)
		connect_qp(u, u->qp[i], u->qp[i < 4 ? i ^ 1 : i]->qp_num);
}

/*
 * Where the device's file is mapped: the queues, as librxe has mapped them. No other thread may map
 * or unmap meanwhile.
 */
static void find_maps(struct user *u)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	char line[512];

	if (!f)
		die("/proc/self/maps");
	u->nr_maps = 0;
	while (u->nr_maps < MAX_MAPS && fgets(line, sizeof(line), f)) {
		struct rxe_queue_buf *q;

		if (!strstr(line, "uverbs") || sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		q = (void *)from;
		u->map[u->nr_maps++] = (struct map){ (uint8_t *)from, to - from, q->log2_elem_size,
						     q->index_mask };
	}
	fclose(f);
}

static void make(struct user *u)
{
	struct ibv_srq_init_attr sinit = { .attr = { .max_wr = 31, .max_sge = 2 } };
	struct ibv_ah_attr ah = { .is_global = 1, .port_num = 1 };
	int i;

	u->buf = mmap(NULL, BUF, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u->mr = ibv_reg_mr(u->pd, u->buf, BUF,
			   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
				   IBV_ACCESS_REMOTE_READ);
	u->cq = ibv_create_cq(u->ctx, 63, NULL, NULL, 0);
	u->srq = ibv_create_srq(u->pd, &sinit);
	ah.grh.dgid = u->gid;
	ah.grh.sgid_index = u->gid_index;
	u->ah = ibv_create_ah(u->pd, &ah);
	if (!u->mr || !u->cq || !u->srq || !u->ah)
		die("creating the region, queues and address handle");
	for (i = 0; i < NR_QPS; i++) {
		struct ibv_qp_init_attr init = {
			.send_cq = u->cq,
			.recv_cq = u->cq,
			.srq = i == 2 || i == 3 ? u->srq : NULL,
			.qp_type = i == 4 ? IBV_QPT_UD : IBV_QPT_RC,
			.cap = { .max_send_wr = 31,
				 .max_recv_wr = 31,
				 .max_send_sge = 4,
				 .max_recv_sge = 2,
				 .max_inline_data = 64 },
		};

		u->qp[i] = ibv_create_qp(u->pd, &init);
		if (!u->qp[i])
			die("ibv_create_qp");
	}
	connect_all(u);
}

static void unmake(struct user *u)
{
	int i, err = 0;

	for (i = 0; i < NR_QPS; i++)
		err |= ibv_destroy_qp(u->qp[i]);
	err |= ibv_destroy_srq(u->srq) | ibv_destroy_cq(u->cq) | ibv_destroy_ah(u->ah) |
	       ibv_dereg_mr(u->mr);
	if (err)
		die("destroying what was made");
	munmap(u->buf, BUF);
}

/* librxe's doorbell, without librxe, which would look at the queue */
static void doorbell(struct user *u, const struct ibv_qp *qp)
{
	struct ib_uverbs_post_send_resp resp;
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_post_send cmd;
	} db = {
		.hdr = { IB_USER_VERBS_CMD_POST_SEND, sizeof(db) / 4, sizeof(resp) / 4 },
		.cmd = { .response = (uintptr_t)&resp,
			 .qp_handle = qp->handle,
			 .wqe_size = sizeof(struct ibv_send_wr) },
	};

	if (write(u->ctx->cmd_fd, &db, sizeof(db)) < 0 && errno != EINVAL)
		die("doorbell");
}

static void fill_sges(struct user *u, struct rxe_dma_info *dma, size_t room)
{
	uint32_t i, n = rnd(4) ? 1 + rnd(4) : rnd(0), sum = 0;

	for (i = 0; i < n && (i + 1) * sizeof(struct rxe_sge) <= room; i++) {
		dma->sge[i].addr = rnd(8) ? (uintptr_t)u->buf + rnd(BUF) : odd64();
		dma->sge[i].length = rnd(8) ? rnd(5000) : odd64();
		dma->sge[i].lkey = rnd(8) ? u->mr->lkey : rnd(2) ? u->mr->lkey + rnd(7) : rnd(0);
		sum += dma->sge[i].length;
	}
	dma->num_sge = n;
	dma->length = rnd(8) ? sum : odd64();
}

static void fill_send(struct user *u, struct rxe_send_wqe *w, size_t room)
{
	w->wr.wr_id = odd64();
	w->wr.opcode = rnd(8) ? rnd(16) : odd64();
	w->wr.send_flags = rnd(8) ? rnd(32) : odd64();
	w->wr.ex.imm_data = rnd(0);
	w->wr.wr.rdma.remote_addr = rnd(8) ? (uintptr_t)u->buf + rnd(BUF) : odd64();
	w->wr.wr.rdma.rkey = rnd(8) ? u->mr->rkey : rnd(0);
	if (!rnd(3)) {
		w->wr.wr.ud.remote_qpn = rnd(2) ? u->qp[rnd(NR_QPS)]->qp_num : rnd(0);
		w->wr.wr.ud.remote_qkey = rnd(8) ? 0x11 : rnd(0);
		w->wr.wr.ud.ah_num = rnd(2) ? 1 + rnd(4) : odd64();
	}
	fill_sges(u, &w->dma, room - sizeof(*w));
}

static void spoil(struct user *u)
{
	struct map *m = &u->map[rnd(u->nr_maps)];
	struct rxe_queue_buf *q = (void *)m->p;
	uint8_t *elem = q->data + ((size_t)(rnd(0) & m->mask) << m->shift);
	uint32_t i;

	switch (rnd(10)) {
	case 0:		/* anything, anywhere */
		for (i = rnd(200); i; i--)
			m->p[rnd(m->len)] = rnd(0);
		break;
	case 1:		/* the header */
		((uint32_t *)
			 m->p)[rnd(2) ? rnd(2) : rnd(offsetof(struct rxe_queue_buf, data) / 4)] =
			odd64();
		break;
	case 2:
		q->producer_index = rnd(2) ? rnd(0) : q->producer_index + rnd(m->mask + 1);
		break;
	case 3:
		q->consumer_index = rnd(2) ? rnd(0) : q->producer_index;
		break;
	case 4:
		memset(elem, rnd(2) ? 0xff : rnd(0), 1u << m->shift);
		break;
	default:	/* a request that could be one */
		elem = q->data + ((size_t)(q->producer_index & m->mask) << m->shift);
		if (1u << m->shift >= sizeof(struct rxe_send_wqe)) {
			fill_send(u, (void *)elem, 1u << m->shift);
		} else {
			struct rxe_recv_wqe *w = (void *)elem;

			w->wr_id = odd64();
			fill_sges(u, &w->dma, (1u << m->shift) - sizeof(*w));
		}
		q->producer_index = (q->producer_index + 1) & m->mask;
		break;
	}
}

static volatile bool stop;

static void *spoil_thread(void *arg)
{
	struct user *u = arg;

	while (!stop)
		spoil(u);
	return NULL;
}

static void attack_queues(struct user *u, double end)
{
	uint32_t i;

	while (now() < end) {
		bool beside = rnd(2);
		pthread_t t;

		make(u);
		find_maps(u);
		stop = false;
		/* the kernel reads while another thread writes */
		if (beside && pthread_create(&t, NULL, spoil_thread, u))
			die("pthread_create");
		for (i = 0; i < 400; i++) {
			int n = rnd(8);

			while (n--)
				spoil(u);
			doorbell(u, u->qp[rnd(NR_QPS)]);
			if (i % 10 == 9)
				connect_all(u);
		}
		stop = true;
		if (beside)
			pthread_join(t, NULL);
		unmake(u);
	}
}

static void post(struct user *u, int qp, enum ibv_wr_opcode op, uint64_t addr, uint32_t len,
		 uint32_t lkey, uint64_t raddr, uint32_t rkey)
{
	struct ibv_sge sge = { addr, len, lkey };
	struct ibv_send_wr wr = { .sg_list = &sge,
				  .num_sge = 1,
				  .opcode = op,
				  .send_flags = IBV_SEND_SIGNALED },
			   *bad;
	struct ibv_wc wc[16];

	wr.wr.rdma.remote_addr = raddr;
	wr.wr.rdma.rkey = rkey;
	ibv_post_send(u->qp[qp], &wr, &bad);
	ibv_poll_cq(u->cq, 16, wc);
}

/* Another process's region, whose keys are known and must be of no use. */
struct victim {
	uint32_t lkey, rkey, hit;
	uint64_t addr;
	bool go;
};

static void victim(volatile struct victim *v)
{
	struct user u = {};
	uint32_t i;

	open_device(&u);
	u.buf = mmap(NULL, BUF, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(u.buf, 0xa5, BUF);
	u.mr = ibv_reg_mr(u.pd, u.buf, BUF,
			  IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
				  IBV_ACCESS_REMOTE_READ);
	if (!u.mr)
		die("ibv_reg_mr of the victim");
	v->lkey = u.mr->lkey;
	v->addr = (uintptr_t)u.buf;
	v->rkey = u.mr->rkey;
	while (!v->go)
		usleep(10000);
	for (i = 0; i < BUF; i++)
		v->hit += u.buf[i] != 0xa5;
	exit(0);
}

static volatile struct victim *prey;

static void attack_memory(struct user *u, double end)
{
	static const enum ibv_wr_opcode ops[] = { IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ,
						  IBV_WR_SEND };
	int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	struct ibv_sge sge = {};
	struct ibv_recv_wr rwr = { .sg_list = &sge, .num_sge = 1 }, *bad;

	make(u);
	while (now() < end) {
		uint32_t len = 4096 * (1 + rnd(64)), i;
		uint8_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  -1, 0);
		struct ibv_mr *mr = ibv_reg_mr(u->pd, p, len, access);

		if (!mr)
			die("ibv_reg_mr");
		for (i = 0; i < 8; i++) {
			uint64_t la = (uintptr_t)p + rnd(len), ra = (uintptr_t)p + rnd(len);
			uint32_t lkey = mr->lkey, rkey = mr->rkey;

			if (!rnd(4) && prey->rkey) {
				/* the other's region, by either key */
				ra = prey->addr + rnd(BUF);
				rkey = prey->rkey;
				if (rnd(2)) {
					la = prey->addr + rnd(BUF);
					lkey = prey->lkey;
				}
			}
			sge = (struct ibv_sge){ rnd(4) ? (uintptr_t)p : prey->addr, len,
						rnd(4) ? mr->lkey : prey->lkey };
			ibv_post_recv(u->qp[1], &rwr, &bad);
			post(u, rnd(2), ops[rnd(3)], la, rnd(len), lkey, ra, rkey);
		}
		switch (rnd(6)) {
		case 0: munmap(p, len); p = NULL; break;
		case 1: madvise(p, len, MADV_DONTNEED); break;
		case 2: p = mremap(p, len, len * 2, MREMAP_MAYMOVE); len *= 2; break;
		case 3: munmap(p + len / 2, len - len / 2); len /= 2; break;
		case 4: mprotect(p, len, PROT_NONE); break;
		}
		for (i = 0; i < 4; i++)
			post(u, rnd(2), ops[rnd(3)], mr ? (uintptr_t)mr->addr : 0, 4000, mr->lkey,
			     (uintptr_t)mr->addr, mr->rkey);
		if (ibv_dereg_mr(mr))
			die("ibv_dereg_mr");
		if (p && p != MAP_FAILED && len)
			munmap(p, len);
		if (!rnd(4))
			connect_all(u);
	}
	unmake(u);
}

static void *mmap_thread(void *arg)
{
	struct user *u = arg;
	volatile uint32_t sum = 0;
	uint64_t seed = (uintptr_t)&sum;

	while (!stop) {
		size_t len, i;
		uint8_t *p;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		len = 4096 * (1 + (seed >> 33) % 6);
		p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, u->ctx->cmd_fd,
			 seed >> 60 ? (off_t)((seed >> 40) % 128) * 4096
				    : (off_t)(seed >> 8 & ~4095ull));
		if (p == MAP_FAILED)
			continue;
		/* touched late: the queue may be gone by then */
		for (i = 0; i < len; i += 4096)
			sum += *(volatile uint32_t *)(p + i);
		((volatile struct rxe_queue_buf *)p)->pad_1[3] = sum;
		munmap(p, len);
	}
	return NULL;
}

static void attack_mmap(struct user *u, double end)
{
	pthread_t t[4];
	int i;

	for (i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, mmap_thread, u))
			die("pthread_create");
	while (now() < end) {
		struct ibv_srq_attr attr = { .max_wr = 1 + rnd(1000) };

		make(u);
		for (i = 0; i < 10; i++) {
			if (ibv_resize_cq(u->cq, 1 + rnd(1000)))
				die("ibv_resize_cq");
			if (ibv_modify_srq(u->srq, &attr, IBV_SRQ_MAX_WR))
				die("ibv_modify_srq");
			attr.max_wr = 1 + rnd(1000);
		}
		unmake(u);
	}
	stop = true;
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static void random_write(struct user *u)
{
	uint32_t words[64], i, n = 2 + rnd(40);

	for (i = 0; i < 64; i++)
		words[i] = rnd(3) ? rnd(12) : rnd(2) ? rnd(0) : (uint32_t)odd64();
	/* a response address that may be written, most of the time */
	if (rnd(8)) {
		words[2] = (uintptr_t)u->buf;
		words[3] = (uintptr_t)u->buf >> 32;
	}
	words[0] = rnd(64) | (rnd(4) ? 0 : 0x80000000);
	words[1] = (rnd(8) ? n : rnd(100)) | rnd(40) << 16;
	(void)!write(u->ctx->cmd_fd, words, n * 4);
}

static void random_ioctl(struct user *u)
{
	struct {
		struct ib_uverbs_ioctl_hdr hdr;
		struct ib_uverbs_attr attr[8];
	} c;
	uint32_t i, n = rnd(9);

	memset(&c, 0, sizeof(c));
	c.hdr.length = rnd(16) ? sizeof(c.hdr) + n * sizeof(c.attr[0]) : rnd(0);
	c.hdr.object_id = rnd(8) ? rnd(20) : rnd(0);
	c.hdr.method_id = rnd(8) ? rnd(12) : rnd(0);
	c.hdr.num_attrs = rnd(16) ? n : rnd(0);
	c.hdr.driver_id = rnd(16) ? RDMA_DRIVER_RXE : rnd(30);
	for (i = 0; i < 8; i++)
		c.attr[i] = (struct ib_uverbs_attr){
			.attr_id = rnd(8) ? rnd(24) | (rnd(8) ? 0 : 0x1000) : rnd(0),
			.len = rnd(4) ? rnd(5) * 4 : rnd(0),
			.flags = rnd(4) ? 1 : rnd(0),
			.data = rnd(3)	 ? rnd(12)
				: rnd(2) ? (uintptr_t)u->buf + rnd(4096)
					 : odd64(),
		};
	ioctl(u->ctx->cmd_fd, RDMA_VERBS_IOCTL, &c);
}

static void attack_calls(struct user *u, double end)
{
	int i;

	make(u);
	/* a read of the completion channel that a call makes must not keep us */
	fcntl(u->ctx->async_fd, F_SETFL, O_NONBLOCK);
	while (now() < end)
		for (i = 0; i < 100; i++) {
			if (rnd(2))
				random_write(u);
			else
				random_ioctl(u);
		}
	/* what is left, the kernel has to clear away */
	_exit(0);
}

/* The device goes away below: one event, then errors, and what is mapped stays readable. */
static int hold(struct user *u, double end)
{
	struct ibv_port_attr attr;
	struct pollfd pfd = { .fd = u->ctx->async_fd, .events = POLLIN };
	struct ibv_sge sge;
	struct ibv_recv_wr rwr = { .sg_list = &sge, .num_sge = 1 }, *rbad;
	struct ibv_async_event ev;
	struct ibv_wc wc;
	int i;

	make(u);
	find_maps(u);
	sge = (struct ibv_sge){ (uintptr_t)u->buf, 4096, u->mr->lkey };
	puts("holding");
	fflush(stdout);
	do {
		post(u, rnd(4), IBV_WR_RDMA_WRITE, (uintptr_t)u->buf, 20000, u->mr->lkey,
		     (uintptr_t)u->buf + 30000, u->mr->rkey);
		ibv_post_recv(u->qp[rnd(2)], &rwr, &rbad);
		if (now() > end) {
			puts("the device stayed");
			return 1;
		}
		if (poll(&pfd, 1, 0) != 1)
			continue;
		if (ibv_get_async_event(u->ctx, &ev))
			die("ibv_get_async_event");
		ibv_ack_async_event(&ev);
	} while (ev.event_type != IBV_EVENT_DEVICE_FATAL);
	/* the queues are still mapped, and whatever they hold is only ours */
	for (i = 0; i < u->nr_maps; i++)
		memset(u->map[i].p + 512, 0x5a, u->map[i].len - 512);
	if (ibv_poll_cq(u->cq, 0, &wc))
		die("ibv_poll_cq of 0");
	if (!ibv_query_port(u->ctx, 1, &attr) || ibv_alloc_pd(u->ctx)) {
		puts("a verb succeeded on a device that is gone");
		return 1;
	}
	puts("DEVICE_FATAL");
	return 0;
}

int main(int argc, char **argv)
{
	double end, seconds = 10;
	uint64_t seed = time(NULL);
	uint32_t runs = 0, crashes = 0;
	const char *mode;
	int o, status;
	pid_t pid, vpid = 0;

	while ((o = getopt(argc, argv, "s:S:")) != -1) {
		if (o == 's')
			seconds = atof(optarg);
		else if (o == 'S')
			seed = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	mode = optind < argc ? argv[optind] : "";
	end = now() + seconds;
	if (!strcmp(mode, "hold")) {
		struct user u = {};

		rng_state = seed | 1;
		open_device(&u);
		return hold(&u, end);
	}
	prey = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!strcmp(mode, "memory")) {
		vpid = fork();
		if (!vpid)
			victim(prey);
		while (!prey->rkey && now() < end)
			usleep(10000);
	}
	while (now() < end) {
		double until = now() + 5 < end ? now() + 5 : end;

		pid = fork();
		if (!pid) {
			struct user u = {};

			rng_state = (seed + runs) * 0x9e3779b97f4a7c15ull | 1;
			open_device(&u);
			if (!strcmp(mode, "queues"))
				attack_queues(&u, until);
			else if (!strcmp(mode, "memory"))
				attack_memory(&u, until);
			else if (!strcmp(mode, "mmap"))
				attack_mmap(&u, until);
			else if (!strcmp(mode, "calls"))
				attack_calls(&u, until);
			else
				return 2;
			return 0;
		}
		while (waitpid(pid, &status, WNOHANG) == 0) {
			usleep(50000);
			/* long over its time: killed in mid-flight, which must do as well */
			if (now() > until + 20) {
				printf("stuck\n");
				kill(pid, SIGKILL);
				waitpid(pid, &status, 0);
				return 3;
			}
		}
		runs++;
		if (WIFEXITED(status) && WEXITSTATUS(status))
			return WEXITSTATUS(status);
		crashes += WIFSIGNALED(status);
	}
	if (vpid > 0) {
		prey->go = true;
		if (waitpid(vpid, &status, 0) != vpid || status || prey->hit || !prey->rkey) {
			printf("the victim: status %d, %u bytes hit\n", status, prey->hit);
			return 1;
		}
	}
	printf("%u runs, %u crashed\n", runs, crashes);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * usage: many-qps [-n NUMBER] [-p PROCESSES] [-w]
 *
 * Queue pairs by the thousand, in one process or shared among several: created, connected in pairs
 * to each other, one message on each, destroyed. Prints what each step takes for the first and the
 * last tenth, and the kernel's memory for a queue pair; fails when the last tenth takes over four
 * times as long as the first, or when memory is not given back.
 *
 * -w: says "waiting" when all are connected and were used, and waits for SIGUSR1; then there is one
 * more message on each. One process.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#define BATCH	64	/* messages under way */

static struct ibv_context *ctx;
static struct ibv_pd *pd;
static struct ibv_cq *cq;
static struct ibv_mr *mr;
static struct ibv_qp **qp;
static union ibv_gid gid;
static int gid_index, number = 10000, bad, waits;
static char buf[256];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void __attribute__((noreturn)) die(const char *what, int i)
{
	fprintf(stderr, "many-qps: %s %d: %s\n", what, i, strerror(errno));
	exit(2);
}

static long free_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	long total = 0, n;
	char name[64];

	while (f && fscanf(f, "%63s %ld%*[^\n]", name, &n) == 2)
		if (!strcmp(name, "MemFree:") || !strcmp(name, "Cached:") || !strcmp(name, "Buffers:"))
			total += n;
	if (f)
		fclose(f);
	return total;
}

static void create(int i)
{
	struct ibv_qp_init_attr init = {
		.send_cq = cq,
		.recv_cq = cq,
		.qp_type = IBV_QPT_RC,
		.cap = { .max_send_wr = 15,
			 .max_recv_wr = 15,
			 .max_send_sge = 1,
			 .max_recv_sge = 1 },
	};

	qp[i] = ibv_create_qp(pd, &init);
	if (!qp[i])
		die("ibv_create_qp", i);
}

static void connect_qp(int i)
{
	struct ibv_qp_attr a = { .qp_state = IBV_QPS_INIT, .port_num = 1 };

	if (ibv_modify_qp(qp[i], &a,
			  IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS))
		die("to INIT", i);
	a = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = qp[i ^ 1]->qp_num,
		.max_dest_rd_atomic = 4,
		.min_rnr_timer = 12,
		.ah_attr = { .is_global = 1,
			     .port_num = 1,
			     .grh = { .dgid = gid, .sgid_index = gid_index, .hop_limit = 1 } },
	};
	if (ibv_modify_qp(qp[i], &a,
			  IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
				  IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER))
		die("to RTR", i);
	a = (struct ibv_qp_attr){ .qp_state = IBV_QPS_RTS,
				  .timeout = 18,
				  .retry_cnt = 7,
				  .rnr_retry = 7,
				  .max_rd_atomic = 4 };
	if (ibv_modify_qp(qp[i], &a,
			  IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
				  IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC))
		die("to RTS", i);
}

static void use(int i)
{
	struct ibv_sge sge = { (uintptr_t)buf, sizeof(buf), mr->lkey };
	struct ibv_recv_wr rwr = { .wr_id = i, .sg_list = &sge, .num_sge = 1 }, *rbad;
	struct ibv_send_wr wr = { .wr_id = i, .sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_SEND,
				  .send_flags = IBV_SEND_SIGNALED }, *sbad;
	double end = now() + 30;
	struct ibv_wc wc;
	int want = 2;

	if (ibv_post_recv(qp[i ^ 1], &rwr, &rbad) || ibv_post_send(qp[i], &wr, &sbad))
		die("posting", i);
	while (want && now() < end) {
		if (ibv_poll_cq(cq, 1, &wc) != 1)
			continue;
		if (wc.status != IBV_WC_SUCCESS || wc.wr_id != (uint64_t)i ||
		    wc.qp_num != qp[i ^ !!(wc.opcode & IBV_WC_RECV)]->qp_num)
			die(ibv_wc_status_str(wc.status), i);
		want--;
	}
	if (want)
		die("no completion for", i);
}

static void destroy(int i)
{
	if (ibv_destroy_qp(qp[i]))
		die("ibv_destroy_qp", i);
}

static void each(const char *what, void (*step)(int))
{
	int tenth = number / 10, i;
	double t0 = now(), t1 = 0, t9 = 0, t;

	for (i = 0; i < number; i++) {
		if (i == tenth)
			t1 = now() - t0;
		if (i == number - tenth)
			t9 = now();
		step(i);
	}
	t = now();
	t9 = t - t9;
	printf("%-8s %7.0f us each, first tenth %.0f us, last tenth %.0f us\n", what, (t - t0) / number * 1e6, t1 / tenth * 1e6,
	       t9 / tenth * 1e6);
	if (t9 > 4 * t1 + 1) {
		printf("not linear\n");
		bad = 1;
	}
}

/* It is blocked before anybody is told that it may come. */
static void wait_for_signal(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	printf("waiting\n");
	fflush(stdout);
	sigwait(&set, &sig);
}

static int one_process(void)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_gid_entry e;
	long before, with, after;

	ctx = list && list[0] ? ibv_open_device(list[0]) : NULL;
	if (!ctx)
		die("opening the device", 0);
	for (; gid_index < 64; gid_index++)
		if (!ibv_query_gid_ex(ctx, 1, gid_index, &e, 0) &&
		    e.gid_type == IBV_GID_TYPE_ROCE_V2 && e.gid.raw[10] == 0xff)
			break;
	gid = e.gid;
	pd = ibv_alloc_pd(ctx);
	cq = ibv_create_cq(ctx, BATCH, NULL, NULL, 0);
	mr = pd ? ibv_reg_mr(pd, buf, sizeof(buf), IBV_ACCESS_LOCAL_WRITE) : NULL;
	qp = calloc(number, sizeof(*qp));
	if (!cq || !mr || !qp)
		die("creating queue and region", 0);
	before = free_kib();
	each("create", create);
	with = free_kib();
	each("connect", connect_qp);
	each("use", use);
	if (waits) {
		wait_for_signal();
		each("again", use);
	}
	each("destroy", destroy);
	after = free_kib();
	printf("%.1f KiB each, page tables included; %ld KiB not given back\n", (before - with) / (double)number,
	       before > after ? before - after : 0);
	/* the page allocator keeps some for each CPU */
	if (before - after > (before - with) / 4 + 32768)
		bad = 1;
	if (ibv_dereg_mr(mr) || ibv_destroy_cq(cq) || ibv_dealloc_pd(pd) || ibv_close_device(ctx))
		die("closing", 0);
	return bad;
}

int main(int argc, char **argv)
{
	int o, i, processes = 1, status, rc = 0;

	while ((o = getopt(argc, argv, "n:p:w")) != -1) {
		if (o == 'n')
			number = atoi(optarg);
		else if (o == 'p')
			processes = atoi(optarg);
		else if (o == 'w')
			waits = 1;
		else
			return 2;
	}
	if (processes == 1)
		return one_process();
	/* pairs */
	number = number / processes & ~1;
	for (i = 0; i < processes; i++)
		if (!fork()) {
			/*
			 * what the others do at the same time is in these numbers: only failures
			 * count
			 */
			if (!freopen("/dev/null", "w", stdout))
				_exit(2);
			one_process();
			_exit(0);
		}
	for (i = 0; i < processes; i++)
		if (wait(&status) < 0 || status)
			rc = 1;
	printf("%d processes of %d queue pairs: %s\n", processes, number, rc ? "FAILED" : "ok");
	return rc;
}

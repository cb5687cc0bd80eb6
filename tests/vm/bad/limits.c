// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * usage: limits caps|objects|memory BYTES
 *
 * The limits that a device announces hold: caps: a queue of the largest size can be had and says no
 * more of itself, one larger is refused. objects: as many protection domains and address handles as
 * announced, and no more. memory: in a memory cgroup of BYTES, the largest queue pairs and
 * completion queues end with ENOMEM before their queues exceed it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <infiniband/verbs.h>

static struct ibv_context *ctx;
static struct ibv_device_attr dev;
static struct ibv_pd *pd;
static int wrong;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "limits: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void must(bool ok, const char *what, unsigned long is)
{
	if (ok)
		return;
	printf("limits: %s: %lu (%s)\n", what, is, strerror(errno));
	wrong++;
}

static struct ibv_qp *create_qp(struct ibv_cq *cq, struct ibv_qp_cap *cap)
{
	struct ibv_qp_init_attr init = {
		.send_cq = cq, .recv_cq = cq, .qp_type = IBV_QPT_RC, .cap = *cap
	};
	struct ibv_qp *qp = ibv_create_qp(pd, &init);

	*cap = init.cap;
	return qp;
}

static struct ibv_qp_cap largest(void)
{
	return (struct ibv_qp_cap){
		.max_send_wr = dev.max_qp_wr,
		.max_recv_wr = dev.max_qp_wr,
		.max_send_sge = dev.max_sge,
		.max_recv_sge = dev.max_sge,
	};
}

static void caps(void)
{
	struct ibv_srq_init_attr srq_init = { .attr = { .max_wr = dev.max_srq_wr,
							.max_sge = dev.max_srq_sge } };
	struct ibv_cq *cq = ibv_create_cq(ctx, dev.max_cqe, NULL, NULL, 0);
	struct ibv_qp_cap cap = largest();
	unsigned int limit[] = { dev.max_qp_wr, dev.max_qp_wr, dev.max_sge, dev.max_sge }, i;
	struct ibv_srq *srq;
	struct ibv_qp *qp;

	if (!cq)
		die("ibv_create_cq of max_cqe");
	must(cq->cqe <= dev.max_cqe, "a completion queue says it has more than max_cqe", cq->cqe);
	must(!ibv_create_cq(ctx, dev.max_cqe + 1, NULL, NULL, 0), "a larger completion queue", dev.max_cqe + 1);
	must(!ibv_create_cq(ctx, 16, NULL, NULL, ctx->num_comp_vectors), "a completion vector that is not", ctx->num_comp_vectors);
	must(ctx->num_comp_vectors == 1, "all completions come from one place; vectors", ctx->num_comp_vectors);

	qp = create_qp(cq, &cap);
	if (!qp)
		die("ibv_create_qp of the largest size");
	for (i = 0; i < 4; i++) {
		unsigned int *field[] = { &cap.max_send_wr, &cap.max_recv_wr, &cap.max_send_sge,
					  &cap.max_recv_sge };

		must(*field[i] == limit[i], "a queue pair's size is not what was asked for", *field[i]);
	}
	ibv_destroy_qp(qp);
	for (i = 0; i < 4; i++) {
		unsigned int *field[] = { &cap.max_send_wr, &cap.max_recv_wr, &cap.max_send_sge,
					  &cap.max_recv_sge };

		cap = (struct ibv_qp_cap){ 1, 1, 1, 1, 0 };
		*field[i] = limit[i] + 1;
		must(!create_qp(cq, &cap), "a queue pair of one more than announced", limit[i] + 1);
	}

	srq = ibv_create_srq(pd, &srq_init);
	if (!srq)
		die("ibv_create_srq of the largest size");
	must(srq_init.attr.max_wr <= (unsigned int)dev.max_srq_wr, "a shared receive queue's size", srq_init.attr.max_wr);
	ibv_destroy_srq(srq);
	srq_init.attr.max_wr = dev.max_srq_wr + 1;
	must(!ibv_create_srq(pd, &srq_init), "a larger shared receive queue", dev.max_srq_wr + 1);

	must(dev.max_mr_size < 1ul << 63, "max_mr_size", dev.max_mr_size);
	/* not that the memory is not there (EFAULT): the length is what is wrong */
	must(!ibv_reg_mr(pd, &cap, dev.max_mr_size + 1, IBV_ACCESS_LOCAL_WRITE) && errno == EINVAL, "a larger region",
	     dev.max_mr_size);
	must((unsigned long)dev.max_res_rd_atom >= (unsigned long)dev.max_qp_rd_atom * dev.max_qp,
	     "READs that all queue pairs may wait for together", dev.max_res_rd_atom);
	ibv_destroy_cq(cq);
}

/* As many as announced, less those that are there already: of the kernel's users */
static void count(const char *what, unsigned int limit, void *(*create)(void),
		  int (*destroy)(void *))
{
	void **all = calloc(limit + 1, sizeof(*all));
	unsigned int n = 0;

	if (!all)
		die("memory");
	while (n <= limit && (all[n] = create()))
		n++;
	must(errno == ENOMEM, "the last one failed otherwise than with ENOMEM", n);
	printf("%s: %u of %u\n", what, n, limit);
	must(n <= limit && n + 64 >= limit, what, n);
	while (n)
		if (destroy(all[--n]))
			die("destroying");
	all[0] = create();
	must(all[0], "one more when all are gone", 0);
	if (all[0])
		destroy(all[0]);
	free(all);
}

static void *new_pd(void)
{
	return ibv_alloc_pd(ctx);
}

static int free_pd(void *p)
{
	return ibv_dealloc_pd(p);
}

static void *new_ah(void)
{
	struct ibv_ah_attr attr = { .is_global = 1, .port_num = 1 };
	union ibv_gid gid;

	if (ibv_query_gid(ctx, 1, 1, &gid))
		return NULL;
	attr.grh.dgid = gid;
	attr.grh.sgid_index = 1;
	return ibv_create_ah(pd, &attr);
}

static int free_ah(void *p)
{
	return ibv_destroy_ah(p);
}

/* Least memory of a queue: a power of two of slots, a cache line each */
static unsigned long bytes_of(unsigned long slots, unsigned long slot)
{
	return slots * slot;
}

static void memory(unsigned long limit)
{
	unsigned long used = 0, n = 0, cq_bytes = bytes_of(dev.max_cqe, 64), qp_bytes;
	struct ibv_qp *qp[1024];
	struct ibv_cq *cq = ibv_create_cq(ctx, 16, NULL, NULL, 0), *big[1024];
	struct ibv_qp_cap cap;

	if (!cq)
		die("ibv_create_cq");
	/* 16 bytes an entry of a scatter/gather list, both ways */
	qp_bytes = 2 * bytes_of(dev.max_qp_wr, 16ul * dev.max_sge);
	for (;; n++, used += qp_bytes) {
		cap = largest();
		if (used > limit || n == 1024 || !(qp[n] = create_qp(cq, &cap)))
			break;
	}
	must(used <= limit && n && errno == ENOMEM, "queue pairs within the limit", n);
	printf("queue pairs: %lu, %lu MiB of queues at least\n", n, used >> 20);
	must(used >= limit / 8, "a queue pair takes much more than its queues", n);
	while (n)
		ibv_destroy_qp(qp[--n]);
	for (used = 0;; n++, used += cq_bytes)
		if (used > limit || n == 1024 ||
		    !(big[n] = ibv_create_cq(ctx, dev.max_cqe, NULL, NULL, 0)))
			break;
	must(used <= limit && n && errno == ENOMEM, "completion queues within the limit", n);
	printf("completion queues: %lu, %lu MiB at least\n", n, used >> 20);
	while (n)
		ibv_destroy_cq(big[--n]);
	/* all of it is given back */
	cap = largest();
	qp[0] = create_qp(cq, &cap);
	must(qp[0], "a queue pair when all others are gone", 0);
	if (qp[0])
		ibv_destroy_qp(qp[0]);
	ibv_destroy_cq(cq);
}

int main(int argc, char **argv)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	const char *what = argc > 1 ? argv[1] : "";

	if (!list || !list[0])
		die("no RDMA device");
	ctx = ibv_open_device(list[0]);
	if (!ctx || ibv_query_device(ctx, &dev))
		die("ibv_open_device");
	pd = ibv_alloc_pd(ctx);
	if (!pd)
		die("ibv_alloc_pd");
	if (!strcmp(what, "caps") && argc == 2) {
		caps();
	} else if (!strcmp(what, "objects") && argc == 2) {
		count("protection domains", dev.max_pd, new_pd, free_pd);
		count("address handles", dev.max_ah, new_ah, free_ah);
	} else if (!strcmp(what, "memory") && argc == 3) {
		memory(strtoul(argv[2], NULL, 0));
	} else {
		fprintf(stderr, "usage: limits caps|objects|memory BYTES\n");
		return 2;
	}
	return wrong ? 1 : 0;
}

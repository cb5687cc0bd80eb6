// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections of rdma_cm by the thousand: each is opened, carries a token there and back, and is
 * closed; each side counts and ends by itself.
 *
 *   cm-check -l [-b ADDR] [-p PORT] [-n PORTS] -c COUNT       server; ends after COUNT connections
 *   cm-check [-b ADDR] [-p PORT] [-n PORTS] -c COUNT [-a N] [-H] ADDR
 *
 *   -n PORTS   listeners on PORT and the ports behind it; the client takes them in turn
 *   -a N       this many connections at a time (1)
 *   -H         the first N are all open before one of them is closed
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#define MAX_CONNS	4096
#define MAX_PORTS	1024
#define RESOLVE_MS	20000
#define IDLE_MS		60000	/* nothing has happened for so long: give up */

struct conn {
	struct rdma_cm_id *id;	/* NULL: free */
	uint32_t generation;	/* of the slot: completions of its last user are ignored */
	uint64_t token;
	bool served;		/* the token has come back */
};

/* of the one device that is used, made with the first connection */
static struct ibv_pd *pd;
static struct ibv_cq *cq;
static struct ibv_comp_channel *completions;
static struct ibv_mr *mr;
static uint64_t buffer[MAX_CONNS][2];	/* to receive in, to send from */

static struct rdma_event_channel *events;
static struct conn conns[MAX_CONNS];
static int slots = MAX_CONNS;
static bool server, hold;
static long want = 1, started, closed, served, open_now, open_most;
static int first_port = 7471, ports = 1;
static struct sockaddr_storage source, target;
static bool have_source;

static void die(const char *what)
{
	fprintf(stderr, "cm-check: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void prepare(struct ibv_context *verbs)
{
	if (pd) {
		if (pd->context != verbs) {
			fprintf(stderr, "cm-check: connections on two devices\n");
			exit(1);
		}
		return;
	}
	pd = ibv_alloc_pd(verbs);
	completions = pd ? ibv_create_comp_channel(verbs) : NULL;
	cq = completions ? ibv_create_cq(verbs, 4 * MAX_CONNS, NULL, completions, 0) : NULL;
	mr = cq ? ibv_reg_mr(pd, buffer, sizeof(buffer), IBV_ACCESS_LOCAL_WRITE) : NULL;
	if (!mr || ibv_req_notify_cq(cq, 0) ||
	    fcntl(completions->fd, F_SETFL, O_NONBLOCK))
		die("PD, CQ, MR");
}

static uint64_t wr_id(const struct conn *c)
{
	return (uint64_t)c->generation << 32 | (uint64_t)(c - conns);
}

static struct ibv_sge sge_of(const struct conn *c, int which)
{
	return (struct ibv_sge) {
		.addr = (uintptr_t)&buffer[c - conns][which],
		.length = sizeof(uint64_t),
		.lkey = mr->lkey,
	};
}

static void make_qp(struct conn *c)
{
	struct ibv_qp_init_attr attr = {
		.cap = { .max_send_wr = 1, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};
	struct ibv_recv_wr wr = { .wr_id = wr_id(c), .num_sge = 1 }, *bad;
	struct ibv_sge sge;

	prepare(c->id->verbs);
	attr.send_cq = attr.recv_cq = cq;
	if (rdma_create_qp(c->id, pd, &attr))
		die("rdma_create_qp");
	sge = sge_of(c, 0);
	wr.sg_list = &sge;
	if (ibv_post_recv(c->id->qp, &wr, &bad))
		die("ibv_post_recv");
}

static void send_token(struct conn *c, uint64_t token)
{
	struct ibv_send_wr wr = {
		.wr_id = wr_id(c), .num_sge = 1, .opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	}, *bad;
	struct ibv_sge sge = sge_of(c, 1);

	buffer[c - conns][1] = token;
	wr.sg_list = &sge;
	if (ibv_post_send(c->id->qp, &wr, &bad))
		die("ibv_post_send");
}

static struct conn *take_slot(struct rdma_cm_id *id)
{
	for (int i = 0; i < slots; i++) {
		struct conn *c = &conns[i];

		if (!c->id) {
			c->id = id;
			c->generation++;
			c->served = false;
			id->context = c;
			return c;
		}
	}
	fprintf(stderr, "cm-check: more than %d connections at a time\n", slots);
	exit(1);
}

/* Client: opens the next one. */
static void start_one(void)
{
	struct sockaddr_storage to = target;
	struct rdma_cm_id *id;
	struct conn *c;
	in_port_t port = htons(first_port + started % ports);

	if (rdma_create_id(events, &id, NULL, RDMA_PS_TCP))
		die("rdma_create_id");
	c = take_slot(id);
	c->token = 0x6d6f73000000ull + (uint64_t)started++;
	if (to.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&to)->sin6_port = port;
	else
		((struct sockaddr_in *)&to)->sin_port = port;
	if (rdma_resolve_addr(id, have_source ? (struct sockaddr *)&source : NULL,
			      (struct sockaddr *)&to, RESOLVE_MS))
		die("rdma_resolve_addr");
}

static void close_one(struct conn *c)
{
	struct rdma_cm_id *id = c->id;

	rdma_destroy_qp(id);
	if (rdma_destroy_id(id))
		die("rdma_destroy_id");
	c->id = NULL;
	closed++;
	open_now--;
	if (!server && started < want)
		start_one();
}

static void received(struct conn *c)
{
	uint64_t token = buffer[c - conns][0];

	if (server) {
		send_token(c, ~token);
		return;
	}
	if (token != ~c->token) {
		fprintf(stderr, "cm-check: sent %#llx, %#llx came back\n",
			(unsigned long long)c->token, (unsigned long long)token);
		exit(1);
	}
	c->served = true;
	served++;
	if (!hold) {
		rdma_disconnect(c->id);
	} else if (served == slots || served == want) {
		hold = false;
		for (int i = 0; i < slots; i++)
			if (conns[i].id && conns[i].served)
				rdma_disconnect(conns[i].id);
	}
}

static void poll_completions(void)
{
	struct ibv_cq *which;
	struct ibv_wc wc;
	void *context;

	while (!ibv_get_cq_event(completions, &which, &context))
		ibv_ack_cq_events(which, 1);
	if (ibv_req_notify_cq(cq, 0))
		die("ibv_req_notify_cq");
	while (ibv_poll_cq(cq, 1, &wc) > 0) {
		struct conn *c = &conns[(uint32_t)wc.wr_id];

		if (!c->id || c->generation != wc.wr_id >> 32)
			continue;
		if (wc.status == IBV_WC_WR_FLUSH_ERR)
			continue;
		if (wc.status) {
			fprintf(stderr, "cm-check: completion: %s\n", ibv_wc_status_str(wc.status));
			exit(1);
		}
		if (wc.opcode & IBV_WC_RECV)
			received(c);
	}
}

static void handle(struct rdma_cm_event *event)
{
	struct rdma_conn_param param = { .retry_count = 7, .rnr_retry_count = 7 };
	enum rdma_cm_event_type type = event->event;
	struct rdma_cm_id *id = event->id;
	struct conn *c = id->context;
	int status = event->status;

	/* an id can be destroyed only when its events are acknowledged */
	rdma_ack_cm_event(event);
	switch (type) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		if (rdma_resolve_route(id, RESOLVE_MS))
			die("rdma_resolve_route");
		break;
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		make_qp(c);
		if (rdma_connect(id, &param))
			die("rdma_connect");
		break;
	case RDMA_CM_EVENT_CONNECT_REQUEST:
		c = take_slot(id);
		make_qp(c);
		if (rdma_accept(id, &param))
			die("rdma_accept");
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		if (++open_now > open_most)
			open_most = open_now;
		if (!server)
			send_token(c, c->token);
		break;
	case RDMA_CM_EVENT_DISCONNECTED:
		if (server)
			rdma_disconnect(id);
		close_one(c);
		break;
	case RDMA_CM_EVENT_TIMEWAIT_EXIT:
		break;
	default:
		fprintf(stderr, "cm-check: %s, status %d, after %ld connections\n",
			rdma_event_str(type), status, closed);
		exit(1);
	}
}

static void run(void)
{
	while (closed < want) {
		struct pollfd fds[] = {
			{ .fd = events->fd, .events = POLLIN },
			{ .fd = completions ? completions->fd : -1, .events = POLLIN },
		};
		struct rdma_cm_event *event;
		int n = poll(fds, 2, server && !closed && !open_now ? -1 : IDLE_MS);

		if (n < 0)
			die("poll");
		if (!n) {
			fprintf(stderr, "cm-check: nothing happens: %ld of %ld closed, %ld open\n",
				closed, want, open_now);
			exit(1);
		}
		/* what was sent before the connection ended comes first */
		if (completions)
			poll_completions();
		if (fds[0].revents && !rdma_get_cm_event(events, &event))
			handle(event);
	}
}

static void resolve(const char *name, struct sockaddr_storage *addr)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST }, *res;
	int err = getaddrinfo(name, NULL, &hints, &res);

	if (err) {
		fprintf(stderr, "cm-check: %s: %s\n", name, gai_strerror(err));
		exit(2);
	}
	memcpy(addr, res->ai_addr, res->ai_addrlen);
	freeaddrinfo(res);
}

static void listen_all(struct rdma_cm_id **listeners)
{
	for (int i = 0; i < ports; i++) {
		struct sockaddr_storage at = source;

		if (!have_source)
			at.ss_family = AF_INET6;
		/* the port is at the same place in both families */
		((struct sockaddr_in *)&at)->sin_port = htons(first_port + i);
		if (rdma_create_id(events, &listeners[i], NULL, RDMA_PS_TCP) ||
		    rdma_bind_addr(listeners[i], (struct sockaddr *)&at) ||
		    rdma_listen(listeners[i], 1024))
			die("listening");
	}
	printf("listening\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct rdma_cm_id *listeners[MAX_PORTS];
	struct timespec t0, t1;
	double seconds;
	int opt;

	while ((opt = getopt(argc, argv, "lb:p:n:c:a:H")) != -1) {
		switch (opt) {
		case 'l': server = true; break;
		case 'b': resolve(optarg, &source); have_source = true; break;
		case 'p': first_port = atoi(optarg); break;
		case 'n': ports = atoi(optarg); break;
		case 'c': want = atol(optarg); break;
		case 'a': slots = atoi(optarg); break;
		case 'H': hold = true; break;
		default: return 2;
		}
	}
	if (ports < 1 || ports > MAX_PORTS || slots < 1 || slots > MAX_CONNS || want < 1 ||
	    server != (optind == argc)) {
		fprintf(stderr, "cm-check: bad arguments\n");
		return 2;
	}
	events = rdma_create_event_channel();
	if (!events)
		die("rdma_create_event_channel");
	clock_gettime(CLOCK_MONOTONIC, &t0);
	if (server) {
		listen_all(listeners);
	} else {
		if (slots == MAX_CONNS)
			slots = 1;
		resolve(argv[optind], &target);
		for (int i = 0; i < slots && started < want; i++)
			start_one();
	}
	run();
	clock_gettime(CLOCK_MONOTONIC, &t1);
	seconds = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
	for (int i = 0; server && i < ports; i++)
		if (rdma_destroy_id(listeners[i]))
			die("rdma_destroy_id");
	if (ibv_dereg_mr(mr) || ibv_destroy_cq(cq) || ibv_destroy_comp_channel(completions) ||
	    ibv_dealloc_pd(pd))
		die("tear down");
	rdma_destroy_event_channel(events);
	printf("%ld connections, at most %ld at once, %.1f s\n", closed, open_most, seconds);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The peer's side: runs the cases, each on a queue pair of its own, and gives them what they are
 * written in. A case ends at its first surprise (cf_fail); at its end nothing may be left over: no
 * packet, completion or event that was not expected, no byte of the DUT's memory that changed
 * without a request.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cf.h"

#define MAX_HELD	128
#define MAX_TRACE	1600
#define WAIT_MS		8000 /* for what must come; many times what a busy emulated machine takes */
#define CASE_QPN	0x800000u
#define BEACON_QPN	0x700000u

uint8_t cf_msg[131072 + 4096];
struct cf_reply cf_dut;

static struct {
	struct vc vc;
	struct cf_net *net;
	struct vc_rng rng;
	bool ipv6, single, several;	/* several: packets went out in one go */
	struct cf_cmd qp;
	uint32_t qpn, dqpn;		/* the DUT's queue pair; ours */
	uint32_t beacon_qpn, beacon_psn;
	bool opened;
	struct cf_reply reply;
	uint8_t image[CF_AREA];
	struct cf_wc wc[CF_MAX_WC];
	int nwc;
	uint32_t event[CF_MAX_EVENTS];
	int nevents;
	struct { uint8_t f[CF_FRAME]; int len; } held[MAX_HELD];
	int nheld;
	struct { char dir; struct cf_pkt p; uint8_t head[96]; int len; } trace[MAX_TRACE];
	int ntrace;
	uint8_t frame[CF_FRAME];
	jmp_buf end;
	char found[1024];
} t;

/* ---- failing, and what is printed then ---- */

static void note(char dir, const struct cf_pkt *p, const uint8_t *f, int len)
{
	int i = t.ntrace;

	if (i == MAX_TRACE)
		return;
	t.trace[i].dir = dir;
	t.trace[i].p = *p;
	t.trace[i].len = len;
	memcpy(t.trace[i].head, f, len < 96 ? len : 96);
	t.ntrace++;
}

static bool is_response(uint8_t op)
{
	return op >= RESP_FIRST && op <= ATOMIC_ACK;
}

/*
 * The number that relative ones start from: of the DUT's requests and our responses, or the other
 * way round
 */
static uint32_t base_psn(uint8_t op, bool ours)
{
	return is_response(op) == ours ? t.qp.sq_psn : t.qp.rq_psn;
}

static int rel(uint32_t psn, uint32_t base)
{
	return (int32_t)((psn - base) << 8) >> 8;
}

static void print_packet(int i)
{
	const struct cf_pkt *p = &t.trace[i].p;
	int k;

	printf("\t%c %s%s psn %+d (%06x)%s%s%s qp %06x", t.trace[i].dir, p->op >> 5 == 1 ? "UC " : p->op >> 5 == 3 ? "UD " : "",
	       cf_op_name(p->op), rel(p->psn, base_psn(p->op, t.trace[i].dir == '>')), p->psn, p->ack ? " AckReq" : "",
	       p->se ? " SE" : "", p->resv ? " resv" : "", p->dqpn);
	if (is_response(p->op) && p->op != RESP_MIDDLE)
		printf(" syndrome %02x msn %u", p->synd, p->msn);
	if (p->dmalen || p->rkey)
		printf(" va %+lld rkey %08x dmalen %u", (long long)(p->va - cf_dut.base), p->rkey, p->dmalen);
	printf(" payload %u\n\t    ", p->len);
	for (k = ETH_HLEN; k < t.trace[i].len && k < 96; k++)
		printf("%02x%s", t.trace[i].head[k], (k - ETH_HLEN) % 4 == 3 ? " " : "");
	printf("\n");
}

static void dump(void)
{
	int i;

	printf("\tfirst PSNs: ours %06x, the DUT's %06x; its queue pair %06x\n", t.qp.rq_psn, t.qp.sq_psn, t.qpn);
	for (i = 0; i < t.ntrace; i++) {
		if (i == 24 && t.ntrace > 40) {
			printf("\t... %d more packets ...\n", t.ntrace - 40);
			i = t.ntrace - 16;
		}
		print_packet(i);
	}
}

void cf_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t.found, sizeof(t.found), fmt, ap);
	va_end(ap);
	longjmp(t.end, 1);
}

void cf_check(bool ok, const char *fmt, ...)
{
	va_list ap;

	if (ok)
		return;
	va_start(ap, fmt);
	vsnprintf(t.found, sizeof(t.found), fmt, ap);
	va_end(ap);
	longjmp(t.end, 1);
}

void want_eq(const char *what, uint64_t is, uint64_t must)
{
	if (is != must)
		cf_fail("%s: expected %llu (0x%llx), found %llu (0x%llx)", what, (unsigned long long)must,
			(unsigned long long)must, (unsigned long long)is, (unsigned long long)is);
}

/* ---- the DUT's program ---- */

static struct cf_reply *call(const struct cf_cmd *c)
{
	vc_send(&t.vc, c, sizeof(*c));
	vc_recv(&t.vc, &t.reply, sizeof(t.reply));
	return &t.reply;
}

struct cf_reply *cf_call(const struct cf_cmd *c)
{
	struct cf_reply *r;

	cf_flush();
	r = call(c);
	if (r->err)
		cf_fail("the DUT's verb failed (command %u): %s", c->what, strerror(r->err));
	return r;
}

struct cf_cmd cf_defaults(void)
{
	return (struct cf_cmd){
		.what = CF_OPEN,
		.type = IBV_QPT_RC,
		.mtu = 256,
		.state = IBV_QPS_RTS,
		.rd = 4,
		.dest_rd = 4,
		.min_rnr = 1,
		/* without a timer nothing is repeated because a machine is slow */
		.timeout = 0,
		.retry = 7,
		.rnr_retry = 7,
		.access = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |
			  (cf_dut.has_atomic ? IBV_ACCESS_REMOTE_ATOMIC : 0),
	};
}

/* Anywhere, every second time so that it wraps within a few packets */
static uint32_t some_psn(void)
{
	return vc_below(&t.rng, 2) ? 0xffffff - vc_below(&t.rng, 4) : vc_below(&t.rng, 1 << 24);
}

void cf_open(const struct cf_cmd *with)
{
	t.qp = with ? *with : cf_defaults();
	t.qp.ipv6 = t.ipv6;
	t.qp.dqpn = t.dqpn;
	t.qp.rq_psn = some_psn();
	t.qp.sq_psn = some_psn();
	t.opened = true;
	t.qpn = cf_call(&t.qp)->qpn;
}

void cf_state(uint32_t state)
{
	cf_call(&(struct cf_cmd){ .what = CF_STATE, .state = state });
}

uint32_t cf_query(void)
{
	return cf_call(&(struct cf_cmd){ .what = CF_QUERY })->state;
}

uint32_t cf_draining(void)
{
	return cf_call(&(struct cf_cmd){ .what = CF_QUERY })->draining;
}

uint64_t cf_va(uint32_t off)
{
	return cf_dut.base + off;
}

void cf_post(struct cf_cmd c)
{
	c.what = CF_SEND;
	c.flags |= IBV_SEND_SIGNALED;
	cf_call(&c);
}

void cf_recv(uint64_t wr_id, uint32_t off, uint32_t len)
{
	cf_call(&(struct cf_cmd){ .what = CF_RECV, .wr_id = wr_id, .off = off, .len = len });
}

void cf_recv_bad(uint64_t wr_id, uint32_t len)
{
	cf_call(&(struct cf_cmd){ .what = CF_RECV, .wr_id = wr_id, .len = len, .bad_lkey = 0xff });
}

void want_image(uint32_t off, const void *data, uint32_t len)
{
	memcpy(t.image + CF_MR_OFF + off, data, len);
}

/*
 * In front of a datagram: the IPv6 header, or the IPv4 header in the last 20 of 40 bytes, whose
 * others mean nothing.
 */
void want_grh(uint32_t off)
{
	const uint8_t *ip = t.trace[t.ntrace - 1].head + ETH_HLEN;
	uint8_t is[40];

	cf_call(&(struct cf_cmd){ .what = CF_PEEK, .off = CF_MR_OFF + off, .len = sizeof(is) });
	vc_recv(&t.vc, is, sizeof(is));
	if (t.ipv6 ? memcmp(is, ip, 40) : memcmp(is + 20, ip, 20))
		cf_fail("the 40 bytes in front of the datagram are not its IP header");
	want_image(off, is, sizeof(is));
}

const uint8_t *cf_image(uint32_t off)
{
	return t.image + CF_MR_OFF + off;
}

void cf_poke(uint32_t off, const void *data, uint32_t len)
{
	cf_call(&(struct cf_cmd){ .what = CF_POKE, .off = CF_MR_OFF + off, .len = len });
	vc_send(&t.vc, data, len);
	want_image(off, data, len);
	/* done when the next command is answered */
	cf_call(&(struct cf_cmd){ .what = CF_QUERY });
}

static void check_memory(void)
{
	static uint8_t is[CF_AREA];
	uint32_t i, last = 0, n = 0, first = 0;
	struct cf_cmd c = { .what = CF_SUM };

	if (cf_call(&c)->sum == cf_sum(t.image))
		return;
	cf_call(&(struct cf_cmd){ .what = CF_PEEK, .len = CF_AREA });
	vc_recv(&t.vc, is, CF_AREA);
	for (i = 0; i < CF_AREA; i++) {
		if (is[i] == t.image[i])
			continue;
		if (!n++)
			first = i;
		last = i;
	}
	cf_fail("memory: %u bytes are not what they must be, the first at %+d of the region, the last at %+d", n,
		(int)first - CF_MR_OFF, (int)last - CF_MR_OFF);
}

/* ---- packets ---- */

static void send_frame(const uint8_t *f, int len)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET,
				   .sll_halen = 6,
				   .sll_ifindex = t.net->ifindex };

	while (sendto(t.net->fd, f, len, 0, (struct sockaddr *)&sll, sizeof(sll)) < 0) {
		if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
			vc_die("sending: %s", strerror(errno));
		usleep(1000);
	}
}

void cf_flush(void)
{
	int i, n = t.nheld;

	t.nheld = 0;
	t.several |= n > 1;
	for (i = 0; i < n; i++) {
		send_frame(t.held[i].f, t.held[i].len);
		/* apart from each other, so that the back makes no burst of them */
		if (t.single && i + 1 < n)
			usleep(1500);
	}
}

static void hold(const struct cf_pkt *p, uint32_t psn, uint32_t qpn)
{
	struct cf_pkt as_sent = *p;

	if (t.nheld == MAX_HELD)
		cf_flush();
	t.held[t.nheld].len = cf_build(t.net, t.ipv6, p, psn, qpn, t.held[t.nheld].f);
	as_sent.psn = psn & 0xffffff;
	as_sent.dqpn = (qpn ^ p->qpn_xor) & 0xffffff;
	note('>', &as_sent, t.held[t.nheld].f, t.held[t.nheld].len);
	t.nheld++;
}

void cf_tx(struct cf_pkt p)
{
	hold(&p, p.psn + base_psn(p.op, true), t.qpn);
}

/* The next packet of the DUT's to the case's or the beacon's queue pair; PSN relative */
static bool receive(struct cf_pkt *p, int ms, bool beacon)
{
	double end = vc_now() + ms * 1e-3;
	struct pollfd pfd = { .fd = t.net->fd, .events = POLLIN };
	const char *why = NULL;

	cf_flush();
	for (;;) {
		struct sockaddr_ll from;
		socklen_t size = sizeof(from);
		int left = (end - vc_now()) * 1000, len, kind;

		if (poll(&pfd, 1, left < 0 ? 0 : left) != 1) {
			if (left <= 0)
				return false;
			continue;
		}
		len = recvfrom(t.net->fd, t.frame, sizeof(t.frame), MSG_DONTWAIT,
			       (struct sockaddr *)&from, &size);
		if (len < 0 || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		kind = cf_parse(t.net, t.frame, len, p, &why);
		if (!kind)
			continue;
		if (kind < 0) {
			note('<', p, t.frame, len);
			cf_fail("a packet of the DUT's is wrong: %s", why);
		}
		/* of an earlier case, repeated */
		if (p->dqpn != t.dqpn && p->dqpn != BEACON_QPN)
			continue;
		if (p->dqpn == BEACON_QPN) {
			if (beacon && p->op == ACK && p->psn == ((t.beacon_psn - 1) & 0xffffff))
				return true;
			continue;
		}
		note('<', p, t.frame, len);
		p->psn = rel(p->psn, base_psn(p->op, false));
		return true;
	}
}

bool cf_maybe(struct cf_pkt *p, int ms)
{
	return receive(p, ms, false);
}

struct cf_pkt cf_next(const char *what)
{
	struct cf_pkt p;

	if (!receive(&p, WAIT_MS, false))
		cf_fail("expected %s, found nothing", what);
	return p;
}

struct cf_pkt want_op(uint8_t op, uint32_t psn)
{
	struct cf_pkt p = cf_next(cf_op_name(op));

	if (p.op != op || p.psn != psn)
		cf_fail("expected %s (0x%02x) with PSN %+d, found %s (0x%02x) with PSN %+d", cf_op_name(op), op, (int)psn,
			cf_op_name(p.op), p.op, (int)p.psn);
	return p;
}

/*
 * Every ACK on the way to it is allowed, as long as they go up: a responder may coalesce
 * (9.7.5.1.2).
 */
void want_ack(uint32_t psn, uint32_t msn)
{
	int last = -(1 << 22);
	struct cf_pkt p;

	do {
		p = cf_next("an ACK");
		if (p.op != ACK || p.synd >> 5)
			cf_fail("expected an ACK for PSN %+d, found %s with PSN %+d, syndrome %02x", (int)psn, cf_op_name(p.op),
				(int)p.psn, p.synd);
		if ((int)p.psn < last || (int)p.psn > (int)psn)
			cf_fail("expected an ACK for PSN %+d, found one for %+d after %+d", (int)psn, (int)p.psn, last);
		last = p.psn;
	} while (p.psn != psn);
	want_eq("MSN of the ACK", p.msn, msn);
}

void want_nak(uint8_t syndrome, uint32_t psn, uint32_t msn)
{
	struct cf_pkt p;

	do
		p = cf_next("a NAK");
	while (p.op == ACK && !(p.synd >> 5) && (int)p.psn < (int)psn);
	if (p.op != ACK || p.synd != syndrome || p.psn != psn)
		cf_fail("expected a NAK with syndrome %02x for PSN %+d, found %s with syndrome %02x for %+d", syndrome, (int)psn,
			cf_op_name(p.op), p.synd, (int)p.psn);
	want_eq("MSN of the NAK", p.msn, msn);
}

void want_resp(uint32_t psn, uint32_t pkts, uint32_t msn, const uint8_t *data, uint32_t len,
	       uint32_t mtu)
{
	uint32_t i, n;
	struct cf_pkt p;

	for (i = 0; i < pkts; i++) {
		p = want_op(pkts == 1	   ? RESP_ONLY
			    : !i	   ? RESP_FIRST
			    : i + 1 < pkts ? RESP_MIDDLE
					   : RESP_LAST,
			    psn + i);
		n = len - i * mtu < mtu ? len - i * mtu : mtu;
		want_eq("payload of the READ response", p.len, n);
		cf_check(!memcmp(p.data, data + i * mtu, n), "the payload of the READ response with PSN %+d is wrong", (int)p.psn);
		if (p.op == RESP_MIDDLE)
			continue;
		cf_check(!(p.synd >> 5), "the READ response has syndrome %02x", p.synd);
		want_eq("MSN of the READ response", p.msn, msn);
	}
}

/*
 * Silence is told from slowness by a second queue pair that answers: the wire, the ring and the
 * receiver keep order, so when its answer is here, the DUT has seen all that was sent before.
 */
static void beacon(struct cf_pkt *p)
{
	struct cf_pkt b = { .op = WRITE_ONLY, .ack = true };

	hold(&b, t.beacon_psn, t.beacon_qpn);
	t.ntrace--;	/* not the case's */
	t.beacon_psn = (t.beacon_psn + 1) & 0xffffff;
	if (!receive(p, WAIT_MS, true))
		cf_fail("the DUT does not answer any more");
}

void want_quiet(const char *why)
{
	struct cf_pkt p;

	beacon(&p);
	if (p.dqpn != BEACON_QPN)
		cf_fail("expected no answer to %s, found %s with PSN %+d, syndrome %02x", why, cf_op_name(p.op), (int)p.psn, p.synd);
}

void want_alive(uint32_t psn, uint32_t msn)
{
	struct cf_pkt p;

	TX(.op = WRITE_ONLY, .psn = psn, .ack = true);
	p = cf_next("an ACK");
	if (p.op != ACK || p.synd >> 5 || p.psn != psn)
		cf_fail("expected the ACK of the next request (PSN %+d), found %s with PSN %+d, syndrome %02x", (int)psn,
			cf_op_name(p.op), (int)p.psn, p.synd);
	want_eq("MSN of the ACK", p.msn, msn);
}

/* ---- completions and events ---- */

static void fetch_wc(uint32_t n, uint32_t ms)
{
	struct cf_reply *r = cf_call(&(struct cf_cmd){ .what = CF_POLL, .n = n, .ms = ms });
	uint32_t i;

	for (i = 0; i < r->n && t.nwc < CF_MAX_WC; i++)
		t.wc[t.nwc++] = r->wc[i];
}

static const char *status_name(int status)
{
	return status < 0 ? "an error" : ibv_wc_status_str(status);
}

struct cf_wc want_wc(uint64_t wr_id, int status)
{
	struct cf_wc wc;

	if (!t.nwc)
		fetch_wc(1, WAIT_MS);
	if (!t.nwc)
		cf_fail("expected a completion of request %llu (%s), found none", (unsigned long long)wr_id,
			status_name(status));
	wc = t.wc[0];
	memmove(t.wc, t.wc + 1, --t.nwc * sizeof(wc));
	/* -1: any error */
	if (wc.wr_id != wr_id ||
	    (status < 0 ? wc.status == IBV_WC_SUCCESS : wc.status != (uint32_t)status))
		cf_fail("expected the completion of request %llu with %s, found %llu with %s",
			(unsigned long long)wr_id, status_name(status),
			(unsigned long long)wc.wr_id, ibv_wc_status_str(wc.status));
	return wc;
}

void want_recv(uint64_t wr_id, uint32_t len)
{
	struct cf_wc wc = want_wc(wr_id, IBV_WC_SUCCESS);

	want_eq("byte_len of the completion", wc.len, len);
}

void want_no_wc(void)
{
	if (!t.nwc)
		fetch_wc(0, 0);
	if (t.nwc)
		cf_fail("expected no completion, found request %llu with %s", (unsigned long long)t.wc[0].wr_id,
			ibv_wc_status_str(t.wc[0].status));
}

static void fetch_events(uint32_t ms)
{
	struct cf_reply *r = cf_call(&(struct cf_cmd){ .what = CF_ASYNC, .ms = ms });
	uint32_t i;

	for (i = 0; i < r->n && t.nevents < CF_MAX_EVENTS; i++)
		t.event[t.nevents++] = r->event[i];
}

void want_event(uint32_t event)
{
	if (!t.nevents)
		fetch_events(WAIT_MS);
	if (!t.nevents)
		cf_fail("expected the event '%s', found none", ibv_event_type_str(event));
	if (t.event[0] != event)
		cf_fail("expected the event '%s', found '%s'", ibv_event_type_str(event), ibv_event_type_str(t.event[0]));
	memmove(t.event, t.event + 1, --t.nevents * sizeof(t.event[0]));
}

/* A completion has told it already: no event is needed. */
void want_dead_or(int event)
{
	want_dead(-1);
	fetch_events(0);
	if (t.nevents)
		want_event(event);
}

void want_dead(int event)
{
	if (event >= 0)
		want_event(event);
	want_eq("state of the queue pair", cf_query(), IBV_QPS_ERR);
}

/* ---- running ---- */

static void nothing_left(void)
{
	want_quiet("the end of the case");
	want_no_wc();
	fetch_events(0);
	if (t.nevents)
		cf_fail("expected no event, found '%s'", ibv_event_type_str(t.event[0]));
	check_memory();
}

static void open_beacon(void)
{
	struct cf_cmd c = cf_defaults();
	struct cf_reply *r;

	c.slot = 1;
	c.ipv6 = t.ipv6;
	c.dqpn = BEACON_QPN;
	c.rq_psn = t.beacon_psn = some_psn();
	r = call(&c);
	if (r->err)
		vc_die("the DUT cannot open a queue pair: %s", strerror(r->err));
	t.beacon_qpn = r->qpn;
}

static void drain(void)
{
	while (recv(t.net->fd, t.frame, sizeof(t.frame), MSG_DONTWAIT) >= 0)
		;
}

static bool run_case(const struct cf_case *c, unsigned int number)
{
	struct cf_cmd fill = { .what = CF_FILL }, end = { .what = CF_CLOSE };

	t.dqpn = CASE_QPN + number;
	t.nwc = t.nevents = t.nheld = t.ntrace = 0;
	t.opened = false;
	fill.seed = vc_rand(&t.rng);
	vc_fill(t.image, CF_AREA, fill.seed);
	vc_fill(cf_msg, sizeof(cf_msg), vc_rand(&t.rng));
	call(&fill);
	drain();
	if (!setjmp(t.end)) {
		c->run(c->arg);
		nothing_left();
		t.found[0] = 0;
	}
	t.nheld = 0;
	if (t.opened) {
		call(&(struct cf_cmd){ .what = CF_ASYNC });
		if (call(&end)->err && !t.found[0])
			snprintf(t.found, sizeof(t.found), "the queue pair cannot be destroyed");
	}
	return !t.found[0];
}

static void one_case(const struct cf_case *c, const char *name, unsigned int *number,
		     unsigned int *differ)
{
	vc_alive(c->name, 90);
	if (run_case(c, ++*number)) {
		printf("ok\t%s\t%s\t\n", name, c->rule);
	} else {
		printf("differs\t%s\t%s\t%s\n", name, c->rule, t.found);
		dump();
		++*differ;
	}
	fflush(stdout);
}

static void all_of(const struct cf_case *c, const struct cf_options *o, bool ipv6,
		   unsigned int *number, unsigned int *differ)
{
	unsigned int have = (cf_dut.has_uc ? NEED_UC : 0) | (cf_dut.has_atomic ? NEED_ATOMIC : 0) |
			    (cf_dut.has_inv ? NEED_INV : 0) |
			    (cf_dut.has_placement ? NEED_PLACEMENT : 0) | ALSO_V6;

	for (; c->name; c++) {
		char name[160];

		if (ipv6 && !(c->need & ALSO_V6))
			continue;
		snprintf(name, sizeof(name), "%s%s", c->name, ipv6 ? ", IPv6" : "");
		if (o->only && !strstr(name, o->only))
			continue;
		if (o->list) {
			printf("%s\t%s\n", name, c->rule);
			continue;
		}
		if (c->need & ~have) {
			printf("absent\t%s\t%s\tthe DUT has no such service\n", name, c->rule);
			continue;
		}
		t.single = t.several = false;
		one_case(c, name, number, differ);
		if (!t.several || ipv6)
			continue;
		t.single = true;
		strncat(name, ", packets one by one", sizeof(name) - strlen(name) - 1);
		one_case(c, name, number, differ);
	}
}

int cf_run(struct cf_net *net, const struct cf_options *o)
{
	static const struct cf_case *const tables[] = {
		cf_headers, cf_responder, cf_refused, cf_requester, cf_reads, cf_others,
	};
	unsigned int number = 0, differ = 0, i, v6;
	union ibv_gid gid[2] = { 0 };
	int one = 1;

	t.net = net;
	t.rng.s = o->seed;
	if (!o->list) {
		cf_open_net(net, o->ifname);
		t.vc.tcp = vc_connect(o->host, CF_PORT, 30);
		setsockopt(t.vc.tcp, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		gid[0].raw[10] = gid[0].raw[11] = 0xff;
		memcpy(gid[0].raw + 12, net->ip4[0], 4);
		memcpy(gid[1].raw, net->ip6[0], 16);
		vc_send(&t.vc, gid, sizeof(gid));
		vc_recv(&t.vc, gid, sizeof(gid));
		memcpy(net->ip4[1], gid[0].raw + 12, 4);
		memcpy(net->ip6[1], gid[1].raw, 16);
		cf_dut = *call(&(struct cf_cmd){ .what = CF_HELLO });
	}
	for (v6 = 0; v6 < 2; v6++) {
		t.ipv6 = v6;
		if (!o->list)
			open_beacon();
		for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
			all_of(tables[i], o, v6, &number, &differ);
		if (!o->list)
			call(&(struct cf_cmd){ .what = CF_CLOSE, .slot = 1 });
	}
	if (!o->list)
		printf("%u cases, %u differ\n", number, differ);
	return differ ? 1 : 0;
}

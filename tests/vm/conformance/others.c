// SPDX-License-Identifier: GPL-2.0-or-later
/* States of a queue pair, atomics, and the services beside RC. */
#include <string.h>

#include "cf.h"

#define MTU	256
#define RW	cf_dut.key[CF_KEY_RW]

/* ---- states (10.3.1) ---- */

static void send_in_state(int state)
{
	struct cf_cmd c = cf_defaults();

	c.state = state == IBV_QPS_ERR ? IBV_QPS_RTS : state;
	cf_open(&c);
	if (state == IBV_QPS_ERR)
		cf_state(state);
	else if (state != IBV_QPS_RESET)
		cf_recv(1, 0, 100);
	TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = 10);
	TX(.op = WRITE_ONLY, .psn = 1, .ack = true, .va = cf_va(0), .rkey = RW, .dmalen = 8,
	   .data = cf_msg, .len = 8);
	want_quiet("requests to a queue pair that does not receive");
	want_no_wc();
}

/* Answers, and says that the connection is up, but sends nothing of its own. */
static void ready_to_receive(int arg)
{
	struct cf_cmd c = cf_defaults();

	(void)arg;
	c.state = IBV_QPS_RTR;
	cf_open(&c);
	cf_recv(1, 0, 100);
	TX(.op = ACK, .synd = SYN_ACK);
	want_quiet("an ACK before anything was sent");
	want_image(0, cf_msg, 10);
	TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = 10);
	want_ack(0, 1);
	want_recv(1, 10);
	want_event(IBV_EVENT_COMM_EST);
	TX(.op = READ_REQ, .psn = 1, .va = cf_va(0), .rkey = RW, .dmalen = 10);
	want_resp(1, 1, 2, cf_image(0), 10, MTU);
	cf_state(IBV_QPS_RTS);
	want_alive(2, 3);
}

/* Requests that have begun end, none begins; requests from outside are answered. */
static void drained(int arg)
{
	(void)arg;
	cf_open(NULL);
	POST(.wr_id = 1, .opcode = IBV_WR_SEND, .len = 3 * MTU);
	want_op(SEND_FIRST, 0);
	want_op(SEND_MIDDLE, 1);
	want_op(SEND_LAST, 2);
	cf_state(IBV_QPS_SQD);
	POST(.wr_id = 2, .opcode = IBV_WR_SEND, .len = 5);
	want_alive(0, 1);
	TX(.op = ACK, .synd = NAK_PSN, .psn = 1);
	want_op(SEND_MIDDLE, 1);
	want_op(SEND_LAST, 2);
	TX(.op = ACK, .synd = SYN_ACK, .psn = 2, .msn = 1);
	want_wc(1, IBV_WC_SUCCESS);
	want_alive(1, 2);
	cf_state(IBV_QPS_RTS);
	want_op(SEND_ONLY, 3);
	TX(.op = ACK, .synd = SYN_ACK, .psn = 3, .msn = 2);
	want_wc(2, IBV_WC_SUCCESS);
}

/* A request that waits for a peer that is not ready has begun. */
static void drained_when_ready(int arg)
{
	(void)arg;
	cf_open(NULL);
	POST(.wr_id = 1, .opcode = IBV_WR_SEND, .len = 10);
	want_op(SEND_ONLY, 0);
	/* 491 ms */
	TX(.op = ACK, .synd = SYN_RNR | 31);
	want_alive(0, 1);
	cf_state(IBV_QPS_SQD);
	want_eq("sq_draining", cf_draining(), 1);
	want_op(SEND_ONLY, 0);
	TX(.op = ACK, .synd = SYN_ACK, .msn = 1);
	want_wc(1, IBV_WC_SUCCESS);
	want_eq("sq_draining", cf_draining(), 0);
}

/* In order, and what comes late changes nothing. */
static void flushed(int arg)
{
	uint64_t i;

	(void)arg;
	cf_open(NULL);
	cf_recv(100, 0, 100);
	cf_recv(101, 100, 100);
	POST(.wr_id = 0, .opcode = IBV_WR_SEND, .len = 10, .count = 5);
	POST(.wr_id = 5, .opcode = IBV_WR_RDMA_READ, .len = 10, .va = 1, .rkey = 2);
	for (i = 0; i < 5; i++)
		want_op(SEND_ONLY, i);
	want_op(READ_REQ, 5);
	TX(.op = ACK, .synd = SYN_ACK, .psn = 1, .msn = 2);
	want_wc(0, IBV_WC_SUCCESS);
	want_wc(1, IBV_WC_SUCCESS);
	cf_state(IBV_QPS_ERR);
	for (i = 2; i < 6; i++)
		want_wc(i, IBV_WC_WR_FLUSH_ERR);
	want_wc(100, IBV_WC_WR_FLUSH_ERR);
	want_wc(101, IBV_WC_WR_FLUSH_ERR);
	TX(.op = ACK, .synd = SYN_ACK, .psn = 4, .msn = 5);
	TX(.op = RESP_ONLY, .synd = SYN_ACK, .psn = 5, .data = cf_msg, .len = 10);
	want_quiet("answers to a queue pair in the error state");
	want_no_wc();
	/* what is posted now ends at once */
	POST(.wr_id = 7, .opcode = IBV_WR_SEND, .len = 1);
	want_wc(7, IBV_WC_WR_FLUSH_ERR);
	cf_recv(8, 0, 1);
	POST(.wr_id = 9, .opcode = IBV_WR_SEND, .len = 1);
	want_wc(9, IBV_WC_WR_FLUSH_ERR);
	want_wc(8, IBV_WC_WR_FLUSH_ERR);
}

/* Through RESET it is as new: numbers from before are nobody's. */
static void reset(int arg)
{
	uint32_t i;

	(void)arg;
	cf_open(NULL);
	cf_recv(1, 0, 600);
	TX(.op = SEND_FIRST, .data = cf_msg, .len = MTU);
	want_image(0, cf_msg, MTU);
	POST(.wr_id = 2, .opcode = IBV_WR_SEND, .len = 10);
	want_op(SEND_ONLY, 0);
	cf_state(IBV_QPS_RESET);
	TX(.op = SEND_LAST, .psn = 1, .ack = true, .data = cf_msg, .len = 4);
	want_quiet("a request to a queue pair that was reset");
	for (i = IBV_QPS_INIT; i <= IBV_QPS_RTS; i++)
		cf_state(i);
	cf_recv(3, 1000, 100);
	TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = 20);
	want_image(1000, cf_msg, 20);
	want_ack(0, 1);
	want_recv(3, 20);
	POST(.wr_id = 4, .opcode = IBV_WR_SEND, .len = 10);
	want_op(SEND_ONLY, 0);
	TX(.op = ACK, .synd = SYN_ACK, .msn = 1);
	want_wc(4, IBV_WC_SUCCESS);
}

/* ---- atomics (9.4.5) ---- */

static void poke64(uint32_t off, uint64_t v)
{
	cf_poke(off, &v, sizeof(v));
}

/* The region's start is not aligned; the first address in it that is */
static uint32_t aligned(void)
{
	return -cf_va(0) & 7;
}

static void want_atomic(uint32_t psn, uint32_t msn, uint64_t orig)
{
	struct cf_pkt p = want_op(ATOMIC_ACK, psn);

	cf_check(!(p.synd >> 5), "syndrome %02x", p.synd);
	want_eq("MSN", p.msn, msn);
	want_eq("value before the operation", p.orig, orig);
}

static void fetch_add(int arg)
{
	uint64_t v = 0xfffffffffffffffeULL + 5;
	uint32_t a;

	(void)arg;
	cf_open(NULL);
	a = aligned();
	poke64(a, 0xfffffffffffffffeULL);
	TX(.op = FETCH_ADD, .va = cf_va(a), .rkey = RW, .swap = 5);
	want_atomic(0, 1, 0xfffffffffffffffeULL);
	want_image(a, &v, 8);
	want_alive(1, 2);
}

static void cmp_swap(int equal)
{
	uint64_t v = 0x1111222233334444ULL;
	uint32_t a;

	cf_open(NULL);
	a = aligned();
	poke64(a, 77);
	TX(.op = CMP_SWAP, .va = cf_va(a), .rkey = RW, .swap = v, .cmp = equal ? 77 : 78);
	want_atomic(0, 1, 77);
	if (equal)
		want_image(a, &v, 8);
	want_alive(1, 2);
}

/* Executed once, answered with the same value as often as it is asked for. */
static void atomic_replay(int others)
{
	uint64_t v = 10;
	uint32_t a;
	int i;

	cf_open(NULL);
	a = aligned();
	poke64(a, 0);
	for (i = 0; i <= others; i++)
		TX(.op = FETCH_ADD, .psn = i, .va = cf_va(a), .rkey = RW, .swap = 10);
	for (i = 0; i <= others; i++)
		want_atomic(i, i + 1, 10 * i);
	v = 10 * (others + 1);
	want_image(a, &v, 8);
	for (i = 0; i <= others; i++) {
		TX(.op = FETCH_ADD, .psn = i, .va = cf_va(a), .rkey = RW, .swap = 10);
		want_atomic(i, others + 1, 10 * i);
	}
	want_alive(others + 1, others + 2);
}

static void atomic_then_write(int arg)
{
	uint64_t v = 1;
	uint32_t a;

	(void)arg;
	cf_open(NULL);
	a = aligned();
	poke64(a, 0);
	TX(.op = FETCH_ADD, .va = cf_va(a), .rkey = RW, .swap = 1);
	TX(.op = WRITE_ONLY, .psn = 1, .ack = true);
	want_image(a, &v, 8);
	want_atomic(0, 1, 0);
	want_ack(1, 2);
	/* as after a loss of both answers */
	TX(.op = FETCH_ADD, .va = cf_va(a), .rkey = RW, .swap = 1);
	TX(.op = WRITE_ONLY, .psn = 1, .ack = true);
	want_atomic(0, 2, 0);
	want_ack(1, 2);
	want_alive(2, 3);
}

static void atomic_refused(int what)
{
	struct cf_cmd c = cf_defaults();
	uint32_t a;

	if (what == 3)
		c.access = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	cf_open(&c);
	a = aligned();
	TX(.op = FETCH_ADD,
	   .va = cf_va(a + (what == 0 ? 4 : 0)) + (what == 2 ? (CF_MR_LEN & ~7) + 8 : 0),
	   .rkey = what == 1 ? cf_dut.key[CF_KEY_FOREIGN] : RW, .swap = 1);
	if (what == 0 || what == 3) {
		want_nak(NAK_INVALID, 0, 0);
		want_dead(IBV_EVENT_QP_REQ_ERR);
	} else {
		want_nak(NAK_ACCESS, 0, 0);
		want_dead(IBV_EVENT_QP_ACCESS_ERR);
	}
}

static void atomic_sent(int swap)
{
	uint64_t v = 0x0123456789abcdefULL;
	struct cf_pkt p;

	cf_open(NULL);
	POST(.wr_id = 1, .opcode = swap ? IBV_WR_ATOMIC_CMP_AND_SWP : IBV_WR_ATOMIC_FETCH_AND_ADD,
	     .off = 40, .len = 8, .va = 0x1000, .rkey = 0xfeed, .add = 7, .swap = 9);
	p = want_op(swap ? CMP_SWAP : FETCH_ADD, 0);
	want_eq("address", p.va, 0x1000);
	want_eq("R_Key", p.rkey, 0xfeed);
	want_eq("swap or add", p.swap, swap ? 9 : 7);
	if (swap)
		want_eq("compare", p.cmp, 7);
	want_no_wc();
	TX(.op = ATOMIC_ACK, .synd = SYN_ACK, .msn = 1, .orig = v);
	want_image(40, &v, 8);
	want_wc(1, IBV_WC_SUCCESS);
	POST(.wr_id = 2, .opcode = IBV_WR_SEND, .len = 1);
	want_op(SEND_ONLY, 1);
	TX(.op = ACK, .synd = SYN_ACK, .psn = 1, .msn = 2);
	want_wc(2, IBV_WC_SUCCESS);
}

static void atomic_resent(int arg)
{
	struct cf_cmd c = cf_defaults();
	uint64_t v = 3;
	struct cf_pkt p;

	(void)arg;
	c.timeout = 12;
	cf_open(&c);
	POST(.wr_id = 1, .opcode = IBV_WR_ATOMIC_FETCH_AND_ADD, .off = 40, .len = 8, .va = 0x1000,
	     .rkey = 1, .add = 7);
	want_op(FETCH_ADD, 0);
	p = want_op(FETCH_ADD, 0);
	want_eq("what is to be added", p.swap, 7);
	TX(.op = ATOMIC_ACK, .synd = SYN_ACK, .msn = 1, .orig = v);
	TX(.op = ATOMIC_ACK, .synd = SYN_ACK, .msn = 1, .orig = 99);
	want_image(40, &v, 8);
	want_wc(1, IBV_WC_SUCCESS);
	while (cf_maybe(&p, 0))
		cf_check(p.op == FETCH_ADD, "found %s", cf_op_name(p.op));
}

static void atomic_answered_by(int op)
{
	cf_open(NULL);
	POST(.wr_id = 1, .opcode = IBV_WR_ATOMIC_FETCH_AND_ADD, .off = 40, .len = 8, .va = 0x1000,
	     .rkey = 1, .add = 7);
	want_op(FETCH_ADD, 0);
	TX(.op = op, .synd = SYN_ACK, .msn = 1, .data = cf_msg, .len = 8);
	want_wc(1, IBV_WC_BAD_RESP_ERR);
	want_dead(-1);
}

/* ---- placement (annex A19): answered as a READ of nothing ---- */

static void atomic_write(int arg)
{
	uint8_t fresh[8];
	uint32_t a;

	(void)arg;
	cf_open(NULL);
	a = aligned();
	want_image(a, cf_msg, 8);
	TX(.op = ATOMIC_WRITE, .va = cf_va(a), .rkey = RW, .dmalen = 8, .data = cf_msg, .len = 8);
	want_resp(0, 1, 1, NULL, 0, MTU);
	/* a duplicate is answered, and not executed */
	memset(fresh, 0x33, sizeof(fresh));
	cf_poke(a, fresh, sizeof(fresh));
	TX(.op = ATOMIC_WRITE, .va = cf_va(a), .rkey = RW, .dmalen = 8, .data = cf_msg, .len = 8);
	want_resp(0, 1, 1, NULL, 0, MTU);
	want_alive(1, 2);
}

static void placement_refused(int what)
{
	struct cf_cmd c = cf_defaults();
	uint32_t a;

	if (what == 2)	/* the queue pair does allow it */
		c.access |= 1 << 8;	/* what newer headers call IBV_ACCESS_FLUSH_GLOBAL */
	cf_open(&c);
	a = aligned();
	if (what == 2)	/* the region does not allow it */
		TX(.op = FLUSH, .feth = 1 | 1 << 4, .va = cf_va(a), .rkey = RW, .dmalen = 8);
	else
		TX(.op = ATOMIC_WRITE, .va = cf_va(a) + (what == 0 ? 4 : 0), .rkey = RW,
		   .dmalen = what == 1 ? 4 : 8, .data = cf_msg, .len = what == 1 ? 4 : 8);
	if (what == 2) {
		want_nak(NAK_ACCESS, 0, 0);
		want_dead(IBV_EVENT_QP_ACCESS_ERR);
	} else {
		want_nak(NAK_INVALID, 0, 0);
		want_dead(IBV_EVENT_QP_REQ_ERR);
	}
}

/* ---- SEND with invalidate (9.4.1.1) ---- */

static void send_inv_bad_key(int key)
{
	cf_open(NULL);
	cf_recv(1, 0, 100);
	want_image(0, cf_msg, 10);
	TX(.op = SEND_ONLY_INV, .ack = true, .rkey = key < 0 ? 0xdeadbe00 : cf_dut.key[key],
	   .data = cf_msg, .len = 10);
	want_nak(NAK_ACCESS, 0, 0);
	want_dead_or(IBV_EVENT_QP_ACCESS_ERR);
	want_wc(1, -1);
}

/* ---- unreliable connections (9.8.2) ---- */

static struct cf_cmd uc(void)
{
	struct cf_cmd c = cf_defaults();

	c.type = IBV_QPT_UC;
	c.access = IBV_ACCESS_REMOTE_WRITE;
	return c;
}

static void uc_packet(uint8_t op, uint32_t psn, uint32_t from, uint32_t len, uint32_t dmalen)
{
	TX(.op = UC + op, .psn = psn, .data = cf_msg + from, .len = len, .va = cf_va(3000),
	   .rkey = RW, .dmalen = dmalen, .imm = 5);
}

static void uc_send(int imm)
{
	struct cf_cmd c = uc();

	cf_open(&c);
	cf_recv(1, 0, 1000);
	uc_packet(SEND_FIRST, 0, 0, MTU, 0);
	uc_packet(SEND_MIDDLE, 1, MTU, MTU, 0);
	uc_packet(imm ? SEND_LAST_IMM : SEND_LAST, 2, 2 * MTU, 7, 0);
	want_image(0, cf_msg, 2 * MTU + 7);
	want_quiet("an unreliable SEND");
	want_recv(1, 2 * MTU + 7);
}

static void uc_write(int imm)
{
	struct cf_cmd c = uc();

	cf_open(&c);
	cf_recv(1, 0, 0);
	uc_packet(WRITE_FIRST, 0, 0, MTU, MTU + 9);
	uc_packet(imm ? WRITE_LAST_IMM : WRITE_LAST, 1, MTU, 9, 0);
	want_image(3000, cf_msg, MTU + 9);
	want_quiet("an unreliable WRITE");
	if (imm)
		want_recv(1, MTU + 9);
	else
		want_no_wc();
}

/*
 * The message with the gap is lost, the next one is not, and its receive request is the lost one's.
 */
static void uc_gap(int first)
{
	struct cf_cmd c = uc();

	cf_open(&c);
	cf_recv(1, 0, 1000);
	if (!first)
		uc_packet(SEND_FIRST, 0, 5, MTU, 0);
	/* 1 is lost, or all up to it */
	uc_packet(SEND_MIDDLE, 2, 5, MTU, 0);
	uc_packet(SEND_LAST, 3, 5, 10, 0);
	uc_packet(SEND_FIRST, 4, 0, MTU, 0);
	uc_packet(SEND_LAST, 5, MTU, 10, 0);
	want_image(0, cf_msg, MTU + 10);
	want_quiet("unreliable SENDs");
	want_recv(1, MTU + 10);
}

/* A LAST is lost: the next message begins while the old one waits. */
static void uc_no_last(int arg)
{
	struct cf_cmd c = uc();

	(void)arg;
	cf_open(&c);
	cf_recv(1, 0, 1000);
	uc_packet(SEND_FIRST, 0, 5, MTU, 0);
	uc_packet(SEND_ONLY, 2, 0, MTU, 0);
	uc_packet(SEND_ONLY, 4, 100, 30, 0);
	want_image(0, cf_msg, MTU);
	want_quiet("unreliable SENDs");
	want_recv(1, MTU);
	/* the second found no receive request: gone without a word */
	cf_recv(2, 2000, 100);
	uc_packet(SEND_ONLY, 5, 200, 40, 0);
	want_image(2000, cf_msg + 200, 40);
	want_recv(2, 40);
}

static void uc_silent(int what)
{
	struct cf_cmd c = uc();

	cf_open(&c);
	cf_recv(1, 0, 1000);
	switch (what) {
	case 0:		/* a key that is none */
		TX(.op = UC + WRITE_ONLY, .data = cf_msg, .len = 8, .va = cf_va(0),
		   .rkey = RW ^ 0x40000000, .dmalen = 8);
		break;
	case 1:		/* DMALEN is not what comes */
		uc_packet(WRITE_ONLY, 0, 0, 8, 12);
		break;
	case 2:		/* READ is not UC's */
		uc_packet(READ_REQ, 0, 0, 0, 8);
		break;
	case 3:		/* without FIRST */
		uc_packet(WRITE_LAST, 0, 0, 8, 0);
		break;
	case 4:		/* a MIDDLE that is not a whole packet */
		uc_packet(SEND_FIRST, 0, 5, MTU, 0);
		want_image(0, cf_msg + 5, MTU);
		uc_packet(SEND_MIDDLE, 1, 5, MTU - 4, 0);
		break;
	}
	want_quiet("a bad packet to an unreliable connection");
}

static void uc_sends(int write)
{
	struct cf_cmd c = uc();
	struct cf_pkt p;

	cf_open(&c);
	POST(.wr_id = 1, .opcode = write ? IBV_WR_RDMA_WRITE : IBV_WR_SEND, .len = 2 * MTU + 1,
	     .va = 0x1000, .rkey = 7);
	p = want_op(UC + (write ? WRITE_FIRST : SEND_FIRST), 0);
	if (write)
		want_eq("DMALEN", p.dmalen, 2 * MTU + 1);
	want_op(UC + (write ? WRITE_MIDDLE : SEND_MIDDLE), 1);
	p = want_op(UC + (write ? WRITE_LAST : SEND_LAST), 2);
	cf_check(!p.ack, "AckReq on an unreliable connection");
	want_wc(1, IBV_WC_SUCCESS);
}

/* ---- datagrams (9.8.3) ---- */

static struct cf_cmd ud(void)
{
	struct cf_cmd c = cf_defaults();

	c.type = IBV_QPT_UD;
	return c;
}

/* Something else first, which must leave no trace: the receive request is the good one's. */
static void ud_receives(struct cf_pkt bad)
{
	struct cf_cmd c = ud();
	struct cf_wc wc;

	cf_open(&c);
	cf_recv(1, 0, 40 + 100);
	if (bad.op) {
		bad.data = cf_msg + 300;
		cf_tx(bad);
	}
	TX(.op = UD_ONLY_IMM, .psn = 1, .qkey = CF_QKEY, .sqpn = 0x4711, .imm = 0x55667788,
	   .se = true, .tos = 0x20, .data = cf_msg, .len = 100);
	want_quiet("datagrams");
	wc = want_wc(1, IBV_WC_SUCCESS);
	want_eq("byte_len", wc.len, 140);
	want_eq("source queue pair", wc.src_qp, 0x4711);
	want_eq("immediate data", wc.imm, 0x55667788);
	want_eq("flags (GRH, immediate)", wc.flags & 3, IBV_WC_GRH | IBV_WC_WITH_IMM);
	want_image(40, cf_msg, 100);
	/* the first 40 bytes: an IPv6 header, or an IPv4 one in the last 20 of them */
	want_grh(0);
}

static void ud_good(int arg)
{
	(void)arg;
	ud_receives((struct cf_pkt){ 0 });
}

static const struct cf_pkt ud_bad[] = {
	{ .op = UD_ONLY, .qkey = CF_QKEY + 1, .len = 10 },
	{ .op = UD_ONLY, .qkey = CF_QKEY, .dst_xor = 0x40, .len = 10 },
	{ .op = 0x60, .qkey = CF_QKEY, .len = 18 },
	{ .op = UD_ONLY, .qkey = CF_QKEY, .pkey_xor = 0x0f00, .len = 10 },
	{ .op = SEND_ONLY, .ack = true, .len = 10 },
	{ .op = UC + SEND_ONLY, .len = 10 },
	{ .op = UD_ONLY, .qkey = CF_QKEY, .icrc_xor = 0x100, .len = 10 },
	{ .op = WRITE_ONLY, .ack = true },
};

static void ud_refused(int i)
{
	ud_receives(ud_bad[i]);
}

/* No receive request, or one that is too short: nothing but silence, and never a success. */
static void ud_no_room(int len)
{
	struct cf_cmd c = ud();
	struct cf_wc wc = { 0 };
	struct cf_reply *r;

	cf_open(&c);
	if (len)
		cf_recv(1, 0, len);
	TX(.op = UD_ONLY, .qkey = CF_QKEY, .data = cf_msg, .len = 100);
	want_quiet("a datagram without room");
	r = cf_call(&(struct cf_cmd){ .what = CF_POLL });
	if (r->n)
		wc = r->wc[0];
	cf_check(!r->n || wc.status == IBV_WC_LOC_LEN_ERR, "a completion with %s", ibv_wc_status_str(wc.status));
}

static void ud_sends(int arg)
{
	struct cf_cmd c = ud();
	struct cf_pkt p;
	uint32_t i;

	(void)arg;
	cf_open(&c);
	for (i = 0; i < 3; i++) {
		POST(.wr_id = i, .opcode = i == 2 ? IBV_WR_SEND_WITH_IMM : IBV_WR_SEND, .off = i,
		     .len = 100 + i, .imm = 0x99);
		p = want_op(i == 2 ? UD_ONLY_IMM : UD_ONLY, i);
		want_eq("Q_Key", p.qkey, CF_QKEY);
		want_eq("payload", p.len, 100 + i);
		cf_check(!memcmp(p.data, cf_image(i), 100 + i), "payload");
		cf_check(!p.ack, "AckReq in a datagram");
		want_wc(i, IBV_WC_SUCCESS);
	}
	want_eq("immediate data", p.imm, 0x99);
}

/* Its source port tells a pair of queue pairs from others, for what spreads flows by it. */
static void ud_ports(int arg)
{
	struct cf_cmd c = ud();
	uint32_t i, port[2];

	(void)arg;
	for (i = 0; i < 2; i++) {
		if (i)
			cf_check(!cf_call(&(struct cf_cmd){ .what = CF_CLOSE })->err, "the queue pair cannot be destroyed");
		cf_open(&c);
		POST(.wr_id = 1, .opcode = IBV_WR_SEND, .len = 10);
		port[i] = want_op(UD_ONLY, 0).sport;
		want_wc(1, IBV_WC_SUCCESS);
		POST(.wr_id = 2, .opcode = IBV_WR_SEND, .len = 10);
		want_eq("source port of the next datagram", want_op(UD_ONLY, 1).sport, port[i]);
		want_wc(2, IBV_WC_SUCCESS);
	}
	cf_check(port[0] != port[1], "two queue pairs have source port %u", port[0]);
}

/* Longer than any path MTU: not sent, and no error; those around it are. */
static void ud_too_long(int arg)
{
	struct cf_cmd c = ud();

	(void)arg;
	cf_open(&c);
	POST(.wr_id = 1, .opcode = IBV_WR_SEND, .len = 4097);
	want_wc(1, IBV_WC_SUCCESS);
	want_quiet("a datagram that is too long");
	POST(.wr_id = 2, .opcode = IBV_WR_SEND, .len = 100);
	want_eq("payload", cf_next("a datagram").len, 100);
	want_wc(2, IBV_WC_SUCCESS);
}

#define UD_REFUSED(name, i) { name, "9.6.1", ud_refused, i, 0 }

const struct cf_case cf_others[] = {
	{ "state RESET: requests are dropped", "10.3.1.1", send_in_state, IBV_QPS_RESET, 0 },
	{ "state INIT: requests are dropped", "10.3.1.2", send_in_state, IBV_QPS_INIT, 0 },
	{ "state ERR: requests are dropped", "10.3.1.7", send_in_state, IBV_QPS_ERR, 0 },
	{ "state RTR: answers, and tells of the first packet", "10.3.1.3", ready_to_receive, 0, 0 },
	{ "state SQD: ends what has begun", "10.3.1.5", drained, 0, 0 },
	{ "state SQD: waits for a peer that is not ready", "10.3.1.5", drained_when_ready, 0, 0 },
	{ "state ERR: flushes in order", "10.3.1.7", flushed, 0, 0 },
	{ "through RESET and up again", "10.3.1.1", reset, 0, 0 },

	{ "FETCH_ADD that wraps", "9.4.5", fetch_add, 0, NEED_ATOMIC | ALSO_V6 },
	{ "COMPARE_SWAP, equal", "9.4.5", cmp_swap, 1, NEED_ATOMIC },
	{ "COMPARE_SWAP, not equal", "9.4.5", cmp_swap, 0, NEED_ATOMIC },
	{ "duplicate atomic", "9.7.5.1", atomic_replay, 0, NEED_ATOMIC },
	{ "duplicates of four atomics", "9.7.5.1", atomic_replay, 3, NEED_ATOMIC },
	{ "duplicates of an atomic and a WRITE", "9.7.5.1", atomic_then_write, 0, NEED_ATOMIC },
	{ "atomic at an address that is not a multiple of 8", "9.4.5", atomic_refused, 0, NEED_ATOMIC },
	{ "atomic with a foreign key", "9.7.4.1", atomic_refused, 1, NEED_ATOMIC },
	{ "atomic behind the region", "9.7.4.1", atomic_refused, 2, NEED_ATOMIC },
	{ "atomic to a queue pair that allows none", "9.7.4.1", atomic_refused, 3, NEED_ATOMIC },
	{ "sends: FETCH_ADD", "9.4.5", atomic_sent, 0, NEED_ATOMIC },
	{ "sends: COMPARE_SWAP", "9.4.5", atomic_sent, 1, NEED_ATOMIC },
	{ "atomic sent again", "9.7.6", atomic_resent, 0, NEED_ATOMIC },
	{ "atomic answered by a READ response", "9.9.2", atomic_answered_by, RESP_ONLY, NEED_ATOMIC },

	{ "ATOMIC_WRITE, and its duplicate", "A19", atomic_write, 0, NEED_PLACEMENT },
	{ "ATOMIC_WRITE at an address that is not a multiple of 8", "A19", placement_refused, 0, NEED_PLACEMENT },
	{ "ATOMIC_WRITE of 4 bytes", "A19", placement_refused, 1, NEED_PLACEMENT },
	{ "FLUSH of a region that does not allow it", "A19", placement_refused, 2, NEED_PLACEMENT },

	{ "SEND that invalidates a key that is none", "9.4.1.1", send_inv_bad_key, -1, NEED_INV },
	{ "SEND that invalidates another domain's key", "9.4.1.1", send_inv_bad_key, CF_KEY_FOREIGN, NEED_INV },

	{ "UC: SEND", "9.8.2", uc_send, 0, NEED_UC | ALSO_V6 },
	{ "UC: SEND with immediate", "9.8.2", uc_send, 1, NEED_UC },
	{ "UC: WRITE", "9.8.2", uc_write, 0, NEED_UC },
	{ "UC: WRITE with immediate", "9.8.2", uc_write, 1, NEED_UC },
	{ "UC: a middle packet is lost", "9.8.2", uc_gap, 0, NEED_UC },
	{ "UC: the first packet is lost", "9.8.2", uc_gap, 1, NEED_UC },
	{ "UC: last packets are lost", "9.8.2", uc_no_last, 0, NEED_UC },
	{ "UC: WRITE with a bad key", "9.8.2", uc_silent, 0, NEED_UC },
	{ "UC: WRITE of another length", "9.8.2", uc_silent, 1, NEED_UC },
	{ "UC: READ", "9.8.2", uc_silent, 2, NEED_UC },
	{ "UC: WRITE_LAST without FIRST", "9.8.2", uc_silent, 3, NEED_UC },
	{ "UC: a short SEND_MIDDLE", "9.8.2", uc_silent, 4, NEED_UC },
	{ "UC sends: SEND", "9.8.2", uc_sends, 0, NEED_UC },
	{ "UC sends: WRITE", "9.8.2", uc_sends, 1, NEED_UC },

	{ "UD: datagram with immediate", "9.8.3", ud_good, 0, ALSO_V6 },
	UD_REFUSED("UD: wrong Q_Key", 0),
	UD_REFUSED("UD: another destination address", 1),
	UD_REFUSED("UD: reserved opcode", 2),
	UD_REFUSED("UD: another partition's P_Key", 3),
	UD_REFUSED("UD: RC SEND to it", 4),
	UD_REFUSED("UD: UC SEND to it", 5),
	UD_REFUSED("UD: wrong ICRC", 6),
	UD_REFUSED("UD: WRITE to it", 7),
	{ "UD: no receive request", "9.8.3", ud_no_room, 0, 0 },
	{ "UD: receive request without room for the GRH", "9.8.3", ud_no_room, 30, 0 },
	{ "UD: receive request one byte short", "9.8.3", ud_no_room, 139, 0 },
	{ "UD sends", "9.8.3", ud_sends, 0, ALSO_V6 },
	{ "UD sends: source ports", "annex A17", ud_ports, 0, ALSO_V6 },
	{ "UD sends: longer than the MTU", "C10-93.1.1", ud_too_long, 0, 0 },
	{ 0 },
};

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The DUT as the requester of a reliable connection: we answer, or do not (9.7.3, 9.7.6). READs are
 * in reads.c.
 */
#include <string.h>

#include "cf.h"
#include "requester.h"


void cf_ack(uint32_t psn, uint32_t msn)
{
	TX(.op = ACK, .synd = SYN_ACK, .psn = psn, .msn = msn);
}

void cf_nak(uint8_t syndrome, uint32_t psn, uint32_t msn)
{
	TX(.op = ACK, .synd = syndrome, .psn = psn, .msn = msn);
}

/* A SEND or WRITE of the DUT's from its @from'th packet on, byte by byte */
static void want_rest(int opcode, uint32_t psn, uint32_t off, uint32_t len, uint32_t from)
{
	bool write = opcode == IBV_WR_RDMA_WRITE || opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
	bool imm = opcode == IBV_WR_SEND_WITH_IMM || opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
	uint32_t n = len ? (len + MTU - 1) / MTU : 1, i, size;
	struct cf_pkt p;

	for (i = from; i < n; i++) {
		uint8_t op = n == 1	 ? SEND_ONLY
			     : !i	 ? SEND_FIRST
			     : i + 1 < n ? SEND_MIDDLE
					 : SEND_LAST;

		if (imm && i + 1 == n)
			op++;
		if (write)
			op += WRITE_FIRST;
		p = want_op(op, psn + i);
		size = i + 1 < n ? MTU : len - i * MTU;
		want_eq("payload", p.len, size);
		cf_check(!memcmp(p.data, cf_image(off + i * MTU), size), "the payload of PSN %+d is wrong", (int)p.psn);
		if (write && !i) {
			want_eq("address", p.va, 0x123456789abcdef0);
			want_eq("R_Key", p.rkey, 0xfeedbeef);
			want_eq("DMALEN", p.dmalen, len);
		}
		if (imm && i + 1 == n)
			want_eq("immediate data", p.imm, 0x0a0b0c0d);
		cf_check(!p.se, "the SE bit is set");
	}
	cf_check(p.ack, "the last packet of all that was posted does not ask for an ACK");
}

void cf_request(int opcode, uint64_t wr_id, uint32_t off, uint32_t len)
{
	POST(.wr_id = wr_id, .opcode = opcode, .off = off, .len = len, .imm = 0x0a0b0c0d,
	     .va = 0x123456789abcdef0, .rkey = 0xfeedbeef);
}

static void one_message(int opcode, uint32_t len)
{
	uint32_t n = len ? (len + MTU - 1) / MTU : 1;

	cf_open(NULL);
	cf_request(opcode, 1, 11, len);
	want_rest(opcode, 0, 11, len, 0);
	want_no_wc();
	cf_ack(n - 1, 1);
	want_wc(1, IBV_WC_SUCCESS);
	cf_request(opcode, 2, 11, 8);
	want_rest(opcode, n, 11, 8, 0);
	cf_ack(n, 2);
	want_wc(2, IBV_WC_SUCCESS);
}

static void send_len(int len)
{
	one_message(IBV_WR_SEND, len);
}

static void send_imm_len(int len)
{
	one_message(IBV_WR_SEND_WITH_IMM, len);
}

static void write_len(int len)
{
	one_message(IBV_WR_RDMA_WRITE, len);
}

static void write_imm_len(int len)
{
	one_message(IBV_WR_RDMA_WRITE_WITH_IMM, len);
}

static void solicits(int arg)
{
	struct cf_pkt p;

	(void)arg;
	cf_open(NULL);
	POST(.wr_id = 1, .opcode = IBV_WR_SEND, .len = MTU + 1, .flags = IBV_SEND_SOLICITED);
	p = want_op(SEND_FIRST, 0);
	cf_check(!p.se, "SE in the first packet");
	p = want_op(SEND_LAST, 1);
	cf_check(p.se, "no SE in the last packet");
	cf_check(p.m, "the M bit is clear, but a queue pair without alternate path is in the migrated state (9.2.3)");
	cf_ack(1, 1);
	want_wc(1, IBV_WC_SUCCESS);
}

/* Nothing at the other end takes a receive request for it. */
static void solicits_nothing(int arg)
{
	(void)arg;
	cf_open(NULL);
	POST(.wr_id = 1, .opcode = IBV_WR_RDMA_WRITE, .len = 8, .flags = IBV_SEND_SOLICITED);
	cf_check(!want_op(WRITE_ONLY, 0).se, "SE in a WRITE without immediate data");
	cf_ack(0, 1);
	want_wc(1, IBV_WC_SUCCESS);
	POST(.wr_id = 2, .opcode = IBV_WR_RDMA_WRITE_WITH_IMM, .len = 8,
	     .flags = IBV_SEND_SOLICITED);
	cf_check(want_op(WRITE_ONLY_IMM, 1).se, "no SE in a WRITE with immediate data");
	cf_ack(1, 2);
	want_wc(2, IBV_WC_SUCCESS);
}

/* ---- acknowledgements ---- */

static void coalesced(int arg)
{
	uint64_t i;

	(void)arg;
	cf_open(NULL);
	for (i = 0; i < 5; i++)
		cf_request(IBV_WR_SEND, i, i, 10);
	for (i = 0; i < 5; i++)
		want_op(SEND_ONLY, i);
	cf_ack(3, 4);
	for (i = 0; i < 4; i++)
		want_wc(i, IBV_WC_SUCCESS);
	want_alive(0, 1);
	want_no_wc();
	cf_ack(4, 5);
	want_wc(4, IBV_WC_SUCCESS);
}

static void ack_inside(int arg)
{
	(void)arg;
	cf_open(NULL);
	cf_request(IBV_WR_SEND, 1, 0, 3 * MTU);
	want_rest(IBV_WR_SEND, 0, 0, 3 * MTU, 0);
	cf_ack(0, 0);
	cf_ack(1, 0);
	want_alive(0, 1);
	want_no_wc();
	cf_ack(2, 1);
	want_wc(1, IBV_WC_SUCCESS);
}

/* Answers that belong to nothing: ignored. The request is then acknowledged, and completes once. */
static const struct cf_pkt ghost[] = {
	{ .op = ACK, .synd = SYN_ACK, .psn = -1 },
	{ .op = ACK, .synd = SYN_ACK, .psn = -1000 },
	{ .op = ACK, .synd = SYN_ACK, .psn = 1, .msn = 2 },
	{ .op = ACK, .synd = SYN_ACK, .psn = 5000, .msn = 9 },
	{ .op = ACK, .synd = SYN_ACK, .psn = 1 << 23 },
	{ .op = ACK, .synd = NAK_PSN, .psn = -1 },
	{ .op = ACK, .synd = NAK_PSN, .psn = 7 },
	{ .op = ACK, .synd = NAK_ACCESS, .psn = -3 },
	{ .op = ACK, .synd = NAK_INVALID, .psn = 9 },
	{ .op = ACK, .synd = SYN_RNR | 1, .psn = -2 },
	{ .op = ACK, .synd = SYN_RNR | 1, .psn = 4 },
	{ .op = RESP_ONLY, .synd = SYN_ACK, .psn = 3, .len = 8 },
	{ .op = RESP_ONLY, .synd = SYN_ACK, .psn = -3, .len = 8 },
	{ .op = ATOMIC_ACK, .synd = SYN_ACK, .psn = 6 },
	/* syndromes that mean nothing: bit 7, type 010 */
	{ .op = ACK, .synd = 0x9f, .msn = 1 },
	{ .op = ACK, .synd = 0x5f, .msn = 1 },
	{ .op = ACK, .synd = 0xe1, .msn = 1 },
};

static void ghosts(int i)
{
	struct cf_pkt p = ghost[i];

	cf_open(NULL);
	cf_request(IBV_WR_SEND, 1, 0, 10);
	want_op(SEND_ONLY, 0);
	p.data = cf_msg;
	cf_tx(p);
	want_alive(0, 1);
	want_no_wc();
	cf_ack(0, 1);
	want_wc(1, IBV_WC_SUCCESS);
}

/* An ACK's number is what counts; its MSN and credits are for flow control. */
static void odd_ack(int synd)
{
	cf_open(NULL);
	cf_request(IBV_WR_SEND, 1, 0, 10);
	want_op(SEND_ONLY, 0);
	TX(.op = ACK, .synd = synd, .msn = 0xabcdef);
	want_wc(1, IBV_WC_SUCCESS);
	cf_request(IBV_WR_SEND, 2, 0, 10);
	want_op(SEND_ONLY, 1);
	cf_ack(1, 2);
	want_wc(2, IBV_WC_SUCCESS);
}

static void ack_twice(int arg)
{
	(void)arg;
	cf_open(NULL);
	cf_request(IBV_WR_SEND, 1, 0, 10);
	want_op(SEND_ONLY, 0);
	cf_ack(0, 1);
	cf_ack(0, 1);
	want_wc(1, IBV_WC_SUCCESS);
	cf_request(IBV_WR_SEND, 2, 0, 10);
	want_op(SEND_ONLY, 1);
	cf_ack(0, 1);
	want_alive(0, 1);
	want_no_wc();
	cf_ack(1, 2);
	want_wc(2, IBV_WC_SUCCESS);
}

/* ---- losses ---- */

struct cf_cmd cf_timed(int retry)
{
	struct cf_cmd c = cf_defaults();

	c.timeout = TIMER;
	c.retry = retry;
	return c;
}

/* The next packet that is not what was repeated too often by a timer that ran out meanwhile */
static struct cf_pkt fresh(uint8_t op, uint32_t psn)
{
	struct cf_pkt p;

	do
		p = cf_next(cf_op_name(op));
	while ((int)p.psn < (int)psn);
	if (p.op != op || p.psn != psn)
		cf_fail("expected %s with PSN %+d, found %s with %+d", cf_op_name(op), (int)psn, cf_op_name(p.op), (int)p.psn);
	return p;
}

static void lost_ack(int len)
{
	struct cf_cmd c = cf_timed(7);
	uint32_t n = (len + MTU - 1) / MTU;
	struct cf_pkt p;

	cf_open(&c);
	cf_request(IBV_WR_SEND, 1, 0, len);
	want_rest(IBV_WR_SEND, 0, 0, len, 0);
	/* nothing comes: all of it again */
	want_rest(IBV_WR_SEND, 0, 0, len, 0);
	cf_ack(n - 1, 1);
	want_wc(1, IBV_WC_SUCCESS);
	cf_request(IBV_WR_SEND, 2, 0, 3);
	fresh(SEND_ONLY, n);
	cf_ack(n, 2);
	want_wc(2, IBV_WC_SUCCESS);
	/*
	 * the timer is short: on a busy host the request goes out again before the answer is there
	 */
	while (cf_maybe(&p, 20))
		cf_check(p.op == SEND_ONLY && p.psn == n, "found %s with %+d", cf_op_name(p.op), (int)p.psn);
}

/* Acknowledged up to its middle: goes on from there, not from its first packet. */
static void lost_rest(int write)
{
	int opcode = write ? IBV_WR_RDMA_WRITE : IBV_WR_SEND;
	struct cf_cmd c = cf_timed(7);
	struct cf_pkt p;

	cf_open(&c);
	cf_request(opcode, 1, 0, 4 * MTU);
	want_rest(opcode, 0, 0, 4 * MTU, 0);
	cf_ack(1, 0);
	/* it may have gone back before the ACK was there */
	do
		p = cf_next("the rest again");
	while (p.psn < 2 || p.psn == 3);
	want_eq("PSN of what is sent again", p.psn, 2);
	want_eq("opcode of what is sent again", p.op, write ? WRITE_MIDDLE : SEND_MIDDLE);
	cf_check(!memcmp(p.data, cf_image(2 * MTU), MTU), "its payload is wrong");
	fresh(write ? WRITE_LAST : SEND_LAST, 3);
	cf_ack(3, 1);
	want_wc(1, IBV_WC_SUCCESS);
	while (cf_maybe(&p, 0))
		cf_check(p.psn < 4, "PSN %+d was never asked for", (int)p.psn);
}

static void nak_sequence(int at)
{
	cf_open(NULL);
	cf_request(IBV_WR_SEND, 1, 0, 4 * MTU);
	want_rest(IBV_WR_SEND, 0, 0, 4 * MTU, 0);
	cf_nak(NAK_PSN, at, 0);
	want_rest(IBV_WR_SEND, 0, 0, 4 * MTU, at);
	cf_ack(3, 1);
	want_wc(1, IBV_WC_SUCCESS);
}

/* It acknowledges what is before its number. */
static void nak_sequence_acks(int arg)
{
	(void)arg;
	cf_open(NULL);
	cf_request(IBV_WR_SEND, 1, 0, 10);
	cf_request(IBV_WR_RDMA_WRITE, 2, 0, 2 * MTU);
	cf_request(IBV_WR_SEND, 3, 30, 10);
	want_op(SEND_ONLY, 0);
	want_op(WRITE_FIRST, 1);
	want_op(WRITE_LAST, 2);
	want_op(SEND_ONLY, 3);
	cf_nak(NAK_PSN, 3, 2);
	want_wc(1, IBV_WC_SUCCESS);
	want_wc(2, IBV_WC_SUCCESS);
	want_op(SEND_ONLY, 3);
	cf_ack(3, 3);
	want_wc(3, IBV_WC_SUCCESS);
}

/* Nobody answers: one try and retry_cnt more, then the error and the flush. */
static void retries_end(int retry)
{
	struct cf_cmd c = cf_timed(retry);
	struct cf_pkt p;
	int tries = 0;

	cf_open(&c);
	POST(.wr_id = 1, .opcode = IBV_WR_SEND, .len = 10, .count = 2);
	while (cf_maybe(&p, 2500)) {
		cf_check(p.op == SEND_ONLY && p.psn <= 1, "PSN %+d", (int)p.psn);
		tries += p.psn == 0;
	}
	want_wc(1, IBV_WC_RETRY_EXC_ERR);
	want_wc(2, IBV_WC_WR_FLUSH_ERR);
	want_eq("number of times that it was sent", tries, 1 + retry);
	want_dead(-1);
}

/* After the wait the refused request goes alone: what is behind it would be refused as well. */
static void rnr_once(int timer)
{
	struct cf_pkt p;

	cf_open(NULL);
	POST(.wr_id = 1, .opcode = IBV_WR_SEND, .len = 10, .count = 3);
	want_op(SEND_ONLY, 0);
	want_op(SEND_ONLY, 1);
	want_op(SEND_ONLY, 2);
	cf_nak(SYN_RNR | timer, 1, 1);
	want_wc(1, IBV_WC_SUCCESS);
	/* only one NAK is sent; but a second one changes nothing */
	cf_nak(SYN_RNR | timer, 1, 1);
	p = want_op(SEND_ONLY, 1);
	cf_check(p.ack, "it does not ask for an ACK");
	want_quiet("an RNR NAK, beside the refused request");
	cf_ack(1, 2);
	want_wc(2, IBV_WC_SUCCESS);
	want_op(SEND_ONLY, 2);
	cf_ack(2, 3);
	want_wc(3, IBV_WC_SUCCESS);
}

static void rnr_ends(int retry)
{
	struct cf_cmd c = cf_defaults();
	int i;

	c.rnr_retry = retry;
	cf_open(&c);
	POST(.wr_id = 1, .opcode = IBV_WR_SEND, .len = 10, .count = 2);
	for (i = 0; i <= retry; i++) {
		want_op(SEND_ONLY, 0);
		if (!i)
			want_op(SEND_ONLY, 1);
		cf_nak(SYN_RNR | 1, 0, 0);
	}
	want_wc(1, IBV_WC_RNR_RETRY_EXC_ERR);
	want_wc(2, IBV_WC_WR_FLUSH_ERR);
	want_dead(-1);
}

/* 7 is without end. */
static void rnr_forever(int arg)
{
	int i;

	(void)arg;
	cf_open(NULL);
	cf_request(IBV_WR_SEND, 1, 0, 10);
	for (i = 0; i < 12; i++) {
		want_op(SEND_ONLY, 0);
		cf_nak(SYN_RNR | 1, 0, 0);
	}
	want_op(SEND_ONLY, 0);
	cf_ack(0, 1);
	want_wc(1, IBV_WC_SUCCESS);
}

/* The counter is a request's: it starts anew with the next one. */
static void rnr_counter_starts_over(int arg)
{
	struct cf_cmd c = cf_defaults();
	uint32_t i, k;

	(void)arg;
	c.rnr_retry = 1;
	cf_open(&c);
	for (i = 0; i < 3; i++) {
		cf_request(IBV_WR_SEND, i, 0, 10);
		for (k = 0; k < 2; k++) {
			want_op(SEND_ONLY, i);
			if (!k)
				cf_nak(SYN_RNR | 1, i, i);
		}
		cf_ack(i, i + 1);
		want_wc(i, IBV_WC_SUCCESS);
	}
}

/*
 * The request behind cannot be sent: then this one asks for its ACK, there is no timer to wait for.
 */
static void bad_one_behind(int arg)
{
	struct cf_pkt p;

	(void)arg;
	cf_open(NULL);
	POST(.wr_id = 1, .opcode = IBV_WR_SEND, .len = 10, .count = 2, .bad_lkey = 0xff00);
	do {
		p = want_op(SEND_ONLY, 0);
	} while (!p.ack);
	cf_ack(0, 1);
	want_wc(1, IBV_WC_SUCCESS);
	want_wc(2, IBV_WC_LOC_PROT_ERR);
	want_dead(-1);
}

/* ---- fatal NAKs ---- */

static const struct { uint8_t syndrome; int status;
} fatal[] = {
	{ NAK_INVALID, IBV_WC_REM_INV_REQ_ERR },
	{ NAK_ACCESS, IBV_WC_REM_ACCESS_ERR },
	{ NAK_OP, IBV_WC_REM_OP_ERR },
	/* reserved codes: whatever it is called, not a success */
	{ 0x64, -1 },
	{ 0x65, -1 },
	{ 0x7f, -1 },
};

static void fatal_nak(int i)
{
	cf_open(NULL);
	cf_recv(9, 0, 10);
	POST(.wr_id = 1, .opcode = IBV_WR_SEND, .len = 10, .count = 3);
	want_op(SEND_ONLY, 0);
	want_op(SEND_ONLY, 1);
	want_op(SEND_ONLY, 2);
	cf_nak(fatal[i].syndrome, 1, 1);
	want_wc(1, IBV_WC_SUCCESS);
	want_wc(2, fatal[i].status);
	want_wc(3, IBV_WC_WR_FLUSH_ERR);
	want_wc(9, IBV_WC_WR_FLUSH_ERR);
	want_dead(-1);
	want_quiet("the end of the connection");
}

static void fatal_nak_of_read(int i)
{
	cf_open(NULL);
	cf_read(1, 0, 3 * MTU);
	cf_want_read(0, 0, 3 * MTU);
	cf_nak(fatal[i].syndrome, 0, 1);
	want_wc(1, fatal[i].status);
	want_dead(-1);
}

/* After a part of the answer. */
static void nak_inside_read(int arg)
{
	(void)arg;
	cf_open(NULL);
	cf_read(1, 0, 3 * MTU);
	cf_want_read(0, 0, 3 * MTU);
	want_image(0, cf_msg, MTU);
	cf_answer(0, 1, cf_msg, 3 * MTU, 0, 0);
	cf_nak(NAK_ACCESS, 1, 1);
	want_wc(1, IBV_WC_REM_ACCESS_ERR);
	want_dead(-1);
}

const struct cf_case cf_requester[] = {
	{ "sends: SEND of no byte", "9.4.1", send_len, 0, 0 },
	{ "sends: SEND of 1 byte", "9.4.1", send_len, 1, ALSO_V6 },
	{ "sends: SEND of a whole packet", "9.4.1", send_len, MTU, 0 },
	{ "sends: SEND of five packets", "9.4.1", send_len, 4 * MTU + 3, ALSO_V6 },
	{ "sends: SEND with immediate", "9.4.1", send_imm_len, 10, 0 },
	{ "sends: SEND of two packets with immediate", "9.4.1", send_imm_len, MTU + 1, 0 },
	{ "sends: WRITE of no byte", "9.4.3", write_len, 0, 0 },
	{ "sends: WRITE of 3 bytes", "9.4.3", write_len, 3, ALSO_V6 },
	{ "sends: WRITE of five packets", "9.4.3", write_len, 5 * MTU, 0 },
	{ "sends: WRITE with immediate", "9.4.3", write_imm_len, 9, 0 },
	{ "sends: WRITE of two packets with immediate", "9.4.3", write_imm_len, MTU + 9, 0 },
	{ "sends: SE in the last packet, M in all", "9.2.2, 9.2.3", solicits, 0, 0 },
	{ "sends: no SE in a plain WRITE", "9.2.2", solicits_nothing, 0, 0 },

	{ "one ACK for four SENDs", "9.7.5.1.2", coalesced, 0, 0 },
	{ "ACKs inside a message", "9.7.6", ack_inside, 0, 0 },
	{ "ghost: ACK of the PSN before the first", "9.7.6", ghosts, 0, ALSO_V6 },
	{ "ghost: ACK of a PSN long past", "9.7.6", ghosts, 1, 0 },
	{ "ghost: ACK of a PSN never sent", "9.7.6", ghosts, 2, 0 },
	{ "ghost: ACK of a PSN far ahead", "9.7.6", ghosts, 3, 0 },
	{ "ghost: ACK of the PSN opposite", "9.7.6", ghosts, 4, 0 },
	{ "ghost: sequence NAK of the past", "9.7.6", ghosts, 5, 0 },
	{ "ghost: sequence NAK of a PSN never sent", "9.7.6", ghosts, 6, 0 },
	{ "ghost: access NAK of the past", "9.7.6", ghosts, 7, 0 },
	{ "ghost: invalid request NAK of a PSN never sent", "9.7.6", ghosts, 8, 0 },
	{ "ghost: RNR NAK of the past", "9.7.6", ghosts, 9, 0 },
	{ "ghost: RNR NAK of a PSN never sent", "9.7.6", ghosts, 10, 0 },
	{ "ghost: READ response of a PSN never sent", "9.7.6", ghosts, 11, 0 },
	{ "ghost: READ response of the past", "9.7.6", ghosts, 12, 0 },
	{ "ghost: atomic response of a PSN never sent", "9.7.6", ghosts, 13, 0 },
	{ "AETH with bit 7 set", "9.7.5.2", ghosts, 14, 0 },
	{ "AETH of the reserved type", "9.7.5.2", ghosts, 15, 0 },
	{ "AETH like a NAK with bit 7 set", "9.7.5.2", ghosts, 16, 0 },
	{ "ACK with a wrong MSN", "9.7.7.1", odd_ack, SYN_ACK, 0 },
	{ "ACK with a credit count", "9.7.7.2", odd_ack, 0x0a, 0 },
	{ "the same ACK again", "9.7.6", ack_twice, 0, 0 },

	{ "lost ACK of one packet", "9.7.6", lost_ack, 10, ALSO_V6 },
	{ "lost ACK of three packets", "9.7.6", lost_ack, 3 * MTU, 0 },
	{ "lost rest of a SEND", "9.7.6", lost_rest, 0, 0 },
	{ "lost rest of a WRITE", "9.7.6", lost_rest, 1, 0 },
	{ "sequence NAK at the first packet", "9.7.5.2", nak_sequence, 0, 0 },
	{ "sequence NAK at the third packet", "9.7.5.2", nak_sequence, 2, 0 },
	{ "sequence NAK acknowledges what is before it", "9.7.5.2", nak_sequence_acks, 0, 0 },
	{ "nobody answers, 0 retries", "9.9.2", retries_end, 0, 0 },
	{ "nobody answers, 2 retries", "9.9.2", retries_end, 2, 0 },
	{ "RNR NAK, timer 1", "9.7.5.2.8", rnr_once, 1, 0 },
	{ "RNR NAK, timer 22", "9.7.5.2.8", rnr_once, 22, 0 },
	{ "RNR NAK without end, 0 retries", "9.9.2", rnr_ends, 0, 0 },
	{ "RNR NAK without end, 3 retries", "9.9.2", rnr_ends, 3, 0 },
	{ "RNR NAK 12 times, unlimited retries", "9.9.2", rnr_forever, 0, 0 },
	{ "RNR counter starts anew with the next request", "9.9.2", rnr_counter_starts_over, 0, 0 },
	{ "NAK: invalid request", "9.9.2", fatal_nak, 0, 0 },
	{ "NAK: remote access error", "9.9.2", fatal_nak, 1, 0 },
	{ "NAK: remote operational error", "9.9.2", fatal_nak, 2, 0 },
	{ "NAK: invalid RD request, to RC", "9.7.5.2", fatal_nak, 3, 0 },
	{ "NAK: reserved code 5", "9.7.5.2", fatal_nak, 4, 0 },
	{ "NAK: reserved code 31", "9.7.5.2", fatal_nak, 5, 0 },
	{ "NAK of a READ: invalid request", "9.9.2", fatal_nak_of_read, 0, 0 },
	{ "NAK of a READ: remote access error", "9.9.2", fatal_nak_of_read, 1, 0 },
	{ "NAK inside the answer to a READ", "9.9.2", nak_inside_read, 0, 0 },

	{ "SEND in front of one that cannot be sent", "9.7.6", bad_one_behind, 0, 0 },
	{ 0 },
};

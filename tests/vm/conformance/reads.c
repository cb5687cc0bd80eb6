// SPDX-License-Identifier: GPL-2.0-or-later
/* The DUT as the requester of READs: we answer, or do not (9.4.4, 9.7.5.1.2). */
#include <string.h>

#include "cf.h"
#include "requester.h"

void cf_want_read(uint32_t psn, uint32_t off, uint32_t len)
{
	struct cf_pkt p = want_op(READ_REQ, psn);

	want_eq("address", p.va, 0x123456789abc0000 + off);
	want_eq("R_Key", p.rkey, 0xfeedbeef);
	want_eq("DMALEN", p.dmalen, len);
}

void cf_read(uint64_t wr_id, uint32_t off, uint32_t len)
{
	POST(.wr_id = wr_id, .opcode = IBV_WR_RDMA_READ, .off = off, .len = len,
	     .va = 0x123456789abc0000, .rkey = 0xfeedbeef);
}

/* Packets @from to @to of the response to a READ of @len bytes that has its first one at @psn */
void cf_answer(uint32_t psn, uint32_t msn, const uint8_t *data, uint32_t len, uint32_t from,
	       uint32_t to)
{
	uint32_t n = len ? (len + MTU - 1) / MTU : 1, i;

	for (i = from; i <= to; i++)
		TX(.op = n == 1	     ? RESP_ONLY
			 : !i	     ? RESP_FIRST
			 : i + 1 < n ? RESP_MIDDLE
				     : RESP_LAST,
		   .psn = psn + i, .synd = SYN_ACK, .msn = msn, .data = data + i * MTU,
		   .len = i + 1 < n ? MTU : len - i * MTU);
}

static void read_len(int len)
{
	uint32_t n = len ? (len + MTU - 1) / MTU : 1;

	cf_open(NULL);
	cf_read(1, 77, len);
	cf_want_read(0, 0, len);
	want_no_wc();
	want_image(77, cf_msg, len);
	cf_answer(0, 1, cf_msg, len, 0, n - 1);
	want_eq("byte_len", want_wc(1, IBV_WC_SUCCESS).len, len);
	/* what it had is counted: the next request's number is behind the response's last */
	cf_request(IBV_WR_SEND, 2, 0, 4);
	want_op(SEND_ONLY, n);
	cf_ack(n, 2);
	want_wc(2, IBV_WC_SUCCESS);
}

/* Of any length: it may be asked for in several requests, whose numbers follow each other. */
static void read_long(int len)
{
	uint32_t n = (len + MTU - 1) / MTU, done = 0, k;
	struct cf_pkt p;

	cf_open(NULL);
	cf_read(1, 0, len);
	want_image(0, cf_msg, len);
	while (done < n) {
		p = want_op(READ_REQ, done);
		want_eq("address", p.va, 0x123456789abc0000 + done * MTU);
		cf_check(p.dmalen && p.dmalen <= len - done * MTU, "DMALEN %u", p.dmalen);
		k = (p.dmalen + MTU - 1) / MTU;
		cf_answer(done, 1, cf_msg + done * MTU, p.dmalen, 0, k - 1);
		done += k;
	}
	want_wc(1, IBV_WC_SUCCESS);
}

/* ---- answers to READs ---- */

static void read_lost_middle(int lost)
{
	struct cf_cmd c = cf_timed(7);
	struct cf_pkt p;
	uint32_t first;

	cf_open(&c);
	cf_read(1, 100, 5 * MTU);
	cf_want_read(0, 0, 5 * MTU);
	want_image(100, cf_msg, 5 * MTU);
	if (lost)
		cf_answer(0, 1, cf_msg, 5 * MTU, 0, lost - 1);
	if (lost < 4)
		cf_answer(0, 1, cf_msg, 5 * MTU, lost + 1, 4);
	p = cf_next("the READ again");
	want_eq("opcode", p.op, READ_REQ);
	first = p.psn;
	cf_check((int)first >= 0 && first <= (uint32_t)lost, "asked for from PSN %+d on, while %+d is missing", (int)first, lost);
	want_eq("address", p.va, 0x123456789abc0000 + first * MTU);
	want_eq("DMALEN", p.dmalen, (5 - first) * MTU);
	cf_answer(first, 1, cf_msg + first * MTU, (5 - first) * MTU, 0, 4 - first);
	want_wc(1, IBV_WC_SUCCESS);
	while (cf_maybe(&p, 0))
		cf_check(p.op == READ_REQ, "found %s", cf_op_name(p.op));
}

static void read_duplicates(int arg)
{
	uint32_t i;

	(void)arg;
	cf_open(NULL);
	cf_read(1, 100, 4 * MTU);
	cf_want_read(0, 0, 4 * MTU);
	want_image(100, cf_msg, 4 * MTU);
	for (i = 0; i < 4; i++) {
		cf_answer(0, 1, cf_msg, 4 * MTU, i, i);
		if (i < 3)
			cf_answer(0, 1, cf_msg, 4 * MTU, 0, i);
	}
	want_wc(1, IBV_WC_SUCCESS);
	/* its last one again, when it is long done */
	cf_answer(0, 1, cf_msg + 500, 4 * MTU, 3, 3);
	want_alive(0, 1);
	want_no_wc();
}

struct wrong {
	struct cf_pkt p[3];
	uint32_t good;		/* packets whose bytes may be placed: those before the wrong one */
};

/* Instead of RESP_FIRST, RESP_MIDDLE, RESP_LAST of 3 * MTU - 16 bytes */
static const struct wrong wrong[] = {
	{ { { .op = RESP_ONLY, .len = MTU } }, 0 },
	{ { { .op = RESP_FIRST, .len = MTU - 4 } }, 0 },
	{ { { .op = RESP_FIRST, .len = MTU + 4 } }, 0 },
	{ { { .op = RESP_FIRST, .len = MTU }, { .op = RESP_MIDDLE, .psn = 1, .len = MTU - 8 } },
	  1 },
	{ { { .op = RESP_FIRST, .len = MTU }, { .op = RESP_LAST, .psn = 1, .len = MTU } }, 1 },
	{ { { .op = RESP_FIRST, .len = MTU }, { .op = RESP_ONLY, .psn = 1, .len = MTU } }, 1 },
	{ { { .op = RESP_FIRST, .len = MTU }, { .op = RESP_FIRST, .psn = 1, .len = MTU } }, 1 },
	{ { { .op = RESP_FIRST, .len = MTU },
	    { .op = RESP_MIDDLE, .psn = 1, .len = MTU },
	    { .op = RESP_LAST, .psn = 2, .len = MTU } },
	  2 },
	{ { { .op = RESP_FIRST, .len = MTU },
	    { .op = RESP_MIDDLE, .psn = 1, .len = MTU },
	    { .op = RESP_LAST, .psn = 2, .len = 8 } },
	  2 },
	{ { { .op = RESP_FIRST, .len = MTU },
	    { .op = RESP_MIDDLE, .psn = 1, .len = MTU },
	    { .op = RESP_MIDDLE, .psn = 2, .len = MTU } },
	  2 },
	{ { { .op = RESP_FIRST, .len = MTU },
	    { .op = RESP_MIDDLE, .psn = 1, .len = MTU },
	    { .op = RESP_LAST, .psn = 2 } },
	  2 },
	{ { { .op = RESP_MIDDLE, .len = MTU } }, 0 },
	{ { { .op = RESP_LAST, .len = MTU } }, 0 },
	{ { { .op = RESP_ONLY } }, 0 },
	{ { { .op = ATOMIC_ACK, .orig = 5 } }, 0 },
};

static void wrong_response(int i)
{
	uint32_t k;

	cf_open(NULL);
	cf_read(1, 100, 3 * MTU - 16);
	cf_want_read(0, 0, 3 * MTU - 16);
	want_image(100, cf_msg, wrong[i].good * MTU);
	for (k = 0; k < 3 && wrong[i].p[k].op; k++) {
		struct cf_pkt p = wrong[i].p[k];

		p.synd = SYN_ACK;
		p.msn = 1;
		p.data = cf_msg + k * MTU;
		cf_tx(p);
	}
	want_wc(1, -1);
	want_dead(-1);
}

/* A READ response where an ACK is due. */
static void response_for_send(int op)
{
	cf_open(NULL);
	cf_request(IBV_WR_SEND, 1, 0, 10);
	want_op(SEND_ONLY, 0);
	TX(.op = op, .synd = SYN_ACK, .msn = 1, .data = cf_msg, .len = op == ATOMIC_ACK ? 0 : 8);
	want_wc(1, IBV_WC_BAD_RESP_ERR);
	want_dead(-1);
}

/* An ACK of something behind a READ says that the READ's answer was lost. */
static void implied_nak(int arg)
{
	struct cf_pkt p;

	(void)arg;
	cf_open(NULL);
	cf_read(1, 0, 2 * MTU);
	cf_request(IBV_WR_SEND, 2, 5000, 10);
	cf_want_read(0, 0, 2 * MTU);
	want_op(SEND_ONLY, 2);
	cf_ack(2, 2);
	cf_want_read(0, 0, 2 * MTU);
	want_no_wc();
	want_image(0, cf_msg, 2 * MTU);
	cf_answer(0, 1, cf_msg, 2 * MTU, 0, 1);
	want_wc(1, IBV_WC_SUCCESS);
	/* the SEND was acknowledged before: it may be sent again or not */
	while (cf_maybe(&p, 20))
		cf_check(p.op == SEND_ONLY && p.psn == 2, "found %s", cf_op_name(p.op));
	cf_ack(2, 2);
	want_wc(2, IBV_WC_SUCCESS);
}

/* Of gap_behind_done: each request keeps its number, whenever it is sent. READs are answered. */
static void keeps_number(const struct cf_pkt *p)
{
	uint32_t psn = p->psn;

	switch (p->op) {
	case READ_REQ:
		cf_check(psn <= 1 || psn == 3 || psn == 4, "a READ with PSN %+d", (int)psn);
		want_eq("address", p->va, 0x123456789abc0000 + (psn <= 1 ? psn * MTU : psn * 1000));
		if (psn <= 1)
			cf_answer(psn, 1, cf_msg + psn * MTU, (2 - psn) * MTU, 0, 1 - psn);
		else
			cf_answer(psn, psn, cf_msg + psn * 1000, MTU, 0, 0);
		cf_flush();
		break;
	case WRITE_ONLY:
		want_eq("PSN of the WRITE", psn, 2);
		break;
	default:
		want_eq("opcode", p->op, SEND_ONLY);
		want_eq("PSN of the SEND", psn, 5);
		break;
	}
}

/*
 * Responses of a READ, of the end of one before it and of one behind both, in this order: what is
 * finished while the requester has gone back is not asked for again, and nothing else goes out
 * under its number.
 */
static void gap_behind_done(int arg)
{
	struct cf_pkt p;
	uint32_t i;

	(void)arg;
	cf_open(NULL);
	cf_read(1, 0, 2 * MTU);
	cf_request(IBV_WR_RDMA_WRITE, 2, 5000, 8);
	for (i = 3; i <= 4; i++)
		POST(.wr_id = i, .opcode = IBV_WR_RDMA_READ, .off = i * 1000, .len = MTU,
		     .va = 0x123456789abc0000 + i * 1000, .rkey = 0xfeedbeef);
	cf_want_read(0, 0, 2 * MTU);
	want_op(WRITE_ONLY, 2);
	cf_want_read(3, 3000, MTU);
	cf_want_read(4, 4000, MTU);
	want_image(0, cf_msg, 2 * MTU);
	want_image(3000, cf_msg + 3000, MTU);
	want_image(4000, cf_msg + 4000, MTU);
	cf_answer(0, 1, cf_msg, 2 * MTU, 0, 0);
	cf_answer(3, 3, cf_msg + 3000, MTU, 0, 0);
	cf_answer(0, 1, cf_msg, 2 * MTU, 1, 1);
	cf_answer(4, 4, cf_msg + 4000, MTU, 0, 0);
	while (cf_maybe(&p, 200))
		keeps_number(&p);
	for (i = 1; i <= 4; i++)
		want_wc(i, IBV_WC_SUCCESS);
	cf_request(IBV_WR_SEND, 5, 0, 4);
	do {
		p = cf_next("a SEND");
		keeps_number(&p);
	} while (p.op != SEND_ONLY);
	cf_ack(5, 5);
	want_wc(5, IBV_WC_SUCCESS);
}

/*
 * The answer to a READ never comes, while what is behind it is acknowledged each time: this ends as
 * well.
 */
static void read_never_answered(int retry)
{
	struct cf_cmd c = cf_timed(retry);
	struct cf_pkt p;

	cf_open(&c);
	cf_read(1, 0, MTU);
	cf_request(IBV_WR_SEND, 2, 5000, 10);
	while (cf_maybe(&p, 1500))
		if (p.op == SEND_ONLY) {
			cf_ack(1, 2);
			cf_flush();
		}
	want_wc(1, IBV_WC_RETRY_EXC_ERR);
	want_wc(2, IBV_WC_WR_FLUSH_ERR);
	want_dead(-1);
}

/* A response to a READ acknowledges what was sent before it. */
static void read_acks(int arg)
{
	(void)arg;
	cf_open(NULL);
	cf_request(IBV_WR_SEND, 1, 5000, 10);
	cf_request(IBV_WR_RDMA_WRITE, 2, 5000, 2 * MTU);
	cf_read(3, 0, 2 * MTU);
	want_op(SEND_ONLY, 0);
	want_op(WRITE_FIRST, 1);
	want_op(WRITE_LAST, 2);
	cf_want_read(3, 0, 2 * MTU);
	want_image(0, cf_msg, 2 * MTU);
	cf_answer(3, 3, cf_msg, 2 * MTU, 0, 0);
	want_wc(1, IBV_WC_SUCCESS);
	want_wc(2, IBV_WC_SUCCESS);
	cf_answer(3, 3, cf_msg, 2 * MTU, 1, 1);
	want_wc(3, IBV_WC_SUCCESS);
}

static void read_limit(int rd)
{
	struct cf_cmd c = cf_defaults();
	struct cf_pkt p;
	int i;

	c.rd = rd;
	cf_open(&c);
	for (i = 0; i < rd + 2; i++)
		cf_read(i, i * 1000, MTU + 1);
	for (i = 0; i < rd; i++)
		cf_want_read(2 * i, 0, MTU + 1);
	want_quiet("READs beyond the limit");
	for (i = 0; i < rd + 2; i++) {
		want_image(i * 1000, cf_msg + i, MTU + 1);
		cf_answer(2 * i, i + 1, cf_msg + i, MTU + 1, 0, 1);
		want_wc(i, IBV_WC_SUCCESS);
		if (i < 2)
			cf_want_read(2 * (rd + i), 0, MTU + 1);
	}
	cf_check(!cf_maybe(&p, 0), "found %s", cf_op_name(p.op));
}

static void fence(int arg)
{
	(void)arg;
	cf_open(NULL);
	cf_read(1, 0, 10);
	POST(.wr_id = 2, .opcode = IBV_WR_SEND, .off = 5000, .len = 10, .flags = IBV_SEND_FENCE);
	cf_want_read(0, 0, 10);
	want_quiet("a SEND behind a fence");
	want_image(0, cf_msg, 10);
	cf_answer(0, 1, cf_msg, 10, 0, 0);
	want_op(SEND_ONLY, 1);
	cf_ack(1, 2);
	want_wc(1, IBV_WC_SUCCESS);
	want_wc(2, IBV_WC_SUCCESS);
}

static void read_lost_request(int arg)
{
	struct cf_cmd c = cf_timed(7);
	struct cf_pkt p;

	(void)arg;
	cf_open(&c);
	cf_read(1, 0, 2 * MTU);
	cf_want_read(0, 0, 2 * MTU);
	cf_want_read(0, 0, 2 * MTU);
	want_image(0, cf_msg, 2 * MTU);
	cf_answer(0, 1, cf_msg, 2 * MTU, 0, 1);
	want_wc(1, IBV_WC_SUCCESS);
	while (cf_maybe(&p, 0))
		cf_check(p.op == READ_REQ && !p.psn, "found %s", cf_op_name(p.op));
}

/* Its bytes go where they belong, although the memory there is not the DUT's to write. */
static void read_to_bad_buffer(int arg)
{
	struct cf_pkt p;

	(void)arg;
	cf_open(NULL);
	POST(.wr_id = 1, .opcode = IBV_WR_RDMA_READ, .len = 8, .bad_lkey = 0xff,
	     .va = 0x123456789abc0000, .rkey = 1);
	if (!cf_maybe(&p, 300)) {
		want_wc(1, IBV_WC_LOC_PROT_ERR);
		want_dead(-1);
		return;
	}
	cf_answer(0, 1, cf_msg, 8, 0, 0);
	want_wc(1, IBV_WC_LOC_PROT_ERR);
	want_dead(-1);
}

const struct cf_case cf_reads[] = {
	{ "sends: READ of no byte", "9.4.4", read_len, 0, 0 },
	{ "sends: READ of 1 byte", "9.4.4", read_len, 1, ALSO_V6 },
	{ "sends: READ of a whole packet", "9.4.4", read_len, MTU, 0 },
	{ "sends: READ of six packets", "9.4.4", read_len, 5 * MTU + 7, ALSO_V6 },
	{ "sends: READ of 130,000 bytes", "9.4.4", read_long, 130000, 0 },
	{ "READ response lost: the first packet", "9.7.6", read_lost_middle, 0, 0 },
	{ "READ response lost: a middle packet", "9.7.6", read_lost_middle, 2, 0 },
	{ "READ response lost: the last packet", "9.7.6", read_lost_middle, 4, 0 },
	{ "READ response packets twice and three times", "9.7.6", read_duplicates, 0, 0 },
	{ "READ response: ONLY where three packets are due", "9.9.2", wrong_response, 0, 0 },
	{ "READ response: FIRST shorter than the path MTU", "9.9.2", wrong_response, 1, 0 },
	{ "READ response: FIRST longer than the path MTU", "9.9.2", wrong_response, 2, 0 },
	{ "READ response: MIDDLE shorter than the path MTU", "9.9.2", wrong_response, 3, 0 },
	{ "READ response: LAST one packet early", "9.9.2", wrong_response, 4, 0 },
	{ "READ response: ONLY after FIRST", "9.9.2", wrong_response, 5, 0 },
	{ "READ response: FIRST after FIRST", "9.9.2", wrong_response, 6, 0 },
	{ "READ response: LAST too long", "9.9.2", wrong_response, 7, 0 },
	{ "READ response: LAST too short", "9.9.2", wrong_response, 8, 0 },
	{ "READ response: MIDDLE where LAST is due", "9.9.2", wrong_response, 9, 0 },
	{ "READ response: LAST without payload", "9.9.2", wrong_response, 10, 0 },
	{ "READ response: MIDDLE where FIRST is due", "9.9.2", wrong_response, 11, 0 },
	{ "READ response: LAST where FIRST is due", "9.9.2", wrong_response, 12, 0 },
	{ "READ response: ONLY without payload", "9.9.2", wrong_response, 13, 0 },
	{ "READ answered by an atomic's response", "9.9.2", wrong_response, 14, 0 },
	{ "SEND answered by a READ response", "9.9.2", response_for_send, RESP_ONLY, 0 },
	{ "SEND answered by an atomic's response", "9.9.2", response_for_send, ATOMIC_ACK, 0 },
	{ "ACK behind an unanswered READ", "9.7.5.1.2", implied_nak, 0, 0 },
	{ "responses out of order, after going back", "9.7.5.1.2", gap_behind_done, 0, 0 },
	{ "READ never answered, the SEND behind it acknowledged", "9.9.2", read_never_answered, 2, 0 },
	{ "READ response acknowledges what is before it", "9.7.5.1.2", read_acks, 0, 0 },
	{ "READ request lost", "9.7.6", read_lost_request, 0, 0 },
	{ "no more than 1 READ outstanding", "9.4.4", read_limit, 1, 0 },
	{ "no more than 3 READs outstanding", "9.4.4", read_limit, 3, 0 },
	{ "fence: a SEND waits for the READ before it", "10.8", fence, 0, 0 },
	{ "READ into memory with a bad key", "9.9.2", read_to_bad_buffer, 0, 0 },
	{ 0 },
};

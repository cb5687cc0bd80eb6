// SPDX-License-Identifier: GPL-2.0-or-later
/* The DUT as the responder of a reliable connection: we send requests (9.7.4, 9.7.5). */
#include <string.h>

#include "cf.h"
#include "responder.h"

static void send_only(int len)
{
	cf_open(NULL);
	cf_recv(1, 50, 300);
	want_image(50, cf_msg, len);
	TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = len);
	want_ack(0, 1);
	want_recv(1, len);
}

void cf_message(bool write, uint32_t psn, uint32_t off, const uint8_t *data, uint32_t len, bool imm)
{
	uint32_t n = len ? (len + MTU - 1) / MTU : 1, i;

	for (i = 0; i < n; i++) {
		struct cf_pkt p = {
			.psn = psn + i,
			.data = data + i * MTU,
			.len = i + 1 < n ? MTU : len - i * MTU,
			.ack = i + 1 == n,
			.va = cf_va(off),
			.rkey = RW,
			.dmalen = len,
			.imm = 0x01020304,
			.op = n == 1 ? SEND_ONLY : !i ? SEND_FIRST :
			      i + 1 < n ? SEND_MIDDLE : SEND_LAST,
		};

		if (imm && i + 1 == n)
			p.op++;
		if (write)
			p.op += WRITE_FIRST;
		cf_tx(p);
	}
}

static void send_long(int imm)
{
	struct cf_wc wc;

	cf_open(NULL);
	cf_recv(1, 50, 2000);
	want_image(50, cf_msg, 1000);
	cf_message(false, 0, 0, cf_msg, 1000, imm);
	want_ack(3, 1);
	wc = want_wc(1, IBV_WC_SUCCESS);
	want_eq("byte_len", wc.len, 1000);
	want_eq("with immediate", !!(wc.flags & IBV_WC_WITH_IMM), imm);
	if (imm)
		want_eq("immediate data", wc.imm, 0x01020304);
	want_alive(4, 2);
}

static void write_long(int imm)
{
	struct cf_wc wc;

	cf_open(NULL);
	cf_recv(1, 5000, 10);
	want_image(50, cf_msg, 1001);
	cf_message(true, 0, 50, cf_msg, 1001, imm);
	want_ack(3, 1);
	if (imm) {
		wc = want_wc(1, IBV_WC_SUCCESS);
		want_eq("opcode of the completion", wc.opcode, IBV_WC_RECV_RDMA_WITH_IMM);
		want_eq("byte_len", wc.len, 1001);
		want_eq("immediate data", wc.imm, 0x01020304);
	} else {
		want_no_wc();
	}
	want_alive(4, 2);
}

static void write_imm_only(int len)
{
	struct cf_wc wc;

	cf_open(NULL);
	cf_recv(1, 5000, 10);
	want_image(7, cf_msg, len);
	cf_message(true, 0, 7, cf_msg, len, true);
	want_ack(0, 1);
	wc = want_wc(1, IBV_WC_SUCCESS);
	want_eq("byte_len", wc.len, len);
}

/* The key of a request without data is not looked at. */
static void write_nothing(int read)
{
	cf_open(NULL);
	TX(.op = read ? READ_REQ : WRITE_ONLY, .ack = true, .va = 1, .rkey = 0xdeadbe00);
	if (read)
		want_resp(0, 1, 1, NULL, 0, MTU);
	else
		want_ack(0, 1);
	want_alive(1, 2);
}

static void read_len(int len)
{
	uint32_t pkts = len ? (len + MTU - 1) / MTU : 1;

	cf_open(NULL);
	TX(.op = READ_REQ, .va = cf_va(333), .rkey = RW, .dmalen = len);
	want_resp(0, pkts, 1, cf_image(333), len, MTU);
	want_alive(pkts, 2);
}

/* Reads and writes of the same bytes in one go: each sees what was before it. */
static void ordered(int arg)
{
	struct cf_pkt p;

	(void)arg;
	cf_open(NULL);
	cf_message(true, 0, 0, cf_msg, 600, false);
	TX(.op = READ_REQ, .psn = 3, .va = cf_va(0), .rkey = RW, .dmalen = 600);
	want_image(0, cf_msg, 600);
	/* the WRITE's ACK, which the READ's response stands for as well, must not come behind it */
	p = cf_next("an answer");
	if (p.op == ACK) {
		want_eq("PSN of the ACK", p.psn, 2);
		p = cf_next("the READ response");
	}
	cf_check(p.op == RESP_FIRST && p.psn == 3 && !memcmp(p.data, cf_msg, MTU), "found %s with PSN %+d", cf_op_name(p.op), (int)p.psn);
	want_op(RESP_MIDDLE, 4);
	p = want_op(RESP_LAST, 5);
	cf_check(!memcmp(p.data, cf_msg + 2 * MTU, 600 - 2 * MTU), "the READ response is wrong");
	cf_message(true, 6, 0, cf_msg + 1000, 600, false);
	want_image(0, cf_msg + 1000, 600);
	want_ack(8, 3);
}

static void msn_counts_messages(int arg)
{
	(void)arg;
	cf_open(NULL);
	cf_recv(1, 0, 2000);
	TX(.op = SEND_FIRST, .ack = true, .data = cf_msg, .len = MTU);
	want_ack(0, 0);
	TX(.op = SEND_MIDDLE, .psn = 1, .ack = true, .data = cf_msg + MTU, .len = MTU);
	want_ack(1, 0);
	TX(.op = SEND_LAST, .psn = 2, .ack = true, .data = cf_msg + 2 * MTU, .len = 3);
	want_ack(2, 1);
	want_image(0, cf_msg, 2 * MTU + 3);
	want_recv(1, 2 * MTU + 3);
	TX(.op = READ_REQ, .psn = 3, .va = cf_va(0), .rkey = RW, .dmalen = 3 * MTU);
	want_resp(3, 3, 2, cf_image(0), 3 * MTU, MTU);
	want_alive(6, 3);
}

static void coalesced(int ack_each)
{
	uint32_t i;

	cf_open(NULL);
	for (i = 0; i < 12; i++) {
		TX(.op = WRITE_ONLY, .psn = i, .ack = ack_each || i == 11, .va = cf_va(i * 100),
		   .rkey = RW, .dmalen = 90, .data = cf_msg + i, .len = 90);
		want_image(i * 100, cf_msg + i, 90);
	}
	want_ack(11, 12);
	want_alive(12, 13);
}

static void many_messages(int arg)
{
	uint32_t i;

	(void)arg;
	cf_open(NULL);
	for (i = 0; i < 30; i++)
		cf_recv(i, i * 600, 600);
	for (i = 0; i < 30; i++) {
		cf_message(false, 2 * i, 0, cf_msg + i, 257 + i, i & 1);
		want_image(i * 600, cf_msg + i, 257 + i);
	}
	want_ack(59, 30);
	for (i = 0; i < 30; i++)
		want_recv(i, 257 + i);
}

/* ---- sequence numbers ---- */

static void gap(int ahead)
{
	cf_open(NULL);
	cf_recv(1, 0, 100);
	TX(.op = SEND_ONLY, .psn = ahead, .ack = true, .data = cf_msg, .len = 50);
	want_nak(NAK_PSN, 0, 0);
	want_no_wc();
	/* said once until the expected one is there */
	TX(.op = SEND_ONLY, .psn = ahead, .ack = true, .data = cf_msg, .len = 50);
	want_quiet("a second packet out of sequence");
	TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = 60);
	want_image(0, cf_msg, 60);
	want_ack(0, 1);
	want_recv(1, 60);
	/* and again afterwards */
	TX(.op = SEND_ONLY, .psn = 5, .ack = true, .data = cf_msg, .len = 50);
	want_nak(NAK_PSN, 1, 1);
	want_alive(1, 2);
}

static void gap_inside(int write)
{
	cf_open(NULL);
	cf_recv(1, 0, 2000);
	cf_recv(2, 3000, 2000);
	cf_message(write, 0, 0, cf_msg, 100, false);
	TX(.op = write ? WRITE_FIRST : SEND_FIRST, .psn = 1, .data = cf_msg, .len = MTU,
	   .va = cf_va(3000), .rkey = RW, .dmalen = 3 * MTU);
	TX(.op = write ? WRITE_LAST : SEND_LAST, .psn = 3, .ack = true, .data = cf_msg + 2 * MTU,
	   .len = MTU);
	want_image(0, cf_msg, 100);
	want_image(3000, cf_msg, 3 * MTU);
	want_nak(NAK_PSN, 2, 1);
	TX(.op = write ? WRITE_MIDDLE : SEND_MIDDLE, .psn = 2, .data = cf_msg + MTU, .len = MTU);
	TX(.op = write ? WRITE_LAST : SEND_LAST, .psn = 3, .ack = true, .data = cf_msg + 2 * MTU,
	   .len = MTU);
	want_ack(3, 2);
	if (!write) {
		want_recv(1, 100);
		want_recv(2, 3 * MTU);
	}
}

static void window_edge(int duplicate)
{
	cf_open(NULL);
	TX(.op = WRITE_ONLY, .ack = true);
	want_ack(0, 1);
	/* expected is 1 */
	TX(.op = WRITE_ONLY, .psn = 1 + (1 << 23) - !duplicate, .ack = true, .va = cf_va(0),
	   .rkey = RW, .dmalen = 8, .data = cf_msg, .len = 8);
	if (duplicate)
		want_ack(0, 1);
	else
		want_nak(NAK_PSN, 1, 1);
	want_alive(1, 2);
}

static void duplicate_send(int arg)
{
	(void)arg;
	cf_open(NULL);
	cf_recv(1, 0, 100);
	cf_recv(2, 200, 100);
	want_image(0, cf_msg, 50);
	TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = 50);
	want_ack(0, 1);
	want_recv(1, 50);
	TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = 50);
	want_ack(0, 1);
	want_no_wc();
	TX(.op = SEND_ONLY, .psn = 1, .ack = true, .data = cf_msg + 50, .len = 70);
	want_image(200, cf_msg + 50, 70);
	want_ack(1, 2);
	want_recv(2, 70);
	/* an old one: acknowledged is what is newest */
	TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = 50);
	want_ack(1, 2);
}

/* Of two READs the first comes twice: both are answered, the first perhaps once more. */
static void doubled_read(int arg)
{
	uint32_t seen[4] = { 0 }, i;
	struct cf_pkt p;

	(void)arg;
	cf_open(NULL);
	for (i = 0; i < 3; i++)
		TX(.op = READ_REQ, .psn = i == 1 ? 2 : 0, .va = cf_va(i == 1 ? 5000 : 0),
		   .rkey = RW, .dmalen = 2 * MTU);
	while (cf_maybe(&p, 200)) {
		cf_check(p.op == (p.psn & 1 ? RESP_LAST : RESP_FIRST) && p.psn < 4, "found %s, PSN %+d", cf_op_name(p.op), (int)p.psn);
		cf_check(p.len == MTU && !memcmp(p.data, cf_image((p.psn & 2 ? 5000 : 0) + (p.psn & 1) * MTU), MTU), "payload");
		seen[p.psn]++;
	}
	for (i = 0; i < 4; i++)
		cf_check(seen[i] == 1 || (seen[i] == 2 && i < 2), "the response with PSN %+d came %u times", (int)i, seen[i]);
	want_alive(4, 3);
}

/*
 * @which packet of a WRITE of three comes again when all are there, with other bytes meanwhile: not
 * executed again.
 */
static void duplicate_write(int which)
{
	uint8_t fresh[3 * MTU];

	cf_open(NULL);
	cf_message(true, 0, 40, cf_msg, 3 * MTU, false);
	want_image(40, cf_msg, 3 * MTU);
	want_ack(2, 1);
	memset(fresh, 0x5a, sizeof(fresh));
	cf_poke(40, fresh, sizeof(fresh));
	TX(.op = WRITE_FIRST + which, .psn = which, .ack = true, .data = cf_msg + which * MTU,
	   .len = MTU, .va = cf_va(40), .rkey = RW, .dmalen = 3 * MTU);
	want_ack(2, 1);
	want_alive(3, 2);
}

/* Every packet of a message twice, while it is under way. */
static void duplicate_inside(int write)
{
	uint32_t i;

	cf_open(NULL);
	cf_recv(1, 0, 2000);
	for (i = 0; i < 8; i++) {
		uint32_t k = i / 2;

		TX(.op = (write ? WRITE_FIRST : SEND_FIRST) + (k == 3 ? 2 : !!k), .psn = k,
		   .ack = k == 3, .data = cf_msg + k * MTU, .len = k == 3 ? 9 : MTU, .va = cf_va(0),
		   .rkey = RW, .dmalen = 3 * MTU + 9);
	}
	want_image(0, cf_msg, 3 * MTU + 9);
	want_ack(3, 1);
	if (!write)
		want_recv(1, 3 * MTU + 9);
	/* the last one's duplicate may have been answered on its own */
	TX(.op = WRITE_ONLY, .psn = 4, .ack = true);
	want_ack(4, 2);
}

/* The whole message again in the middle of it: as after a timeout of the requester. */
static void start_over(int write)
{
	uint32_t i;

	cf_open(NULL);
	cf_recv(1, 0, 2000);
	for (i = 0; i < 3; i++)
		TX(.op = (write ? WRITE_FIRST : SEND_FIRST) + !!i, .psn = i,
		   .data = cf_msg + i * MTU, .len = MTU, .va = cf_va(0), .rkey = RW,
		   .dmalen = 1000);
	cf_message(write, 0, 0, cf_msg, 1000, false);
	want_image(0, cf_msg, 1000);
	want_ack(3, 1);
	if (!write)
		want_recv(1, 1000);
	want_alive(4, 2);
}

static void duplicate_read(int arg)
{
	uint8_t fresh[3 * MTU];

	(void)arg;
	cf_open(NULL);
	TX(.op = READ_REQ, .va = cf_va(0), .rkey = RW, .dmalen = 3 * MTU);
	want_resp(0, 3, 1, cf_image(0), 3 * MTU, MTU);
	/* read again, that is, the memory as it is now */
	memset(fresh, 0x77, sizeof(fresh));
	cf_poke(0, fresh, sizeof(fresh));
	TX(.op = READ_REQ, .va = cf_va(0), .rkey = RW, .dmalen = 3 * MTU);
	want_resp(0, 3, 1, cf_image(0), 3 * MTU, MTU);
	want_alive(3, 2);
}

/* From the packet on that got lost. */
static void duplicate_read_part(int from)
{
	cf_open(NULL);
	TX(.op = READ_REQ, .va = cf_va(0), .rkey = RW, .dmalen = 5 * MTU);
	want_resp(0, 5, 1, cf_image(0), 5 * MTU, MTU);
	TX(.op = WRITE_ONLY, .psn = 5, .ack = true);
	want_ack(5, 2);
	TX(.op = READ_REQ, .psn = from, .va = cf_va(from * MTU), .rkey = RW,
	   .dmalen = (5 - from) * MTU);
	want_resp(from, 5 - from, 2, cf_image(from * MTU), (5 - from) * MTU, MTU);
	want_alive(6, 3);
}

/* A duplicate of a message's packet between its others must not end the message. */
static void duplicate_read_inside_send(int arg)
{
	(void)arg;
	cf_open(NULL);
	cf_recv(1, 2000, 2000);
	TX(.op = READ_REQ, .va = cf_va(0), .rkey = RW, .dmalen = 2 * MTU);
	want_resp(0, 2, 1, cf_image(0), 2 * MTU, MTU);
	TX(.op = SEND_FIRST, .psn = 2, .data = cf_msg, .len = MTU);
	TX(.op = READ_REQ, .va = cf_va(0), .rkey = RW, .dmalen = 2 * MTU);
	want_resp(0, 2, 1, cf_image(0), 2 * MTU, MTU);
	TX(.op = SEND_LAST, .psn = 3, .ack = true, .data = cf_msg + MTU, .len = 5);
	want_image(2000, cf_msg, MTU + 5);
	want_ack(3, 2);
	want_recv(1, MTU + 5);
}

/* It asks for more than was asked for before: nothing beyond that may be sent. */
static void duplicate_read_longer(int arg)
{
	struct cf_pkt p;

	(void)arg;
	cf_open(NULL);
	TX(.op = READ_REQ, .va = cf_va(0), .rkey = RW, .dmalen = 2 * MTU);
	want_resp(0, 2, 1, cf_image(0), 2 * MTU, MTU);
	TX(.op = READ_REQ, .va = cf_va(0), .rkey = RW, .dmalen = 20 * MTU);
	while (cf_maybe(&p, 100)) {
		cf_check(p.op != ACK || p.synd == NAK_INVALID, "expected silence, responses or a NAK for an invalid request");
		cf_check((int)p.psn < 2, "a response has PSN %+d, which was never asked for", (int)p.psn);
		if (p.op == ACK)
			want_event(IBV_EVENT_QP_REQ_ERR);
	}
}

static void duplicate_of_denied(int arg)
{
	struct cf_pkt p;

	(void)arg;
	cf_open(NULL);
	TX(.op = READ_REQ, .va = cf_va(0), .rkey = RW, .dmalen = 2 * MTU);
	want_resp(0, 2, 1, cf_image(0), 2 * MTU, MTU);
	/* again, but with a key that is none: no data for that */
	TX(.op = READ_REQ, .va = cf_va(0), .rkey = RW ^ 0xff, .dmalen = 2 * MTU);
	while (cf_maybe(&p, 50)) {
		cf_check(p.op == ACK && p.synd == NAK_ACCESS, "expected silence or a NAK, found %s", cf_op_name(p.op));
		want_event(IBV_EVENT_QP_ACCESS_ERR);
	}
}

/*
 * In the clothes of a duplicate: the number is that of a WRITE, and the queue pair allows no READ.
 */
static void duplicate_read_not_allowed(int arg)
{
	struct cf_cmd c = cf_defaults();
	struct cf_pkt p;

	(void)arg;
	c.access = IBV_ACCESS_REMOTE_WRITE;
	cf_open(&c);
	TX(.op = WRITE_ONLY, .ack = true, .va = cf_va(0), .rkey = RW, .dmalen = 8, .data = cf_msg,
	   .len = 8);
	want_image(0, cf_msg, 8);
	want_ack(0, 1);
	TX(.op = READ_REQ, .va = cf_va(0), .rkey = RW, .dmalen = 8);
	while (cf_maybe(&p, 50))
		cf_check(p.op == ACK, "expected no data, found %s", cf_op_name(p.op));
	want_alive(1, 2);
}

/* ---- receiver not ready ---- */

static void rnr(int timer)
{
	struct cf_cmd c = cf_defaults();
	int i;

	c.min_rnr = timer;
	cf_open(&c);
	for (i = 0; i < 3; i++) {
		TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = 10);
		want_nak(SYN_RNR | timer, 0, 0);
	}
	cf_recv(1, 0, 10);
	TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = 10);
	want_image(0, cf_msg, 10);
	want_ack(0, 1);
	want_recv(1, 10);
}

/* Requests behind the refused one are neither executed nor answered. */
static void rnr_then_more(int arg)
{
	uint32_t i;

	(void)arg;
	cf_open(NULL);
	TX(.op = SEND_ONLY, .data = cf_msg, .len = 10);
	for (i = 1; i < 4; i++)
		TX(.op = WRITE_ONLY, .psn = i, .ack = true, .va = cf_va(0), .rkey = RW, .dmalen = 4,
		   .data = cf_msg, .len = 4);
	want_nak(SYN_RNR | 1, 0, 0);
	want_quiet("requests behind one that was not ready");
	cf_recv(1, 100, 10);
	TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = 10);
	want_image(100, cf_msg, 10);
	want_ack(0, 1);
	want_recv(1, 10);
	want_alive(1, 2);
}

static void rnr_write_imm(int pkts)
{
	cf_open(NULL);
	cf_message(true, 0, 0, cf_msg, pkts * MTU, true);
	want_nak(SYN_RNR | 1, pkts - 1, 0);
	cf_recv(1, 9000, 1);
	TX(.op = pkts == 1 ? WRITE_ONLY_IMM : WRITE_LAST_IMM, .psn = pkts - 1, .ack = true,
	   .va = cf_va(0), .rkey = RW, .dmalen = MTU, .data = cf_msg + (pkts - 1) * MTU,
	   .len = MTU);
	want_image(0, cf_msg, pkts * MTU);
	want_ack(pkts - 1, 1);
	want_recv(1, pkts * MTU);
}

/* A duplicate is answered although nothing is posted. */
static void rnr_duplicate(int arg)
{
	(void)arg;
	cf_open(NULL);
	cf_recv(1, 0, 10);
	TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = 10);
	want_image(0, cf_msg, 10);
	want_ack(0, 1);
	TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = 10);
	want_ack(0, 1);
	want_recv(1, 10);
}

/* ---- solicited events ---- */

static void solicited(int se)
{
	struct cf_cmd c = { .what = CF_NOTIFIED, .ms = se ? 8000 : 0 };

	cf_open(NULL);
	cf_recv(1, 0, 600);
	cf_recv(2, 600, 10);
	cf_call(&(struct cf_cmd){ .what = CF_ARM, .flags = 1 });
	TX(.op = SEND_FIRST, .data = cf_msg, .len = MTU);
	TX(.op = SEND_LAST, .psn = 1, .ack = true, .se = se, .data = cf_msg + MTU, .len = 10);
	want_image(0, cf_msg, MTU + 10);
	want_ack(1, 1);
	want_recv(1, MTU + 10);
	want_eq("completion events", cf_call(&c)->n, se);
	/* an armed queue tells of every completion with an error */
	if (se)
		cf_call(&(struct cf_cmd){ .what = CF_ARM, .flags = 1 });
	cf_state(IBV_QPS_ERR);
	want_wc(2, IBV_WC_WR_FLUSH_ERR);
	c.ms = 8000;
	want_eq("completion events of the flush", cf_call(&c)->n, 1);
}

const struct cf_case cf_responder[] = {
	{ "SEND of 1 byte", "9.4.1", send_only, 1, ALSO_V6 },
	{ "SEND of no byte", "9.4.1", send_only, 0, 0 },
	{ "SEND of a whole packet", "9.4.1", send_only, MTU, 0 },
	{ "SEND of four packets", "9.4.1", send_long, 0, ALSO_V6 },
	{ "SEND of four packets with immediate", "9.4.1", send_long, 1, 0 },
	{ "WRITE of four packets", "9.4.3", write_long, 0, ALSO_V6 },
	{ "WRITE of four packets with immediate", "9.4.3", write_long, 1, 0 },
	{ "WRITE with immediate in one packet", "9.4.3", write_imm_only, 99, 0 },
	{ "WRITE with immediate and no data", "9.4.3", write_imm_only, 0, 0 },
	{ "WRITE of no byte: the key does not matter", "9.7.4.1", write_nothing, 0, 0 },
	{ "READ of no byte: the key does not matter", "9.7.4.1", write_nothing, 1, 0 },
	{ "READ of 1 byte", "9.4.4", read_len, 1, ALSO_V6 },
	{ "READ of a whole packet", "9.4.4", read_len, MTU, 0 },
	{ "READ of a packet and a byte", "9.4.4", read_len, MTU + 1, 0 },
	{ "READ of many packets", "9.4.4", read_len, 20 * MTU, ALSO_V6 },
	{ "READ of 100,000 bytes", "9.4.4", read_len, 100000, 0 },
	{ "WRITE, READ and WRITE of the same bytes", "9.5", ordered, 0, 0 },
	{ "MSN counts messages, not packets", "9.7.7.1", msn_counts_messages, 0, 0 },
	{ "twelve messages, AckReq in the last only", "9.7.5.1.2", coalesced, 0, 0 },
	{ "twelve messages, AckReq in each", "9.7.5.1.2", coalesced, 1, 0 },
	{ "thirty messages of two packets in a row", "9.7.1", many_messages, 0, 0 },

	{ "PSN one ahead", "9.7.1", gap, 1, ALSO_V6 },
	{ "PSN 1000 ahead", "9.7.1", gap, 1000, 0 },
	{ "packet lost inside a SEND", "9.7.1", gap_inside, 0, 0 },
	{ "packet lost inside a WRITE", "9.7.1", gap_inside, 1, 0 },
	{ "PSN at the far end of what is ahead", "9.7.1", window_edge, 0, 0 },
	{ "PSN at the far end of what is past", "9.7.1", window_edge, 1, 0 },
	{ "duplicate SEND", "9.7.5.1", duplicate_send, 0, ALSO_V6 },
	{ "duplicate of a WRITE's first packet", "9.7.5.1", duplicate_write, 0, 0 },
	{ "duplicate of a WRITE's middle packet", "9.7.5.1", duplicate_write, 1, 0 },
	{ "duplicate of a WRITE's last packet", "9.7.5.1", duplicate_write, 2, 0 },
	{ "every packet of a SEND twice", "9.7.5.1", duplicate_inside, 0, 0 },
	{ "every packet of a WRITE twice", "9.7.5.1", duplicate_inside, 1, 0 },
	{ "a SEND begun over in its middle", "9.7.5.1", start_over, 0, 0 },
	{ "a WRITE begun over in its middle", "9.7.5.1", start_over, 1, 0 },
	{ "duplicate READ", "9.7.5.1", duplicate_read, 0, 0 },
	{ "READ that the network doubles, another behind it", "9.7.5.1", doubled_read, 0, 0 },
	{ "duplicate READ from its second packet on", "9.7.5.1", duplicate_read_part, 1, 0 },
	{ "duplicate READ of its last packet", "9.7.5.1", duplicate_read_part, 4, 0 },
	{ "duplicate READ inside a SEND", "9.7.5.1", duplicate_read_inside_send, 0, 0 },
	{ "duplicate READ that asks for more", "9.7.5.1", duplicate_read_longer, 0, 0 },
	{ "duplicate READ with a bad key", "9.7.5.1", duplicate_of_denied, 0, 0 },
	{ "duplicate READ where none is allowed", "9.7.4.1", duplicate_read_not_allowed, 0, 0 },

	{ "receiver not ready, timer 1", "9.7.5.2.8", rnr, 1, ALSO_V6 },
	{ "receiver not ready, timer 31", "9.7.5.2.8", rnr, 31, 0 },
	{ "receiver not ready, timer 0", "9.7.5.2.8", rnr, 0, 0 },
	{ "receiver not ready, more requests behind", "9.7.5.2.8", rnr_then_more, 0, 0 },
	{ "receiver not ready for a WRITE with immediate", "9.7.5.2.8", rnr_write_imm, 1, 0 },
	{ "receiver not ready for the last of a WRITE with immediate", "9.7.5.2.8", rnr_write_imm, 3, 0 },
	{ "duplicate SEND without a receive posted", "9.7.5.1", rnr_duplicate, 0, 0 },
	{ "solicited event", "9.2.2", solicited, 1, 0 },
	{ "no solicited event asked for", "9.2.2", solicited, 0, 0 },
	{ 0 },
};

// SPDX-License-Identifier: GPL-2.0-or-later
/* The DUT as the responder of a reliable connection: requests that it must refuse (9.7.4.1). */
#include <string.h>

#include "cf.h"
#include "responder.h"

/* Wants a NAK with @syndrome at relative PSN @psn, then a QP in the error state that is silent. */
static void silent_after(uint8_t syndrome, uint32_t psn, uint32_t msn, bool completes)
{
	int event = syndrome == NAK_ACCESS ? IBV_EVENT_QP_ACCESS_ERR : IBV_EVENT_QP_REQ_ERR;

	want_nak(syndrome, psn, msn);
	if (completes)
		want_dead_or(event);
	else
		want_dead(event);
	TX(.op = WRITE_ONLY, .psn = psn, .ack = true);
	want_quiet("a request to a queue pair in the error state");
}

static void ends(uint8_t syndrome, uint32_t psn, uint32_t msn)
{
	silent_after(syndrome, psn, msn, false);
}

/* The receive request in progress ends with an error, so the event may be missing. */
static void ends_receive(uint8_t syndrome, uint32_t psn, uint32_t msn)
{
	silent_after(syndrome, psn, msn, true);
	want_wc(1, -1);
}

struct denied {
	enum cf_key key;
	uint32_t key_xor;
	int64_t off;
	uint32_t len;
};

static const struct denied denied[] = {
	{ CF_KEY_RO, 0, 0, 8 },
	{ CF_KEY_FOREIGN, 0, 0, 8 },
	{ CF_KEY_STALE, 0, 0, 8 },
	{ CF_KEY_RW, 1, 0, 8 },
	{ CF_KEY_RW, 0x40000000, 0, 8 },
	{ CF_KEY_RW, 0, CF_MR_LEN - 7, 8 },
	{ CF_KEY_RW, 0, -1, 8 },
	{ CF_KEY_RW, 0, CF_MR_LEN, 1 },
	{ CF_KEY_RW, 0, -0x7fffffffffffLL, 8 },
	{ CF_KEY_RW, 0, CF_MR_LEN - 10, 2 * MTU },
};

static void deny(int i)
{
	const struct denied *n = &denied[i / 2];
	bool read = i & 1;
	uint32_t first = n->len < MTU ? n->len : MTU;

	cf_open(NULL);
	cf_recv(1, 0, 10);
	TX(.op = read ? READ_REQ : n->len > MTU ? WRITE_FIRST : WRITE_ONLY,
	   .ack = true, .va = cf_va(0) + n->off, .rkey = cf_dut.key[n->key] ^ n->key_xor,
	   .dmalen = n->len, .data = cf_msg, .len = read ? 0 : first);
	ends(NAK_ACCESS, 0, 0);
	want_wc(1, IBV_WC_WR_FLUSH_ERR);
}

/* The QP's access flags do not allow the operation. */
static void no_access(int op)
{
	struct cf_cmd c = cf_defaults();

	c.access = 0;
	cf_open(&c);
	TX(.op = op, .ack = true, .va = cf_va(0), .rkey = RW, .dmalen = 8, .data = cf_msg,
	   .len = op == WRITE_ONLY ? 8 : 0);
	ends(NAK_INVALID, 0, 0);
}

/* A good message, then @bad: the MSN of the NAK counts the good one. */
static void after_good(struct cf_pkt bad)
{
	cf_open(NULL);
	cf_recv(1, 0, 600);
	cf_recv(2, 600, 600);
	want_image(0, cf_msg, 5);
	TX(.op = SEND_ONLY, .data = cf_msg, .len = 5);
	bad.psn = 1;
	bad.ack = true;
	if (!bad.data)
		bad.data = cf_msg;
	if (!bad.rkey)
		bad.rkey = RW;
	bad.va += cf_va(5000);
	cf_tx(bad);
	silent_after(NAK_INVALID, 1, 1, bad.op <= SEND_ONLY_IMM);
	want_recv(1, 5);
	want_wc(2, -1);
}

static const struct cf_pkt first_bad[] = {
	{ .op = SEND_MIDDLE, .len = MTU },
	{ .op = SEND_LAST, .len = 4 },
	{ .op = SEND_LAST_IMM, .len = 4 },
	{ .op = WRITE_MIDDLE, .len = MTU },
	{ .op = WRITE_LAST, .len = 4 },
	{ .op = WRITE_LAST_IMM, .len = 4 },
	/* lengths */
	{ .op = SEND_FIRST, .len = MTU - 4 },
	{ .op = SEND_FIRST, .len = MTU + 4 },
	{ .op = SEND_FIRST },
	{ .op = SEND_ONLY, .len = MTU + 1 },
	{ .op = SEND_ONLY_IMM, .len = MTU + 1 },
	{ .op = WRITE_ONLY, .dmalen = 12, .len = 8 },
	{ .op = WRITE_ONLY, .dmalen = 8, .len = 12 },
	{ .op = WRITE_ONLY, .dmalen = 8 },
	{ .op = WRITE_FIRST, .dmalen = 2 * MTU, .len = MTU - 4 },
	{ .op = WRITE_FIRST, .dmalen = MTU - 4, .len = MTU },
	{ .op = WRITE_ONLY, .dmalen = MTU + 8, .len = MTU + 8 },
	{ .op = WRITE_FIRST, .dmalen = 0x80000001, .len = MTU },
	{ .op = READ_REQ, .dmalen = 0x80000001 },
	{ .op = WRITE_ONLY, .dmalen = 0, .len = 8 },
	{ .op = WRITE_ONLY, .dmalen = 8, .len = 8, .pad_add = 1 },
	/* reserved opcodes of RC */
	{ .op = 0x15 },
	{ .op = 0x18 },
	{ .op = 0x1b },
	{ .op = 0x1e },
	{ .op = 0x1f, .len = 64 },
};

static void bad_first(int i)
{
	after_good(first_bad[i]);
}

/* The second packet cannot follow a FIRST of SEND (case even) or WRITE (odd). */
static const struct cf_pkt second_bad[] = {
	{ .op = SEND_FIRST, .len = MTU },
	{ .op = SEND_ONLY, .len = 4 },
	{ .op = SEND_ONLY_IMM, .len = 4 },
	{ .op = WRITE_FIRST, .len = MTU, .dmalen = 2 * MTU },
	{ .op = WRITE_ONLY, .len = 8, .dmalen = 8 },
	{ .op = WRITE_ONLY_IMM, .len = 8, .dmalen = 8 },
	{ .op = READ_REQ, .dmalen = 8 },
	/* of the other operation */
	{ .op = SEND_MIDDLE, .len = MTU },
	{ .op = SEND_LAST, .len = 4 },
	{ .op = SEND_LAST_IMM, .len = 4 },
	{ .op = WRITE_MIDDLE, .len = MTU },
	{ .op = WRITE_LAST, .len = 4 },
	{ .op = WRITE_LAST_IMM, .len = 4 },
};

static void bad_second(int i)
{
	bool write = i & 1;
	struct cf_pkt p = second_bad[i / 2];

	cf_open(NULL);
	cf_recv(1, 0, 2000);
	want_image(write ? 4000 : 0, cf_msg, MTU);
	TX(.op = write ? WRITE_FIRST : SEND_FIRST, .data = cf_msg, .len = MTU, .va = cf_va(4000),
	   .rkey = RW, .dmalen = 3 * MTU);
	p.psn = 1;
	p.ack = true;
	p.data = cf_msg;
	p.va = cf_va(9000);
	p.rkey = RW;
	cf_tx(p);
	ends_receive(NAK_INVALID, 1, 0);
}

struct middle {
	/* bytes: DMALEN; payload of the MIDDLE and LAST packets */
	uint32_t total, middle, last;
	int bad;			/* the packet that is refused: 1 or 2 */
};

static const struct middle lengths[] = {
	{ 3 * MTU, MTU - 4, MTU, 1 }, { 3 * MTU, MTU + 4, MTU, 1 }, { 2 * MTU + 9, MTU, 5, 2 },
	{ 2 * MTU + 9, MTU, 13, 2 },  { 2 * MTU, MTU, 0, 2 },	    { 2 * MTU, MTU, 8, 2 },
	{ 4 * MTU, MTU, MTU, 2 },     { 3 * MTU, MTU, MTU + 4, 2 },
};

/* Wrong lengths inside a WRITE (even) or SEND (odd), which has no DMALEN. */
static void bad_length(int i)
{
	const struct middle *m = &lengths[i / 2];
	bool send = i & 1;

	cf_open(NULL);
	cf_recv(1, 0, 5000);
	want_image(send ? 0 : 6000, cf_msg, m->bad * MTU);
	TX(.op = send ? SEND_FIRST : WRITE_FIRST, .data = cf_msg, .len = MTU, .va = cf_va(6000),
	   .rkey = RW, .dmalen = m->total);
	TX(.op = send ? SEND_MIDDLE : WRITE_MIDDLE, .psn = 1, .data = cf_msg + MTU,
	   .len = m->middle);
	TX(.op = send ? SEND_LAST : WRITE_LAST, .psn = 2, .ack = true, .data = cf_msg + 2 * MTU,
	   .len = m->last);
	ends_receive(NAK_INVALID, m->bad, 0);
}

static void send_too_long(int pkts)
{
	cf_open(NULL);
	cf_recv(1, 0, pkts * MTU - 1);
	want_image(0, cf_msg, (pkts - 1) * MTU);
	cf_message(false, 0, 0, cf_msg, pkts * MTU, false);
	silent_after(NAK_INVALID, pkts - 1, 0, true);
	want_wc(1, IBV_WC_LOC_LEN_ERR);
}

static void send_to_bad_buffer(int arg)
{
	(void)arg;
	cf_open(NULL);
	cf_recv_bad(1, 100);
	TX(.op = SEND_ONLY, .ack = true, .data = cf_msg, .len = 10);
	silent_after(NAK_OP, 0, 0, true);
	want_wc(1, IBV_WC_LOC_PROT_ERR);
}

static void read_with_payload(int arg)
{
	struct cf_pkt p;

	(void)arg;
	cf_open(NULL);
	TX(.op = READ_REQ, .va = cf_va(0), .rkey = RW, .dmalen = 8, .data = cf_msg, .len = 8);
	/* refused or dropped, but never executed */
	while (cf_maybe(&p, 50)) {
		cf_check(p.op == ACK && p.synd == NAK_INVALID, "expected silence or a NAK, found %s", cf_op_name(p.op));
		want_event(IBV_EVENT_QP_REQ_ERR);
	}
}

static void reads_beyond_resources(int arg)
{
	struct cf_cmd c = cf_defaults();

	(void)arg;
	c.dest_rd = 0;
	cf_open(&c);
	TX(.op = READ_REQ, .va = cf_va(0), .rkey = RW, .dmalen = 8);
	ends(NAK_INVALID, 0, 0);
}

/* As many READs as it has responder resources, then (@again) the same once more. */
static void reads_at_once(int again)
{
	uint32_t i, k;

	cf_open(NULL);
	for (k = 0; k <= (uint32_t)again; k++) {
		for (i = 0; i < 4; i++)
			TX(.op = READ_REQ, .psn = 2 * i, .va = cf_va(i * 1000), .rkey = RW,
			   .dmalen = MTU + 10 + i);
		for (i = 0; i < 4; i++)
			want_resp(2 * i, 2, k ? 4 : i + 1, cf_image(i * 1000), MTU + 10 + i, MTU);
	}
	want_alive(8, 5);
}

/* A READ before the refused request, in the same batch, is answered before the NAK. */
static void read_before_refused(int arg)
{
	(void)arg;
	cf_open(NULL);
	TX(.op = READ_REQ, .va = cf_va(100), .rkey = RW, .dmalen = 3 * MTU);
	TX(.op = WRITE_ONLY, .psn = 3, .ack = true, .va = cf_va(0), .rkey = RW ^ 0xff, .dmalen = 8,
	   .data = cf_msg, .len = 8);
	want_resp(0, 3, 1, cf_image(100), 3 * MTU, MTU);
	ends(NAK_ACCESS, 3, 1);
}

#define EACH2(name, rule, fn, i) \
	{ name " (WRITE)", rule, fn, 2 * (i), 0 }, { name " (READ)", rule, fn, 2 * (i) + 1, 0 }
#define AFTER(name, i) \
	{ name " after SEND_FIRST", "9.7.4.1", bad_second, 2 * (i), 0 }, { name " after WRITE_FIRST", "9.7.4.1", bad_second, 2 * (i) + 1, 0 }

const struct cf_case cf_refused[] = {
	EACH2("no remote right on the region", "9.7.4.1", deny, 0),
	EACH2("key of another protection domain", "9.7.4.1", deny, 1),
	EACH2("key of a region that is gone", "9.7.4.1", deny, 2),
	EACH2("key with a wrong low bit", "9.7.4.1", deny, 3),
	EACH2("key of no region", "9.7.4.1", deny, 4),
	EACH2("one byte past the region's end", "9.7.4.1", deny, 5),
	EACH2("one byte before the region", "9.7.4.1", deny, 6),
	EACH2("right behind the region", "9.7.4.1", deny, 7),
	EACH2("far before the region", "9.7.4.1", deny, 8),
	EACH2("two packets that run past the region's end", "9.7.4.1", deny, 9),
	{ "WRITE to a queue pair that allows none", "9.7.4.1", no_access, WRITE_ONLY, 0 },
	{ "READ from a queue pair that allows none", "9.7.4.1", no_access, READ_REQ, 0 },

	{ "SEND_MIDDLE without FIRST", "9.7.4.1", bad_first, 0, ALSO_V6 },
	{ "SEND_LAST without FIRST", "9.7.4.1", bad_first, 1, 0 },
	{ "SEND_LAST_IMM without FIRST", "9.7.4.1", bad_first, 2, 0 },
	{ "WRITE_MIDDLE without FIRST", "9.7.4.1", bad_first, 3, 0 },
	{ "WRITE_LAST without FIRST", "9.7.4.1", bad_first, 4, 0 },
	{ "WRITE_LAST_IMM without FIRST", "9.7.4.1", bad_first, 5, 0 },
	{ "SEND_FIRST shorter than the path MTU", "9.7.4.1", bad_first, 6, 0 },
	{ "SEND_FIRST longer than the path MTU", "9.7.4.1", bad_first, 7, 0 },
	{ "SEND_FIRST without payload", "9.7.4.1", bad_first, 8, 0 },
	{ "SEND_ONLY longer than the path MTU", "9.7.4.1", bad_first, 9, 0 },
	{ "SEND_ONLY_IMM longer than the path MTU", "9.7.4.1", bad_first, 10, 0 },
	{ "WRITE_ONLY with less than DMALEN", "9.7.4.1", bad_first, 11, 0 },
	{ "WRITE_ONLY with more than DMALEN", "9.7.4.1", bad_first, 12, 0 },
	{ "WRITE_ONLY with nothing where DMALEN says 8", "9.7.4.1", bad_first, 13, 0 },
	{ "WRITE_FIRST shorter than the path MTU", "9.7.4.1", bad_first, 14, 0 },
	{ "WRITE_FIRST with more than DMALEN", "9.7.4.1", bad_first, 15, 0 },
	{ "WRITE_ONLY longer than the path MTU", "9.7.4.1", bad_first, 16, 0 },
	{ "WRITE of more than 2 GiB", "9.3.3", bad_first, 17, 0 },
	{ "READ of more than 2 GiB", "9.3.3", bad_first, 18, 0 },
	{ "WRITE_ONLY with 8 bytes where DMALEN says none", "9.7.4.1", bad_first, 19, 0 },
	{ "pad count that takes a byte of DMALEN", "9.7.4.1", bad_first, 20, 0 },
	{ "reserved opcode 0x15", "9.7.4.1", bad_first, 21, 0 },
	{ "reserved opcode 0x18", "9.7.4.1", bad_first, 22, 0 },
	{ "reserved opcode 0x1b", "9.7.4.1", bad_first, 23, 0 },
	{ "reserved opcode 0x1e", "9.7.4.1", bad_first, 24, 0 },
	{ "reserved opcode 0x1f with payload", "9.7.4.1", bad_first, 25, 0 },

	AFTER("SEND_FIRST", 0), AFTER("SEND_ONLY", 1), AFTER("SEND_ONLY_IMM", 2), AFTER("WRITE_FIRST", 3),
	AFTER("WRITE_ONLY", 4), AFTER("WRITE_ONLY_IMM", 5), AFTER("READ_REQUEST", 6),
	{ "SEND_MIDDLE inside a WRITE", "9.7.4.1", bad_second, 2 * 7 + 1, 0 },
	{ "SEND_LAST inside a WRITE", "9.7.4.1", bad_second, 2 * 8 + 1, 0 },
	{ "SEND_LAST_IMM inside a WRITE", "9.7.4.1", bad_second, 2 * 9 + 1, 0 },
	{ "WRITE_MIDDLE inside a SEND", "9.7.4.1", bad_second, 2 * 10, 0 },
	{ "WRITE_LAST inside a SEND", "9.7.4.1", bad_second, 2 * 11, 0 },
	{ "WRITE_LAST_IMM inside a SEND", "9.7.4.1", bad_second, 2 * 12, 0 },

	{ "WRITE_MIDDLE shorter than the path MTU", "9.7.4.1", bad_length, 0, 0 },
	{ "SEND_MIDDLE shorter than the path MTU", "9.7.4.1", bad_length, 1, 0 },
	{ "WRITE_MIDDLE longer than the path MTU", "9.7.4.1", bad_length, 2, 0 },
	{ "SEND_MIDDLE longer than the path MTU", "9.7.4.1", bad_length, 3, 0 },
	{ "WRITE ends before DMALEN", "9.7.4.1", bad_length, 4, 0 },
	{ "WRITE ends behind DMALEN", "9.7.4.1", bad_length, 6, 0 },
	{ "WRITE_LAST without payload", "9.7.4.1", bad_length, 8, 0 },
	{ "SEND_LAST without payload", "9.7.4.1", bad_length, 9, 0 },
	{ "WRITE_LAST behind all of DMALEN", "9.7.4.1", bad_length, 10, 0 },
	{ "WRITE one packet short of DMALEN", "9.7.4.1", bad_length, 12, 0 },
	{ "WRITE_LAST longer than the path MTU", "9.7.4.1", bad_length, 14, 0 },
	{ "SEND_LAST longer than the path MTU", "9.7.4.1", bad_length, 15, 0 },
	{ "SEND one byte longer than the receive buffer", "9.7.4.1", send_too_long, 1, 0 },
	{ "SEND whose third packet does not fit in the buffer", "9.7.4.1", send_too_long, 3, 0 },
	{ "SEND to a receive buffer with a bad key", "9.9.3", send_to_bad_buffer, 0, 0 },
	{ "READ request with payload", "9.7.4.1", read_with_payload, 0, 0 },
	{ "READ where no responder resources are", "9.7.4.1", reads_beyond_resources, 0, 0 },
	{ "as many READs as there are responder resources", "9.4.4", reads_at_once, 0, 0 },
	{ "all of them again", "9.7.5.1", reads_at_once, 1, 0 },
	{ "READ in front of a refused WRITE", "9.7.5", read_before_refused, 0, 0 },
	{ 0 },
};

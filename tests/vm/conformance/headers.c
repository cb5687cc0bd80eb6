// SPDX-License-Identifier: GPL-2.0-or-later
/* Headers of one packet: what lets it in and what does not (9.2, 9.6, annex A17). */
#include "cf.h"

static const struct cf_pkt flaw[] = {
	{ .tver = 1 },		 { .pkey_xor = 0x0f0f },
	{ .icrc_xor = 1 },	 { .icrc_xor = 0x80000000 },
	{ .qpn_xor = 0x400000 }, { .src_xor = 0x10 },
	{ .dst_xor = 0x40 },	 { .mac_xor = 0x40 },
	{ .pad_add = 1 },	 { .pad_add = 3 },
	{ .unpadded = true },
};

/* In a WRITE that would otherwise be executed. */
static void refused(int i)
{
	struct cf_pkt p = flaw[i];

	cf_open(NULL);
	p.op = WRITE_ONLY;
	p.ack = true;
	p.va = cf_va(100);
	p.rkey = cf_dut.key[CF_KEY_RW];
	/* a pad count is too large only where there is less to count */
	p.dmalen = p.len = p.pad_add ? 0 : p.unpadded ? 61 : 64;
	p.data = cf_msg;
	cf_tx(p);
	want_quiet("a packet that must not be taken");
	want_alive(0, 1);
}

static const struct cf_pkt fine[] = {
	{ .m_xor = 1 },		{ .resv = 0x80 }, { .resv = 0x40 }, { .resv = 0x3f },
	{ .tos = 3 },		{ .tos = 0xb8 },  { .ttl = 1 },	    { .sport_xor = 0x123 },
	{ .pkey_xor = 0x8000 }, { .se = true },
};

static void accepted(int i)
{
	struct cf_pkt p = fine[i];

	cf_open(NULL);
	p.op = WRITE_ONLY;
	p.ack = true;
	p.va = cf_va(100);
	p.rkey = cf_dut.key[CF_KEY_RW];
	p.dmalen = p.len = 61;
	p.data = cf_msg;
	want_image(100, cf_msg, 61);
	cf_tx(p);
	want_ack(0, 1);
	want_alive(1, 2);
}

/* An ACK that must not be taken completes nothing; the right one then does. */
static void refused_ack(int i)
{
	struct cf_pkt p = flaw[i];

	cf_open(NULL);
	POST(.wr_id = 1, .opcode = IBV_WR_SEND, .len = 10);
	want_op(SEND_ONLY, 0);
	p.op = ACK;
	p.synd = SYN_ACK;
	p.msn = 1;
	cf_tx(p);
	want_alive(0, 1);
	want_no_wc();
	TX(.op = ACK, .synd = SYN_ACK, .msn = 1);
	want_wc(1, IBV_WC_SUCCESS);
}

/* The service in the opcode's upper three bits is not the queue pair's. */
static void wrong_service(int op)
{
	cf_open(NULL);
	cf_recv(1, 0, 1000);
	TX(.op = op, .ack = true, .data = cf_msg, .len = 32, .qkey = CF_QKEY, .sqpn = 77);
	want_quiet("another service's packet");
	want_no_wc();
	want_alive(0, 1);
}

const struct cf_case cf_headers[] = {
	{ "BTH: another transport version", "9.2.5", refused, 0, ALSO_V6 },
	{ "BTH: a P_Key of another partition", "9.2.6", refused, 1, 0 },
	{ "ICRC: lowest bit wrong", "A17", refused, 2, ALSO_V6 },
	{ "ICRC: highest bit wrong", "A17", refused, 3, 0 },
	{ "BTH: no such queue pair", "9.2.7", refused, 4, 0 },
	{ "source address that is not the connection's", "9.6.1", refused, 5, ALSO_V6 },
	{ "destination address that is not the connection's", "9.6.1", refused, 6, ALSO_V6 },
	{ "destination MAC that is not the port's", "A17", refused, 7, 0 },
	{ "pad count of 1 in a packet without payload", "9.2.4", refused, 8, 0 },
	{ "pad count of 3 in a packet without payload", "9.2.4", refused, 9, 0 },
	{ "payload of 61 bytes that is not padded", "9.2.4", refused, 10, 0 },
	{ "M bit clear", "9.2.3", accepted, 0, 0 },
	{ "FECN set", "A17", accepted, 1, 0 },
	{ "BECN set", "A17", accepted, 2, 0 },
	{ "reserved bits of the BTH set", "9.2", accepted, 3, 0 },
	{ "IP says: congestion experienced", "A17", accepted, 4, ALSO_V6 },
	{ "another DSCP", "A17", accepted, 5, ALSO_V6 },
	{ "TTL 1", "A17", accepted, 6, ALSO_V6 },
	{ "another UDP source port", "A17", accepted, 7, ALSO_V6 },
	{ "P_Key of a limited member", "9.2.6", accepted, 8, 0 },
	{ "SE bit on a WRITE without immediate", "9.2.2", accepted, 9, 0 },
	{ "ACK with another transport version", "9.2.5", refused_ack, 0, 0 },
	{ "ACK with a P_Key of another partition", "9.2.6", refused_ack, 1, 0 },
	{ "ACK with a wrong ICRC", "A17", refused_ack, 2, ALSO_V6 },
	{ "ACK to another queue pair", "9.2.7", refused_ack, 4, 0 },
	{ "ACK from another address", "9.6.1", refused_ack, 5, ALSO_V6 },
	{ "UC SEND to an RC queue pair", "9.6.1", wrong_service, UC + SEND_ONLY, 0 },
	{ "UD SEND to an RC queue pair", "9.6.1", wrong_service, UD_ONLY, 0 },
	{ "RD SEND to an RC queue pair", "9.6.1", wrong_service, 0x44, 0 },
	{ "congestion notification", "A17", wrong_service, 0x81, 0 },
	{ 0 },
};

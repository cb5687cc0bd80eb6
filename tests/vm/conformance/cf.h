/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conformance: a peer without an RDMA device, which sends and checks RoCEv2 packets one by one, to
 * and from a QP of the device under test (DUT).
 *
 * The DUT side is a small verbs program. On command over TCP it creates the QP of a case, posts,
 * and reports completions, asynchronous events and its memory. The peer side runs the cases. PSNs
 * in cases are relative to the QP's first one, which is random and often just below the wrap.
 */
#ifndef CF_H
#define CF_H

#include <stdbool.h>
#include <stdint.h>

#include "../roce.h"
#include "../verbs-check/vc.h"

#define CF_PORT		"18516"
#define CF_AREA		262144	/* bytes of the DUT's memory that packets may aim at */
#define CF_MR_OFF	1000	/* where in it the region begins */
#define CF_MR_LEN	200000
#define CF_DEPTH	64	/* work requests a queue holds */
#define CF_MAX_WC	64
#define CF_MAX_EVENTS	8
#define CF_QKEY		0x11223344

/* ---- what the two sides tell each other ---- */

enum cf_what {
	CF_HELLO,
	CF_OPEN,
	CF_CLOSE,
	CF_STATE,
	CF_QUERY,
	CF_SEND,
	CF_RECV,
	CF_POLL,
	CF_ASYNC,
	CF_ARM,
	CF_NOTIFIED,
	CF_FILL,
	CF_SUM,
	CF_PEEK,
	CF_POKE,
};

enum cf_key { CF_KEY_RW, CF_KEY_RO, CF_KEY_FOREIGN, CF_KEY_STALE, CF_NR_KEYS };

struct cf_cmd {
	uint32_t what;
	/* CF_OPEN; the state it is brought to also in CF_STATE */
	uint32_t type, mtu, access, state, ipv6, dqpn, rq_psn, sq_psn, rd, dest_rd, min_rnr,
		timeout, retry, rnr_retry, slot;
	/* CF_SEND, CF_RECV */
	uint32_t opcode, flags, imm, rkey, off, len, count;
	uint32_t bad_lkey;	/* of the last one that is posted */
	uint64_t wr_id, va, add, swap;
	/* CF_POLL: wait for n completions; CF_ASYNC, CF_NOTIFIED: for one event; up to ms */
	uint32_t n, ms;
	uint64_t seed;		/* CF_FILL */
};

struct cf_wc {
	uint64_t wr_id;
	uint32_t status, opcode, len, flags, imm, src_qp, send;
};

struct cf_reply {
	int32_t err;
	uint32_t qpn, state, draining, n, rq_psn;
	struct cf_wc wc[CF_MAX_WC];
	uint32_t event[CF_MAX_EVENTS];
	uint64_t sum, base;
	uint32_t key[CF_NR_KEYS];
	uint32_t has_uc, has_atomic, has_inv, has_placement;
};

int cf_device(const char *device, int wait);

/* ---- packets: wire.c ---- */

enum {
	SEND_FIRST = 0,
	SEND_MIDDLE,
	SEND_LAST,
	SEND_LAST_IMM,
	SEND_ONLY,
	SEND_ONLY_IMM,
	WRITE_FIRST,
	WRITE_MIDDLE,
	WRITE_LAST,
	WRITE_LAST_IMM,
	WRITE_ONLY,
	WRITE_ONLY_IMM,
	READ_REQ,
	RESP_FIRST,
	RESP_MIDDLE,
	RESP_LAST,
	RESP_ONLY,
	ACK,
	ATOMIC_ACK,
	CMP_SWAP,
	FETCH_ADD,
	SEND_LAST_INV = 0x16,
	SEND_ONLY_INV,
	FLUSH = 0x1c,
	ATOMIC_WRITE,
	UC = 0x20,
	UD_ONLY = 0x64,
	UD_ONLY_IMM,
};

enum { SYN_ACK = 0x1f, SYN_RNR = 0x20, NAK_PSN = 0x60, NAK_INVALID, NAK_ACCESS, NAK_OP };

/*
 * A packet. The fields below "flaws" are 0 in a valid one. @psn is relative in cases; cf_build()
 * fills in dqpn, addresses and ports.
 */
struct cf_pkt {
	uint8_t op, synd;
	bool ack, se;
	uint32_t psn, msn, rkey, dmalen, imm, qkey, sqpn, feth;
	uint64_t va, swap, cmp, orig;	/* swap: or what to add */
	const uint8_t *data;
	uint32_t len;
	/* flaws */
	uint32_t qpn_xor, icrc_xor, sport_xor, src_xor, dst_xor, mac_xor, pad_add;
	uint16_t pkey_xor;
	uint8_t tver, resv, m_xor, tos, ttl;
	bool unpadded;
	/* seen */
	bool m;
	uint8_t pad;
	uint32_t dqpn;
	uint16_t pkey, sport;
};

struct cf_net {
	int fd;
	int ifindex;
	uint8_t mac[2][6];	/* [0] ours, [1] the DUT's */
	uint8_t ip4[2][4], ip6[2][16];
};

#define CF_FRAME	ROCE_FRAME

int cf_build(const struct cf_net *net, bool ipv6, const struct cf_pkt *p, uint32_t psn,
	     uint32_t dqpn, uint8_t *f);
/* Returns 1 for a RoCE packet to us, 0 for another packet, -1 for a wrong one (*why). */
int cf_parse(const struct cf_net *net, const uint8_t *f, int len, struct cf_pkt *p,
	     const char **why);
void cf_open_net(struct cf_net *net, const char *ifname);
uint64_t cf_sum(const uint8_t *area);	/* of CF_AREA bytes */
const char *cf_op_name(uint8_t op);

/* ---- for the cases: peer.c ---- */

enum { NEED_UC = 1, NEED_ATOMIC = 2, NEED_INV = 4, ALSO_V6 = 8, NEED_PLACEMENT = 16 };

struct cf_case {
	const char *name, *rule;
	void (*run)(int arg);
	int arg, need;
};

extern const struct cf_case cf_responder[], cf_refused[], cf_requester[], cf_reads[], cf_headers[],
	cf_others[];
extern uint8_t cf_msg[];	/* bytes to send: 128 KiB that differ from case to case */
extern struct cf_reply cf_dut;	/* addresses and keys of the DUT */

struct cf_cmd cf_defaults(void);
void cf_open(const struct cf_cmd *with);	/* NULL: the defaults */
void cf_state(uint32_t state);
uint32_t cf_query(void);
uint32_t cf_draining(void);
uint64_t cf_va(uint32_t off);

#define TX(...)		cf_tx((struct cf_pkt){ __VA_ARGS__ })
#define POST(...)	cf_post((struct cf_cmd){ __VA_ARGS__ })
/* Queues a packet: all queued ones go out together before the next wait for a packet. */
void cf_tx(struct cf_pkt p);
void cf_flush(void);
void cf_post(struct cf_cmd c);	/* signaled */
void cf_recv(uint64_t wr_id, uint32_t off, uint32_t len);
void cf_recv_bad(uint64_t wr_id, uint32_t len);

struct cf_pkt cf_next(const char *what);	/* the next packet of the DUT's */
bool cf_maybe(struct cf_pkt *p, int ms);
struct cf_pkt want_op(uint8_t op, uint32_t psn);
void want_ack(uint32_t psn, uint32_t msn);
void want_nak(uint8_t syndrome, uint32_t psn, uint32_t msn);
void want_resp(uint32_t psn, uint32_t pkts, uint32_t msn, const uint8_t *data, uint32_t len,
	       uint32_t mtu);
void want_quiet(const char *why);	/* no response comes */
/* a request with this PSN is executed, and no other response was due */
void want_alive(uint32_t psn, uint32_t msn);
struct cf_wc want_wc(uint64_t wr_id, int status);
void want_recv(uint64_t wr_id, uint32_t len);
void want_no_wc(void);
void want_event(uint32_t event);
void want_dead(int event);	/* error state, this event (-1: none), all else flushed */
void want_dead_or(int event);	/* the event may be missing */
void want_image(uint32_t off, const void *data, uint32_t len);
void want_grh(uint32_t off);	/* 40 bytes of the last packet's IP header */
void want_eq(const char *what, uint64_t is, uint64_t must);
void cf_check(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cf_fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
const uint8_t *cf_image(uint32_t off);
struct cf_reply *cf_call(const struct cf_cmd *c);
void cf_poke(uint32_t off, const void *data, uint32_t len);

struct cf_options {
	const char *ifname, *host, *only;
	uint64_t seed;
	bool list;
};

int cf_run(struct cf_net *net, const struct cf_options *o);

#endif

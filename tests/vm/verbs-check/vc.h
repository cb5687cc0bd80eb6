/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verbs-check: two processes exchange random messages over verbs and check every byte on both ends.
 *
 * Both derive the same plan from the same seed, so each knows what the other sends, where it must
 * land and which bytes must stay as they were. A TCP connection carries the parameters and keeps
 * the two in step.
 */
#ifndef VC_H
#define VC_H

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VC_MAX_QPS	16
#define VC_MAX_SGE	6	/* pieces of a message on either side */
#define VC_MAX_OPS	192	/* of a round, both directions, all QPs */
#define VC_DEPTH	64	/* work requests a queue holds */
/* bytes that must not change on both sides of the used part of an area */
#define VC_GUARD	256
#define VC_UD_MAX	24	/* datagrams a round and direction */
#define VC_SKEW		1237	/* an area starts so far into its first page */

/* From the client to the server */
struct vc_config {
	uint64_t seed;
	uint64_t messages;	/* 0: no limit */
	uint32_t seconds;	/* 0: no limit */
	uint32_t path_mtu;	/* bytes; 0: the smaller of both ports' active MTU */
	uint32_t max_size;	/* bytes of a message */
	uint32_t qps;
	uint32_t timeout;	/* transport timer, 4.096 us << timeout */
	uint32_t ops;		/* 1 << enum vc_opcode */
	uint32_t keep;		/* the queue pairs, to the end */
	uint32_t lossy;		/* datagrams and UC messages may get lost or come twice */
	uint32_t patience;	/* ms without one of those until what is missing counts as lost */
	uint32_t errors;	/* run the error cases instead */
	uint32_t memory;	/* or those of windows, invalidation and re-registration */
	uint32_t queues;	/* run the queue cases instead */
	uint32_t states;	/* or those of states */
	uint32_t big;		/* or one message each way of so many bytes */
	uint32_t beside;	/* or READs of so many bytes without end, SENDs beside them */
	uint32_t ipv6;
	uint32_t stall;		/* seconds without progress that count as stuck */
};

enum vc_opcode {
	VC_WRITE,
	VC_WRITE_IMM,
	VC_READ,
	VC_SEND,
	VC_SEND_IMM,
	VC_CAS,
	VC_ADD,
	VC_UD,
	VC_UC,
	VC_NR_OPS
};

#define VC_RC_OPS	((1u << VC_UD) - 1)

extern const char *const vc_op_name[VC_NR_OPS];

struct vc_range {
	uint32_t off, len;	/* in an area */
};

/* One message. dir: 0 the client starts it, 1 the server. */
struct vc_op {
	uint8_t opcode, dir, qp, nlocal, npeer, signaled, inlined, solicited;
	uint32_t len, imm;
	/*
	 * local: the initiator's pieces (tx area; rx area of a READ).
	 * peer: one piece of the responder's rx area (tx of a READ) for WRITE and READ; the
	 * receive's pieces, which may be longer in total than the message, for SEND; the receive's
	 * pieces, to stay untouched, for WRITE_IMM.
	 */
	struct vc_range local[VC_MAX_SGE], peer[VC_MAX_SGE];
	/* of a WRITE_IMM: where the data goes; of CAS and ADD: eight aligned bytes */
	struct vc_range target;
	uint64_t found, compare, swap;	/* CAS: what is there before, and what is asked for */
};

struct vc_plan {
	uint32_t round;
	int nops;
	bool events;		/* wait for completions by event in this round, else by polling */
	bool late;		/* receives are posted late: receiver-not-ready on the way */
	uint32_t used[2][2];	/* [side][0 tx, 1 rx] bytes used */
	/* all ADDs that a side starts count up one number of the other's rx area, by one each */
	struct vc_range counter[2];
	uint64_t counted[2];	/* its value before */
	struct vc_op op[VC_MAX_OPS];
};

/* From each side to the other: one QP and its buffers */
struct vc_peer {
	union ibv_gid gid;
	uint32_t mtu;		/* bytes, active MTU of the port */
	uint32_t qpn[VC_MAX_QPS + 2], psn[VC_MAX_QPS + 2];	/* RC, then UD, then UC */
	uint64_t tx_addr, rx_addr, uc_addr;
	uint32_t tx_rkey, rx_rkey, uc_rkey;
	uint32_t max_inline, max_sge, max_rd;
};

struct vc {
	struct vc_config cfg;
	int side;		/* 0 client, 1 server */
	int tcp;
	const char *device;
	int gid_index;		/* -1: look for one */

	struct ibv_context *ctx;
	struct ibv_device_attr attr;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel[2];
	struct ibv_cq *cq[2];	/* [0] sends, [1] receives */
	struct ibv_qp *qp[VC_MAX_QPS];
	struct ibv_qp *ud, *uc;
	struct ibv_ah *ah;
	struct vc_peer me, peer;
	uint32_t mtu;		/* path MTU in use, bytes */
	unsigned int unacked[2];

	uint32_t area;		/* bytes of each area */
	uint8_t *tx, *rx;	/* what the device reads and writes */
	uint8_t *peer_tx, *want;	/* the peer's tx area, and the rx area as it must become */
	struct ibv_mr *tx_mr, *rx_mr;
	uint8_t *ud_buf, *uc_buf;
	struct ibv_mr *ud_mr, *uc_mr;

	struct vc_plan plan;
	uint64_t messages, bytes, wrong, ud_lost, ud_twice, uc_lost, count[VC_NR_OPS];
};

/* util.c */
struct vc_rng {
	uint64_t s;
};
uint64_t vc_rand(struct vc_rng *r);
uint32_t vc_below(struct vc_rng *r, uint32_t n);	/* 0..n-1 */
void vc_fill(uint8_t *p, size_t len, uint64_t seed);
void vc_fill_at(uint8_t *p, size_t len, uint64_t seed, uint64_t word);
double vc_now(void);
void vc_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void vc_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void vc_wrong(struct vc *vc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void vc_send(struct vc *vc, const void *p, size_t len);
void vc_recv(struct vc *vc, void *p, size_t len);
void vc_swap(struct vc *vc, const void *mine, void *theirs, size_t len);	/* and in step */
int vc_listen(const char *port, int wait);
int vc_connect(const char *host, const char *port, int wait);
void vc_alive(const char *what, unsigned int seconds);	/* no call for so long: exit 3 */

/* plan.c */
void vc_make_plan(struct vc *vc, uint32_t round);
void vc_make_images(struct vc *vc);
void vc_check_images(struct vc *vc);
bool vc_check_range(struct vc *vc, const struct vc_op *op, struct vc_range r, const char *when);

/* device.c */
void vc_open(struct vc *vc);
void vc_close(struct vc *vc);
void vc_setup(struct vc *vc);	/* areas registered, queue pairs connected */
void vc_teardown(struct vc *vc);
struct ibv_qp *vc_create_qp(struct vc *vc, enum ibv_qp_type type, uint32_t max_inline);
void vc_qp_init(struct vc *vc, struct ibv_qp *qp);
void vc_qp_rtr(struct vc *vc, struct ibv_qp *qp, uint32_t qpn, uint32_t peer_psn);
void vc_qp_rts(struct vc *vc, struct ibv_qp *qp, uint32_t psn, int retry, int rnr_retry,
	       uint32_t timeout);
void vc_qp_connect(struct vc *vc, struct ibv_qp *qp, uint32_t qpn, uint32_t psn, uint32_t peer_psn,
		   int retry, int rnr_retry, uint32_t timeout);
int vc_wait(struct vc *vc, int which, struct ibv_wc *wc, int n, bool events);	/* 0: nothing yet */

/* rc.c, ud.c, uc.c, errors.c, mw.c, queues.c, states.c, big.c */
void vc_rc_round(struct vc *vc);
void vc_ud_setup(struct vc *vc);
void vc_ud_round(struct vc *vc, uint32_t round);
bool vc_ud_late(struct vc *vc, const struct ibv_wc *wc);
bool vc_uc_late(struct vc *vc, const struct ibv_wc *wc);
void vc_ud_teardown(struct vc *vc);
void vc_uc_setup(struct vc *vc);
void vc_uc_connect(struct vc *vc);
void vc_uc_round(struct vc *vc, uint32_t round);
void vc_uc_teardown(struct vc *vc);
void vc_errors(struct vc *vc);
void vc_memory(struct vc *vc);
void vc_queues(struct vc *vc);
void vc_states(struct vc *vc);
void vc_big(struct vc *vc);
void vc_beside(struct vc *vc);

#endif

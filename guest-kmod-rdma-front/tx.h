/* SPDX-License-Identifier: GPL-2.0 */
/* Sending of bursts, see tx.c. All of it under the QP lock. */
#ifndef MRDMA_TX_H
#define MRDMA_TX_H

#include <msr/wire.h>

#include "qp.h"

struct mrdma_loop_pkt;

enum mrdma_tx_result {
	MRDMA_TX_OK,
	MRDMA_TX_FULL,		/* the QP now waits, for room or for the link */
	MRDMA_TX_LOST,		/* link down, not waited for; mrdma_tx_send returns OK instead */
	MRDMA_TX_UNREADABLE,	/* the payload cannot be read: nothing was sent */
};

/* One session of sending under a QP lock; the ring's lock is taken at the first burst. */
struct mrdma_tx {
	struct mrdma_dev	*dev;
	bool			held;
	struct mrdma_loop_pkt	*pkt;	/* reserved in the loop */
	struct mrdma_qp		*qp;	/* that has reserved */
	const struct mrdma_tmpl	*t;	/* of what is reserved, the caller's */
	u32			ring_end;	/* position in the ring behind the last burst */
	const u8		*copy;	/* of a multicast datagram that QPs of this device get */
};

/* Template of a burst: the values of its headers */
struct mrdma_tmpl {
	const struct mrdma_av	*av;
	u32			dqpn;
	u32			psn;
	u16			nseg;
	u16			seg_len;
	u8			op_first;
	u8			op_mid;
	u8			op_last;
	u8			ext_first;	/* bytes of ext */
	u8			ext_last;	/* bytes of ext behind them */
	bool			ack_req;
	bool			solicited;
	bool			urgent;		/* passes bulk; short, and never many */
	u8			ext[MOS_MAX_EXT];
	u32			payload;	/* bytes */
};

/* The opcodes of @t's packets: with @start the message begins in this burst, with @end it ends. */
static inline void mrdma_tmpl_ops(struct mrdma_tmpl *t, const struct mrdma_op_set *ops, bool start,
				  bool end)
{
	t->op_mid = ops->middle;
	if (t->nseg == 1) {
		t->op_first = start ? (end ? ops->only : ops->first) :
				      (end ? ops->last : ops->middle);
		t->op_last = t->op_first;
	} else {
		t->op_first = start ? ops->first : ops->middle;
		t->op_last = end ? ops->last : ops->middle;
	}
}

/* Bytes of a run's budget that a burst costs beside its payload, or a request without a burst */
#define MRDMA_BURST_COST	1024

static inline void mrdma_tx_charge(u32 *budget, u32 payload)
{
	*budget -= min(*budget, payload + MRDMA_BURST_COST);
}

/* Largest payload of one burst on this path, bytes */
u32 mrdma_tx_max(const struct mrdma_av *av);
void mrdma_tx_begin(struct mrdma_tx *tx, struct mrdma_dev *dev);
/* The two halves of mrdma_tx_send, for it alone */
enum mrdma_tx_result mrdma_tx_burst(struct mrdma_tx *tx, struct mrdma_qp *qp,
				    const struct mrdma_tmpl *t, struct msr_desc *d, u8 **payload);
void mrdma_tx_commit(struct mrdma_tx *tx, const struct msr_desc *d);
/* A burst without payload. */
enum mrdma_tx_result mrdma_tx_headers(struct mrdma_tx *tx, struct mrdma_qp *qp,
				      const struct mrdma_tmpl *t);
void mrdma_tx_end(struct mrdma_tx *tx);
/* Gives back what is left of @qp's turns, but not at the place in whose line it stands again. */
void mrdma_tx_end_turn(struct mrdma_qp *qp);
/* Returns true if the requester's last burst is still in the ring, or the link is in an outage. */
bool mrdma_tx_holds(struct mrdma_qp *qp);
/* Returns true if there was an outage and nothing has come from the wire since. */
bool mrdma_tx_unproven(struct mrdma_qp *qp);
/* Returns true if all that the requester has sent may be lost, once for each such event. */
bool mrdma_tx_lost(struct mrdma_qp *qp);

/* Puts @bytes of payload to @to. Returns 0 or an error: they cannot be read. */
typedef int (*mrdma_tx_fill)(struct mrdma_qp *qp, const void *source, u8 *to, u32 bytes);

/*
 * Sends burst @t, whose payload @fill takes from @source (both NULL: it has none). Inline, so that
 * the call of a constant @fill is a direct one.
 */
static __always_inline enum mrdma_tx_result
mrdma_tx_send(struct mrdma_tx *tx, struct mrdma_qp *qp, const struct mrdma_tmpl *t,
	      mrdma_tx_fill fill, const void *source)
{
	enum mrdma_tx_result result;
	struct msr_desc d;
	u8 *payload;

	result = mrdma_tx_burst(tx, qp, t, &d, &payload);
	if (result == MRDMA_TX_LOST)
		return MRDMA_TX_OK;
	if (result != MRDMA_TX_OK)
		return result;
	/* without a commit the reservation is given up */
	if (fill && t->payload && fill(qp, source, payload, t->payload))
		return MRDMA_TX_UNREADABLE;
	mrdma_tx_commit(tx, &d);
	return MRDMA_TX_OK;
}

#endif /* MRDMA_TX_H */

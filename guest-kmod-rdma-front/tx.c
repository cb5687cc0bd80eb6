// SPDX-License-Identifier: GPL-2.0
/*
 * Sending: the headers of a burst in the memory of the ring or the loop. A burst copies its address
 * vector (av.c), adds what differs, and leaves room for the payload at a cache line's start.
 * Lengths and checksums stay zero: the back OS fills them in.
 */
#include <linux/ip.h>
#include <linux/slab.h>
#include <rdma/ib_verbs.h>

#include "chan.h"
#include "loop.h"
#include "mcast.h"
#include "trace.h"
#include "tx.h"

u32 mrdma_tx_max(const struct mrdma_av *av)
{
	return av->loop ? MRDMA_LOOP_BURST : MSR_MAX_BURST_DATA;
}

void mrdma_tx_begin(struct mrdma_tx *tx, struct mrdma_dev *dev)
{
	tx->dev = dev;
	tx->held = false;
	tx->pkt = NULL;
	tx->copy = NULL;
	tx->ring_end = 0;
}

static enum mrdma_tx_result reserve_loop(struct mrdma_tx *tx, struct mrdma_qp *qp,
					 const struct mrdma_tmpl *t, u32 len, u8 **room)
{
	bool full;

	tx->pkt = mrdma_loop_reserve(tx->dev, &qp->loop_waiter, len, t->urgent, &full);
	if (!tx->pkt)
		return full ? MRDMA_TX_FULL : MRDMA_TX_LOST;
	*room = tx->pkt->data;
	return MRDMA_TX_OK;
}

static enum mrdma_tx_result reserve_ring(struct mrdma_tx *tx, struct mrdma_qp *qp,
					 const struct mrdma_tmpl *t, u32 len, u32 *off, u8 **room)
{
	struct mrdma_dev *dev = tx->dev;
	bool waits, rc = qp->ibqp.qp_type == IB_QPT_RC;

	/* a port that is down sends nothing; what is on its way inside the device arrives */
	if (!netif_running(dev->netdev))
		return MRDMA_TX_LOST;
	if (!tx->held) {
		if (!mrdma_chan_lock(dev->chan, rc ? &qp->waiter : NULL, &waits))
			return waits ? MRDMA_TX_FULL : MRDMA_TX_LOST;
		tx->held = true;
	}
	*room = mrdma_chan_reserve(dev->chan, &qp->waiter, len, t->urgent, off);
	return *room ? MRDMA_TX_OK : MRDMA_TX_FULL;
}

static enum mrdma_tx_result reserve(struct mrdma_tx *tx, struct mrdma_qp *qp,
				    const struct mrdma_tmpl *t, u32 len, u32 *off, u8 **room)
{
	enum mrdma_tx_result result;
	bool loop = t->av->loop;

	/* it stands in line already */
	if (qp->waiting && !t->urgent)
		return MRDMA_TX_FULL;
	/* what was reserved and not committed is given up */
	kfree(tx->pkt);
	tx->pkt = NULL;

	*off = 0;
	result = loop ? reserve_loop(tx, qp, t, len, room) :
			reserve_ring(tx, qp, t, len, off, room);
	if (result == MRDMA_TX_FULL) {
		qp->waiting = true;
		qp->waits_for_loop = loop;
	}
	return result;
}

/*
 * Writes the headers of burst @t and hands out where its payload goes; *@d is
 * for mrdma_tx_commit. Not committing gives it up.
 */
enum mrdma_tx_result mrdma_tx_burst(struct mrdma_tx *tx, struct mrdma_qp *qp,
				    const struct mrdma_tmpl *t, struct msr_desc *d, u8 **payload)
{
	const struct mrdma_av *av = t->av;
	u32 ext = t->ext_first + t->ext_last;
	u32 hdr_len = ALIGN(av->len + (u32)sizeof(struct mos_bth) + ext, MSR_CACHE_LINE);
	u32 pad = t->nseg == 1 ? -t->payload & 3 : 0;
	enum mrdma_tx_result result;
	struct mos_bth bth;
	u8 *room;
	u32 off;

	if (!t->payload)
		hdr_len = av->len + sizeof(bth) + ext;
	result = reserve(tx, qp, t, hdr_len + t->payload, &off, &room);
	if (result == MRDMA_TX_LOST)
		mrdma_count(tx->dev, MRDMA_CNT_NOT_SENT, t->nseg);
	if (result != MRDMA_TX_OK)
		return result;

	tx->copy = av->mcast && mrdma_mcast_wanted(tx->dev, av) ? room : NULL;
	memcpy(room, av->hdr, av->len);
	if (!av->ipv6) {
		__be16 id = htons(qp->ip_id);

		memcpy(room + av->l3 + offsetof(struct iphdr, id), &id, sizeof(id));
		qp->ip_id += t->nseg;
	}
	if (av->qp_port) {
		__be16 port = htons(rdma_get_udp_sport(0, qp->ibqp.qp_num, t->dqpn));

		memcpy(room + av->len - sizeof(struct udphdr) + offsetof(struct udphdr, source),
		       &port, sizeof(port));
	}
	bth.opcode = t->op_first;
	bth.flags = MOS_BTH_M | pad << MOS_BTH_PAD_SHIFT;
	if (t->nseg == 1 && t->solicited)
		bth.flags |= MOS_BTH_SE;
	bth.pkey = htons(MOS_PKEY);
	bth.qpn = htonl(t->dqpn);
	bth.apsn = htonl(t->psn | (t->nseg == 1 && t->ack_req ? MOS_BTH_ACKREQ : 0));
	memcpy(room + av->len, &bth, sizeof(bth));
	memcpy(room + av->len + sizeof(bth), t->ext, ext);

	*d = (struct msr_desc) {
		.off = off,
		.len = hdr_len + t->payload,
		.type = MSR_DESC_BURST,
		.flags = (t->ack_req ? MSR_BURST_ACK_REQ : 0) |
			 (t->solicited ? MSR_BURST_SOLICITED : 0),
		.hdr_len = hdr_len,
		.burst = {
			.nseg = t->nseg,
			.seg_len = t->seg_len,
			.op_mid = t->nseg > 2 ? t->op_mid : t->op_last,
			.op_last = t->op_last,
			.ext_first = t->ext_first,
			.ext_last = t->ext_last,
		},
	};
	tx->qp = qp;
	tx->t = t;
	*payload = room + hdr_len;
	return MRDMA_TX_OK;
}

void mrdma_tx_commit(struct mrdma_tx *tx, const struct msr_desc *d)
{
	const struct mrdma_tmpl *t = tx->t;

	trace_mrdma_send(t->dqpn, t->op_first, t->psn, t->nseg, t->payload, t->ack_req);
	mrdma_count(tx->dev, MRDMA_CNT_SENT_PKTS, d->burst.nseg);
	if (tx->pkt) {
		tx->pkt->d = *d;
		mrdma_loop_commit(tx->dev, &tx->qp->loop_waiter, tx->pkt);
		tx->pkt = NULL;
		return;
	}
	if (tx->copy)
		mrdma_loop_copy(tx->dev, d, tx->copy);
	tx->copy = NULL;
	tx->ring_end = mrdma_chan_commit(tx->dev->chan, d);
}

enum mrdma_tx_result mrdma_tx_headers(struct mrdma_tx *tx, struct mrdma_qp *qp,
				      const struct mrdma_tmpl *t)
{
	return mrdma_tx_send(tx, qp, t, NULL, NULL);
}

void mrdma_tx_end(struct mrdma_tx *tx)
{
	kfree(tx->pkt);
	tx->pkt = NULL;
	if (tx->held)
		mrdma_chan_unlock(tx->dev->chan);
	tx->held = false;
}

void mrdma_tx_end_turn(struct mrdma_qp *qp)
{
	struct mrdma_dev *dev = mrdma_qp_dev(qp);

	lockdep_assert_held(&qp->lock);
	/*
	 * In line again, its next turn there may have been given already. What a datagram QP has
	 * left of a turn at the other place it must not take along into the line: QPs that wait at
	 * the ring with turns at the loop, and the other way round, would wait for each other.
	 */
	if (!qp->waiting || qp->waits_for_loop)
		mrdma_chan_end_turn(dev->chan, &qp->waiter);
	if (!qp->waiting || !qp->waits_for_loop)
		mrdma_loop_end_turn(dev, &qp->loop_waiter);
}

bool mrdma_tx_holds(struct mrdma_qp *qp)
{
	lockdep_assert_held(&qp->lock);
	/* the loop is never held up */
	return !qp->av.loop && (mrdma_chan_path(mrdma_qp_dev(qp)->chan) == MRDMA_PATH_OUTAGE ||
				mrdma_chan_holds(mrdma_qp_dev(qp)->chan, qp->req.ring_end));
}

bool mrdma_tx_unproven(struct mrdma_qp *qp)
{
	return !qp->av.loop && mrdma_chan_path(mrdma_qp_dev(qp)->chan) == MRDMA_PATH_UNPROVEN;
}

bool mrdma_tx_lost(struct mrdma_qp *qp)
{
	u32 losses = mrdma_chan_losses(mrdma_qp_dev(qp)->chan);

	lockdep_assert_held(&qp->lock);
	if (likely(qp->req.losses == losses))
		return false;
	qp->req.losses = losses;
	return !qp->av.loop;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Go-back-N of the requester: cursor and window after a loss, which gaps are losses, and when the
 * two timers run. Nothing is sent here: callers run the QP.
 */
#include <linux/jiffies.h>

#include "follow.h"
#include "requester.h"
#include "trace.h"

#define WINDOW_MIN_PKTS	16u

/* RNR timer field in microseconds (IBTA volume 1, table 45) */
static const u32 rnr_usecs[32] = {
	655360, 10, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480, 640, 960, 1280, 1920,
	2560, 3840, 5120, 7680, 10240, 15360, 20480, 30720, 40960, 61440, 81920, 122880,
	163840, 245760, 327680, 491520,
};

/* Moves the cursor to the oldest packet without acknowledgement. */
void mrdma_retry_seek(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;
	struct mrdma_sq *sq = &qp->sq;
	struct mrdma_swqe *w;

	req->psn = req->una;
	req->off = 0;
	req->rd_out = 0;
	req->rd_pkts = 0;
	req->noack_bytes = 0;
	for (sq->cur = sq->tail; sq->cur != sq->numbered; sq->cur++) {
		w = mrdma_swqe(sq, sq->cur);
		if (mos_psn_cmp(req->una, w->last_psn) <= 0) {
			req->off = mos_psn_diff(req->una, w->first_psn) * qp->mtu;
			break;
		}
	}
}

static void start_timer(struct mrdma_qp *qp, unsigned long when)
{
	qp->req.armed = true;
	mod_timer(&qp->timer, when);
}

void mrdma_retry_arm(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;
	u64 ns;

	if (!qp->attr.timeout || qp->dead)
		return;
	/*
	 * The specification allows one to four times the nominal time (9.7.6): twice
	 * at first, four times when that brought nothing. A peer may be software whose CPU
	 * is not scheduled for a while, and programs ask for as little as 67 ms.
	 */
	ns = (u64)(4096 * 2) << (qp->attr.timeout + (req->retry < qp->attr.retry_cnt));
	req->deadline = jiffies + nsecs_to_jiffies(ns) + 1;
	if (!req->armed)
		start_timer(qp, req->deadline);
}

/*
 * Everything unacknowledged will be sent again. Its round trip cannot be timed, and a gap in the
 * responses is no loss as long as responses to the first sending may still come.
 */
static void begin_again(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;

	trace_mrdma_retry(qp, false);
	req->gap = false;
	req->timing = false;
	req->gap_until = jiffies + max(2u, req->srtt / 4);
}

static void step_back(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;

	mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_RETRY, 1);
	begin_again(qp);
	req->went_back = true;
	/* all that was behind the loss went in vain: have less there next time */
	req->window = max(req->window / 2, WINDOW_MIN_PKTS * qp->mtu);
	mrdma_retry_seek(qp);
}

/*
 * Back to the oldest packet, as something in front of what came is missing. Of itself that costs
 * no retry: on a busy machine late answers would use up all of them within milliseconds. But
 * without progress it does not put off the timer either, which charges one each time that it
 * expires.
 */
void mrdma_retry_go_back(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;

	req->overdue = req->went_back;
	step_back(qp);
	if (!req->overdue)
		mrdma_retry_arm(qp);
	else if (qp->attr.timeout && !req->armed && !qp->dead)
		start_timer(qp, req->deadline);
}

/* No progress for the time of a retry; the counter runs out. */
static void timed_out(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;

	if (!mrdma_tx_unproven(qp)) {
		if (!req->retry) {
			mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_RETRY_EXCEEDED, 1);
			mrdma_sq_fail(qp, IB_WC_RETRY_EXC_ERR);
			return;
		}
		req->retry--;
	}
	req->overdue = false;
	step_back(qp);
	mrdma_retry_arm(qp);
}

/*
 * A gap in what comes back. After going back, what was under way before still arrives,
 * out of order by nature; to go back again for it would ask for everything once
 * more with every packet. So for two round trips gaps are only noted.
 */
void mrdma_retry_gap(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;

	mrdma_count(mrdma_qp_dev(qp), MRDMA_CNT_RCV_SEQ_ERR, 1);
	if (!time_before(jiffies, req->gap_until)) {
		mrdma_retry_go_back(qp);
		return;
	}
	if (!req->gap && !qp->dead) {
		req->gap = true;
		start_timer(qp, req->gap_until);
	}
}

void mrdma_retry_progress(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;

	if (req->timing) {
		u32 rtt = min_t(unsigned long, jiffies - req->sent_at, HZ);

		req->srtt += rtt - req->srtt / 8;
		req->timing = false;
	}
	req->retry = qp->attr.retry_cnt;
	req->went_back = false;
	req->overdue = false;
	req->gap = false;
	req->probing = false;
	req->window = min(req->window + req->window / 8, MRDMA_WINDOW_BYTES);
	if (req->una != req->max_psn)
		mrdma_retry_arm(qp);
}

/*
 * Goes back if what was in flight may be lost with the back OS. The peer is not to blame, neither
 * for that nor for its silence until the device noticed that the back was dead: the retry counter
 * is reloaded. Returns true if the QP has to run.
 */
bool mrdma_retry_after_outage(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;

	lockdep_assert_held(&qp->lock);
	if (!mrdma_tx_lost(qp) || req->una == req->max_psn)
		return false;
	begin_again(qp);
	req->retry = qp->attr.retry_cnt;
	/* nothing older is in flight: a NAK is about what is sent from now on */
	req->went_back = false;
	req->overdue = false;
	/* after an RNR NAK the RNR timer, which runs, will go back */
	if (req->rnr_wait)
		return false;
	mrdma_retry_seek(qp);
	mrdma_retry_arm(qp);
	return true;
}

/*
 * Returns true if the peer is not to blame for the time-out, as it did not get the packets: nothing
 * was sent since the cursor went back (the QP waits for its turn), they still lie in the ring (the
 * back takes nothing), or the back OS is being started again.
 */
static bool held_up(struct mrdma_qp *qp)
{
	return qp->req.psn == qp->req.una || mrdma_tx_holds(qp);
}

/* The retry timer has expired. Returns true if the QP has to run. */
bool mrdma_retry_expired(struct mrdma_qp *qp)
{
	struct mrdma_req *req = &qp->req;

	lockdep_assert_held(&qp->lock);
	req->armed = false;
	if (qp->dead || (qp->state != IB_QPS_RTS && qp->state != IB_QPS_SQD) ||
	    req->una == req->max_psn || req->rnr_wait)
		return false;
	if (mrdma_retry_after_outage(qp))
		return true;
	if (qp->attr.timeout && !time_before(jiffies, req->deadline)) {
		if (held_up(qp)) {
			/* what goes out next starts the time anew */
			req->overdue = false;
			mrdma_retry_arm(qp);
		} else {
			/* nobody may be there any more */
			mrdma_follow_broken(mrdma_qp_dev(qp));
			timed_out(qp);
		}
		return true;
	}
	if (req->gap && !time_before(jiffies, req->gap_until)) {
		/* noted, and nothing has filled it since */
		mrdma_retry_go_back(qp);
		return true;
	}
	if (qp->attr.timeout) {
		/* there was progress since it was started */
		start_timer(qp, req->gap && time_before(req->gap_until, req->deadline) ?
				req->gap_until : req->deadline);
	} else if (req->gap) {
		start_timer(qp, req->gap_until);
	}
	return false;
}

/* The time that the responder asked for is over. Returns true if the QP has to run. */
bool mrdma_retry_rnr_expired(struct mrdma_qp *qp)
{
	lockdep_assert_held(&qp->lock);
	if (qp->dead || !qp->req.rnr_wait)
		return false;
	qp->req.rnr_wait = false;
	mrdma_retry_seek(qp);
	mrdma_retry_arm(qp);
	return true;
}

/*
 * The responder had no receive request: wait as long as it asked for. What follows the refused
 * packet would go in vain as well, so that one goes out alone until it is acknowledged, and then
 * fewer than before.
 */
void mrdma_retry_rnr(struct mrdma_qp *qp, u8 code)
{
	if (qp->dead)
		return;
	trace_mrdma_retry(qp, true);
	qp->req.rnr_wait = true;
	qp->req.probing = true;
	qp->req.window = max(qp->req.window / 2, WINDOW_MIN_PKTS * qp->mtu);
	mod_timer(&qp->rnr_timer, jiffies + usecs_to_jiffies(rnr_usecs[code & 31]) + 1);
}

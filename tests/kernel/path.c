// SPDX-License-Identifier: GPL-2.0-or-later
/* Back OS, wire and way back, see path.h. */
#include "path.h"

/* as in guest-kmod-net-back/from_ring.c */
#define IN_FLIGHT_MAX	256
#define IN_FLIGHT_LOW	128
#define NAPI_BUDGET	64

#define JIFFY_US	(1000000 / HZ)
#define WIRE_OVERHEAD	62	/* bytes of a packet that a burst does not have */

static void back_poll(struct path *p)
{
	u32 work = 0, kept = 0;
	struct nic_pkt *pkt;

	while (work < NAPI_BUDGET) {
		p->paused = p->packets >= IN_FLIGHT_MAX;
		pkt = p->paused ? NULL : nic_next(p->front);
		if (!pkt)
			break;
		pkt->at = p->now;
		list_add_tail(&pkt->entry, &p->in_flight);
		p->packets += pkt->d.burst.nseg;
		work += pkt->d.burst.nseg;
		if (++kept == MOS_RELEASE_BATCH) {
			nic_release(p->front, kept);
			kept = 0;
		}
	}
	if (kept)
		nic_release(p->front, kept);
	/* a budget that is used up: polled again */
	p->front->bell.rung = work >= NAPI_BUDGET && !p->paused;
}

void path_softirq(struct path *p)
{
	do {
		p->tasklets += nic_work(p->front);
		if (p->front->bell.rung && !p->paused)
			back_poll(p);
		else
			break;
	} while (true);
}

void path_return(struct path *p, const struct nic_pkt *pkt)
{
	struct nic_pkt *c = nic_copy(pkt);

	p->rng = p->rng * 6364136223846793005ULL + 1442695040888963407ULL;
	c->at = p->now + p->delay + (p->delay ? (p->rng >> 33) % p->delay : 0);
	/* nothing overtakes */
	if (!list_empty(&p->returning))
		c->at = max(c->at, list_entry(p->returning.prev, struct nic_pkt, entry)->at);
	list_add_tail(&c->entry, &p->returning);
}

void path_to_peer(struct path *p, const struct nic_pkt *pkt)
{
	struct nic_pkt *answer;

	nic_deliver(p->peer, pkt);
	nic_end(p->peer);
	nic_work(p->peer);
	while ((answer = nic_take(p->peer))) {
		path_return(p, answer);
		nic_free(answer);
		nic_work(p->peer);
	}
}

static struct nic_pkt *first(struct list_head *l)
{
	return list_first_entry_or_null(l, struct nic_pkt, entry);
}

static u64 wire_us(const struct path *p, const struct nic_pkt *pkt)
{
	return (pkt->d.len + pkt->d.burst.nseg * WIRE_OVERHEAD) / p->rate + 1;
}

static void wire_done(struct path *p)
{
	struct nic_pkt *pkt = first(&p->in_flight);

	list_del(&pkt->entry);
	p->packets -= pkt->d.burst.nseg;
	p->bursts++;
	p->wire_bytes += pkt->d.len;
	p->arrive(p, pkt);
	nic_free(pkt);
	p->wire_done = 0;
	if (p->packets <= IN_FLIGHT_LOW && p->paused) {
		p->paused = false;
		p->front->bell.rung = true;
	}
}

static void step(struct path *p)
{
	struct nic_pkt *back = first(&p->returning), *out = first(&p->in_flight);
	u64 next = min(p->next_app, p->next_jiffy);

	if (out && !p->wire_done)
		p->wire_done = p->now + wire_us(p, out);
	if (out)
		next = min(next, p->wire_done);
	if (back)
		next = min(next, back->at);
	p->now = max(p->now, next);

	if (out && p->now >= p->wire_done) {
		wire_done(p);
	} else if (back && p->now >= back->at) {
		list_del(&back->entry);
		nic_receive(p->front, back);
		nic_free(back);
	} else if (p->now >= p->next_jiffy) {
		p->next_jiffy += JIFFY_US;
		jiffies++;
		nic_timers(p->front);
		nic_timers(p->peer);
		/* the link's slow clock, see main.c */
		if (jiffies % HZ == 0)
			mrdma_chan_bell(&p->front->front.chan);
	} else {
		p->next_app += PATH_APP_US;
		p->apps(p);
	}
	path_softirq(p);
}

void path_run(struct path *p, u64 us)
{
	u64 end = p->now + us;

	while (p->now < end)
		step(p);
}

void path_link(struct path *p, bool up)
{
	p->front->bell.rung = false;
	nic_link(p->front, up);
	path_softirq(p);
}

void path_init(struct path *p, struct nic *front, struct nic *peer, u32 rate, u32 delay)
{
	*p = (struct path){
		.front = front, .peer = peer, .rate = rate, .delay = delay, .rng = rate,
		.arrive = path_to_peer, .now = 1, .next_jiffy = JIFFY_US, .next_app = PATH_APP_US,
	};
	INIT_LIST_HEAD(&p->in_flight);
	INIT_LIST_HEAD(&p->returning);
}

void path_end(struct path *p)
{
	struct nic_pkt *pkt;

	while ((pkt = first(&p->in_flight)) || (pkt = first(&p->returning))) {
		list_del(&pkt->entry);
		nic_free(pkt);
	}
}

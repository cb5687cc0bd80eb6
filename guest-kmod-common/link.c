// SPDX-License-Identifier: GPL-2.0
/*
 * Link: maps the segment, lays out the own section, and runs the state machine of msr/link.h
 * from one work item. The link bell, mos_queue_fault() and a slow clock start it, so that a lost
 * bell costs time and nothing else.
 */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/io.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "link.h"

#define POLL_DOWN	(HZ / 10)
#define POLL_UP		HZ
#define RETRY_AFTER	HZ	/* one attach per second to a faulty or flapping peer */
#define LEAVE_TIMEOUT	500	/* ms; a live peer answers within one of its polls */
#define RING_LOG2	10

static const char *peer_name(const struct mos_link *link)
{
	return link->cfg.role == MSR_ROLE_FRONT ? "back OS" : "front OS";
}

static void tell_peer(struct mos_link *link)
{
	mos_bell_ring(link->bell, MSR_BELL_LINK);
}

static void bell_handler(void *arg, unsigned int n)
{
	struct mos_link *link = arg;

	if (n == MSR_BELL_LINK)
		mos_link_kick(link);
	else if (smp_load_acquire(&link->up))	/* partner: smp_store_release in go_up() */
		/* else there may be no poll yet; all are scheduled when it goes up */
		link->cfg.ops->bell(link, &link->queue[n - MSR_BELL_QUEUE(0)]);
}

struct mos_queue *mos_link_queue(struct mos_link *link, enum msr_channel channel,
				 unsigned int index)
{
	unsigned int i;

	for (i = 0; i < link->nr_queues; i++)
		if (link->queue[i].info.channel == channel && link->queue[i].info.index == index)
			return &link->queue[i];
	return NULL;
}

/* Cuts the own section: first page, index lines, descriptor rings, data areas. */
static void lay_out(struct mos_link *link)
{
	u64 section = link->cfg.size / 2;
	u32 share[] = {
		[MSR_CHAN_ETH]	= rounddown_pow_of_two(section / 4),
		[MSR_CHAN_ROCE]	= rounddown_pow_of_two(section / 2),
	};
	u32 off = MSR_PAGE;
	unsigned int i;
	u32 channel;

	for (channel = MSR_CHAN_ETH; channel <= MSR_CHAN_ROCE; channel++) {
		unsigned int nr = link->cfg.nr_queues[channel];

		for (i = 0; i < nr; i++) {
			struct mos_queue *q = &link->queue[link->nr_queues];

			q->link = link;
			q->nr = link->nr_queues++;
			q->info.channel = channel;
			q->info.index = i;
			q->info.ring_log2 = RING_LOG2;
			q->info.data_log2 = min_t(u32, ilog2(share[channel] / nr),
						  MSR_MAX_DATA_LOG2);
			q->info.prod_off = off;
			off += sizeof(struct msr_prod);
			q->info.cons_off = off;
			off += sizeof(struct msr_cons);
		}
	}
	off = ALIGN(off, MSR_PAGE);
	for (i = 0; i < link->nr_queues; i++) {
		link->queue[i].info.ring_off = off;
		off += ALIGN((u32)sizeof(struct msr_desc) << link->queue[i].info.ring_log2,
			     MSR_PAGE);
	}
	for (i = 0; i < link->nr_queues; i++) {
		link->queue[i].info.data_off = off;
		off += 1u << link->queue[i].info.data_log2;
	}
	link->mine.magic = MSR_MAGIC;
	link->mine.version = MSR_VERSION;
	link->mine.role = link->cfg.role;
	link->mine.segment_size = link->cfg.size;
	link->mine.nr_queues = link->nr_queues;
	for (i = 0; i < link->nr_queues; i++)
		link->mine.queue[i] = link->queue[i].info;
}

/* Returns true if the own section was overwritten: by a stray store, or by a resume from disk. */
static bool overwritten(const struct mos_link *link)
{
	const struct msr_section *own = link->own, *mine = &link->mine;

	return msr_load(&own->epoch) != link->state.epoch ||
	       msr_load(&own->peer_epoch) != link->state.peer_epoch ||
	       memcmp(own, mine, offsetof(struct msr_section, epoch)) ||
	       memchr_inv(own->reserved1, 0, sizeof(own->reserved1)) ||
	       memchr_inv(own->reserved2, 0, sizeof(own->reserved2)) ||
	       memcmp(own->queue, mine->queue, sizeof(own->queue));
}

/* Shows the table of MAC addresses to the peer, anew if something overwrote it. */
static void show_macs(struct mos_link *link)
{
	if (memcmp(&link->own->macs, &link->mine.macs, sizeof(link->mine.macs)))
		msr_copy_words(&link->own->macs, &link->mine.macs, sizeof(link->mine.macs));
}

void mos_link_set_mac(struct mos_link *link, unsigned int slot, u64 word)
{
	mutex_lock(&link->lock);
	msr_mac_set(&link->mine.macs, slot, word);
	show_macs(link);
	mutex_unlock(&link->lock);
}

static void reset_rings(struct mos_link *link)
{
	unsigned int i;

	for (i = 0; i < link->nr_queues; i++) {
		struct mos_queue *q = &link->queue[i];

		msr_tx_init(&q->tx, link->own, &q->info);
		msr_rx_init(&q->rx, link->own, &q->info);
	}
}

/* Starts from one standby state draw the same random numbers: the time makes epochs differ. */
static u32 fresh_epoch(u32 last)
{
	u32 epoch;

	do {
		epoch = get_random_u32() ^ (u32)ktime_get_ns();
	} while (!epoch || epoch == last);
	return epoch;
}

/* Leaves the present incarnation; with @again begins another. */
static void reset(struct mos_link *link, bool again)
{
	u32 last = link->state.epoch;
	unsigned int i;

	lockdep_assert_held(&link->lock);
	if (link->up) {
		WRITE_ONCE(link->up, false);
		link->cfg.ops->down(link);
		for (i = 0; i < link->nr_queues; i++)
			mos_queue_count_unread(&link->queue[i]);
		dev_info(link->cfg.dev, "link to the %s is down\n", peer_name(link));
		if (time_before(jiffies, link->up_at + RETRY_AFTER))
			link->retry_at = jiffies + RETRY_AFTER;
	}
	msr_link_reset(link->own, &link->state);
	/* A constant, written again as a stray store may have hit it. */
	msr_section_write(link->own, &link->mine);
	mos_bell_restore(link->bell);
	reset_rings(link);
	WRITE_ONCE(link->faulted, false);
	/* partner: atomic_cmpxchg in mos_queue_fault; nobody claims before the next up */
	atomic_set_release(&link->fault_claimed, 0);
	if (again)
		msr_link_fresh(link->own, &link->state, fresh_epoch(last));
	tell_peer(link);
}

static void refuse_peer(struct mos_link *link, u32 epoch, enum msr_fault fault)
{
	link->refused_epoch = epoch;
	link->retry_at = jiffies + RETRY_AFTER;
	link->faults++;
	msr_store(&link->own->broken, fault);
}

static void report_section(struct mos_link *link, enum msr_section_verdict verdict)
{
	const struct msr_section *s = &link->copy;
	struct device *dev = link->cfg.dev;
	const char *peer = peer_name(link);

	switch (verdict) {
	case MSR_SECTION_MAGIC:
		dev_err(dev, "shared segment: magic of the %s is %#llx, must be %#llx\n",
			peer, s->magic, MSR_MAGIC);
		break;
	case MSR_SECTION_VERSION:
		dev_err(dev, "shared segment: layout version %u in the %s, %u here: load modules of the same multios in both\n",
			s->version, peer, MSR_VERSION);
		break;
	case MSR_SECTION_ROLE:
		dev_err(dev, "shared segment: role of the %s is %u, must be %u\n", peer, s->role,
			MSR_ROLE_FRONT + MSR_ROLE_BACK - link->cfg.role);
		break;
	case MSR_SECTION_SIZE:
		dev_err(dev, "shared segment: size is %llu to the %s, %llu here\n",
			s->segment_size, peer, link->cfg.size);
		break;
	case MSR_SECTION_FEATURES:
		dev_err(dev, "shared segment: features %#x of the %s are not known here\n",
			s->features, peer);
		break;
	case MSR_SECTION_NR_QUEUES:
		dev_err(dev, "shared segment: the %s has %u queues, must have %u\n",
			peer, s->nr_queues, link->nr_queues);
		break;
	default:
		dev_err(dev, "shared segment: %s of the %s is out of its rules\n",
			msr_section_verdict_str(verdict), peer);
	}
}

static void attach(struct mos_link *link, const struct msr_link_peer *seen)
{
	enum msr_section_verdict verdict;
	unsigned int i;

	if (seen->epoch == link->refused_epoch || time_before(jiffies, link->retry_at))
		return;
	msr_section_copy(&link->copy, link->peer);
	/* The copy is valid only if the peer's epoch is the same after it. */
	smp_rmb();
	if (msr_load(&link->peer->epoch) != seen->epoch)
		return;
	verdict = msr_check_section(&link->copy, MSR_ROLE_FRONT + MSR_ROLE_BACK - link->cfg.role,
				    link->cfg.size);
	if (verdict == MSR_SECTION_OK)
		verdict = msr_check_join(&link->mine, &link->copy);
	if (verdict != MSR_SECTION_OK) {
		report_section(link, verdict);
		refuse_peer(link, seen->epoch, MSR_FAULT_SECTION);
		return;
	}
	for (i = 0; i < link->nr_queues; i++) {
		msr_tx_attach(&link->queue[i].tx, link->peer, &link->copy.queue[i]);
		msr_rx_attach(&link->queue[i].rx, link->peer, &link->copy.queue[i]);
	}
	msr_link_attach(link->own, &link->state, seen);
	tell_peer(link);
}

static void go_up(struct mos_link *link)
{
	link->state.up = true;
	link->refused_epoch = 0;
	link->ups++;
	link->up_at = jiffies;
	msr_store(&link->own->broken, MSR_FAULT_NONE);
	/* partner: smp_load_acquire in mos_link_usable() and bell_handler(); rings are attached */
	smp_store_release(&link->up, true);
	link->cfg.ops->up(link);
	tell_peer(link);
	dev_info(link->cfg.dev, "link to the %s is up\n", peer_name(link));
}

/* mos_queue_fault() has reported that the peer broke a rule of the ring. */
static void handle_fault(struct mos_link *link)
{
	u32 epoch = link->state.peer_epoch;

	/* indices of a peer that started over are no fault */
	if (msr_load(&link->peer->epoch) == epoch) {
		dev_err_ratelimited(link->cfg.dev, "the %s broke the rules of the ring, link goes down until it starts over: %s\n",
				    peer_name(link), link->fault_text);
		refuse_peer(link, epoch, link->fault);
	}
	reset(link, true);
}

/* Logs the peer's reason to refuse this side. */
static void report_broken(struct mos_link *link)
{
	u32 broken = msr_load(&link->peer->broken);

	if (broken == link->peer_broken)
		return;
	link->peer_broken = broken;
	if (broken)
		dev_warn_ratelimited(link->cfg.dev, "the %s refuses this side: fault %u, see its kernel log\n",
				     peer_name(link), broken);
}

/* One step of the state machine. Returns true if another one is due at once. */
static bool step(struct mos_link *link)
{
	struct msr_link_peer seen;

	lockdep_assert_held(&link->lock);
	/* partner: smp_store_release in mos_queue_fault */
	if (smp_load_acquire(&link->faulted)) {
		handle_fault(link);
		return true;
	}
	if (!msr_link_read(link->peer, &seen))
		return true;
	switch (msr_link_next(&link->state, &seen)) {
	case MSR_LINK_STAY:
		return false;
	case MSR_LINK_ATTACH:
		attach(link, &seen);
		return link->state.peer_epoch;
	case MSR_LINK_DETACH:
		msr_link_detach(link->own, &link->state);
		tell_peer(link);
		return true;
	case MSR_LINK_UP:
		go_up(link);
		return false;
	case MSR_LINK_DOWN:
		reset(link, true);
		return true;
	}
	return false;
}

/* A bell may get lost when the peer's CPU stalls between reading our word and its IPI. */
static void kick_all(struct mos_link *link)
{
	unsigned int i;

	for (i = 0; i < link->nr_queues; i++) {
		struct mos_queue *q = &link->queue[i];

		local_bh_disable();
		link->cfg.ops->bell(link, q);
		local_bh_enable();
	}
}

static void link_work(struct work_struct *work)
{
	struct mos_link *link = container_of(to_delayed_work(work), struct mos_link, work);
	int limit = 8;	/* steps for a peer whose words never stand still */

	mutex_lock(&link->lock);
	if (link->running) {
		/* With a link the next reset restores the section; without, nothing else does. */
		if (!link->up && overwritten(link)) {
			dev_warn_ratelimited(link->cfg.dev, "this side's part of the shared segment was overwritten: starting over\n");
			reset(link, true);
		}
		mos_bell_restore(link->bell);
		show_macs(link);
		while (step(link) && --limit)
			;
		if (!link->up)
			report_broken(link);
		else
			kick_all(link);
		queue_delayed_work(system_percpu_wq, &link->work, link->up ? POLL_UP : POLL_DOWN);
	}
	mutex_unlock(&link->lock);
}

void mos_link_peer_gone(struct mos_link *link)
{
	mutex_lock(&link->lock);
	/* Also if not up: the words left in its section may still name the present epoch. */
	if (link->running)
		reset(link, true);
	mutex_unlock(&link->lock);
	mos_link_kick(link);
}

int mos_link_init(struct mos_link *link, const struct mos_link_config *cfg)
{
	u64 half = cfg->size / 2;
	int err;

	memset(link, 0, sizeof(*link));
	mutex_init(&link->lock);
	INIT_DELAYED_WORK(&link->work, link_work);
	link->cfg = *cfg;
	link->retry_at = jiffies;
	if (!msr_check_segment_size(cfg->size)) {
		dev_err(cfg->dev, "shared segment of %llu bytes: must be %u to %u and a multiple of %u\n",
			cfg->size, MSR_SEGMENT_MIN, MSR_SEGMENT_MAX, 2 * MSR_PAGE);
		return -EINVAL;
	}
	lay_out(link);
	/* RAM of the machine that neither kernel counts among its own */
	link->segment = memremap(cfg->base, cfg->size, MEMREMAP_WB);
	if (!link->segment) {
		dev_err(cfg->dev, "shared segment at %pa cannot be mapped\n", &cfg->base);
		return -ENOMEM;
	}
	link->own = link->segment + (cfg->role == MSR_ROLE_FRONT ? 0 : half);
	link->peer = link->segment + (cfg->role == MSR_ROLE_FRONT ? half : 0);
	msr_link_reset(link->own, &link->state);
	memset(link->own, 0, MSR_PAGE);
	msr_section_write(link->own, &link->mine);
	reset_rings(link);

	link->bell = mos_bell_create(cfg->name, link->own->bell, link->peer->bell,
				     MSR_BELL_QUEUE(link->nr_queues), bell_handler, link);
	if (IS_ERR(link->bell)) {
		err = PTR_ERR(link->bell);
		dev_err(cfg->dev, "no doorbell interrupts (%pe)\n", link->bell);
		goto err_unmap;
	}
	return 0;

err_unmap:
	/* a bell that existed for a moment may have rung */
	cancel_delayed_work_sync(&link->work);
	memset(link->own, 0, MSR_PAGE);
	memunmap(link->segment);
	return err;
}

void mos_link_start(struct mos_link *link)
{
	mutex_lock(&link->lock);
	link->running = true;
	msr_link_fresh(link->own, &link->state, fresh_epoch(0));
	mutex_unlock(&link->lock);
	tell_peer(link);
	mos_link_kick(link);
}

void mos_link_stop(struct mos_link *link)
{
	unsigned int i;
	u32 epoch;

	mutex_lock(&link->lock);
	link->running = false;
	epoch = link->state.epoch;
	reset(link, false);
	mos_bell_retract(link->bell);
	mutex_unlock(&link->lock);

	/* A peer that is still attached may be about to ring: let it notice before vectors go. */
	for (i = 0; i < LEAVE_TIMEOUT / 10; i++) {
		if (msr_load(&link->peer->peer_epoch) != epoch)
			break;
		msleep(10);
	}
	msleep(10);
}

void mos_link_uninit(struct mos_link *link)
{
	mos_bell_destroy(link->bell);
	/* only now nothing can queue the work any more */
	cancel_delayed_work_sync(&link->work);
	/* The next incarnation must find nothing of this one. */
	memset(link->own, 0, MSR_PAGE);
	memunmap(link->segment);
}

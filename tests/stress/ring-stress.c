// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two sides on one memfd, as the two OSes are: link state, section check, two queue
 * pairs (frames and bursts), traffic both ways, checked byte by byte.
 *
 * A side that has nothing to do arms its rings and sleeps on an eventfd, the
 * doorbell, with no time limit: a lost wake-up never ends, and alarm() turns that
 * into a failure. At random moments a side restarts: it forgets all, takes a
 * fresh epoch, and the link has to come up again by itself.
 *
 *   ring-stress [--threads] [--count DESCRIPTORS] [--restarts N] [--seed N] [--seconds LIMIT]
 *
 * Two processes, or with --threads two threads that share the mapping (TSan).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <msr/check.h>
#include <msr/link.h>
#include <msr/ring.h>

#define SEGMENT		((__u64)MSR_SEGMENT_MIN)
#define SECTION		(SEGMENT / 2)
#define NR_QUEUES	2
#define RING_LOG2	5
#define MAX_HELD	12

static uint32_t count = 40000;		/* descriptors per queue, direction and incarnation */
static uint32_t restarts = 4;		/* of each side */
static uint64_t seed = 1;
static unsigned int limit = 60;		/* seconds */
static int bell_fd[2];

/* Behind the segment, for the test alone: the epochs in which a side has all it wants */
struct done {
	uint32_t own, peer;
};
static struct done *done_page;

/* Private state of side @me */
struct side {
	int me;
	__u8 *own;
	const __u8 *peer;
	struct msr_section *section;
	struct msr_section copy;	/* of the peer's first page */
	struct msr_link link;
	struct msr_link_peer seen;
	struct msr_tx tx[NR_QUEUES];
	struct msr_rx rx[NR_QUEUES];
	uint32_t sent[NR_QUEUES], received[NR_QUEUES], held[NR_QUEUES];
	bool tx_full[NR_QUEUES];
	uint64_t random;
	uint32_t restarts_left, restart_at, until_restart;
	uint64_t sleeps, bells, bytes, ups;
};

static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

static void __attribute__((format(printf, 2, 3), noreturn))
fail(const struct side *s, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "side %d: ", s->me);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	_exit(1);
}

/* Length and content of descriptor @n of a queue follow from the sender's epoch */
static uint64_t content_seed(uint32_t epoch, int queue, uint32_t n)
{
	return ((uint64_t)epoch << 32 | n) * 0x9e3779b97f4a7c15ULL + (uint64_t)queue * 77 + 1;
}

static uint32_t frame_len(uint64_t *state)
{
	uint64_t r = next_random(state);

	switch (r & 63) {
	case 0:
		return MSR_MAX_FRAME - (uint32_t)(r >> 8 & 255);
	case 1 ... 7:
		return MSR_MIN_FRAME + (uint32_t)((r >> 8) % 9000);
	default:
		return MSR_MIN_FRAME + (uint32_t)((r >> 8) % 200);
	}
}

static uint32_t make(struct msr_desc *d, int queue, uint64_t *state)
{
	uint64_t r;
	uint32_t payload;

	memset(d, 0, sizeof(*d));
	if (queue == 0) {
		d->type = MSR_DESC_FRAME;
		d->len = frame_len(state);
		return d->len;
	}
	r = next_random(state);
	d->type = MSR_DESC_BURST;
	d->hdr_len = MSR_MIN_BURST_HDR + 16;
	d->burst.ext_first = 16;
	if (r & 1) {
		d->burst.nseg = 1;
		payload = (uint32_t)(r >> 8 & 4095);
	} else {
		d->burst.seg_len = (__u16)(256u << (r >> 1 & 3));
		d->burst.nseg = (__u16)(2 + (r >> 8 & 15));
		payload = (d->burst.nseg - 1u) * d->burst.seg_len + 1 +
			  (uint32_t)(r >> 16) % d->burst.seg_len;
	}
	d->len = d->hdr_len + payload;
	return d->len;
}

static void write_content(__u8 *p, uint32_t len, uint64_t *state)
{
	uint64_t r;

	for (; len >= 8; p += 8, len -= 8) {
		r = next_random(state);
		memcpy(p, &r, 8);
	}
	r = next_random(state);
	memcpy(p, &r, len);
}

static bool same_content(const __u8 *p, uint32_t len, uint64_t *state)
{
	uint64_t r;

	for (; len >= 8; p += 8, len -= 8) {
		r = next_random(state);
		if (memcmp(p, &r, 8))
			return false;
	}
	r = next_random(state);
	return !memcmp(p, &r, len);
}

static void ring_bell(struct side *s)
{
	uint64_t one = 1;

	s->bells++;
	if (write(bell_fd[!s->me], &one, sizeof(one)) != sizeof(one))
		fail(s, "doorbell: %s", strerror(errno));
}

static void sleep_until_bell(struct side *s)
{
	uint64_t n;

	s->sleeps++;
	if (read(bell_fd[s->me], &n, sizeof(n)) != sizeof(n))
		fail(s, "sleep: %s", strerror(errno));
}

static void start(struct side *s)
{
	struct msr_section table = {
		.magic = MSR_MAGIC,
		.version = MSR_VERSION,
		.role = s->me ? MSR_ROLE_BACK : MSR_ROLE_FRONT,
		.segment_size = SEGMENT,
		.nr_queues = NR_QUEUES,
	};
	uint32_t off = MSR_PAGE;
	uint32_t epoch;
	int q;

	msr_link_reset(s->section, &s->link);
	for (q = 0; q < NR_QUEUES; q++) {
		struct msr_queue_info *i = &table.queue[q];

		i->channel = q ? MSR_CHAN_ROCE : MSR_CHAN_ETH;
		i->ring_log2 = RING_LOG2;
		i->ring_off = off;
		off += (uint32_t)sizeof(struct msr_desc) << RING_LOG2;
		i->prod_off = off;
		off += sizeof(struct msr_prod);
		i->cons_off = off;
		off += sizeof(struct msr_cons);
		i->data_off = off;
		i->data_log2 = MSR_MIN_DATA_LOG2;
		off += 1u << MSR_MIN_DATA_LOG2;
		msr_tx_init(&s->tx[q], s->own, i);
		msr_rx_init(&s->rx[q], s->own, i);
		s->sent[q] = s->received[q] = s->held[q] = 0;
		s->tx_full[q] = false;
	}
	msr_section_write(s->section, &table);
	do {
		epoch = (uint32_t)(next_random(&s->random) >> 16);
	} while (!epoch);
	/* one in four while the link is coming up, the others anywhere in the traffic */
	s->until_restart = 0;
	if (s->restarts_left)
		s->until_restart = 1 + (uint32_t)next_random(&s->random) %
				   (next_random(&s->random) & 3 ? s->restart_at : 8);
	msr_link_fresh(s->section, &s->link, epoch);
	ring_bell(s);
}

static void attach(struct side *s)
{
	struct msr_link_peer again;
	enum msr_section_verdict v;
	int q;

	msr_section_copy(&s->copy, (const struct msr_section *)s->peer);
	v = msr_check_section(&s->copy, s->me ? MSR_ROLE_FRONT : MSR_ROLE_BACK, SEGMENT);
	if (v == MSR_SECTION_OK)
		v = msr_check_join(s->section, &s->copy);
	/* the peer restarted while we copied: look again */
	if (!msr_link_read((const struct msr_section *)s->peer, &again) ||
	    again.epoch != s->seen.epoch)
		return;
	if (v != MSR_SECTION_OK)
		fail(s, "peer's section: %s", msr_section_verdict_str(v));
	for (q = 0; q < NR_QUEUES; q++) {
		msr_tx_attach(&s->tx[q], s->peer, &s->copy.queue[q]);
		msr_rx_attach(&s->rx[q], s->peer, &s->copy.queue[q]);
	}
	msr_link_attach(s->section, &s->link, &s->seen);
	ring_bell(s);
}

/* True: something changed, look again */
static bool link_task(struct side *s)
{
	if (!msr_link_read((const struct msr_section *)s->peer, &s->seen))
		return true;
	switch (msr_link_next(&s->link, &s->seen)) {
	case MSR_LINK_STAY:
		return false;
	case MSR_LINK_ATTACH:
		attach(s);
		return true;
	case MSR_LINK_DETACH:
		msr_link_detach(s->section, &s->link);
		ring_bell(s);
		return true;
	case MSR_LINK_UP:
		s->link.up = true;
		s->ups++;
		return true;
	case MSR_LINK_DOWN:
		start(s);
		return true;
	}
	return false;
}

/* A ring or its content is wrong: unless the peer restarted just now, that is a failure */
static bool restarted(struct side *s)
{
	struct msr_link_peer v;

	return !msr_link_read((const struct msr_section *)s->peer, &v) ||
	       v.epoch != s->link.peer_epoch || v.peer_epoch != s->link.epoch;
}

/* With @last the side may turn to something else: its look at the event is the one that counts. */
static void release(struct side *s, int q, uint32_t n, bool last)
{
	if (n)
		msr_rx_release(&s->rx[q], n);
	s->held[q] -= n;
	if (last ? msr_rx_need_bell(&s->rx[q]) : msr_rx_need_bell_already(&s->rx[q]))
		ring_bell(s);
}

/* Returns descriptors handled, -1: the link is gone */
static int receive(struct side *s, int q)
{
	uint32_t budget = 1 + (uint32_t)(next_random(&s->random) & 31);
	int done = 0;

	while (budget-- && s->received[q] < count) {
		uint64_t state = content_seed(s->link.peer_epoch, q, s->received[q]);
		struct msr_desc d, want;
		enum msr_result result = msr_rx_next(&s->rx[q], &d);

		if (result == MSR_EMPTY)
			break;
		if (result != MSR_OK) {
			if (restarted(s))
				return -1;
			fail(s, "queue %d, descriptor %u: result %d", q, s->received[q], result);
		}
		make(&want, q, &state);
		want.off = d.off;
		if (memcmp(&d, &want, sizeof(d)) ||
		    !same_content(s->rx[q].data + d.off, d.len, &state)) {
			if (restarted(s))
				return -1;
			fail(s, "queue %d, descriptor %u of %u bytes: wrong content", q,
			     s->received[q], d.len);
		}
		s->bytes += d.len;
		s->received[q]++;
		s->held[q]++;
		done++;
		if (s->held[q] >= MAX_HELD || !(next_random(&s->random) & 7))
			release(s, q, 1 + (uint32_t)next_random(&s->random) % s->held[q], false);
	}
	release(s, q, 0, true);
	return done;
}

static int transmit(struct side *s, int q)
{
	uint32_t budget = 1 + (uint32_t)(next_random(&s->random) & 31);
	int done = 0;

	s->tx_full[q] = false;
	while (budget-- && s->sent[q] < count) {
		uint64_t state = content_seed(s->link.epoch, q, s->sent[q]);
		enum msr_result result;
		struct msr_desc d;
		uint32_t len = make(&d, q, &state);
		__u8 *data = msr_tx_reserve(&s->tx[q], len, &d.off, &result);

		if (!data) {
			if (result == MSR_EMPTY) {
				s->tx_full[q] = true;
				break;
			}
			if (result == MSR_BAD_INDEX && restarted(s))
				return -1;
			fail(s, "queue %d, reserve %u bytes: result %d", q, len, result);
		}
		write_content(data, len, &state);
		msr_tx_commit(&s->tx[q], &d);
		s->sent[q]++;
		done++;
		if (!(next_random(&s->random) & 3))
			msr_tx_publish(&s->tx[q]);
	}
	msr_tx_publish(&s->tx[q]);
	if (msr_tx_need_bell(&s->tx[q]))
		ring_bell(s);
	return done;
}

/* False: there is something to do after all */
static bool arm(struct side *s)
{
	enum msr_result result;
	bool idle = true;
	int q;

	for (q = 0; q < NR_QUEUES; q++) {
		release(s, q, s->held[q], true);
		if (s->received[q] < count) {
			result = msr_rx_arm(&s->rx[q]);
			if (result == MSR_OK)
				idle = false;
			else if (result != MSR_EMPTY && !restarted(s))
				fail(s, "queue %d: receive arm: result %d", q, result);
		}
		if (s->tx_full[q]) {
			result = msr_tx_arm(&s->tx[q],
					    1 + (uint32_t)(next_random(&s->random) & 15));
			if (result == MSR_OK)
				idle = false;
			else if (result != MSR_EMPTY && !restarted(s))
				fail(s, "queue %d: send arm: result %d", q, result);
		}
	}
	return idle;
}

static bool complete(const struct side *s)
{
	int q;

	if (!s->link.up)
		return false;
	for (q = 0; q < NR_QUEUES; q++)
		if (s->sent[q] < count || s->received[q] < count || s->held[q])
			return false;
	return true;
}

/* All is sent and received for this pair of incarnations: true when the peer says so, too */
static bool announce(struct side *s)
{
	struct done *own = &done_page[s->me], *peer = &done_page[!s->me];

	if (msr_load(&own->own) != s->link.epoch || msr_load(&own->peer) != s->link.peer_epoch) {
		msr_store(&own->peer, s->link.peer_epoch);
		msr_store_release(&own->own, s->link.epoch);
		ring_bell(s);
	}
	return msr_load_acquire(&peer->own) == s->link.peer_epoch &&
	       msr_load(&peer->peer) == s->link.epoch;
}

static void *run(void *arg)
{
	struct side *s = arg;
	int q, n, done;

	start(s);
	/* a side that is done stays: the other may restart and want it all again */
	for (;;) {
		if (link_task(s))
			continue;
		if (s->until_restart && !--s->until_restart) {
			s->restarts_left--;
			start(s);
			continue;
		}
		done = 0;
		for (q = 0; s->link.up && q < NR_QUEUES; q++) {
			n = receive(s, q);
			if (n >= 0) {
				done += n;
				n = transmit(s, q);
			}
			if (n < 0)
				break;
			done += n;
		}
		if (done)
			continue;
		if (s->link.up && !arm(s))
			continue;
		if (complete(s)) {
			if (s->until_restart)
				continue;	/* nobody would wake us for it */
			if (announce(s))
				break;
		}
		if (link_task(s))
			continue;
		sleep_until_bell(s);
	}
	fprintf(stderr, "side %d: %llu MiB checked, link up %llu times, %llu sleeps, %llu bells\n",
		s->me, (unsigned long long)s->bytes >> 20, (unsigned long long)s->ups,
		(unsigned long long)s->sleeps, (unsigned long long)s->bells);
	return NULL;
}

static void usage(FILE *f)
{
	fprintf(f, "usage: ring-stress [--threads] [--count DESCRIPTORS] [--restarts N] [--seed N] [--seconds LIMIT]\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "threads", no_argument, NULL, 't' },
		{ "count", required_argument, NULL, 'n' },
		{ "restarts", required_argument, NULL, 'r' },
		{ "seed", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct side side[2];
	bool threads = false;
	pthread_t thread[2];
	pid_t child;
	int fd, i, opt, status;
	__u8 *base;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 't':
			threads = true;
			break;
		case 'n':
			count = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'r':
			restarts = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'l':
			limit = (unsigned int)strtoul(optarg, NULL, 0);
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}

	fd = memfd_create("ring-stress", MFD_CLOEXEC);
	bell_fd[0] = eventfd(0, EFD_CLOEXEC);
	bell_fd[1] = eventfd(0, EFD_CLOEXEC);
	if (fd < 0 || bell_fd[0] < 0 || bell_fd[1] < 0 || ftruncate(fd, SEGMENT + MSR_PAGE)) {
		perror("ring-stress");
		return 1;
	}
	child = threads ? 0 : fork();
	if (child < 0) {
		perror("ring-stress: fork");
		return 1;
	}
	alarm(limit);	/* not inherited: each process has its own */
	base = mmap(NULL, SEGMENT + MSR_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED) {
		perror("ring-stress: mmap");
		return 1;
	}
	done_page = (struct done *)(base + SEGMENT);
	for (i = 0; i < 2; i++) {
		side[i].me = i;
		side[i].own = base + i * SECTION;
		side[i].peer = base + !i * SECTION;
		side[i].section = (struct msr_section *)side[i].own;
		side[i].random = (seed * 2 + (uint64_t)i) * 0x9e3779b97f4a7c15ULL | 1;
		side[i].restarts_left = restarts;
		side[i].restart_at = count / 16 + 1;
	}
	if (threads) {
		for (i = 0; i < 2; i++) {
			if (pthread_create(&thread[i], NULL, run, &side[i])) {
				perror("ring-stress: thread");
				return 1;
			}
		}
		for (i = 0; i < 2; i++)
			pthread_join(thread[i], NULL);
	} else {
		run(&side[child ? 0 : 1]);
		if (!child)
			return 0;
		if (waitpid(child, &status, 0) != child || status) {
			fprintf(stderr, "ring-stress: the other process ended with status 0x%x\n", status);
			return 1;
		}
	}
	return 0;
}

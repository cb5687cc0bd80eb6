// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Native speed of the shared ring beside DPDK's rte_ring (SPSC mode) and a textbook
 * SPSC queue: equal element size and capacity, two pinned threads, all
 * variants in turn in each round. Prints; judges nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <msr/ring.h>

#ifdef HAVE_RTE_RING
#include <rte_ring.h>
#include <rte_ring_peek_zc.h>
#endif

#define RING_LOG2	10
#define RING_SIZE	(1u << RING_LOG2)
#define DATA_LOG2	MSR_MIN_DATA_LOG2
#define MAX_BURST	32
#define MAX_ROUNDS	1001
#define FRAME_LEN	64
#define RELEASE_BATCH	16	/* MOS_RELEASE_BATCH */
#define BUDGET		64	/* of a poll */

struct plain {
	_Alignas(64) _Atomic uint32_t head;
	_Alignas(64) _Atomic uint32_t tail;
	_Alignas(64) struct msr_desc slot[RING_SIZE];
};

static struct plain *plain;
/* in memory and each on lines of its own, as in struct mos_queue */
static _Alignas(64) struct msr_tx tx;
static _Alignas(64) struct msr_rx rx;
#ifdef HAVE_RTE_RING
static struct rte_ring *rte;
#endif

static uint32_t count = 256u << 10;	/* elements a run */
static pthread_barrier_t barrier;
static int consumer_cpu = 1;

static inline void idle(unsigned int *spins)
{
	/* the host may run something else on the peer's core */
	if (++*spins % 4096)
		__builtin_ia32_pause();
	else
		sched_yield();
}

/* Fields that a producer of ours fills in, whatever the ring */
static inline void fill(struct msr_desc *d, uint32_t off, uint32_t n)
{
	d->off = off;
	d->len = FRAME_LEN;
	d->type = MSR_DESC_FRAME;
	d->flags = 0;
	d->hdr_len = 0;
	d->reserved = 0;
	d->frame = (struct msr_frame){ .hash = n };
}

static inline void consume(const struct msr_desc *d, uint32_t n)
{
	if (d->frame.hash != n) {
		fprintf(stderr, "ring-bench: element %u holds %u\n", n, d->frame.hash);
		_exit(1);
	}
}

/* textbook: two atomics, no cached index, no data area, no check */

static void plain_reset(void)
{
	atomic_store(&plain->head, 0);
	atomic_store(&plain->tail, 0);
}

static __attribute__((always_inline)) inline void plain_send(uint32_t burst)
{
	unsigned int spins = 0;
	uint32_t n, i;

	for (n = 0; n < count; n += burst) {
		uint32_t head = atomic_load_explicit(&plain->head, memory_order_relaxed);

		while (head + burst - atomic_load_explicit(&plain->tail, memory_order_acquire) >
		       RING_SIZE)
			idle(&spins);
		for (i = 0; i < burst; i++)
			fill(&plain->slot[(head + i) % RING_SIZE], 0, n + i);
		atomic_store_explicit(&plain->head, head + burst, memory_order_release);
	}
}

static __attribute__((always_inline)) inline void plain_receive(uint32_t burst)
{
	unsigned int spins = 0;
	uint32_t n = 0, i;

	while (n < count) {
		uint32_t tail = atomic_load_explicit(&plain->tail, memory_order_relaxed);
		uint32_t have = atomic_load_explicit(&plain->head, memory_order_acquire) - tail;
		struct msr_desc d;

		if (!have) {
			idle(&spins);
			continue;
		}
		if (have > burst)
			have = burst;
		for (i = 0; i < have; i++) {
			d = plain->slot[(tail + i) % RING_SIZE];
			consume(&d, n + i);
		}
		n += have;
		atomic_store_explicit(&plain->tail, tail + have, memory_order_release);
	}
}

/* ours */

static void *section[2];
static const struct msr_queue_info info = {
	.channel = MSR_CHAN_ETH,
	.ring_log2 = RING_LOG2,
	.ring_off = MSR_PAGE,
	.prod_off = MSR_PAGE - sizeof(struct msr_prod) - sizeof(struct msr_cons),
	.cons_off = MSR_PAGE - sizeof(struct msr_cons),
	.data_off = MSR_PAGE + RING_SIZE * sizeof(struct msr_desc),
	.data_log2 = DATA_LOG2,
};

static void msr_reset(void)
{
	msr_tx_init(&tx, section[0], &info);
	msr_rx_init(&rx, section[1], &info);
	msr_tx_attach(&tx, section[1], &info);
	msr_rx_attach(&rx, section[0], &info);
}

/*
 * Makes the modules' calls: for each descriptor those of mos_eth_xmit() and mrdma_tx_send(), for
 * each burst those of mos_queue_publish().
 */
static __attribute__((always_inline)) inline void msr_send(uint32_t burst)
{
	unsigned int spins = 0;
	uint32_t n, i, bells = 0;

	for (n = 0; n < count; n += burst) {
		for (i = 0; i < burst; i++) {
			enum msr_result result;
			struct msr_desc d;
			uint32_t off;

			while (msr_unlikely(!msr_tx_reserve(&tx, FRAME_LEN, &off, &result))) {
				if (result != MSR_EMPTY)
					_exit(1);
				msr_tx_publish(&tx);
				idle(&spins);
			}
			fill(&d, off, n + i);
			msr_tx_commit(&tx, &d);
		}
		msr_tx_publish(&tx);
		bells += msr_tx_need_bell(&tx);
	}
	if (bells)
		fprintf(stderr, "ring-bench: %u bells for a consumer that never sleeps\n", bells);
}

static void broken(enum msr_result result)
{
	fprintf(stderr, "ring-bench: result %d\n", result);
	_exit(1);
}

/* As mos_queue_poll(), but without its sleep; the same for each burst of the producer */
static inline uint32_t msr_poll(uint32_t *n, uint32_t *bells)
{
	enum msr_result result = MSR_OK;
	uint32_t work = 0, kept = 0;
	struct msr_desc d;

	while (work < BUDGET) {
		result = msr_rx_next(&rx, &d);
		if (result != MSR_OK)
			break;
		consume(&d, (*n)++);
		work++;
		if (++kept == RELEASE_BATCH) {
			msr_rx_release(&rx, kept);
			*bells += msr_rx_need_bell_already(&rx);
			kept = 0;
		}
	}
	if (kept)
		msr_rx_release(&rx, kept);
	*bells += msr_rx_need_bell(&rx);
	if (msr_unlikely(result < 0))
		broken(result);
	return work;
}

static void msr_receive(void)
{
	uint32_t n = 0, bells = 0;
	unsigned int spins = 0;

	while (n < count) {
		if (!msr_poll(&n, &bells))
			idle(&spins);
	}
	if (bells)
		fprintf(stderr, "ring-bench: %u bells for a producer that never sleeps\n", bells);
}

#ifdef HAVE_RTE_RING
static void rte_reset(void)
{
	rte_ring_reset(rte);
}

/* Set by a peer before it sleeps, if it ever did, which then looks at the ring once more */
static struct {
	_Alignas(64) _Atomic bool consumer;
	_Alignas(64) _Atomic bool producer;
} sleeps;

/* What a peer that may sleep costs a side that has just stored its index. */
static inline uint32_t wakes(const _Atomic bool *peer_sleeps)
{
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load_explicit(peer_sleeps, memory_order_relaxed);
}

static __attribute__((always_inline)) inline void rte_send(uint32_t burst, bool may_sleep)
{
	struct msr_desc d[MAX_BURST];
	unsigned int spins = 0;
	uint32_t n, i, bells = 0;

	for (n = 0; n < count; n += burst) {
		for (i = 0; i < burst; i++)
			fill(&d[i], 0, n + i);
		while (!rte_ring_sp_enqueue_bulk_elem(rte, d, sizeof(d[0]), burst, NULL))
			idle(&spins);
		if (may_sleep)
			bells += wakes(&sleeps.consumer);
	}
	if (bells)
		_exit(1);
}

static __attribute__((always_inline)) inline void rte_receive(uint32_t burst, bool may_sleep)
{
	struct msr_desc d[MAX_BURST];
	uint32_t n = 0, i, have, bells = 0;
	unsigned int spins = 0;

	while (n < count) {
		have = rte_ring_sc_dequeue_burst_elem(rte, d, sizeof(d[0]), burst, NULL);
		if (!have)
			idle(&spins);
		for (i = 0; i < have; i++)
			consume(&d[i], n + i);
		n += have;
		if (may_sleep && have)
			bells += wakes(&sleeps.producer);
	}
	if (bells)
		_exit(1);
}

static __attribute__((always_inline)) inline void rte_zc_send(uint32_t burst)
{
	struct rte_ring_zc_data zc;
	unsigned int spins = 0;
	uint32_t n, i;

	for (n = 0; n < count; n += burst) {
		struct msr_desc *a, *b;

		while (!rte_ring_enqueue_zc_bulk_elem_start(rte, sizeof(*a), burst, &zc, NULL))
			idle(&spins);
		a = zc.ptr1;
		b = zc.ptr2;
		for (i = 0; i < burst; i++)
			fill(i < zc.n1 ? &a[i] : &b[i - zc.n1], 0, n + i);
		rte_ring_enqueue_zc_elem_finish(rte, burst);
	}
}

static __attribute__((always_inline)) inline void rte_zc_receive(uint32_t burst)
{
	struct rte_ring_zc_data zc;
	unsigned int spins = 0;
	uint32_t n = 0, i, have;

	while (n < count) {
		struct msr_desc *a, *b, d;

		have = rte_ring_dequeue_zc_burst_elem_start(rte, sizeof(*a), burst, &zc, NULL);
		if (!have) {
			idle(&spins);
			continue;
		}
		a = zc.ptr1;
		b = zc.ptr2;
		for (i = 0; i < have; i++) {
			d = i < zc.n1 ? a[i] : b[i - zc.n1];
			consume(&d, n + i);
		}
		rte_ring_dequeue_zc_elem_finish(rte, have);
		n += have;
	}
}
#endif

/* burst sizes are constants to the compiler, as they are in every variant's callers */
#define BOTH(name, send1, recv1, send32, recv32)				\
	static void name##_send_1(void) { send1; }				\
	static void name##_recv_1(void) { recv1; }				\
	static void name##_send_32(void) { send32; }				\
	static void name##_recv_32(void) { recv32; }

BOTH(plain, plain_send(1), plain_receive(1), plain_send(32), plain_receive(32))
BOTH(msr, msr_send(1), msr_receive(), msr_send(32), msr_receive())
#ifdef HAVE_RTE_RING
BOTH(rte, rte_send(1, false), rte_receive(1, false), rte_send(32, false), rte_receive(32, false))
BOTH(rte_bell, rte_send(1, true), rte_receive(1, true), rte_send(32, true), rte_receive(32, true))
BOTH(rte_zc, rte_zc_send(1), rte_zc_receive(1), rte_zc_send(32), rte_zc_receive(32))
#endif

static struct variant {
	const char *name;
	int burst;		/* the producer's */
	void (*reset)(void);
	void (*send)(void);
	void (*receive)(void);
	double ns[MAX_ROUNDS];
} variants[] = {
#define VARIANT(text, name, reset)						\
	{ text, 1, reset, name##_send_1, name##_recv_1, { 0 } },		\
	{ text, 32, reset, name##_send_32, name##_recv_32, { 0 } }
#ifdef HAVE_RTE_RING
	VARIANT("rte_ring", rte, rte_reset),
	VARIANT("rte_ring, peer may sleep", rte_bell, rte_reset),
	VARIANT("rte_ring, zero copy", rte_zc, rte_reset),
#endif
	VARIANT("textbook SPSC", plain, plain_reset),
	VARIANT("msr", msr, msr_reset),
};

#define NR_VARIANTS (sizeof(variants) / sizeof(variants[0]))

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		fprintf(stderr, "ring-bench: cannot pin to CPU %d\n", cpu);
}

static const char *only;	/* variants whose name holds this; the first is always measured */

static bool wanted(const struct variant *v)
{
	return v < &variants[2] || !only || strstr(v->name, only);
}

static int rounds = 21;

static void *consumer(void *arg)
{
	unsigned int v;
	int r;

	(void)arg;
	pin(consumer_cpu);
	for (r = 0; r < rounds; r++) {
		for (v = 0; v < NR_VARIANTS; v++) {
			if (!wanted(&variants[v]))
				continue;
			pthread_barrier_wait(&barrier);
			variants[v].receive();
			pthread_barrier_wait(&barrier);
		}
	}
	return NULL;
}

static int cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static void *zalloc(size_t align, size_t size)
{
	void *p = aligned_alloc(align, (size + align - 1) / align * align);

	if (!p) {
		perror("ring-bench");
		exit(1);
	}
	memset(p, 0, size);
	return p;
}

static void usage(FILE *f)
{
	fprintf(f, "usage: ring-bench [--rounds N] [--count ELEMENTS] [--cpus P,C] [--only TEXT]\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "count", required_argument, NULL, 'n' },
		{ "cpus", required_argument, NULL, 'c' },
		{ "only", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int producer_cpu = 0, opt, r;
	pthread_t thread;
	unsigned int v;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'r':
			rounds = atoi(optarg);
			break;
		case 'n':
			count = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'c':
			if (sscanf(optarg, "%d,%d", &producer_cpu, &consumer_cpu) == 2)
				break;
			usage(stderr);
			return 2;
		case 'o':
			only = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (rounds < 1 || rounds > MAX_ROUNDS || count < MAX_BURST) {
		fprintf(stderr, "ring-bench: --rounds 1..%d, --count %d or more\n",
			MAX_ROUNDS, MAX_BURST);
		return 2;
	}
	count -= count % MAX_BURST;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		fprintf(stderr, "ring-bench: needs two CPUs\n");
		return 77;
	}

	plain = zalloc(64, sizeof(*plain));
	section[0] = zalloc(MSR_PAGE, MSR_SEGMENT_MIN / 2);
	section[1] = zalloc(MSR_PAGE, MSR_SEGMENT_MIN / 2);
#ifdef HAVE_RTE_RING
	/*
	 * as many usable elements as the others: rte_ring keeps one slot free unless told the exact
	 * number
	 */
	rte = zalloc(64, (size_t)rte_ring_get_memsize_elem(sizeof(struct msr_desc), 2 * RING_SIZE));
	if (rte_ring_init(rte, "bench", RING_SIZE, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ)) {
		fprintf(stderr, "ring-bench: rte_ring_init failed\n");
		return 1;
	}
#else
	fprintf(stderr, "ring-bench: built without DPDK, no rte_ring figures\n");
#endif

	pthread_barrier_init(&barrier, NULL, 2);
	if (pthread_create(&thread, NULL, consumer, NULL)) {
		perror("ring-bench");
		return 1;
	}
	pin(producer_cpu);
	for (r = 0; r < rounds; r++) {
		for (v = 0; v < NR_VARIANTS; v++) {
			double start;

			if (!wanted(&variants[v]))
				continue;
			variants[v].reset();
			pthread_barrier_wait(&barrier);
			start = now();
			variants[v].send();
			pthread_barrier_wait(&barrier);
			variants[v].ns[r] = (now() - start) / count;
		}
	}
	pthread_join(thread, NULL);

	printf("%u elements of %zu bytes, capacity %u, %d rounds, CPUs %d -> %d, ns per element\n\n",
	       count, sizeof(struct msr_desc), RING_SIZE, rounds, producer_cpu, consumer_cpu);
	printf("| %-24s | burst |    min | median | min / rte_ring | median / rte_ring |\n", "queue");
	printf("| ------------------------ | ----: | -----: | -----: | -------------: | ----------------: |\n");
	for (v = 0; v < NR_VARIANTS; v++) {
		const struct variant *ref = &variants[variants[v].burst == 32];
		struct variant *x = &variants[v];

		if (!wanted(x))
			continue;
		qsort(x->ns, (size_t)rounds, sizeof(x->ns[0]), cmp);
		printf("| %-24s | %5d | %6.2f | %6.2f |", x->name, x->burst, x->ns[0],
		       x->ns[rounds / 2]);
		if (strcmp(ref->name, "rte_ring"))
			printf(" %14s | %17s |\n", "-", "-");
		else
			printf(" %14.2f | %17.2f |\n", x->ns[0] / ref->ns[0],
			       x->ns[rounds / 2] / ref->ns[rounds / 2]);
	}
	return 0;
}

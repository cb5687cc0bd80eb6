// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The one race of the doorbell, again and again: at the same moment one side arms to sleep and the
 * other publishes (or releases) and asks whether to ring. Both may see the other; that neither does
 * must never happen. Without either of the two full barriers it does, within a few thousand rounds,
 * on any two cores.
 *
 *   bell-litmus [--seconds N]
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../unit/pair.h"

static struct pair pair;
static _Atomic uint32_t go[2];		/* rounds that a side has arrived at */
static _Atomic bool stop;
static bool rings;			/* what the ringer found, in this round */
static bool broken;

static void meet(int me, uint32_t round)
{
	unsigned int spins = 0;

	atomic_store_explicit(&go[me], round, memory_order_release);
	while ((int32_t)(atomic_load_explicit(&go[!me], memory_order_acquire) - round) < 0) {
		if (++spins > 20000) {
			sched_yield();	/* the other has no core now */
			spins = 0;
		}
	}
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* only for speed: it holds wherever the two run */
	(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* Two meetings a round: before the race, and when both results are there */
static void *ringer(void *arg)
{
	uint32_t round = 0;

	(void)arg;
	pin(1);
	while (!atomic_load(&stop)) {
		/* data: a descriptor appears */
		struct msr_desc d = pair_frame(0, MSR_MIN_FRAME);
		enum msr_result result;
		__u32 off;

		if (!msr_tx_reserve(&pair.tx, MSR_MIN_FRAME, &off, &result))
			abort();
		msr_tx_commit(&pair.tx, &d);
		meet(1, ++round);
		msr_tx_publish(&pair.tx);
		rings = msr_tx_need_bell(&pair.tx);
		meet(1, ++round);

		/* space: the sleeper, as consumer, has it; now this side waits for room */
		meet(1, ++round);
		result = msr_tx_arm(&pair.tx, 1);
		if (result != MSR_OK && result != MSR_EMPTY)
			abort();
		rings = result == MSR_OK;
		meet(1, ++round);
		meet(1, ++round);
		(void)!msr_tx_reclaim(&pair.tx);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	uint32_t round = 0, n = 0, asleep = 0;
	int seconds = argc == 3 && !strcmp(argv[1], "--seconds") ? atoi(argv[2]) : 3;
	enum msr_result result;
	struct msr_desc d;
	pthread_t thread;
	time_t end;
	bool need;

	pair_init_at(&pair, UINT32_MAX - 1000, 0);
	alarm((unsigned int)seconds + 60);
	pin(0);
	if (pthread_create(&thread, NULL, ringer, NULL)) {
		perror("bell-litmus");
		return 1;
	}
	end = time(NULL) + seconds;
	for (;;) {
		unsigned int jitter = n % 64;

		meet(0, ++round);
		while (jitter--)
			msr_compiler_barrier();
		result = msr_rx_arm(&pair.rx);
		meet(0, ++round);
		if (result != MSR_OK && !(result == MSR_EMPTY && rings)) {
			fprintf(stderr, "round %u: the consumer sleeps (%d) and nobody rings\n", n, result);
			broken = true;
		}
		asleep += result == MSR_EMPTY;
		if (msr_rx_next(&pair.rx, &d) != MSR_OK)
			abort();

		meet(0, ++round);
		jitter = n / 64 % 64;
		while (jitter--)
			msr_compiler_barrier();
		msr_rx_release(&pair.rx, 1);
		/* the look without a barrier may miss the event, but not hide it from the next */
		need = n % 2 && msr_rx_need_bell_already(&pair.rx);
		need = need || msr_rx_need_bell(&pair.rx);
		meet(0, ++round);
		if (!rings && !need) {
			fprintf(stderr, "round %u: the producer sleeps and nobody rings\n", n);
			broken = true;
		}
		n++;
		if (broken || (n % 1024 == 0 && time(NULL) >= end))
			atomic_store(&stop, true);
		meet(0, ++round);
		if (atomic_load(&stop))
			break;
	}
	pthread_join(thread, NULL);
	printf("%u rounds each way, the consumer slept in %u\n", n, asleep);
	pair_uninit(&pair);
	return broken;
}

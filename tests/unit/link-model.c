// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exhaustive exploration of the link rule (msr/link.h).
 *
 * Two sides run msr_link_next() in a loop: three loads of the peer's words, a
 * decision, one to three stores. Each load, each store and each arrival of a store at the
 * other side (x86 store buffers) is a step of its own, and each side may crash
 * between any two steps and start anew with nothing remembered, a bounded number of times.
 * All interleavings are walked. Shown for the part of the graph in which no
 * more crashes come:
 *  - no cycle holds an action: every run has finitely many;
 *  - in every state where all that is left is to poll in vain, both sides are
 *    up and each is attached to the other's present incarnation.
 * So any fair schedule ends with the link up.
 *
 * A fresh epoch is the lowest number that occurs nowhere in the state, which
 * keeps the graph finite and is harsher than a random number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <msr/link.h>

enum { POLL_EPOCH, POLL_PEER, POLL_AGAIN, RESET_EPOCH, RESET_PEER, FRESH };
enum { WORD_EPOCH, WORD_PEER };

#define MAX_PENDING 4

struct side {
	uint8_t word[2];		/* as the other side sees them */
	uint8_t pending[MAX_PENDING];	/* stores on their way: word << 7 | value */
	uint8_t nr_pending;
	uint8_t pc;
	uint8_t seen[2];		/* loaded words of the peer */
	uint8_t epoch, peer_epoch, up;	/* struct msr_link */
	uint8_t crashes;		/* left */
};

struct state {
	struct side side[2];
};

struct edge {
	uint32_t to;
	uint8_t action;
};

static struct state *states;
static uint32_t nr_states, max_states;
static uint32_t *table;
static uint32_t table_mask;
static uint32_t *edge_start;	/* by state, nr_states + 1 */
static struct edge *edges;
static size_t nr_edges, max_edges;

static void *grow(void *p, size_t n, size_t size)
{
	p = realloc(p, n * size);
	if (!p)
		abort();
	return p;
}

static uint32_t hash(const struct state *s)
{
	const uint8_t *b = (const uint8_t *)s;
	uint64_t h = 1469598103934665603ULL;
	size_t i;

	for (i = 0; i < sizeof(*s); i++)
		h = (h ^ b[i]) * 1099511628211ULL;
	return (uint32_t)(h ^ h >> 32);
}

static void rehash(void)
{
	uint32_t i, h;

	table_mask = table_mask ? table_mask * 2 + 1 : (1u << 20) - 1;
	free(table);
	table = calloc((size_t)table_mask + 1, sizeof(*table));
	if (!table)
		abort();
	for (i = 0; i < nr_states; i++) {
		for (h = hash(&states[i]); table[h & table_mask]; h++)
			;
		table[h & table_mask] = i + 1;
	}
}

static uint32_t intern(const struct state *s)
{
	uint32_t h;

	if (nr_states >= table_mask / 2)
		rehash();
	for (h = hash(s); table[h & table_mask]; h++) {
		uint32_t i = table[h & table_mask] - 1;

		if (!memcmp(&states[i], s, sizeof(*s)))
			return i;
	}
	if (nr_states == max_states) {
		max_states = max_states ? max_states * 2 : 1u << 16;
		states = grow(states, max_states, sizeof(*states));
	}
	states[nr_states] = *s;
	table[h & table_mask] = nr_states + 1;
	return nr_states++;
}

static void add_edge(const struct state *to, bool action)
{
	if (nr_edges == max_edges) {
		max_edges = max_edges ? max_edges * 2 : 1u << 18;
		edges = grow(edges, max_edges, sizeof(*edges));
	}
	edges[nr_edges].to = intern(to);
	edges[nr_edges++].action = action;
}

static bool store(struct side *me, int word, uint8_t value)
{
	if (me->nr_pending == MAX_PENDING)
		return false;
	me->pending[me->nr_pending++] = (uint8_t)(word << 7 | value);
	return true;
}

/* An epoch of @me that neither side remembers in any form */
static uint8_t fresh(const struct side *me, const struct side *peer)
{
	uint32_t used = 1;	/* 0 is none */
	uint8_t e;
	int i;

	used |= 1u << me->word[WORD_EPOCH] | 1u << me->epoch | 1u << me->seen[WORD_PEER];
	used |= 1u << peer->word[WORD_PEER] | 1u << peer->peer_epoch | 1u << peer->seen[WORD_EPOCH];
	for (i = 0; i < me->nr_pending; i++)
		if (me->pending[i] >> 7 == WORD_EPOCH)
			used |= 1u << (me->pending[i] & 0x7f);
	for (i = 0; i < peer->nr_pending; i++)
		if (peer->pending[i] >> 7 == WORD_PEER)
			used |= 1u << (peer->pending[i] & 0x7f);
	for (e = 1; used >> e & 1; e++)
		;
	return e;
}

static void to_poll(struct side *me)
{
	me->pc = POLL_EPOCH;
	me->seen[0] = 0;
	me->seen[1] = 0;
}

/* One step of side @n's program: false when its store buffer is full */
static bool run(struct state *s, int n, bool *action)
{
	struct side *me = &s->side[n];
	const struct side *peer = &s->side[!n];
	struct msr_link own = { me->epoch, me->peer_epoch, me->up };
	struct msr_link_peer seen;

	*action = true;
	switch (me->pc) {
	case POLL_EPOCH:
		*action = false;
		me->seen[WORD_EPOCH] = peer->word[WORD_EPOCH];
		me->pc = POLL_PEER;
		return true;
	case POLL_PEER:
		*action = false;
		me->seen[WORD_PEER] = peer->word[WORD_PEER];
		me->pc = POLL_AGAIN;
		return true;
	case POLL_AGAIN:
		seen.epoch = me->seen[WORD_EPOCH];
		seen.peer_epoch = me->seen[WORD_PEER];
		if (peer->word[WORD_EPOCH] != seen.epoch) {
			*action = false;
			to_poll(me);
			return true;
		}
		switch (msr_link_next(&own, &seen)) {
		case MSR_LINK_STAY:
			*action = false;
			break;
		case MSR_LINK_ATTACH:
			me->peer_epoch = me->seen[WORD_EPOCH];
			if (!store(me, WORD_PEER, me->peer_epoch))
				return false;
			break;
		case MSR_LINK_DETACH:
			me->peer_epoch = 0;
			if (!store(me, WORD_PEER, 0))
				return false;
			break;
		case MSR_LINK_UP:
			me->up = 1;
			break;
		case MSR_LINK_DOWN:
			to_poll(me);
			me->pc = RESET_EPOCH;
			return true;
		}
		to_poll(me);
		return true;
	case RESET_EPOCH:
		me->epoch = 0;
		me->peer_epoch = 0;
		me->up = 0;
		if (!store(me, WORD_EPOCH, 0))
			return false;
		me->pc = RESET_PEER;
		return true;
	case RESET_PEER:
		/* the full barrier of msr_link_reset */
		if (me->nr_pending)
			return false;
		if (!store(me, WORD_PEER, 0))
			return false;
		me->pc = FRESH;
		return true;
	case FRESH:
		me->epoch = fresh(me, peer);
		if (!store(me, WORD_EPOCH, me->epoch))
			return false;
		to_poll(me);
		return true;
	}
	return false;
}

static void expand(const struct state *from)
{
	struct state s;
	bool action;
	int n;

	for (n = 0; n < 2; n++) {
		s = *from;
		if (run(&s, n, &action))
			add_edge(&s, action);

		s = *from;
		if (s.side[n].nr_pending) {
			struct side *me = &s.side[n];

			me->word[me->pending[0] >> 7] = me->pending[0] & 0x7f;
			me->nr_pending--;
			memmove(me->pending, me->pending + 1, MAX_PENDING - 1);
			me->pending[MAX_PENDING - 1] = 0;
			add_edge(&s, true);
		}

		s = *from;
		if (s.side[n].crashes) {
			struct side *me = &s.side[n];

			me->crashes--;
			me->epoch = 0;
			me->peer_epoch = 0;
			me->up = 0;
			to_poll(me);
			me->pc = RESET_EPOCH;
			add_edge(&s, true);

			/* or the segment was cleared meanwhile */
			memset(me->word, 0, sizeof(me->word));
			memset(me->pending, 0, sizeof(me->pending));
			me->nr_pending = 0;
			add_edge(&s, true);
		}
	}
}

static bool settled(const struct state *s)
{
	int n;

	for (n = 0; n < 2; n++) {
		const struct side *me = &s->side[n], *peer = &s->side[!n];

		if (!me->up || me->nr_pending || me->peer_epoch != peer->epoch ||
		    me->word[WORD_EPOCH] != me->epoch || me->word[WORD_PEER] != me->peer_epoch)
			return false;
	}
	return true;
}

static void show(const char *what, const struct state *s)
{
	int n, i;

	fprintf(stderr, "%s\n", what);
	for (n = 0; n < 2; n++) {
		const struct side *me = &s->side[n];

		fprintf(stderr, "  side %d: words %u/%u pending", n, me->word[0], me->word[1]);
		for (i = 0; i < me->nr_pending; i++)
			fprintf(stderr, " %s=%u", me->pending[i] >> 7 ? "peer" : "epoch",
				me->pending[i] & 0x7f);
		fprintf(stderr, " pc %u seen %u/%u own %u/%u up %u crashes %u\n", me->pc,
			me->seen[0], me->seen[1], me->epoch, me->peer_epoch, me->up, me->crashes);
	}
}

/*
 * Strongly connected components (Tarjan, without recursion). Returns the number of
 * actions that lie inside a component, and of bottom components that are not settled.
 */
static void components(uint32_t *bad_cycles, uint32_t *bad_ends)
{
	uint32_t *low = calloc(nr_states, sizeof(*low));
	uint32_t *num = calloc(nr_states, sizeof(*num));
	uint32_t *comp = calloc(nr_states, sizeof(*comp));
	uint32_t *stack = calloc(nr_states, sizeof(*stack));
	uint32_t *call = calloc(nr_states, sizeof(*call));
	uint32_t *next = calloc(nr_states, sizeof(*next));
	uint32_t depth, top = 0, count = 0, nr_comp = 0, i;
	uint8_t *leaves;
	size_t e;

	assert_true(low && num && comp && stack && call && next);
	for (i = 0; i < nr_states; i++) {
		if (num[i])
			continue;
		depth = 0;
		call[0] = i;
		num[i] = low[i] = ++count;
		next[i] = edge_start[i];
		stack[top++] = i;
		for (;;) {
			uint32_t v = call[depth], w;

			if (next[v] < edge_start[v + 1]) {
				w = edges[next[v]++].to;
				if (!num[w]) {
					num[w] = low[w] = ++count;
					next[w] = edge_start[w];
					stack[top++] = w;
					call[++depth] = w;
				} else if (!comp[w] && num[w] < low[v]) {
					low[v] = num[w];
				}
				continue;
			}
			if (low[v] == num[v]) {
				nr_comp++;
				do {
					w = stack[--top];
					comp[w] = nr_comp;
				} while (w != v);
			}
			if (!depth)
				break;
			w = call[--depth];
			if (low[v] < low[w])
				low[w] = low[v];
		}
	}

	*bad_cycles = 0;
	*bad_ends = 0;
	leaves = calloc(nr_comp + 1, 1);
	assert_non_null(leaves);
	for (i = 0; i < nr_states; i++) {
		for (e = edge_start[i]; e < edge_start[i + 1]; e++) {
			if (comp[i] != comp[edges[e].to]) {
				leaves[comp[i]] = 1;
			} else if (edges[e].action) {
				if (!(*bad_cycles)++)
					show("an action in a cycle", &states[i]);
			}
		}
	}
	for (i = 0; i < nr_states; i++) {
		if (!leaves[comp[i]] && !settled(&states[i])) {
			if (!(*bad_ends)++)
				show("the end of a run, and not up", &states[i]);
		}
	}
	free(low);
	free(num);
	free(comp);
	free(stack);
	free(call);
	free(next);
	free(leaves);
}

static void explore(int crashes0, int crashes1)
{
	struct state s;
	uint32_t i, bad_cycles, bad_ends;

	nr_states = 0;
	nr_edges = 0;
	table_mask = 0;
	rehash();
	memset(&s, 0, sizeof(s));
	s.side[0].pc = RESET_EPOCH;
	s.side[1].pc = RESET_EPOCH;
	s.side[0].crashes = (uint8_t)crashes0;
	s.side[1].crashes = (uint8_t)crashes1;
	intern(&s);
	edge_start = NULL;
	for (i = 0; i < nr_states; i++) {
		if (!(i & (i - 1)))
			edge_start = grow(edge_start, 2 * (size_t)i + 2, sizeof(*edge_start));
		edge_start[i] = (uint32_t)nr_edges;
		s = states[i];	/* expand may move the array */
		expand(&s);
	}
	edge_start = grow(edge_start, (size_t)nr_states + 1, sizeof(*edge_start));
	edge_start[nr_states] = (uint32_t)nr_edges;
	components(&bad_cycles, &bad_ends);
	print_message("crashes %d/%d: %u states, %zu steps, %u actions in cycles, %u bad ends\n",
		      crashes0, crashes1, nr_states, nr_edges, bad_cycles, bad_ends);
	free(edge_start);
	assert_int_equal(bad_cycles, 0);
	assert_int_equal(bad_ends, 0);
}

static void no_crash(void **arg)
{
	(void)arg;
	explore(0, 0);
}

static void one_side_crashes(void **arg)
{
	(void)arg;
	explore(3, 0);
}

static void both_crash(void **arg)
{
	(void)arg;
	explore(2, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_crash),
		cmocka_unit_test(one_side_crashes),
		cmocka_unit_test(both_crash),
	};
	return cmocka_run_group_tests_name("link model", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queue pairs that wait for room in a ring or a loop: a line, first come, first served. A queue
 * pair leaves the line with a turn, the promise of room for a certain cost, and only as many
 * turns are given as there is room for. Whoever has no turn goes to the end of the line if one
 * is there, so that nobody is overtaken, and nobody is woken for room that another one takes.
 *
 * All of it under the lock of the ring or loop. The cost of a burst is what its owner says:
 * bytes and something for the descriptor.
 */
#ifndef MRDMA_TURNS_H
#define MRDMA_TURNS_H

#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/types.h>

struct mrdma_turns {
	struct list_head line;		/* struct mrdma_waiter */
	u32 promised;			/* cost that turns still stand for */
};

/*
 * @wake runs under the lock, in any context with BH off: @w has left the line, because there is
 * room or because the link went down. It may not take another lock.
 */
struct mrdma_waiter {
	struct list_head entry;		/* empty: not in a line */
	u32 turn;			/* cost still promised; 0 while it stands in the line */
	void (*wake)(struct mrdma_waiter *w);
};

static inline void mrdma_turns_init(struct mrdma_turns *t)
{
	INIT_LIST_HEAD(&t->line);
	t->promised = 0;
}

static inline void mrdma_waiter_init(struct mrdma_waiter *w, void (*wake)(struct mrdma_waiter *w))
{
	INIT_LIST_HEAD(&w->entry);
	w->turn = 0;
	w->wake = wake;
}

/* @cost was taken out of @w's turn, if it has one. */
static inline void mrdma_turns_use(struct mrdma_turns *t, struct mrdma_waiter *w, u32 cost)
{
	cost = min(cost, w->turn);
	w->turn -= cost;
	t->promised -= cost;
}

/* The rest of @w's turn, if any, is for others. */
static inline void mrdma_turns_end(struct mrdma_turns *t, struct mrdma_waiter *w)
{
	mrdma_turns_use(t, w, w->turn);
}

/* Puts @w into the line: at the end, or in front if it was its turn. In the line it stays put. */
static inline void mrdma_turns_wait(struct mrdma_turns *t, struct mrdma_waiter *w)
{
	if (!list_empty(&w->entry))
		return;
	if (w->turn)
		list_add(&w->entry, &t->line);
	else
		list_add_tail(&w->entry, &t->line);
	mrdma_turns_end(t, w);
}

/* Takes @w out of the line, and its turn from it. */
static inline void mrdma_turns_leave(struct mrdma_turns *t, struct mrdma_waiter *w)
{
	list_del_init(&w->entry);
	mrdma_turns_end(t, w);
}

/* Wakes the first in the line, which must not be empty, with a turn of @cost; 0: without. */
static inline void mrdma_turns_give(struct mrdma_turns *t, u32 cost)
{
	struct mrdma_waiter *w = list_first_entry(&t->line, struct mrdma_waiter, entry);

	list_del_init(&w->entry);
	w->turn = cost;
	t->promised += cost;
	w->wake(w);
}

#endif /* MRDMA_TURNS_H */

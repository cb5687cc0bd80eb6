/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Doorbells: interrupts of this OS that the other OS raises by IPI, and the way to
 * raise the other's.
 */
#ifndef MOS_BELL_H
#define MOS_BELL_H

#include <linux/types.h>

#include <msr/wire.h>

struct mos_bell;

/* counters of one bell, by outcome */
struct mos_bell_stats {
	u64 sent;
	u64 received;
	u64 absent;	/* the peer has published none */
	u64 refused;	/* malformed word, broadcast, or a CPU of this very OS */
};

/*
 * @own: words of the own section, kept up to date while the bells exist. @peer: the
 * other's words, untrusted. @handler runs in hard interrupt context with the number of the bell.
 */
struct mos_bell *mos_bell_create(const char *name, u64 *own, const u64 *peer, unsigned int nr,
				 void (*handler)(void *arg, unsigned int n), void *arg);
/* Retracts the words. A peer that has read one before may still send one IPI. */
void mos_bell_retract(struct mos_bell *bell);
/* Writes published words again that a stray store has changed. Any context. */
void mos_bell_restore(struct mos_bell *bell);
/* After return the handler neither runs nor will run. Process context. */
void mos_bell_destroy(struct mos_bell *bell);

/* Rings bell @n of the peer. Any context, many callers. */
void mos_bell_ring(struct mos_bell *bell, unsigned int n);

void mos_bell_get_stats(const struct mos_bell *bell, unsigned int n, struct mos_bell_stats *stats);

#endif /* MOS_BELL_H */

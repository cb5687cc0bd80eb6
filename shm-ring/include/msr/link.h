/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * multios shared ring: how two sides that may restart at any moment agree on
 * a pair of ring incarnations.
 *
 * Only the decision is here, as a pure function, so that the modules and the
 * exhaustive model of tests/unit/link-model.c run the same code. SPEC.md "Link"
 * has the rule in prose.
 */
#ifndef MSR_LINK_H
#define MSR_LINK_H

#include "barrier.h"
#include "wire.h"

/* The owner's private copy of its own link words; never read back from the segment. */
struct msr_link {
	__u32 epoch;		/* as stored in the own section */
	__u32 peer_epoch;	/* as stored in the own section; 0: not attached */
	bool up;
};

/* The peer's link words, read as one. */
struct msr_link_peer {
	__u32 epoch;
	__u32 peer_epoch;
};

enum msr_link_step {
	MSR_LINK_STAY,		/* nothing to do */
	MSR_LINK_ATTACH,	/* check the peer's section, attach the rings, msr_link_attach */
	MSR_LINK_DETACH,	/* the peer restarted before traffic began: msr_link_detach */
	MSR_LINK_UP,		/* both are attached: set up, traffic may start */
	MSR_LINK_DOWN,		/* stop traffic, let go of the peer's data, msr_link_reset */
};

/*
 * Link task of the owner. Reads the link words of @peer's section. Returns false if the peer
 * changed them meanwhile: look again soon.
 */
static inline msr_must_check bool
msr_link_read(const struct msr_section *peer, struct msr_link_peer *v)
{
	/* partner: the store-release in msr_link_fresh; section and ring lines are reset */
	v->epoch = msr_load_acquire(&peer->epoch);
	/* partner: the order of the stores in msr_link_reset */
	v->peer_epoch = msr_load_acquire(&peer->peer_epoch);
	return msr_load(&peer->epoch) == v->epoch;
}

/*
 * Link task of the owner: copies the first page of the peer's section out, for
 * msr_check_section and all later use. The caller loads the peer's epoch once more after the copy,
 * with a read barrier in between: if the epoch has changed, the copy is void.
 */
static inline void msr_section_copy(struct msr_section *to, const struct msr_section *peer)
{
	msr_copy_words(to, peer, sizeof(*to));
}

/*
 * Owner, while its epoch is 0: identity and queue table of @from go into the own
 * section, which a peer may read at the same time. Link words and bells stay. The table of MAC
 * addresses is written as well, in case something overwrote it.
 */
static inline void msr_section_write(struct msr_section *section, const struct msr_section *from)
{
	unsigned int i;

	msr_copy_words(section, from, __builtin_offsetof(struct msr_section, epoch));
	msr_copy_words(section->queue, from->queue, sizeof(section->queue));
	msr_copy_words(&section->macs, &from->macs, sizeof(section->macs));
	/* content of an earlier user of the memory */
	for (i = 0; i < sizeof(section->reserved1) / sizeof(section->reserved1[0]); i++)
		msr_store(&section->reserved1[i], 0);
	for (i = 0; i < sizeof(section->reserved2) / sizeof(section->reserved2[0]); i++)
		msr_store(&section->reserved2[i], 0);
}

/* Returns the next step of the owner of @own, who sees @peer. Pure. */
static inline msr_must_check enum msr_link_step
msr_link_next(const struct msr_link *own, const struct msr_link_peer *peer)
{
	if (!own->epoch)
		return MSR_LINK_STAY;
	if (!own->peer_epoch)
		return peer->epoch &&
		       (!peer->peer_epoch || peer->peer_epoch == own->epoch) ?
		       MSR_LINK_ATTACH : MSR_LINK_STAY;
	/* The own rings are untouched until up: no fresh epoch, which would make the peer reset. */
	if (peer->epoch != own->peer_epoch)
		return own->up ? MSR_LINK_DOWN : MSR_LINK_DETACH;
	if (peer->peer_epoch == own->epoch)
		return own->up ? MSR_LINK_STAY : MSR_LINK_UP;
	return own->up ? MSR_LINK_DOWN : MSR_LINK_STAY;
}

/*
 * Link task of the owner, first half of going down: after it the ring lines and
 * the queue table may be rewritten (msr_tx_init, msr_rx_init). Before it
 * traffic has stopped and nobody reads the peer's data any more.
 */
static inline void msr_link_reset(struct msr_section *section, struct msr_link *own)
{
	own->epoch = 0;
	own->peer_epoch = 0;
	own->up = false;
	msr_store(&section->epoch, 0);
	/* partner: msr_link_read. A reader of a reset index or peer_epoch also sees epoch 0 */
	msr_full_barrier();
	msr_store(&section->peer_epoch, 0);
}

/*
 * Second half: everything in the section is in place. @epoch must be neither 0 nor one that
 * the peer may still hold for an older incarnation: take a random number.
 */
static inline void msr_link_fresh(struct msr_section *section, struct msr_link *own,
				  __u32 epoch)
{
	own->epoch = epoch;
	/* partner: msr_link_read; stores made while epoch was 0 come first */
	msr_store_release(&section->epoch, epoch);
}

/* Link task of the owner, after MSR_LINK_ATTACH was done for the @peer seen. */
static inline void msr_link_attach(struct msr_section *section, struct msr_link *own,
				   const struct msr_link_peer *peer)
{
	own->peer_epoch = peer->epoch;
	/* partner: msr_link_read; our readers of its older data are gone */
	msr_store_release(&section->peer_epoch, peer->epoch);
}

/* Link task of the owner, on MSR_LINK_DETACH: not up, so nobody uses the rings. */
static inline void msr_link_detach(struct msr_section *section, struct msr_link *own)
{
	own->peer_epoch = 0;
	msr_store(&section->peer_epoch, 0);
}

#endif /* MSR_LINK_H */

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The path from a front to its peer, in simulated time: the back OS as net-back is towards the ring
 * (packets under way are bounded, descriptors are given back in batches), a wire of so many bytes a
 * microsecond, and the way back, on which what the peer sends takes a while. One event after
 * another: a burst has left the wire, one has come back, a jiffy, the applications' turn. After
 * each of them the front's softirq runs, alone.
 */
#ifndef TESTS_KERNEL_PATH_H
#define TESTS_KERNEL_PATH_H

#include "nic.h"

#define PATH_APP_US	100

struct path {
	struct nic *front, *peer;
	u32 rate;		/* bytes a microsecond */
	u32 delay;		/* microseconds that the way back takes, up to twice as many */
	/* a burst has left the wire: path_to_peer unless the scenario has a peer of its own */
	void (*arrive)(struct path *p, const struct nic_pkt *pkt);
	void (*apps)(struct path *p);	/* every PATH_APP_US */
	void *user;

	u64 now;		/* microseconds */
	struct list_head in_flight; /* struct nic_pkt in the back's stack and NIC, oldest first */
	struct list_head returning;
	u32 packets;		/* in in_flight */
	bool paused;		/* the back waits for them */
	u64 wire_done, next_jiffy, next_app;
	u64 rng;

	u64 bursts, wire_bytes;	/* that have left the wire */
	u64 tasklets;		/* that the front has run */
};

void path_init(struct path *p, struct nic *front, struct nic *peer, u32 rate, u32 delay);
void path_run(struct path *p, u64 us);
/* The peer gets @pkt, and what it answers comes back. */
void path_to_peer(struct path *p, const struct nic_pkt *pkt);
/* @pkt, for the front, sets out on the way back. */
void path_return(struct path *p, const struct nic_pkt *pkt);
void path_softirq(struct path *p);	/* after what a scenario makes the front do */
void path_link(struct path *p, bool up);
void path_end(struct path *p);

#endif

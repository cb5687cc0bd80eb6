/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Included before the transport's files, in place of the module's front.h: link, PCI function and vNIC are not there, the
 * test is the ring.
 */
#ifndef MRDMA_FRONT_H
#define MRDMA_FRONT_H

struct mrdma_dev;

struct mrdma_front {
	struct mrdma_dev *ib;
};

#endif

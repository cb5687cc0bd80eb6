// SPDX-License-Identifier: GPL-2.0
/*
 * Bounds of objects that nothing else counts: their numbers are ib_core's, or come from an array
 * with more room than query_device() announces.
 */
#include "mrdma.h"

static const int max_objects[MRDMA_NR_OBJECTS] = {
	[MRDMA_OBJ_PD] = MRDMA_MAX_PD,
	[MRDMA_OBJ_CQ] = MRDMA_MAX_CQ,
	[MRDMA_OBJ_QP] = MRDMA_MAX_QP,
	[MRDMA_OBJ_AH] = MRDMA_MAX_AH,
};

/* One more of them, up to what query_device() announces */
int mrdma_object_get(struct mrdma_dev *dev, enum mrdma_object what)
{
	return atomic_add_unless(&dev->objects[what], 1, max_objects[what]) ? 0 : -ENOMEM;
}

void mrdma_object_put(struct mrdma_dev *dev, enum mrdma_object what)
{
	atomic_dec(&dev->objects[what]);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Address handles. Each has a number, which librxe puts into its send requests; its
 * vector is built once, kept right by follow.c, and copied out under the array's lock, so a
 * handle may be destroyed while requests that name it are still queued. The lock is taken with
 * interrupts off: the connection manager makes and destroys handles under such locks of its own.
 */
#include <rdma/ib_cache.h>
#include <rdma/uverbs_ioctl.h>

#include "addr.h"
#include "follow.h"

static int ah_check_attr(const struct rdma_ah_attr *attr)
{
	if (rdma_ah_get_port_num(attr) != 1 ||
	    attr->type != RDMA_AH_ATTR_TYPE_ROCE ||
	    !(rdma_ah_get_ah_flags(attr) & IB_AH_GRH))
		return -EINVAL;
	return 0;
}

/* ib_core's own reference (ibah.sgid_attr) is protected by no lock of ours. */
static void keep_attr(struct mrdma_ah *ah, const struct rdma_ah_attr *attr)
{
	ah->attr = *attr;
	ah->attr.grh.sgid_attr = NULL;
	rdma_hold_gid_attr(attr->grh.sgid_attr);
	if (ah->sgid)
		rdma_put_gid_attr(ah->sgid);
	ah->sgid = attr->grh.sgid_attr;
}

/* @ah has a number, or none could be given to it. */
static void ah_forget(struct mrdma_dev *dev, struct mrdma_ah *ah)
{
	unsigned long flags;

	xa_lock_irqsave(&dev->ahs, flags);
	if (ah->num)
		__xa_erase(&dev->ahs, ah->num);
	xa_unlock_irqrestore(&dev->ahs, flags);
	rdma_put_gid_attr(ah->sgid);
	mrdma_object_put(dev, MRDMA_OBJ_AH);
}

int mrdma_create_ah(struct ib_ah *ibah, struct rdma_ah_init_attr *init, struct ib_udata *udata)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibah->device);
	struct mrdma_ah *ah = to_mrdma_ah(ibah);
	struct rxe_create_ah_resp resp = {};
	bool sleepable = init->flags & RDMA_CREATE_AH_SLEEPABLE;
	unsigned long flags;
	int err;

	err = ah_check_attr(init->ah_attr);
	if (err)
		return err;
	err = mrdma_av_init(dev, init->ah_attr, 0, 0, sleepable, &ah->av);
	if (err)
		return err;
	/* librxe from before AH numbers would pass a vector of its own making */
	if (udata && udata->outlen < sizeof(resp))
		return -EINVAL;
	err = mrdma_object_get(dev, MRDMA_OBJ_AH);
	if (err)
		return err;
	keep_attr(ah, init->ah_attr);

	xa_lock_irqsave(&dev->ahs, flags);
	err = __xa_alloc_cyclic(&dev->ahs, &ah->num, ah, XA_LIMIT(1, INT_MAX), &dev->next_ah,
				GFP_ATOMIC);
	xa_unlock_irqrestore(&dev->ahs, flags);
	if (err < 0)
		goto err_forget;
	/* the connection manager's MAC address is as old as the connection */
	if (!sleepable)
		mrdma_follow(dev);
	if (!udata)
		return 0;
	resp.ah_num = ah->num;
	err = ib_copy_to_udata(udata, &resp, sizeof(resp));
	if (err)
		goto err_forget;
	return 0;

err_forget:
	ah_forget(dev, ah);
	return err;
}

int mrdma_modify_ah(struct ib_ah *ibah, struct rdma_ah_attr *attr)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibah->device);
	struct mrdma_ah *ah = to_mrdma_ah(ibah);
	struct mrdma_av av;
	unsigned long flags;
	int err;

	err = ah_check_attr(attr);
	if (err)
		return err;
	err = mrdma_av_init(dev, attr, 0, 0, true, &av);
	if (err)
		return err;
	xa_lock_irqsave(&dev->ahs, flags);
	ah->av = av;
	keep_attr(ah, attr);
	xa_unlock_irqrestore(&dev->ahs, flags);
	return 0;
}

int mrdma_query_ah(struct ib_ah *ibah, struct rdma_ah_attr *attr)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibah->device);
	unsigned long flags;

	xa_lock_irqsave(&dev->ahs, flags);
	*attr = to_mrdma_ah(ibah)->attr;
	xa_unlock_irqrestore(&dev->ahs, flags);
	return 0;
}

int mrdma_destroy_ah(struct ib_ah *ibah, u32 flags)
{
	ah_forget(to_mrdma_dev(ibah->device), to_mrdma_ah(ibah));
	return 0;
}

/* Copies the vector of AH @num. Returns false if it is not of protection domain @pd, or gone. */
bool mrdma_ah_get_av(struct mrdma_dev *dev, struct ib_pd *pd, u32 num, struct mrdma_av *av)
{
	struct mrdma_ah *ah;
	unsigned long flags;
	bool found = false;

	xa_lock_irqsave(&dev->ahs, flags);
	ah = xa_load(&dev->ahs, num);
	if (ah && ah->ibah.pd == pd) {
		*av = ah->av;
		found = true;
	}
	xa_unlock_irqrestore(&dev->ahs, flags);
	return found;
}

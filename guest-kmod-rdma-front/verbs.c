// SPDX-License-Identifier: GPL-2.0
/*
 * The ib_device: its attributes, the table of verbs, registration, and the port's
 * state as the Ethernet vNIC has it.
 *
 * librxe of rdma-core says driver id RXE in every ioctl, and uverbs refuses one that is
 * not the device's when uverbs took it in. rdma_rxe on the other hand takes all devices
 * of that id for its own: those of a netdev (ib_device_get_by_netdev), and every one when it
 * is unloaded. So the device has the id only from enable_driver, just before ib_core hands
 * it to its clients, until that has reached the client of this file. ib_uverbs comes
 * earlier: this module needs a symbol of it, so its client is the older one. As no driver id
 * is reported then, rdma-core finds librxe by the device's "modalias" (below), whatever the
 * device's name is; and the netdev is told when asked for (get_netdev) instead of being set.
 */
#include <linux/etherdevice.h>
#include <linux/rtnetlink.h>
#include <net/addrconf.h>
#include <rdma/ib_mad.h>
#include <rdma/ib_marshall.h>
#include <rdma/uverbs_ioctl.h>

#include "cq.h"
#include "follow.h"
#include "front.h"
#include "gid.h"
#include "kcompat.h"
#include "loop.h"
#include "mcast.h"
#include "mr.h"
#include "mw.h"
#include "qp.h"
#include "restrack.h"
#include "rx.h"
#include "stats.h"

/* <rdma/rdma_user_rxe.h>, as librxe knows it */
#define UVERBS_ABI_VER	2

static enum ib_port_state port_state(const struct net_device *netdev)
{
	return netif_running(netdev) && netif_carrier_ok(netdev) ? IB_PORT_ACTIVE : IB_PORT_DOWN;
}

static int query_device(struct ib_device *ibdev, struct ib_device_attr *attr,
			struct ib_udata *udata)
{
	/* newer kernels' ib_core asks for itself, without a user */
	if (udata && (udata->inlen || udata->outlen))
		return -EINVAL;
	*attr = (struct ib_device_attr) {
		.vendor_id = 0xffffff,
		.max_mr_size = MRDMA_MAX_MR_SIZE,
		.page_size_cap = 0xfffff000,
		.max_qp = MRDMA_MAX_QP,
		.max_qp_wr = MRDMA_MAX_QP_WR - 1,
		.device_cap_flags = IB_DEVICE_RC_RNR_NAK_GEN | IB_DEVICE_CURR_QP_STATE_MOD |
				    IB_DEVICE_PORT_ACTIVE_EVENT | IB_DEVICE_SYS_IMAGE_GUID |
				    IB_DEVICE_UD_AV_PORT_ENFORCE | IB_DEVICE_MEM_WINDOW |
				    IB_DEVICE_MEM_WINDOW_TYPE_2B | IB_DEVICE_SRQ_RESIZE |
				    IB_DEVICE_MEM_MGT_EXTENSIONS | MRDMA_PLACEMENT_CAPS,
		.max_send_sge = MRDMA_MAX_SGE,
		.max_recv_sge = MRDMA_MAX_SGE,
		.max_sge_rd = MRDMA_MAX_SGE,
		.max_cq = MRDMA_MAX_CQ,
		.max_cqe = MRDMA_MAX_CQE - 1,
		.max_mr = MRDMA_MAX_MR,
		.max_mw = MRDMA_MAX_MW,
		.max_fast_reg_page_list_len = MRDMA_MAX_FAST_REG,
		.max_pd = MRDMA_MAX_PD,
		.max_qp_rd_atom = MRDMA_MAX_RD_ATOMIC,
		.max_res_rd_atom = MRDMA_MAX_RD_ATOMIC * MRDMA_MAX_QP,
		.max_qp_init_rd_atom = MRDMA_MAX_RD_ATOMIC,
		.atomic_cap = IB_ATOMIC_HCA,
		.max_ah = MRDMA_MAX_AH,
		.max_mcast_grp = MRDMA_MAX_MCAST_GRP,
		.max_mcast_qp_attach = MRDMA_MAX_MCAST_QP,
		.max_total_mcast_qp_attach = MRDMA_MAX_MCAST_TOTAL,
		.max_srq = MRDMA_MAX_SRQ,
		.max_srq_wr = MRDMA_MAX_SRQ_WR - 1,
		.max_srq_sge = MRDMA_MAX_SGE,
		.cq_caps.max_cq_moderation_count = U16_MAX,
		.cq_caps.max_cq_moderation_period = U16_MAX,
		.max_pkeys = 1,
		.local_ca_ack_delay = 15,
	};
	attr->sys_image_guid = ibdev->node_guid;
	return 0;
}

static int query_port(struct ib_device *ibdev, u32 port, struct ib_port_attr *attr)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibdev);

	if (port != 1)
		return -EINVAL;
	attr->state = port_state(dev->netdev);
	attr->phys_state = attr->state == IB_PORT_ACTIVE ? IB_PORT_PHYS_STATE_LINK_UP :
							   IB_PORT_PHYS_STATE_DISABLED;
	attr->max_mtu = IB_MTU_4096;
	attr->active_mtu = mrdma_active_mtu(dev);
	attr->gid_tbl_len = MRDMA_GID_TBL;
	attr->ip_gids = true;
	attr->port_cap_flags = IB_PORT_CM_SUP;
	attr->max_msg_sz = MRDMA_MAX_MSG;
	attr->pkey_tbl_len = 1;
	attr->max_vl_num = 1;
	return ib_get_eth_speed(ibdev, port, &attr->active_speed, &attr->active_width);
}

static int get_port_immutable(struct ib_device *ibdev, u32 port, struct ib_port_immutable *imm)
{
	imm->core_cap_flags = RDMA_CORE_PORT_IBA_ROCE_UDP_ENCAP;
	imm->pkey_tbl_len = 1;
	imm->gid_tbl_len = MRDMA_GID_TBL;
	imm->max_mad_size = IB_MGMT_MAD_SIZE;
	return 0;
}

static enum rdma_link_layer get_link_layer(struct ib_device *ibdev, u32 port)
{
	return IB_LINK_LAYER_ETHERNET;
}

/* The netdev outlives the ib_device; the caller gets a reference. */
static struct net_device *get_netdev(struct ib_device *ibdev, u32 port)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibdev);

	if (port != 1)
		return NULL;
	dev_hold(dev->netdev);
	return dev->netdev;
}

/*
 * In newer kernels (seen in 7.3) all that the verbs use is ib_core's. Without a symbol of
 * ib_uverbs, whether its client is the older one would depend on udev's speed.
 */
static void *const uverbs_symbol __used = ib_copy_qp_attr_to_user;

/* Called by ib_core before the clients are told of the device, again in a new net namespace. */
static int enable_driver(struct ib_device *ibdev)
{
	ibdev->ops.driver_id = RDMA_DRIVER_RXE;
	return 0;
}

/*
 * "rdma link add NAME type rxe netdev VNIC" makes a second RDMA device with the GIDs of this
 * one, and no packet for it would come: RoCE for the vNIC's MAC addresses is this device's. ib_core
 * lets nobody refuse the command, so the device goes as soon as it has come.
 */
static void refuse_rxe(struct ib_device *ibdev)
{
	struct net_device *netdev;

	if (ibdev->ops.driver_id != RDMA_DRIVER_RXE || !ibdev->port_data ||
	    !ibdev->ops.dealloc_driver)
		return;
	rcu_read_lock();
	netdev = rcu_dereference(ibdev->port_data[1].netdev);
	if (netdev && mrdma_netdev_uses_vnic(netdev)) {
		ibdev_err(ibdev, "%s has an RDMA device already, or a netdev below it has, which gets its RoCE packets: %s is removed, use that one\n",
			  netdev_name(netdev), dev_name(&ibdev->dev));
		ib_unregister_device_queued(ibdev);
	}
	rcu_read_unlock();
}

static int refuse_rxe_of(struct net_device *netdev, struct netdev_nested_priv *priv)
{
	struct ib_device *ibdev = ib_device_get_by_netdev(netdev, RDMA_DRIVER_RXE);

	if (ibdev) {
		refuse_rxe(ibdev);
		ib_device_put(ibdev);
	}
	return 0;
}

/*
 * @upper, which may have an rxe, is now on top of the vNIC, and so is all that is on top of @upper.
 */
static void refuse_rxe_above(struct net_device *upper)
{
	struct netdev_nested_priv none = {};

	rcu_read_lock();
	refuse_rxe_of(upper, &none);
	netdev_walk_all_upper_dev_rcu(upper, refuse_rxe_of, &none);
	rcu_read_unlock();
}

/* ib_uverbs has taken the device in: away with the driver id. */
static int client_add(struct ib_device *ibdev)
{
	if (ibdev->ops.enable_driver == enable_driver)
		ibdev->ops.driver_id = RDMA_DRIVER_UNKNOWN;
	else
		refuse_rxe(ibdev);
	/* nothing to remember: no remove is wanted */
	return -EOPNOTSUPP;
}

/* rdma-ndd gives the host's name, to tell devices apart in lists of a fabric. ib_core shows it. */
static int modify_device(struct ib_device *ibdev, int mask, struct ib_device_modify *attr)
{
	if (mask & ~IB_DEVICE_MODIFY_NODE_DESC)
		return -EOPNOTSUPP;
	if (mask & IB_DEVICE_MODIFY_NODE_DESC)
		memcpy(ibdev->node_desc, attr->node_desc, sizeof(ibdev->node_desc));
	return 0;
}

/* As rdma_rxe has it, for test suites that look for the netdev's name. */
static ssize_t parent_show(struct device *device, struct device_attribute *attr, char *buf)
{
	struct mrdma_dev *dev = rdma_device_to_drv_device(device, struct mrdma_dev, ibdev);

	return sysfs_emit(buf, "%s\n", netdev_name(dev->netdev));
}
static DEVICE_ATTR_RO(parent);

static struct attribute *device_attrs[] = {
	&dev_attr_parent.attr,
	NULL
};

static const struct attribute_group device_group = {
	.attrs = device_attrs,
};

/*
 * /sys/class/infiniband/DEV/device/modalias. "device" is a link to the parent elsewhere; this
 * device has none. rdma-core compares the file's content with the patterns of its providers,
 * of which librxe's is this one and "*".
 */
static ssize_t modalias_show(struct device *device, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "rdma_device:Nrxe\n");
}
static DEVICE_ATTR_RO(modalias);

static struct attribute *parent_attrs[] = {
	&dev_attr_modalias.attr,
	NULL
};

static const struct attribute_group parent_group = {
	.name = "device",
	.attrs = parent_attrs,
};

static int query_pkey(struct ib_device *ibdev, u32 port, u16 index, u16 *pkey)
{
	if (index)
		return -EINVAL;
	*pkey = MOS_PKEY;
	return 0;
}

static int alloc_ucontext(struct ib_ucontext *uctx, struct ib_udata *udata)
{
	return 0;
}

static void dealloc_ucontext(struct ib_ucontext *uctx)
{
}

/*
 * The device goes, or moves to another net namespace, while the program stays: ib_uverbs
 * destroys its objects, and its mappings of queues are memory of their own (queue.c).
 */
static void disassociate_ucontext(struct ib_ucontext *uctx)
{
}

static int alloc_pd(struct ib_pd *ibpd, struct ib_udata *udata)
{
	return mrdma_object_get(to_mrdma_dev(ibpd->device), MRDMA_OBJ_PD);
}

static int dealloc_pd(struct ib_pd *ibpd, struct ib_udata *udata)
{
	mrdma_object_put(to_mrdma_dev(ibpd->device), MRDMA_OBJ_PD);
	return 0;
}

static int create_cq(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
		     mrdma_create_cq_arg *arg)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibcq->device);
	int err;

	err = mrdma_object_get(dev, MRDMA_OBJ_CQ);
	if (err)
		return err;
	err = mrdma_cq_init(to_mrdma_cq(ibcq), attr, mrdma_create_cq_udata(arg));
	if (err)
		mrdma_object_put(dev, MRDMA_OBJ_CQ);
	return err;
}

static struct ib_mr *reg_user_mr(struct ib_pd *pd, u64 start, u64 length, u64 iova, int access,
				 mrdma_dmah_arg struct ib_udata *udata)
{
	if (mrdma_dmah)
		return ERR_PTR(-EOPNOTSUPP);
	return mrdma_reg_user_mr(pd, start, length, iova, access, udata);
}

static const struct ib_device_ops ops = {
	.owner = THIS_MODULE,
	.driver_id = RDMA_DRIVER_UNKNOWN,
	.uverbs_abi_ver = UVERBS_ABI_VER,
	.uverbs_no_driver_id_binding = 1,

	.query_device = query_device,
	.query_port = query_port,
	.query_pkey = query_pkey,
	.get_port_immutable = get_port_immutable,
	.get_link_layer = get_link_layer,
	.get_netdev = get_netdev,
	.modify_device = modify_device,
	.device_group = &device_group,
	.add_gid = mrdma_add_gid,
	.del_gid = mrdma_del_gid,
	.enable_driver = enable_driver,
	.alloc_hw_port_stats = mrdma_alloc_hw_port_stats,
	.get_hw_stats = mrdma_get_hw_stats,
	.fill_res_qp_entry = mrdma_fill_res_qp,
	.fill_res_cq_entry = mrdma_fill_res_cq,
	.fill_res_mr_entry = mrdma_fill_res_mr,
	mrdma_fill_res_srq_op

	.alloc_ucontext = alloc_ucontext,
	.disassociate_ucontext = disassociate_ucontext,
	.dealloc_ucontext = dealloc_ucontext,
	.mmap = mrdma_mmap,
	.mmap_free = mrdma_mmap_free,
	.alloc_pd = alloc_pd,
	.dealloc_pd = dealloc_pd,

	.create_ah = mrdma_create_ah,
	.create_user_ah = mrdma_create_ah,
	.modify_ah = mrdma_modify_ah,
	.query_ah = mrdma_query_ah,
	.destroy_ah = mrdma_destroy_ah,

	.attach_mcast = mrdma_attach_mcast,
	.detach_mcast = mrdma_detach_mcast,

	.create_qp = mrdma_create_qp,
	.modify_qp = mrdma_modify_qp,
	.query_qp = mrdma_query_qp,
	.destroy_qp = mrdma_destroy_qp,
	.post_send = mrdma_post_send,
	.post_recv = mrdma_post_recv,

	.create_srq = mrdma_create_srq,
	.modify_srq = mrdma_modify_srq,
	.query_srq = mrdma_query_srq,
	.destroy_srq = mrdma_destroy_srq,
	.post_srq_recv = mrdma_post_srq_recv,

	.create_cq = create_cq,
	.destroy_cq = mrdma_destroy_cq,
	.modify_cq = mrdma_modify_cq,
	mrdma_resize_cq_op = mrdma_resize_cq,
	.poll_cq = mrdma_poll_cq,
	.peek_cq = mrdma_peek_cq,
	.req_notify_cq = mrdma_req_notify_cq,

	.get_dma_mr = mrdma_get_dma_mr,
	.reg_user_mr = reg_user_mr,
	.rereg_user_mr = mrdma_rereg_user_mr,
	.alloc_mr = mrdma_alloc_mr,
	.map_mr_sg = mrdma_map_mr_sg,
	.dereg_mr = mrdma_dereg_mr,
	.alloc_mw = mrdma_alloc_mw,
	.dealloc_mw = mrdma_dealloc_mw,

	INIT_RDMA_OBJ_SIZE(ib_ah, mrdma_ah, ibah),
	INIT_RDMA_OBJ_SIZE(ib_cq, mrdma_cq, ibcq),
	INIT_RDMA_OBJ_SIZE(ib_mw, mrdma_mw, ibmw),
	INIT_RDMA_OBJ_SIZE(ib_pd, mrdma_pd, ibpd),
	INIT_RDMA_OBJ_SIZE(ib_qp, mrdma_qp, ibqp),
	INIT_RDMA_OBJ_SIZE(ib_srq, mrdma_srq, ibsrq),
	INIT_RDMA_OBJ_SIZE(ib_ucontext, mrdma_ucontext, ibuc),
};

/*
 * Under RTNL. A link to the back OS that broke is the port's state, not the device's end
 * (DEVICE_FATAL): what applications own is in this OS, and the link may come back.
 */
static int netdev_event(struct notifier_block *nb, unsigned long event, void *arg)
{
	struct mrdma_dev *dev = container_of(nb, struct mrdma_dev, netdev_nb);
	struct ib_event ev = { .device = &dev->ibdev, .element.port_num = 1 };
	struct net_device *netdev = netdev_notifier_info_to_dev(arg);
	struct netdev_notifier_changeupper_info *upper = arg;
	int state;

	if (event == NETDEV_CHANGEUPPER && upper->linking && mrdma_netdev_uses_vnic(netdev))
		refuse_rxe_above(upper->upper_dev);
	if (netdev != dev->netdev)
		return NOTIFY_DONE;
	switch (event) {
	case NETDEV_CHANGEADDR:
		mrdma_macs_follow(dev);
		break;
	case NETDEV_UP:
	case NETDEV_DOWN:
	case NETDEV_CHANGE:
		state = port_state(dev->netdev);
		if (state == dev->port_state)
			break;
		dev->port_state = state;
		ev.event = state == IB_PORT_ACTIVE ? IB_EVENT_PORT_ACTIVE : IB_EVENT_PORT_ERR;
		if (state != IB_PORT_ACTIVE)
			mrdma_count(dev, MRDMA_CNT_LINK_DOWNED, 1);
		ib_dispatch_event(&ev);
		break;
	}
	return NOTIFY_DONE;
}

/*
 * dev->qps and dev->ahs are looked into by NAPI under their lock, dev->mems by RCU: the lock of
 * that one is for callers that may sleep. As all are initialised in one place lockdep would take
 * them for one class.
 */
static struct lock_class_key mems_class;

static void resume_all(struct work_struct *work)
{
	mrdma_run_all(container_of(work, struct mrdma_dev, resume));
}

void mrdma_resume(struct mrdma_dev *dev)
{
	queue_work(system_dfl_wq, &dev->resume);
}

int mrdma_ib_register(struct mrdma_front *front)
{
	struct mrdma_dev *dev;
	int err;

	dev = ib_alloc_device(mrdma_dev, ibdev);
	if (!dev)
		return -ENOMEM;
	dev->front = front;
	dev->netdev = front->netdev;
	dev->chan = &front->chan;
	dev->port_state = port_state(front->netdev);
	INIT_WORK(&dev->resume, resume_all);
	spin_lock_init(&dev->mw_lock);
	xa_init_flags(&dev->qps, XA_FLAGS_ALLOC | XA_FLAGS_LOCK_BH | XA_FLAGS_ACCOUNT);
	xa_init_flags(&dev->mems, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
	lockdep_set_class(&dev->mems.xa_lock, &mems_class);
	xa_init_flags(&dev->ahs, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_IRQ | XA_FLAGS_ACCOUNT);
	ida_init(&dev->srqs);
	mrdma_loop_init(dev, mrdma_rx_burst, mrdma_rx_flush);
	mrdma_mcast_init(dev);
	mrdma_macs_init(dev);
	dev->stats = alloc_percpu(struct mrdma_stats);
	if (!dev->stats) {
		err = -ENOMEM;
		goto err_dealloc;
	}
	err = mrdma_rx_init(dev);
	if (err)
		goto err_free_stats;

	strscpy(dev->ibdev.node_desc, "multios", sizeof(dev->ibdev.node_desc));
	dev->ibdev.node_type = RDMA_NODE_IB_CA;
	dev->ibdev.phys_port_cnt = 1;
	/* all completions of what arrives come from one NAPI: there is no CPU to choose */
	dev->ibdev.num_comp_vectors = 1;
	dev->ibdev.local_dma_lkey = 0;
	dev->ibdev.uverbs_cmd_mask |= BIT_ULL(IB_USER_VERBS_CMD_POST_SEND) |
				      BIT_ULL(IB_USER_VERBS_CMD_REQ_NOTIFY_CQ);
	addrconf_addr_eui48((u8 *)&dev->ibdev.node_guid, dev->netdev->dev_addr);
	ib_set_device_ops(&dev->ibdev, &ops);
	/*
	 * ib_core fills the first two, and one for a device's statistics, of which there are none
	 */
	dev->ibdev.groups[2] = &parent_group;

	err = mrdma_follow_init(dev);
	if (err)
		goto err_rx_uninit;
	dev->netdev_nb.notifier_call = netdev_event;
	err = register_netdevice_notifier(&dev->netdev_nb);
	if (err)
		goto err_follow_uninit;
	/* after it, so that no change is missed */
	rtnl_lock();
	mrdma_macs_follow(dev);
	rtnl_unlock();
	dev->client.name = "multios";
	dev->client.add = client_add;
	err = ib_register_client(&dev->client);
	if (err)
		goto err_unregister_notifier;
	/* partner: the load-acquire in receive_burst; what is set up above is seen by packets */
	smp_store_release(&front->ib, dev);
	/* no parent device and no DMA device: see the file's head and ib_dma_*() */
	err = ib_register_device(&dev->ibdev, "rxe_mos%d", NULL);
	if (err)
		goto err_unpublish;
	return 0;

err_unpublish:
	WRITE_ONCE(front->ib, NULL);
	synchronize_net();
	cancel_work_sync(&dev->resume);
	mrdma_loop_stop(dev);
	ib_unregister_client(&dev->client);
err_unregister_notifier:
	unregister_netdevice_notifier(&dev->netdev_nb);
	mrdma_follow_stop(dev);
err_follow_uninit:
	mrdma_follow_uninit(dev);
err_rx_uninit:
	mrdma_rx_uninit(dev);
err_free_stats:
	free_percpu(dev->stats);
err_dealloc:
	mrdma_macs_uninit(dev);
	mrdma_mcast_uninit(dev);
	ib_dealloc_device(&dev->ibdev);
	return err;
}

/* Waits for all users of the device; packets may come until the last QP is gone. */
void mrdma_ib_unregister(struct mrdma_front *front)
{
	struct mrdma_dev *dev = front->ib;

	if (!dev)
		return;
	/* before it flushes what events have queued in ib_core: none comes after that */
	unregister_netdevice_notifier(&dev->netdev_nb);
	mrdma_follow_stop(dev);
	ib_unregister_device(&dev->ibdev);
	ib_unregister_client(&dev->client);
	mrdma_follow_uninit(dev);
	WRITE_ONCE(front->ib, NULL);
	/* after this no softirq that has loaded it and no mrdma_resume() runs */
	synchronize_net();
	cancel_work_sync(&dev->resume);
	mrdma_loop_stop(dev);
	mrdma_rx_uninit(dev);
	mrdma_macs_uninit(dev);
	mrdma_mcast_uninit(dev);
	free_percpu(dev->stats);
	xa_destroy(&dev->qps);
	xa_destroy(&dev->mems);
	xa_destroy(&dev->ahs);
	ida_destroy(&dev->srqs);
	ib_dealloc_device(&dev->ibdev);
}

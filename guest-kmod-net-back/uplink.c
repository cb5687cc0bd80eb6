// SPDX-License-Identifier: GPL-2.0
/*
 * Carrier of the back's uplink, which the device passes on to the front: without it the front's
 * netdev and port go down, though the link between the OSes is up. The uplink is the other ports of
 * mos0's bridge (one with carrier is enough), or the netdev that the operator names. Without
 * either, as with routing, its state is UNKNOWN, which the front takes for up.
 */
#include <linux/if.h>
#include <linux/io.h>
#include <linux/moduleparam.h>
#include <linux/notifier.h>
#include <linux/rtnetlink.h>

#include "../guest-kmod-common/regs.h"
#include "mnet.h"

/* RTNL */
static char uplink[IFNAMSIZ] = "auto";
static struct mnet *the_one;

static bool has_carrier(struct net_device *dev)
{
	return netif_running(dev) && netif_carrier_ok(dev);
}

static u32 bridge_state(struct net_device *mos, struct net_device *bridge)
{
	u32 state = MULTIOS_UPLINK_UNKNOWN;
	struct net_device *port;
	struct list_head *pos;

	netdev_for_each_lower_dev(bridge, port, pos) {
		if (port == mos)
			continue;
		if (has_carrier(port))
			return MULTIOS_UPLINK_UP;
		state = MULTIOS_UPLINK_DOWN;
	}
	return state;
}

static u32 uplink_state(struct mnet *mnet)
{
	struct net_device *dev;

	if (!strcmp(uplink, "none"))
		return MULTIOS_UPLINK_UNKNOWN;
	if (!strcmp(uplink, "auto")) {
		dev = netdev_master_upper_dev_get(mnet->netdev);
		return dev ? bridge_state(mnet->netdev, dev) : MULTIOS_UPLINK_UNKNOWN;
	}
	dev = __dev_get_by_name(dev_net(mnet->netdev), uplink);
	return dev && has_carrier(dev) ? MULTIOS_UPLINK_UP : MULTIOS_UPLINK_DOWN;
}

static void tell(struct mnet *mnet)
{
	u32 state;

	ASSERT_RTNL();
	/* no netdev yet */
	if (!mnet->netdev)
		return;
	state = uplink_state(mnet);
	if (state == mnet->uplink)
		return;
	mnet->uplink = state;
	writel(state, mnet->regs + MULTIOS_REG_UPLINK);
}

static int netdev_changed(struct notifier_block *nb, unsigned long event, void *ptr)
{
	switch (event) {
	case NETDEV_UP:
	case NETDEV_DOWN:
	case NETDEV_CHANGE:
	case NETDEV_CHANGEUPPER:
	case NETDEV_CHANGENAME:
	case NETDEV_REGISTER:
	case NETDEV_UNREGISTER:
		tell(container_of(nb, struct mnet, netdevs));
	}
	return NOTIFY_DONE;
}

static int set_uplink(const char *val, const struct kernel_param *kp)
{
	char name[IFNAMSIZ + 1];

	if (strscpy(name, val, sizeof(name)) < 0)
		return -EINVAL;
	strim(name);
	if (!*name || strlen(name) >= IFNAMSIZ)
		return -EINVAL;
	rtnl_lock();
	strscpy(uplink, name, sizeof(uplink));
	if (the_one)
		tell(the_one);
	rtnl_unlock();
	return 0;
}

static int get_uplink(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", uplink);
}

static const struct kernel_param_ops uplink_ops = {
	.set = set_uplink,
	.get = get_uplink,
};
module_param_cb(uplink, &uplink_ops, NULL, 0644);
__MODULE_PARM_TYPE(uplink, "string");
MODULE_PARM_DESC(uplink, "whose carrier the front's NIC takes: auto (default; the other ports of the bridge of mos0), none, or a netdev's name");

int mnet_uplink_start(struct mnet *mnet)
{
	int err;

	/* the register keeps what the last back wrote */
	mnet->uplink = readl(mnet->regs + MULTIOS_REG_UPLINK);
	mnet->netdevs.notifier_call = netdev_changed;
	err = register_netdevice_notifier(&mnet->netdevs);
	if (err)
		return err;
	rtnl_lock();
	the_one = mnet;
	rtnl_unlock();
	return 0;
}

void mnet_uplink_stop(struct mnet *mnet)
{
	rtnl_lock();
	the_one = NULL;
	rtnl_unlock();
	unregister_netdevice_notifier(&mnet->netdevs);
}

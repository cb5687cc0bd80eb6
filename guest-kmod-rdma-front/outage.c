// SPDX-License-Identifier: GPL-2.0
/*
 * Outages: the time from the end of a back OS to the first packet through the next one. The device
 * restarts a back that crashed, so a link that goes down is expected back. Two module parameters
 * bound the wait:
 *
 *   grace_ms    Carrier and port stay up. Frames wait in the qdisc, as many as it takes: sockets
 *               see a pause, and nobody fails over or drops addresses. Then the carrier goes off,
 *               and the port raises IB_EVENT_PORT_ERR.
 *   outage_ms   Requests and responses of reliable connections wait (chan.c), and no retry counts
 *               (retry.c), until the link is up and a packet has come from the wire: the back's NIC
 *               and bridge may come up after the link. After that they are sent in vain, as on a
 *               pulled cable, and each time-out counts.
 *
 * For the same reason a missing carrier of the back's uplink counts only after the grace time.
 *
 * Datagrams, UC messages and what the rings held are lost, and counted. When the link is up,
 * connections resend at once what is not acknowledged, and the front announces its addresses.
 *
 * A machine that continues on another host, or from a saved state, is treated like one whose link
 * was down: what was on the wire is lost, and switches and neighbours look for it at its old place.
 */
#include <linux/moduleparam.h>
#include <linux/rtnetlink.h>

#include "../guest-kmod-common/regs.h"
#include "chan.h"
#include "front.h"
#include "kcompat.h"

#define MAX_MS	3600000		/* an hour */
#define FLAP	(5 * HZ)	/* jiffies; a link that was up for less has not recovered */

static int set_ms(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 0, MAX_MS);
}

const struct kernel_param_ops mrdma_ms_ops = {
	.set = set_ms,
	.get = param_get_uint,
};

static unsigned int grace_ms = 10000;
module_param_cb(grace_ms, &mrdma_ms_ops, &grace_ms, 0644);
__MODULE_PARM_TYPE(grace_ms, "uint");
MODULE_PARM_DESC(grace_ms, "time for which carrier and port outlast the back OS, 0 to 3600000 ms (default 10000)");

static unsigned int outage_ms = 30000;
module_param_cb(outage_ms, &mrdma_ms_ops, &outage_ms, 0644);
__MODULE_PARM_TYPE(outage_ms, "uint");
MODULE_PARM_DESC(outage_ms, "time for which reliable connections wait for the back OS without counting retries, 0 to 3600000 ms (default 30000)");

static bool follow_uplink = true;
module_param(follow_uplink, bool, 0644);
MODULE_PARM_DESC(follow_uplink, "take the carrier of the back's uplink for this NIC's, from its next change on (default Y)");

/*
 * Ends the grace time and the wait of connections if they are over, else runs again when the next
 * one is. Connections also wait from link up to the first packet from the wire.
 */
static void go_on(struct mrdma_front *front)
{
	struct mrdma_outage *o = &front->outage;
	unsigned long passed = jiffies - o->began, next = 0;

	lockdep_assert_held(&front->link.lock);
	if (o->open && passed < o->grace) {
		next = o->grace - passed;
	} else if (o->open && netif_carrier_ok(front->netdev)) {
		netdev_warn(front->netdev, "no back OS for %u ms: the carrier is off\n",
			    jiffies_to_msecs(passed));
		netif_carrier_off(front->netdev);
	} else if (front->uplink_down && netif_carrier_ok(front->netdev)) {
		if (passed < o->grace)
			next = o->grace - passed;
		else
			netif_carrier_off(front->netdev);
	}
	if (mrdma_chan_path(&front->chan) != MRDMA_PATH_PROVEN) {
		if (passed < o->wait) {
			next = min(next ?: ULONG_MAX, o->wait - passed);
		} else {
			netdev_warn(front->netdev,
				    "nothing comes from the wire for %u ms: connections count their retries\n",
				    jiffies_to_msecs(passed));
			mrdma_chan_give_up(&front->chan);
		}
	}
	if (next)
		mod_delayed_work(system_dfl_wq, &o->work, next);
}

static int notify_peers(struct net_device *upper, struct netdev_nested_priv *priv)
{
	__netdev_notify_peers(upper);
	return 0;
}

/* The next back, or another port of a switch, has not seen the front's addresses yet. */
static void announce(struct net_device *netdev)
{
	struct netdev_nested_priv none = {};

	rtnl_lock();
	__netdev_notify_peers(netdev);
	netdev_walk_all_upper_dev_rcu(netdev, notify_peers, &none);
	rtnl_unlock();
}

static void outage_work(struct work_struct *work)
{
	struct mrdma_front *front = container_of(to_delayed_work(work), struct mrdma_front,
						 outage.work);

	mutex_lock(&front->link.lock);
	go_on(front);
	mutex_unlock(&front->link.lock);
}

/* More than once: until linkwatch and the back's bridge are ready, announcements are dropped. */
static void announce_work(struct work_struct *work)
{
	static const unsigned int pause_ms[] = { 1000, 5000 };
	struct mrdma_front *front = container_of(to_delayed_work(work), struct mrdma_front,
						 outage.announce);
	struct mrdma_outage *o = &front->outage;

	announce(front->netdev);
	if (o->announced < ARRAY_SIZE(pause_ms))
		queue_delayed_work(system_dfl_wq, &o->announce,
				   msecs_to_jiffies(pause_ms[o->announced++]));
}

static void announce_in(struct mrdma_outage *o, unsigned long delay)
{
	o->announced = 0;
	mod_delayed_work(system_dfl_wq, &o->announce, delay);
}

void mrdma_outage_begin(struct mrdma_front *front)
{
	struct mrdma_outage *o = &front->outage;

	lockdep_assert_held(&front->link.lock);
	cancel_delayed_work(&o->announce);
	/* a back that dies again at once does not restart the two times */
	if (!o->ended || time_after(jiffies, o->ended + FLAP))
		o->began = jiffies;
	o->open = true;
	/* a link that stops for good is not expected back */
	o->grace = front->link.running ? msecs_to_jiffies(READ_ONCE(grace_ms)) : 0;
	o->wait = front->link.running ? msecs_to_jiffies(READ_ONCE(outage_ms)) : 0;
	mrdma_chan_down(&front->chan, jiffies - o->began < o->wait);
	mrdma_netdev_down(front, jiffies - o->began < o->grace);
	go_on(front);
}

void mrdma_outage_end(struct mrdma_front *front)
{
	struct mrdma_outage *o = &front->outage;

	lockdep_assert_held(&front->link.lock);
	mrdma_netdev_up(front);
	mrdma_chan_up(&front->chan);
	/* at the first start there was none */
	if (!o->open) {
		go_on(front);
		return;
	}
	netdev_info(front->netdev, "traffic goes on after %u ms without a back OS\n",
		    jiffies_to_msecs(jiffies - o->began));
	o->open = false;
	o->ended = jiffies;
	announce_in(o, HZ / 10);
	go_on(front);
}

static void uplink_work(struct work_struct *work)
{
	struct mrdma_front *front = container_of(to_delayed_work(work), struct mrdma_front,
						 outage.uplink);
	bool down = READ_ONCE(follow_uplink) &&
		    readl(front->regs + MULTIOS_REG_UPLINK) == MULTIOS_UPLINK_DOWN;

	mutex_lock(&front->link.lock);
	if (down != front->uplink_down) {
		front->uplink_down = down;
		netdev_info(front->netdev, "the back's uplink is %s\n", down ? "down" : "up");
		if (!down && front->link.up) {
			netif_carrier_on(front->netdev);
			/* it may be another port of a switch now */
			announce_in(&front->outage, HZ / 10);
		}
		go_on(front);
	}
	mutex_unlock(&front->link.lock);
}

/* Ten looks a second at most, however often the back changes it. */
void mrdma_outage_look(struct mrdma_front *front)
{
	queue_delayed_work(system_dfl_wq, &front->outage.uplink, HZ / 10);
}

void mrdma_outage_moved(struct mrdma_front *front)
{
	struct mrdma_outage *o = &front->outage;

	mutex_lock(&front->link.lock);
	/* else mrdma_outage_end() will do all this */
	if (front->link.up) {
		o->began = jiffies;
		o->wait = msecs_to_jiffies(READ_ONCE(outage_ms));
		mrdma_chan_moved(&front->chan);
		announce_in(o, 0);
		go_on(front);
	}
	mutex_unlock(&front->link.lock);
}

void mrdma_outage_init(struct mrdma_front *front)
{
	INIT_DELAYED_WORK(&front->outage.work, outage_work);
	INIT_DELAYED_WORK(&front->outage.announce, announce_work);
	INIT_DELAYED_WORK(&front->outage.uplink, uplink_work);
}

void mrdma_outage_stop(struct mrdma_front *front)
{
	cancel_delayed_work_sync(&front->outage.uplink);
	cancel_delayed_work_sync(&front->outage.work);
	cancel_delayed_work_sync(&front->outage.announce);
	mrdma_chan_give_up(&front->chan);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * A back OS that stands still: its kernel is alive, and its heartbeat says so, but it takes nothing
 * out of a ring that holds work, because its NIC is stuck or the poll of mos0 does not run. The
 * device cannot see that. With the parameter stall_ms the front looks at each ring to the back a
 * few times in that time. If the consumer index was the same at all looks, the front asks the
 * device to restart the back, as back_command in sysfs does.
 *
 * Looks are counted, not the time between them: after a pause of the machine there is one, however
 * long it was.
 *
 * A restart that does not help is not repeated until connections count their retries, see outage.c.
 */
#include <linux/moduleparam.h>

#include "../guest-kmod-common/regs.h"
#include "chan.h"
#include "front.h"
#include "kcompat.h"

static unsigned int stall_ms;
module_param_cb(stall_ms, &mrdma_ms_ops, &stall_ms, 0644);
__MODULE_PARM_TYPE(stall_ms, "uint");
MODULE_PARM_DESC(stall_ms, "time without progress in a ring that holds work after which the back OS is restarted, 0 to 3600000 ms; 0: never (default)");

/* In jiffies, to the next look: soon, as the parameter may change. */
static unsigned long stall_period(unsigned int ms)
{
	return ms ? clamp(msecs_to_jiffies(ms) / 4, 1UL, (unsigned long)HZ) :
		    round_jiffies_relative(HZ);
}

/* The number of descriptors that the back has left in ring @i at all looks of @ms ms, or 0. */
static u32 look_at(struct mrdma_front *front, unsigned int i, unsigned int ms)
{
	struct mos_queue *q = &front->link.queue[i];
	u32 taken = msr_load(&q->tx.cons->idx);
	/* a sender may be changing it: the next look sees it */
	u32 waiting = READ_ONCE(q->tx.published) - taken;
	unsigned long periods = msecs_to_jiffies(ms) / stall_period(ms);

	/* more than fit are a broken rule, which the ring's users report */
	if (!waiting || waiting > q->tx.mask + 1 || taken != front->stall.queue[i].taken)
		front->stall.queue[i].looks = 0;
	front->stall.queue[i].taken = taken;
	if (!waiting)
		return 0;
	/* one look begins the time, the others end a period each */
	return ++front->stall.queue[i].looks > periods ? waiting : 0;
}

/* Is there no use in a restart, or another end of the back under way? */
static bool spares(struct mrdma_front *front)
{
	return front->uplink_down ||
	       (front->stall.restarted && mrdma_chan_path(&front->chan) == MRDMA_PATH_UNPROVEN) ||
	       mrdma_back_is_asked(front);
}

static void stall_work(struct work_struct *work)
{
	struct mrdma_front *front = container_of(to_delayed_work(work), struct mrdma_front,
						 stall.work);
	unsigned int ms = READ_ONCE(stall_ms), i;
	u32 waiting;

	mutex_lock(&front->link.lock);
	if (!front->link.up || front->stall.asked)
		goto out;
	if (!ms || spares(front)) {
		memset(front->stall.queue, 0, sizeof(front->stall.queue));
		goto again;
	}
	for (i = 0; i < front->link.nr_queues; i++) {
		waiting = look_at(front, i, ms);
		if (!waiting)
			continue;
		netdev_err(front->netdev,
			   "the back OS has taken none of %u descriptors for %u ms (stall_ms): it is restarted\n",
			   waiting, ms);
		front->stall.asked = true;
		mrdma_back_command(front, MULTIOS_CTL_RESTART);
		goto out;
	}
again:
	queue_delayed_work(system_dfl_wq, &front->stall.work, stall_period(ms));
out:
	mutex_unlock(&front->link.lock);
}

void mrdma_stall_begin(struct mrdma_front *front)
{
	struct mrdma_stall *s = &front->stall;

	lockdep_assert_held(&front->link.lock);
	s->restarted = s->asked;
	s->asked = false;
	memset(s->queue, 0, sizeof(s->queue));
	mod_delayed_work(system_dfl_wq, &s->work, stall_period(READ_ONCE(stall_ms)));
}

void mrdma_stall_init(struct mrdma_front *front)
{
	INIT_DELAYED_WORK(&front->stall.work, stall_work);
}

void mrdma_stall_stop(struct mrdma_front *front)
{
	cancel_delayed_work_sync(&front->stall.work);
}

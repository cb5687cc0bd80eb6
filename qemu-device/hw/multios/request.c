/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: requests to change the back's state, from any thread
 *
 * multios.c carries them out in the main loop.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "trace.h"

/* The last of several pending commands wins. */
static unsigned with_request(unsigned pending, unsigned what)
{
    switch (what) {
    case MULTIOS_DO_STOP:
        pending &= ~(MULTIOS_DO_START | MULTIOS_DO_RESTART |
                     MULTIOS_DO_POWER_DOWN);
        break;
    case MULTIOS_DO_POWER_DOWN:
        /* it is for the running back, which no longer is to be restarted */
        pending &= ~(MULTIOS_DO_START | MULTIOS_DO_RESTART);
        break;
    case MULTIOS_DO_START:
        if (pending & MULTIOS_DO_STOP) {
            what = MULTIOS_DO_RESTART; /* to a running back they are that */
        }
        pending &= ~MULTIOS_DO_STOP;
        break;
    case MULTIOS_DO_RESTART:
        pending &= ~(MULTIOS_DO_STOP | MULTIOS_DO_POWER_DOWN);
        break;
    }
    return pending | what;
}

/*
 * Any thread; with the BQL or without. An event notifier and no bottom half,
 * for a vCPU's thread that polls an AioContext (as a drained block device
 * does) would run the latter. Commands of the monitor are safe likewise.
 */
void multios_request(MultiOSState *s, unsigned what)
{
    unsigned old, was = qatomic_read(&s->pending);

    trace_multios_request(what);
    do {
        old = was;
        was = qatomic_cmpxchg(&s->pending, old, with_request(old, what));
    } while (was != old);
    event_notifier_set(&s->requested);
}

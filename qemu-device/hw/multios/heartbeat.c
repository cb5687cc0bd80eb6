/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: the back's heartbeat
 *
 * The back's kernel writes HEARTBEAT several times in back-heartbeat ms, from a
 * process. A write that does not come means that interrupts are off, softirqs
 * do not end, or the scheduler is dead.
 *
 * The virtual clock counts, which stands while the machine is paused. It runs on
 * while the host withholds CPUs from the back's vCPUs, or stops all of QEMU, so
 * the deadline is put off by as much.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "trace.h"

/* A timer that is so late tells of a QEMU that did not run. In ms */
#define LATE_MS 20

/* Time that the vCPU's thread was runnable without a CPU, in ns; Linux hosts. */
static uint64_t run_delay(CPUState *cs)
{
    g_autofree char *path = g_strdup_printf("/proc/self/task/%d/schedstat",
                                            cs->thread_id);
    g_autofree char *text = NULL;
    uint64_t delay = 0;

    if (!g_file_get_contents(path, &text, NULL, NULL) ||
        sscanf(text, "%*u %" SCNu64, &delay) != 1) {
        return 0;
    }
    return delay;
}

/*
 * The longest time since the last look that one of the back's vCPUs was
 * runnable without a CPU, in ns. One that cannot be read counts as 0.
 */
static uint64_t withheld(MultiOSState *s)
{
    uint64_t longest = 0, *was = s->run_delay;
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (multios_vcpu_is_back(s, cs)) {
            uint64_t now = run_delay(cs);

            if (now > *was) {
                longest = MAX(longest, now - *was);
                *was = now;
            }
            was++;
        }
    }
    return longest;
}

static void set_deadline(MultiOSState *s, int64_t ms)
{
    s->beat_due = qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) + ms;
    timer_mod(&s->heartbeat_timer, s->beat_due);
}

static void expired(void *opaque)
{
    MultiOSState *s = opaque;
    int64_t late = qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) - s->beat_due;
    int64_t more = withheld(s) / SCALE_MS;

    if (late > LATE_MS) {
        more = MAX(more, late);
    }
    if (more > 0) {
        trace_multios_heartbeat_put_off(more);
        set_deadline(s, more);
        return;
    }
    multios_request(s, MULTIOS_DO_HUNG);
}

void multios_heartbeat_stop(MultiOSState *s)
{
    timer_del(&s->heartbeat_timer);
    s->crash_kernel = false;
}

/* The back's crash kernel may run from now on; back-dump-limit is its time. */
void multios_heartbeat_dump(MultiOSState *s)
{
    multios_heartbeat_stop(s);
    if (s->dump_limit) {
        withheld(s);
        set_deadline(s, s->dump_limit * 1000LL);
    }
}

/* A write of HEARTBEAT, with the BQL. */
void multios_heartbeat(MultiOSState *s, uint64_t val)
{
    if (!s->heartbeat_ms) {
        return;
    }
    if (!(val & MULTIOS_BEAT_ALIVE)) {
        if (!s->dumps) {
            multios_heartbeat_stop(s);
        }
        return;
    }
    /* The deadline may be over, and the main loop not there yet. */
    qatomic_and(&s->pending, ~MULTIOS_DO_HUNG);
    if (s->dumps) {
        multios_request(s, MULTIOS_DO_ALIVE);
    }
    s->crash_kernel = val & MULTIOS_BEAT_CRASH_KERNEL;
    withheld(s);
    set_deadline(s, s->heartbeat_ms);
}

bool multios_heartbeat_init(MultiOSState *s, Error **errp)
{
    if (s->heartbeat_ms && (s->heartbeat_ms < MULTIOS_HEARTBEAT_MIN ||
                            s->heartbeat_ms > MULTIOS_HEARTBEAT_MAX)) {
        error_setg(errp, "multios: back-heartbeat is %u ms, it must be 0 (off) "
                   "or %u to %u", s->heartbeat_ms, MULTIOS_HEARTBEAT_MIN,
                   MULTIOS_HEARTBEAT_MAX);
        return false;
    }
    s->run_delay = g_new0(uint64_t, s->back_vcpus);
    timer_init_ms(&s->heartbeat_timer, QEMU_CLOCK_VIRTUAL, expired, s);
    return true;
}

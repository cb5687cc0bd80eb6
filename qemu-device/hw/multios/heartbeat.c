/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: the back's heartbeat
 *
 * The back's kernel writes HEARTBEAT several times in back-heartbeat ms, from
 * process context. No write in that time means that one of its CPUs did not get
 * to it: interrupts are off, softirqs do not end, or a task of a higher class
 * does not give the CPU up.
 *
 * The deadline is one of the virtual clock, which stops while the machine is
 * paused. That clock runs on while the host withholds CPUs from QEMU's threads
 * or stops QEMU, so the deadline is put off by as much. The front's vCPUs and
 * the main loop count as well: a vCPU of the back may wait for the BQL, which
 * one of them holds.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "trace.h"

/* If the timer is later than this, QEMU did not run. In ms */
#define LATE_MS 20

/* Time for the first write after a start from the standby state. In ms */
#define AWAIT_MS 10000

/* Age of the host's figures of a running thread: up to a tick. In ms */
#define TICK_MS 20

static char *task_file(int thread, const char *file)
{
    return g_strdup_printf("/proc/self/task/%d/%s", thread, file);
}

/* Returns true if the thread is runnable now, with a CPU or without. */
static bool is_runnable(int thread)
{
    g_autofree char *file = task_file(thread, "stat");
    g_autofree char *text = NULL;
    const char *name_end;

    if (!g_file_get_contents(file, &text, NULL, NULL)) {
        return false;
    }
    name_end = strrchr(text, ')');
    return name_end && g_str_has_prefix(name_end, ") R");
}

/*
 * Reads the host's figures of the thread. Returns false if there are none, as
 * on hosts other than Linux. Each HEARTBEAT calls this, so the file stays open.
 */
static bool look(MultiOSSched *now)
{
    char text[64];
    ssize_t len = now->fd < 0 ? -1 : pread(now->fd, text, sizeof(text) - 1, 0);

    now->at = get_clock();
    if (len <= 0) {
        return false;
    }
    text[len] = '\0';
    return sscanf(text, "%" SCNu64 " %" SCNu64, &now->ran, &now->waited) == 2;
}

/*
 * Returns for how long the thread was runnable without a CPU since the last
 * look, in ns. The host's figure has a wait only when it is over. So for a
 * runnable thread of a back's vCPU a wait that still lasts is the time in which
 * it neither ran nor waited; other threads may have slept in that time.
 */
static uint64_t withheld_from(MultiOSSched *was)
{
    MultiOSSched now = *was, old = *was;
    uint64_t waited;
    int64_t lasts;

    if (!look(&now)) {
        return 0;
    }
    *was = now;
    if (!old.at || now.waited < old.waited || now.ran < old.ran) {
        return 0; /* the first look */
    }
    waited = now.waited - old.waited;
    lasts = now.at - old.at - waited - (now.ran - old.ran);
    if (was->back && lasts > TICK_MS * SCALE_MS && is_runnable(was->thread)) {
        waited += lasts;
    }
    return waited;
}

/* Returns the longest of these times. */
static uint64_t withheld(MultiOSState *s)
{
    uint64_t longest = 0;

    for (guint i = 0; i < s->sched->len; i++) {
        longest = MAX(longest,
                      withheld_from(&g_array_index(s->sched, MultiOSSched, i)));
    }
    return longest;
}

/* withheld() counts from here on. */
static void look_at_all(MultiOSState *s)
{
    for (guint i = 0; i < s->sched->len; i++) {
        look(&g_array_index(s->sched, MultiOSSched, i));
    }
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

/*
 * The back's crash kernel may run from now on, for back-dump-limit. A second
 * report of the same panic does not restart that time.
 */
void multios_heartbeat_dump(MultiOSState *s)
{
    if (s->dumps) {
        return;
    }
    multios_heartbeat_stop(s);
    if (s->dump_limit) {
        look_at_all(s);
        set_deadline(s, s->dump_limit * 1000LL);
    }
}

void multios_heartbeat_await(MultiOSState *s)
{
    if (s->heartbeat_ms) {
        look_at_all(s);
        set_deadline(s, MAX(AWAIT_MS, 2LL * s->heartbeat_ms));
    }
}

/* Returns true if the back's kernel reads REQUEST, or that is not known. */
bool multios_heartbeat_expected(MultiOSState *s)
{
    return !s->heartbeat_ms || timer_pending(&s->heartbeat_timer);
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
    if (!s->start.has_alive_ms && s->state == MULTIOS_BACK_RUNNING) {
        s->start.has_alive_ms = true;
        s->start.alive_ms = qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) -
                            s->started_at;
        multios_event(s);
    }
    /* The deadline may have passed, and the main loop not have acted yet. */
    qatomic_and(&s->pending, ~MULTIOS_DO_HUNG);
    if (s->dumps) {
        multios_request(s, MULTIOS_DO_ALIVE);
    }
    s->crash_kernel = val & MULTIOS_BEAT_CRASH_KERNEL;
    look_at_all(s);
    set_deadline(s, s->heartbeat_ms);
}

/* The machine's state was loaded: its vCPUs are other threads, or were stopped. */
void multios_heartbeat_loaded(MultiOSState *s)
{
    if (!timer_pending(&s->heartbeat_timer)) {
        return;
    }
    if (!s->heartbeat_ms && !s->dumps) {
        timer_del(&s->heartbeat_timer);
        return;
    }
    look_at_all(s);
    if (!s->dumps) {
        set_deadline(s, s->heartbeat_ms);
    }
}

static void watch(MultiOSState *s, int thread, bool back)
{
    g_autofree char *file = task_file(thread, "schedstat");
    MultiOSSched sched = {
        .thread = thread,
        .back = back,
        .fd = qemu_open_old(file, O_RDONLY),
    };

    g_array_append_val(s->sched, sched);
}

/* Main loop, after all vCPUs were created. */
void multios_heartbeat_watch(MultiOSState *s)
{
    CPUState *cs;

    s->sched = g_array_new(false, false, sizeof(MultiOSSched));
    watch(s, qemu_get_thread_id(), false);
    CPU_FOREACH(cs) {
        watch(s, cs->thread_id, multios_vcpu_is_back(s, cs));
    }
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
    timer_init_ms(&s->heartbeat_timer, QEMU_CLOCK_VIRTUAL, expired, s);
    return true;
}

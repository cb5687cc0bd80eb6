/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: the device in a migration stream or a snapshot
 *
 * Memory and vCPUs of both OSes, and the devices on the back's bus, are in the
 * stream as any machine's are; both OSes stop at one instant, so the rings
 * between them are consistent. This adds the back's life cycle, and which of
 * its vCPUs are held. Kernel and initrd are not in the stream: the next start
 * is of the files that the destination was given.
 *
 * The main loop drops the BQL while it changes the back's state, so the
 * migration thread may want to stop the machine in the middle of a change. It
 * waits: the stream has the state before a change or after it. A request that
 * comes while the state is being saved or loaded waits until the machine runs.
 *
 * The peers on the wire do not see a machine move. So the device interrupts the
 * front (MULTIOS_IRQ_RESUMED), which announces its addresses and sends again.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "hw/pci/msix.h"
#include "migration/misc.h"
#include "migration/vmstate.h"
#include "net/net.h"
#include "system/runstate.h"

/*
 * Returns true if the machine's state is being saved or loaded, or has gone to
 * another QEMU. A paused machine may be saved at any time during a migration.
 */
bool multios_migration_freezes(void)
{
    return (migration_is_running() && !runstate_is_running()) ||
           runstate_check(RUN_STATE_INMIGRATE) ||
           runstate_check(RUN_STATE_FINISH_MIGRATE) ||
           runstate_check(RUN_STATE_POSTMIGRATE) ||
           runstate_check(RUN_STATE_SAVE_VM) ||
           runstate_check(RUN_STATE_RESTORE_VM);
}

/* Main loop, around multios_make_changes(). */
void multios_migration_change(MultiOSState *s, bool begins)
{
    s->changing = begins;
    if (begins) {
        qemu_thread_get_self(&s->changer);
    } else {
        qemu_cond_broadcast(&s->unchanging);
    }
}

static void run_state_changed(void *opaque, bool running, RunState state)
{
    MultiOSState *s = opaque;

    if (!running) {
        /* Not if this is the changer: a disk's reset polls the main loop. */
        while (s->changing && !qemu_thread_is_self(&s->changer)) {
            qemu_cond_wait_bql(&s->unchanging);
        }
        return;
    }
    if (s->loaded) {
        s->loaded = false;
        /* not in post_load: the virtual clock may be loaded later */
        multios_heartbeat_loaded(s);
        multios_event(s);
        multios_update_irq(s, s->irq_status | MULTIOS_IRQ_RESUMED,
                           s->irq_enable);
    }
    if (qatomic_read(&s->pending)) {
        event_notifier_set(&s->requested);
    }
}

static void get_shape(MultiOSState *s, MultiOSShape *shape)
{
    *shape = (MultiOSShape) {
        .front_vcpus = s->first_back_cpu,
        .back_vcpus = s->back_vcpus,
        .back_base = s->back_base,
        .back_mem = s->back_mem,
        .shared_base = s->shared_base,
        .shared_mem = s->shared_mem,
        .pci_base = s->pci_base,
    };
    memcpy(shape->mac, s->mac.a, sizeof(shape->mac));
}

static int shape_pre_save(void *opaque)
{
    MultiOSState *s = opaque;

    get_shape(s, &s->shape);
    return 0;
}

static bool same(const char *name, uint64_t theirs, uint64_t ours,
                 const char *unit)
{
    if (theirs != ours) {
        error_report("multios: %s of the saved machine is %" PRIu64 "%s, here "
                     "it is %" PRIu64 "%s: both must have the same -smp, -m "
                     "and properties of the device", name, theirs, unit, ours,
                     unit);
    }
    return theirs == ours;
}

/* Before the memory in the stream: QEMU's message on its size is less clear. */
static int shape_post_load(void *opaque, int version_id)
{
    MultiOSState *s = opaque;
    const MultiOSShape *theirs = &s->shape;
    MultiOSShape ours;
    const uint8_t *m = theirs->mac, *o = ours.mac;

    get_shape(s, &ours);
    if (!same("the number of the front's vCPUs", theirs->front_vcpus,
              ours.front_vcpus, "") ||
        !same("back-vcpus", theirs->back_vcpus, ours.back_vcpus, "") ||
        !same("back-mem", theirs->back_mem / MiB, ours.back_mem / MiB,
              " MiB") ||
        !same("shared-mem", theirs->shared_mem / MiB, ours.shared_mem / MiB,
              " MiB") ||
        !same("the end of the front's low memory", theirs->back_base,
              ours.back_base, "") ||
        !same("the address of the shared segment", theirs->shared_base,
              ours.shared_base, "") ||
        !same("the address of the back's PCI windows", theirs->pci_base,
              ours.pci_base, "")) {
        return -EINVAL;
    }
    if (memcmp(m, o, sizeof(ours.mac))) {
        error_report("multios: mac of the saved machine is %02x:%02x:%02x:%02x:"
                     "%02x:%02x, here it is %02x:%02x:%02x:%02x:%02x:%02x: the "
                     "front keeps the address that it has", m[0], m[1], m[2],
                     m[3], m[4], m[5], o[0], o[1], o[2], o[3], o[4], o[5]);
        return -EINVAL;
    }
    return 0;
}

static const VMStateDescription vmstate_shape = {
    .name = "multios-machine",
    .version_id = 1,
    .minimum_version_id = 1,
    .early_setup = true,
    .priority = MIG_PRI_MAX - 1,
    .pre_save = shape_pre_save,
    .post_load = shape_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(shape.front_vcpus, MultiOSState),
        VMSTATE_UINT32(shape.back_vcpus, MultiOSState),
        VMSTATE_UINT64(shape.back_base, MultiOSState),
        VMSTATE_UINT64(shape.back_mem, MultiOSState),
        VMSTATE_UINT64(shape.shared_base, MultiOSState),
        VMSTATE_UINT64(shape.shared_mem, MultiOSState),
        VMSTATE_UINT64(shape.pci_base, MultiOSState),
        VMSTATE_UINT8_ARRAY(shape.mac, MultiOSState, 6),
        VMSTATE_END_OF_LIST()
    }
};

static int pre_save(void *opaque)
{
    MultiOSState *s = opaque;

    for (unsigned i = 0; i < s->back_vcpus; i++) {
        s->held[i] = multios_vcpu(s, i)->held;
    }
    return 0;
}

static int post_load(void *opaque, int version_id)
{
    MultiOSState *s = opaque;

    if (s->state >= MULTIOS_BACK__MAX || s->reason >= MULTIOS_REASON__MAX) {
        error_report("multios: the saved state of the back is %u, its reason "
                     "%u: they must be less than %u and %u", s->state,
                     s->reason, MULTIOS_BACK__MAX, MULTIOS_REASON__MAX);
        return -EINVAL;
    }
    for (unsigned i = 0; i < s->back_vcpus; i++) {
        multios_vcpu(s, i)->held = s->held[i];
    }
    /* its TSC is another machine's, or in the future of this one's */
    multios_checkpoint_drop(s);
    s->checkpoint_busy = false;
    s->pending &= ~MULTIOS_DO_CHECKPOINT;
    s->started_boot = 0; /* not known, so no state is taken of it */
    s->loaded = true;
    return 0;
}

const VMStateDescription vmstate_multios = {
    .name = "multios",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = pre_save,
    .post_load = post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, MultiOSState),
        VMSTATE_MSIX(parent_obj, MultiOSState),
        VMSTATE_VARRAY_UINT32(held, MultiOSState, back_vcpus, 1,
                              vmstate_info_uint8, uint8_t),
        VMSTATE_UINT32(state, MultiOSState),
        VMSTATE_UINT32(reason, MultiOSState),
        VMSTATE_UINT32(generation, MultiOSState),
        VMSTATE_INT64(start.hold_us, MultiOSState),
        VMSTATE_INT64(start.load_us, MultiOSState),
        VMSTATE_INT64(start.run_us, MultiOSState),
        VMSTATE_BOOL(start.standby, MultiOSState),
        VMSTATE_BOOL(start.has_alive_ms, MultiOSState),
        VMSTATE_INT64(start.alive_ms, MultiOSState),
        VMSTATE_BOOL(front_took_over, MultiOSState),
        VMSTATE_UINT32(pending, MultiOSState),
        VMSTATE_UINT32(irq_status, MultiOSState),
        VMSTATE_UINT32(irq_enable, MultiOSState),
        VMSTATE_UINT32(uplink, MultiOSState),
        VMSTATE_INT64(started_at, MultiOSState),
        VMSTATE_INT64(restart_gap, MultiOSState),
        VMSTATE_TIMER(restart_timer, MultiOSState),
        VMSTATE_BOOL(restart_waits, MultiOSState),
        VMSTATE_TIMER(power_down_timer, MultiOSState),
        VMSTATE_BOOL(power_down, MultiOSState),
        VMSTATE_INT64(start_again, MultiOSState),
        VMSTATE_TIMER(heartbeat_timer, MultiOSState),
        VMSTATE_INT64(beat_due, MultiOSState),
        VMSTATE_BOOL(crash_kernel, MultiOSState),
        VMSTATE_BOOL(dumps, MultiOSState),
        VMSTATE_UINT8(ioapic_select, MultiOSState),
        VMSTATE_UINT32_ARRAY(ioapic_reg, MultiOSState, 0x40),
        VMSTATE_UINT8(cmos_index, MultiOSState),
        VMSTATE_END_OF_LIST()
    }
};

bool multios_migration_init(MultiOSState *s, Error **errp)
{
    s->held = g_new0(uint8_t, s->back_vcpus);
    qemu_cond_init(&s->unchanging);
    qdev_add_vm_change_state_handler(DEVICE(s), run_state_changed, s);
    if (vmstate_register(VMSTATE_IF(s), VMSTATE_INSTANCE_ID_ANY, &vmstate_shape,
                         s) < 0) {
        error_setg(errp, "multios: its section of the migration stream cannot "
                   "be registered");
        return false;
    }
    return true;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: the device, its registers, and the back's life cycle
 *
 * All changes of the back's state are made in the main loop, which can wait for
 * the back's vCPUs. The sources of changes (register writes of either OS, a
 * triple fault, a management client) ask for them with multios_request().
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "hw/i386/pc.h"
#include "hw/i386/x86.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci-host/q35.h"
#include "net/util.h"
#include "qapi/util.h"
#include "system/replay.h"
#include "system/runstate.h"
#include "system/system.h"
#include "trace.h"

#define BAR_REGISTERS   0
#define BAR_MSIX        1
#define BAR_SIZE        0x1000

/* Free in what libvirt makes of a q35, and not the first that comes to hand. */
#define DEFAULT_SLOT    0x10

/* See reset_back(). In ms */
#define RESTART_GAP_MIN 1000
#define RESTART_GAP_MAX 30000

/* Without heartbeat, a start from standby that lasts so long is good. In ms */
#define STANDBY_PROVEN  10000

/* See note_start(). In ms */
#define START_KEPT      60000

static const QEnumLookup on_crash_lookup = {
    .array = (const char *const[]) {
        [MULTIOS_ON_CRASH_RESTART] = "restart",
        [MULTIOS_ON_CRASH_STOP] = "stop",
        [MULTIOS_ON_CRASH_PAUSE] = "pause",
    },
    .size = MULTIOS_ON_CRASH__MAX,
};

/* Sets bits of IRQ_STATUS or IRQ_ENABLE; a message goes out on 0 -> 1. */
void multios_update_irq(MultiOSState *s, uint32_t status, uint32_t enable)
{
    bool was = s->irq_status & s->irq_enable;

    s->irq_status = status;
    s->irq_enable = enable;
    if (!was && (status & enable)) {
        msix_notify(&s->parent_obj, 0);
    }
}

/* A start counts as a change even if the back was running before. */
static void set_state(MultiOSState *s, enum multios_back_state state)
{
    trace_multios_state(MultiOSBackState_lookup.array[s->state],
                        MultiOSBackState_lookup.array[state],
                        MultiOSBackReason_lookup.array[s->reason], s->generation);
    s->state = state;
    multios_update_irq(s, s->irq_status | MULTIOS_IRQ_BACK_STATE,
                       s->irq_enable);
    multios_event(s);
}

/* Drops requests to the back that ends now: they are not for the next one. */
static void forget_commands(MultiOSState *s)
{
    s->restart_waits = false;
    timer_del(&s->restart_timer);
    s->power_down = false;
    timer_del(&s->power_down_timer);
    s->start_again = 0;
}

/* Drops pending requests of vCPUs and timer: they are not the next kernel's. */
static void hold_back(MultiOSState *s)
{
    multios_vcpus_hold(s);
    multios_heartbeat_stop(s);
    s->dumps = false;
    s->checkpoint_busy = false;
    qatomic_and(&s->pending, (uint32_t)~(MULTIOS_DO_BY_BACK |
                                         MULTIOS_DO_AGAIN));
    forget_commands(s);
}

static void stop_back(MultiOSState *s, enum multios_back_state state)
{
    hold_back(s);
    /* Its devices must not write to memory that the next kernel uses. */
    multios_bus_reset(s);
    multios_page_reset(s);
    if (s->state != state) {
        set_state(s, state);
    }
}

static void start_back(MultiOSState *s)
{
    int64_t begin = get_clock(), held, loaded;
    int64_t begin_ms = qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL);
    bool restored;

    if (s->checkpoint && s->start.standby &&
        (s->heartbeat_ms ? !s->start.has_alive_ms : begin_ms - s->started_at <
                                                    STANDBY_PROVEN)) {
        warn_report("multios: the back did not come up from its standby state: "
                    "it boots");
        multios_checkpoint_drop(s);
    }
    hold_back(s);
    multios_bus_reset(s);
    multios_page_reset(s);
    held = get_clock();
    restored = multios_checkpoint_restore(s);
    if (!restored) {
        multios_boot_load(s);
        multios_vcpus_boot(s);
        s->started_boot = s->boot->nth;
    }
    loaded = get_clock();
    s->generation++;
    s->started_at = qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL);
    if (restored) {
        multios_heartbeat_await(s);
    }
    multios_vcpus_release(s);
    s->start = (MultiOSBackStart) {
        .standby = restored,
        .hold_us = (held - begin) / SCALE_US,
        .load_us = (loaded - held) / SCALE_US,
        .run_us = (get_clock() - loaded) / SCALE_US,
    };
    set_state(s, MULTIOS_BACK_RUNNING);
}

/*
 * The back resets itself. One that dies at once (its init panics, with panic=1)
 * does so for ever, and each start costs the front time. So from a start to
 * the next there is a least time, which doubles from 1 s to 30 s while the back
 * does not live longer than the latter. Until then it stays held.
 */
static void reset_back(MultiOSState *s)
{
    int64_t lived = qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) - s->started_at;
    int64_t wait;

    if (lived >= RESTART_GAP_MAX) {
        s->restart_gap = RESTART_GAP_MIN;
    }
    wait = s->restart_gap - lived;
    s->restart_gap = MIN(2 * s->restart_gap, RESTART_GAP_MAX);
    if (wait <= 0) {
        start_back(s);
        return;
    }
    trace_multios_restart_waits(s->generation, lived, wait);
    stop_back(s, s->state == MULTIOS_BACK_RUNNING ? MULTIOS_BACK_STOPPED :
                                                    s->state);
    s->restart_waits = true;
    timer_mod(&s->restart_timer, s->started_at + lived + wait);
}

/* Notes why a running back ends. The reason of a crash stays. */
static void note_end(MultiOSState *s, enum multios_back_reason reason)
{
    if (s->state == MULTIOS_BACK_RUNNING) {
        s->reason = reason;
    }
}

/*
 * A command to start a running back. The back may be powering off already,
 * which the device sees only at its end: the command then starts it again.
 */
static void note_start(MultiOSState *s)
{
    s->start_again = s->power_down ? INT64_MAX :
                     qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) + START_KEPT;
}

static bool starts_again(MultiOSState *s)
{
    return qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) < s->start_again;
}

/* By command, or because the front shuts down. A back that is off stays so. */
static void power_down_back(MultiOSState *s)
{
    s->start_again = 0;
    if (s->dumps) {
        return; /* it ends by itself, or when back-dump-limit is over */
    }
    if (s->state != MULTIOS_BACK_RUNNING || !multios_heartbeat_expected(s)) {
        /* Its kernel would not read REQUEST. */
        note_end(s, MULTIOS_REASON_COMMAND);
        if (s->state == MULTIOS_BACK_RUNNING || s->restart_waits) {
            stop_back(s, s->state == MULTIOS_BACK_CRASHED ? s->state :
                                                  MULTIOS_BACK_STOPPED);
        }
    } else if (!s->power_down) {
        s->power_down = true;
        if (s->shutdown_limit) {
            timer_mod(&s->power_down_timer,
                      qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) +
                      s->shutdown_limit * 1000LL);
        }
    }
}

static void shutdown_is_over(void *opaque)
{
    MultiOSState *s = opaque;

    warn_report("multios: the back has not shut down in %u s "
                "(back-shutdown-limit): it is stopped", s->shutdown_limit);
    multios_request(s, starts_again(s) ? MULTIOS_DO_RESTART : MULTIOS_DO_STOP);
}

/* After a crash with a crash kernel the vCPUs go on until that kernel resets. */
static bool back_executes(MultiOSState *s)
{
    return s->state == MULTIOS_BACK_RUNNING || s->dumps;
}

/*
 * The back's kernel is dead, and so is its crash kernel if it had one. "pause"
 * leaves vCPUs and devices as they are, for a debugger.
 */
static void crash_back(MultiOSState *s)
{
    switch (s->on_crash) {
    case MULTIOS_ON_CRASH_RESTART:
        set_state(s, MULTIOS_BACK_CRASHED);
        reset_back(s);
        break;
    case MULTIOS_ON_CRASH_STOP:
        stop_back(s, MULTIOS_BACK_CRASHED);
        break;
    default:
        hold_back(s);
        set_state(s, MULTIOS_BACK_CRASHED);
        break;
    }
}

/* Returns the requests of @what that are left to do. */
static unsigned note_crash(MultiOSState *s, unsigned what)
{
    bool running = s->state == MULTIOS_BACK_RUNNING;
    bool kdump = what & MULTIOS_DO_KDUMP;

    if ((what & MULTIOS_DO_CRASH) && back_executes(s)) {
        s->reason = running ? MULTIOS_REASON_FAULT : s->reason;
        kdump = false; /* a vCPU of it is held */
    } else if ((what & MULTIOS_DO_PANIC) && back_executes(s)) {
        s->reason = running ? MULTIOS_REASON_PANIC : s->reason;
    } else if ((what & MULTIOS_DO_HUNG) && back_executes(s) &&
               !(what & (MULTIOS_DO_RESET | MULTIOS_DO_POWEROFF))) {
        s->reason = running ? MULTIOS_REASON_HUNG : s->reason;
        /* its crash kernel may run, which does not beat: it has dump_limit */
        kdump = running && s->crash_kernel;
    } else {
        return what;
    }
    if (kdump) {
        multios_heartbeat_dump(s);
        s->dumps = true;
        set_state(s, MULTIOS_BACK_CRASHED);
        /* an earlier beat tells nothing about the time after the crash */
        return what & ~MULTIOS_DO_ALIVE;
    }
    if ((what & (MULTIOS_DO_STOP | MULTIOS_DO_RESTART)) ||
        (s->power_down && !starts_again(s))) {
        stop_back(s, MULTIOS_BACK_CRASHED);
    } else {
        crash_back(s);
    }
    return what & ~MULTIOS_DO_BY_BACK;
}

/* The back has written RESET or POWEROFF, by itself or as it was asked to. */
static void end_back(MultiOSState *s, bool reset)
{
    if (s->power_down) {
        note_end(s, MULTIOS_REASON_COMMAND);
        reset = false;
    } else {
        note_end(s, reset ? MULTIOS_REASON_RESET : MULTIOS_REASON_POWEROFF);
    }
    if (reset) {
        reset_back(s);
    } else if (starts_again(s)) {
        start_back(s);
    } else {
        stop_back(s, MULTIOS_BACK_STOPPED);
    }
}

/* Main loop only, and not nested: see multios_request(). */
void multios_make_changes(MultiOSState *s)
{
    const unsigned restart_or_stop = MULTIOS_DO_STOP | MULTIOS_DO_RESTART;
    unsigned what;

    if (multios_migration_freezes()) {
        return; /* until the machine runs: see migration.c */
    }
    multios_migration_change(s, true);
    while ((what = qatomic_xchg(&s->pending, 0))) {
        if (what & MULTIOS_DO_CHECKPOINT) {
            /* not beside another request: the back is about to change */
            if (what == MULTIOS_DO_CHECKPOINT &&
                multios_checkpoint_wanted(s)) {
                multios_checkpoint_take(s);
            }
            s->checkpoint_busy = false;
        }
        what = note_crash(s, what);
        if ((what & MULTIOS_DO_ALIVE) && s->dumps) {
            s->dumps = false;
            set_state(s, MULTIOS_BACK_RUNNING);
        }
        if (what & restart_or_stop) {
            /* Done below, instead of the back's own request. */
            note_end(s, MULTIOS_REASON_COMMAND);
        } else if ((what & (MULTIOS_DO_RESET | MULTIOS_DO_POWEROFF)) &&
                   back_executes(s)) {
            end_back(s, what & MULTIOS_DO_RESET);
        }
        if (what & MULTIOS_DO_COMMANDS) {
            s->restart_gap = RESTART_GAP_MIN;
        }
        if (what & MULTIOS_DO_STOP) {
            stop_back(s, MULTIOS_BACK_STOPPED);
        }
        if (what & MULTIOS_DO_POWER_DOWN) {
            power_down_back(s);
        }
        if ((what & MULTIOS_DO_START) && s->state == MULTIOS_BACK_RUNNING) {
            note_start(s);
        }
        if ((what & MULTIOS_DO_RESTART) ||
            ((what & MULTIOS_DO_AGAIN) && s->restart_waits) ||
            ((what & MULTIOS_DO_START) && s->state != MULTIOS_BACK_RUNNING) ||
            ((what & MULTIOS_DO_TAKEOVER) && s->state == MULTIOS_BACK_OFF)) {
            start_back(s);
        }
    }
    multios_migration_change(s, false);
}

static void requested(EventNotifier *n)
{
    MultiOSState *s = container_of(n, MultiOSState, requested);

    event_notifier_test_and_clear(n);
    multios_make_changes(s);
}

static void restart_is_due(void *opaque)
{
    multios_request(opaque, MULTIOS_DO_AGAIN);
}

static uint64_t bar_read(void *opaque, hwaddr addr, unsigned size)
{
    MultiOSState *s = opaque;
    uint64_t val = 0;

    if (!multios_ro_register(s, addr, &val)) {
        switch (addr) {
        case MULTIOS_REG_BACK_STATE:
            val = s->state;
            break;
        case MULTIOS_REG_IRQ_STATUS:
            val = s->irq_status;
            break;
        case MULTIOS_REG_IRQ_ENABLE:
            val = s->irq_enable;
            break;
        case MULTIOS_REG_BACK_REASON:
            val = s->reason;
            break;
        default:
            qemu_log_mask(LOG_GUEST_ERROR, "multios: read of offset 0x%"
                          HWADDR_PRIx ", which is no readable register\n",
                          addr);
        }
    }
    trace_multios_bar_read(addr, val, size);
    return val;
}

static void bar_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    MultiOSState *s = opaque;

    trace_multios_bar_write(addr, val, size);
    switch (addr) {
    case MULTIOS_REG_BACK_CTL:
        switch (val) {
        case MULTIOS_CTL_START:
            multios_request(s, MULTIOS_DO_START);
            return;
        case MULTIOS_CTL_STOP:
            multios_request(s, MULTIOS_DO_STOP);
            return;
        case MULTIOS_CTL_RESTART:
            multios_request(s, MULTIOS_DO_RESTART);
            return;
        case MULTIOS_CTL_POWER_DOWN:
            multios_request(s, MULTIOS_DO_POWER_DOWN);
            return;
        }
        break;
    case MULTIOS_REG_IRQ_STATUS:
        multios_update_irq(s, s->irq_status & ~val, s->irq_enable);
        return;
    case MULTIOS_REG_IRQ_ENABLE:
        multios_update_irq(s, s->irq_status, val & MULTIOS_IRQ_ALL);
        return;
    }
    qemu_log_mask(LOG_GUEST_ERROR, "multios: write of 0x%" PRIx64 " to offset "
                  "0x%" HWADDR_PRIx ", ignored\n", val, addr);
}

static const MemoryRegionOps bar_ops = {
    .read = bar_read,
    .write = bar_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 8 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

/*
 * With all vCPUs stopped. The first page of the shared segment is cleared: it
 * holds the layout's magic, and a section that the machine left before its
 * reset must not look like a peer.
 */
static void multios_reset(DeviceState *dev)
{
    MultiOSState *s = MULTIOS(dev);
    static const uint8_t zero[4 * KiB];

    qatomic_set(&s->pending, 0);
    multios_vcpus_held_by_reset(s);
    multios_page_reset(s);
    multios_heartbeat_stop(s);
    s->dumps = false;
    s->checkpoint_busy = false;
    multios_checkpoint_drop(s);
    forget_commands(s);
    s->restart_gap = RESTART_GAP_MIN;
    s->reason = MULTIOS_REASON_NONE;
    s->front_took_over = false;
    s->irq_status = 0;
    s->irq_enable = 0;
    s->uplink = MULTIOS_UPLINK_UNKNOWN;
    if (s->state != MULTIOS_BACK_OFF) {
        trace_multios_state(MultiOSBackState_lookup.array[s->state],
                            MultiOSBackState_lookup.array[MULTIOS_BACK_OFF],
                            MultiOSBackReason_lookup.array[s->reason], s->generation);
        s->state = MULTIOS_BACK_OFF;
        multios_event(s);
    }
    address_space_write(&address_space_memory, s->shared_base,
                        MEMTXATTRS_UNSPECIFIED, zero, sizeof(zero));
}

/*
 * Firmware with SMM guards its variables, for secure boot, by flash that SMM
 * alone writes. The back's vCPUs are none of that firmware's: their SMM, which
 * an IPI of the back's kernel enters, would run what is at 0x38000.
 */
static bool check_flash(Error **errp)
{
    PCMachineState *pcms = PC_MACHINE(qdev_get_machine());

    for (unsigned i = 0; i < ARRAY_SIZE(pcms->flash); i++) {
        if (pcms->flash[i] &&
            object_property_get_bool(OBJECT(pcms->flash[i]), "secure",
                                     &error_abort)) {
            error_setg(errp, "multios: pflash%u has secure=on, it must be off: "
                       "firmware with SMM (as for secure boot) cannot protect "
                       "anything from the back's vCPUs", i);
            error_append_hint(errp, "Use firmware without SMM, and no -global "
                              "driver=cfi.pflash01,property=secure\n");
            return false;
        }
    }
    return true;
}

static bool check_machine(MultiOSState *s, Error **errp)
{
    MachineState *ms = MACHINE(qdev_get_machine());
    Object *q35 = object_resolve_path_type("", TYPE_Q35_HOST_DEVICE, NULL);
    bool ambiguous = false;

    if (!q35) {
        error_setg(errp, "multios: the machine is '%s', it must be q35",
                   MACHINE_GET_CLASS(ms)->name);
        error_append_hint(errp, "Use -machine q35\n");
        return false;
    }
    object_resolve_path_type("", TYPE_MULTIOS, &ambiguous);
    if (ambiguous) {
        error_setg(errp, "multios: there are two multios devices, there must "
                   "be one in a machine");
        return false;
    }
    if (!DEVICE(s)->id) {
        error_setg(errp, "multios: id is missing, it must be given (as in "
                   "id=mos0): the back's bus is named after it");
        return false;
    }
    if (pci_get_bus(&s->parent_obj) != PCI_HOST_BRIDGE(q35)->bus) {
        error_setg(errp, "multios: bus is '%s', it must be q35's own pcie.0",
                   BUS(pci_get_bus(&s->parent_obj))->name);
        return false;
    }
    return check_flash(errp);
}

static bool parse_mac(MultiOSState *s, Error **errp)
{
    static const MACAddr zero;

    if (!s->mac_str) {
        qemu_macaddr_default_if_unset(&s->mac);
        return true;
    }
    if (net_parse_macaddr(s->mac.a, s->mac_str) < 0 || (s->mac.a[0] & 1) ||
        !memcmp(&s->mac, &zero, sizeof(zero))) {
        error_setg(errp, "multios: mac is '%s', it must be a unicast Ethernet "
                   "address such as 52:54:00:12:34:56", s->mac_str);
        return false;
    }
    return true;
}

static bool parse_on_crash(MultiOSState *s, Error **errp)
{
    int value = MULTIOS_ON_CRASH_RESTART;

    if (s->on_crash_str) {
        value = qapi_enum_parse(&on_crash_lookup, s->on_crash_str, -1, NULL);
    }
    if (value < 0) {
        error_setg(errp, "multios: back-on-crash is '%s', it must be restart, "
                   "stop or pause", s->on_crash_str);
        return false;
    }
    s->on_crash = value;
    return true;
}

static void machine_done(Notifier *notifier, void *opaque)
{
    MultiOSState *s = container_of(notifier, MultiOSState, machine_done);
    Error *err = NULL;

    if (!multios_bus_check(s, &err)) {
        error_report_err(err);
        exit(EXIT_FAILURE);
    }
    multios_segments_end_ram(s);
    multios_views_init(s);
}

/*
 * There is no unrealize: the device cannot be hot-plugged or unplugged, and
 * QEMU ends if realize fails.
 */
static void multios_realize(PCIDevice *pdev, Error **errp)
{
    MultiOSState *s = MULTIOS(pdev);
    int ret;

    if (!check_machine(s, errp) || !parse_mac(s, errp) ||
        !parse_on_crash(s, errp) || !multios_heartbeat_init(s, errp) ||
        !multios_vcpus_init(s, errp) || !multios_segments_init(s, errp) ||
        !multios_boot_set(s, &s->boot_names, errp) ||
        !multios_bus_init(s, errp) || !multios_page_init(s, errp) ||
        !multios_takeover_init(s, errp) || !multios_migration_init(s, errp)) {
        return;
    }
    multios_hide_s3();
    multios_heartbeat_watch(s);

    ret = event_notifier_init(&s->requested, 0);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "multios: no event notifier");
        return;
    }
    event_notifier_set_handler(&s->requested, requested);
    timer_init_ms(&s->restart_timer, QEMU_CLOCK_VIRTUAL, restart_is_due, s);
    timer_init_ms(&s->power_down_timer, QEMU_CLOCK_VIRTUAL, shutdown_is_over,
                  s);

    /* Requests of the back come in through an eventfd, at any time. */
    replay_add_blocker("the device multios");

    memory_region_init_io(&s->bar, OBJECT(s), &bar_ops, s, "multios-registers",
                          BAR_SIZE);
    pci_register_bar(pdev, BAR_REGISTERS, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->bar);
    if (msix_init_exclusive_bar(pdev, 1, BAR_MSIX, errp) < 0) {
        return;
    }
    msix_vector_use(pdev, 0);

    s->machine_done.notify = machine_done;
    qemu_add_machine_init_done_notifier(&s->machine_done);
}

static void multios_class_init(ObjectClass *klass,
                               MultiOSClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);

    k->realize = multios_realize;
    k->vendor_id = MULTIOS_PCI_VENDOR_ID;
    k->device_id = MULTIOS_PCI_DEVICE_ID;
    k->revision = MULTIOS_VERSION;
    k->class_id = PCI_CLASS_SYSTEM_OTHER;
    dc->desc = "multios: a second operating system in this machine";
    /* Memory map, ACPI tables and vCPUs are fixed when the machine is done. */
    dc->hotpluggable = false;
    multios_bus_class_init(klass);
    device_class_set_legacy_reset(dc, multios_reset);
    dc->vmsd = &vmstate_multios;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    multios_properties_add(klass);
}

static void multios_instance_init(Object *obj)
{
    PCI_DEVICE(obj)->devfn = PCI_DEVFN(DEFAULT_SLOT, 0);
}

static const TypeInfo multios_types[] = {
    {
        .name = TYPE_MULTIOS,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(MultiOSState),
        .instance_init = multios_instance_init,
        .class_init = multios_class_init,
        .interfaces = (InterfaceInfo[]) {
            { INTERFACE_CONVENTIONAL_PCI_DEVICE },
            { TYPE_HOTPLUG_HANDLER },
            { },
        },
    },
};

DEFINE_TYPES(multios_types)

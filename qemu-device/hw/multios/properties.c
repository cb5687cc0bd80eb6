/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: properties, those of the command line and those of run time
 *
 * A command takes effect before its qom-set returns: QMP runs in the main loop,
 * which carries the command out.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-multios.h"
#include "qapi/visitor.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"

static int get_back_state(Object *obj, Error **errp)
{
    return MULTIOS(obj)->state;
}

static int get_back_reason(Object *obj, Error **errp)
{
    return MULTIOS(obj)->reason;
}

static void get_back_generation(Object *obj, Visitor *v, const char *name,
                                void *opaque, Error **errp)
{
    visit_type_uint32(v, name, &MULTIOS(obj)->generation, errp);
}

static void get_back_restart_delay(Object *obj, Visitor *v, const char *name,
                                   void *opaque, Error **errp)
{
    MultiOSState *s = MULTIOS(obj);
    int64_t ms = 0;
    uint32_t delay;

    if (s->restart_waits) {
        ms = timer_expire_time_ns(&s->restart_timer) / SCALE_MS -
             qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL);
    }
    delay = MAX(ms, 0);
    visit_type_uint32(v, name, &delay, errp);
}

static bool get_back_standby_ready(Object *obj, Error **errp)
{
    return MULTIOS(obj)->checkpoint;
}

static bool get_back_run(Object *obj, Error **errp)
{
    return MULTIOS(obj)->state == MULTIOS_BACK_RUNNING;
}

/* In the main loop, so back-state is the new one when qom-set returns. */
static void command(Object *obj, const char *property, unsigned what,
                    Error **errp)
{
    MultiOSState *s = MULTIOS(obj);

    if (!DEVICE(s)->realized || !phase_check(PHASE_MACHINE_READY)) {
        error_setg(errp, "multios: %s can be set at run time only, the "
                   "back is off until the front's OS has started", property);
        return;
    }
    if (multios_migration_freezes()) {
        error_setg(errp, "multios: %s cannot be set while the machine is being "
                   "migrated: set it at the destination, when it runs",
                   property);
        return;
    }
    multios_request(s, what);
    multios_make_changes(s);
}

static void set_back_run(Object *obj, bool run, Error **errp)
{
    command(obj, "back-run", run ? MULTIOS_DO_START : MULTIOS_DO_STOP, errp);
}

static void set_back_command(Object *obj, int value, Error **errp)
{
    static const unsigned what[] = {
        [MULTIOS_BACK_COMMAND_START] = MULTIOS_DO_START,
        [MULTIOS_BACK_COMMAND_STOP] = MULTIOS_DO_STOP,
        [MULTIOS_BACK_COMMAND_RESTART] = MULTIOS_DO_RESTART,
        [MULTIOS_BACK_COMMAND_POWER_DOWN] = MULTIOS_DO_POWER_DOWN,
    };

    command(obj, "back-command", what[value], errp);
}

/*
 * back-kernel, back-initrd, back-append: before realize only kept; after it, the
 * files are read at once, for the next start. @opaque is the member's offset.
 */
static MultiOSBackBoot *boot_names(MultiOSState *s)
{
    return s->boot ? s->boot->names : &s->boot_names;
}

static char **boot_name(MultiOSBackBoot *names, void *opaque)
{
    return (char **)((char *)names + (uintptr_t)opaque);
}

static void get_boot_name(Object *obj, Visitor *v, const char *name,
                          void *opaque, Error **errp)
{
    visit_type_str(v, name, boot_name(boot_names(MULTIOS(obj)), opaque), errp);
}

static void set_boot_name(Object *obj, Visitor *v, const char *name,
                          void *opaque, Error **errp)
{
    MultiOSState *s = MULTIOS(obj);
    g_autofree char *value = NULL;

    if (!visit_type_str(v, name, &value, errp)) {
        return;
    }
    if (s->boot) {
        MultiOSBackBoot names = *s->boot->names;

        *boot_name(&names, opaque) = value;
        multios_boot_set(s, &names, errp);
    } else {
        char **member = boot_name(&s->boot_names, opaque);

        g_free(*member);
        *member = g_steal_pointer(&value);
    }
}

/* All three at once; those that are absent stay. */
static void get_back_boot(Object *obj, Visitor *v, const char *name,
                          void *opaque, Error **errp)
{
    MultiOSBackBoot *names = boot_names(MULTIOS(obj));

    visit_type_MultiOSBackBoot(v, name, &names, errp);
}

static void set_back_boot(Object *obj, Visitor *v, const char *name,
                          void *opaque, Error **errp)
{
    MultiOSState *s = MULTIOS(obj);
    g_autoptr(MultiOSBackBoot) boot = NULL;

    if (!s->boot) {
        error_setg(errp, "multios: back-boot can be set at run time only, "
                   "until then there are back-kernel, back-initrd and "
                   "back-append");
        return;
    }
    if (visit_type_MultiOSBackBoot(v, name, &boot, errp)) {
        const MultiOSBackBoot names = {
            .kernel = boot->kernel ?: s->boot->names->kernel,
            .initrd = boot->initrd ?: s->boot->names->initrd,
            .append = boot->append ?: s->boot->names->append,
        };

        multios_boot_set(s, &names, errp);
    }
}

static const Property properties[] = {
    DEFINE_PROP_STRING("back-console", MultiOSState, back_console),
    DEFINE_PROP_STRING("mac", MultiOSState, mac_str),
    DEFINE_PROP_STRING("back-on-crash", MultiOSState, on_crash_str),
    DEFINE_PROP_UINT32("back-heartbeat", MultiOSState, heartbeat_ms, 500),
    DEFINE_PROP_UINT32("back-dump-limit", MultiOSState, dump_limit, 300),
    DEFINE_PROP_UINT32("back-shutdown-limit", MultiOSState, shutdown_limit, 60),
    DEFINE_PROP_BOOL("back-standby", MultiOSState, standby, false),
    DEFINE_PROP_UINT32("back-vcpus", MultiOSState, back_vcpus, 1),
    DEFINE_PROP_SIZE("back-mem", MultiOSState, back_mem, 512 * MiB),
    DEFINE_PROP_SIZE("shared-mem", MultiOSState, shared_mem, 64 * MiB),
};

static void add_boot_name(ObjectClass *klass, const char *name, size_t member,
                          const char *description)
{
    object_class_property_add(klass, name, "string", get_boot_name,
                              set_boot_name, NULL, (void *)member);
    object_class_property_set_description(klass, name, description);
}

void multios_properties_add(ObjectClass *klass)
{
    device_class_set_props(DEVICE_CLASS(klass), properties);
    add_boot_name(klass, "back-kernel", offsetof(MultiOSBackBoot, kernel),
                  "bzImage of the back's next start");
    add_boot_name(klass, "back-initrd", offsetof(MultiOSBackBoot, initrd),
                  "its initramfs, empty: none");
    add_boot_name(klass, "back-append", offsetof(MultiOSBackBoot, append),
                  "its further kernel parameters");
    object_class_property_add(klass, "back-boot", "MultiOSBackBoot",
                              get_back_boot, set_back_boot, NULL, NULL);
    object_class_property_set_description(klass, "back-boot",
                                          "back-kernel, back-initrd and "
                                          "back-append, set together");
    object_class_property_add_enum(klass, "back-state", "MultiOSBackState",
                                   &MultiOSBackState_lookup, get_back_state, NULL);
    object_class_property_set_description(klass, "back-state",
                                          "off, running, stopped or crashed");
    object_class_property_add_enum(klass, "back-reason", "MultiOSBackReason",
                                   &MultiOSBackReason_lookup, get_back_reason, NULL);
    object_class_property_set_description(klass, "back-reason",
                                          "why the back's last run ended");
    object_class_property_add(klass, "back-generation", "uint32",
                              get_back_generation, NULL, NULL, NULL);
    object_class_property_set_description(klass, "back-generation",
                                          "how often the back was started");
    object_class_property_add(klass, "back-restart-delay", "uint32",
                              get_back_restart_delay, NULL, NULL, NULL);
    object_class_property_set_description(klass, "back-restart-delay",
                                          "ms until a back that ends too "
                                          "often starts again");
    object_class_property_add_bool(klass, "back-standby-ready",
                                   get_back_standby_ready, NULL);
    object_class_property_set_description(klass, "back-standby-ready",
                                          "a standby state is kept");
    object_class_property_add_bool(klass, "back-run", get_back_run,
                                   set_back_run);
    object_class_property_set_description(klass, "back-run",
                                          "set to start or stop the back");
    object_class_property_add_enum(klass, "back-command", "MultiOSBackCommand",
                                   &MultiOSBackCommand_lookup, NULL,
                                   set_back_command);
    object_class_property_set_description(klass, "back-command",
                                          "set to start, stop, restart or "
                                          "power-down");
}

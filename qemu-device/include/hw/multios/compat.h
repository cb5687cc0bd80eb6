/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Headers that moved, and a type that changed, after QEMU 10.0
 */

#ifndef HW_MULTIOS_COMPAT_H
#define HW_MULTIOS_COMPAT_H

/* Since 10.1, which made the data of class_init() constant, too. */
#if __has_include("system/address-spaces.h")
#include "system/address-spaces.h"
typedef const void MultiOSClassData;
#else
#include "exec/address-spaces.h"
typedef void MultiOSClassData;
#endif

/* Since 10.1, from system/cpu-timers.h. */
#if __has_include("exec/icount.h")
#include "exec/icount.h"
#endif

/* Since 11.0. */
#if __has_include("hw/core/boards.h")
#include "hw/core/boards.h"
#include "hw/core/hotplug.h"
#include "hw/core/qdev.h"
#include "hw/core/qdev-properties.h"
#include "hw/core/sysbus.h"
#else
#include "hw/boards.h"
#include "hw/hotplug.h"
#include "hw/qdev-core.h"
#include "hw/qdev-properties.h"
#include "hw/sysbus.h"
#endif

/* With an Error since 10.2. */
#if QEMU_VERSION_MAJOR > 10 || \
    (QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR >= 2)
#define multios_load_state(f, vmsd, opaque) \
    vmstate_load_state(f, vmsd, opaque, (vmsd)->version_id, &error_warn)
#else
#define multios_load_state(f, vmsd, opaque) \
    vmstate_load_state(f, vmsd, opaque, (vmsd)->version_id)
#endif

#endif

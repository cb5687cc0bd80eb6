/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: QMP event MULTIOS_BACK_STATE
 *
 * QAPI's enums must have the numbers of the registers' values.
 */

#include "qemu/osdep.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "qapi/qapi-events-multios.h"

#define SAME(qapi, reg) QEMU_BUILD_BUG_ON((int)(qapi) != (int)(reg))

SAME(MULTIOS_BACK_STATE_OFF, MULTIOS_BACK_OFF);
SAME(MULTIOS_BACK_STATE_RUNNING, MULTIOS_BACK_RUNNING);
SAME(MULTIOS_BACK_STATE_STOPPED, MULTIOS_BACK_STOPPED);
SAME(MULTIOS_BACK_STATE_CRASHED, MULTIOS_BACK_CRASHED);
SAME(MULTIOS_BACK_STATE__MAX, MULTIOS_BACK__MAX);
SAME(MULTIOS_BACK_REASON_NONE, MULTIOS_REASON_NONE);
SAME(MULTIOS_BACK_REASON_COMMAND, MULTIOS_REASON_COMMAND);
SAME(MULTIOS_BACK_REASON_POWER_OFF, MULTIOS_REASON_POWEROFF);
SAME(MULTIOS_BACK_REASON_RESET, MULTIOS_REASON_RESET);
SAME(MULTIOS_BACK_REASON_PANIC, MULTIOS_REASON_PANIC);
SAME(MULTIOS_BACK_REASON_FAULT, MULTIOS_REASON_FAULT);
SAME(MULTIOS_BACK_REASON_HUNG, MULTIOS_REASON_HUNG);
SAME(MULTIOS_BACK_REASON__MAX, MULTIOS_REASON__MAX);

/* With the BQL. */
void multios_event(MultiOSState *s)
{
    g_autofree char *path = object_get_canonical_path(OBJECT(s));

    qapi_event_send_multios_back_state(path, (MultiOSBackState)s->state,
                                       (MultiOSBackReason)s->reason,
                                       s->generation,
                                       s->generation ? &s->start : NULL);
}

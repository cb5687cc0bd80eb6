/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between the supported kernels (6.1 to 6.12) that the front module meets. The only
 * place with version conditionals, beside guest-kmod-common/kcompat.h.
 */
#ifndef MRDMA_KCOMPAT_H
#define MRDMA_KCOMPAT_H

#include <linux/version.h>

#include "../guest-kmod-common/kcompat.h"

#endif /* MRDMA_KCOMPAT_H */

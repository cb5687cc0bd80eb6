/* SPDX-License-Identifier: GPL-2.0-or-later */
/* get_unaligned_be16() is in prelude.h */

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memcpy() and the like come from prelude.h */

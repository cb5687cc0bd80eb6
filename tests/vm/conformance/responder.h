/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conformance: shared by the cases of responder.c and refused.c */
#ifndef CF_RESPONDER_H
#define CF_RESPONDER_H

#include "cf.h"

#define MTU	256
#define RW	cf_dut.key[CF_KEY_RW]

/*
 * responder.c: sends one message in packets of the path MTU, from relative PSN @psn on; AckReq in
 * the last.
 */
void cf_message(bool write, uint32_t psn, uint32_t off, const uint8_t *data, uint32_t len,
		bool imm);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conformance: what the cases of requester.c and of reads.c share. */
#ifndef CF_REQUESTER_H
#define CF_REQUESTER_H

#include "cf.h"

#define MTU		256
#define TIMER		12	/* 16.8 ms, where a case is about timeouts */

/* requester.c */
void cf_ack(uint32_t psn, uint32_t msn);
void cf_nak(uint8_t syndrome, uint32_t psn, uint32_t msn);
void cf_request(int opcode, uint64_t wr_id, uint32_t off, uint32_t len);	/* SEND or WRITE */
struct cf_cmd cf_timed(int retry);	/* a connection whose timer runs */

/* reads.c */
void cf_want_read(uint32_t psn, uint32_t off, uint32_t len);
void cf_read(uint64_t wr_id, uint32_t off, uint32_t len);
/* Packets @from to @to of the response to a READ of @len bytes that has its first one at @psn */
void cf_answer(uint32_t psn, uint32_t msn, const uint8_t *data, uint32_t len, uint32_t from,
	       uint32_t to);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* Opcodes of the packets that this side sends. */
#ifndef MRDMA_OPCODE_H
#define MRDMA_OPCODE_H

#include <linux/types.h>

/* The RC opcodes of one kind of message by a packet's place in it; UC's are these | IB_OPCODE_UC */
struct mrdma_op_set {
	u8	first, middle, last, only;
};

enum mrdma_op_set_id {
	MRDMA_OPS_SEND,
	MRDMA_OPS_SEND_IMM,
	MRDMA_OPS_SEND_INV,
	MRDMA_OPS_WRITE,
	MRDMA_OPS_WRITE_IMM,
	MRDMA_OPS_READ_RESP,
	MRDMA_OPS_COUNT,
};

extern const struct mrdma_op_set mrdma_op_set[MRDMA_OPS_COUNT];

#endif /* MRDMA_OPCODE_H */

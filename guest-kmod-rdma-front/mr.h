/* SPDX-License-Identifier: GPL-2.0 */
/* Memory regions, see mr.c. */
#ifndef MRDMA_MR_H
#define MRDMA_MR_H

#include "mem.h"

struct mrdma_mr {
	struct ib_mr		ibmr;
	struct mrdma_mem	mem;
	struct ib_umem		*umem;
	u8			**list;		/* fast registration: as mapped, not in force yet */
	u32			num_list;
	u32			max_list;
};

static inline struct mrdma_mr *to_mrdma_mr(struct ib_mr *ibmr)
{
	return container_of(ibmr, struct mrdma_mr, ibmr);
}

/* Verbs. Process context */
struct ib_mr *mrdma_get_dma_mr(struct ib_pd *ibpd, int access);
struct ib_mr *mrdma_reg_user_mr(struct ib_pd *ibpd, u64 start, u64 length, u64 iova, int access,
				struct ib_udata *udata);
struct ib_mr *mrdma_rereg_user_mr(struct ib_mr *ibmr, int flags, u64 start, u64 length, u64 iova,
				  int access, struct ib_pd *ibpd, struct ib_udata *udata);
struct ib_mr *mrdma_alloc_mr(struct ib_pd *ibpd, enum ib_mr_type type, u32 max_num_sg);
int mrdma_map_mr_sg(struct ib_mr *ibmr, struct scatterlist *sg, int sg_nents,
		    unsigned int *sg_offset);
int mrdma_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata);

/* Work requests, under the QP lock */
int mrdma_mr_fast_reg(struct mrdma_qp *qp, u32 key, int access);
int mrdma_mr_invalidate(struct mrdma_qp *qp, u32 key, bool remote);

#endif /* MRDMA_MR_H */

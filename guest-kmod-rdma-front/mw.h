/* SPDX-License-Identifier: GPL-2.0 */
/* Memory windows, see mw.c. */
#ifndef MRDMA_MW_H
#define MRDMA_MW_H

#include "mem.h"

struct mrdma_mw {
	struct ib_mw		ibmw;		/* first: allocated by ib_core */
	struct mrdma_mem	*mem;
};

static inline struct mrdma_mw *to_mrdma_mw(struct ib_mw *ibmw)
{
	return container_of(ibmw, struct mrdma_mw, ibmw);
}

struct mrdma_bind;

/* Verbs. Process context */
int mrdma_alloc_mw(struct ib_mw *ibmw, struct ib_udata *udata);
int mrdma_dealloc_mw(struct ib_mw *ibmw);
/* Work request, under the QP lock */
int mrdma_mw_bind(struct mrdma_qp *qp, const struct mrdma_bind *b);
/* Under @mem->lock, held for writing */
void mrdma_mw_unbind(struct mrdma_mem *mem);
/* Not under the QP lock */
void mrdma_mw_unbind_all(struct mrdma_qp *qp);

#endif /* MRDMA_MW_H */

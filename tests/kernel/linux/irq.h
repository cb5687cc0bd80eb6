/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcompat.h has inline functions around interrupts, which no pure file calls */
#ifndef TESTS_KERNEL_IRQ_H
#define TESTS_KERNEL_IRQ_H

#define IRQ_MOVE_PCNTXT	0

static inline void irq_set_status_flags(unsigned int irq, unsigned long set)
{
	(void)irq;
	(void)set;
}

#endif /* TESTS_KERNEL_IRQ_H */

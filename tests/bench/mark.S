/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program for the measured guest, without libraries: executes the mark that insn-count.c looks for, and exits.
 * gcc -nostdlib -static -o mark mark.S
 */
	.globl	_start
	.text
_start:
	nopl	0x31534f4d(%rax)
	xorl	%edi, %edi
	movl	$60, %eax		/* exit(0) */
	syscall
	.section .note.GNU-stack, "", @progbits

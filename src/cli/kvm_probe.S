// SPDX-License-Identifier: MIT
/*
 * The smallest machine that shows whether KVM works: what every 64-bit kernel does in its first millisecond.
 *
 * It is a firmware: the last bytes of a ROM that ends at 4 GiB, seen also below 1 MiB. From the reset vector it goes through real and
 * protected mode into long mode, runs in an upper half that is an alias of the lower, sees a changed page table after INVLPG, takes
 * timer interrupts while it halts and while it runs, works for some milliseconds, goes to ring 3 and comes back by SYSCALL, and says so
 * at the debug exit port. Whatever goes wrong on the way ends in a reset or a hang; where each instruction is emulated, it never ends.
 * All data lies in the first megabyte of RAM. Run it with "-device isa-debug-exit,iobase=0xf4,iosize=1 -no-reboot".
 */
#if defined(__x86_64__)

#define SIZE   1024              /* of this image; the reset vector is its last 16 bytes */
#define AT(l)  ((l) - kvm_probe_image + 0x100000 - SIZE)  /* where a label lies below 1 MiB */
#define OFF(l) (AT(l) - 0xf0000)                          /* the same within the real mode segment 0xf000 */
#define HIGH   0xffffffff80000000                         /* the alias, where Linux runs */

#define PML4   0x10000
#define PDPT   0x11000  /* for both halves: entries 0 and 510 */
#define PD     0x12000  /* 0: the first 2 MiB; 1: a window that is moved */
#define IDT    0x13000
#define STACK  0x20000
#define TICKS  0x20000  /* the counter of interrupts */
#define WINDOW 0x200000

#define CODE   0x08
#define CODE32 0x28
#define DATA   0x10
#define ROUNDS 10000000
#define GOOD   0x2a     /* QEMU's exit status: GOOD * 2 + 1 */

	.section .rodata
	.balign 16
	.globl kvm_probe_image, kvm_probe_size
kvm_probe_image:

	.code16
real:
	cli
	xorw %ax, %ax
	movw %ax, %es
	movw %ax, %ss
	movw $0x7000, %sp
	movw %cs, %ax
	movw %ax, %ds
	lgdtl OFF(gdt_pointer)
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $CODE32, $AT(protected)

	.code32
protected:
	movw $DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl $STACK, %esp
	cld
	movl $PML4, %edi        /* tables, IDT: clear */
	xorl %eax, %eax
	movl $0x4000 / 4, %ecx
	rep stosl
	movl $0, TICKS
	movl $PDPT + 7, PML4
	movl $PDPT + 7, PML4 + 511 * 8
	movl $PD + 7, PDPT
	movl $PD + 7, PDPT + 510 * 8
	movl $0x87, PD          /* 2 MiB, user, writable, present */
	movl $0x87, PD + 8
	movl $PML4, %eax
	movl %eax, %cr3
	movl %cr4, %eax
	orl $0xa0, %eax         /* PAE, global pages */
	movl %eax, %cr4
	movl $0xc0000080, %ecx  /* EFER: SYSCALL, long mode, no-execute */
	rdmsr
	orl $0x901, %eax
	wrmsr
	movl %cr0, %eax
	orl $0x80010000, %eax   /* paging, write protection */
	movl %eax, %cr0
	ljmpl $CODE, $AT(long_low)

	.code64
long_low:
	movabsq $HIGH + AT(long_high), %rax
	jmpq *%rax
long_high:
	movabsq $HIGH + STACK, %rsp

	/* The window shows the first 2 MiB, so the counter; then the next 2 MiB; then the first again. */
	movl $0x600d, WINDOW + 0x8000
	cmpl $0x600d, 0x8000
	jne fail
	movl $0x200087, PD + 8
	invlpg WINDOW
	movl $0xbad, WINDOW + 0x8000
	cmpl $0x600d, 0x8000
	jne fail
	movq %cr3, %rax
	movl $0x87, PD + 8
	movq %rax, %cr3
	cmpl $0x600d, WINDOW + 0x8000
	jne fail

	/* Vector 0x20 in the IDT, the interrupt controller from there on with the timer alone, the timer at about 1 kHz. */
	movl $IDT + 0x20 * 16, %edi
	movl $CODE << 16 | (OFF(tick) & 0xffff), (%rdi)
	movl $0x000f8e00, 4(%rdi)
	movl $0xffffffff, 8(%rdi)
	addl $0x80000000, 4(%rdi)
	lidt AT(idt_pointer)
	movb $0x11, %al
	outb %al, $0x20
	movb $0x20, %al
	outb %al, $0x21
	movb $4, %al
	outb %al, $0x21
	movb $1, %al
	outb %al, $0x21
	movb $0xfe, %al
	outb %al, $0x21
	movb $0xff, %al
	outb %al, $0xa1
	movb $0x34, %al
	outb %al, $0x43
	movb $1193 & 0xff, %al
	outb %al, $0x40
	movb $1193 >> 8, %al
	outb %al, $0x40
	movl $0xfee00097, PD + 8  /* the local interrupt controller, uncached: enabled, the old one's line goes through it */
	invlpg WINDOW
	movl $0x1ff, WINDOW + 0xf0
	movl $0x700, WINDOW + 0x350
	sti
halting:
	hlt
	cmpl $20, TICKS
	jb halting
running:
	pause
	cmpl $40, TICKS
	jb running
	cli

	/* Work: a processor does this in some milliseconds, a KVM that emulates each instruction (as kvm_pvm does) does not. */
	movl $ROUNDS, %ecx
working:
	movq %rcx, WINDOW - 8
	addq WINDOW - 8, %rax
	decl %ecx
	jnz working

	/* To ring 3, and back by SYSCALL. */
	movl $0xc0000081, %ecx
	xorl %eax, %eax
	movl $(DATA | 3) << 16 | CODE, %edx  /* SYSRET is not used */
	wrmsr
	incl %ecx
	movl $AT(good), %eax
	movl $0xffffffff, %edx
	addl $0x80000000, %eax
	wrmsr
	pushq $0x20 | 3
	pushq $STACK
	pushq $2
	pushq $0x18 | 3
	pushq $AT(user)
	iretq
user:
	syscall
fail:
	movb $0, %al
	outb %al, $0xf4
	jmp fail
good:
	movb $GOOD, %al
	outb %al, $0xf4
	jmp good

tick:
	pushq %rax
	incl TICKS
	movb $0x20, %al
	outb %al, $0x20
	popq %rax
	iretq

	.balign 8
gdt:
	.quad 0
	.quad 0x00af9b000000ffff  /* 08: code, 64 bit */
	.quad 0x00cf93000000ffff  /* 10: data */
	.quad 0x00affb000000ffff  /* 18: code of ring 3 */
	.quad 0x00cff3000000ffff  /* 20: data of ring 3 */
	.quad 0x00cf9b000000ffff  /* 28: code, 32 bit */
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long AT(gdt)
idt_pointer:
	.word 0x21 * 16 - 1
	.quad IDT

	.org SIZE - 16
	.code16
	ljmp $0xf000, $OFF(real)
	.org SIZE
kvm_probe_size:
	.long SIZE
#endif
	.section .note.GNU-stack, "", @progbits

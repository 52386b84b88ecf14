# The proof program: does what every stock x86-64 kernel does early in its life, in numbered steps, and reports through
# QEMU's isa-debug-exit device (port 0xf4; QEMU's exit status is value * 2 + 1).
# It is a firmware image: QEMU puts these 1024 bytes at the end of the ROM below 4 GiB (-bios), so no BIOS, disk or boot
# loader takes part. RAM is zero when a machine is new.
#
# A KVM without VT-x or AMD-V under it interprets the guest's kernel mode instead of running it on the CPU. There step 2
# ends in an "emulation failure", after which QEMU waits for ever, or step 6 takes half a minute instead of some 50 ms.
# User mode comes last, because such a KVM may run kernel mode on the CPU too, once the guest has been in user mode.
#
# The bytes in ProofProgram.swift are made by
#   as --64 -o proof.o proof.S
#   ld -m elf_x86_64 -Ttext 0x8000 -e start -o proof.elf proof.o
#   objcopy -O binary -j .text proof.elf proof.bin
#   od -An -v -tx1 -w16 proof.bin | sed -E 's/ (..)/ 0x\1,/g; s/^/       /'

        .set    BASE, 0x8000            # the program copies itself here, and is linked for it
        .set    SIZE, 1024
        .set    IDT, 0x9000             # 64 gates
        .set    STACK, 0x10000          # grows down
        .set    PML4, 0x10000
        .set    PDPT, 0x11000
        .set    PD_LOW, 0x12000         # 0 to 1 GiB
        .set    PD_APIC, 0x13000        # 3 to 4 GiB
        .set    PAGE_2M, 0x200000
        .set    LAPIC, 0xfee00000
        .set    EXIT_PORT, 0xf4
        .set    PASSED, 0x2a            # exit status 85; a failure in step n gives 2n + 1
        .set    PIT_VECTOR, 32
        .set    LAPIC_VECTOR, 33
        .set    SPURIOUS_VECTOR, 63

        .macro  step number
        mov     $\number, %ebp          # what a failure reports
        .endm

        .macro  gate vector, handler    # 64-bit interrupt gate to a handler below 64 KiB, selector 8
        movl    $(0x80000 + \handler), IDT + 16 * \vector
        movl    $0x8e00, IDT + 16 * \vector + 4
        .endm

        .text
        .code16
        .globl  start
start:                                  # real mode, in the ROM: copy the program into RAM and go there
        cli
        cld
        mov     %cs, %ax                # selector 0xf000: as a data segment the ROM's copy below 1 MiB
        mov     %ax, %ds
        xor     %ax, %ax
        mov     %ax, %es
        mov     $(0x10000 - SIZE), %si
        mov     $BASE, %di
        mov     $(SIZE / 2), %cx
        rep movsw
        ljmp    $0, $real

real:
        mov     %ax, %ds
        lgdtl   gdt_pointer
        mov     %cr0, %eax
        or      $1, %al                 # PE
        mov     %eax, %cr0
        ljmpl   $0x28, $protected

        .code32
protected:
        step    1                       # long mode, paging on
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $STACK, %esp
        movl    $(PDPT + 7), PML4       # 7: present, writable, user
        movl    $(PD_LOW + 7), PDPT
        movl    $(PD_APIC + 7), PDPT + 8 * 3
        movl    $0x87, PD_LOW           # 0 to 2 MiB one to one, user mode too
        movl    $(LAPIC + 0x9b), PD_APIC + 8 * ((LAPIC >> 21) & 511)    # one to one, uncached
        mov     %cr4, %eax
        or      $0x20, %eax             # PAE
        mov     %eax, %cr4
        mov     $PML4, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx       # EFER
        rdmsr
        or      $0x101, %eax            # LME, SCE
        wrmsr
        mov     $0x2ff, %ecx            # MTRR default type: write-back, as firmware sets it
        mov     $0x806, %eax
        xor     %edx, %edx
        wrmsr
        mov     %cr0, %eax
        and     $~0x60000000, %eax      # CD and NW, set by reset: caches on
        or      $0x80000000, %eax       # PG
        mov     %eax, %cr0
        ljmp    $0x08, $long

        .code64
long:
        mov     $IDT, %edi
        mov     $64, %ecx
1:      movl    $(0x80000 + unexpected), (%rdi)
        movl    $0x8e00, 4(%rdi)
        add     $16, %edi
        loop    1b
        gate    14, page_fault
        gate    PIT_VECTOR, pit_interrupt
        gate    LAPIC_VECTOR, lapic_interrupt
        gate    SPURIOUS_VECTOR, spurious_interrupt
        lidt    idt_pointer

        step    2                       # cmpxchg16b, with which Linux allocates memory and KVM's interpreter stops
        xor     %eax, %eax
        xor     %edx, %edx
        mov     $0x1234, %ebx
        mov     $0x5678, %ecx
        lock cmpxchg16b pair
        jnz     fail
        cmpq    $0x5678, pair + 8
        jne     fail

        step    3                       # a page fault, mended by the handler
        mov     PAGE_2M + BASE, %eax    # the handler maps 2 MiB onto 0
        cmp     BASE, %eax
        jne     fail

        step    4                       # three timer interrupts: PIT, PIC, local APIC
        mov     $LAPIC, %esi
        movl    $(0x100 + SPURIOUS_VECTOR), 0xf0(%rsi)  # enabled
        movl    $0x700, 0x350(%rsi)                     # LINT0 is the PIC's (ExtINT)
        mov     $0x11, %al              # ICW1 to 4 for the first PIC
        out     %al, $0x20
        mov     $PIT_VECTOR, %al
        out     %al, $0x21
        mov     $4, %al
        out     %al, $0x21
        mov     $1, %al
        out     %al, $0x21
        mov     $0xfe, %al              # all masked but IRQ 0
        out     %al, $0x21
        mov     $0x34, %al              # channel 0, rate generator, 1193 ticks of 1.193182 MHz: 1 ms
        out     %al, $0x43
        mov     $(1193 & 255), %al
        out     %al, $0x40
        mov     $(1193 >> 8), %al
        out     %al, $0x40
        mov     $3, %ebx
        call    wait_for_interrupts
        mov     $0xff, %al
        out     %al, $0x21

        step    5                       # one timer interrupt of the local APIC
        movl    $LAPIC_VECTOR, 0x320(%rsi)              # one-shot
        movl    $3, 0x3e0(%rsi)                         # bus clock / 16
        movl    $62500, 0x380(%rsi)                     # 1 ms at QEMU's 1 GHz
        mov     $4, %ebx
        call    wait_for_interrupts

        step    6                       # kernel mode is run, not interpreted: 67 million instructions
        mov     $(1 << 25), %ecx
1:      dec     %ecx
        jnz     1b

        step    7                       # user mode and back, by SYSRET and SYSCALL
        xor     %eax, %eax
        mov     $0x00100008, %edx       # STAR: user 0x20 and 0x18, kernel 0x08 and 0x10
        mov     $0xc0000081, %ecx
        wrmsr
        mov     $system_call, %eax
        xor     %edx, %edx
        mov     $0xc0000082, %ecx       # LSTAR
        wrmsr
        mov     $user, %ecx
        mov     $2, %r11d               # RFLAGS: interrupts off
        sysretq
user:
        mov     %cs, %ebx
        syscall
system_call:
        cmp     $0x23, %ebx             # it was in ring 3
        jne     fail
        mov     %cs, %ebx
        cmp     $0x08, %ebx
        jne     fail

        mov     $PASSED, %ebp
unexpected:
fail:
        mov     %ebp, %eax
        out     %al, $EXIT_PORT
1:      hlt
        jmp     1b

wait_for_interrupts:                    # until there have been %ebx in all
        cli
        cmp     %ebx, interrupts
        jae     1f
        sti                             # takes effect after the hlt has begun, so no interrupt is lost in between
        hlt
        jmp     wait_for_interrupts
1:      ret

page_fault:
        push    %rax
        mov     %cr2, %rax
        cmp     $(PAGE_2M + BASE), %rax
        jne     fail
        movl    $0x83, PD_LOW + 8
        pop     %rax
        add     $8, %rsp                # the error code
        iretq

pit_interrupt:
        push    %rax
        incl    interrupts
        mov     $0x20, %al              # end of interrupt
        out     %al, $0x20
        pop     %rax
        iretq

lapic_interrupt:
        incl    interrupts
        movl    $0, 0xb0(%rsi)          # %rsi is LAPIC; end of interrupt
        iretq

spurious_interrupt:
        iretq

        .balign 16
pair:   .quad   0, 0
gdt:    .quad   0
        .quad   0x00af9b000000ffff      # 0x08 kernel code, 64 bits
        .quad   0x00cf93000000ffff      # 0x10 kernel data
        .quad   0x00cff3000000ffff      # 0x18 user data
        .quad   0x00affb000000ffff      # 0x20 user code, 64 bits
        .quad   0x00cf9b000000ffff      # 0x28 kernel code, 32 bits
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt
idt_pointer:
        .word   16 * 64 - 1
        .quad   IDT
interrupts:
        .long   0

        .org    SIZE - 16               # the reset vector: where a CPU starts, 16 bytes below 4 GiB
        .code16
        .byte   0xe9                    # jmp start, relative to the end of this instruction
        .word   start - (. + 2)
        .org    SIZE

# The proof program: does what every stock x86-64 kernel does early on, in the order below, and reports through
# QEMU's isa-debug-exit device (port 0xf4; the exit status of QEMU is value * 2 + 1). It is a firmware image: QEMU puts
# these 1024 bytes, after 63 KiB of zeros, below 4 GiB (-bios), so no BIOS, disk or boot loader takes part.
#
# A KVM that has only the device node, or that interprets the guest's kernel mode instead of running it on the CPU
# (KVM without VT-x or AMD-V under it), stops at step 2, fails another step, or does not get through step 7 in time.
#
# Assembled into ProofProgram.swift by
#   as --64 -o proof.o proof.S
#   ld -m elf_x86_64 -Ttext 0x8000 -e start -o proof.elf proof.o
#   objcopy -O binary -j .text proof.elf proof.bin
#   od -An -v -tx1 -w16 proof.bin | sed -E 's/ ([0-9a-f]{2})/ 0x\1,/g; s/^ /        /'

        .set    BASE, 0x8000            # where the program copies itself to, and is linked for
        .set    SIZE, 1024
        .set    IDT, 0x9000             # 64 gates
        .set    STACK, 0x10000          # grows down
        .set    PML4, 0x10000           # page tables; RAM is zero when a machine is new
        .set    PDPT, 0x11000
        .set    PD_LOW, 0x12000         # 0 to 1 GiB
        .set    PD_APIC, 0x13000        # 3 to 4 GiB
        .set    LAPIC, 0xfee00000
        .set    EXIT_PORT, 0xf4
        .set    PASSED, 0x2a            # exit status 85; a failed step n gives 2n + 1
        .set    PIT_VECTOR, 32
        .set    LAPIC_VECTOR, 33
        .set    SPURIOUS_VECTOR, 63

        .text
        .code16
        .globl  start
start:                                  # real mode, in the ROM: copy the program into RAM and go there
        cli
        cld
        mov     %cs, %ax                # selector 0xf000, which as a data segment is the ROM's copy below 1 MiB
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
# Step 1: long mode. 0 to 2 MiB and the local APIC are mapped one to one; user mode may use the first.
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $STACK, %esp
        movl    $(PDPT + 7), PML4       # present, writable, user
        movl    $(PD_LOW + 7), PDPT
        movl    $(PD_APIC + 3), PDPT + 3 * 8
        movl    $0x87, PD_LOW           # 2 MiB page, user
        movl    $(LAPIC + 0x9b), PD_APIC + ((LAPIC >> 21) & 511) * 8    # 2 MiB page, uncached; bit 12 is PAT, set off below
        andl    $~0x1fff, PD_APIC + ((LAPIC >> 21) & 511) * 8
        orl     $0x9b, PD_APIC + ((LAPIC >> 21) & 511) * 8
        mov     %cr4, %eax
        or      $0x20, %eax             # PAE
        mov     %eax, %cr4
        mov     $PML4, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx       # EFER
        rdmsr
        or      $0x101, %eax            # LME, SCE
        wrmsr
        mov     %cr0, %eax
        or      $0x80000000, %eax       # PG
        mov     %eax, %cr0
        ljmp    $0x08, $long

        .code64
long:
        mov     $1, %r15d               # the number of the step, which a failure reports
        mov     $64, %ecx
        mov     $IDT, %edi
        lea     unexpected, %eax
        call    1f                      # a gate for every vector, then the three that are expected
        jmp     2f
1:      movw    %ax, (%rdi)
        movl    $0x8e000008 >> 16, %edx
        ret
2:

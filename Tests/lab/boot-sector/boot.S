# A guest of 512 bytes for machines that have better things to do than to boot Linux: the BIOS loads it to 0:7c00, it says
# on the first serial port that it runs, and halts for good.
    .code16
    .globl _start
_start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    cld
    mov $message, %si
next:
    lodsb
    test %al, %al
    jz halt
    mov %al, %bl
wait:
    mov $0x3fd, %dx
    in %dx, %al
    test $0x20, %al
    jz wait
    mov $0x3f8, %dx
    mov %bl, %al
    out %al, %dx
    jmp next
halt:
    hlt
    jmp halt
message:
    .asciz "\r\nboot-sector: runs\r\n"
    .org 510
    .word 0xaa55

#!/usr/bin/env bash
# make-disk.sh OUT.qcow2 BOOT_DIR KERNEL_ARGUMENTS [ROOT_DIR ROOT_MIB LABEL]
#
# Makes a QCOW2 disk that a PC BIOS boots without a menu. BOOT_DIR holds vmlinuz and initrd.img; they go to a FAT
# partition with SYSLINUX. ROOT_DIR, if there is one, becomes an ext4 partition of ROOT_MIB with that LABEL.
# QCOW2_OPTIONS holds further options for qemu-img (-c compresses).
#
# Needs no root, no loop device and no mount: mtools, SYSLINUX and mke2fs write into the image file themselves (run it
# as root, or under fakeroot, when ROOT_DIR's owners matter). Why SYSLINUX: it reads kernel and initramfs in runs of
# sectors; GRUB's block by block way costs seconds where the guest's CPU is emulated.
set -euo pipefail

[ $# -eq 3 ] || [ $# -eq 6 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
out=$1 boot=$2 arguments=$3 root=${4:-} root_mib=${5:-0} label=${6:-}
here=$(cd "$(dirname "$0")" && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/debian-packages.sh" unpack "$work/tools" syslinux syslinux-common mtools dosfstools
export PATH=$work/tools/usr/bin:$work/tools/usr/sbin:$work/tools/sbin:$PATH:/sbin:/usr/sbin

# Fixed identifiers and times: the same input makes the same bytes.
export SOURCE_DATE_EPOCH=315532800 E2FSPROGS_FAKE_TIME=315532800 TZ=UTC

raw=$work/disk.raw
boot_mib=$(($(du -sm --apparent-size "$boot" | cut -f1) + 3))
# FAT16, which SYSLINUX reads as well as FAT32, needs this much to have enough clusters.
[ "$boot_mib" -ge 16 ] || boot_mib=16
truncate -s $((1 + boot_mib))M "$raw"

mkfs.vfat -F 16 --invariant --offset 2048 -n BOOT "$raw" $((boot_mib * 1024)) >/dev/null
printf 'DEFAULT linux\nPROMPT 0\nLABEL linux\nLINUX vmlinuz\nINITRD initrd.img\nAPPEND %s\n' "$arguments" \
    >"$work/syslinux.cfg"
for file in "$boot/vmlinuz" "$boot/initrd.img" "$work/syslinux.cfg"; do
    mcopy -i "$raw@@1M" "$file" "::$(basename "$file")"
done
syslinux --offset 1048576 --install "$raw"

# SYSLINUX's code for the boot sector ends where the partition table begins.
dd if="$work/tools/usr/lib/syslinux/mbr/mbr.bin" of="$raw" bs=440 count=1 conv=notrunc status=none

# One line of the partition table: NUMBER ACTIVE TYPE FIRST_MIB MIB. A partition of our sizes is beyond the old
# cylinder fields, so they say "too far", as every partitioning tool writes it.
entry() {
    local le
    le=$(for sectors in $(($4 * 2048)) $(($5 * 2048)); do
        printf '\\x%02x\\x%02x\\x%02x\\x%02x' $((sectors & 255)) $((sectors >> 8 & 255)) \
            $((sectors >> 16 & 255)) $((sectors >> 24 & 255))
    done)
    printf '%b' "\\x$2\\xfe\\xff\\xff\\x$3\\xfe\\xff\\xff$le" |
        dd of="$raw" bs=1 seek=$((446 + 16 * ($1 - 1))) conv=notrunc status=none
}
entry 1 80 0e 1 "$boot_mib"
printf '\x55\xaa' | dd of="$raw" bs=1 seek=510 conv=notrunc status=none

if [ -n "$root" ]; then
    truncate -s $((1 + boot_mib + root_mib))M "$raw"
    entry 2 00 83 $((1 + boot_mib)) "$root_mib"
    mke2fs -q -F -t ext4 -b 4096 -m 0 -L "$label" -d "$root" -U 5119ab1e-0000-4000-8000-000000000001 \
        -E "offset=$(((1 + boot_mib) << 20)),hash_seed=5119ab1e-0000-4000-8000-000000000002,nodiscard" \
        "$raw" $((root_mib * 256))
fi

# shellcheck disable=SC2086 # several options
qemu-img convert -f raw -O qcow2 ${QCOW2_OPTIONS:-} "$raw" "$out.tmp"
mv "$out.tmp" "$out"

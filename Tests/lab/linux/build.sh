#!/usr/bin/env bash
# build.sh OUT_DIR
#
# Makes images with one of Debian's kernels, booted directly, and an init of busybox:
#   OUT_DIR/linux.tar       slipway.local/linux:latest, whose init says what it sees of cells, CPUs, pages and the seed
#   OUT_DIR/function.tar    slipway.local/function:latest, whose init (../function/init) drives the lab's functions
# Their CPUs are emulated by emulated CPUs, hence the fewest modules and nothing initialised that can be left out. Needs
# no root.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../../examples
[ $# -eq 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$examples/debian-packages.sh" unpack "$work/tools" busybox-static cpio
busybox=$work/tools/bin/busybox

image() { # NAME KERNEL_PACKAGE INIT MODULE…
    local name=$1 package=$2 init=$3 root=$work/$1 modules module line file
    shift 3
    "$examples/debian-packages.sh" unpack "$root/packages" "$package"
    modules=$(echo "$root"/packages/lib/modules/*)
    mkdir -p "$root/image/boot" "$root"/initrd/{bin,dev,proc,sys,seed,modules}
    cp "$busybox" "$root/initrd/bin/"
    "$busybox" depmod -b "$root/packages" "${modules##*/}"
    for module; do
        line=$(grep -E "/$module\.ko:" "$modules/modules.dep")
        # What it needs stands behind it, the first to load last.
        # shellcheck disable=SC2086 # several files
        printf '%s\n' ${line/:/ } | tac
    done | awk '!seen[$0]++' | while read -r file; do
        # Without debugging information, which the kernel would have to read past.
        strip --strip-debug -o "$root/initrd/modules/${file##*/}" "$modules/$file"
        basename "$file" >>"$root/initrd/modules/order"
    done
    install -m 755 "$init" "$root/initrd/init"
    (cd "$root/initrd" && find . | LC_ALL=C sort | "$work/tools/bin/cpio" --quiet -o -H newc -R 0:0) \
        >"$root/image/boot/initrd.img"

    cp "$root/packages/boot/vmlinuz-${modules##*/}" "$root/image/boot/vmlinuz"
    # maxcpus=1: CPUs that wait for each other wait long where threads play them; init brings the others up.
    # tsc=reliable: else every tick asks a device for the time. loglevel=0: a line of the kernel in the middle of one of
    # init's would spoil it.
    unneeded=cubictcp_register,init_blk_tracer,crypto_kdf108_init,init_encrypted,load_system_certificate_list
    echo "console=ttyS0 loglevel=0 maxcpus=1 no_timer_check tsc=reliable mitigations=off cryptomgr.notests" \
        "initcall_blacklist=$unneeded" >"$root/image/boot/cmdline"
    "$examples/make-oci-image.sh" "slipway.local/$name:latest" "$out/$name.tar" "$root/image" /boot/vmlinuz
}

image linux linux-image-cloud-amd64 "$here/init" virtio_pci virtio_blk isofs
# The cloud's kernel drives no hardware.
kernel=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
image function "$kernel" "$here/../function/init" virtio_pci virtio_blk isofs virtio_net e1000e igbvf

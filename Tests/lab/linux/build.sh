#!/usr/bin/env bash
# build.sh OUT_DIR
#
# Makes OUT_DIR/linux.tar, the image slipway.local/linux:latest: Debian's cloud kernel, booted directly, whose init says
# what it sees of cells, CPUs, pages and the cloud-init seed. Its CPUs are emulated by emulated CPUs, hence the fewest
# modules and nothing initialised that can be left out. Needs no root.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../../examples
[ $# -eq 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$examples/debian-packages.sh" unpack "$work/packages" linux-image-cloud-amd64 busybox-static
"$examples/debian-packages.sh" unpack "$work/tools" cpio
busybox=$work/packages/bin/busybox
modules=$(echo "$work"/packages/lib/modules/*)
mkdir -p "$work/image/boot" "$work"/initrd/{bin,dev,sys,seed,modules}

cp "$busybox" "$work/initrd/bin/"
"$busybox" depmod -b "$work/packages" "${modules##*/}"
for module in virtio_pci virtio_blk isofs; do
    line=$(grep -E "/$module\.ko:" "$modules/modules.dep")
    # What it needs stands behind it, the first to load last.
    # shellcheck disable=SC2086 # several files
    printf '%s\n' ${line/:/ } | tac
done | awk '!seen[$0]++' | while read -r file; do
    cp "$modules/$file" "$work/initrd/modules/"
    basename "$file" >>"$work/initrd/modules/order"
done
install -m 755 "$here/init" "$work/initrd/init"
(cd "$work/initrd" && find . | LC_ALL=C sort | "$work/tools/bin/cpio" --quiet -o -H newc -R 0:0) \
    >"$work/image/boot/initrd.img"

cp "$work/packages/boot/vmlinuz-${modules##*/}" "$work/image/boot/vmlinuz"
# maxcpus=1: CPUs that wait for each other wait long where threads play them; init brings the others up.
# tsc=reliable: else every tick asks a device for the time. loglevel=0: a line of the kernel in the middle of one of
# init's would spoil it.
unneeded=cubictcp_register,init_blk_tracer,crypto_kdf108_init,init_encrypted,load_system_certificate_list
echo "console=ttyS0 loglevel=0 maxcpus=1 no_timer_check tsc=reliable mitigations=off cryptomgr.notests" \
    "initcall_blacklist=$unneeded" >"$work/image/boot/cmdline"
"$examples/make-oci-image.sh" slipway.local/linux:latest "$out/linux.tar" "$work/image" /boot/vmlinuz

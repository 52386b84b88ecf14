#!/usr/bin/env bash
# build.sh OUT_DIR
#
# Makes a tiny VM-based network function from Debian packages: a cloud kernel, busybox and QEMU's guest agent.
#   OUT_DIR/tiny-vnf.qcow2        a disk that boots by itself
#   OUT_DIR/vmlinuz, initrd.img   the same without a disk, for direct kernel boot
#   OUT_DIR/tiny-vnf.tar          OCI image slipway.local/tiny-vnf:latest: /disk/tiny-vnf.qcow2
#   OUT_DIR/tiny-vnf-kernel.tar   OCI image slipway.local/tiny-vnf-kernel:latest: /boot/vmlinuz, /boot/initrd.img
# Needs no root. `build.sh --packages` prints the packages that go in.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
examples=$(dirname "$here")
packages=(linux-image-cloud-amd64 busybox-static qemu-guest-agent
    libc6 libglib2.0-0 libnuma1 libpcre2-8-0 libudev1 liburing2)

[ $# -eq 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
[ "$1" != --packages ] || { printf '%s\n' "${packages[@]}"; exit 0; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$examples/debian-packages.sh" unpack "$work/packages" "${packages[@]}"
"$examples/debian-packages.sh" unpack "$work/tools" cpio lz4
export PATH=$work/tools/bin:$work/tools/usr/bin:$PATH
busybox=$work/packages/bin/busybox
guest=$work/guest
mkdir -p "$guest"/{bin,sbin,dev,proc,sys,run,tmp,root,var/run,var/log,lib64,lib/x86_64-linux-gnu}
cp -R "$here/guest/." "$guest"

# busybox, and a link for each of its commands that the guest does not bring itself.
cp "$busybox" "$guest/bin/busybox"
for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || [ -e "$guest/sbin/$applet" ] || ln -s busybox "$guest/bin/$applet"
done
ln -s ../bin/busybox "$guest/sbin/init"

# The drivers that the guest loads by name, and what they depend on. Everything else of the kernel's modules stays out.
modules=(virtio_pci virtio_net virtio_blk virtio_scsi virtio_console virtio_balloon virtio_mem virtio-rng virtiofs 9p 9pnet_virtio
    isofs vfat nls_cp437 nls_ascii nls_utf8 sr_mod sd_mod ata_piix
    button evdev pvpanic-mmio pvpanic-pci qemu_fw_cfg 8021q)
release=$(basename "$work"/packages/lib/modules/*)
"$busybox" depmod -b "$work/packages" "$release"
deps=$work/packages/lib/modules/$release/modules.dep
for module in "${modules[@]}"; do
    # "virtio-rng" and "virtio_rng" are the same name to the kernel; the file's name has either.
    line=$(grep -E "/${module//[-_]/[-_]}\.ko:" "$deps") || continue
    for file in ${line/:/ }; do
        install -D -m 644 "$work/packages/lib/modules/$release/$file" "$guest/lib/modules/$release/$file"
    done
done
cp "$work/packages/lib/modules/$release"/modules.{order,builtin} "$guest/lib/modules/$release/"
"$busybox" depmod -b "$guest" "$release"

# The guest agent, with the libraries that its loader finds for it among the packages.
agent=$work/packages/usr/sbin/qemu-ga
libraries=$work/packages/lib/x86_64-linux-gnu:$work/packages/usr/lib/x86_64-linux-gnu
loader=$work/packages/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
cp "$agent" "$guest/sbin/qemu-ga"
cp -L "$loader" "$guest/lib64/ld-linux-x86-64.so.2"
"$loader" --inhibit-cache --library-path "$libraries" --list "$agent" | awk '$2 == "=>" { print $3 }' |
    while read -r library; do
        case "$library" in
        "$work"/*) cp -L "$library" "$guest/lib/x86_64-linux-gnu/" ;;
        *) echo "build.sh: $library is not from the packages: $agent needs another one" >&2; exit 1 ;;
        esac
    done

# The initramfs. LZ4 unpacks fastest under emulation; "-l" is the format that the kernel knows.
find "$guest" -exec touch -h -d @0 {} +
(cd "$guest" && find . -print0 | LC_ALL=C sort -z | cpio --quiet -o0 -H newc -R 0:0 --reproducible) |
    lz4 -q -l -9 >"$out/initrd.img"
cp "$work/packages/boot/vmlinuz-$release" "$out/vmlinuz"

# no_timer_check: on a busy host the emulated timer may miss the kernel's check. panic=5: a panicked guest starts again
# where no panic device has told the host.
mkdir -p "$work/disk" "$work/image/disk" "$work/kernel/boot"
cp "$out/vmlinuz" "$out/initrd.img" "$work/disk/"
"$examples/make-disk.sh" "$out/tiny-vnf.qcow2" "$work/disk" 'console=ttyS0 quiet panic=5 no_timer_check memhp_default_state=online'

cp "$out/tiny-vnf.qcow2" "$work/image/disk/"
"$examples/make-oci-image.sh" slipway.local/tiny-vnf:latest "$out/tiny-vnf.tar" "$work/image" /disk/tiny-vnf.qcow2
cp "$out/vmlinuz" "$out/initrd.img" "$work/kernel/boot/"
"$examples/make-oci-image.sh" slipway.local/tiny-vnf-kernel:latest "$out/tiny-vnf-kernel.tar" "$work/kernel" /boot/vmlinuz

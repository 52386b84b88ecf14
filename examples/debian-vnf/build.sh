#!/usr/bin/env bash
# build.sh OUT_DIR
#
# Makes a VM-based network function as a vendor would: Debian 12 with systemd, cloud-init, netplan, nftables and QEMU's
# guest agent.
#   OUT_DIR/debian-vnf.qcow2   a disk that boots by itself, console on the first serial port
#   OUT_DIR/debian-vnf.tar     OCI image slipway.local/debian-vnf:latest: /disk/debian-vnf.qcow2
# Needs root, because debootstrap runs the packages' scripts in a chroot, and some minutes. The mirror is
# ${DEBIAN_MIRROR:-http://deb.debian.org/debian}. `build.sh --packages` prints the packages that are asked for.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
examples=$(dirname "$here")
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
# python3-cffi-backend: a dependency of cloud-init by way of a virtual package, which debootstrap does not resolve.
# dbus: logind answers the power button over it. systemd-resolved: netplan's name servers go there.
packages=(linux-image-cloud-amd64 initramfs-tools lz4 systemd-sysv udev dbus systemd-resolved netplan.io cloud-init
    qemu-guest-agent nftables iproute2 iputils-ping procps kmod
    python3-cffi-backend)

[ $# -eq 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
[ "$1" != --packages ] || { printf '%s\n' "${packages[@]}"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "build.sh: debootstrap needs root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "build.sh: debootstrap is missing (Debian: debootstrap)" >&2; exit 1; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
# Not /tmp: that may be mounted without device nodes, or in memory.
work=$(mktemp -d "$out/building.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root

include=$(IFS=,; echo "${packages[*]}")
debootstrap --variant=minbase --include="$include" bookworm "$root" "$mirror" >"$out/debootstrap.log" 2>&1 ||
    { tail -n 20 "$out/debootstrap.log" "$root/debootstrap/debootstrap.log" >&2; exit 1; }

cp -R "$here/guest/." "$root/"
echo debian-vnf >"$root/etc/hostname"
printf 'LABEL=debian-vnf / ext4 errors=remount-ro 0 1\n' >"$root/etc/fstab"
# Empty: systemd makes an identity of its own at the first boot.
: >"$root/etc/machine-id"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer; do
    rm -f "$root"/etc/systemd/system/*.wants/"$unit"
done
chroot "$root" systemctl -q enable systemd-networkd.service systemd-resolved.service

# Only what a virtual machine needs to find its root, so that it is small and quick to unpack.
printf '%s\n' virtio_pci virtio_blk virtio_scsi sd_mod >>"$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u >>"$out/debootstrap.log" 2>&1

mkdir -p "$work/boot"
mv "$(readlink -f "$root"/boot/vmlinuz-*)" "$work/boot/vmlinuz"
mv "$(readlink -f "$root"/boot/initrd.img-*)" "$work/boot/initrd.img"
rm -rf "$root"/{vmlinuz*,initrd.img*,var/cache/apt/archives/*.deb,var/lib/apt/lists/*,var/log/*.log} \
    "$root"/usr/share/{doc,man,locale}/*
mountpoint -q "$root/proc" && umount "$root/proc"

mib=$(($(du -sm "$root" | cut -f1) + 512))
QCOW2_OPTIONS=-c "$examples/make-disk.sh" "$out/debian-vnf.qcow2" "$work/boot" \
    'root=LABEL=debian-vnf ro console=ttyS0 quiet panic=5 no_timer_check' "$root" "$mib" debian-vnf

mkdir -p "$work/image/disk"
cp "$out/debian-vnf.qcow2" "$work/image/disk/"
"$examples/make-oci-image.sh" slipway.local/debian-vnf:latest "$out/debian-vnf.tar" "$work/image" /disk/debian-vnf.qcow2
rm -f "$out/debootstrap.log"

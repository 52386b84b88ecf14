#!/usr/bin/env bash
# image.sh OUT_DIR
#
# Makes what the lab boots: a node of Debian, as LAB_SUITE says (suite.sh), with systemd, containerd, and what Slipway's
# install.sh asks for.
#   vmlinux, initrd.img       the kernel, unpacked, and a busybox that mounts the root file system
#   disk.qcow2                the root file system, ext4 without a partition
#   id_ed25519, known_hosts   the way in: the only key that sshd accepts, and sshd's own
#   qemu                      the suite's QEMU, which plays the machine, where that is not this machine's own
# Needs root, because debootstrap runs the packages' scripts in a chroot, and some minutes. The mirror is
# ${DEBIAN_MIRROR:-http://deb.debian.org/debian}. `image.sh --packages` prints the packages that are asked for.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
unpack=$here/../../examples/debian-packages.sh
# shellcheck source=suite.sh
. "$here/suite.sh"
use_suite "${SLIPWAY_CACHE:-/var/cache/slipway-build}/lab/apt-$suite"
kernel=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
[ -n "$kernel" ] || { echo "image.sh: apt knows no kernel; run apt-get update" >&2; exit 1; }
# A node: the system, what a kubelet's node has, what install.sh asks for, and tools to look with.
packages=(
    systemd-sysv udev dbus kmod openssh-server iproute2 procps
    containerd runc containernetworking-plugins nftables iptables
    qemu-system-x86 seabios libvirt0 libvirt-daemon-driver-qemu dnsmasq-base genisoimage
    numactl pciutils strace tcpdump
)
unpacked=("$kernel" busybox-static)
if [ "$suite" != bookworm ]; then
    # DPDK's testpmd plays vDPA devices. Its package would bring all headers along, hence only what the program links.
    unpacked+=(dpdk-dev)
    mapfile -t libraries < <(apt-cache depends --important dpdk-dev |
        awk '$1 == "Depends:" && $2 !~ /^(libdpdk-dev|python3|<.*)$/ { print $2 }')
    packages+=("${libraries[@]}" librte-net-vhost25 librte-mempool-ring25)
fi

[ $# -eq 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
[ "$1" != --packages ] || { printf '%s\n' "${unpacked[@]}" "${packages[@]}"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "image.sh: debootstrap needs root" >&2; exit 1; }
for tool in debootstrap mke2fs qemu-img cpio xz ssh-keygen; do
    command -v "$tool" >/dev/null ||
        { echo "image.sh: $tool is missing (Debian: debootstrap e2fsprogs qemu-utils cpio xz-utils openssh-client)" >&2; exit 1; }
done
mkdir -p "$1"
out=$(cd "$1" && pwd)
# Not /tmp: that may be mounted without device nodes, or in memory.
work=$(mktemp -d "$out/building.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root

include=$(IFS=,; echo "${packages[*]}")
debootstrap --variant=minbase --include="$include" "$suite" "$root" "$mirror" >"$out/debootstrap.log" 2>&1 ||
    { tail -n 20 "$out/debootstrap.log" "$root/debootstrap/debootstrap.log" >&2; exit 1; }
! mountpoint -q "$root/proc" || umount "$root/proc"

# The kernel is unpacked and not installed: its initramfs would be made for a node that is not known.
"$unpack" unpack "$work/kernel" "$kernel"
"$unpack" unpack "$work/busybox" busybox-static
# Newer packages have their files below /usr, older ones beside it.
modules=$(find "$work/kernel" -path '*lib/modules')
cp -a "$modules" "$root/usr/lib/"
version=$(basename "$modules"/*)
chroot "$root" depmod "$version"

# QEMU boots an unpacked kernel by its PVH entry, which spares the emulated CPU the unpacking. Where the payload is in
# a bzImage is said in its header (the kernel's Documentation/arch/x86/boot.rst); it ends with its unpacked size.
bzimage=$work/kernel/boot/vmlinuz-$version
field() { od -An -t "u$2" -j "$(($1))" -N "$2" "$bzimage" | tr -d ' '; }
begin=$((($(field 0x1f1 1) + 1) * 512 + $(field 0x248 4)))
length=$(($(field 0x24c 4) - 4))
packed=xz
! grep -q '^CONFIG_KERNEL_ZSTD=y' "$work/kernel/boot/config-$version" || packed=zstd
head -c $((begin + length)) "$bzimage" | tail -c "$length" | "$packed" -dc >"$out/vmlinux"

# The initramfs: the modules on the way to the root file system, in the order in which they depend on each other.
mkdir -p "$work"/initrd/{bin,dev,proc,sys,root,modules}
find "$work/busybox" -path '*bin/busybox' -exec cp {} "$work/initrd/bin/" \;
chroot "$root" modprobe --set-version "$version" --show-depends --all virtio_pci virtio_blk ext4 crc32c_generic |
    awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
    while read -r module; do
        cp "$root$module" "$work/initrd/modules/"
        case "$module" in *.xz) xz -d "$work/initrd/modules/${module##*/}" ;; esac
        basename "$module" .xz >>"$work/initrd/modules/order"
    done
install -m 755 "$here/initrd-init" "$work/initrd/init"
(cd "$work/initrd" && find . | cpio --quiet -o -H newc -R 0:0) >"$out/initrd.img"

cp -R "$here/guest/." "$root/"
if [ "$suite" != bookworm ]; then
    cp -R "$here/guest-$suite/." "$root/"
    "$unpack" unpack "$work/testpmd" dpdk-dev
    cp "$work/testpmd/usr/bin/dpdk-testpmd" "$root/usr/local/bin/"
    # QEMU with its own linker and libraries, because this machine's are older.
    mkdir -p "$out"/qemu/{lib,firmware}
    cp "$root/usr/bin/qemu-system-x86_64" "$root/lib64/ld-linux-x86-64.so.2" "$out/qemu/"
    chroot "$root" ldd /usr/bin/qemu-system-x86_64 | awk '$2 == "=>" { print $3 }' |
        while read -r library; do cp "$root$library" "$out/qemu/lib/"; done
    cp "$root"/usr/share/{qemu/{kvmvapic,pvh}.bin,seabios/bios-256k.bin} "$out/qemu/firmware/"
    install -m 755 "$here/qemu" "$out/qemu/run"
fi
echo lab >"$root/etc/hostname"
: >"$root/etc/fstab"
# An identity of its own, but always the same: a machine that is new at each boot costs time.
echo 51190a1a00000000000000000000001a >"$root/etc/machine-id"
echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf"
ssh-keygen -q -t ed25519 -N '' -C lab -f "$out/id_ed25519"
install -d -m 700 "$root/root/.ssh"
install -m 600 "$out/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
rm -f "$root"/etc/ssh/ssh_host_{rsa,ecdsa}_key*
echo "lab $(cut -d' ' -f1,2 "$root/etc/ssh/ssh_host_ed25519_key.pub")" >"$out/known_hosts"

# What a node without disks, terminals and users can do without. Devices are there by devtmpfs and modules by name
# (modules-load.d), so that udev has only to follow what changes.
# Newer ones warn that there is no /proc, which they do not need here.
export SYSTEMD_LOG_LEVEL=err
chroot "$root" systemctl -q enable lab-network.service containerd.service ssh.service
chroot "$root" systemctl -q mask \
    systemd-udev-trigger.service systemd-udev-settle.service systemd-random-seed.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-logind.service systemd-sysusers.service systemd-firstboot.service \
    systemd-machine-id-commit.service systemd-pstore.service systemd-binfmt.service systemd-user-sessions.service \
    systemd-journal-flush.service systemd-journal-catalog-update.service systemd-hwdb-update.service \
    systemd-update-done.service systemd-quotacheck.service systemd-remount-fs.service \
    getty.target getty-static.service sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
    modprobe@configfs.service modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service \
    modprobe@dm_mod.service modprobe@loop.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    systemd-tmpfiles-clean.timer nftables.service dnsmasq.service
rm -rf "$root"/{var/cache/apt/archives/*.deb,var/lib/apt/lists/*,var/log/*.log,usr/share/{doc,man,locale,info}/*}

# Room for pods' images and disks.
truncate -s 16G "$work/disk.raw"
mke2fs -q -F -t ext4 -b 4096 -m 0 -L lab -d "$root" -E nodiscard,lazy_itable_init=1 -O ^has_journal \
    "$work/disk.raw"
qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$out/disk.qcow2"
rm -f "$out/debootstrap.log" "$out/id_ed25519.pub"

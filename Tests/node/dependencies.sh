#!/usr/bin/env bash
# Installs what building, testing and the demo need on Debian 12, and nothing that is there already.
set -euo pipefail

packages=(
    # build
    libvirt-dev libnuma-dev libseccomp-dev pkg-config binutils gcc libc6-dev make jq git
    # a node: what runtime-class/install.sh needs as well
    containerd runc containernetworking-plugins libvirt-daemon-driver-qemu libvirt0 qemu-system-x86 qemu-utils seabios
    dnsmasq-base genisoimage iproute2
    # images of the examples
    busybox-static extlinux syslinux-common mtools dosfstools e2fsprogs cpio zstd xz-utils debootstrap
    # tests
    xorriso cloud-init python3-yaml nftables iptables iputils-ping socat curl tcpdump openssh-client util-linux
    libvirt-clients libxml2-utils openvswitch-switch-dpdk librte-mempool-ring23
)
missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=300 update -qq
    # A package must not start daemons of its own: tests bring their own containerd.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}"
fi

# libvirt's QEMU driver looks these names up before it reads its configuration; the package libvirt-daemon-system would
# make them, but brings a daemon that is not needed.
getent group kvm >/dev/null || groupadd --system kvm
getent group libvirt-qemu >/dev/null || groupadd --system libvirt-qemu
getent passwd libvirt-qemu >/dev/null ||
    useradd --system --gid kvm --home-dir /var/lib/libvirt --no-create-home --shell /usr/sbin/nologin libvirt-qemu

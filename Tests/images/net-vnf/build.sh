#!/usr/bin/env bash
# build.sh OUT_DIR
#
# Makes the images of the network tests, and the program that they share:
#   OUT_DIR/netprobe        sends and receives what is compared; see netprobe.c
#   OUT_DIR/net-vnf.tar     slipway.local/net-vnf:latest: a kernel and an initramfs, the tiny VNF's with netprobe in it
#   OUT_DIR/net-vnf.initrd  that initramfs; the kernel is the tiny VNF's vmlinuz
#   OUT_DIR/net-cnf.tar     slipway.local/net-cnf:latest: a container with busybox and netprobe
# Both serve netprobe's port 5201; the VNF's console tells of links that come and go.
# Needs no root, and a C compiler. `build.sh --packages` prints the packages that go in.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../../examples

[ $# -eq 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
[ "$1" != --packages ] || exec "$examples/tiny-vnf/build.sh" --packages
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cc -static -O2 -Wall -Wextra -Werror -s -o "$out/netprobe" "$here/netprobe.c"
"$examples/debian-packages.sh" unpack "$work/tools" busybox-static cpio lz4
export PATH=$work/tools/bin:$work/tools/usr/bin:$PATH

# The kernel unpacks one archive after another, later files over earlier ones.
"$here/../../node/images.sh" "$work/base" tiny-vnf
mkdir -p "$work/guest/bin"
cp -R "$here/guest/." "$work/guest"
cp "$out/netprobe" "$work/guest/bin/netprobe"
find "$work/guest" -exec touch -h -d @0 {} +
(cd "$work/guest" && find . -print0 | LC_ALL=C sort -z | cpio --quiet -o0 -H newc -R 0:0 --reproducible) |
    lz4 -q -l -9 >"$work/more"
cat "$work/base/initrd.img" "$work/more" >"$out/net-vnf.initrd"
mkdir -p "$work/image/boot"
cp "$work/base/vmlinuz" "$work/image/boot/vmlinuz"
echo 'console=ttyS0 quiet panic=5 no_timer_check memhp_default_state=online' >"$work/image/boot/cmdline"
cp "$out/net-vnf.initrd" "$work/image/boot/initrd.img"
"$examples/make-oci-image.sh" slipway.local/net-vnf:latest "$out/net-vnf.tar" "$work/image" /boot/vmlinuz

cnf=$work/cnf
mkdir -p "$cnf"/{bin,etc,tmp,root,proc,sys,dev}
cp "$out/netprobe" "$work/tools/bin/busybox" "$cnf/bin/"
for applet in $("$work/tools/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$cnf/bin/$applet"
done
echo "root:x:0:0:root:/root:/bin/sh" >"$cnf/etc/passwd"
"$examples/make-oci-image.sh" slipway.local/net-cnf:latest "$out/net-cnf.tar" "$cnf" /bin/netprobe serve 5201

#!/usr/bin/env bash
# build.sh OUT_DIR
#
# Makes OUT_DIR/linux.tar, the image slipway.local/linux:latest: Debian's cloud kernel, booted directly, whose init says
# what it sees of cells, CPUs, pages and the cloud-init seed. The least that does so, because its CPUs are emulated by
# emulated CPUs: no decompression, four modules with what they need, and nothing initialised that can be left out.
# Needs no root.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../../examples
[ $# -eq 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$examples/debian-packages.sh" unpack "$work/packages" linux-image-cloud-amd64 busybox-static
"$examples/debian-packages.sh" unpack "$work/tools" cpio lz4
export PATH=$work/tools/bin:$work/tools/usr/bin:$PATH
busybox=$work/packages/bin/busybox
modules=$(echo "$work"/packages/lib/modules/*)
version=${modules##*/}
mkdir -p "$work/image/boot" "$work"/initrd/{bin,dev,sys,seed,modules}

# Where the payload is in a bzImage: the kernel's Documentation/arch/x86/boot.rst; it ends with its unpacked size.
bzimage=$work/packages/boot/vmlinuz-$version
field() { od -An -t "u$2" -j "$(($1))" -N "$2" "$bzimage" | tr -d ' '; }
begin=$((($(field 0x1f1 1) + 1) * 512 + $(field 0x248 4)))
length=$(($(field 0x24c 4) - 4))
head -c $((begin + length)) "$bzimage" | tail -c "$length" | lz4 -q -dc >"$work/image/boot/vmlinuz"

cp "$busybox" "$work/initrd/bin/"
"$busybox" depmod -b "$work/packages" "$version"
for module in virtio_pci virtio_blk isofs; do
    line=$(grep -E "/$module\.ko:" "$modules/modules.dep")
    # What it needs stands behind it, the first to load last.
    for file in ${line/:/ }; do echo "$file"; done | tac
done | awk '!seen[$0]++' | while read -r file; do
    cp "$modules/$file" "$work/initrd/modules/"
    basename "$file" >>"$work/initrd/modules/order"
done
install -m 755 "$here/init" "$work/initrd/init"
(cd "$work/initrd" && find . | cpio --quiet -o -H newc -R 0:0) >"$work/image/boot/initrd.img"

# A line of the kernel between the words of init's would hide them: loglevel=0.
echo 'console=ttyS0 loglevel=0 no_timer_check mitigations=off cryptomgr.notests initcall_blacklist=cubictcp_register,' \
    'init_blk_tracer,crypto_kdf108_init,init_encrypted,load_system_certificate_list,acpi_cpufreq_init' |
    tr -d '\n' | sed 's/, /,/' >"$work/image/boot/cmdline"
"$examples/make-oci-image.sh" slipway.local/linux:latest "$out/linux.tar" "$work/image" /boot/vmlinuz

#!/usr/bin/env bash
# build.sh OUT_DIR
#
# Makes OUT_DIR/boot-sector.tar, the image slipway.local/boot-sector:latest, whose disk is boot.S.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/image/disk"
as --32 -o "$work/boot.o" "$here/boot.S"
ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o "$work/image/disk/boot.raw" "$work/boot.o"
truncate -s 1M "$work/image/disk/boot.raw"
"$here/../../../examples/make-oci-image.sh" slipway.local/boot-sector:latest "$out/boot-sector.tar" "$work/image" \
    /disk/boot.raw

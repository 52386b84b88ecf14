#!/usr/bin/env bash
# images.sh OUT_DIR
#
# Puts the archives of the images that the lab's tests use into OUT_DIR: the guest of 512 bytes, those of Linux that say
# what they see and drive, and containerd's pause; and into OUT_DIR/files what the tests of networks use beside.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
"$here/../node/images.sh" "$1" cnf
rm -f "$1/cnf.tar"
"$here/boot-sector/build.sh" "$1"
"$here/linux/build.sh" "$1"
"$here/../node/images.sh" "$1/files" net-vnf
rm -f "$1/files/net-vnf.initrd" "$1/files/net-cnf.tar"

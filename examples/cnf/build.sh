#!/usr/bin/env bash
# build.sh OUT_DIR
#
# Makes two images of containers for runc, from Debian's busybox alone:
#   OUT_DIR/cnf.tar     slipway.local/cnf:latest: busybox, and a web server on port 8080 with a line of text
#   OUT_DIR/pause.tar   slipway.local/pause:latest: what containerd runs as a pod's sandbox container
# Needs no root. `build.sh --packages` prints the packages that go in.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
examples=$(dirname "$here")

[ $# -eq 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
[ "$1" != --packages ] || { echo busybox-static; exit 0; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$examples/debian-packages.sh" unpack "$work/packages" busybox-static
busybox=$work/packages/bin/busybox

cnf=$work/cnf
mkdir -p "$cnf"/{bin,etc,tmp,root,www,proc,sys,dev}
cp "$busybox" "$cnf/bin/busybox"
for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$cnf/bin/$applet"
done
install -m 755 "$here/entrypoint" "$cnf/bin/entrypoint"
echo "cnf: a container beside the virtual machines" >"$cnf/www/index.html"
echo "root:x:0:0:root:/root:/bin/sh" >"$cnf/etc/passwd"
"$examples/make-oci-image.sh" slipway.local/cnf:latest "$out/cnf.tar" "$cnf" /bin/entrypoint

pause=$work/pause
mkdir -p "$pause"/{bin,proc,sys,dev}
cp "$busybox" "$pause/bin/busybox"
install -m 755 "$here/pause" "$pause/bin/pause"
ln -s busybox "$pause/bin/sh"
ln -s busybox "$pause/bin/sleep"
"$examples/make-oci-image.sh" slipway.local/pause:latest "$out/pause.tar" "$pause" /bin/pause

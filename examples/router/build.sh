#!/usr/bin/env bash
# build.sh OUT_DIR
#
# Makes a virtual machine that routes and a container that speaks BGP with it, from Debian packages:
#   OUT_DIR/router.tar    slipway.local/router:latest: /disk/router.qcow2, the tiny VNF with bird
#   OUT_DIR/bgp-cnf.tar   slipway.local/bgp-cnf:latest: busybox and FRR's zebra and bgpd
# Needs no root. `build.sh --packages` prints the packages that go in.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
examples=$(dirname "$here")
packages=(bird2 frr libc-ares2 libcap2 libc6 libcom-err2 libcrypt1 libgcrypt20 libgpg-error0 libgssapi-krb5-2 libjson-c5
    libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 libpcre2-8-0 libreadline8 libssh-gcrypt-4 libtinfo6 libyang2 zlib1g)

[ $# -eq 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
[ "$1" != --packages ] || { printf '%s\n' "${packages[@]}"; exec "$examples/tiny-vnf/build.sh" --packages; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$examples/tiny-vnf/build.sh" "$work/base"
"$examples/debian-packages.sh" unpack "$work/packages" "${packages[@]}" busybox-static
"$examples/debian-packages.sh" unpack "$work/tools" cpio lz4
export PATH=$work/tools/bin:$work/tools/usr/bin:$PATH
libraries=$work/packages/lib/x86_64-linux-gnu
loader=$libraries/ld-linux-x86-64.so.2
libraries=$libraries:$work/packages/usr/lib/x86_64-linux-gnu:$work/packages/usr/lib/x86_64-linux-gnu/frr

# Copies a program to PATH_IN_ROOT with the libraries that its loader finds among the packages.
install_program() { # ROOT PROGRAM PATH_IN_ROOT
    local library
    mkdir -p "$1/lib64" "$1/lib/x86_64-linux-gnu" "$(dirname "$1/$3")"
    cp "$work/packages/$2" "$1/$3"
    cp -L "$loader" "$1/lib64/ld-linux-x86-64.so.2"
    "$loader" --inhibit-cache --library-path "$libraries" --list "$work/packages/$2" | awk '$2 == "=>" { print $3 }' |
        while read -r library; do
            case "$library" in
            "$work"/*) cp -L "$library" "$1/lib/x86_64-linux-gnu/" ;;
            *) echo "build.sh: $library is not from the packages: $2 needs another one" >&2; exit 1 ;;
            esac
        done
}

# The kernel unpacks one archive after another, later files over earlier ones.
mkdir -p "$work/guest" "$work/disk" "$work/image/disk"
cp -R "$here/guest/." "$work/guest"
install_program "$work/guest" usr/sbin/bird sbin/bird
install_program "$work/guest" usr/sbin/birdc sbin/birdc
find "$work/guest" -exec touch -h -d @0 {} +
(cd "$work/guest" && find . -print0 | LC_ALL=C sort -z | cpio --quiet -o0 -H newc -R 0:0 --reproducible) |
    lz4 -q -l -9 >"$work/more"
cat "$work/base/initrd.img" "$work/more" >"$work/disk/initrd.img"
cp "$work/base/vmlinuz" "$work/disk/"
"$examples/make-disk.sh" "$work/image/disk/router.qcow2" "$work/disk" 'console=ttyS0 quiet panic=5 no_timer_check'
"$examples/make-oci-image.sh" slipway.local/router:latest "$out/router.tar" "$work/image" /disk/router.qcow2

cnf=$work/cnf
mkdir -p "$cnf"/{bin,etc/frr,run/frr,var/tmp/frr,tmp,root,www,proc,sys,dev}
ln -s ../run "$cnf/var/run"
cp "$work/packages/bin/busybox" "$cnf/bin/"
for applet in $("$cnf/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$cnf/bin/$applet"
done
install_program "$cnf" usr/lib/frr/zebra usr/lib/frr/zebra
install_program "$cnf" usr/lib/frr/bgpd usr/lib/frr/bgpd
install -m 755 "$here/cnf/entrypoint" "$cnf/bin/entrypoint"
printf '%s\n' root:x:0:0:root:/root:/bin/sh frr:x:92:92:frr:/:/bin/false >"$cnf/etc/passwd"
printf '%s\n' root:x:0: frr:x:92: frrvty:x:93:frr >"$cnf/etc/group"
"$examples/make-oci-image.sh" slipway.local/bgp-cnf:latest "$out/bgp-cnf.tar" "$cnf" /bin/entrypoint

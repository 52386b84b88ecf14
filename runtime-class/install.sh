#!/usr/bin/env bash
# install.sh [OPTION…]
#
# Installs Slipway on this node: the programs, the configuration, containerd's runtime handler, and the accounts that
# libvirt looks up. May be run again, also to bring a newer version; pods that run go on with the programs of before.
#
#   --programs DIR            where the three programs are (default: beside this script, or ../.build-release/bin)
#   --containerd-config FILE  containerd's configuration (default: /etc/containerd/config.toml)
#   --install-packages        install missing Debian packages
#   --restart-containerd      restart containerd at the end; without it the command is said
#   --root DIR                install below DIR, a root file system such as a node image's; other paths are below it too
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "install.sh: $*" >&2; exit 1; }
usage() { sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; }

root='' programs='' config=/etc/containerd/config.toml install_packages=false restart=false
while [ $# -gt 0 ]; do
    case "$1" in
    --programs | --root | --containerd-config)
        [ -n "${2-}" ] || fail "$1 needs a value"
        case "$1" in
        --programs) programs=$(cd "$2" 2>/dev/null && pwd) || fail "--programs: there is no directory $2" ;;
        --root) root=$(cd "$2" 2>/dev/null && pwd) || fail "--root: there is no directory $2" ;;
        --containerd-config) config=$2 ;;
        esac
        shift
        ;;
    --install-packages) install_packages=true ;;
    --restart-containerd) restart=true ;;
    -h | --help) usage; exit 0 ;;
    *) fail "$1 is not known; --help lists the options" ;;
    esac
    shift
done
[ "$root" != / ] || root=
[[ "$config" = /* ]] || fail "--containerd-config: $config is not an absolute path"
config=$root$config
[ "$(id -u)" = 0 ] || fail "has to be run as root"
if [ -n "$root" ] && { $install_packages || $restart; }; then
    fail "--install-packages and --restart-containerd are for the running system, not for --root"
fi
# shellcheck source=containerd/handler.sh
. "$here/containerd/handler.sh"

# The programs.
names=(containerd-shim-slipway-v2 slipway-sandbox slipway)
if [ -z "$programs" ]; then
    for programs in "$here" "$here/../.build-release/bin"; do
        [ ! -x "$programs/${names[0]}" ] || break
    done
fi
for name in "${names[@]}"; do
    [ -x "$programs/$name" ] ||
        fail "$programs/$name is missing; build the programs (make build), or say --programs DIR"
done

# What Slipway runs or loads: a Debian package and, for nodes that have it from elsewhere, the files that it is about.
missing=()
need() {
    local package=$1 pattern file
    shift
    for pattern in "$@"; do
        for file in $root$pattern; do [ ! -e "$file" ] || return 0; done
    done
    missing+=("$package")
}
check_packages() {
    missing=()
    need qemu-system-x86 /usr/bin/qemu-system-x86_64
    need seabios '/usr/share/seabios/bios-256k.bin' '/usr/share/qemu/bios-256k.bin'
    need libvirt0 '/usr/lib/*/libvirt.so.0' '/usr/lib64/libvirt.so.0'
    need libvirt-daemon-driver-qemu '/usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so' \
        '/usr/lib64/libvirt/connection-driver/libvirt_driver_qemu.so'
    need dnsmasq-base /usr/sbin/dnsmasq
    need nftables /usr/sbin/nft
    need genisoimage /usr/bin/genisoimage /usr/bin/mkisofs /usr/bin/xorrisofs
}
check_packages
if [ ${#missing[@]} -gt 0 ]; then
    # Without what is recommended: libvirt's daemons, of which Slipway uses none.
    apt=(apt-get install -y --no-install-recommends "${missing[@]}")
    $install_packages || fail "missing on this node: ${missing[*]}. Nothing was changed. This installs them, as does" \
        "--install-packages: ${apt[*]}"
    apt-get -o DPkg::Lock::Timeout=300 update -q
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" -o DPkg::Lock::Timeout=300
    check_packages
    [ ${#missing[@]} -eq 0 ] || fail "still missing after apt-get: ${missing[*]}"
fi

# libvirt's QEMU driver looks these names up before it reads its configuration; the package libvirt-daemon-system would
# make them, but brings a daemon that is not needed.
exists() { # passwd|group NAME
    if [ -z "$root" ]; then getent "$1" "$2" >/dev/null; else grep -qs "^$2:" "$root/etc/$1"; fi
}
prefix=(${root:+--prefix "$root"})
exists group kvm || groupadd "${prefix[@]}" --system kvm
exists group libvirt-qemu || groupadd "${prefix[@]}" --system libvirt-qemu
exists passwd libvirt-qemu ||
    useradd "${prefix[@]}" --system --gid kvm --home-dir /var/lib/libvirt --no-create-home \
        --shell /usr/sbin/nologin libvirt-qemu

# All in one directory: the shim starts slipway-sandbox from beside itself. Put in place by renaming, because pods may
# run on the files of before.
mkdir -p "$root/usr/local/bin"
for name in "${names[@]}"; do
    target=$root/usr/local/bin/$name
    if cmp -s "$programs/$name" "$target"; then
        echo "$target: is there already"
    else
        install -m 755 "$programs/$name" "$target.new"
        mv -f "$target.new" "$target"
        echo "$target: installed"
    fi
done
mkdir -p "$root/var/cache/slipway" "$root/etc/slipway"
for settings in config.json high-performance.json; do
    if [ -e "$root/etc/slipway/$settings" ]; then
        echo "$root/etc/slipway/$settings: is left as it is"
    else
        install -m 644 "$here/$settings" "$root/etc/slipway/$settings"
        echo "$root/etc/slipway/$settings: installed"
    fi
done

[ -f "$config" ] || fail "$config: is missing, so containerd does not know the handler yet; everything else is installed." \
    "Make it (containerd config default >$config) and run install.sh again, or say where it is: --containerd-config FILE"
[ ! -L "$config" ] || [ -z "$root" ] || fail "$config: is a symbolic link, which may lead out of $root; name the file itself"
config=$(realpath "$config")
handler_add "$config" || fail "containerd does not know the handler yet; everything else is installed"

if $restart; then
    systemctl restart containerd
    echo "containerd: restarted"
elif [ -z "$root" ]; then
    echo "If containerd's configuration has changed: systemctl restart containerd (pods go on running)"
fi
echo "Once for the cluster: kubectl apply -f $here/runtimeclasses.yaml"

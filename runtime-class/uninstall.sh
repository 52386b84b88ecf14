#!/usr/bin/env bash
# uninstall.sh [OPTION…]
#
# Takes back what install.sh did on this node. It refuses while machines run. What stays: packages, the accounts
# libvirt-qemu and kvm, which libvirt's own packages use too, and a configuration that has been changed.
#
#   --containerd-config FILE  containerd's configuration (default: /etc/containerd/config.toml)
#   --purge                   remove the files in /etc/slipway even if they have been changed
#   --force                   go on while machines run; they run on, but nothing on the node can clean up after them
#   --restart-containerd      restart containerd at the end; without it the command is said
#   --root DIR                uninstall below DIR; other paths are below it too
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "uninstall.sh: $*" >&2; exit 1; }
usage() { sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; }

root='' config=/etc/containerd/config.toml purge=false force=false restart=false
while [ $# -gt 0 ]; do
    case "$1" in
    --root | --containerd-config)
        [ -n "${2-}" ] || fail "$1 needs a value"
        case "$1" in
        --root) root=$(cd "$2" 2>/dev/null && pwd) || fail "--root: there is no directory $2" ;;
        --containerd-config) config=$2 ;;
        esac
        shift
        ;;
    --purge) purge=true ;;
    --force) force=true ;;
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
[ -z "$root" ] || ! $restart || fail "--restart-containerd is for the running system, not for --root"
# shellcheck source=containerd/handler.sh
. "$here/containerd/handler.sh"

sandboxes=()
for record in "$root"/run/slipway/*/sandbox.json; do
    [ ! -e "$record" ] || sandboxes+=("$(dirname "$record")")
done
if [ ${#sandboxes[@]} -gt 0 ]; then
    $force || fail "${#sandboxes[@]} pods of Slipway are on this node (${sandboxes[*]}); remove them first (kubectl drain," \
        "kubectl delete pod, slipway rm). Nothing was changed; --force goes on all the same"
    echo "${#sandboxes[@]} pods of Slipway are left behind: ${sandboxes[*]}"
fi

[ ! -L "$config" ] || [ -z "$root" ] || fail "$config: is a symbolic link, which may lead out of $root; name the file itself"
[ ! -L "$config" ] || config=$(realpath "$config")
handler_remove "$config"
for name in containerd-shim-slipway-v2 slipway-sandbox slipway; do
    [ ! -e "$root/usr/local/bin/$name" ] || echo "$root/usr/local/bin/$name: removed"
    rm -f "$root/usr/local/bin/$name"
done
for name in config.json high-performance.json; do
    settings=$root/etc/slipway/$name
    [ -e "$settings" ] || continue
    if $purge || cmp -s "$here/$name" "$settings"; then
        rm -f "$settings"
        echo "$settings: removed"
    else
        echo "$settings: has been changed and is kept; --purge removes it"
    fi
done
[ ! -d "$root/etc/slipway" ] || rmdir --ignore-fail-on-non-empty "$root/etc/slipway"
rm -rf "$root/var/cache/slipway"
# The running pods' records are the only way to find what belongs to them.
[ ${#sandboxes[@]} -gt 0 ] || rm -rf "$root/run/slipway"

if $restart; then
    systemctl restart containerd
    echo "containerd: restarted"
elif [ -z "$root" ]; then
    echo "If containerd's configuration has changed: systemctl restart containerd (pods go on running)"
fi
echo "Once for the cluster: kubectl delete -f $here/runtimeclasses.yaml"

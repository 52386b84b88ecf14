#!/usr/bin/env bash
# node.sh up DIR                  starts a private containerd below DIR and waits until its CRI answers
# node.sh import DIR TAR…         imports image archives for CRI
# node.sh address DIR             prints the path of the CRI socket
# node.sh kill-containerd DIR     kills containerd alone (SIGKILL): pods and shims go on
# node.sh start-containerd DIR    starts it again on the same state
# node.sh down DIR                ends everything that belongs to the node and removes DIR
#
# Several nodes run side by side, and none touches another containerd: root, state, sockets, runc's state, CNI
# configuration, addresses and network namespaces are below DIR; the bridges' names and subnets come from DIR's path.
#
# Read by `up`, and kept for the node's life:
#   SLIPWAY_BIN        directory that holds containerd-shim-slipway-v2; put first in containerd's PATH
#   SLIPWAY_CONFIG     configuration file for the slipway handlers (runtime option ConfigPath); default: none
#   NODE_NETWORKS      networks that each pod is attached to: eth0, eth1, … (default 1)
#   NODE_CNI           directory with more networks, *.conflist, that follow in the order of their names. In them @NAME@ is
#                      the prefix of the node's links, @DIR@ the node's directory, and @V4.3@ and @V6.3@ begin the subnets
#                      10.a.b.0/24 and fd51:c:d::/64 of the number 3; 0 to 7 are the node's
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cni_plugins=/usr/lib/cni
fail() { echo "node.sh: $*" >&2; exit 1; }
usage() { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }

[ $# -ge 2 ] || usage
verb=$1
dir=$(realpath -m "$2")
shift 2
socket=$dir/containerd.sock

# What `up` decided. Its presence marks DIR as a node: `down` removes nothing else.
settings() {
    [ -f "$dir/node.env" ] || fail "$dir is not a node: it has no node.env (node.sh up makes it)"
    # shellcheck source=/dev/null
    . "$dir/node.env"
}

# A zombie counts as gone: containerd's parent is PID 1, which may reap late.
alive() { [ -n "$1" ] && [ -e "/proc/$1/stat" ] && [ "$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1)" != Z ]; }

# containerd's pid while it runs and really is this node's: pids are used again.
containerd_pid() {
    local pid
    pid=$(cat "$dir/containerd.pid" 2>/dev/null) || return 1
    alive "$pid" && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "--config $dir/config.toml" && echo "$pid"
}

# until_true SECONDS COMMAND…: looks again every 20 ms, because neither sockets nor foreign processes can be waited for.
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.02
    done
}

gone() { ! alive "$1"; }
ctr_() { ctr --address "$socket" --namespace k8s.io "$@"; }

# One CRI call without a CRI client: Version with an empty message is five zero bytes over gRPC.
cri_answers() {
    printf '\0\0\0\0\0' | curl -s -m 2 --unix-socket "$socket" --http2-prior-knowledge -o /dev/null -D - \
        -H 'content-type: application/grpc' -H 'te: trailers' --data-binary @- \
        http://localhost/runtime.v1.RuntimeService/Version 2>/dev/null | grep -qi '^grpc-status: 0'
}

# shellcheck disable=SC2154 # the variables are node.env's
write_config() {
    local hugetlb_off=true
    # Without the controller there are no huge page limits to pass on, and runc fails where it is asked to set them.
    if grep -q 'cgroup.*[ ,]hugetlb[ ,]' /proc/mounts ||
        grep -qw hugetlb /sys/fs/cgroup/cgroup.controllers 2>/dev/null; then
        hugetlb_off=false
    fi
    cat >"$dir/config.toml" <<EOF
version = 2
root = "$dir/root"
state = "$dir/state"
# btrfs, zfs, devmapper and aufs would only warn; none is used.
disabled_plugins = [
    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = "$socket"

[debug]
level = "${NODE_LOG_LEVEL:-info}"

[plugins."io.containerd.internal.v1.opt"]
path = "$dir/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "slipway.local/pause:latest"
disable_apparmor = true
# A root that may not lower oom_score_adj cannot start runc's pods otherwise.
restrict_oom_score_adj = true
disable_hugetlb_controller = $hugetlb_off
tolerate_missing_hugetlb_controller = true
# The namespaces' mounts are then below DIR too, and cannot be mixed up with another node's in /run/netns.
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"
stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "$dir/cni/bin"
conf_dir = "$dir/cni/net.d"
max_conf_num = $(find "$dir/cni/net.d" -name '*.conflist' | wc -l)

[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "$dir/runc"
EOF
    local handler
    for handler in slipway slipway-hp; do
        cat >>"$dir/config.toml" <<EOF

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.$handler]
runtime_type = "io.containerd.slipway.v2"
pod_annotations = ["slipway.dev/*", "k8s.v1.cni.cncf.io/*"]
container_annotations = ["slipway.dev/*", "k8s.v1.cni.cncf.io/*"]
privileged_without_host_devices = true
EOF
        [ -z "$config_path" ] || cat >>"$dir/config.toml" <<EOF

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.$handler.options]
ConfigPath = "$config_path"
EOF
    done
}

# shellcheck disable=SC2154 # the variables are node.env's
write_networks() {
    local i prefix file words=(-e "s,@NAME@,$name,g" -e "s,@DIR@,$dir,g")
    mkdir -p "$dir/cni/net.d" "$dir/cni/bin"
    ln -sf "$cni_plugins"/* "$here"/cni/* "$dir/cni/bin/"
    for ((i = 0; i < 8; i++)); do
        words+=(-e "s,@V4.$i@,10.$(((subnet + i) >> 8)).$(((subnet + i) & 255)),g"
            -e "s,@V6.$i@,$(printf 'fd51:%x:%x' "$tag" "$i"),g")
    done
    [ -z "${NODE_CNI:-}" ] || for file in "$NODE_CNI"/*.conflist; do
        sed "${words[@]}" "$file" >"$dir/cni/net.d/2-$(basename "$file")"
    done
    for ((i = 0; i < networks; i++)); do
        prefix=$((subnet + i))
        cat >"$dir/cni/net.d/1$i-$name$i.conflist" <<EOF
{
  "cniVersion": "0.4.0",
  "name": "$name$i",
  "plugins": [{
    "type": "bridge",
    "bridge": "$name$i",
    "isGateway": true,
    "hairpinMode": true,
    "ipam": {
      "type": "host-local",
      "dataDir": "$dir/cni/addresses",
      "ranges": [
        [{"subnet": "10.$((prefix >> 8)).$((prefix & 255)).0/24"}],
        [{"subnet": "$(printf 'fd51:%x:%x::/64' "$tag" "$i")"}]
      ]
      $([ "$i" -gt 0 ] || echo ', "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]')
    }
  }]
}
EOF
    done
}

start_containerd() {
    ! containerd_pid >/dev/null || return 0
    rm -f "$dir/containerd.pid"
    # NODE_DIR marks the shims and all that they start: `down` finds them by it.
    # A session of its own, as a service has: a Ctrl-C at the terminal is not meant for it.
    # shellcheck disable=SC2016 # the inner shell expands: its pid becomes containerd's
    (
        cd "$dir"
        NODE_DIR=$dir PATH=${bin:+$bin:}$PATH setsid \
            bash -c 'echo $$ >containerd.pid; exec containerd --config "$1" >>containerd.log 2>&1 </dev/null' \
            - "$dir/config.toml" &
    )
    started() { [ -s "$dir/containerd.pid" ] && { cri_answers || ! alive "$(cat "$dir/containerd.pid")"; }; }
    if ! until_true 30 started || ! cri_answers; then
        tail -n 20 "$dir/containerd.log" >&2
        fail "containerd's CRI does not answer; its log is $dir/containerd.log"
    fi
}

up() {
    local tool hash salt=0
    for tool in containerd ctr runc curl ip; do
        command -v "$tool" >/dev/null || fail "$tool is missing (Debian: containerd runc curl iproute2)"
    done
    [ -x "$cni_plugins/bridge" ] || fail "$cni_plugins/bridge is missing (Debian: containernetworking-plugins)"
    # containerd's own sockets must fit a socket address (108 bytes).
    [ ${#socket} -le 90 ] || fail "$dir is too long: $socket has ${#socket} bytes, 90 are possible"
    if [ ! -f "$dir/node.env" ]; then
        [ ! -d "$dir" ] || [ -z "$(ls -A "$dir")" ] || fail "$dir is not empty and not a node"
        mkdir -p "$dir"
        # Subnets between 10.96 and 10.223, taken from the path; the next ones where another network has them.
        while :; do
            hash=$(printf '%s %s' "$dir" "$salt" | sha256sum | cut -c1-8)
            subnet=$((((0x${hash:0:4} % 32512) & ~7) + 96 * 256))
            [ -n "$(ip route show root "10.$((subnet >> 8)).$((subnet & 248)).0/21")" ] || break
            salt=$((salt + 1))
        done
        networks=${NODE_NETWORKS:-1}
        [[ "$networks" =~ ^[1-8]$ ]] || fail "NODE_NETWORKS: 1 to 8, not $networks"
        {
            printf 'name=slip%s-\ntag=%d\nsubnet=%d\nnetworks=%d\n' "${hash:0:6}" "0x${hash:4:4}" "$subnet" "$networks"
            printf 'bin=%q\nconfig_path=%q\n' "${SLIPWAY_BIN:+$(realpath "$SLIPWAY_BIN")}" \
                "${SLIPWAY_CONFIG:+$(realpath "$SLIPWAY_CONFIG")}"
        } >"$dir/node.env"
    fi
    settings
    write_networks
    write_config
    start_containerd
}

kill_containerd() { # SIGNAL SECONDS
    local pid
    pid=$(containerd_pid) || return 0
    kill "-$1" "$pid"
    until_true "$2" gone "$pid"
}

# The processes of this node besides containerd: marked by the environment, or living in one of its network
# namespaces (containers and guests have environments of their own).
leftovers() {
    {
        grep -lzxF "NODE_DIR=$dir" /proc/[0-9]*/environ || true
        # Namespaces by inode: first this node's, marked "node", then every process's.
        { find "$dir/state" -path '*/netns/*' -printf 'node ' -exec stat -L -c %i {} \; || true
          stat -L -c '%n %i' /proc/[0-9]*/ns/net || true; } |
            awk '$1 == "node" { ours[$2] = 1; next } $2 in ours { print $1 }'
    } 2>/dev/null | cut -d/ -f3 | sort -u | grep -vx $$ || true
}

# Killed again and again, because a dying shim's peers may start something.
end_leftovers() {
    local pids
    pids=$(leftovers)
    # shellcheck disable=SC2086 # several pids
    [ -z "$pids" ] || { kill -KILL $pids 2>/dev/null; false; }
}

down() {
    [ -e "$dir" ] || return 0
    settings
    local bundles ids id sockets address task namespace i

    bundles=$dir/state/io.containerd.runtime.v2.task
    ids=$(find "$bundles" -mindepth 2 -maxdepth 2 -type d -printf '%f\n' 2>/dev/null || true)
    # One address a file, without a line's end.
    sockets=$(find "$bundles" -mindepth 3 -maxdepth 3 -name address -exec cat {} \; -exec echo \; 2>/dev/null || true)

    # The polite way first: containerd deletes the tasks, so that shims and runc clean up after themselves. Containers
    # before sandboxes would be nicer, but a forced delete of either works in any order.
    if containerd_pid >/dev/null && cri_answers; then
        for namespace in k8s.io default; do
            for task in $(timeout 10 ctr --address "$socket" -n "$namespace" tasks ls -q 2>/dev/null); do
                timeout 10 ctr --address "$socket" -n "$namespace" tasks delete --force "$task" \
                    >/dev/null 2>&1 || true
            done
        done
    fi
    kill_containerd TERM 5 || kill_containerd KILL 5 || fail "containerd does not end"

    until_true 5 end_leftovers || fail "these processes do not end: $(leftovers | tr '\n' ' ')"

    # What is outside DIR, whatever the configuration: shims' sockets in /run/containerd/s, libcni's notes, cgroups.
    # The common parent cgroup k8s.io stays: another node may be about to use it.
    for address in $sockets; do rm -f "${address#unix://}"; done
    for id in $ids; do
        rm -f "/var/lib/cni/results/cni-loopback-$id-"*
        find /sys/fs/cgroup -depth -type d -name "*$id*" -exec rmdir {} \; 2>/dev/null || true
    done
    # Deepest first; a lazy unmount would hide what still uses it.
    awk -v dir="$dir/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while read -r i; do umount "$(printf %b "$i")"; done
    # A pair of veths goes with either end.
    for i in $(ip -o link show | awk -v name="$name" '{ sub(/[:@].*/, "", $2); if (index($2, name) == 1) print $2 }'); do
        ip link delete "$i" 2>/dev/null || true
    done
    rm -f "/var/lib/cni/results/$name"*
    rm -rf --one-file-system "$dir"
}

case "$verb" in
up) up ;;
import)
    settings
    for archive in "$@"; do ctr_ images import "$archive" >/dev/null; done
    ;;
address)
    settings
    echo "$socket"
    ;;
kill-containerd)
    settings
    kill_containerd KILL 5 || fail "containerd does not end"
    ;;
start-containerd)
    settings
    start_containerd
    ;;
down) down ;;
*) usage ;;
esac

#!/usr/bin/env bash
# ovs.sh up DIR            starts Open vSwitch with DPDK's vhost library in DIR: bridge br0 of the user space datapath,
#                          whose own port is the link br0 in the network namespace DIR/netns, with 192.0.2.1/24,
#                          198.51.100.1/24 and 203.0.113.1/24
# ovs.sh port DIR NAME connect PATH   a port that connects to the socket PATH, which QEMU makes (and connects again)
# ovs.sh port DIR NAME listen         a port whose socket the switch makes: DIR/run/NAME; prints that path
# ovs.sh wait DIR NAME     waits until a port's link is up: a guest's driver has set up the queues
# ovs.sh unport DIR NAME   removes a port
# ovs.sh vsctl|appctl|ofctl DIR ARGUMENT…    one of its programs
# ovs.sh exec DIR COMMAND…                   a command in the namespace of the bridge's own port
# ovs.sh stop DIR, ovs.sh start DIR          the switch alone ends and starts again, its ports are kept
# ovs.sh down DIR          ends everything and removes DIR
#
# Debian: openvswitch-switch-dpdk, and librte-mempool-ring23, which it loads. No network card is used and no huge page is
# taken: DPDK's own memory is ordinary, that of guests is whatever they share. A frame's buffer has to fit a page then: MTUs
# of 2000 work, larger ones hardly; each port takes some 80 MiB. The poll thread sleeps when there is little to do; without that it takes a
# whole core.
set -euo pipefail

usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0" | sed -n '/^set/q;p' >&2; exit 2; }
[ $# -ge 2 ] || usage
verb=$1
dir=$2
shift 2
daemon=/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk
export OVS_RUNDIR=$dir/run OVS_LOGDIR=$dir OVS_DBDIR=$dir OVS_SYSCONFDIR=$dir
db=unix:$dir/run/db.sock

inside() { nsenter --net="$dir/netns" -- "$@"; }
vsctl() { ovs-vsctl --timeout=20 --db="$db" "$@"; }
# Waits until a command succeeds, for half a minute.
eventually() {
    local end=$((SECONDS + 30))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "ovs.sh: in vain: $*" >&2; tail -20 "$dir"/*.log >&2; return 1; }
        read -rt 0.1 <> <(:) || :
    done
}
end() {
    [ -s "$1" ] || return 0
    local pid
    pid=$(cat "$1")
    kill "$pid" 2>/dev/null || return 0
    eventually bash -c "! [ -d /proc/$pid ] || grep -q '^State:.Z' /proc/$pid/status"
    rm -f "$1"
}
start() {
    inside "$daemon" "$db" --no-chdir --detach --no-self-confinement --pidfile="$dir/run/vswitchd.pid" \
        --unixctl="$dir/run/vswitchd.ctl" --log-file="$dir/vswitchd.log" -vconsole:off
}
# The bridge's own port goes with the daemon, and comes back without its addresses.
address() {
    eventually inside ip link set br0 up
    local network
    for network in 192.0.2 198.51.100 203.0.113; do inside ip address replace "$network.1/24" dev br0; done
}

case $verb in
up)
    [ ! -e "$dir" ] || { echo "ovs.sh: $dir is there already" >&2; exit 1; }
    [ -x "$daemon" ] || {
        echo "ovs.sh: $daemon is missing; apt-get install openvswitch-switch-dpdk librte-mempool-ring23" >&2
        exit 1
    }
    mkdir -p "$dir/run"
    chmod 755 "$dir" "$dir/run"
    touch "$dir/netns"
    unshare --net="$dir/netns" ip link set lo up
    ovsdb-tool create "$dir/conf.db" /usr/share/openvswitch/vswitch.ovsschema
    ovsdb-server "$dir/conf.db" --no-chdir --detach --remote="p$db" --pidfile="$dir/run/ovsdb.pid" \
        --unixctl="$dir/run/ovsdb.ctl" --log-file="$dir/ovsdb.log" -vconsole:off
    vsctl --no-wait init
    vsctl --no-wait set Open_vSwitch . other_config:dpdk-init=true other_config:pmd-maxsleep=500 \
        other_config:per-port-memory=true \
        other_config:dpdk-extra="--no-pci --no-huge --legacy-mem --no-shconf --no-telemetry -m 768 --iova-mode=va"
    start
    vsctl add-br br0 -- set Bridge br0 datapath_type=netdev
    address
    ;;
port)
    name=$1
    case $2 in
    connect) vsctl add-port br0 "$name" -- set Interface "$name" type=dpdkvhostuserclient options:vhost-server-path="$3" ;;
    listen)
        vsctl add-port br0 "$name" -- set Interface "$name" type=dpdkvhostuser
        eventually test -S "$dir/run/$name"
        echo "$dir/run/$name"
        ;;
    *) usage ;;
    esac
    ;;
wait) vsctl wait-until Interface "$1" link_state=up ;;
unport) vsctl del-port br0 "$1" ;;
vsctl) vsctl "$@" ;;
appctl) ovs-appctl --target="$dir/run/vswitchd.ctl" "$@" ;;
ofctl) ovs-ofctl "$@" ;;
exec) inside "$@" ;;
start)
    start
    address
    ;;
stop) end "$dir/run/vswitchd.pid" ;;
down)
    [ -d "$dir" ] || exit 0
    end "$dir/run/vswitchd.pid"
    end "$dir/run/ovsdb.pid"
    umount "$dir/netns" 2>/dev/null || :
    rm -rf "$dir"
    ;;
*) usage ;;
esac

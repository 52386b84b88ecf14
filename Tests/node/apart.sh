#!/usr/bin/env bash
# apart.sh NAME COMMAND…
#
# Runs a command as if on a machine of its own: it sees no processes, mounts, control groups and machines of Slipway but its
# own, so that tests that count what is left may run beside others. When it ends, so does everything that it has started.
# The network, huge pages and the rest of the file system are the machine's. Needs root.
#
# Where the control groups are one tree (version 2) they are the machine's too: a process may not be in a group that has
# groups with controllers below it.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
group=slipway-apart-$1
shift

# The trees of version 1, and the one without controllers beside them: mount point, type, the super block's options.
trees=$(awk '{ for (i = 7; $i != "-"; i++); if ($4 == "/" && $(i + 1) ~ /^cgroup2?$/) print $5, $(i + 1), $(i + 3) }' \
    /proc/self/mountinfo)
! [[ $trees != *" cgroup "* ]] || trees=

cleanup() {
    local status=$? tree deadline=$((SECONDS + 5))
    # Its process 1 goes with it, and all others with that, the last of them a moment later.
    [ -z "${machine-}" ] || { kill -KILL "$machine" && wait "$machine"; } 2>/dev/null || true
    while read -r tree _; do
        until [ ! -e "$tree/$group" ] || [ $SECONDS -gt $deadline ]; do
            find "$tree/$group" -depth -type d -exec rmdir {} \; 2>/dev/null || sleep 0.02
        done
    done <<<"$trees"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# The first shell joins the groups; mounted anew by the second one, a tree begins there. The second one is the new machine's
# process 1 and stays, because orphans are its own to bury.
# shellcheck disable=SC2016 # the inner shells expand
bash -euc '
    while read -r tree _; do
        [ -n "$tree" ] || continue
        mkdir -p "$tree/$2"
        for file in cpuset.cpus cpuset.mems; do
            [ ! -e "$tree/$2/$file" ] || cat "$tree/$file" >"$tree/$2/$file"
        done
        echo $$ >"$tree/$2/cgroup.procs"
    done <<<"$1"
    exec unshare --fork --kill-child --pid --mount --mount-proc --cgroup bash -euc "$3" "$@"' \
    - "$trees" "$group" '
    while read -r tree type options; do
        [ -n "$tree" ] || continue
        umount "$tree"
        words=
        for word in ${options//,/ }; do
            case $word in
            rw | ro | xattr | noprefix | clone_children | release_agent=*) ;;
            name=*) words=none,$word ;;
            *) words=${words:+$words,}$word ;;
            esac
        done
        mount -t "$type" ${words:+-o "$words"} cgroup "$tree"
    done <<<"$0"
    shift 2
    mkdir -p /run/slipway
    mount -t tmpfs none /run/slipway
    status=0
    "$@" || status=$?
    exit $status' "$@" &
machine=$!
status=0
wait "$machine" || status=$?
machine=
exit $status

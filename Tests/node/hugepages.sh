#!/usr/bin/env bash
# hugepages.sh up DIR PAGES     PAGES huge pages of 2 MiB on this machine, and the hugetlb controller that counts them
# hugepages.sh down DIR         as it was before, which DIR/hugepages remembers
set -euo pipefail
pool=/proc/sys/vm/nr_hugepages
controller=/sys/fs/cgroup/hugetlb
note=$2/hugepages
case "$1" in
up)
    mounted=no
    # Version 1 trees without this one: containerd and runc look for it there.
    if [ -d /sys/fs/cgroup/memory ] && ! grep -q ' cgroup .*[ ,]hugetlb\([ ,]\|$\)' /proc/mounts; then
        mkdir -p "$controller"
        mount -t cgroup -o hugetlb cgroup "$controller"
        mounted=yes
    fi
    echo "$(cat "$pool") $mounted" >"$note"
    # Memory that is in pieces is put together first.
    echo 1 >/proc/sys/vm/compact_memory
    echo "$3" >"$pool"
    [ "$(cat "$pool")" -ge "$3" ] || { echo "hugepages.sh: $(cat "$pool") of $3 huge pages could be had" >&2; exit 1; }
    ;;
down)
    [ -f "$note" ] || exit 0
    read -r pages mounted <"$note"
    echo "$pages" >"$pool"
    if [ "$mounted" = yes ]; then
        umount "$controller"
        rmdir "$controller" 2>/dev/null || true
    fi
    rm -f "$note"
    ;;
esac

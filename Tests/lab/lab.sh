#!/usr/bin/env bash
# lab.sh image                    builds what the lab boots, unless it is cached
# lab.sh up DIR                   boots a lab and puts Slipway into it; everything that it needs is below DIR
# lab.sh ssh DIR COMMAND…         runs a command in it; its words are joined and read by a shell, as ssh does
# lab.sh shell DIR                a terminal in it
# lab.sh put DIR FILE… REMOTE     copies files into it
# lab.sh address DIR              prints the path of a socket that leads to containerd in it
# lab.sh down DIR                 switches it off and removes DIR
#
# A lab is a virtual machine that plays a Kubernetes node with what the machine below may lack: two NUMA nodes, an IOMMU
# with NICs behind it, KVM, 1 GiB pages, modules, systemd and cgroup v2 (machine.sh). Its CPUs are emulated, AMD's SVM
# included, so that it runs everywhere. Several labs run side by side.
#
# Read by `up`:
#   SLIPWAY_BIN     directory of the programs, installed by runtime-class/install.sh as on any node
#   LAB_IMAGES      image archives for containerd, with blanks between
#   LAB_FILES       files that are wanted in /opt/lab/files, with blanks between
#   LAB_SUITE       of which Debian it is (suite.sh); for `image` too
#   LAB_COLD        1: boots from the beginning; else the machine goes on from a saved state, taken when it had booted
#
# Image and saved state are kept in ${SLIPWAY_CACHE:-/var/cache/slipway-build}/lab under hashes of what goes in.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
cache=${SLIPWAY_CACHE:-/var/cache/slipway-build}/lab
# shellcheck source=machine.sh
. "$here/machine.sh"
# shellcheck source=suite.sh
. "$here/suite.sh"

fail() { echo "lab.sh: $*" >&2; exit 1; }
usage() { sed -n '2,8s/^# //p' "$0" >&2; exit 2; }

# until_true SECONDS COMMAND…: again and again, because neither a guest nor a foreign process can be waited for.
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# Says what was done and how long it took.
clock=$(date +%s%N)
took() {
    local now
    now=$(date +%s%N)
    printf 'lab: %-34s %6d ms\n' "$1" $(((now - clock) / 1000000)) >&2
    clock=$now
}

# The lab's processes: QEMU and the standing ssh connection name files below DIR.
processes() { # DIR
    local pid
    for pid in $({ grep -lF "$1/" /proc/[0-9]*/cmdline || true; } 2>/dev/null | cut -d/ -f3); do
        # Words of their own, so that whoever has DIR in its arguments (this script, an editor) is none of them.
        tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -e "$1/qemu.pid" -e "-F$1/ssh_config" || continue
        # A zombie is gone: its parent may be late to notice.
        [ "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -c1)" = Z ] || echo "$pid"
    done
}

end_processes() { # DIR SIGNAL
    local pids
    pids=$(processes "$1")
    # shellcheck disable=SC2086 # several pids
    [ -z "$pids" ] || { kill "-$2" $pids 2>/dev/null; false; }
}

runs() { [ -n "$(processes "$1")" ]; }
monitor() { socat -t "${2:-5}" - "UNIX-CONNECT:$1/monitor.sock"; }
in_lab() { local lab=$1; shift; ssh "-F$lab/ssh_config" lab "$@"; }

# The QEMU that plays the machine of an image.
qemu() { # IMAGE
    [ ! -x "$1/qemu/run" ] || { echo "$1/qemu/run"; return; }
    command -v qemu-system-x86_64
}

# Boots in DIR from IMAGE, and returns when ssh answers. Further words are QEMU's.
boot() { # DIR IMAGE SECONDS [WORD…]
    local lab=$1 image=$2 seconds=$3 port
    shift 3
    install -m 600 "$image/id_ed25519" "$lab/id_ed25519"
    cp "$image/known_hosts" "$lab/known_hosts"
    machine "$lab" "$image"
    "$(qemu "$image")" "${machine[@]}" "$@" 2>"$lab/qemu.log" 9>&- ||
        { cat "$lab/qemu.log" >&2; fail "QEMU does not start"; }
    port=$(echo 'info usernet' | monitor "$lab" | awk '/HOST_FORWARD/ { print $4; exit }')
    [ -n "$port" ] || fail "QEMU does not say which port leads to the lab"
    cat >"$lab/ssh_config" <<END
Host lab
    HostName 127.0.0.1
    Port $port
    HostKeyAlias lab
    UserKnownHostsFile $lab/known_hosts
    StrictHostKeyChecking yes
    User root
    IdentityFile $lab/id_ed25519
    IdentitiesOnly yes
    IdentityAgent none
    KexAlgorithms curve25519-sha256
    Ciphers aes128-gcm@openssh.com
    LogLevel ERROR
    ControlPath $lab/ssh.sock
    ServerAliveInterval 30
    ServerAliveCountMax 10
END
    until_true "$seconds" connect "$lab" || {
        tail -n 20 "$lab/console.log" "$lab/ssh.log" >&2
        fail "the lab does not answer within $seconds s; the end of its console is above"
    }
}

# One standing connection for all commands: an emulated CPU takes long to agree on keys. It carries containerd's socket.
connect() { # DIR
    runs "$1" || fail "QEMU has ended"
    ssh "-F$1/ssh_config" -o ConnectTimeout=20 -o ControlMaster=yes -o StreamLocalBindUnlink=yes -f -N \
        -L "$1/containerd.sock:/run/containerd/containerd.sock" lab </dev/null >/dev/null 2>"$1/ssh.log" 9>&-
}

unmade() { # STATUS DIR
    end "$2"
    [ "$1" = 0 ] || { rm -rf --one-file-system "$2"; echo "lab.sh: $kind could not be made" >&2; }
}

# A directory in the cache, made by COMMAND if it is not there; one maker at a time, who comes second finds it done.
cached() { # KIND HASH COMMAND…
    local kind=$1 built=$cache/$1-$2 making
    shift 2
    if [ ! -d "$built" ]; then
        mkdir -p "$cache"
        exec 9>"$cache/$kind.lock"
        flock 9
        # What a killed maker has left.
        for making in "$cache/$kind".making.*; do
            [ ! -e "$making" ] || { end "$making" && rm -rf --one-file-system "$making"; }
        done
        if [ ! -d "$built" ]; then
            making=$(mktemp -d "$cache/$kind.making.XXXXXX")
            # A shell of its own, so that a failure anywhere in it is cleaned up after.
            (trap 'unmade $? "$making"' EXIT; "$@" "$making" >&2)
            mv "$making" "$built"
            took "$kind made"
        fi
        exec 9>&-
    fi
    # Older ones that nobody has used for a week. Labs that run on one keep its files open.
    touch "$built"
    find "$cache" -mindepth 1 -maxdepth 1 -name "$kind-*" -mtime +7 -exec rm -rf {} +
    echo "$built"
}

image() {
    local hash packages files=(image.sh suite.sh initrd-init guest)
    [ "$suite" = bookworm ] || files+=("guest-$suite" qemu)
    use_suite "$cache/apt-$suite"
    # shellcheck disable=SC2046 # names of packages hold no blanks
    packages=$("$repository/examples/debian-packages.sh" list $("$here/image.sh" --packages))
    hash=$({
        echo "$packages"
        cd "$here"
        find "${files[@]}" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    } | sha256sum | cut -c1-16)
    cached image "$hash" "$here/image.sh"
}

# The state of a machine that has booted, and its disk. A state fits the QEMU and the machine that it was taken of, and
# a TSC as fast as then.
state() { # IMAGE
    local hash
    hash=$({
        basename "$1"
        cat "$here/machine.sh"
        "$(qemu "$1")" --version
        grep -m 1 '^model name' /proc/cpuinfo
        declare -f save_state
    } | sha256sum | cut -c1-16)
    cached state "$hash" save_state "$1"
}

save_state() { # IMAGE DIR
    local image=$1 lab=$2
    qemu-img create -q -f qcow2 -F qcow2 -b "../$(basename "$image")/disk.qcow2" "$lab/disk.qcow2"
    truncate -s 4G "$lab/payload.raw"
    boot "$lab" "$image" 600
    # The first limit on CPU time in a kernel rewrites code of its scheduler, and so do the first virtual machine and the end
    # of the last one; the first filter of a link rewrites code of the network. A QEMU that translates it may keep a piece
    # of what stood there for a moment, on which all CPUs then hang: better now, where nothing else runs, and for good. And
    # what every run reads is in memory then.
    in_lab "$lab" 'systemctl is-system-running --wait || true; systemctl is-active containerd;
        mkdir /sys/fs/cgroup/lab && echo 100000 >/sys/fs/cgroup/lab/cpu.max || exit;
        tc qdisc add dev lo clsact || exit;
        systemd-run -q --unit=lab-kvm perl -e "open K, q(+<), q(/dev/kvm) or die; ioctl K, 0xae01, 0 or die; sleep" || exit;
        timeout 60 sh -c "until ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q anon_inode:kvm-vm; do sleep 0.2; done" || exit;
        ctr version; qemu-system-x86_64 --version; cat /usr/lib/x86_64-linux-gnu/libvirt* \
            /usr/lib/x86_64-linux-gnu/libvirt/connection-driver/*qemu.so $(which qemu-system-x86_64 genisoimage dnsmasq ip tc) |
            wc -c; sync' >"$lab/boot.log" 2>&1
    ssh "-F$lab/ssh_config" -O exit lab 2>/dev/null
    printf '%s\n' 'migrate_set_parameter max-bandwidth 16G' "migrate \"exec:cat >$lab/state\"" 'info migrate' quit |
        monitor "$lab" 120 >"$lab/save.log"
    until_true 60 end_processes "$lab" 0
    grep -q 'Migration status: completed' "$lab/save.log" || { cat "$lab/save.log"; fail "the state cannot be saved"; }
    rm -f "$lab"/{payload.raw,*.sock,qemu.pid,ssh_config,{ssh,qemu}.log,id_ed25519,known_hosts,save.log}
}

# What is new to the cached image, as a file system that the lab mounts at /opt/lab: programs, installer, images.
payload() { # OUT
    local work program library file
    work=$(mktemp -d "$dir/payload.XXXXXX")
    mkdir "$work"/{programs,images,files,libraries}
    install -m 755 "$here/lab" "$work/lab"
    cp -R "$repository/runtime-class" "$work/"
    for program in containerd-shim-slipway-v2 slipway-sandbox slipway; do
        [ -x "$SLIPWAY_BIN/$program" ] || fail "SLIPWAY_BIN: $SLIPWAY_BIN/$program is missing; make shim command builds it"
        # Without debugging information, which would be most of it.
        strip -o "$work/programs/$program" "$SLIPWAY_BIN/$program"
        # A program that was built for this machine alone brings Swift's libraries along.
        for library in $(ldd "$SLIPWAY_BIN/$program" 2>/dev/null | awk '$3 ~ /swift/ { print $3 }'); do
            cp "$library" "$work/libraries/"
            dirname "$library" >"$work/libraries/path"
        done
    done
    for file in ${LAB_IMAGES-}; do cp "$file" "$work/images/"; done
    for file in ${LAB_FILES-}; do cp "$file" "$work/files/"; done
    # The size is the machine's, whatever is in it: a saved state knows its disks.
    truncate -s 4G "$1"
    mke2fs -q -F -t ext4 -b 4096 -m 0 -N 1024 -O ^has_journal -E nodiscard,lazy_itable_init=1 -d "$work" "$1"
    rm -rf "$work"
}

up() {
    local base saved tool
    : "${SLIPWAY_BIN:?the directory of the built programs}"
    for tool in qemu-system-x86_64 qemu-img socat ssh strip; do
        command -v "$tool" >/dev/null ||
            fail "$tool is missing (Debian: qemu-system-x86 qemu-utils socat openssh-client binutils)"
    done
    # Sockets' addresses have 107 bytes, and ssh adds some while it makes one.
    [ ${#dir} -le 60 ] || fail "$dir is too long: ${#dir} bytes, 60 are possible"
    [ ! -e "$dir" ] || [ -z "$(ls -A "$dir")" ] || fail "$dir is not empty"
    base=$(image)
    [ "${LAB_COLD-}" = 1 ] || saved=$(state "$base")
    took "image and state found"
    trap 'left $?' EXIT
    trap 'exit 130' INT TERM
    mkdir -p "$dir"
    # Marks DIR as a lab: `down` removes nothing else.
    : >"$dir/lab"
    payload "$dir/payload.raw"
    took "payload packed"
    if [ -n "${saved-}" ]; then
        qemu-img create -q -f qcow2 -F qcow2 -b "$saved/disk.qcow2" "$dir/disk.qcow2"
        boot "$dir" "$base" 120 -incoming "exec:cat $saved/state"
        took "machine goes on, ssh answers"
    else
        qemu-img create -q -f qcow2 -F qcow2 -b "$base/disk.qcow2" "$dir/disk.qcow2"
        boot "$dir" "$base" 600
        took "machine booted, ssh answers"
    fi
    # What the kernel has read of the disk before was another disk.
    in_lab "$dir" "date -s @$(date +%s.%N) && blockdev --flushbufs /dev/vdb && mkdir -p /opt/lab &&
        mount -o ro /dev/vdb /opt/lab && ln -sf /opt/lab/lab /usr/local/sbin/lab
        path=\$(cat /opt/lab/libraries/path 2>/dev/null) || exit 0
        mkdir -p \"\${path%/*}\" && ln -sfn /opt/lab/libraries \"\$path\"" >"$dir/up.log" 2>&1 ||
        { cat "$dir/up.log"; fail "the lab cannot read its payload"; }
    took "payload mounted"
    in_lab "$dir" 'systemctl is-system-running --wait || true
        /opt/lab/runtime-class/install.sh --programs /opt/lab/programs --restart-containerd' >"$dir/up.log" 2>&1 ||
        { cat "$dir/up.log" >&2; fail "install.sh failed in the lab"; }
    took "Slipway installed"
    in_lab "$dir" 'for image in /opt/lab/images/*.tar; do
            [ ! -e "$image" ] || ctr -n k8s.io images import "$image" || exit
        done' >"$dir/up.log" 2>&1 || { cat "$dir/up.log" >&2; fail "an image cannot be imported"; }
    took "images imported"
}

# An `up` that failed leaves nothing.
left() { # STATUS
    [ "$1" = 0 ] || down
    exit "$1"
}

# Ends the processes of DIR.
end() {
    until_true 5 end_processes "$1" TERM || until_true 5 end_processes "$1" KILL ||
        fail "these processes do not end: $(processes "$1" | tr '\n' ' ')"
}

down() {
    [ -e "$dir" ] || return 0
    [ -f "$dir/lab" ] || fail "$dir is not a lab: it has no file named lab (lab.sh up makes it)"
    end "$dir"
    rm -rf --one-file-system "$dir"
}

[ $# -ge 1 ] || usage
verb=$1
shift
if [ "$verb" != image ]; then
    [ $# -ge 1 ] || usage
    dir=$(realpath -m "$1")
    shift
fi
case "$verb" in
image)
    base=$(image)
    state "$base"
    ;;
up) up ;;
ssh) exec ssh "-F$dir/ssh_config" lab "$@" ;;
shell) exec ssh "-F$dir/ssh_config" -t lab ;;
put)
    [ $# -ge 2 ] || usage
    exec scp -q -r "-F$dir/ssh_config" "${@:1:$#-1}" "lab:${*: -1}"
    ;;
address) echo "$dir/containerd.sock" ;;
down) down ;;
*) usage ;;
esac

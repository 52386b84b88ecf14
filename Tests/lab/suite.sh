# shellcheck shell=bash disable=SC2034
# Of which Debian a lab is made, read by lab.sh and image.sh.
#   LAB_SUITE   bookworm, as this machine, unless said; or trixie: a newer containerd, libvirt, kernel and QEMU, the one
#               that plays the machine included, with devices that the older ones lack (machine.sh)
suite=${LAB_SUITE:-bookworm}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

# apt's files for that suite alone: the machine's own sources and lists stay as they are.
use_suite() { # DIR
    case $suite in
    bookworm) return ;;
    trixie) ;;
    *) echo "LAB_SUITE: found \"$suite\"; bookworm and trixie are accepted" >&2; return 1 ;;
    esac
    mkdir -p "$1/lists/partial"
    export APT_CONFIG=$1/apt.conf
    (
        flock 8
        # The index names the packages of a point release, which the mirror replaces by those of the next one.
        [ -z "$(find "$1/apt.conf" -mmin -1440 2>/dev/null)" ] || exit 0
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$1/sources.list"
        cat >"$1/apt.conf" <<END
Dir::Etc::SourceList "$1/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$1/lists";
Dir::State::Status "/dev/null";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
APT::Sandbox::User "root";
END
        apt-get -qq update >&2 || { rm -f "$1/apt.conf"; exit 1; }
    ) 8>"$1/lock"
}

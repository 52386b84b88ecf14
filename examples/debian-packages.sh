#!/usr/bin/env bash
# debian-packages.sh list PACKAGE…       what would be unpacked: file name and checksum of each package, one a line
# debian-packages.sh unpack DIR PACKAGE… unpacks the packages into DIR
#
# Takes packages from the machine's own Debian mirror without installing them: no root, no maintainer scripts, no
# change to the machine. Downloads are kept in ${SLIPWAY_CACHE:-/var/cache/slipway-build}/packages.
set -euo pipefail

packages=${SLIPWAY_CACHE:-/var/cache/slipway-build}/packages

# The cloud kernel's meta-package is empty: the kernel itself is its dependency.
resolve() {
    local name
    for name in "$@"; do
        if [ "$name" = linux-image-cloud-amd64 ]; then
            name=$(apt-cache depends "$name" | awk '/Depends: linux-image-/ { print $2; exit }')
            [ -n "$name" ] || { echo "debian-packages.sh: apt knows no kernel; run apt-get update" >&2; exit 1; }
        fi
        echo "$name"
    done
}

# Lines of "'URI' FILE SIZE HASH", as apt-get prints them.
uris() {
    local names
    names=$(resolve "$@")
    # shellcheck disable=SC2086 # package names hold no spaces
    apt-get download --print-uris $names
}

case "${1:-}" in
list)
    shift
    uris "$@" | awk '{ print $2, $4 }'
    ;;
unpack)
    dir=$2
    shift 2
    mkdir -p "$dir" "$packages"
    listing=$(uris "$@")
    while read -r uri file size _; do
        if [ "$(stat -c %s "$packages/$file" 2>/dev/null)" != "$size" ]; then
            # In a directory of its own: two builds may fetch the same package at the same time.
            fetch=$(mktemp -d "$packages/fetch.XXXXXX")
            package=${file%%_*}
            version=${file#*_}
            version=${version%_*}
            # apt-get checks the package against the signed index; "%3a" is the epoch's colon in a file name.
            (cd "$fetch" && apt-get -qq -o APT::Sandbox::User=root download "$package=${version//%3a/:}") ||
                { echo "debian-packages.sh: $uri cannot be had" >&2; exit 1; }
            mv "$fetch/$file" "$packages/$file"
            rmdir "$fetch"
        fi
        dpkg-deb -x "$packages/$file" "$dir"
    done <<<"$listing"
    ;;
*)
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
    ;;
esac

#!/usr/bin/env bash
# images.sh OUT_DIR [EXAMPLE…]
#
# Puts the archives of the examples (default: tiny-vnf cnf), or of the tests' own images in Tests/images, into OUT_DIR, as
# each one's build.sh makes them. They are built once and kept in ${SLIPWAY_CACHE:-/var/cache/slipway-build}/images
# under a hash of what goes in: the example's files and those of the example that its file `based-on` names, the scripts
# that all examples share, and the versions of the Debian packages. Files in OUT_DIR are hard links where possible: do
# not write to them.
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
cache=${SLIPWAY_CACHE:-/var/cache/slipway-build}/images
out=$1
shift
[ $# -gt 0 ] || set -- tiny-vnf cnf
mkdir -p "$out" "$cache"

for example in "$@"; do
    directory=examples/$example
    [ -d "$root/$directory" ] || directory=Tests/images/$example
    build=$root/$directory/build.sh
    [ -x "$build" ] || { echo "images.sh: there is no example $example" >&2; exit 1; }
    # shellcheck disable=SC2046 # names of packages hold no spaces
    versions=$("$root/examples/debian-packages.sh" list $("$build" --packages))
    hash=$({
        echo "$versions"
        cd "$root"
        # Documents and pods do not go into the images.
        # shellcheck disable=SC2046 # nor do names of examples
        find "$directory" $(sed 's,^,examples/,' "$directory/based-on" 2>/dev/null) examples/*.sh -type f \
            ! -name '*.md' ! -name '*.yaml' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    } | sha256sum | cut -c1-16)
    built=$cache/$example-$hash
    if [ ! -d "$built" ]; then
        # One builder at a time; who comes second finds it done.
        exec 9>"$cache/$example.lock"
        flock 9
        if [ ! -d "$built" ]; then
            work=$(mktemp -d "$cache/building.XXXXXX")
            trap 'rm -rf "$work"' EXIT
            "$build" "$work"
            chmod 755 "$work"
            mv "$work" "$built"
            trap - EXIT
        fi
        flock -u 9
    fi
    cp -fl "$built"/* "$out/" 2>/dev/null || cp -f "$built"/* "$out/"
done

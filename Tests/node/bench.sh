#!/usr/bin/env bash
# Measures on a private node; see bench.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d /tmp/slipway-bench.XXXXXX)
cleanup() {
    status=$?
    "$here/node.sh" down "$work/node" || status=1
    "$here/hugepages.sh" down "$work" || status=1
    rm -rf "$work"
    exit $status
}
trap cleanup EXIT
"$here/images.sh" "$work/images" tiny-vnf cnf
"$here/hugepages.sh" up "$work" 600
"$here/node.sh" up "$work/node"
"$here/node.sh" import "$work/node" "$work"/images/*.tar
python3 "$here/bench.py" "$work/node" "$work/images"

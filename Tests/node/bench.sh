#!/usr/bin/env bash
# bench.sh [PART…]      measures on a private node; see bench.py
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d /tmp/slipway-bench.XXXXXX)
cleanup() {
    status=$?
    "$here/node.sh" down "$work/node" || status=1
    "$here/node.sh" down "$work/node16" || status=1
    "$here/hugepages.sh" down "$work" || status=1
    rm -rf "$work"
    exit $status
}
trap cleanup EXIT
"$here/images.sh" "$work/images" tiny-vnf cnf net-vnf
"$here/hugepages.sh" up "$work" 600
"$here/node.sh" up "$work/node"
"$here/node.sh" import "$work/node" "$work"/images/*.tar
# A second node, whose pod bench16 has fifteen networks more.
mkdir "$work/networks"
for i in {10..24}; do
    cat >"$work/networks/$i.conflist" <<EOF
{"cniVersion": "0.4.0", "name": "@NAME@$i", "plugins": [
    {"type": "only-for", "pods": {"bench16": {}}, "delegate": {"type": "bridge", "bridge": "@NAME@b"}}]}
EOF
done
NODE_CNI=$work/networks "$here/node.sh" up "$work/node16"
"$here/node.sh" import "$work/node16" "$work/images/pause.tar" "$work/images/net-vnf.tar"
python3 "$here/bench.py" "$work/node" "$work/images" "$work/node16" "$@"

#!/usr/bin/env bash
# Runs every test: the modules' own, then those that need the private node which this script starts and ends.
# Words given to it go to `swift test`, for example --filter.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
: "${SLIPWAY_BIN:?the directory of the built programs}"
work=$(mktemp -d /tmp/slipway-test.XXXXXX)
node=$work/node
cleanup() {
    status=$?
    [ ! -d "$node" ] || "$here/node.sh" down "$node" || status=1
    rm -rf "$work"
    exit $status
}
trap cleanup EXIT

"$here/images.sh" "$work/images" tiny-vnf cnf debian-vnf
"$here/node.sh" up "$node"
"$here/node.sh" import "$node" "$work"/images/*.tar
export SLIPWAY_NODE=$node SLIPWAY_BIN SLIPWAY_TEST_KERNEL=$work/images/vmlinuz

swift build --build-tests
# One process after another: the second kind counts what is left on the machine, which the first kind would disturb.
swift test --skip-build --disable-xctest --parallel --skip SystemTests "$@"
swift test --skip-build --disable-xctest --no-parallel --filter SystemTests "$@"
"$here/install-test.sh"

#!/usr/bin/env bash
# Runs the tests that need a node with NUMA nodes, an IOMMU and cgroup v2, in a lab that it starts and ends (lab.sh).
# Words given to it go to `swift test`, for example --filter. SLIPWAY_BIN is the directory of the programs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
: "${SLIPWAY_BIN:?the directory of the built programs}"
work=$(mktemp -d /tmp/slipway-lab.XXXXXX)
cleanup() {
    status=$?
    [ ! -e "$work/lab" ] || "$here/lab.sh" down "$work/lab" || status=1
    rm -rf "$work"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

swift build --build-tests
"$here/images.sh" "$work/images"
export SLIPWAY_LAB=$work/lab LAB_IMAGES
LAB_IMAGES=$(echo "$work"/images/*.tar)
"$here/lab.sh" up "$SLIPWAY_LAB"
.build/debug/slipwayPackageTests.xctest --testing-library swift-testing --no-parallel --filter '^LabTests\.' "$@"

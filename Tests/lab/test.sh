#!/usr/bin/env bash
# Runs the tests that need a node with KVM, NUMA nodes, an IOMMU and cgroup v2, in a lab that it starts and ends (lab.sh).
# test.sh [REGEX]: those tests alone. SLIPWAY_BIN is the directory of the programs, LAB_SUITE the lab's Debian (suite.sh).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
: "${SLIPWAY_BIN:?the directory of the built programs}"
filter=${1:-^LabTests\\.}
export NO_COLOR=1
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
export SLIPWAY_LAB=$work/lab LAB_IMAGES LAB_FILES
LAB_IMAGES=$(echo "$work"/images/*.tar)
LAB_FILES=$(echo "$work"/images/files/*)
for try in first second; do
    "$here/lab.sh" up "$SLIPWAY_LAB"
    # The program itself, and not `swift test`, so that a time-out ends the tests and not their starter alone.
    if timeout --kill-after 10 3600 .build/debug/slipwayPackageTests.xctest --testing-library swift-testing \
        --no-parallel --filter "$filter"; then
        [ "$try" = first ] || echo "flaky: the lab's tests passed at the second try only"
        exit 0
    fi
    # A guest that a translated machine translates misses a deadline now and then on a busy host.
    echo "the lab's tests failed at their $try try"
    "$here/lab.sh" down "$SLIPWAY_LAB"
done
exit 1

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
    "$here/hugepages.sh" down "$work" || status=1
    rm -rf "$work"
    exit $status
}
trap cleanup EXIT

"$here/images.sh" "$work/images" tiny-vnf cnf debian-vnf net-vnf router
# Before containerd starts, which looks then whether there is a controller for them.
"$here/hugepages.sh" up "$work" 400
fresh_node() {
    "$here/node.sh" down "$node"
    "$here/node.sh" up "$node"
    "$here/node.sh" import "$node" "$work"/images/*.tar
}
fresh_node
export NO_COLOR=1 SLIPWAY_NODE=$node SLIPWAY_BIN SLIPWAY_TEST_KERNEL=$work/images/vmlinuz SLIPWAY_IMAGES=$work/images

# Each target in a process of its own, one after another: tests that block would starve other targets' of threads, and the
# system tests count what is left on the machine.
results=()
failed=0
run() { # TARGET COMMAND…
    local target=$1
    shift
    local try
    for try in first second; do
        if timeout --kill-after 10 2400 "$@" >"$work/$target.log" 2>&1; then break; fi
        # Emulated guests on a busy machine now and then miss a deadline. What failed is shown, and tried once more.
        echo "$target failed at its $try try:"
        cat "$work/$target.log"
        # What it has left on the node would disturb the next.
        [ "$target" != SystemTests ] || fresh_node
        try=none
    done
    if [ "$try" != none ]; then
        results+=("ok      $target, $try try: $(grep -E 'Test run with|checks' "$work/$target.log" | tail -n 1)")
    else
        results+=("FAILED  $target: $(grep -E 'Test run with' "$work/$target.log" | tail -n 1)")
        failed=$((failed + 1))
    fi
    echo "${results[-1]}"
}
swift build --build-tests
# The program itself, and not `swift test`, so that a time-out ends the tests and not their starter alone.
tests=(.build/debug/slipwayPackageTests.xctest --testing-library swift-testing)
targets=$(cd Tests && ls -d *Tests | grep -vxE 'SystemTests|LabTests')
for target in $targets; do
    run "$target" "${tests[@]}" --filter "^$target\\." "$@"
done
# One suite after another: each counts what is left on the machine.
run SystemTests "${tests[@]}" --no-parallel --filter '^SystemTests\.' "$@"
grep -hE '20 pods at once|start/kill cycles' "$work/SystemTests.log" || true
run install "$here/install-test.sh"
printf '%s\n' "${results[@]}"
total=$(grep -hoE 'Test run with [0-9]+ tests' "$work"/*.log | grep -oE '[0-9]+' | awk "{ sum += \$1 } END { print sum }")
echo "$total tests in $((${#results[@]})) runs; $failed of the runs failed"
[ "$failed" -eq 0 ]

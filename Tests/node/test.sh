#!/usr/bin/env bash
# test.sh [WORD…]      runs every test of the program that `swift build --build-tests` has made: the modules' own, then those
#                      that need a private node. Words go to the program, for example --filter
# test.sh images       makes the images that the nodes' pods have, into the cache
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
images() { "$here/images.sh" "$1" tiny-vnf cnf debian-vnf net-vnf router; }
work=$(mktemp -d /tmp/slipway-test.XXXXXX)
cleanup() {
    status=$?
    # Those that run in the background, if something ends this early.
    jobs -p | xargs -r kill 2>/dev/null || true
    wait
    "$here/hugepages.sh" down "$work" || status=1
    rm -rf "$work"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

images "$work/images"
[ "${1-}" != images ] || exit 0
: "${SLIPWAY_BIN:?the directory of the built programs}"
# Before containerd starts, which looks then whether there is a controller for them.
"$here/hugepages.sh" up "$work" 400
export NO_COLOR=1 SLIPWAY_BIN SLIPWAY_TEST_KERNEL=$work/images/vmlinuz SLIPWAY_IMAGES=$work/images

# The program itself, and not `swift test`, so that a time-out ends the tests and not their starter alone.
tests=(.build/debug/slipwayPackageTests.xctest --testing-library swift-testing)
# Runs a command whose output is $work/TARGET.log; what became of it is said, and kept in $work/TARGET.result.
run() { # TARGET COMMAND…
    local target=$1 try names
    shift
    for try in first second; do
        if timeout --kill-after 10 2400 "$@" >"$work/$target.log" 2>&1; then
            echo "ok      $target, $try try: $(grep -E 'Test run with|checks' "$work/$target.log" | tail -n 1)" |
                tee "$work/$target.result"
            [ ! -e "$work/$target.failed" ] || mv "$work/$target.failed" "$work/$target.flaky"
            return
        fi
        # Emulated guests on a busy machine now and then miss a deadline. What failed is shown, and tried once more.
        echo "$target failed at its $try try:"
        cat "$work/$target.log"
        names=$(sed -nE '/^✘ Test run with/d; s/^✘ Test (.*) failed after .*/\1/p' "$work/$target.log" | paste -sd ,)
        echo "$target${names:+ ($names)}" >"$work/$target.failed"
    done
    echo "FAILED  $target: $(grep -E 'Test run with' "$work/$target.log" | tail -n 1)" | tee "$work/$target.result"
}
# Each target in a process of its own, one after another: tests that block would starve other targets' of threads.
for target in $(cd Tests && ls -d *Tests | grep -vxE 'SystemTests|LabTests'); do
    run "$target" "${tests[@]}" --filter "^$target\\." "$@"
done
# Guests under emulation have one core each. So the suites are in two halves, each on a node of its own and apart from the
# other; in a half they run one after another, because each counts what is left. Those that count free huge pages or CPUs
# are all in the first.
first='^SystemTests\.(Hotplug|Load|Network|Placement|Router|VhostUser)Tests'
system() { # HALF WORD…
    local half=$1
    shift
    run "SystemTests-$half" "$here/apart.sh" "$half" \
        "$here/with-node.sh" "$work/$half" "$work"/images/*.tar -- "${tests[@]}" --no-parallel "$@"
}
system 1 --filter "$first" "$@" &
half=$!
system 2 --filter '^SystemTests\.' --skip "$first" "$@"
# A half that something has ended leaves no result of its own.
wait "$half" || echo "FAILED  SystemTests-1: was ended" | tee "$work/SystemTests-1.result"
grep -hE '20 pods at once|start/kill cycles' "$work/SystemTests-1.log" || true
run install "$here/install-test.sh"

cat "$work"/*.result
total=$(grep -hoE 'Test run with [0-9]+ tests' "$work"/*.log | grep -oE '[0-9]+' | awk '{ sum += $1 } END { print sum }')
failed=$(cat "$work"/*.result | grep -c ^FAILED || true)
echo "$total tests in $(cat "$work"/*.result | wc -l) runs; $failed of the runs failed"
find "$work" -name '*.flaky' -exec sed 's/^/flaky: /; s/$/ passed at the second try only/' {} +
[ "$failed" -eq 0 ]

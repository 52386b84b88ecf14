#!/usr/bin/env bash
# run.sh SECONDS [TARGET…]
#
# Builds the fuzz targets (Frame Request Spec Disk Netlink CNI) with libFuzzer and runs each for SECONDS, beginning with the
# inputs in corpus/TARGET. Fails when one crashes, takes 10 s for an input or 2 GB of memory; the input is then in
# ${SLIPWAY_FUZZ:-/var/cache/slipway-build/fuzz}/TARGET-*, beside what was found to reach new code, which the next run
# begins with too. Prints a line a target: executions, edges reached, features, inputs kept.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
seconds=$1
shift
[ $# -gt 0 ] || set -- Frame Request Spec Disk Netlink CNI
here=$(cd "$(dirname "$0")" && pwd)
found=${SLIPWAY_FUZZ:-/var/cache/slipway-build/fuzz}
mkdir -p "$found"

swift build --package-path "$here" --scratch-path "$found/build" --configuration release --sanitize fuzzer \
    -Xswiftc -enable-testing >&2
failed=0
for target in "$@"; do
    mkdir -p "$found/corpus/$target"
    # Swift's own backtrace of a crash would come before libFuzzer has kept the input.
    if ! SWIFT_BACKTRACE=enable=no "$found/build/release/${target}Target" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 -artifact_prefix="$found/$target-" \
        "$found/corpus/$target" "$here/corpus/$target" >"$found/$target.log" 2>&1; then
        tail -n 40 "$found/$target.log" >&2
        failed=1
    fi
    awk -v target="$target" '
        /^#[0-9]+/ { for (i = 1; i < NF; i++) { if ($i == "cov:") cov = $(i + 1); if ($i == "ft:") ft = $(i + 1) } }
        /^stat::number_of_executed_units:/ { runs = $2 }
        /^stat::new_units_added:/ { units = $2 }
        END { printf "fuzz %s: %d executions, %d edges, %d features, %d inputs new\n", target, runs, cov, ft, units }
    ' "$found/$target.log"
done
exit $failed

#!/usr/bin/env bash
# with-node.sh DIR TAR… -- COMMAND…
#
# Runs a command with a private node in DIR, which is in its environment as SLIPWAY_NODE, and ends the node afterwards.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 3 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
export SLIPWAY_NODE=$1
shift
archives=()
while [ "$1" != -- ]; do
    archives+=("$1")
    shift
done
shift
cleanup() {
    status=$?
    "$here/node.sh" down "$SLIPWAY_NODE" || status=1
    exit $status
}
trap cleanup EXIT
"$here/node.sh" up "$SLIPWAY_NODE"
"$here/node.sh" import "$SLIPWAY_NODE" "${archives[@]}"
"$@"

#!/usr/bin/env bash
# A terminal in a lab with Slipway installed; the lab is gone when the terminal ends. SLIPWAY_BIN is the directory of the
# programs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${SLIPWAY_BIN:?the directory of the built programs}"
work=$(mktemp -d /tmp/slipway-lab.XXXXXX)
trap '"$here/lab.sh" down "$work/lab" || true; rm -rf "$work"' EXIT
"$here/images.sh" "$work/images"
LAB_IMAGES=$(echo "$work"/images/*.tar) LAB_FILES=$(echo "$work"/images/files/*) "$here/lab.sh" up "$work/lab"
"$here/lab.sh" shell "$work/lab" || true

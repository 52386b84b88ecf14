#!/usr/bin/env bash
# A VNF and a CNF as pods on one network: the VNF is a virtual machine that Slipway runs, the CNF a container under runc.
# Everything happens on a private containerd, which is gone at the end.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../examples
slipway=${SLIPWAY_BIN:?the directory of the built programs}/slipway
node=$(mktemp -d /tmp/slipway-demo.XXXXXX)
images=$node-images

cleanup() {
    status=$?
    for pod in tiny-vnf cnf; do "$slipway" rm --force "$pod" >/dev/null 2>&1 || true; done
    "$here/node.sh" down "$node" >/dev/null || true
    rm -rf "$images"
    exit $status
}
trap cleanup EXIT
say() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

say "images: a bootable disk with Debian's kernel and busybox, and a busybox container"
"$here/images.sh" "$images" tiny-vnf cnf
say "a private containerd in $node"
"$here/node.sh" up "$node"
"$here/node.sh" import "$node" "$images/tiny-vnf.tar" "$images/cnf.tar" "$images/pause.tar"
CONTAINER_RUNTIME_ENDPOINT=unix://$("$here/node.sh" address "$node")
export CONTAINER_RUNTIME_ENDPOINT PATH=$SLIPWAY_BIN:$PATH

say "is this node fit for machines?"
run "$slipway" check || true
# The node's first machine pays for what is found out once: the accelerator's proof and QEMU's capabilities.
say "the CNF, under runc"
run "$slipway" run -f "$examples/cnf/pod.yaml"
say "what the VNF's machine will be"
run "$slipway" plan -f "$examples/tiny-vnf/pod.yaml"
say "the VNF, as a virtual machine"
started=$(date +%s%N)
run "$slipway" run -f "$examples/tiny-vnf/pod.yaml" --wait-ready 'tiny-vnf: ready'
ready=$((($(date +%s%N) - started) / 1000000))
say "its console"
run "$slipway" logs tiny-vnf
say "both"
run "$slipway" ps --all-runtimes

# `ps` knows the addresses, and containerd's own client runs a command in the container.
address() { "$slipway" ps --all-runtimes -o json | jq -r --arg name "$1" '.[] | select(.name == $name) | .ip'; }
vnf=$(address tiny-vnf)
cnf=$(address cnf)
socket=${CONTAINER_RUNTIME_ENDPOINT#unix://}
container=$("$slipway" ps --all-runtimes -o json | jq -r '.[] | select(.name == "cnf") | .containers[0].id')
say "the CNF fetches a page from the VNF"
page=$(ctr --address "$socket" --namespace k8s.io task exec --exec-id fetch "$container" \
    /bin/busybox wget -q -O - "http://$vnf/")
echo "$page"
[[ $page == *"$vnf"* ]] || { echo "demo: the VNF's page does not name $vnf" >&2; exit 1; }
say "the VNF fetches a page from the CNF: typed at its console"
{ printf 'wget -q -O - http://%s:8080/; echo fetched:$?\n' "$cnf"; sleep 3; } |
    timeout 20 "$slipway" console tiny-vnf >"$node/console.txt" || true
tail -n 4 "$node/console.txt"
grep -q 'fetched:0' "$node/console.txt" || { echo "demo: the VNF could not fetch the CNF's page" >&2; exit 1; }
say "the end of both: the VNF's power button is pressed, the CNF gets SIGTERM"
run "$slipway" rm tiny-vnf
run "$slipway" rm cnf --grace 1
[ -z "$("$slipway" ps --all --all-runtimes -o json | jq -r '.[].name')" ] || { echo "demo: pods are left" >&2; exit 1; }
echo
echo "demo: ok, VNF ready in $ready ms"

#!/usr/bin/env bash
# make-oci-image.sh NAME OUT.tar ROOTFS_DIR [ENTRYPOINT…]
#
# Packs a directory as an OCI image of one layer into an archive that `ctr images import` and `skopeo copy
# oci-archive:` read. No daemon and no root; everything belongs to 0:0 and dates from 1970, so that the same
# directory makes the same bytes. The layer is not compressed: the archives are for local import, and a disk image
# does not shrink much.
set -euo pipefail

[ $# -ge 3 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
name=$1 out=$2 rootfs=$3
shift 3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
blobs=$work/blobs/sha256
mkdir -p "$blobs"

pack() { tar --format=gnu --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner "$@"; }

# Moves a file among the blobs and prints its descriptor.
add() { # FILE MEDIA_TYPE
    local digest size
    digest=$(sha256sum "$1" | cut -d' ' -f1)
    size=$(stat -c %s "$1")
    mv "$1" "$blobs/$digest"
    jq -nc --arg type "$2" --arg digest "sha256:$digest" --argjson size "$size" \
        '{mediaType: $type, digest: $digest, size: $size}'
}

pack -C "$rootfs" -cf "$work/layer" .
layer=$(add "$work/layer" application/vnd.oci.image.layer.v1.tar)

jq -nc --argjson layer "$layer" '{
    created: "1970-01-01T00:00:00Z", architecture: "amd64", os: "linux",
    config: (if ($ARGS.positional | length) > 0 then {Entrypoint: $ARGS.positional} else {} end),
    rootfs: {type: "layers", diff_ids: [$layer.digest]},
    history: [{created: "1970-01-01T00:00:00Z", created_by: "make-oci-image.sh"}]
}' --args -- "$@" >"$work/config"
config=$(add "$work/config" application/vnd.oci.image.config.v1+json)

jq -nc --argjson config "$config" --argjson layer "$layer" '{
    schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: [$layer]
}' >"$work/manifest"
manifest=$(add "$work/manifest" application/vnd.oci.image.manifest.v1+json)

# containerd names the image after its own annotation; other tools read the tag from the standard one.
jq -nc --argjson manifest "$manifest" --arg name "$name" '{
    schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [$manifest + {
        platform: {architecture: "amd64", os: "linux"},
        annotations: {"io.containerd.image.name": $name, "org.opencontainers.image.ref.name": ($name | sub("^.*:"; ""))}
    }]
}' >"$work/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$work/oci-layout"

pack -C "$work" -cf "$out.tmp" oci-layout index.json blobs
mv "$out.tmp" "$out"

#!/bin/sh
# Generates Generated/*.pb.swift from Protos/*.proto, here and in the TTRPC target.
# Needs protoc with its standard .proto files (Debian: protobuf-compiler, libprotobuf-dev), and protoc-gen-swift of swift-protobuf 1.39.0 in PATH or named by PROTOC_GEN_SWIFT:
#   swift build -c release --product protoc-gen-swift
set -eu
plugin=${PROTOC_GEN_SWIFT:-$(command -v protoc-gen-swift)} || {
    echo "generate.sh: protoc-gen-swift is neither in PATH nor named by PROTOC_GEN_SWIFT" >&2
    exit 1
}
sources=$(cd "$(dirname "$0")/.." && pwd)

generate() { # target, visibility
    cd "$sources/$1"
    rm -f Generated/*.pb.swift
    mkdir -p Generated
    protoc --plugin=protoc-gen-swift="$plugin" --proto_path=Protos --swift_out=Generated \
        --swift_opt=Visibility="$2",FileNaming=PathToUnderscores,UseAccessLevelOnImports=true Protos/*.proto
}

generate ContainerdAPI Public
generate TTRPC Internal

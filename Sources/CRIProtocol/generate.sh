#!/bin/sh
# Writes Generated/ from Protos/. Needs protoc (Debian: protobuf-compiler) and protoc-gen-swift of the swift-protobuf
# release that Package.swift names, on PATH or as PROTOC_GEN_SWIFT.
set -eu
cd "$(dirname "$0")"
plugin=${PROTOC_GEN_SWIFT:-$(command -v protoc-gen-swift)}
protoc --plugin=protoc-gen-swift="$plugin" --proto_path=Protos \
    --swift_out=Generated \
    --swift_opt=Visibility=Public --swift_opt=UseAccessLevelOnImports=true --swift_opt=FileNaming=PathToUnderscores \
    Protos/*.proto

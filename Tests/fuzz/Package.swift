// swift-tools-version: 6.2
import PackageDescription

// The decoders of what others send, each with a libFuzzer target (run.sh). A package of its own, since a sanitizer is
// a choice for all modules at once: the modules are the product's, by symbolic links.

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")

func module(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

/// One entry point, `LLVMFuzzerTestOneInput`; libFuzzer brings `main`.
func fuzz(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: "\(name)Target", dependencies: dependencies,
        swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])])
}

let package = Package(
    name: "fuzz",
    dependencies: [.package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: [])],
    targets: [
        .target(name: "CLinux"),
        module("LinuxSystem", ["CLinux"]),
        module("TTRPC", ["LinuxSystem", protobuf], exclude: ["Protos"]),
        module("ContainerdAPI", [protobuf], exclude: ["Protos", "generate.sh"]),
        module("ContainerIO", ["LinuxSystem"]),
        module("OCIRuntimeSpec"),
        module("DiskImage", ["LinuxSystem"]),
        module("CNI", ["LinuxSystem"]),
        module("Netlink", ["CLinux", "LinuxSystem"]),
        fuzz("Frame", ["TTRPC"]),
        fuzz("Request", ["ContainerIO", "ContainerdAPI", protobuf]),
        fuzz("Spec", ["OCIRuntimeSpec"]),
        fuzz("Disk", ["DiskImage"]),
        fuzz("Netlink", ["LinuxSystem", "Netlink"]),
        fuzz("CNI", ["CNI"]),
    ],
    swiftLanguageModes: [.v6]
)

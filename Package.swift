// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")

func module(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

let package = Package(
    name: "slipway",
    dependencies: [
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
    ],
    targets: [
        .target(name: "CLinux"),
        .target(name: "CLibvirt"),
        module("LinuxSystem", ["CLinux"]),
        module("OCIRuntimeSpec"),
        module("Libvirt", ["CLibvirt", "LinuxSystem"]),
        module("StateDirectory", ["LinuxSystem"]),
        module("Configuration", ["LinuxSystem"]),
        module("ContainerIO", ["LinuxSystem"]),
        module("MachinePlanning"),
        module("DomainXML", ["MachinePlanning"]),
        module("Cgroup", ["LinuxSystem"]),
        module("Accelerator", exclude: ["proof.S"]),
        module("Sandbox", ["Cgroup", "ContainerIO", "LinuxSystem", "OCIRuntimeSpec"]),
        module("TTRPC", ["LinuxSystem", protobuf], exclude: ["Protos"]),
        module("ContainerdAPI", [protobuf], exclude: ["Protos", "generate.sh"]),
        module("DiskImage", ["LinuxSystem"]),
        module("GuestConfiguration", ["LinuxSystem"]),
        module("Version"),
        module("Netlink", ["CLinux", "LinuxSystem"]),
        module("PodNetwork", ["CLinux", "LinuxSystem", "Netlink"]),
        module("SandboxRemains", ["Cgroup", "LinuxSystem", "PodNetwork", "StateDirectory"]),
        module(
            "ShimFront",
            ["ContainerdAPI", "LinuxSystem", "OCIRuntimeSpec", "SandboxRemains", "StateDirectory", "Version", protobuf]),
        module(
            "LibvirtMachine",
            [
                "Accelerator", "Cgroup", "Configuration", "ContainerIO", "DiskImage", "DomainXML", "GuestConfiguration",
                "Libvirt", "LinuxSystem", "MachinePlanning", "Netlink", "OCIRuntimeSpec", "PodNetwork", "Sandbox",
                "StateDirectory",
            ]),
        module(
            "SandboxProcess",
            [
                "CLinux", "ContainerIO", "LibvirtMachine", "LinuxSystem", "Sandbox", "StateDirectory", "TTRPC",
                "TaskService", "Version",
            ]),
        .executableTarget(
            name: "containerd-shim-slipway-v2", dependencies: ["ShimFront"], swiftSettings: strict),
        .executableTarget(name: "slipway-sandbox", dependencies: ["SandboxProcess"], swiftSettings: strict),
        module(
            "TaskService",
            [
                "Cgroup", "Configuration", "ContainerIO", "ContainerdAPI", "LinuxSystem", "MachinePlanning",
                "OCIRuntimeSpec", "Sandbox", "TTRPC", protobuf,
            ]),
    ],
    swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")

/// A module: a noun of the field, that imports only what is listed.
func module(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

/// A program of a few lines.
func program(_ name: String, _ dependency: String, linkerFlags: [String] = []) -> Target {
    .executableTarget(
        name: name, dependencies: [.byName(name: dependency)], swiftSettings: strict,
        linkerSettings: linkerFlags.isEmpty ? [] : [.unsafeFlags(linkerFlags, .when(configuration: .release))])
}

/// The tests of a module.
func tests(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: [.byName(name: name), "LinuxSystem"] + dependencies, exclude: exclude,
        swiftSettings: strict)
}

let package = Package(
    name: "slipway",
    products: [
        .executable(name: "containerd-shim-slipway-v2", targets: ["containerd-shim-slipway-v2"]),
        .executable(name: "slipway-sandbox", targets: ["slipway-sandbox"]),
        .executable(name: "slipway", targets: ["slipway"]),
    ],
    dependencies: [
        // The command alone: arguments, gRPC to the container runtime, YAML.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        // Without its default trait, which brings Foundation into the processes of every pod.
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
    ],
    targets: [
        // Level 0: C
        .target(name: "CLinux"),
        .target(name: "CLibvirt"),
        .target(name: "CNuma"),

        // Level 1
        module("LinuxSystem", ["CLinux"]),
        module("Version"),

        // Level 2: leaves
        module("TTRPC", ["LinuxSystem", protobuf], exclude: ["Protos"]),
        module("ContainerdAPI", [protobuf], exclude: ["Protos", "generate.sh"]),
        module("OCIRuntimeSpec"),
        module("Libvirt", ["CLibvirt", "LinuxSystem"]),
        module("Netlink", ["CLinux", "LinuxSystem"]),
        module("Cgroup", ["LinuxSystem"]),
        module("Accelerator", exclude: ["proof.S"]),
        module("DiskImage", ["LinuxSystem"]),
        module("Configuration", ["LinuxSystem"]),
        module("HostTopology", ["LinuxSystem"]),
        module("HostMemory", ["CNuma", "HostTopology", "LinuxSystem"]),
        module("StateDirectory", ["HostTopology", "LinuxSystem"]),
        module("HostFunction", ["LinuxSystem", "Netlink"]),
        module("SwitchSocket", ["CLinux", "LinuxSystem", "StateDirectory"]),
        module("InterruptAffinity", ["HostTopology", "LinuxSystem", "StateDirectory"]),
        module("ContainerIO", ["LinuxSystem"]),
        module("CNI", ["LinuxSystem"]),

        // Level 3: from what was asked to what is decided
        module("MachinePlanning", ["HostTopology"]),
        module("DomainXML", ["HostTopology", "MachinePlanning"]),
        module("TopologyDrawing", ["HostTopology"]),
        module("PodNetwork", ["CLinux", "LinuxSystem", "Netlink"]),
        module("GuestConfiguration", ["LinuxSystem"]),

        // Level 4: what lives
        module("Sandbox", ["Cgroup", "ContainerIO", "LinuxSystem", "OCIRuntimeSpec"]),
        module(
            "SandboxRemains",
            [
                "CNI", "Cgroup", "HostFunction", "InterruptAffinity", "LinuxSystem", "PodNetwork", "StateDirectory",
                "SwitchSocket",
            ]),
        module(
            "LibvirtMachine",
            [
                "Accelerator", "CNI", "Cgroup", "Configuration", "ContainerIO", "DiskImage", "DomainXML",
                "GuestConfiguration", "HostFunction",
                "HostTopology", "InterruptAffinity", "Libvirt", "LinuxSystem", "MachinePlanning", "Netlink",
                "OCIRuntimeSpec", "PodNetwork", "Sandbox",
                "StateDirectory", "SwitchSocket",
            ]),

        module(
            "MachineVerification",
            [
                "Cgroup", "HostTopology", "InterruptAffinity", "LinuxSystem", "MachinePlanning", "PodNetwork",
                "StateDirectory",
            ]),

        // Level 5: the contract with containerd
        module(
            "TaskService",
            [
                "Cgroup", "ContainerIO", "ContainerdAPI", "LinuxSystem", "OCIRuntimeSpec", "Sandbox", "TTRPC", protobuf,
            ]),
        module(
            "ShimFront",
            ["ContainerdAPI", "LinuxSystem", "OCIRuntimeSpec", "SandboxRemains", "StateDirectory", "Version", protobuf]),
        module(
            "SandboxProcess",
            [
                "CLinux", "ContainerIO", "LibvirtMachine", "LinuxSystem", "Sandbox", "StateDirectory", "TTRPC",
                "TaskService", "Version",
            ]),

        // The operator's command
        module(
            "CRIProtocol",
            [
                protobuf, .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
            ], exclude: ["Protos", "generate.sh"]),
        module(
            "PodManifest",
            ["CRIProtocol", "HostTopology", "LinuxSystem", protobuf, .product(name: "Yams", package: "Yams")]),
        module(
            "SlipwayCommand",
            [
                "CLinux", "CNI", "CRIProtocol", "Cgroup", "Configuration", "HostFunction", "HostMemory", "HostTopology",
                "Libvirt",
                "LibvirtMachine",
                "LinuxSystem", "MachinePlanning", "MachineVerification", "Netlink", "OCIRuntimeSpec", "PodManifest",
                "PodNetwork", "SandboxRemains", "StateDirectory", "TopologyDrawing", "Version",
                .product(name: "Yams", package: "Yams"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        // Level 6: programs
        program("containerd-shim-slipway-v2", "ShimFront", linkerFlags: ["-static-executable"]),
        program("slipway-sandbox", "SandboxProcess"),
        program("slipway", "SlipwayCommand"),

        // Tests
        module("TestSupport", ["LinuxSystem"]),
        module("HostFixtures", ["HostTopology", "LinuxSystem"]),
        tests("HostTopology", ["HostFixtures", "HostMemory", "TestSupport"], exclude: ["Golden"]),
        tests("TopologyDrawing", ["HostFixtures", "HostTopology", "TestSupport"], exclude: ["Golden"]),
        tests("InterruptAffinity", ["HostTopology", "StateDirectory", "TestSupport"]),
        tests("SandboxRemains", ["CNI", "CLinux", "HostTopology", "StateDirectory", "SwitchSocket", "TestSupport"]),
        module("SandboxFakes", ["Cgroup", "LinuxSystem", "OCIRuntimeSpec", "Sandbox"]),
        .executableTarget(
            name: "slipway-bench",
            dependencies: ["HostFixtures", "HostTopology", "MachinePlanning", "MachineVerification"],
            path: "Tests/Bench", swiftSettings: strict),
        tests("TTRPC", [protobuf]),
        tests("ContainerdAPI", [protobuf]),
        tests(
            "ShimFront",
            [
                "Cgroup", "ContainerdAPI", "Netlink", "PodNetwork", "StateDirectory", "TestSupport", "Version",
                protobuf,
                "containerd-shim-slipway-v2",
            ]),
        tests(
            "TaskService",
            [
                "Cgroup", "ContainerIO", "ContainerdAPI", "OCIRuntimeSpec", "Sandbox", "SandboxFakes", "TTRPC",
                "TestSupport", protobuf,
            ], exclude: ["Golden"]),
        tests("Netlink", ["CLinux"]),
        tests("HostFunction", ["Netlink", "TestSupport"]),
        tests("PodNetwork", ["CLinux", "Netlink", "TestSupport"]),
        tests(
            "LibvirtMachine",
            [
                "CLinux", "CNI", "Configuration", "DiskImage", "GuestConfiguration", "HostFixtures", "Libvirt",
                "MachinePlanning", "Netlink", "PodNetwork", "Sandbox", "StateDirectory", "SwitchSocket", "TestSupport",
            ]),
        tests("Cgroup"),
        tests("CNI", ["CLinux", "TestSupport"]),
        tests("Accelerator"),
        tests("DiskImage"),
        tests("GuestConfiguration", exclude: ["Golden"]),
        .testTarget(
            name: "LinuxSystemTests", dependencies: ["LinuxSystem", "CLinux", "TestSupport"], swiftSettings: strict),
        tests("ContainerIO", ["TestSupport"]),
        tests(
            "CRIProtocol",
            [
                protobuf, .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
            ]),
        tests("PodManifest", ["CRIProtocol", protobuf], exclude: ["Golden"]),
        tests(
            "SlipwayCommand",
            [
                "CNI", "CRIProtocol", "HostFixtures", "HostTopology", "MachinePlanning", "MachineVerification",
                "Netlink",
                "PodManifest", "PodNetwork", "StateDirectory", "TestSupport", protobuf, "slipway",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        tests("SwitchSocket", ["CLinux", "StateDirectory", "TestSupport"]),
        tests("MachinePlanning", ["HostFixtures", "HostTopology", "TestSupport"]),
        tests("DomainXML", ["HostTopology", "MachinePlanning", "TestSupport"], exclude: ["Golden"]),
        tests("OCIRuntimeSpec", ["TestSupport"]),
        tests("Configuration", ["TestSupport"]),
        tests("StateDirectory", ["HostTopology", "TestSupport"]),
        tests("Sandbox", ["Cgroup", "ContainerIO", "OCIRuntimeSpec", "SandboxFakes", "TestSupport"]),
        tests(
            "MachineVerification",
            [
                "Cgroup", "HostFixtures", "HostTopology", "MachinePlanning", "PodNetwork", "StateDirectory",
                "TestSupport",
            ]),
        .testTarget(
            name: "LabTests", dependencies: ["CRIProtocol", "LinuxSystem", "TestSupport", protobuf],
            swiftSettings: strict),
        .testTarget(
            name: "SystemTests",
            dependencies: [
                "CLinux", "CRIProtocol", "HostTopology", "LinuxSystem", "MachineVerification", "Netlink", "PodNetwork",
                "StateDirectory", "TestSupport",
                protobuf,
            ],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)

internal import CRIProtocol
internal import FoundationEssentials
internal import Glibc
internal import LinuxSystem

/// containerd's configuration as it tells it through CRI, as far as it bears on machines.
enum RuntimeInspection {
    // The names are those of containerd's JSON.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct Settings: Decodable {
        struct Containerd: Decodable { var runtimes: [String: Handler]? }
        struct Handler: Decodable {
            var runtimeType: String?
            var PodAnnotations: [String]?
            var ContainerAnnotations: [String]?
            var privileged_without_host_devices: Bool?
        }
        var containerd: Containerd?
        var disableHugetlbController: Bool?
        var systemdCgroup: Bool?
    }

    static func findings(_ runtime: some CRICalls) async throws -> [NodeFinding] {
        let version = try await runtime.version()
        let info = try await runtime.status(verbose: true).info
        return [.ok("container runtime", "\(version.runtimeName) \(version.runtimeVersion)")]
            + findings(configuration: info["config"] ?? "") + [shim()]
    }

    static func findings(configuration: String) -> [NodeFinding] {
        guard let settings = try? JSONDecoder().decode(Settings.self, from: Data(configuration.utf8)) else {
            return [.warning("containerd's configuration", "is not told by the runtime", "look into it by hand")]
        }
        let handlers = (settings.containerd?.runtimes ?? [:]).filter {
            $0.value.runtimeType == "io.containerd.slipway.v2"
        }
        guard !handlers.isEmpty else {
            return [
                .problem(
                    "runtime handler", "containerd has no handler with runtime_type io.containerd.slipway.v2",
                    "run Slipway's install.sh, or add the drop-in from runtime-class/containerd; then restart containerd"
                )
            ]
        }
        var findings: [NodeFinding] = []
        for (name, handler) in handlers.sorted(by: { $0.key < $1.key }) {
            findings.append(.ok("handler \(name)", "io.containerd.slipway.v2"))
            for (prefix, loss) in [
                ("slipway.dev", "pods' annotations are ignored"),
                ("k8s.v1.cni.cncf.io", "NICs come in the order of their links' names, not of the pod's networks"),
            ] where !(handler.PodAnnotations ?? []).contains(where: { $0 == "\(prefix)/*" || $0 == "*/*" }) {
                findings.append(
                    .warning(
                        "handler \(name), annotations", "pod_annotations does not pass \(prefix)/*",
                        "add \"\(prefix)/*\" to pod_annotations of the handler; without it \(loss)"))
            }
            if handler.privileged_without_host_devices != true {
                findings.append(
                    .warning(
                        "handler \(name), privileged pods", "privileged_without_host_devices is false",
                        "set it to true; a machine has no use for the host's devices"))
            }
        }
        if settings.disableHugetlbController != false {
            findings.append(
                .warning(
                    "disable_hugetlb_controller", "true, containerd's default",
                    "set it to false: only then do a pod's hugepages limits reach the shim"))
        }
        return findings
    }

    /// containerd looks for the shim in its PATH; this command's own is the best guess at it.
    private static func shim() -> NodeFinding {
        let name = "containerd-shim-slipway-v2"
        let directories = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        guard let directory = directories.first(where: { access("\($0)/\(name)", X_OK) == 0 }) else {
            return .warning(
                "shim", "\(name) is not in this shell's PATH", "install it where containerd's PATH finds it")
        }
        guard access("\(directory)/slipway-sandbox", X_OK) == 0 else {
            return .problem(
                "shim", "\(directory)/\(name) has no slipway-sandbox beside it",
                "install both programs in one directory")
        }
        return .ok("shim", "\(directory)/\(name)")
    }
}

internal import CRIProtocol
internal import FoundationEssentials
internal import PodManifest

/// One line of `slipway ps`; the JSON keys are the member names.
struct PodRow: Renderable, Equatable, Sendable {
    struct Container: Encodable, Equatable, Sendable {
        var id: String
        var name: String
        var image: String
        /// `created`, `running`, `exited` or `unknown`.
        var state: String
        /// Only of one that has ended.
        var exitCode: Int32?
        /// Why it is in that state, in the runtime's word.
        var reason: String?
        var attempt: UInt32
    }

    var name: String
    var namespace: String
    var id: String
    var uid: String
    /// `running`, `starting`, `exited`, `stopped`.
    var state: String
    var ip: String?
    var additionalIPs: [String]
    var runtime: String
    /// Thousandths of a CPU; nil without a limit.
    var cpuMillis: Int64?
    /// Bytes; nil without a limit.
    var memoryBytes: Int64?
    /// Bytes by page size, as `hugepages-1GB`.
    var hugePages: [String: UInt64]
    /// Seconds since 1970.
    var createdAt: Int64
    var ageSeconds: Int64
    var containers: [Container]

    static let columns = [
        "NAME", "NAMESPACE", "STATE", "IP", "RUNTIME", "CPU", "MEMORY", "AGE", "POD ID", "CONTAINERS", "IMAGES",
    ]
    static let tableColumns = 9

    var cells: [String] {
        let pages = hugePages.sorted { $0.key < $1.key }.map { size, bytes in
            "\(Quantity.bytes(Int64(clamping: bytes)))(\(size.dropFirst(10)))"
        }
        let memory = memoryBytes.map { Quantity.bytes($0).description }
        let shown = ([memory].compactMap { $0 } + pages).joined(separator: "+")
        let states = containers.map { (container: Container) -> String in
            let code = container.exitCode.map { "(\($0))" } ?? ""
            return "\(container.name)=\(container.state)\(code)"
        }
        let cpu = cpuMillis.map { Quantity.milli($0).description }
        let images = containers.map(\.image).joined(separator: ",")
        let cells = [
            name, namespace, state, ip ?? "", runtime, cpu ?? "", shown, Rendering.age(seconds: ageSeconds),
            String(id.prefix(13)), states.joined(separator: ","), images,
        ]
        return cells.map { $0.isEmpty ? "-" : $0 }
    }
}

extension PodRow {
    /// The pods that `include` wants, newest first. A pod that goes away meanwhile is left out.
    static func all(
        _ runtime: some CRICalls, now: Date = Date(), include: (PodEntry) -> Bool
    ) async throws(CRIError) -> [PodRow] {
        var rows: [PodRow] = []
        for pod in try await PodEntry.all(runtime) where include(pod) {
            if let row = try await row(runtime, pod, now) { rows.append(row) }
        }
        return rows
    }

    private static func row(_ runtime: some CRICalls, _ pod: PodEntry, _ now: Date) async throws(CRIError) -> PodRow? {
        do {
            let status = try await runtime.podSandboxStatus(pod.id).status
            var containers: [CRIContainerStatusResponse] = []
            for container in pod.containers {
                containers.append(try await runtime.containerStatus(container.id, verbose: true))
            }
            return PodRow(pod, status, containers, now: now)
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    init(_ pod: PodEntry, _ status: CRIPodSandboxStatus, _ containers: [CRIContainerStatusResponse], now: Date) {
        let asked = containers.map { AskedResources($0) }.reduce(AskedResources(), +)
        let created = pod.createdAt / 1_000_000_000
        self.init(
            name: pod.name, namespace: pod.namespace, id: pod.id, uid: pod.uid,
            state: Self.state(pod), ip: status.network.ip.isEmpty ? nil : status.network.ip,
            additionalIPs: status.network.additionalIps.map(\.ip), runtime: pod.handler,
            cpuMillis: asked.cpuMillis > 0 ? asked.cpuMillis : nil,
            memoryBytes: asked.memoryBytes > 0 ? asked.memoryBytes : nil,
            hugePages: asked.hugePages, createdAt: created, ageSeconds: Int64(now.timeIntervalSince1970) - created,
            containers: containers.map { Container($0.status) })
    }

    private static func state(_ pod: PodEntry) -> String {
        guard pod.isReady else { return "stopped" }
        let latest = Dictionary(grouping: pod.containers, by: \.name).values.compactMap(\.first)
        if latest.isEmpty || latest.contains(where: { $0.state == .containerCreated }) { return "starting" }
        return latest.allSatisfy { $0.state == .containerRunning } ? "running" : "exited"
    }
}

extension PodRow.Container {
    init(_ status: CRIContainerStatus) {
        self.init(
            id: status.id, name: status.metadata.name, image: status.image.image, state: Self.word(status.state),
            exitCode: status.state == .containerExited ? status.exitCode : nil,
            reason: status.reason.isEmpty ? nil : status.reason, attempt: status.metadata.attempt)
    }

    private static func word(_ state: CRIContainerState) -> String {
        switch state {
        case .containerCreated: "created"
        case .containerRunning: "running"
        case .containerExited: "exited"
        default: "unknown"
        }
    }
}

/// What a container may use, read from its status; containerd 1.6 tells it only in the verbose part, as JSON.
struct AskedResources: Equatable {
    var cpuMillis: Int64 = 0
    var memoryBytes: Int64 = 0
    var hugePages: [String: UInt64] = [:]

    init() {}

    /// The sum; what does not fit is the largest number.
    static func + (left: AskedResources, right: AskedResources) -> AskedResources {
        var sum = left
        sum.cpuMillis = add(left.cpuMillis, right.cpuMillis)
        sum.memoryBytes = add(left.memoryBytes, right.memoryBytes)
        for (size, bytes) in right.hugePages { sum.hugePages[size] = add(sum.hugePages[size] ?? 0, bytes) }
        return sum
    }

    private static func add<Number: FixedWidthInteger>(_ left: Number, _ right: Number) -> Number {
        let (result, overflow) = left.addingReportingOverflow(right)
        return overflow ? Number.max : result
    }

    init(_ response: CRIContainerStatusResponse) {
        guard let text = response.info["info"],
            let info = try? JSONDecoder().decode(Info.self, from: Data(text.utf8)),
            let resources = info.config?.linux?.resources
        else { return }
        if let quota = resources.cpu_quota, let period = resources.cpu_period, quota > 0, period > 0 {
            let (product, overflow) = quota.multipliedReportingOverflow(by: 1000)
            cpuMillis = overflow ? quota / period : product / period
        }
        memoryBytes = resources.memory_limit_in_bytes ?? 0
        for limit in resources.hugepage_limits ?? [] {
            if let size = limit.page_size, let bytes = limit.limit, bytes > 0 { hugePages["hugepages-\(size)"] = bytes }
        }
    }

    // The names are those of the JSON.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct Info: Decodable {
        struct Config: Decodable { var linux: Linux? }
        struct Linux: Decodable { var resources: Resources? }
        struct Resources: Decodable {
            var cpu_period: Int64?
            var cpu_quota: Int64?
            var memory_limit_in_bytes: Int64?
            var hugepage_limits: [HugePages]?
        }
        struct HugePages: Decodable {
            var page_size: String?
            var limit: UInt64?
        }

        var config: Config?
    }
}

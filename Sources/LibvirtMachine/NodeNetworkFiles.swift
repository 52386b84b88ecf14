import CNI
import LinuxSystem
import Netlink
import PodNetwork

/// What the node's files tell about a pod's interfaces that no link shows: device information of the Network Plumbing
/// Working Group, and the results of CNI plugins as libcni keeps them.
struct NodeNetworkFiles: Sendable {
    var devices = DeviceInformation.cniDirectory
    /// What plugins have said, and whether they have come to their end.
    var progress: AttachmentProgress

    /// More files than a node's pods have.
    private static let fileLimit = 16_384

    /// Gives a request what is known of its sandbox's interfaces at this moment, in place of what it had.
    ///
    /// - Returns: files that cannot be used, which are left out.
    func complete(_ request: inout NetworkRequest) -> [NetworkRefusal] {
        var problems: [NetworkRefusal] = []
        request.devices = [:]
        request.results = [:]
        for name in ((try? File.list(devices)) ?? []).prefix(Self.fileLimit) {
            guard let interface = DeviceInformation.interface(ofFile: name, sandbox: progress.sandbox) else { continue }
            let path = "\(devices)/\(name)"
            do {
                request.devices[interface] = try DeviceInformation(
                    File.read(path, limit: DeviceInformation.maximumSize), name: path)
            } catch {
                // It may have been removed since.
                guard File.exists(path) else { continue }
                problems.append(.deviceInformation(link: interface, problem: "\(error)"))
            }
        }
        // Links tell their own addresses; a result is of use for a device without one.
        let interfaces = Set(request.devices.keys).union(request.selection.elements.map(\.interface))
        for interface in interfaces.sorted() {
            do {
                guard let result = try progress.result(interface) else { continue }
                request.results[interface] = AttachmentResult(result, interface: interface)
            } catch {
                problems.append(.deviceInformation(link: interface, problem: "its cached CNI result: \(error)"))
            }
        }
        return problems
    }
}

extension AttachmentResult {
    /// What a CNI result says of one of its interfaces. Addresses that cannot be read are left out.
    init(_ result: CNIResult, interface name: String) {
        let index = result.interfaces.firstIndex { $0.name == name && $0.sandbox?.isEmpty == false }
        let interface = index.map { result.interfaces[$0] } ?? result.interfaces.first { $0.sandbox?.isEmpty == false }
        let addresses = result.addresses.filter { $0.interface == nil || index == nil || $0.interface == index }
        self.init(
            mac: interface?.mac.flatMap { MACAddress($0) },
            mtu: interface?.mtu.flatMap { UInt32(exactly: $0) },
            addresses: addresses.compactMap { IPPrefix($0.address) },
            routes: result.routes.compactMap { route in
                guard let destination = IPPrefix(route.destination) else { return nil }
                return RoutePlan(
                    destination, via: route.gateway.flatMap { IPAddress($0) },
                    metric: route.priority.flatMap { UInt32(exactly: $0) })
            },
            gateways: addresses.compactMap { $0.gateway.flatMap { IPAddress($0) } },
            pciAddress: interface?.pciID)
    }
}

extension NetworkRequest {
    /// Sockets of switches that the node's files, or the pod's annotation, name.
    var sockets: [String] {
        (Array(devices.values) + status.elements.compactMap(\.device)).compactMap { device in
            if case .vhostUser(let path, _) = device { path } else { nil }
        }
    }
}

import CNI
import LinuxSystem
import Netlink
import PodNetwork

/// What the node's files tell about a pod's interfaces that no link shows: device information of the Network Plumbing
/// Working Group, and the results of CNI plugins as libcni keeps them.
struct NodeNetworkFiles {
    var devices = DeviceInformation.cniDirectory
    var results = ResultCache()

    /// More files than a node's pods have.
    private static let fileLimit = 16_384

    /// Adds what is known of a sandbox's interfaces to a request. A file that cannot be read is left out, and said.
    ///
    /// - Parameter sandbox: the sandbox's id, which is CNI's container id.
    func complete(_ request: inout NetworkRequest, sandbox: String, log: (String) -> Void) {
        for name in ((try? File.list(devices)) ?? []).prefix(Self.fileLimit) {
            guard let interface = DeviceInformation.interface(ofFile: name, sandbox: sandbox) else { continue }
            let path = "\(devices)/\(name)"
            do {
                request.devices[interface] = try DeviceInformation(
                    File.read(path, limit: DeviceInformation.maximumSize), name: path)
            } catch {
                log("device information of \(interface) is left out: \(error)")
            }
        }
        // Links tell their own addresses; a result is of use for a device without one.
        let interfaces = Set(request.devices.keys).union(request.selection.elements.map(\.interface))
        for interface in interfaces.sorted() {
            do {
                guard let result = try results.result(container: sandbox, interface: interface) else { continue }
                request.results[interface] = AttachmentResult(result, interface: interface)
            } catch {
                log("the cached CNI result of \(interface) is left out: \(error)")
            }
        }
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

public import MachinePlanning

// Network interfaces in libvirt's words (formatdomain.html, "Network interfaces").
extension MachinePlan.NIC {
    /// The device alone, as libvirt is told to attach or change it while the machine runs: the same address and alias as in
    /// the domain's XML.
    public var deviceXML: String { device.rendered() }

    var device: XML {
        switch backend {
        case .tap(let name), .macvtap(let name):
            interface("ethernet") { XML("target", ["dev": name, "managed": "no"]) }
        case .vhostUser(let path, let listens):
            // Without the MTU, which libvirt would set on a link of the host, and there is none.
            interface("vhostuser", hasMTU: false) {
                XML("source", ["type": "unix", "path": path, "mode": listens ? "server" : "client"]) {
                    if !listens { XML("reconnect", ["enabled": "yes", "timeout": "1"]) }
                }
            }
        case .vdpa(let path):
            // libvirt takes no MTU here: it is the hardware's.
            interface("vdpa", hasMTU: false) { XML("source", ["dev": path]) }
        case .hostDevice(let address, let isManaged):
            // Not <interface type='hostdev'>: libvirt would set MAC address and VLAN through the physical function's link,
            // which is not in the pod's network namespace.
            hostFunction(address, bus: bus, isManaged: isManaged, alias: alias)
        }
    }

    private func interface(_ type: String, hasMTU: Bool = true, @XMLBuilder _ source: () -> [XML]) -> XML {
        XML("interface", ["type": type]) {
            XML("mac", ["address": mac])
            source()
            XML("model", ["type": "virtio"])
            if driver.value != .peer || queues.value > 1 || rxRing != nil || txRing != nil {
                XML(
                    "driver",
                    [
                        "name": driver.value == .peer ? nil : driver.value.rawValue,
                        "queues": queues.value > 1 ? "\(queues.value)" : nil,
                        "rx_queue_size": rxRing.map { "\($0)" }, "tx_queue_size": txRing.map { "\($0)" },
                    ])
            }
            XML("link", ["state": isUp ? "up" : "down"])
            if hasMTU { XML("mtu", ["size": "\(mtu)"]) }
            XML("alias", ["name": alias])
            // No boot ROM: the machine boots from its disk, and the BIOS is faster without.
            XML("rom", ["enabled": "no"])
            XML("address", ["type": "pci", "bus": hex(bus), "slot": "0x00", "function": "0x0"])
        }
    }
}

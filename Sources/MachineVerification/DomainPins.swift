public import HostTopology

/// The pins in a domain XML (libvirt's formatdomain.html, "CPU Tuning"): what libvirt was told, as against what became of it.
public struct DomainPins: Codable, Equatable, Sendable {
    /// CPUs by vCPU.
    public var vcpus: [Int: CPUSet]
    /// CPUs of QEMU's own threads; nil: not said.
    public var emulator: CPUSet?

    /// Some pins.
    public init(vcpus: [Int: CPUSet] = [:], emulator: CPUSet? = nil) {
        self.vcpus = vcpus
        self.emulator = emulator
    }

    /// Finds the pins in the text that Slipway itself has written; what is not there is not pinned.
    public init(xml: String) {
        self.init()
        for tag in xml.split(separator: "<") {
            let head = tag.prefix { $0 != ">" }
            func attribute(_ name: String) -> Substring? {
                head.split(separator: " ").first { $0.hasPrefix("\(name)='") }
                    .map { $0.dropFirst(name.count + 2).prefix { $0 != "'" } }
            }
            if head.hasPrefix("vcpupin "), let cpus = attribute("cpuset").flatMap({ try? CPUSet($0) }),
                let vcpu = attribute("vcpu").flatMap({ Int($0) })
            {
                vcpus[vcpu] = cpus
            } else if head.hasPrefix("emulatorpin ") {
                emulator = attribute("cpuset").flatMap { try? CPUSet($0) }
            }
        }
    }
}

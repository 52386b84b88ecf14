import LinuxSystem

/// The directory of one pod's sandbox, with everything that Slipway keeps on the node for it. Removing the directory
/// (and what its record names) removes every trace of the pod.
///
/// The name is short because Unix socket paths below it, libvirt's included, have to fit 107 bytes (unix(7)).
public struct StateDirectory: Hashable, Sendable {
    /// Where the sandboxes' directories are. A tmpfs: nothing in it outlives the node's boot.
    public static let defaultRoot = "/run/slipway"

    /// The directory itself.
    public let path: String

    /// The directory of a sandbox, by containerd's namespace and the sandbox's id.
    public init(root: String = StateDirectory.defaultRoot, namespace: String, sandbox: String) {
        // FNV-1a; ids come from containerd, and the beginning of the id is in the name for people to see.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in Array(namespace.utf8) + [0] + Array(sandbox.utf8) {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        let digits = String(hash, radix: 16)
        let suffix = String(repeating: "0", count: 16 - digits.count) + digits
        let readable = sandbox.utf8.prefix(8).map { byte in
            let isAlphanumeric = (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            return isAlphanumeric ? byte : UInt8(ascii: "_")
        }
        path = "\(root)/\(String(decoding: readable, as: UTF8.self))-\(suffix)"
    }

    /// A directory that was found by listing the root.
    public init(path: String) {
        self.path = path
    }

    /// Every sandbox's directory below a root.
    public static func all(root: String = StateDirectory.defaultRoot) -> [StateDirectory] {
        let names = (try? File.list(root)) ?? []
        return names.map { StateDirectory(path: "\(root)/\($0)") }.filter { File.exists($0.record) }
    }

    /// The ttrpc socket.
    public var socket: String { "\(path)/shim.sock" }
    /// The console's socket: everything that is written is typed, everything that is read was printed.
    public var console: String { "\(path)/console.sock" }
    /// The record of what exists for the sandbox, as JSON; see ``SandboxRecord``.
    public var record: String { "\(path)/sandbox.json" }
    /// The machine's plan, as JSON.
    public var plan: String { "\(path)/plan.json" }
    /// The machine's domain XML as libvirt was given it.
    public var domain: String { "\(path)/domain.xml" }
    /// Where the container's root file system is mounted, in the sandbox's own mount namespace.
    public var rootfs: String { "\(path)/rootfs" }
    /// The embedded driver's root.
    public var libvirt: String { "\(path)/libvirt" }
    /// QEMU's end of the serial console.
    public var serial: String { "\(path)/serial.sock" }
    /// The cloud-init seed.
    public var seed: String { "\(path)/seed.iso" }
    /// Where the DHCP server keeps its files.
    public var dhcp: String { "\(path)/dhcp" }
    /// What the guest has of the pod's networks, as JSON.
    public var network: String { "\(path)/network.json" }
    /// The sockets of switches to which QEMU was let in, as JSON.
    public var sockets: String { "\(path)/sockets.json" }
    /// Who changes access to switches' sockets has this lock, which is that of all sandboxes.
    public var accessLock: String { path.prefix(through: path.lastIndex(of: "/") ?? path.startIndex) + ".access" }
    /// The records of PCI functions that were taken from their drivers, one a file.
    public var functions: String { "\(path)/functions" }
    /// The records of networks that were attached by hand, one a file.
    public var attachments: String { "\(path)/attachments" }
    /// What a link had that was switched off by hand, as JSON.
    public func switchedOff(_ link: String) -> String { "\(path)/off-\(link).json" }
    /// Interfaces whose PCI functions shall leave the guest, a file each; see ``releasedInterfaces``.
    public var released: String { "\(path)/released" }
    /// The sandbox process's own log.
    public var log: String { "\(path)/sandbox.log" }
}

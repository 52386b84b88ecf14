import Configuration
import Glibc
import Libvirt
import LinuxSystem
import StateDirectory

/// libvirt's QEMU driver inside this process, with a root directory of the pod's own (`qemu:///embed`).
///
/// Probing QEMU's capabilities takes seconds, so the result is kept once for the node and copied into every pod's root;
/// libvirt itself checks whether it still fits the installed QEMU, kernel and libvirt.
struct EmbeddedDriver {
    let connection: Connection

    /// Opens the driver. Blocks.
    init(_ directory: StateDirectory, cache: String, emulator: String) throws {
        try Self.writeConfiguration(directory)
        let nodeCache = "\(cache)/capabilities"
        let podCache = "\(directory.libvirt)/cache/qemu/capabilities"
        try File.makeDirectory(podCache)
        try File.makeDirectory(nodeCache)
        var seeded = Self.copyCapabilities(from: nodeCache, to: podCache)
        var lock: FileDescriptor?
        if seeded.isEmpty {
            // The first pods of a node queue up here; all but the first then find the result.
            lock = try File.lock("\(nodeCache)/.lock")
            seeded = Self.copyCapabilities(from: nodeCache, to: podCache)
        }
        defer { lock?.close() }
        connection = try Connection("qemu:///embed?root=\(directory.libvirt)")
        // Asks for what only a probe can tell, so that the probe is done here and not at the machine's start.
        let probe = connection
        _ = try Orphans.adopting(LibvirtMachineHost.emulatorName) {
            try probe.domainCapabilities(emulator: emulator, architecture: "x86_64", machine: "q35", type: "qemu")
        }
        let probed = Self.contents(podCache)
        if probed != seeded {
            for (name, bytes) in probed where seeded[name] != bytes {
                try File.replace("\(nodeCache)/\(name)", with: bytes)
            }
        }
    }

    /// What differs from libvirt's defaults, and why.
    private static func writeConfiguration(_ directory: StateDirectory) throws {
        let text = """
            # The capability probe's user. Every domain has a user of its own, from its seclabel.
            user = "+0"
            group = "+0"
            # No virtlogd: QEMU's stderr goes to the domain's log file.
            stdio_handler = "file"
            # Owners are not kept in extended attributes: the files are the pod's alone and go with it.
            remember_owner = 0
            # Labels of AppArmor or SELinux would be made by programs that the pod's namespaces do not have.
            security_driver = "none"
            # QEMU stays in the cgroup that it was started in, which is the container's.
            cgroup_controllers = []
            # Spares hundreds of questions about CPU features at every start; nothing here asks for a feature by name.
            capability_filters = [ "cpu-unavailable-features" ]

            """
        try File.makeDirectory("\(directory.libvirt)/etc", mode: 0o711)
        try File.replace("\(directory.libvirt)/etc/qemu.conf", with: Array(text.utf8))
    }

    private static func contents(_ directory: String) -> [String: [UInt8]] {
        let names = ((try? File.list(directory)) ?? []).filter { $0.hasSuffix(".xml") }
        return names.reduce(into: [:]) { $0[$1] = try? File.read("\(directory)/\($1)", limit: 16 << 20) }
    }

    private static func copyCapabilities(from source: String, to target: String) -> [String: [UInt8]] {
        let files = contents(source)
        for (name, bytes) in files { try? File.replace("\(target)/\(name)", with: bytes) }
        return files
    }
}

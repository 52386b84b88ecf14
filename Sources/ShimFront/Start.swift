import ContainerdAPI
import FoundationEssentials
import Glibc
import LinuxSystem
import OCIRuntimeSpec
import SandboxRemains
import StateDirectory
import SwiftProtobuf

extension ShimFront {
    /// `start`: a sandbox process for a sandbox, the address of the running one for a container of it.
    func start() throws -> [UInt8] {
        let (spec, annotations) = try readSpec()
        let sandbox = annotations.sandboxID ?? arguments.id
        let directory = StateDirectory(root: root, namespace: arguments.namespace, sandbox: sandbox)
        if annotations.type == .container {
            guard isAlive(directory) else {
                throw Failure(
                    description: "sandbox \(sandbox): its process does not answer at \(directory.socket); "
                        + "the pod has to be started anew")
            }
        } else if !isAlive(directory) {
            if File.exists(directory.path) { removeRemains(directory) }
            try startSandbox(directory, sandbox: sandbox, spec: spec)
        }
        let address = "unix://\(directory.socket)"
        // containerd 1.6 and 1.7 find a running sandbox by this file after their restart.
        try File.replace("\(workingDirectory)/address", with: Array(address.utf8), mode: 0o644)
        return try reply(address)
    }

    private func isAlive(_ directory: StateDirectory) -> Bool { (try? UnixSocket.connect(directory.socket)) != nil }

    private func removeRemains(_ directory: StateDirectory) {
        if let record = try? SandboxRecord(readingFrom: directory) {
            _ = SandboxRemains(directory, record, root: root).remove()
        } else {
            try? File.removeTree(directory.path)
        }
    }

    private func startSandbox(_ directory: StateDirectory, sandbox: String, spec: Spec) throws {
        let namespace = spec.linux?.namespaces?.first { $0.type == .network }
        // QEMU, under its own user, has to reach its files: directories may be passed but not listed.
        try File.makeDirectory(root, mode: 0o711)
        try File.makeDirectory(directory.path, mode: 0o711)
        do {
            var record = SandboxRecord(namespace: arguments.namespace, id: sandbox, bundle: workingDirectory)
            record.networkNamespace = namespace?.path.flatMap { $0.isEmpty ? nil : $0 }
            try record.write(to: directory)
            let listener = try UnixSocket.listen(directory.socket)
            let null = try FileDescriptor.open("/dev/null", O_RDWR)

            var ttrpc = environment["TTRPC_ADDRESS"] ?? ""
            if let parameters = bootstrap, !parameters.containerdTtrpcAddress.isEmpty {
                ttrpc = parameters.containerdTtrpcAddress
            }
            var words = ["-state", directory.path, "-ttrpc-address", ttrpc]
            if arguments.debug { words.append("-debug") }
            var spawn = Spawn(sandboxProgram, words)
            // Where a node has systemd-machined (Debian's systemd-container), libvirt asks it over the system's bus to move QEMU
            // into a scope of its own, whatever qemu.conf says, and the container's limits would hold for nobody.
            spawn.environment.append("DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent")
            spawn.workingDirectory = "/"
            spawn.descriptors = [0: null, 1: null, 2: null, 3: listener]
            if let path = record.networkNamespace {
                spawn.networkNamespace = try FileDescriptor.open(path, O_RDONLY)
            } else {
                spawn.newNetworkNamespace = true
            }
            spawn.newMountNamespace = true
            spawn.newSession = true
            // The record belongs to the sandbox process from here on.
            _ = try spawn.start()
        } catch {
            removeRemains(directory)
            throw error
        }
    }

    private var bootstrap: Containerd_BootstrapParams? {
        Containerd_BootstrapParams(
            standardInput: standardInput, id: arguments.id, namespace: arguments.namespace)
    }

    /// The answer in the form that the calling version understands: containerd 2.3 and later sends bootstrap parameters
    /// and takes a protobuf, 1.7 to 2.2 set `MAX_SHIM_VERSION` and take JSON, 1.6 takes the address alone.
    private func reply(_ address: String) throws -> [UInt8] {
        if bootstrap != nil {
            return try Containerd_BootstrapResult.with {
                $0.version = 3
                $0.address = address
                $0.protocol = "ttrpc"
            }.serializedBytes()
        }
        if environment["MAX_SHIM_VERSION"] != nil {
            return Array(#"{"version":2,"address":"\#(address)","protocol":"ttrpc"}"#.utf8)
        }
        return Array(address.utf8)
    }
}

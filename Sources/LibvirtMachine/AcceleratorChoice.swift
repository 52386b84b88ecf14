import Accelerator
public import Configuration
import FoundationEssentials
import Glibc
import LinuxSystem
public import MachinePlanning
import Sandbox
public import StateDirectory

/// How this node executes guests: the administrator's word, or the result of the proof, which is run once a boot.
public enum AcceleratorChoice {
    /// Decides, running the proof if it has not been run since the node's boot. Blocks for that time, up to seconds.
    ///
    /// - Parameter root: the directory of all sandboxes, a tmpfs: the proof's verdict is kept there.
    public static func decide(
        _ setting: Configuration.Accelerator, root: String = StateDirectory.defaultRoot,
        emulator: String = LibvirtMachineHost.emulator
    ) throws -> Decision<MachinePlanning.Accelerator> {
        switch setting {
        case .tcg: return Decision(.tcg, "Slipway's configuration says tcg")
        case .auto:
            let proof = try verdict(root: root, emulator: emulator)
            guard proof.accelerator == .kvm else { return Decision(.tcg, proof.reason) }
            if case .nobody(let reason) = DeviceAccess() { return Decision(.tcg, reason) }
            return Decision(.kvm, proof.reason)
        case .kvm:
            let proof = try verdict(root: root, emulator: emulator)
            guard proof.accelerator == .kvm else {
                throw SandboxError(
                    .failedPrecondition, "accelerator: Slipway's configuration says kvm, but \(proof.reason)")
            }
            if case .nobody(let reason) = DeviceAccess() {
                throw SandboxError(.failedPrecondition, "accelerator: \(reason)")
            }
            return Decision(.kvm, "Slipway's configuration says kvm")
        }
    }

    /// What is known without running anything; nil when the proof has not been run since the node's boot.
    public static func known(root: String = StateDirectory.defaultRoot) -> Decision<MachinePlanning.Accelerator>? {
        read("\(root)/.accelerator/verdict.json").map {
            Decision($0.accelerator == .kvm ? .kvm : .tcg, $0.reason)
        }
    }

    /// The stored verdict, or a new proof under a lock, so that pods that start at once prove it once.
    static func verdict(root: String, emulator: String) throws -> AcceleratorProof {
        let directory = "\(root)/.accelerator"
        let path = "\(directory)/verdict.json"
        if let stored = read(path) { return stored }
        try File.makeDirectory(root, mode: 0o711)
        try File.makeDirectory(directory)
        let lock = try File.lock("\(directory)/.lock")
        defer { lock.close() }
        if let stored = read(path) { return stored }
        let proof = try AcceleratorProof.prove(emulator: emulator, directory: directory, runner: SpawnProofRunner())
        try File.replace(path, with: Array(try JSONEncoder().encode(proof)))
        return proof
    }

    private static func read(_ path: String) -> AcceleratorProof? {
        guard let bytes = try? File.read(path) else { return nil }
        return try? JSONDecoder().decode(AcceleratorProof.self, from: Data(bytes))
    }
}

/// Who besides root may open KVM's device: a machine's QEMU has a user of its own.
enum DeviceAccess: Equatable {
    /// Every user.
    case everybody
    /// The members of a group.
    case group(UInt32)
    /// Nobody; why machines cannot use it.
    case nobody(String)

    init(_ device: String = "/dev/kvm") {
        var information = stat()
        guard stat(device, &information) == 0 else {
            self = .nobody("\(device) is absent")
            return
        }
        if information.st_mode & 0o006 == 0o006 {
            self = .everybody
        } else if information.st_mode & 0o060 == 0o060, information.st_gid != 0 {
            self = .group(information.st_gid)
        } else {
            self = .nobody("only root may open \(device); chgrp kvm \(device) and chmod 660 \(device) would help")
        }
    }

    /// QEMU's group id, for a machine whose user id is given.
    func group(for user: UInt32) -> UInt32 {
        if case .group(let group) = self { return group }
        return user
    }
}

/// Runs the accelerator's proof as a child process.
private struct SpawnProofRunner: ProofRunner {
    func run(executable: String, arguments: [String], deadline: Duration) throws -> ProofRun {
        let null = try FileDescriptor.open("/dev/null", O_RDWR)
        let pipe = try FileDescriptor.pipe()
        var spawn = Spawn(executable, arguments)
        spawn.descriptors = [0: null, 1: null, 2: pipe.write]
        spawn.diesWithParent = true
        let process = try spawn.start()
        pipe.write.close()
        // QEMU's few lines fit into the pipe, so nothing has to read while it runs.
        let ended = try process.waitForEnd(milliseconds: Int32(clamping: Int64(deadline / .milliseconds(1))))
        if !ended { try process.signal(SIGKILL) }
        let status = try process.wait()
        let text = String(decoding: try pipe.read.readToEnd(limit: 65536), as: UTF8.self)
        guard ended else { return ProofRun(.deadlinePassed, standardError: text) }
        switch status {
        case .exited(let code): return ProofRun(.exited(code), standardError: text)
        case .signaled(let signal): return ProofRun(.signaled(signal), standardError: text)
        }
    }
}

import Glibc
import LinuxSystem

/// Whether a sandbox's machine may be running, as far as its record tells.
struct Liveness {
    let mayRun: Bool

    init(_ directory: StateDirectory) {
        // Whoever removes the record has ended the machine before.
        guard File.exists(directory.record) else {
            mayRun = false
            return
        }
        guard let record = try? SandboxRecord(readingFrom: directory), let sandbox = record.process,
            let machine = record.machine?.process
        else {
            // A sandbox process that was killed between QEMU's start and the note of it leaves a QEMU that is named
            // nowhere but in the cgroup, which goes with the record.
            mayRun = true
            return
        }
        mayRun = sandbox.isRunning || machine.isRunning
    }
}

extension PlacementClaim {
    /// Whether the machine may be running.
    ///
    /// Once QEMU is known its life is the only thing that counts: the claim outlives the sandbox process and even the
    /// state directory, and ends with QEMU although the container is deleted later. Before that, the claim lives as
    /// long as the owner's record, unless that names a sandbox process and a QEMU that have both ended.
    public var isAlive: Bool {
        switch phase {
        case .held(let machine): machine.isRunning
        case .pending: Liveness(StateDirectory(path: owner)).mayRun
        }
    }
}

extension SandboxRecord.ProcessIdentity {
    /// Whether the process runs; false for one that has ended and waits to be reaped, which holds no memory any more.
    /// Where the kernel does not tell, it is taken to run.
    public var isRunning: Bool {
        do {
            guard try Process.startTime(of: pid) == startTime else { return false }
            return try !Process(pid: pid).waitForEnd(milliseconds: 0)
        } catch {
            return error.code != ENOENT && error.code != ESRCH
        }
    }
}

internal import Glibc

/// The proof program's image could not be written.
public struct ProofImageError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file.
    public let path: String
    /// The errno value.
    public let code: Int32

    /// One sentence.
    public var description: String {
        "the accelerator's proof program cannot be written to \(path): "
            + (strerror(code).map { String(cString: $0) } ?? "errno \(code)")
    }
}

extension AcceleratorProof {
    /// Finds out what `auto` means on this node. Blocks for some 100 ms where KVM works, for `deadline` at most.
    ///
    /// - Parameters:
    ///   - emulator: the path of `qemu-system-x86_64`.
    ///   - device: KVM's device node; QEMU itself always takes `/dev/kvm`.
    ///   - directory: where the program's image may lie for that time; QEMU's user must be able to pass through.
    ///   - runner: starts QEMU.
    ///   - deadline: the time after which KVM has failed.
    /// - Throws: `ProofImageError`, and what `runner` throws: then nothing is known about KVM, and no other accelerator
    ///   would work either.
    public static func prove(
        emulator: String, device: String = "/dev/kvm", directory: String, runner: any ProofRunner,
        deadline: Duration = .seconds(10)
    ) throws -> AcceleratorProof {
        let descriptor = open(device, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else {
            let code = errno
            return AcceleratorProof(
                code == ENOENT ? .absent(device: device) : .notOpenable(device: device, errno: code))
        }
        close(descriptor)
        let run = try ProofProgram.run(
            under: .kvm, emulator: emulator, directory: directory, runner: runner, deadline: deadline)
        return AcceleratorProof(KVMFinding(run, deadline: deadline))
    }
}

extension ProofProgram {
    /// Runs the program under an accelerator; it passed when QEMU exits with `passedStatus`. Blocks; the image's file is
    /// gone when it returns.
    ///
    /// - Throws: `ProofImageError`, and what `runner` throws.
    public static func run(
        under accelerator: AcceleratorName, emulator: String, directory: String, runner: any ProofRunner,
        deadline: Duration
    ) throws -> ProofRun {
        let path = "\(directory)/accelerator-proof-\(UInt64.random(in: .min ... .max)).rom"
        try writeImage(to: path)
        defer { unlink(path) }
        return try runner.run(
            executable: emulator, arguments: arguments(accelerator: accelerator, image: path), deadline: deadline)
    }

    private static func writeImage(to path: String) throws(ProofImageError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw ProofImageError(path: path, code: errno) }
        defer { close(descriptor) }
        let bytes = image
        let written = write(descriptor, bytes, bytes.count)
        // The umask must not keep QEMU's user out; the image is no secret.
        guard written == bytes.count, fchmod(descriptor, 0o644) == 0 else {
            let code = written >= 0 && written < bytes.count ? ENOSPC : errno
            unlink(path)
            throw ProofImageError(path: path, code: code)
        }
    }
}

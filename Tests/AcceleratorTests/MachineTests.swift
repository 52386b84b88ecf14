import Accelerator
import Foundation
import Testing

private let emulator = "/usr/bin/qemu-system-x86_64"

/// Serialized: each test runs a whole machine against a deadline.
@Suite("Accelerator: the proof program in QEMU", .serialized)
struct MachineTests {
    @Test("passes under TCG, which can run a stock kernel everywhere")
    func tcg() throws {
        let (run, left) = try withDirectory { directory in
            try ProofProgram.run(
                under: .tcg, emulator: emulator, directory: directory, runner: SpawnRunner(), deadline: .seconds(30))
        }
        #expect(run == ProofRun(.exited(ProofProgram.passedStatus)))
        #expect(left.isEmpty)
    }

    @Test("a verdict on this node's KVM is reached within the deadline")
    func deadline() throws {
        let start = ContinuousClock.now
        let (proof, left) = try withDirectory { directory in
            try AcceleratorProof.prove(emulator: emulator, directory: directory, runner: SpawnRunner())
        }
        let took = ContinuousClock.now - start
        print("accelerator: \(proof.accelerator.rawValue) after \(took): \(proof.reason)")
        #expect(took < .seconds(15))
        #expect(left.isEmpty)
    }

    @Test(
        "the verdict is that of a stock kernel",
        .enabled(if: stockKernel != nil, "SLIPWAY_TEST_KERNEL names no kernel image"))
    func stockKernelAgrees() throws {
        let kernel = try #require(stockKernel)
        let (result, _) = try withDirectory { directory in
            let proof = try AcceleratorProof.prove(emulator: emulator, directory: directory, runner: SpawnRunner())
            return (proof, try boots(kernel, under: .kvm, directory: directory))
        }
        #expect((result.0.accelerator == .kvm) == result.1, "\(result.0.reason); kernel boots under KVM: \(result.1)")
    }

    @Test(
        "the stock kernel boots under TCG, so its failure under KVM would be KVM's",
        .enabled(if: stockKernel != nil, "SLIPWAY_TEST_KERNEL names no kernel image"))
    func stockKernelBoots() throws {
        let kernel = try #require(stockKernel)
        let (booted, _) = try withDirectory { try boots(kernel, under: .tcg, directory: $0) }
        #expect(booted)
    }
}

/// A Debian cloud kernel, or any other that has a serial console built in.
private let stockKernel = ProcessInfo.processInfo.environment["SLIPWAY_TEST_KERNEL"]

/// Whether a kernel gets as far as looking for its root, which it is not given: it panics, resets, and QEMU ends.
private func boots(_ kernel: String, under accelerator: AcceleratorName, directory: String) throws -> Bool {
    let run = try SpawnRunner().run(
        executable: emulator,
        arguments: [
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-machine", "q35,accel=\(accelerator.rawValue)", "-cpu", "max", "-m", "512",
            "-kernel", kernel, "-append", "console=ttyS0 panic=-1", "-serial", "file:\(directory)/console",
        ],
        deadline: .seconds(20))
    let console = String(decoding: try contents("\(directory)/console"), as: UTF8.self)
    return run.ending == .exited(0) && console.contains("Unable to mount root fs")
}

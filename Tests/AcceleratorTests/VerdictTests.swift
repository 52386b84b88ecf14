import Foundation
import Testing

@testable import Accelerator

@Suite("Accelerator: verdicts without a machine")
struct VerdictTests {
    @Test("QEMU's arguments")
    func arguments() {
        let line = """
            -name slipway-accelerator-proof -nodefaults -no-user-config -display none -no-reboot \
            -machine q35,accel=kvm -cpu max -m 16 -bios /run/p.rom -device isa-debug-exit,iobase=0xf4,iosize=0x04 \
            -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
            """
        #expect(ProofProgram.arguments(accelerator: .kvm, image: "/run/p.rom").joined(separator: " ") == line)
    }

    @Test("the image is 64 KiB and jumps at the reset vector")
    func image() {
        let image = ProofProgram.image
        #expect(image.count == 65536)
        #expect(image[65536 - 16] == 0xe9)
    }

    @Test("the bytes are what proof.S assembles to")
    func assembled() throws {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let source = tests.appending(path: "../../Sources/Accelerator/proof.S").path
        let (bytes, _) = try withDirectory { directory in
            let commands = [
                ["as", "--64", "-o", "\(directory)/o", source],
                [
                    "ld", "-m", "elf_x86_64", "-Ttext", "0x8000", "-e", "start", "-o", "\(directory)/e",
                    "\(directory)/o",
                ],
                ["objcopy", "-O", "binary", "-j", ".text", "\(directory)/e", "\(directory)/b"],
            ]
            for command in commands {
                let run = try SpawnRunner().run(
                    executable: command[0], arguments: Array(command.dropFirst()), deadline: .seconds(30))
                #expect(run.ending == .exited(0), "\(command): \(run.standardError)")
            }
            return try contents("\(directory)/b")
        }
        #expect(bytes == ProofProgram.code)
    }

    @Test(
        "every run has its sentence",
        arguments: [
            (ProofRun(.exited(85)), AcceleratorName.kvm, "ran under KVM"),
            (ProofRun(.exited(85), standardError: "x: warning: y\n"), .kvm, "ran under KVM"),
            (ProofRun(.exited(3)), .tcg, "fails under it at the step “long mode”"),
            (ProofRun(.exited(15)), .tcg, "fails under it at the step “user mode and back”"),
            (ProofRun(.exited(17)), .tcg, "QEMU ends with status 17"),
            (ProofRun(.exited(0)), .tcg, "triple fault"),
            (
                ProofRun(
                    .exited(1),
                    standardError: "q: warning: w\nCould not access KVM kernel module: Permission denied\nq: failed"),
                .tcg, "status 1 under it: Could not access KVM kernel module: Permission denied; it is usually root:kvm"
            ),
            (ProofRun(.signaled(31)), .tcg, "ended by signal 31"),
            (
                ProofRun(.deadlinePassed, standardError: "KVM internal error. Suberror: 1\nextra data[0]: 0x1\n"), .tcg,
                "does not end under it within 2.0 seconds: KVM internal error. Suberror: 1; a kernel would hang"
            ),
        ])
    func sentence(run: ProofRun, accelerator: AcceleratorName, part: String) {
        let proof = AcceleratorProof(KVMFinding(run, deadline: .seconds(2)))
        #expect(proof.accelerator == accelerator)
        #expect(proof.reason.contains(part), "\(proof.reason)")
    }

    @Test("a device that may not be opened is said with what helps")
    func permission() {
        let proof = AcceleratorProof(.notOpenable(device: "/dev/kvm", errno: EACCES))
        #expect(proof.accelerator == .tcg)
        #expect(proof.reason.contains("/dev/kvm cannot be opened: Permission denied; it is usually root:kvm"))
    }

    @Test("without a usable device nothing is started")
    func device() throws {
        let runner = FakeRunner(.success(ProofRun(.exited(85))))
        let absent = try AcceleratorProof.prove(
            emulator: "qemu", device: "/nowhere/kvm", directory: "/nowhere", runner: runner)
        #expect(absent == AcceleratorProof(.absent(device: "/nowhere/kvm")))
        let directory = try AcceleratorProof.prove(
            emulator: "qemu", device: "/tmp", directory: "/nowhere", runner: runner)
        #expect(directory == AcceleratorProof(.notOpenable(device: "/tmp", errno: EISDIR)))
        #expect(runner.executable == nil)
    }

    @Test("the runner gets the image, and the file is gone afterwards", arguments: [true, false])
    func file(starts: Bool) throws {
        let runner = FakeRunner(
            starts ? .success(ProofRun(.exited(85))) : .failure(SpawnError(executable: "qemu", code: ENOENT)))
        let (proof, left) = try withDirectory { directory in
            try? AcceleratorProof.prove(
                emulator: "/bin/qemu", device: "/dev/null", directory: directory, runner: runner)
        }
        #expect(proof?.accelerator == (starts ? .kvm : nil))
        #expect(runner.executable == "/bin/qemu")
        #expect(runner.image == ProofProgram.image)
        #expect(left.isEmpty, "\(left)")
    }

    @Test("an image that cannot be written is an error, not a verdict")
    func unwritable() {
        #expect(throws: ProofImageError.self) {
            try AcceleratorProof.prove(
                emulator: "qemu", device: "/dev/null", directory: "/nowhere",
                runner: FakeRunner(.success(ProofRun(.exited(85)))))
        }
    }

    @Test("a verdict is kept as JSON")
    func json() throws {
        let text = #"{"accelerator":"tcg","reason":"why"}"#
        let proof = try JSONDecoder().decode(AcceleratorProof.self, from: Data(text.utf8))
        #expect(proof == AcceleratorProof(accelerator: .tcg, reason: "why"))
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        #expect(String(decoding: try encoder.encode(proof), as: UTF8.self) == text)
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(AcceleratorProof.self, from: Data(#"{"accelerator":"hvf","reason":""}"#.utf8))
        }
    }
}

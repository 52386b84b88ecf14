import Configuration
import DiskImage
import GuestConfiguration
import Libvirt
import LinuxSystem
import MachinePlanning
import PodNetwork
import Sandbox
import StateDirectory
import SwitchSocket
import TestSupport
import Testing

@testable import LibvirtMachine

struct ClassifyTests {
    static let table: [(any Error, SandboxError.Code)] = [
        (SandboxError(.unimplemented, "x"), .unimplemented),
        (DiskImageError.none, .invalidArgument), (DiskImageError.several(["/a", "/b"]), .invalidArgument),
        (DiskImageError.system(SystemError("read", "/a", code: 28)), .resourceExhausted),
        (DiskImageError.system(SystemError("read", "/a", code: 5)), .internalError),
        (GuestConfigurationError.nul(field: "x"), .invalidArgument),
        (GuestConfigurationError.noImageProgram([]), .failedPrecondition),
        (GuestConfigurationError.imageProgram("/x", output: ""), .internalError),
        (GuestConfigurationError.system(SystemError("write", code: 28)), .resourceExhausted),
        (NetworkRefusal.tooManyLinks(link: "net9", found: 99, limit: 8), .failedPrecondition),
        (
            SwitchRefusal(
                interface: "x", socket: SwitchSocket("/s", listens: false), cause: SystemError("connect", code: 111)),
            .failedPrecondition
        ),
        (LibvirtError(operation: "x", code: 86, message: "x"), .unavailable),
        (LibvirtError(operation: "x", code: 42, message: "x"), .notFound),
        (LibvirtError(operation: "x", code: 1, message: "x"), .internalError),
        (PlanRefusal(field: "x", problem: "y"), .invalidArgument),
        (PlanRefusal(.exhausted, field: "x", problem: "y"), .resourceExhausted),
        (SystemError("open", code: 24), .resourceExhausted), (SystemError("open", code: 2), .internalError),
        (CancellationError(), .internalError),
    ]

    @Test func everyErrorHasItsClassAndKeepsItsSentence() {
        for (error, code) in Self.table {
            let classified = SandboxError(ofMachine: error)
            #expect(classified.code == code, "\(error)")
            #expect(classified.message == String(describing: error))
        }
    }

    @Test func allUserIdsTaken() throws {
        let root = try TemporaryDirectory()
        let owners = ["a", "b"].map { StateDirectory(root: root.path, namespace: "k8s.io", sandbox: $0) }
        for owner in owners { try File.makeDirectory(owner.path) }
        _ = try UserClaim.take(from: 70_000...70_000, for: owners[0], root: root.path)
        do {
            _ = try UserClaim.take(from: 70_000...70_000, for: owners[1], root: root.path)
            Issue.record("an id was given twice")
        } catch {
            #expect(SandboxError(ofMachine: error).code == .resourceExhausted, "\(error)")
        }
    }
}

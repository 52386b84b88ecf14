internal import Glibc

/// What was found out about this node's KVM.
public enum KVMFinding: Equatable, Sendable, CustomStringConvertible {
    /// There is no device node.
    case absent(device: String)
    /// The device node cannot be opened for reading and writing; the errno value.
    case notOpenable(device: String, errno: Int32)
    /// The proof program did not get to its end within this time.
    case failed(ProofRun, deadline: Duration)
    /// The proof program got to its end.
    case proven

    /// The finding from a run of `ProofProgram` under KVM.
    public init(_ run: ProofRun, deadline: Duration) {
        self = run.ending == .exited(ProofProgram.passedStatus) ? .proven : .failed(run, deadline: deadline)
    }

    /// One sentence: what was found, and what would help.
    public var description: String {
        switch self {
        case .absent(let device):
            "\(device) does not exist; load kvm_intel or kvm_amd, and turn virtualization on in the firmware, or nested "
                + "virtualization where this node is itself a machine"
        case .notOpenable(let device, let code):
            "\(device) cannot be opened: \(text(code))" + (code == EACCES || code == EPERM ? Self.permissionHint : "")
        case .failed(let run, let deadline):
            "/dev/kvm is there, but \(cause(run, deadline))"
        case .proven:
            "a program ran under KVM in 64-bit kernel and user mode, with paging and timer interrupts"
        }
    }

    private static let permissionHint = "; it is usually root:kvm with mode 0660, and QEMU's user in group kvm"

    private func cause(_ run: ProofRun, _ deadline: Duration) -> String {
        let said = run.complaint.map { ": \($0)" } ?? ""
        switch run.ending {
        case .exited(let status):
            if let step = ProofProgram.step(failedBy: status) {
                return "the proof program fails under it at the step “\(step)”\(said)"
            }
            if status == 0 { return "the proof program crashes under it (triple fault)\(said)" }
            let hint = said.contains("Permission denied") ? Self.permissionHint : ""
            return "QEMU ends with status \(status) under it\(said)\(hint)"
        case .signaled(let signal):
            return "QEMU is ended by signal \(signal) under it\(said)"
        case .deadlinePassed:
            return "the proof program does not end under it within \(deadline)\(said); a kernel would hang likewise, "
                + "which is usual where KVM has no VT-x or AMD-V under it"
        }
    }

    private func text(_ code: Int32) -> String {
        strerror(code).map { String(cString: $0) } ?? "errno \(code)"
    }
}

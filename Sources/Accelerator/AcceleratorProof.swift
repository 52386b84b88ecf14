/// What runs a machine's CPUs, by QEMU's word for it (`-accel`, qemu-system(1)).
public enum AcceleratorName: String, Codable, Equatable, Sendable, CaseIterable {
    /// Linux's KVM: the CPU itself runs the guest.
    case kvm
    /// QEMU's translator: works everywhere, many times slower.
    case tcg
}

/// What the setting `auto` means on this node, and why. It holds until the node is booted again, so it is worked out
/// once and kept as JSON.
public struct AcceleratorProof: Codable, Equatable, Sendable {
    /// The accelerator that machines get.
    public let accelerator: AcceleratorName
    /// One sentence for people: what was found, and for TCG what would help.
    public let reason: String

    /// A verdict that was reached elsewhere, for example by an administrator's setting.
    public init(accelerator: AcceleratorName, reason: String) {
        self.accelerator = accelerator
        self.reason = reason
    }

    /// The verdict on what was found. Only a proven KVM is used.
    public init(_ finding: KVMFinding) {
        self.init(accelerator: finding == .proven ? .kvm : .tcg, reason: finding.description)
    }
}

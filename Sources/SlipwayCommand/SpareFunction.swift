internal import HostFunction
internal import LinuxSystem
internal import MachinePlanning
internal import OCIRuntimeSpec
internal import PodNetwork
internal import StateDirectory

/// A PCI function that a device plugin has given to a pod and that no network of the pod's has yet.
struct SpareFunction: Equatable {
    /// In lower case, `0000:3b:02.1`.
    let address: String

    /// - Throws: `CommandFailure` that says what stands in the way.
    init(_ text: String, of entry: SandboxEntry, sysfs: String = "/sys") throws {
        func refuse(_ problem: String) -> CommandFailure { CommandFailure(.usage, "--device \(text): \(problem)") }
        guard let address = DeviceEnvironment.addresses(["PCIDEVICE_=\(text)"]).first, !text.contains(",") else {
            throw refuse("a PCI address such as 0000:3b:02.1 is accepted")
        }
        let given = DeviceEnvironment.addresses(entry.record.machineSpecification?.process?.env ?? [])
        guard given.contains(address) else {
            throw refuse(
                "is none of the PCI functions that the pod was given (PCIDEVICE_…): "
                    + (given.isEmpty ? "there are none" : given.joined(separator: ", ")))
        }
        for other in SandboxEntry.all(root: entry.root) where other.plan?.passes(address) == true {
            throw refuse("the guest of pod \(other.pod) has it")
        }
        guard let function = try? HostFunction(address, link: nil, sysfs: sysfs) else {
            throw refuse("is not on this node")
        }
        guard !function.isFree else {
            throw refuse(
                "is bound to \(HostFunction.vfio), and a network wants the link that a driver of the host gives it")
        }
        guard !HostFunction.nodeLinks(address, sysfs: sysfs).isEmpty else {
            throw refuse("has no link in the node's network namespace; it may be in a pod's already")
        }
        self.address = address
    }
}

extension MachinePlan {
    /// Whether the guest drives a function of the host.
    fileprivate func passes(_ address: String) -> Bool {
        devices.contains { $0.address == address } || nics.contains { $0.backend.function == address }
    }
}

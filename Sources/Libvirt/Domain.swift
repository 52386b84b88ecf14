import CLibvirt
import Glibc

/// A domain; owns one reference and keeps its connection open. Calls block.
public final class Domain: @unchecked Sendable {
    // Unchecked: virDomainPtr is thread-safe.
    let pointer: virDomainPtr
    let connection: Connection

    init(_ pointer: virDomainPtr, of connection: Connection) {
        self.pointer = pointer
        self.connection = connection
    }

    deinit { lv_virDomainFree(pointer) }

    /// The live XML.
    public func xml() throws(LibvirtError) -> String {
        guard let text = lv_virDomainGetXMLDesc(pointer, 0) else { throw .last("virDomainGetXMLDesc") }
        defer { free(text) }
        return String(cString: text)
    }

    /// Starts QEMU with its vCPUs stopped. QEMU inherits the calling thread's cgroups and namespaces.
    public func startPaused() throws(LibvirtError) {
        let flags = UInt32(VIR_DOMAIN_START_PAUSED.rawValue)
        try checked(lv_virDomainCreateWithFlags(pointer, flags), "virDomainCreateWithFlags")
    }

    /// Forgets the definition of a domain that has ended.
    public func undefine() throws(LibvirtError) {
        try checked(lv_virDomainUndefineFlags(pointer, 0), "virDomainUndefineFlags")
    }

    /// Stops the vCPUs.
    public func suspend() throws(LibvirtError) { try checked(lv_virDomainSuspend(pointer), "virDomainSuspend") }

    /// Lets the vCPUs run.
    public func resume() throws(LibvirtError) { try checked(lv_virDomainResume(pointer), "virDomainResume") }

    /// Presses the ACPI power button.
    public func pressPowerButton() throws(LibvirtError) {
        let flags = UInt32(VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN.rawValue)
        try checked(lv_virDomainShutdownFlags(pointer, flags), "virDomainShutdownFlags")
    }

    /// Ends the domain at once. A domain that is gone already is fine.
    public func destroy() throws(LibvirtError) {
        do {
            try checked(lv_virDomainDestroyFlags(pointer, 0), "virDomainDestroyFlags")
        } catch {
            let gone = error.isNoDomain || error.code == Int32(VIR_ERR_OPERATION_INVALID.rawValue)
            if !gone { throw error }
        }
    }

    /// Sends one command to the guest agent and returns its JSON reply.
    ///
    /// - Parameter seconds: how long the agent may take.
    /// - Throws: a ``LibvirtError`` whose `isAgentUnavailable` is true when no agent answers.
    public func agentCommand(_ json: String, seconds: Int32) throws(LibvirtError) -> String {
        guard let reply = lv_virDomainQemuAgentCommand(pointer, json, seconds, 0) else {
            throw .last("virDomainQemuAgentCommand")
        }
        defer { free(reply) }
        return String(cString: reply)
    }

    /// Calls `handler` on libvirt's event thread for every lifecycle event until the returned value is released.
    public func onLifecycle(_ handler: @escaping @Sendable (LifecycleEvent) -> Void) throws(LibvirtError)
        -> Subscription
    {
        try Subscription(self, of: connection, lifecycle: handler)
    }
}

import CLibvirt
import Glibc
public import LinuxSystem

/// An open connection. Calls block; keep them off the cooperative pool. libvirt's own locking makes it safe to share.
public final class Connection: @unchecked Sendable {
    // Unchecked: virConnectPtr is thread-safe (libvirt's "Threading" documentation).
    let pointer: virConnectPtr

    /// Opens a connection, for example `qemu:///embed?root=/run/…`. Loads the library first.
    public init(_ uri: String) throws(LibvirtError) {
        try Library.load()
        guard let pointer = lv_virConnectOpen(uri) else { throw .last("virConnectOpen") }
        self.pointer = pointer
    }

    deinit { lv_virConnectClose(pointer) }

    /// The hypervisor's version as major × 1,000,000 + minor × 1,000 + release.
    public func hypervisorVersion() throws(LibvirtError) -> UInt {
        var version: UInt = 0
        try checked(lv_virConnectGetVersion(pointer, &version), "virConnectGetVersion")
        return version
    }

    /// What the hypervisor offers for a guest, as XML. libvirt probes the emulator for it if its cache does not fit.
    public func domainCapabilities(
        emulator: String, architecture: String, machine: String, type: String
    ) throws(LibvirtError) -> String {
        guard let text = lv_virConnectGetDomainCapabilities(pointer, emulator, architecture, machine, type, 0) else {
            throw .last("virConnectGetDomainCapabilities")
        }
        defer { free(text) }
        return String(cString: text)
    }

    /// Defines a domain, which ``Domain/startPaused()`` then starts.
    ///
    /// - Parameter descriptors: open files by the `fdgroup` name under which the XML refers to them; libvirt
    ///   duplicates them (`virDomainFDAssociate`, since libvirt 9.0.0).
    public func define(_ xml: String, descriptors: [String: FileDescriptor] = [:]) throws(LibvirtError) -> Domain {
        guard let pointer = lv_virDomainDefineXMLFlags(pointer, xml, 0) else { throw .last("virDomainDefineXMLFlags") }
        let domain = Domain(pointer, of: self)
        for (group, descriptor) in descriptors {
            var number = descriptor.raw
            let result = lv_virDomainFDAssociate(pointer, group, 1, &number, 0)
            withExtendedLifetime(descriptor) {}
            try checked(result, "virDomainFDAssociate")
        }
        return domain
    }

    /// Looks up a domain.
    ///
    /// - Throws: a ``LibvirtError`` whose `isNoDomain` is true when there is none.
    public func domain(named name: String) throws(LibvirtError) -> Domain {
        guard let domain = lv_virDomainLookupByName(pointer, name) else { throw .last("virDomainLookupByName") }
        return Domain(domain, of: self)
    }
}

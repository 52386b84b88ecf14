public import LinuxSystem

// A function that the guest drives has no link in the pod's namespace that anybody could take away: who wants it back asks
// the sandbox for it so. The sandbox watches the directory, has the guest let go, and brings the link back; the request
// stays, so that it is not the guest's again, until the network's plugins have taken the link.
extension StateDirectory {
    /// The interfaces whose functions shall leave the guest, or stay out of it.
    public var releasedInterfaces: Set<String> {
        let names = (try? File.list(released)) ?? []
        return Set(names.filter { $0.hasSuffix(Self.suffix) }.map { String($0.dropLast(Self.suffix.count)) })
    }

    /// Asks for a function.
    ///
    /// - Parameter interface: a link's name.
    /// - Throws: `SystemError`.
    public func release(_ interface: String) throws(SystemError) {
        try File.makeDirectory(released)
        try File.replace(request(interface), with: [])
    }

    /// Takes the request back; none is fine.
    public func keep(_ interface: String) throws(SystemError) {
        try File.remove(request(interface))
    }

    private static let suffix = ".request"
    private func request(_ interface: String) -> String { "\(released)/\(interface)\(Self.suffix)" }
}

import Glibc
import LinuxSystem

/// The attachments of a pod that were made by hand, each a file in a directory of the pod's.
///
/// The file is written before the first plugin is called and removed after the last one is done, so that whoever knows
/// the directory can take back what was begun. One process at a time has an interface in its hands. Everything blocks.
public struct Attachments: Sendable {
    private let directory: String

    /// Attachments in a directory, which is made when it is needed.
    public init(directory: String) { self.directory = directory }

    /// How long an attach or detach by hand waits for another one of the same interface, in milliseconds.
    public static let patience: Int64 = 5_000

    /// The interfaces that there are records of, by name.
    public var interfaces: [String] {
        ((try? File.list(directory)) ?? []).filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }
    }

    /// Reads the record of an interface; nil when there is none.
    ///
    /// - Throws: `CNIError.unreadable`, `.system`.
    public func read(_ interface: String) throws(CNIError) -> Attachment? {
        guard PluginArguments.isLinkName(interface) else { return nil }
        let file = file(interface)
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try File.read(file, limit: Attachment.sizeLimit)
        } catch {
            if error.code == ENOENT { return nil }
            throw .system(error)
        }
        return try Attachment(parsing: bytes, file: file)
    }

    /// Attaches: writes the record, calls the plugins, writes what they made.
    ///
    /// After a failure the record is gone, unless something of the attachment is left on the node.
    ///
    /// - Throws: `CNIError.attachment` when there is a record already; what ``PluginRunner/add(_:_:)`` throws.
    public func attach(
        _ network: NetworkConfiguration, _ arguments: PluginArguments, by runner: PluginRunner
    ) throws(CNIError) -> Attachment {
        try arguments.check()
        let interface = arguments.interface
        let lock = try lock(interface, deadline: Clock.milliseconds + Self.patience)
        defer { lock.close() }
        if let other = try read(interface) {
            throw .attachment(
                interface: interface,
                problem: "is attached to \(other.network.name) already; detach it first, or choose another name")
        }
        var attachment = Attachment(network: network, arguments: arguments, path: runner.path, phase: .adding)
        try write(attachment)
        do throws(CNIError) {
            attachment.phase = .added(try runner.add(network, arguments))
        } catch {
            if case .notAdded(_, let left) = error, !left.isEmpty {
                attachment.phase = .failed(error.description)
                try? write(attachment)
            } else {
                try? File.remove(file(interface))
            }
            // There is no device, whatever else is left.
            try? removeInformation(arguments)
            throw error
        }
        do throws(CNIError) {
            // A pod that has ended meanwhile has taken its directory along, and nobody else would delete this.
            guard File.exists(file(interface)) else {
                throw .attachment(interface: interface, problem: "the pod ended while it was attached")
            }
            try write(attachment)
        } catch {
            try? runner.delete(network, arguments, result: attachment.result, halting: false)
            try? removeInformation(arguments)
            throw error
        }
        return attachment
    }

    /// Detaches: calls the plugins, removes the record. After a failure the record stays, for another try.
    ///
    /// - Parameters:
    ///   - namespace: the pod's network namespace; nil when it is gone.
    ///   - deadline: on `Clock`'s milliseconds, when it has to be done; nil: patience, and the runner's times.
    ///   - halting: see ``PluginRunner/delete(_:_:result:halting:)``.
    ///   - milliseconds: how long each plugin may take.
    /// - Throws: `CNIError.attachment` when there is no record; what the plugins' DEL throws.
    public func detach(
        _ interface: String, namespace: String?, milliseconds: Int64 = 30_000, deadline: Int64? = nil,
        halting: Bool = true
    ) throws(CNIError) {
        let lock = try lock(interface, deadline: deadline ?? Clock.milliseconds + Self.patience)
        defer { lock.close() }
        guard var attachment = try read(interface) else { throw missing(interface) }
        attachment.arguments.namespace = namespace
        let runner = PluginRunner(path: attachment.path, milliseconds: milliseconds, deadline: deadline)
        try runner.delete(attachment.network, attachment.arguments, result: attachment.result, halting: halting)
        do throws(SystemError) {
            try removeInformation(attachment.arguments)
            try File.remove(file(interface))
        } catch {
            throw .system(error)
        }
    }

    /// Plugins may leave what they wrote about their device to whoever named the file, as Multus removes it.
    private func removeInformation(_ arguments: PluginArguments) throws(SystemError) {
        guard let file = arguments.deviceInformation else { return }
        try File.remove(file)
    }

    /// CHECK of one attachment.
    ///
    /// - Throws: `CNIError.attachment` when there is no record or ADD did not come to its end; what
    ///   ``PluginRunner/check(_:_:result:)`` throws.
    public func check(_ interface: String, namespace: String?, milliseconds: Int64 = 30_000) throws(CNIError) {
        let lock = try lock(interface, deadline: Clock.milliseconds + Self.patience)
        defer { lock.close() }
        guard var attachment = try read(interface) else { throw missing(interface) }
        guard let result = attachment.result else {
            throw .attachment(
                interface: interface, problem: "its ADD did not come to its end; detach it and attach it again")
        }
        attachment.arguments.namespace = namespace
        let runner = PluginRunner(path: attachment.path, milliseconds: milliseconds)
        try runner.check(attachment.network, attachment.arguments, result: result)
    }

    private func missing(_ interface: String) -> CNIError {
        let others = interfaces
        return .attachment(
            interface: CNIText.printable(interface, limit: 15),
            problem: "was not attached by hand"
                + (others.isEmpty ? ", nor is any other" : "; \(others.joined(separator: ", ")) was"))
    }

    private func file(_ interface: String) -> String { "\(directory)/\(interface).json" }

    private func write(_ attachment: Attachment) throws(CNIError) {
        do throws(SystemError) {
            try File.replace(file(attachment.arguments.interface), with: Array(attachment.json.text.utf8))
        } catch {
            throw .system(error)
        }
    }

    /// Free again when its holder ends in whatever way. The file stays, since another process may be waiting for it.
    private func lock(_ interface: String, deadline: Int64) throws(CNIError) -> FileDescriptor {
        guard PluginArguments.isLinkName(interface) else { throw missing(interface) }
        let path = "\(directory)/\(interface).lock"
        do throws(SystemError) {
            try File.makeDirectory(directory)
            let file = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
            while flock(file.raw, LOCK_EX | LOCK_NB) != 0 {
                guard errno == EWOULDBLOCK || errno == EINTR else { throw SystemError.last("flock", path) }
                guard Clock.milliseconds < deadline else { throw SystemError("flock", path, code: EBUSY) }
                _ = poll(nil, 0, 5)
            }
            return file
        } catch {
            guard error.code != EBUSY else {
                throw .attachment(
                    interface: interface, problem: "another process is attaching or detaching it at this moment")
            }
            throw .system(error)
        }
    }
}

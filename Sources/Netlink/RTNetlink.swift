import CLinux
import Glibc
public import LinuxSystem

/// The kernel's links, addresses, routes, neighbours and traffic control of one network namespace (rtnetlink(7)).
///
/// Every verb blocks for the time that the kernel takes and throws a `SystemError` that names the verb, what it was
/// applied to, and what the kernel said beyond the errno.
public struct RTNetlink: Sendable {
    private let channel: any NetlinkChannel

    /// Speaks through a given channel.
    public init(_ channel: any NetlinkChannel) {
        self.channel = channel
    }

    /// Speaks to the calling thread's network namespace.
    public init() throws(SystemError) {
        self.init(try NetlinkSocket())
    }

    /// Sends a request and returns its answers without the acknowledgement.
    func perform(
        _ request: MessageBuilder, _ operation: String, _ subject: String = ""
    ) throws(SystemError) -> [NetlinkMessage] {
        var messages = try channel.send(request.message)
        guard let last = messages.popLast(), last.isLast else {
            throw SystemError(operation, subject, code: EBADMSG)
        }
        if let (code, explanation) = last.failure {
            throw SystemError(operation, explanation.map { "\(subject) (\($0))" } ?? subject, code: code)
        }
        return messages
    }

    /// Lists objects. The kernel marks a list during which something changed; it is read again then.
    func dump(_ request: MessageBuilder, _ operation: String) throws(SystemError) -> [NetlinkMessage] {
        for _ in 0..<8 {
            let messages = try perform(request, operation)
            if messages.allSatisfy({ $0.flags & NLM_F_DUMP_INTR == 0 }) { return messages }
        }
        throw SystemError(operation, code: EAGAIN)
    }

    /// A link's name fits IFNAMSIZ with its terminating zero, and is not empty.
    func checkName(_ name: String, _ operation: String) throws(SystemError) {
        guard (1...15).contains(name.utf8.count) else { throw SystemError(operation, name, code: EINVAL) }
    }
}

public import LinuxSystem

/// The way to the kernel: a socket, or a fake that replays answers.
public protocol NetlinkChannel: Sendable {
    /// Sends one request, whose flags ask for an acknowledgement or a dump, and returns everything that answers it, the
    /// final NLMSG_ERROR or NLMSG_DONE included. A failure that the kernel reports is an answer, not an error here.
    func send(_ request: [UInt8]) throws(SystemError) -> [NetlinkMessage]
}

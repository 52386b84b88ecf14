import Glibc
public import LinuxSystem

/// A vhost-user switch that a NIC cannot have.
public struct SwitchRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// The NIC's interface in the pod.
    public let interface: String
    /// Where the switch was looked for.
    public let socket: SwitchSocket
    /// What came of it.
    public let cause: SystemError

    /// A refusal of what ``SwitchSocket/grant(to:)`` or ``SwitchSocket/probe(as:group:milliseconds:)`` has thrown.
    public init(interface: String, socket: SwitchSocket, cause: SystemError) {
        self.interface = interface
        self.socket = socket
        self.cause = cause
    }

    /// A sentence that names the interface and the socket, what was found and what would help.
    public var description: String {
        "interface \(interface): the vhost-user socket \(socket.path) \(problem)"
    }

    private var problem: String {
        switch cause.code {
        case ENOENT where socket.listens, ENOTDIR where socket.listens:
            "is to be made in a directory that is not there; make the directory, or name another in the device information"
        case ENOENT, ENOTDIR:
            "is not there; start the switch, which makes it, or write \"mode\": \"server\" into the device information if "
                + "QEMU shall make it"
        case ECONNREFUSED: "has nobody who listens; start the switch that has made it"
        case ETIMEDOUT where !socket.listens:
            "has a switch behind it that takes no more connections; look at the switch's log, and start it anew"
        case ETIME:
            "has a switch behind it that does not answer; look at the switch's log, and start it anew"
        case ECONNRESET:
            "has a switch behind it that hangs up; look at the switch's log, and whether another machine has this port"
        case EPROTO:
            "has somebody behind it who does not speak vhost-user; name the socket of a switch's port in the device "
                + "information"
        case ETIMEDOUT:
            "was offered, and no switch has connected to it in time; start the switch, with a port that connects to this "
                + "path (Open vSwitch: type=dpdkvhostuserclient, options:vhost-server-path)"
        case EACCES:
            "is out of reach of QEMU's user; let others search the directories above it (chmod o+x)"
        case ELOOP:
            "is behind a symbolic link, which is not followed; name it by its own path in the device information"
        case ENOTSOCK: "is no socket; name the switch's socket in the device information"
        case EADDRINUSE: "is to be made where another file is; remove that, or name another path"
        case ENOTSUP:
            "is in a file system without access control lists, by which QEMU's user is let in; keep it in a tmpfs, ext4 or "
                + "xfs"
        default: "cannot be used: \(cause)"
        }
    }
}

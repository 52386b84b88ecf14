public import LinuxSystem

/// What can go wrong around CNI. Every description is a sentence that names its object.
public enum CNIError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A configuration that cannot be used: which, the field as a path from its root, what was found and is accepted.
    case configuration(source: String, field: String, problem: String)
    /// No configuration of that name.
    ///
    /// - Parameter others: the names that there are, and what could not be read.
    case noNetwork(name: String, directory: String, others: [String])
    /// A name or value for the plugins' environment that cannot be used.
    case argument(name: String, found: String, accepted: String)
    /// A plugin failed at ADD.
    ///
    /// - Parameter left: what failed when what had been done was deleted again; empty: nothing is left.
    case notAdded(PluginFailure, left: [PluginFailure])
    /// Plugins failed at DEL; at least one.
    case notDeleted([PluginFailure])
    /// A plugin found the attachment not as it made it.
    case notAsMade(PluginFailure)
    /// The configuration's version knows no CHECK.
    case cannotCheck(network: String, version: CNIVersion)
    /// A stored result or record that cannot be read.
    case unreadable(path: String, problem: String)
    /// An attachment by hand that is there already, or that is not there, or that is in other hands.
    case attachment(interface: String, problem: String)
    /// The system refused.
    case system(SystemError)

    /// The sentence for people.
    public var description: String {
        switch self {
        case .configuration(let source, let field, let problem):
            field.isEmpty ? "\(source): \(problem)" : "\(source): \(field): \(problem)"
        case .noNetwork(let name, let directory, let others):
            "no network \"\(name)\" in \(directory)"
                + (others.isEmpty ? ", nor any other" : "; there are \(others.joined(separator: ", "))")
        case .argument(let name, let found, let accepted):
            "\(name): \"\(CNIText.printable(found))\" was found, \(accepted) is accepted"
        case .notAdded(let failure, let left):
            left.isEmpty
                ? failure.description
                : "\(failure); and what had been done is not undone: "
                    + left.map(\.description).joined(separator: "; ")
        case .notDeleted(let failures): failures.map(\.description).joined(separator: "; ")
        case .notAsMade(let failure): failure.description
        case .cannotCheck(let network, let version):
            "network \(network): its cniVersion is \(version.rawValue); CHECK is known from 0.4.0 on"
        case .unreadable(let path, let problem): "\(path): \(problem)"
        case .attachment(let interface, let problem): "\(interface): \(problem)"
        case .system(let error): error.description
        }
    }
}

/// A plugin that did not do what it was called for.
public struct PluginFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// What a plugin is asked to do (`CNI_COMMAND`).
    public enum Command: String, Equatable, Sendable {
        /// Make the attachment.
        case add = "ADD"
        /// Say whether it is as it was made.
        case check = "CHECK"
        /// Remove it.
        case delete = "DEL"
    }

    /// In what way it failed.
    public enum Reason: Equatable, Sendable {
        /// No directory has an executable file of its name.
        case missing(path: [String])
        /// It could not be started.
        case notStarted(SystemError)
        /// It printed an error object (specification, section 5).
        case refused(code: Int64, message: String, details: String)
        /// It ended without one, with this status.
        case ended(Process.Status)
        /// It had not ended in time and was killed.
        case timedOut(milliseconds: Int64)
        /// It printed more than is read, and was killed.
        case tooMuchOutput(limit: Int)
        /// It said that all is well, but what it printed is no result.
        case noResult(String)
    }

    /// The plugin's name: `type` of its configuration.
    public let plugin: String
    /// What it was asked to do.
    public let command: Command
    /// The network and the interface.
    public let subject: String
    /// In what way it failed.
    public let reason: Reason
    /// The end of what it wrote to standard error, printable and in one line; empty when it wrote nothing.
    public let said: String

    /// `plugin bridge, ADD of net1 (lan): …`.
    public var description: String {
        "plugin \(CNIText.printable(plugin)), \(command.rawValue) of \(subject): \(problem)"
            + (said.isEmpty ? "" : "; it said: \(said)")
    }

    private var problem: String {
        switch reason {
        case .missing(let path):
            "there is no executable file of this name in \(path.joined(separator: " or ")); "
                + "install it, or name its directory"
        case .notStarted(let error): "it cannot be started: \(error)"
        case .refused(let code, let message, let details):
            (message.isEmpty ? "it refused without a reason" : message)
                + (details.isEmpty ? "" : "; \(details)") + " (code \(code))"
        case .ended(.exited(let status)): "it ended with status \(status) and printed no reason"
        case .ended(.signaled(let signal)): "it was ended by signal \(signal)"
        case .timedOut(let milliseconds): "it had not ended after \(milliseconds) ms and was killed"
        case .tooMuchOutput(let limit): "it printed more than \(limit) bytes and was killed"
        case .noResult(let problem): "it reported success, but its result cannot be read: \(problem)"
        }
    }
}

enum CNIText {
    /// Text of others for a message: one line of printable characters, cut where it is long.
    static func printable(_ text: String, limit: Int = 1024) -> String {
        var out = ""
        var count = 0
        var blank = false
        for scalar in text.unicodeScalars {
            guard count < limit else { return out + "…" }
            if isShown(scalar) {
                if blank && !out.isEmpty { out += " " }
                blank = false
                out.unicodeScalars.append(scalar)
                count += 1
            } else {
                blank = true
            }
        }
        return out
    }

    /// Not blanks, control characters, marks of writing direction and the like, which would change what people see.
    private static func isShown(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            false
        default: true
        }
    }
}

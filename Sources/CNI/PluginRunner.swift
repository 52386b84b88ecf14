import Glibc
import LinuxSystem

/// Calls the plugins of a network as libcni does (CNI specification, sections 2 and 3).
///
/// Plugins run in the namespaces of the caller, which have to be the node's. Everything blocks, on one thread, with
/// whose end a running plugin ends too.
public struct PluginRunner: Equatable, Sendable {
    /// Where plugins are: the usual directory, and Debian's.
    public static let defaultPath = ["/opt/cni/bin", "/usr/lib/cni"]

    /// Directories that plugins are looked for in (`CNI_PATH`).
    public var path: [String]
    /// How long each plugin may take.
    public var milliseconds: Int64
    /// When everything has to have ended, on `Clock`'s milliseconds; nil: the sum of what the plugins take.
    public var deadline: Int64?

    /// A runner for these directories.
    public init(path: [String] = PluginRunner.defaultPath, milliseconds: Int64 = 30_000, deadline: Int64? = nil) {
        self.path = path
        self.milliseconds = milliseconds
        self.deadline = deadline
    }

    /// ADD: each plugin in order with the result of those before it. When one fails, what has been done is deleted.
    ///
    /// - Returns: the result of the last plugin.
    /// - Throws: `CNIError.notAdded`, or `.argument` before anything was called.
    public func add(_ network: NetworkConfiguration, _ arguments: PluginArguments) throws(CNIError) -> CNIResult {
        try arguments.check()
        var result: CNIResult?
        var called = 0
        do throws(PluginFailure) {
            // A missing one is found before the first is called.
            for plugin in network.plugins { _ = try executable(plugin, .add, Self.subject(network, arguments)) }
            for plugin in network.plugins {
                called += 1
                result = try call(.add, plugin, of: network, arguments, previous: result)
            }
        } catch {
            // The failed one too: it may have left a part of its work.
            let left = delete(network.plugins.prefix(called), of: network, arguments, nil, halting: false)
            throw .notAdded(error, left: left)
        }
        return result ?? CNIResult()
    }

    /// CHECK: asks each plugin whether the attachment is as it made it. Nothing is asked where the configuration says
    /// so (`disableCheck`).
    ///
    /// - Parameter result: what ADD returned.
    /// - Throws: `CNIError.notAsMade`, `.cannotCheck`.
    public func check(
        _ network: NetworkConfiguration, _ arguments: PluginArguments, result: CNIResult
    ) throws(CNIError) {
        try arguments.check()
        guard network.version >= .v0_4_0 else {
            throw .cannotCheck(network: network.name, version: network.version)
        }
        if network.disablesCheck { return }
        for plugin in network.plugins {
            do throws(PluginFailure) {
                try call(.check, plugin, of: network, arguments, previous: result)
            } catch {
                throw .notAsMade(error)
            }
        }
    }

    /// DEL: the plugins in reverse order.
    ///
    /// - Parameters:
    ///   - result: what ADD returned; nil where it did not come to its end.
    ///   - halting: a failure ends it, as the specification wants for callers that try again later. Otherwise the rest
    ///     is called all the same, so that one plugin's failure does not keep what another has reserved.
    /// - Throws: `CNIError.notDeleted`, or `.argument` before anything was called.
    public func delete(
        _ network: NetworkConfiguration, _ arguments: PluginArguments, result: CNIResult?, halting: Bool = true
    ) throws(CNIError) {
        try arguments.check()
        let failures = delete(network.plugins[...], of: network, arguments, result, halting: halting)
        guard failures.isEmpty else { throw .notDeleted(failures) }
    }

    private func delete(
        _ plugins: ArraySlice<NetworkConfiguration.Plugin>, of network: NetworkConfiguration,
        _ arguments: PluginArguments, _ result: CNIResult?, halting: Bool
    ) -> [PluginFailure] {
        var failures: [PluginFailure] = []
        for plugin in plugins.reversed() {
            do throws(PluginFailure) {
                // 0.3.1 knows no prevResult of DEL.
                let previous = network.version >= .v0_4_0 ? result : nil
                try call(.delete, plugin, of: network, arguments, previous: previous)
            } catch {
                failures.append(error)
                if halting { break }
            }
        }
        return failures
    }

    private static func subject(_ network: NetworkConfiguration, _ arguments: PluginArguments) -> String {
        "\(CNIText.printable(arguments.interface)) (\(network.name))"
    }

    private func executable(
        _ plugin: NetworkConfiguration.Plugin, _ command: PluginFailure.Command, _ subject: String
    ) throws(PluginFailure) -> String {
        for directory in path {
            let file = "\(directory)/\(plugin.type)"
            var information = stat()
            if stat(file, &information) == 0, information.st_mode & S_IFMT == S_IFREG, access(file, X_OK) == 0 {
                return file
            }
        }
        throw PluginFailure(
            plugin: plugin.type, command: command, subject: subject, reason: .missing(path: path), said: "")
    }

    @discardableResult
    private func call(
        _ command: PluginFailure.Command, _ plugin: NetworkConfiguration.Plugin, of network: NetworkConfiguration,
        _ arguments: PluginArguments, previous: CNIResult?
    ) throws(PluginFailure) -> CNIResult? {
        let subject = Self.subject(network, arguments)
        let call = PluginCall(
            executable: try executable(plugin, command, subject),
            environment: arguments.environment(command, path: path),
            input: network.input(for: plugin, previous: previous, capabilities: arguments.capabilities))
        let now = Clock.milliseconds
        let end = min(now + milliseconds, deadline ?? .max)
        let outcome = call.run(deadline: end, milliseconds: max(0, end - now))
        func failure(_ reason: PluginFailure.Reason) -> PluginFailure {
            PluginFailure(
                plugin: plugin.type, command: command, subject: subject, reason: reason,
                said: CNIText.printable(String(decoding: outcome.words, as: UTF8.self)))
        }
        switch outcome.end {
        case .failure(let reason): throw failure(reason)
        case .success((let output, let status)):
            if let refusal = Self.refusal(output, status) { throw failure(refusal) }
            guard status == .exited(0) else { throw failure(.ended(status)) }
            guard command == .add else { return nil }
            do throws(ResultError) {
                return try CNIResult(parsing: output, version: network.version.rawValue)
            } catch {
                throw failure(.noResult(error.description))
            }
        }
    }

    /// The error object in what a plugin printed, whatever its status says.
    private static func refusal(_ output: [UInt8], _ status: Process.Status) -> PluginFailure.Reason? {
        guard let members = (try? JSONValue(parsing: output))?.object, let code = members["code"]?.integer else {
            return nil
        }
        // A result has no code, and an error is none of 0.
        if status == .exited(0), code == 0 || members["msg"] == nil { return nil }
        return .refused(
            code: code, message: CNIText.printable(members["msg"]?.string ?? ""),
            details: CNIText.printable(members["details"]?.string ?? ""))
    }
}

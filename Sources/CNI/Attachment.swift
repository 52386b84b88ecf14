import LinuxSystem

/// An attachment that was made by hand: everything that is needed to delete it again.
public struct Attachment: Equatable, Sendable {
    /// The network.
    public var network: NetworkConfiguration
    /// What the plugins were told; the namespace's path is whoever deletes it to find.
    public var arguments: PluginArguments
    /// Where the plugins are.
    public var path: [String]
    /// How far it is.
    public var phase: Phase

    /// How far an attachment is.
    public enum Phase: Equatable, Sendable {
        /// ADD was about to be called, and may have done a part of its work.
        case adding
        /// ADD came to its end.
        case added(CNIResult)
        /// ADD or DEL failed and left something; the reason.
        case failed(String)
    }

    /// The result of ADD, if it came to its end.
    public var result: CNIResult? { if case .added(let result) = phase { result } else { nil } }
}

extension Attachment {
    /// Largest record that is read: a configuration and a result of the largest size.
    static let sizeLimit = 4 << 20

    /// The record's text.
    var json: JSONValue {
        var members: [String: JSONValue] = [
            "version": .number(1),
            "network": network.json,
            "container": .string(arguments.container),
            "interface": .string(arguments.interface),
            "arguments": .array(arguments.values.map { .array([.string($0.key), .string($0.value)]) }),
            "capabilities": .object(arguments.capabilities),
            "path": .array(path.map(JSONValue.string)),
        ]
        switch phase {
        case .adding: members["phase"] = .string("adding")
        case .added(let result):
            members["phase"] = .string("added")
            members["result"] = result.json(CNIVersion.allCases.last ?? .v1_1_0)
        case .failed(let reason):
            members["phase"] = .string("failed")
            members["reason"] = .string(reason)
        }
        return .object(members)
    }

    /// Reads a record.
    ///
    /// - Throws: `CNIError.unreadable`.
    init(parsing bytes: [UInt8], file: String) throws(CNIError) {
        func refuse(_ problem: String) -> CNIError { .unreadable(path: file, problem: problem) }
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: bytes)
        } catch {
            throw refuse("is no JSON: \(error)")
        }
        guard let members = value.object, members["version"]?.integer == 1 else {
            throw refuse("is no record of version 1; the Slipway that wrote it understands it")
        }
        guard let container = members["container"]?.string, let interface = members["interface"]?.string,
            let network = members["network"]
        else { throw refuse("names no container, interface or network") }
        var arguments = PluginArguments(container: container, namespace: nil, interface: interface)
        for word in members["arguments"]?.array ?? [] {
            guard let pair = word.array, pair.count == 2, let key = pair[0].string, let text = pair[1].string else {
                throw refuse("arguments: pairs of strings are accepted")
            }
            arguments.values.append(PluginArguments.Value(key, text))
        }
        arguments.capabilities = members["capabilities"]?.object ?? [:]
        self.init(
            network: try NetworkConfiguration(network, source: file), arguments: arguments,
            path: (members["path"]?.array ?? []).compactMap(\.string), phase: .adding)
        switch members["phase"]?.string {
        case "added":
            do throws(ResultError) {
                phase = .added(try CNIResult(members["result"] ?? .null))
            } catch {
                throw refuse("result: \(error)")
            }
        case "failed": phase = .failed(members["reason"]?.string ?? "")
        default: break
        }
    }
}

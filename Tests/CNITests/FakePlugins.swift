import CNI
import Glibc
import LinuxSystem
import TestSupport

/// A directory of plugins that are scripts of the test, and a note of each call.
final class FakePlugins: Sendable {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    var path: String { directory.path }

    /// A plugin that notes what it was given and then runs `body`, in which `$CNI_COMMAND` says what is asked.
    func add(_ name: String, _ body: String) throws {
        try directory.write(
            name,
            """
            #!/bin/sh
            # Written at once: several may run at the same time.
            call=$(for v in COMMAND CONTAINERID NETNS IFNAME ARGS PATH; do eval "echo CNI_$v=\\$CNI_$v"; done; cat)
            printf '%s\\n' "$call" >>\(directory.path)/calls
            \(body)
            """, mode: 0o755)
    }

    /// A plugin that prints a result at ADD and nothing otherwise.
    func add(_ name: String, result: String) throws {
        try add(name, "[ $CNI_COMMAND != ADD ] || cat <<'END'\n\(result)\nEND")
    }

    /// Everything that was noted since the last look.
    func calls() throws -> String {
        let text = File.exists(directory("calls")) ? try File.text(directory("calls")) : ""
        try File.remove(directory("calls"))
        return text
    }

    /// Which plugin was asked what, in order: `first ADD`.
    func order() throws -> [String] {
        var command = ""
        return try calls().split(separator: "\n").compactMap { line in
            if line.hasPrefix("CNI_COMMAND=") { command = String(line.dropFirst(12)) }
            guard line.hasPrefix("{") else { return nil }
            let type = try JSONValue(parsing: Array(line.utf8)).object?["type"]?.string ?? "?"
            return "\(type) \(command)"
        }
    }

    func runner(milliseconds: Int64 = 20_000) -> PluginRunner { PluginRunner(path: [path], milliseconds: milliseconds) }
}

let arguments = PluginArguments(
    container: "abc123", namespace: "/var/run/netns/x", interface: "net1",
    values: [.init("IgnoreUnknown", "1"), .init("K8S_POD_NAME", "router")])

func network(_ json: String, name: String? = nil) throws -> NetworkConfiguration {
    try NetworkConfiguration(parsing: Array(json.utf8), source: "lan.conflist", defaultName: name)
}

/// A list of plugins that have nothing but their names.
func chain(_ version: String, _ types: String...) throws -> NetworkConfiguration {
    let plugins = types.map { #"{"type": "\#($0)"}"# }.joined(separator: ", ")
    return try network(#"{"cniVersion": "\#(version)", "name": "lan", "plugins": [\#(plugins)]}"#)
}

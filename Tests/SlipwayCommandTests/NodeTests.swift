import FoundationEssentials
import Glibc
import Testing

/// The command against a containerd of its own, with an ordinary container under runc. Needs root.
@Suite(.serialized, .timeLimit(.minutes(5))) struct NodeTests {
    @Test func aPlainPodFromRunToRm() async throws {
        let node = try PrivateNode()
        defer { node.end() }
        let manifest = """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: words}
            data: {greeting: "hello from the map"}
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: plain}
            spec:
              terminationGracePeriodSeconds: 1
              volumes:
                - {name: words, configMap: {name: words}}
                - {name: scratch, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
              containers:
                - name: plain
                  image: slipway.local/cnf:latest
                  imagePullPolicy: IfNotPresent
                  command: [sh, -c, "cat /words/greeting; echo; echo at $IP; echo oops >&2; exec sleep 600"]
                  env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]
                  volumeMounts: [{name: words, mountPath: /words}, {name: scratch, mountPath: /scratch}]
                  resources: {limits: {cpu: 100m, memory: 32Mi}}
            """
        try Data(manifest.utf8).write(to: URL(filePath: "\(node.directory)/pod.yaml"))

        let run = try node.slipway("run", "-f", "\(node.directory)/pod.yaml", "--wait-ready", "at 10.", played: true)
        #expect(run.status == 0 && run.output == "plain\n", "\(run)")

        let again = try node.slipway("run", "-f", "\(node.directory)/pod.yaml", played: true)
        #expect(again.status == 1 && again.errors.contains("pod default/plain is already there"), "\(again)")

        let machines = try node.slipway("ps")
        #expect(machines.output.split(separator: "\n").count == 1, "runc's pod is none of Slipway's")
        let list = try node.slipway("ps", "--all-runtimes", "-o", "json")
        let row = try #require(try JSONDecoder().decode([Row].self, from: Data(list.output.utf8)).first)
        #expect(row.name == "plain" && row.state == "running" && row.cpuMillis == 100 && row.memoryBytes == 32 << 20)
        #expect(row.ip?.hasPrefix("10.") == true)

        let logs = try node.slipway("logs", "plain")
        #expect(logs.output == "hello from the map\nat \(row.ip ?? "")\n" && logs.errors == "oops\n", "\(logs)")
        let tail = try node.slipway("logs", "--tail", "1", String(row.id.prefix(6)))
        // Two pipes: which of the streams came last is open.
        #expect(["oops\n", "at \(row.ip ?? "")\n"].contains(tail.output + tail.errors), "\(tail)")
        #expect(try node.slipway("logs", "nobody").status == 4)
        #expect(try node.slipway("console", "plain").errors.contains("has no console"))

        let stop = try node.slipway("stop", "plain")
        #expect(stop.status == 0, "\(stop)")
        #expect(try node.slipway("ps", "--all-runtimes").output.split(separator: "\n").count == 1)
        #expect(try node.slipway("ps", "--all-runtimes", "--all").output.contains("stopped"))

        let removed = try node.slipway("rm", "plain", played: true)
        #expect(removed.status == 0 && removed.output == "plain\n", "\(removed)")
        #expect(try node.slipway("rm", "plain", played: true).status == 4)
        #expect(try node.slipway("rm", "-f", "plain", played: true).status == 0)
        #expect(try node.slipway("ps", "--all-runtimes", "--all").output.split(separator: "\n").count == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(node.directory)/pods") == [])
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(node.directory)/logs") == [])
        let mounts = String(decoding: try Data(contentsOf: URL(filePath: "/proc/self/mounts")), as: UTF8.self)
        #expect(!mounts.contains("\(node.directory)/pods"))
        #expect(!mounts.contains(row.uid) && !cgroups().contains { $0.contains(row.uid) })
    }

    @Test func aPodWithCPUsOfItsOwn() async throws {
        let node = try PrivateNode()
        defer { node.end() }
        let manifest = """
            apiVersion: v1
            kind: Pod
            metadata: {name: pinned}
            spec:
              terminationGracePeriodSeconds: 1
              containers:
                - name: a
                  image: slipway.local/cnf:latest
                  imagePullPolicy: IfNotPresent
                  command: [sh, -c, "grep _allowed_list /proc/self/status; cat /proc/self/cgroup; exec sleep 600"]
                  resources: {limits: {cpu: 1, memory: 32Mi}}
            """
        try Data(manifest.utf8).write(to: URL(filePath: "\(node.directory)/pod.yaml"))
        let parent = "/slipway-test-\(UUID().uuidString.prefix(8).lowercased())"
        let run = try node.slipway(
            "run", "-f", "\(node.directory)/pod.yaml", "--cpuset", "0", "--mems", "0", "--cgroup-parent", parent,
            "--wait-ready", parent, played: true)
        defer { removeCgroups(parent) }
        #expect(run.status == 0, "\(run)")
        let logs = try node.slipway("logs", "pinned")
        #expect(logs.output.contains("Cpus_allowed_list:\t0\nMems_allowed_list:\t0\n"), "\(logs)")
        #expect(try node.slipway("rm", "pinned", played: true).status == 0)

        let two = try node.slipway("run", "-f", "\(node.directory)/pod.yaml", "--cpuset", "0-1", played: true)
        #expect(two.status == 2 && two.errors.contains("limits.cpu: is 1, and the CPUs 0-1 are 2"), "\(two)")
    }

    /// A cgroup that the command was told to use is left to who has named it.
    private func removeCgroups(_ path: String) {
        let root = "/sys/fs/cgroup"
        for hierarchy in (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? [] {
            rmdir("\(root)/\(hierarchy)\(path)")
        }
        rmdir(root + path)
    }

    @Test func whatContainerdRefusesIsSaidWholeAndTakenBack() async throws {
        let node = try PrivateNode()
        defer { node.end() }
        let manifest = """
            apiVersion: v1
            kind: Pod
            metadata: {name: strange}
            spec:
              runtimeClassName: no-such-handler
              containers: [{name: a, image: "slipway.local/cnf:latest", imagePullPolicy: IfNotPresent}]
            """
        try Data(manifest.utf8).write(to: URL(filePath: "\(node.directory)/pod.yaml"))
        let run = try node.slipway("run", "-q", "-f", "\(node.directory)/pod.yaml", played: true)
        #expect(run.status == 5 && run.output.isEmpty, "\(run)")
        #expect(run.errors.contains("RunPodSandbox failed") && run.errors.contains("no-such-handler"), "\(run)")
        #expect(try node.slipway("ps", "--all-runtimes", "--all").output.split(separator: "\n").count == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(node.directory)/pods") == [])
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(node.directory)/logs") == [])
    }

    private struct Row: Decodable {
        var name: String
        var id: String
        var uid: String
        var state: String
        var ip: String?
        var cpuMillis: Int64?
        var memoryBytes: Int64?
    }

    private func cgroups() -> [String] {
        let root = "/sys/fs/cgroup"
        let hierarchies = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        return (hierarchies.map { "\(root)/\($0)/slipway" } + ["\(root)/slipway"]).flatMap { path in
            (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        }
    }
}

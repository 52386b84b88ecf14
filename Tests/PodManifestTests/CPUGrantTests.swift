import CRIProtocol
import PodManifest
import Testing

@Suite struct CPUGrantTests {
    private func config(_ resources: String, _ grant: CPUGrant?, containers: Int = 1) throws -> CRIContainerConfig {
        let list = (0..<containers).map { "{name: c\($0), image: i, resources: \(resources)}" }
        let manifest = try Manifest(
            yaml: """
                apiVersion: v1
                kind: Pod
                metadata: {name: a}
                spec: {containers: [\(list.joined(separator: ", "))]}
                """)
        let node = NodeFacts(
            name: "n", memory: 1 << 30, hugePageSizes: [2 << 20, 1 << 30], resolver: CRIDNSConfig())
        let pod = try #require(manifest.pods.first)
        let playable = try PlayablePod(pod, of: manifest, on: node, uid: "u", grant: grant)
        return try playable.config(of: try #require(pod.spec.containers.first), addresses: [])
    }

    @Test func aGrantIsACpusetAndItsShares() throws {
        let grant = CPUGrant(cpus: "2-3,8", count: 3, mems: "1")
        let resources = try config("{limits: {memory: 512Mi, hugepages-2Mi: 1Gi}}", grant).linux.resources
        #expect(resources.cpusetCpus == "2-3,8" && resources.cpusetMems == "1")
        #expect(resources.cpuShares == 3072 && resources.cpuQuota == 0)
        #expect(resources.hugepageLimits.map(\.pageSize) == ["2MB", "1GB"])
        #expect(resources.hugepageLimits.map(\.limit) == [1 << 30, 0])
        let limited = try config("{limits: {cpu: 3, memory: 512Mi}}", grant).linux.resources
        #expect(limited.cpuShares == 3072 && limited.cpuQuota == 300_000)
        let none = try config("{limits: {cpu: 3}}", nil).linux.resources
        #expect(none.cpusetCpus.isEmpty && none.cpusetMems.isEmpty)
    }

    @Test func theirNumberIsTheLimit() {
        let error = #expect(throws: ManifestError.self) {
            try config("{limits: {cpu: 2500m}}", CPUGrant(cpus: "2-3", count: 2))
        }
        #expect(
            error?.description.contains("resources.limits.cpu: is 2500m, and the CPUs 2-3 are 2") == true,
            "found \(String(describing: error))")
        #expect(throws: ManifestError.self) {
            try config("{requests: {cpu: 1}}", CPUGrant(cpus: "2-3", count: 2))
        }
        #expect(throws: ManifestError.self) { try config("{}", CPUGrant(cpus: "2", count: 1), containers: 2) }
    }

    @Test func aCgroupOfAnothersIsTakenAsItIs() throws {
        let manifest = try Manifest(
            yaml: "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: b}]}}")
        var node = NodeFacts(name: "n", memory: 1 << 30, hugePageSizes: [], resolver: CRIDNSConfig())
        let pod = try #require(manifest.pods.first)
        #expect(try PlayablePod(pod, of: manifest, on: node, uid: "u").sandbox.linux.cgroupParent == "/slipway/podu")
        node.cgroupParent = "machines.slice"
        #expect(try PlayablePod(pod, of: manifest, on: node, uid: "u").sandbox.linux.cgroupParent == "machines.slice")
    }
}

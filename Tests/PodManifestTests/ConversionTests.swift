import CRIProtocol
import FoundationEssentials
import SwiftProtobuf
import Testing

@testable import PodManifest

@Suite struct ConversionTests {
    static let node = NodeFacts(
        name: "node-1", memory: 16 << 30, hugePageSizes: [2 << 20, 1 << 30],
        resolver: CRIDNSConfig(resolvConf: "# c\nnameserver 10.0.0.53\nsearch a.example b.example\noptions ndots:2\n"))

    static func playable(_ yaml: String, node: NodeFacts = node) throws -> PlayablePod {
        let manifest = try Manifest(yaml: yaml)
        let pod = try #require(manifest.pods.first)
        return try PlayablePod(pod, of: manifest, on: node, uid: "11111111-2222-3333-4444-555555555555")
    }

    static let full = """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: settings}
        data: {MODE: fast, user-data: "#cloud-config"}
        ---
        apiVersion: v1
        kind: Secret
        metadata: {name: key}
        stringData: {token: hidden}
        ---
        apiVersion: v1
        kind: Pod
        metadata:
          name: full.vnf
          labels: {app: vnf}
          annotations: {slipway.dev/firmware: uefi}
        spec:
          runtimeClassName: slipway-hp
          hostname: router
          terminationGracePeriodSeconds: 60
          overhead: {cpu: 250m, memory: 120Mi}
          dnsConfig: {nameservers: [1.1.1.1], options: [{name: edns0}, {name: timeout, value: "3"}]}
          securityContext: {sysctls: [{name: net.ipv4.ip_forward, value: "1"}], runAsUser: 7}
          volumes:
            - {name: seed, configMap: {name: settings, items: [{key: user-data, path: user-data}]}}
            - {name: pages, emptyDir: {medium: HugePages}}
            - {name: shm, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
            - {name: key, secret: {secretName: key, defaultMode: 0400}}
            - {name: dev, hostPath: {path: /dev/vfio, type: Directory}}
          containers:
            - name: vnf
              image: example.org/vnf:1
              stdin: true
              tty: true
              command: [/bin/$(MODE), $(NOT_SET), $$(MODE)]
              args: ["$(WHO) at $(IP)"]
              envFrom: [{configMapRef: {name: settings}, prefix: X_}]
              env:
                - {name: MODE, valueFrom: {configMapKeyRef: {name: settings, key: MODE}}}
                - {name: TOKEN, valueFrom: {secretKeyRef: {name: key, key: token}}}
                - {name: WHO, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
                - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
                - {name: APP, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
                - {name: BOTH, value: "$(MODE)-$(APP)"}
              resources: {limits: {cpu: 2, memory: 512Mi, hugepages-1Gi: 4Gi}}
              volumeMounts:
                - {name: seed, mountPath: /var/lib/cloud/seed/nocloud}
                - {name: pages, mountPath: /hugepages}
                - {name: shm, mountPath: /shm, subPath: a/b}
                - {name: key, mountPath: /key}
                - {name: dev, mountPath: /dev/vfio, readOnly: true, mountPropagation: HostToContainer}
            - name: side
              image: example.org/side:1
              resources: {requests: {cpu: 100m, memory: 160Mi}}
              securityContext:
                capabilities: {add: [NET_ADMIN], drop: [ALL]}
                allowPrivilegeEscalation: false
                runAsUser: 1000
        """

    @Test func sandboxOfAFullPod() throws {
        let playable = try Self.playable(Self.full)
        try Golden.compare(playable.sandbox.textFormatString(), "full-sandbox.txt")
    }

    @Test func containersOfAFullPod() throws {
        let playable = try Self.playable(Self.full)
        for container in playable.pod.spec.containers {
            let config = try playable.config(of: container, addresses: ["10.1.2.3", "fd00::3"])
            try Golden.compare(config.textFormatString(), "full-container-\(container.name).txt")
        }
    }

    @Test func volumesOfAFullPod() throws {
        let playable = try Self.playable(Self.full)
        let root = "/run/slipway-cli/pods/11111111-2222-3333-4444-555555555555/volumes"
        #expect(
            playable.volumes == [
                PodVolume(
                    name: "seed", path: "\(root)/kubernetes.io~configmap/seed",
                    content: .files([.init(path: "user-data", mode: 0o644, data: Data("#cloud-config".utf8))])),
                PodVolume(name: "pages", path: "\(root)/kubernetes.io~empty-dir/pages", content: .hugePages(1 << 30)),
                PodVolume(
                    name: "shm", path: "\(root)/kubernetes.io~empty-dir/shm", content: .memory(limit: 64 << 20)),
                PodVolume(
                    name: "key", path: "\(root)/kubernetes.io~secret/key",
                    content: .files([.init(path: "token", mode: 0o400, data: Data("hidden".utf8))])),
                PodVolume(name: "dev", path: "/dev/vfio", content: .hostPath(.directory)),
            ])
    }

    @Test(arguments: Examples.pods)
    func examplesConvert(path: String) throws {
        let manifest = try Manifest(yaml: String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self))
        #expect(manifest.warnings == [])
        let name = path.split(separator: "/").dropLast().last.map(String.init) ?? ""
        for pod in manifest.pods {
            let playable = try PlayablePod(
                pod, of: manifest, on: Self.node, uid: "11111111-2222-3333-4444-555555555555")
            var text = playable.sandbox.textFormatString()
            for container in pod.spec.containers {
                text += "---\n" + (try playable.config(of: container, addresses: ["10.1.2.3"]).textFormatString())
            }
            try Golden.compare(text, "example-\(name)-\(playable.name).txt")
        }
    }

    @Test func someExamplesAreThere() { #expect(Examples.pods.count >= 2) }

    @Test(
        arguments: [
            ("guaranteed", "{limits: {cpu: 1, memory: 1Gi}}", QualityOfService.guaranteed, -997),
            ("burstable", "{requests: {memory: 4Gi}}", .burstable, 750),
            ("burstable", "{requests: {cpu: 1m}}", .burstable, 999),
            ("burstable", "{requests: {memory: 1000Gi}}", .burstable, 3),
            ("best effort", "{}", .bestEffort, 1000),
        ] as [(String, String, QualityOfService, Int64)])
    func qualityDecidesTheOOMScore(name: String, resources: String, quality: QualityOfService, score: Int64) throws {
        let playable = try Self.playable(
            """
            apiVersion: v1
            kind: Pod
            metadata: {name: a}
            spec: {containers: [{name: a, image: b, resources: \(resources)}]}
            """)
        let container = try #require(playable.pod.spec.containers.first)
        #expect(QualityOfService([container]) == quality)
        #expect(try playable.config(of: container, addresses: []).linux.resources.oomScoreAdj == score)
    }

    @Test(
        arguments: [
            ("1m", 2, 1000), ("10m", 10, 1000), ("100m", 102, 10_000), ("2500m", 2560, 250_000),
            ("1000", 262_144, 100_000_000),
            ("9E", 262_144, Int64.max),
        ] as [(String, Int64, Int64)])
    func cpuBecomesSharesAndQuota(cpu: String, shares: Int64, quota: Int64) throws {
        #expect(CgroupValues.shares(try Quantity(parsing: cpu)) == shares)
        #expect(CgroupValues.quota(try Quantity(parsing: cpu)) == quota)
    }

    @Test func pagesThatTheNodeLacksAreRefused() throws {
        var node = Self.node
        node.hugePageSizes = [2 << 20]
        let playable = try Self.playable(Self.full, node: node)
        let container = try #require(playable.pod.spec.containers.first)
        let error = #expect(throws: ManifestError.self) { try playable.config(of: container, addresses: []) }
        #expect(error?.description.contains("hugepages-1Gi: this node has no such pages; it has 2MB") == true)
    }

    @Test(arguments: [
        ("configMap: {name: none}", "no ConfigMap \"none\" in this file"),
        ("configMap: {name: settings, items: [{key: x, path: x}]}", "has no key \"x\"; it has"),
        ("emptyDir: {medium: HugePages}", "HugePages needs a pod with one page size, this one asks for 0"),
    ])
    func volumesThatCannotBeResolvedAreRefused(source: String, words: String) {
        let error = #expect(throws: ManifestError.self) {
            try Self.playable(
                """
                apiVersion: v1
                kind: ConfigMap
                metadata: {name: settings}
                data: {a: b}
                ---
                apiVersion: v1
                kind: Pod
                metadata: {name: a}
                spec: {containers: [{name: a, image: b}], volumes: [{name: v, \(source)}]}
                """)
        }
        #expect(error?.description.contains(words) == true, "found: \(error?.description ?? "no error")")
    }

    @Test func systemdsSlicesHaveTheirOwnForm() throws {
        var node = Self.node
        node.cgroupDriver = .systemd
        let playable = try Self.playable(Self.full, node: node)
        #expect(
            playable.sandbox.linux.cgroupParent == "slipway-pod11111111_2222_3333_4444_555555555555.slice")
    }
}

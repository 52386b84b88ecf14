import Testing

@testable import PodManifest

@Suite struct ManifestTests {
    private static let pod = """
        apiVersion: v1
        kind: Pod
        metadata: {name: vnf}
        spec:
          containers:
            - {name: vnf, image: "example.org/vnf:1"}

        """

    private static func pod(spec: String) -> String {
        pod + spec.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)" }.joined(separator: "\n")
    }

    @Test func severalDocumentsOfSeveralKinds() throws {
        let manifest = try Manifest(
            yaml: """
                ---
                # nothing here
                ---
                apiVersion: v1
                kind: ConfigMap
                metadata: {name: seed}
                data: {user-data: "#cloud-config\\n"}
                binaryData: {blob: AAECAw==}
                ---
                apiVersion: v1
                kind: Secret
                metadata: {name: key, namespace: other}
                data: {token: c2VjcmV0}
                stringData: {plain: text}
                ---
                \(Self.pod)
                """)
        #expect(manifest.pods.map(\.metadata.name) == ["vnf"])
        #expect(manifest.warnings == [])
        #expect(manifest.object(.configMap, "seed", in: "default")?.data["blob"] == .init([0, 1, 2, 3]))
        #expect(manifest.object(.secret, "key", in: "other")?.data["token"] == .init("secret".utf8))
        #expect(manifest.object(.secret, "key", in: "other")?.data["plain"] == .init("text".utf8))
        #expect(manifest.object(.secret, "key", in: "default") == nil)
    }

    @Test(arguments: [
        ("", "the manifest has no Pod"),
        ("kind: [", "is not YAML"),
        ("- a\n- b\n", "document 1: is not a mapping"),
        ("metadata: {}\n", "has no kind"),
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n",
            "Deployment \"web\".kind: Deployment is not"
        ),
        ("apiVersion: v2\nkind: Pod\nmetadata: {name: a}\n", "apiVersion: \"v2\" found; Pod is of v1"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n", "spec.containers: is missing"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n", "spec.containers: is empty"),
        ("apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, image: b}]}\n", "metadata: is missing"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: ../etc}\nspec: {containers: [{name: a, image: b}]}\n",
            "metadata.name: \"../etc\" is no name"
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {../../x: y}\n",
            "data: \"../../x\" is no key"
        ),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {x: '%%'}\n", "data.x: is not base64"),
    ])
    func refusesDocuments(yaml: String, words: String) {
        let error = #expect(throws: ManifestError.self) { try Manifest(yaml: yaml) }
        #expect(error?.description.contains(words) == true, "found: \(error?.description ?? "no error")")
    }

    @Test(arguments: [
        ("restartPolicy: Sometimes", "spec.restartPolicy"),
        ("terminationGracePeriodSeconds: -1", "spec.terminationGracePeriodSeconds: is -1"),
        ("dnsPolicy: None", "spec.dnsConfig.nameservers: is empty"),
        ("hostname: UPPER", "spec.hostname: \"UPPER\" is no name"),
        ("initContainers: [{name: i, image: i}]", "spec.initContainers: containers that run first"),
        ("volumes: [{name: a, nfs: {server: s, path: /}}]", "spec.volumes[0].nfs: this volume source is not played"),
        ("volumes: [{name: a}]", "\"a\" has 0 sources"),
        ("volumes: [{name: a, emptyDir: {}, hostPath: {path: /}}]", "\"a\" has 2 sources"),
        ("volumes: [{name: a, emptyDir: {}}, {name: a, emptyDir: {}}]", "\"a\" is there twice"),
        ("volumes: [{name: a, emptyDir: {medium: Floppy}}]", "\"Floppy\" is no medium"),
        ("volumes: [{name: a, emptyDir: {medium: HugePages-3Mi}}]", "names no page size"),
        ("volumes: [{name: a, emptyDir: {sizeLimit: 1Zi}}]", "spec.volumes[0].emptyDir.sizeLimit: \"1Zi\""),
        ("volumes: [{name: a, hostPath: {path: ../x}}]", "hostPath.path: \"../x\" is not accepted"),
        ("volumes: [{name: a, hostPath: {path: /x, type: Door}}]", "spec.volumes[0].hostPath.type"),
        ("volumes: [{name: a, configMap: {name: c, items: [{key: k, path: ../p}]}}]", "path: \"../p\" is not accepted"),
        ("volumes: [{name: a, configMap: {name: c, defaultMode: 07777}}]", "defaultMode: \"07777\" is no file mode"),
    ])
    func refusesFields(spec: String, words: String) {
        let error = #expect(throws: ManifestError.self) { try Manifest(yaml: Self.pod(spec: spec)) }
        #expect(error?.description.contains(words) == true, "found: \(error?.description ?? "no error")")
        #expect(error?.description.hasPrefix("Pod \"vnf\".") == true, "the document is named")
    }

    @Test(arguments: [
        ("volumeMounts: [{name: none, mountPath: /x}]", "no volume \"none\" in this pod; it has none"),
        ("volumeDevices: [{name: d, devicePath: /dev/x}]", "volumeDevices: block volumes come from claims"),
        ("env: [{name: A, value: b, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]", "needs exactly one of value"),
        ("env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]", "this source of a value is not"),
        ("resources: {limits: {cpu: 1}, requests: {cpu: 2}}", "requests.cpu: 2 is more than the limit of 1"),
        ("resources: {limits: {memory: lots}}", "spec.containers[0].resources.limits.memory: \"lots\" has no digits"),
        ("resources: {limits: {hugepages-5: 1}}", "\"hugepages-5\" names no page size"),
        ("imagePullPolicy: Sometimes", "spec.containers[0].imagePullPolicy"),
    ])
    func refusesContainerFields(field: String, words: String) {
        let yaml = "\(Self.pod)      \(field)\n".replacing(
            "- {name: vnf, image: \"example.org/vnf:1\"}\n",
            with: """
                - name: vnf
                      image: example.org/vnf:1

                """)
        let error = #expect(throws: ManifestError.self) { try Manifest(yaml: yaml) }
        #expect(error?.description.contains(words) == true, "found: \(error?.description ?? "no error")")
    }

    @Test func whatIsNotPlayedIsWarnedOfOnlyWhereItMatters() throws {
        let manifest = try Manifest(
            yaml: Self.pod(
                spec: """
                    nodeSelector: {a: b}
                    tolerations: []
                    hostAliases: [{ip: 10.0.0.1}]
                    subdomain: x
                    """) + "\nstatus: {phase: Running}\n")
        #expect(
            manifest.warnings == [
                "Pod \"vnf\": spec.hostAliases is not played here and was left out",
                "Pod \"vnf\": spec.subdomain is not played here and was left out",
            ])
    }

    @Test func fileModesAreOctalAsInYAML11() throws {
        #expect(try FileMode(parsing: "0644").bits == 0o644)
        #expect(try FileMode(parsing: "0o644").bits == 0o644)
        #expect(try FileMode(parsing: "420").bits == 0o644)
        let manifest = try Manifest(
            yaml: Self.pod(spec: "volumes: [{name: a, secret: {secretName: s, defaultMode: 0400}}]"))
        #expect(manifest.pods.first?.spec.volumes?.first?.secret?.defaultMode?.bits == 0o400)
    }

    @Test func arbitraryBytesNeverTrap() {
        var random = SystemRandomNumberGenerator()
        let sample = Array(
            Self.pod(spec: "volumes: [{name: a, configMap: {name: c, items: [{key: k, path: p}]}}]").utf8)
        for _ in 0..<2_000 {
            var bytes = sample
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: 0..<bytes.count)] = UInt8.random(in: 0...127, using: &random)
            }
            _ = try? Manifest(yaml: String(decoding: bytes, as: UTF8.self))
        }
    }
}

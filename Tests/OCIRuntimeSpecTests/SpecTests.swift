import OCIRuntimeSpec
import TestSupport
import Testing

/// A config.json as containerd's CRI plugin writes it for a container, shortened.
private let sample = #"""
    {
      "ociVersion": "1.2.0",
      "process": {
        "terminal": true, "user": {"uid": 0, "gid": 0, "additionalGids": [0, 10]}, "args": ["/bin/sh", "-c", "true"],
        "env": ["PATH=/usr/bin", "EMPTY=", "A=b=c"], "cwd": "/", "noNewPrivileges": true, "oomScoreAdj": -997,
        "capabilities": {"bounding": ["CAP_CHOWN"]}, "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
      },
      "root": {"path": "rootfs", "readonly": true},
      "hostname": "pod",
      "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec"]},
        {"destination": "/etc/hosts", "source": "/var/lib/kubelet/hosts", "options": ["rbind", "rw"], "uidMappings": null}
      ],
      "annotations": {
        "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "s1",
        "io.kubernetes.cri.sandbox-name": "web", "io.kubernetes.cri.sandbox-namespace": "prod",
        "io.kubernetes.cri.sandbox-uid": "u1", "io.kubernetes.cri.container-name": "vm",
        "io.kubernetes.cri.image-name": "registry/vm:1", "slipway.dev/disk": "/d"
      },
      "linux": {
        "resources": {
          "devices": [{"allow": false, "access": "rwm"}],
          "memory": {"limit": 9223372036854771712, "swap": -1, "swappiness": 60},
          "cpu": {"shares": 1024, "quota": 150000, "period": 100000, "cpus": "0-3,8", "mems": "0", "idle": 0},
          "hugepageLimits": [{"pageSize": "2MB", "limit": 1073741824}], "pids": {"limit": 0},
          "unified": {"memory.high": "max"}
        },
        "cgroupsPath": "kubepods-burstable-podu1.slice:cri-containerd:c1",
        "namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/7/ns/net"}, {"type": "time"}],
        "devices": [{"path": "/dev/kvm", "type": "c", "major": 10, "minor": 232, "fileMode": 432, "uid": 0}],
        "seccomp": {"defaultAction": "SCMP_ACT_ERRNO"}, "maskedPaths": ["/proc/kcore"], "sysctl": {"a": "b"}
      }
    }
    """#

@Suite struct SpecTests {
    @Test func whatAMachineNeedsIsReadAndTheRestIgnored() throws {
        let spec = try Spec.decode(sample.utf8)
        #expect(spec.process?.terminal == true && spec.process?.oomScoreAdj == -997)
        #expect(spec.process?.args == ["/bin/sh", "-c", "true"])
        #expect(spec.process?.env == ["PATH=/usr/bin", "EMPTY=", "A=b=c"])
        #expect(spec.root?.path == "rootfs" && spec.root?.readonly == true && spec.hostname == "pod")
        #expect(spec.mounts?.map(\.destination) == ["/proc", "/etc/hosts"] && spec.mounts?[1].type == nil)
        #expect(spec.linux?.namespaces?.map(\.type) == [.pid, .network, .time])
        #expect(spec.linux?.namespaces?[1].path == "/proc/7/ns/net")
        let resources = try #require(spec.linux?.resources)
        #expect(resources.cpu?.quota == 150_000 && resources.cpu?.period == 100_000 && resources.cpu?.cpus == "0-3,8")
        #expect(resources.memory?.limit == 9_223_372_036_854_771_712 && resources.memory?.swap == -1)
        #expect(resources.hugepageLimits?.first?.limit == 1 << 30 && resources.pids?.limit == 0)
        #expect(resources.unified == ["memory.high": "max"])
        #expect(spec.linux?.devices?.first?.type == .character && spec.linux?.devices?.first?.minor == 232)
        #expect(try Spec.decode("{}".utf8) == Spec.decode(#"{"unknown": [1, {"deep": null}]}"#.utf8))
    }

    @Test func annotationsOfTheCRI() throws {
        let annotations = try CRIAnnotations(Spec.decode(sample.utf8).annotations ?? [:])
        #expect(annotations.type == .container && annotations.sandboxID == "s1" && annotations.podName == "web")
        #expect(annotations.podNamespace == "prod" && annotations.podUID == "u1" && annotations.containerName == "vm")
        #expect(annotations.imageName == "registry/vm:1")
        #expect(try CRIAnnotations([:]).type == nil)
        #expect(try CRIAnnotations(["io.kubernetes.cri.container-type": "sandbox"]).type == .sandbox)
        #expect(
            throws: SpecError(
                "annotations.io.kubernetes.cri.container-type", "is \"Pod\"; \"sandbox\" or \"container\" is accepted")
        ) { try CRIAnnotations(["io.kubernetes.cri.container-type": "Pod"]) }
    }

    @Test(arguments: [
        (#"{"linux": {"namespaces": [{"type": "pid"}, {"type": "netwrok"}]}}"#, "linux.namespaces[1].type", "netwrok"),
        (#"{"linux": {"devices": [{"path": "/dev/x", "type": "x"}]}}"#, "linux.devices[0].type", "\"x\""),
        (#"{"linux": {"namespaces": [{}]}}"#, "linux.namespaces[0].type", "is missing"),
        (#"{"root": {}}"#, "root.path", "is missing"),
        (#"{"process": {"args": ["a", 5]}}"#, "process.args[1]", "a string is expected"),
        (#"{"process": {"terminal": "yes"}}"#, "process.terminal", "true or false is expected"),
        (#"{"process": {"oomScoreAdj": "0"}}"#, "process.oomScoreAdj", "a whole number is expected"),
        (#"{"annotations": {"a": 5}}"#, "annotations.a", "a string is expected"),
        (#"{"mounts": [{"destination": null}]}"#, "mounts[0].destination", "a string is expected"),
    ])
    func refusedByItsField(json: String, field: String, problem: String) throws {
        let error = #expect(throws: SpecError.self) { try Spec.decode(json.utf8) }
        #expect(error?.field == field)
        #expect(error?.problem.contains(problem) == true, "\(error?.problem ?? "")")
        #expect(error?.description == "config.json: \(field): \(error?.problem ?? "")")
    }

    /// The decoder does not tell where it found a number that does not fit.
    @Test(arguments: [
        #"{"linux": {"resources": {"cpu": {"shares": -1}}}}"#,
        #"{"linux": {"resources": {"memory": {"limit": 9223372036854775808}}}}"#,
        #"{"linux": {"resources": {"cpu": {"quota": 1.5}}}}"#,
        #"{"process": {"oomScoreAdj": 1e300}}"#,
    ])
    func numbersThatDoNotFit(json: String) {
        #expect { try Spec.decode(json.utf8) } throws: {
            "\($0)" == "config.json: is no valid JSON, or has a number that does not fit its field"
        }
    }

    @Test func wordsThatAreAcceptedAreNamed() {
        let error = #expect(throws: SpecError.self) {
            try Spec.decode(#"{"linux": {"namespaces": [{"type": "netwrok"}]}}"#.utf8)
        }
        for word in Spec.Namespace.Kind.allCases { #expect(error?.problem.contains(word.rawValue) == true) }
    }

    @Test(arguments: ["", " ", "{", "nul", "[1]", "\"text\"", "{}{}", "{\"a\": }", "\u{feff}"])
    func whatIsNoDocument(json: String) {
        #expect(throws: SpecError.self) { try Spec.decode(json.utf8) }
    }

    @Test func resourcesAlone() throws {
        #expect(try Spec.decodeResources(#"{"cpu": {"quota": 5}}"#.utf8).cpu?.quota == 5)
        let error = #expect(throws: SpecError.self) { try Spec.decodeResources(#"{"cpu": {"quota": "5"}}"#.utf8) }
        #expect(error?.field == "cpu.quota")
        #expect(throws: SpecError.self) { try Spec.decodeResources([]) }
    }

    // MARK: Hostile documents

    @Test func depthAndLengthAreNoTraps() {
        for (open, close) in [("[", "]"), (#"{"linux":"#, "}")] {
            let depth = 100_000
            let text = String(repeating: open, count: depth) + String(repeating: close, count: depth)
            #expect(throws: SpecError.self) { try Spec.decode(#"{"annotations": \#(text)}"#.utf8) }
        }
        #expect(throws: SpecError.self) { try Spec.decode([UInt8](repeating: 0xff, count: 1 << 20)) }
        #expect(throws: SpecError.self) { try Spec.decode(String(repeating: "9", count: 1 << 20).utf8) }
    }

    /// Bytes changed, lost, doubled and swapped: each document is read or refused.
    @Test func mutatedDocumentsNeverTrap() {
        var (read, refused) = (0, 0)
        for seed in 0..<4000 {
            var random = SeededGenerator(UInt64(seed))
            var bytes = Array(sample.utf8)
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                guard !bytes.isEmpty else { break }
                let index = Int.random(in: 0..<bytes.count, using: &random)
                let end = min(bytes.count, index + Int.random(in: 1...40, using: &random))
                switch Int.random(in: 0..<6, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.removeSubrange(index..<end)
                case 2: bytes.insert(contentsOf: bytes[index..<end], at: index)
                case 3: bytes.removeSubrange(index...)
                case 4: bytes.swapAt(index, Int.random(in: 0..<bytes.count, using: &random))
                default:
                    let words = [
                        "null", "-1", "1e999", "18446744073709551616", "\"\\ud800\"", "[]", "{", "\\u0000", "true",
                    ]
                    bytes.insert(contentsOf: Array((words.randomElement(using: &random) ?? "").utf8), at: index)
                }
            }
            do throws(SpecError) {
                let spec = try Spec.decode(bytes)
                _ = try CRIAnnotations(spec.annotations ?? [:])
                read += 1
            } catch {
                #expect(error.description.hasPrefix("config.json: "), "seed \(seed)")
                refused += 1
            }
        }
        #expect(read > 100 && refused > 100, "\(read) were read, \(refused) refused")
    }
}

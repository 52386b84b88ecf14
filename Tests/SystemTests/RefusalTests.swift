import CRIProtocol
import LinuxSystem
import TestSupport
import Testing

/// What cannot be run is refused in Create, by a sentence that reaches the caller of CRI, and leaves nothing.
@Suite(.serialized, .timeLimit(.minutes(5))) struct RefusalTests {
    private func expectRefusal(
        _ name: String, _ sentence: String, annotations: [String: String] = [:],
        image: String = "slipway.local/tiny-vnf:latest", memory: Int64 = 128 << 20
    ) async throws {
        let before = Node.remains()
        try await Node.connected { runtime in
            var pod = try await Pod(runtime, name, annotations: annotations)
            do {
                try await pod.start(image: image, memory: memory)
                Issue.record("\(name) was started")
            } catch let error as CRIError {
                #expect(error.message.contains(sentence), "\(error)")
            }
            try await pod.remove()
        }
        await Node.expectNothingLeft(since: before)
    }

    @Test func anImageWithoutADisk() async throws {
        try await expectRefusal("diskless", "disk", image: "slipway.local/cnf:latest")
    }

    @Test func anUnknownAnnotation() async throws {
        try await expectRefusal(
            "unknown", "slipway.dev/disks: is not known; known are", annotations: ["slipway.dev/disks": "/a"])
    }

    @Test func aWrongValue() async throws {
        try await expectRefusal(
            "value", "slipway.dev/cloud-init: is \"yes\"; nocloud, configdrive or none is accepted",
            annotations: ["slipway.dev/cloud-init": "yes"])
    }

    @Test func tooLittleMemory() async throws {
        try await expectRefusal("small", "limits.memory: is 32 MiB; at least 64 MiB", memory: 32 << 20)
    }

    @Test func aDiskThatIsNotThere() async throws {
        try await expectRefusal("missing", "/disk/other.qcow2", annotations: ["slipway.dev/disk": "/disk/other.qcow2"])
    }

    @Test func theHostsNetwork() async throws {
        let before = Node.remains()
        try await Node.connected { runtime in
            do {
                let pod = try await Pod(runtime, "host", hostNetwork: true)
                Issue.record("the sandbox was started")
                try await pod.remove()
            } catch let error as CRIError {
                #expect(error.message.contains("hostNetwork"), "\(error)")
            }
        }
        await Node.expectNothingLeft(since: before)
    }

    /// A refused pod may be tried again at once, and another pod is not touched.
    @Test func aRefusalHarmsNobody() async throws {
        let before = Node.remains()
        try await Node.connected { runtime in
            var neighbour = try await Pod(runtime, "neighbour")
            try await neighbour.start()
            var pod = try await Pod(runtime, "retry")
            await #expect(throws: CRIError.self) { try await pod.start(memory: 1 << 20) }
            try await pod.start(attempt: 1)
            await pod.expect("tiny-vnf: ready")
            await neighbour.expect("tiny-vnf: ready")
            try await pod.remove()
            try await neighbour.remove()
        }
        await Node.expectNothingLeft(since: before)
    }
}

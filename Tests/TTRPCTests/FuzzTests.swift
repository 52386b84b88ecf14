import LinuxSystem
import SwiftProtobuf
import Testing

@testable import TTRPC

/// SplitMix64: the same bytes in every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Changes 1 to 8 places: flips, overwrites, removes, inserts, repeats, cuts.
func mutated(_ original: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
    let interesting: [UInt8] = [0, 1, 2, 0x0a, 0x12, 0x1a, 0x20, 0x2a, 0x7f, 0x80, 0xfe, 0xff]
    var bytes = original
    for _ in 0..<Int.random(in: 1...8, using: &random) {
        if bytes.isEmpty { bytes = [0] }
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[place] = interesting.randomElement(using: &random) ?? 0
        case 2: bytes.remove(at: place)
        case 3: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
        case 4: bytes.insert(contentsOf: bytes[place..<min(place + 16, bytes.count)], at: place)
        default: bytes.removeSubrange(place...)
        }
    }
    return bytes
}

struct FuzzTests {
    static let seeds: [[UInt8]] = [
        WireTests.connect,
        hex("00000007 00000001 02 00 1205086410c801"),
        hex("0000000f 00000003 02 00 0a0d080512096e6f7420666f756e64"),
        hex("00000004 00000005 03 04 0a020801"),
    ]

    /// Nothing that decodes may trap, and what decodes must encode to the same value again.
    @Test(.timeLimit(.minutes(1)), arguments: [1, 2, 3, 4] as [UInt64])
    func decoders(seed: UInt64) throws {
        var random = SeededGenerator(state: seed)
        var decoded = 0
        for round in 0..<10_000 {
            let bytes = mutated(Self.seeds[round % Self.seeds.count], &random)
            let (head, payload) = (Array(bytes.prefix(10)), Array(bytes.dropFirst(10)))
            guard let header = FrameHeader(head) else {
                #expect(head.count < 10)
                continue
            }
            #expect(header.bytes == head)
            if let call = try? Call(envelope: payload) {
                decoded += 1
                #expect(try Call(envelope: call.envelope()).metadata == call.metadata)
                _ = try? call.request(as: Google_Protobuf_Any.self)
            }
            _ = Reply(envelope: payload)
            var intake = Intake()
            let frame = Frame(stream: header.stream, kind: header.kind, flags: header.flags, payload: payload)
            for _ in 0..<2 { _ = intake.admit(.frame(frame)) }
            _ = intake.admit(.oversized(header))
        }
        #expect(decoded > 100, "the mutations leave enough valid requests to be worth it")
    }

    /// Connections full of damaged frames neither end the process nor disturb another connection.
    @Test(.timeLimit(.minutes(1)))
    func serverUnderGarbage() async throws {
        let echo = EchoService()
        try await withServer([echo.service], grace: .zero) { path, _ in
            let client = try Client(path: path)
            var random = SeededGenerator(state: 42)
            for _ in 0..<150 {
                let peer = try RawPeer(path: path)
                var bytes: [UInt8] = []
                for _ in 0..<Int.random(in: 1...20, using: &random) {
                    bytes += mutated(Self.seeds.randomElement(using: &random) ?? [], &random)
                }
                // The server may have given up on the connection before all is written.
                let garbage = bytes
                try? await peer.write(garbage)
                peer.socket.close()
                #expect(try await client.call(EchoService.name, "Echo", payload: [9]) == [9])
            }
        }
    }
}

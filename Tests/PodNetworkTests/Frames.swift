import CLinux
import Glibc
import LinuxSystem
import Netlink
import PodNetwork

/// Raw frames as a guest or a network sends them.
enum Frames {
    static let broadcast = "ff:ff:ff:ff:ff:ff"
    static let allNodes = "33:33:00:00:00:01"

    static func mac(_ text: String) -> [UInt8] { MACAddress(text)?.bytes ?? [] }
    static func ip(_ text: String) -> [UInt8] { IPAddress(text)?.bytes ?? [] }
    static func half(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xff)] }

    /// - Parameter tags: type and number of VLAN tags, from the outside in.
    static func ethernet(
        from source: String = Lab.mac, to destination: String = broadcast, tags: [(type: UInt16, number: UInt16)] = [],
        type: UInt16, _ payload: [UInt8]
    ) -> [UInt8] {
        mac(destination) + mac(source) + tags.flatMap { half($0.type) + half($0.number) } + half(type) + payload
    }

    static func arp(
        operation: UInt16 = 1, sender: String = Lab.mac, _ address: String, target: String = "10.88.0.1",
        lengths: [UInt8] = [6, 4]
    ) -> [UInt8] {
        [0, 1, 8, 0] + lengths + half(operation) + mac(sender) + ip(address) + [0, 0, 0, 0, 0, 0] + ip(target)
    }

    /// - Parameter extensions: types and contents of headers between IPv6's and the message.
    static func discovery(
        _ type: UInt8, source: String, target: String, extensions: [(type: UInt8, bytes: [UInt8])] = []
    ) -> [UInt8] {
        let message = [type, 0, 0, 0, 0, 0, 0, 0] + ip(target)
        return ipv6(source: source, next: 58, message, extensions: extensions)
    }

    static func ipv6(
        source: String, next: UInt8, _ payload: [UInt8], extensions: [(type: UInt8, bytes: [UInt8])] = []
    ) -> [UInt8] {
        var body = payload
        var following = next
        for header in extensions.reversed() {
            body = [following] + header.bytes + body
            following = header.type
        }
        return [0x60, 0, 0, 0] + half(UInt16(body.count)) + [following, 255] + ip(source) + ip("ff02::1") + body
    }
}

/// The guest's end of a TAP, frame by frame, as QEMU has it.
final class RawGuest: Sendable {
    let descriptor: FileDescriptor

    init(tap name: String, in pod: NetworkNamespace, multiQueue: Bool = false) async throws {
        descriptor = try await pod.run {
            FileDescriptor(owning: try check(slipway_tap_create(name, 0, 1, multiQueue ? 1 : 0), "open TAP", name))
        }
    }

    /// In front of every frame is an empty virtio_net_hdr.
    func send(_ frame: [UInt8]) throws { try descriptor.write([UInt8](repeating: 0, count: 10) + frame) }

    /// The next frame that satisfies; nil when none has come in time.
    func receive(milliseconds: Int64 = 2000, where matches: ([UInt8]) -> Bool) throws -> [UInt8]? {
        try next(descriptor, header: 10, milliseconds, where: matches)
    }
}

/// What passes a link, seen from inside its namespace.
final class Capture: Sendable {
    let socket: PacketSocket

    init(_ name: String, in namespace: NetworkNamespace) async throws {
        socket = try await namespace.run {
            try PacketSocket(linkIndex: Int32(if_nametoindex(name)), receiving: true)
        }
    }

    func receive(milliseconds: Int64 = 2000, where matches: ([UInt8]) -> Bool) throws -> [UInt8]? {
        try next(socket.descriptor, header: 0, milliseconds, where: matches)
    }

    /// Everything up to a frame that ends the list.
    func receive(until last: [UInt8]) throws -> [[UInt8]] {
        var frames: [[UInt8]] = []
        _ = try receive {
            frames.append($0)
            return $0 == last
        }
        return frames
    }
}

private func next(
    _ descriptor: FileDescriptor, header: Int, _ milliseconds: Int64, where matches: ([UInt8]) -> Bool
) throws -> [UInt8]? {
    let deadline = Clock.milliseconds + milliseconds
    while true {
        let left = deadline - Clock.milliseconds
        guard left > 0, try descriptor.wait(for: Int16(POLLIN), milliseconds: Int32(left)) else { return nil }
        let frame = Array(try descriptor.read(upTo: 70000).dropFirst(header))
        if matches(frame) { return frame }
    }
}

import Foundation
import Glibc
import LinuxSystem
import Netlink
import Synchronization

/// Lines that a log was given.
final class Journal: Sendable {
    let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
}

/// What a real DHCP client in a guest is given on its NIC: the variables of udhcpc's script.
func lease(_ guest: Guest) throws -> [String: String] {
    let script = NSTemporaryDirectory() + "slipway-udhcpc-\(UUID().uuidString)"
    try File.replace(script, with: Array("#!/bin/sh\n[ $1 != bound ] || env\n".utf8), mode: 0o700)
    defer { try? File.remove(script) }
    let output = try shell(
        "busybox udhcpc -i eth0 -n -q -f -t 10 -T 1 -s \(script) -O staticroutes -O mtu -O search",
        in: guest.namespace)
    return Dictionary(
        output.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "=", maxSplits: 1)
            return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
        }, uniquingKeysWith: { $1 })
}

/// A DHCPv6 client (RFC 8415) in the thread's namespace that asks for one address and a name server on eth0.
struct DHCPv6Client {
    private let socket: FileDescriptor
    private let index: UInt32
    private let identifier: [UInt8]
    private let association: [UInt8] = [0, 3, 0, 12, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]

    /// - Parameter duid: the client identifier; by default the one made of Lab.mac.
    init(duid: [UInt8] = [0, 3, 0, 1, 0x0a, 0x58, 0x0a, 0x58, 0, 5]) throws {
        identifier = [0, 1, 0, UInt8(duid.count)] + duid
        socket = FileDescriptor(owning: Glibc.socket(AF_INET6, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
        index = if_nametoindex("eth0")
        var own = address("::", port: 546)
        let size = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let bound = withUnsafePointer(to: &own) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket.raw, $0, size) }
        }
        guard bound == 0 else { throw SystemError.last("bind") }
    }

    private func address(_ text: String, port: UInt16) -> sockaddr_in6 {
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = port.bigEndian
        address.sin6_scope_id = index
        _ = inet_pton(AF_INET6, text, &address.sin6_addr)
        return address
    }

    /// Sends a message until it is answered; returns the answer.
    private func exchange(_ kind: UInt8, _ options: [UInt8]) throws -> [UInt8] {
        let message = [kind, 1, 2, 3] + identifier + association + options + [0, 6, 0, 2, 0, 23, 0, 8, 0, 2, 0, 0]
        for _ in 0..<10 {
            var servers = address("ff02::1:2", port: 547)
            let size = socklen_t(MemoryLayout<sockaddr_in6>.size)
            let sent = withUnsafePointer(to: &servers) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    sendto(socket.raw, message, message.count, 0, $0, size)
                }
            }
            guard sent == message.count else { throw SystemError.last("sendto") }
            if try socket.wait(for: Int16(POLLIN), milliseconds: 1000) { return try socket.read(upTo: 2000) }
        }
        throw SystemError("recv", "DHCPv6", code: ETIMEDOUT)
    }

    /// SOLICIT; the ADVERTISE.
    func solicit() throws -> [UInt8] { try exchange(1, []) }

    /// SOLICIT and REQUEST; the REPLY.
    func lease() throws -> [UInt8] {
        let advertised = try solicit()
        var rest = advertised.dropFirst(4)
        while rest.count >= 4 {
            let bytes = Array(rest.prefix(4))
            let length = Int(bytes[2]) << 8 | Int(bytes[3])
            // The server's identifier has to stand in the request.
            if bytes[..<2] == [0, 2] { return try exchange(3, Array(rest.prefix(4 + length))) }
            rest = rest.dropFirst(4 + length)
        }
        return advertised
    }
}

extension [UInt8] {
    func holds(_ address: String) -> Bool {
        guard let bytes = IPAddress(address)?.bytes, count >= 16 else { return false }
        return (0...count - 16).contains { self[$0..<$0 + 16].elementsEqual(bytes) }
    }
}

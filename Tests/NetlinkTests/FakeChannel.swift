import CLinux
import LinuxSystem
import Synchronization

@testable import Netlink

/// Records requests and replays answers; without an answer it acknowledges.
final class FakeChannel: NetlinkChannel {
    private let state: Mutex<(requests: [[UInt8]], answers: [[UInt8]])>

    init(_ answers: [[UInt8]] = []) { state = Mutex(([], answers)) }

    var requests: [[UInt8]] { state.withLock { $0.requests } }

    func send(_ request: [UInt8]) throws(SystemError) -> [NetlinkMessage] {
        state.withLock { state in
            state.requests.append(request)
            return NetlinkMessage.split(state.answers.isEmpty ? acknowledgement(0) : state.answers.removeFirst())
        }
    }
}

/// Bytes from hexadecimal text; everything behind a `;` on a line is a remark.
func hex(_ text: String) -> [UInt8] {
    let digits = text.split(separator: "\n").flatMap { $0.prefix { $0 != ";" }.filter(\.isHexDigit) }
    return stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0..<$0 + 2]), radix: 16) }
}

/// A message as the kernel would send it.
func message(type: Int, flags: Int32 = 0, _ payload: [UInt8]) -> [UInt8] {
    var header = nlmsghdr()
    header.nlmsg_len = UInt32(16 + payload.count)
    header.nlmsg_type = UInt16(type)
    header.nlmsg_flags = UInt16(flags)
    var bytes = withUnsafeBytes(of: header) { Array($0) } + payload
    while bytes.count % 4 != 0 { bytes.append(0) }
    return bytes
}

func acknowledgement(_ code: Int32, words: String? = nil) -> [UInt8] {
    var payload = withUnsafeBytes(of: code) { Array($0) } + [UInt8](repeating: 0, count: 16)
    guard let words else { return message(type: Int(NLMSG_ERROR), flags: NLM_F_CAPPED, payload) }
    let text = Array(words.utf8) + [0]
    payload += withUnsafeBytes(of: UInt16(4 + text.count)) { Array($0) } + [1, 0] + text
    return message(type: Int(NLMSG_ERROR), flags: NLM_F_CAPPED | NLM_F_ACK_TLVS, payload)
}

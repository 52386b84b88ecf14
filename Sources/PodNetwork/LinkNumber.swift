import Glibc
import LinuxSystem

/// Numbers for links that libvirt opens.
///
/// libvirt takes a link for a macvtap when `/dev/tapN` exists, N being the link's number (virNetDevMacVLanIsMacvtap), and
/// opens that. Every namespace counts its links from 1, while `/dev` is the host's: under the number that it gets by
/// itself, a TAP could pass for a macvtap of another pod, and the guest would be on that one's network. These numbers are
/// chosen at random from ranges that no kernel counts up to, one for each kind.
struct LinkNumber {
    /// Of TAPs, beside which no `/dev/tapN` may exist.
    static let taps = LinkNumber(range: 0x2000_0000...0x3fff_ffff)
    /// Of macvtaps, whose `/dev/tapN` must not exist before them.
    static let macvtaps = LinkNumber(range: 0x4000_0000...0x5fff_ffff)

    let range: ClosedRange<Int32>

    /// Calls `make` with a number until the namespace does not have it yet.
    func first(_ make: (Int32) throws(SystemError) -> Void) throws(SystemError) {
        for attempt in 0... {
            let number = Int32.random(in: range)
            if File.exists("/dev/tap\(number)") { continue }
            do throws(SystemError) {
                return try make(number)
            } catch {
                // EEXIST or EBUSY: the number is taken, or the name is, which another number does not help.
                guard [EEXIST, EBUSY].contains(error.code), attempt < 3 else { throw error }
            }
        }
    }
}

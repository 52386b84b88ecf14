import CLinux
public import LinuxSystem

/// What has passed the place where a link's arriving frames are filtered, since that place was made.
public struct FrameCounters: Hashable, Sendable, Codable {
    /// Frames that came there.
    public var frames: UInt64
    /// Bytes in them.
    public var bytes: UInt64
    /// Those that a filter dropped, or that were to leave by a link that is down. The kernel counts in 32 bits.
    public var dropped: UInt64

    /// Counters of their values.
    public init(frames: UInt64, bytes: UInt64, dropped: UInt64) {
        self.frames = frames
        self.bytes = bytes
        self.dropped = dropped
    }

    /// From the statistics of a qdisc (gen_stats.h).
    init?(_ statistics: Attributes) {
        guard let basic = statistics[Int(TCA_STATS_BASIC)], let bytes: UInt64 = basic.load(at: 0),
            let frames: UInt32 = basic.load(at: 8), let queue = statistics[Int(TCA_STATS_QUEUE)],
            let dropped: UInt32 = queue.load(at: 8)
        else { return nil }
        // Beside the 32-bit one, when it does not hold the number.
        let all: UInt64? = statistics.value(Int(TCA_STATS_PKT64))
        self.init(frames: all ?? UInt64(frames), bytes: bytes, dropped: UInt64(dropped))
    }
}

extension RTNetlink {
    /// The counters of every link that has such a place, by the link's number.
    public func arrivalCounters() throws(SystemError) -> [Int32: FrameCounters] {
        var request = MessageBuilder(type: Int(RTM_GETQDISC), flags: NLM_F_DUMP)
        request.append(tcmsg())
        var counters: [Int32: FrameCounters] = [:]
        for message in try dump(request, "list qdiscs") {
            guard message.type == Int(RTM_NEWQDISC), let header: tcmsg = message.payload.load(at: 0) else { continue }
            let attributes = Attributes(message.payload.dropFirst(MemoryLayout<tcmsg>.size))
            guard let kind = attributes.string(Int(TCA_KIND)),
                Qdisc(kind: kind, linkIndex: header.tcm_ifindex).isIngress,
                let statistics = attributes.nested(Int(TCA_STATS2))
            else { continue }
            counters[header.tcm_ifindex] = FrameCounters(statistics)
        }
        return counters
    }
}

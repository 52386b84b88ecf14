import CLinux
public import LinuxSystem

/// A traffic control filter that is there.
public struct InstalledFilter: Hashable, Sendable {
    /// Filters are tried in ascending order.
    public var priority: UInt16
    /// What becomes of the frames that match; nil: something that nobody here asks for. A link that is gone has number 0.
    public var verdict: ProgramFilter.Verdict?

    /// A filter.
    public init(priority: UInt16, _ verdict: ProgramFilter.Verdict?) {
        self.priority = priority
        self.verdict = verdict
    }

    /// Reads an RTM_NEWTFILTER message; nil for any other, and for what is no filter itself: its priority's own entry, and
    /// the tables that u32 keeps its filters in.
    init?(_ message: NetlinkMessage) {
        guard message.type == Int(RTM_NEWTFILTER), let header: tcmsg = message.payload.load(at: 0) else { return nil }
        let attributes = Attributes(message.payload.dropFirst(MemoryLayout<tcmsg>.size))
        guard let options = attributes.nested(Int(TCA_OPTIONS)) else { return nil }
        self.init(priority: UInt16(header.tcm_info >> 16), nil)
        switch attributes.string(Int(TCA_KIND)) {
        case "bpf":
            let flags: UInt32 = options.value(Int(TCA_BPF_FLAGS)) ?? 0
            if flags & UInt32(TCA_BPF_FLAG_ACT_DIRECT) != 0 {
                verdict = Self.drops(options[Int(TCA_BPF_OPS)] ?? []) ? .drop : nil
            } else {
                verdict = Self.verdict(of: options.nested(Int(TCA_BPF_ACT)))
            }
        case "u32":
            guard options[Int(TCA_U32_SEL)] != nil else { return nil }
            verdict = Self.verdict(of: options.nested(Int(TCA_U32_ACT)))
        default: break
        }
    }

    /// Of the first action; frames pass without one.
    private static func verdict(of actions: Attributes?) -> ProgramFilter.Verdict? {
        guard let action = actions?.nested(1) else { return .pass }
        guard action.string(Int(TCA_ACT_KIND)) == "mirred",
            let mirred: tc_mirred = action.nested(Int(TCA_ACT_OPTIONS))?.value(Int(TCA_MIRRED_PARMS))
        else { return nil }
        let link = Int32(bitPattern: mirred.ifindex)
        switch mirred.eaction {
        case TCA_EGRESS_REDIR: return .leave(by: link)
        case TCA_INGRESS_REDIR: return .arrive(on: link)
        default: return nil
        }
    }

    /// Whether one of a program's ends is the verdict to drop the frame.
    private static func drops(_ program: ArraySlice<UInt8>) -> Bool {
        // struct sock_filter: code, two jumps, operand.
        stride(from: 0, to: program.count, by: 8).contains { offset in
            program.load(at: offset, as: UInt16.self) == 0x06
                && program.load(at: offset + 4, as: Int32.self) == TC_ACT_SHOT
        }
    }
}

extension RTNetlink {
    /// The filters of one of a link's places for them, in the order in which they are tried; empty without such a place.
    ///
    /// - Parameter direction: `leaving` for links with ``addFilterHooks(linkIndex:name:)`` alone: elsewhere the kernel
    ///   lists the arriving frames' filters for it.
    public func filters(
        _ direction: ProgramFilter.Direction = .arriving, linkIndex: Int32
    ) throws(SystemError) -> [InstalledFilter] {
        var header = tcmsg()
        header.tcm_ifindex = linkIndex
        header.tcm_parent = Self.ingressHandle | (direction == .arriving ? 0xfff2 : 0xfff3)
        var request = MessageBuilder(type: Int(RTM_GETTFILTER), flags: NLM_F_DUMP)
        request.append(header)
        return try dump(request, "list filters").compactMap { InstalledFilter($0) }
    }
}

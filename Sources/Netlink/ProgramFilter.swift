import CLinux
import Glibc
public import LinuxSystem

/// A traffic control filter whose program chooses frames (tc-bpf(8)).
public struct ProgramFilter: Hashable, Sendable {
    /// What becomes of the frames that match.
    public enum Verdict: Hashable, Sendable {
        /// They leave by another link, unseen by the host's network stack. While that link is down or gone they are lost.
        case leave(by: Int32)
        /// They arrive on another link.
        case arrive(on: Int32)
        /// They go on as if there were no filter, and filters behind this one do not see them.
        case pass
        /// They are lost, and counted as dropped.
        case drop
    }

    /// Frames on their way in or out.
    public enum Direction: Hashable, Sendable {
        /// On a link with ``RTNetlink/addIngress(linkIndex:name:)`` or ``RTNetlink/addFilterHooks(linkIndex:name:)``.
        case arriving
        /// On a link with ``RTNetlink/addFilterHooks(linkIndex:name:)``.
        case leaving
    }

    /// Filters are tried in ascending order; one priority has one filter.
    public var priority: UInt16
    /// Which frames.
    public var program: PacketProgram
    /// What becomes of them.
    public var verdict: Verdict

    /// A filter.
    public init(priority: UInt16, _ verdict: Verdict, matching program: PacketProgram = .everything) {
        self.priority = priority
        self.program = program
        self.verdict = verdict
    }

    /// The program's instructions as the kernel takes them. `drop` needs no action: there the program's result is the
    /// verdict itself (TCA_BPF_FLAG_ACT_DIRECT).
    fileprivate var operations: [UInt8] {
        var bytes: [UInt8] = []
        for instruction in program.instructions {
            var operand = instruction.operand
            if verdict == .drop, instruction.code == 0x06 {
                operand = UInt32(bitPattern: operand == PacketProgram.matched ? TC_ACT_SHOT : TC_ACT_UNSPEC)
            }
            withUnsafeBytes(of: instruction.code) { bytes += $0 }
            bytes += [instruction.skipIfTrue, instruction.skipIfFalse]
            withUnsafeBytes(of: operand) { bytes += $0 }
        }
        return bytes
    }

    fileprivate func append(to options: inout MessageBuilder) {
        switch verdict {
        case .leave(let link): Self.redirect(to: link, TCA_EGRESS_REDIR, &options)
        case .arrive(let link): Self.redirect(to: link, TCA_INGRESS_REDIR, &options)
        case .pass: break
        case .drop: options.attribute(Int(TCA_BPF_FLAGS), value: UInt32(TCA_BPF_FLAG_ACT_DIRECT))
        }
        options.attribute(Int(TCA_BPF_OPS_LEN), value: UInt16(truncatingIfNeeded: program.instructions.count))
        options.attribute(Int(TCA_BPF_OPS), operations)
    }

    private static func redirect(to link: Int32, _ direction: Int32, _ options: inout MessageBuilder) {
        options.nested(Int(TCA_BPF_ACT)) { actions in
            actions.nested(1) { $0.appendRedirect(to: link, direction) }
        }
    }
}

extension MessageBuilder {
    /// The attributes of a mirred action that takes frames to another link.
    mutating func appendRedirect(to link: Int32, _ direction: Int32) {
        attribute(Int(TCA_ACT_KIND), string: "mirred")
        nested(Int(TCA_ACT_OPTIONS)) { parameters in
            var mirred = tc_mirred()
            mirred.action = TC_ACT_STOLEN
            mirred.eaction = direction
            mirred.ifindex = UInt32(bitPattern: link)
            parameters.attribute(Int(TCA_MIRRED_PARMS), value: mirred)
        }
    }
}

extension RTNetlink {
    /// Adds a filter, or puts it in the place of the one of its priority, without a moment in which neither is there.
    ///
    /// - Parameter name: the link's name, for errors.
    /// - Throws: `SystemError` with E2BIG for a program of more than 4096 instructions, ENOENT where the kernel has no
    ///   BPF classifier.
    public func setFilter(
        _ filter: ProgramFilter, _ direction: ProgramFilter.Direction = .arriving, linkIndex: Int32, name: String
    ) throws(SystemError) {
        guard filter.program.instructions.count <= PacketProgram.maximumLength else {
            throw SystemError("filter frames of", name, code: E2BIG)
        }
        var header = tcmsg()
        header.tcm_ifindex = linkIndex
        header.tcm_handle = 1
        // Arriving frames: the qdisc itself, `ingress` and `clsact` alike. Leaving: TC_H_MIN_EGRESS of clsact.
        header.tcm_parent = direction == .arriving ? Self.ingressHandle : Self.ingressHandle | 0xfff3
        header.tcm_info = UInt32(filter.priority) << 16 | UInt32(Redirect.FrameType.any.rawValue.bigEndian)
        var request = MessageBuilder(type: Int(RTM_NEWTFILTER), flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE)
        request.append(header)
        request.attribute(Int(TCA_KIND), string: "bpf")
        request.nested(Int(TCA_OPTIONS)) { filter.append(to: &$0) }
        _ = try perform(request, "filter frames of", name)
    }
}

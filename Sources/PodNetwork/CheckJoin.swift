/// What a NIC lacks on its way to the pod's link.
public struct JoinGap: Equatable, Sendable {
    /// What has to be there.
    public var planned: String
    /// What is there.
    public var found: String
    /// What to do about it; empty where nothing is.
    public var remedy = ""
}

extension NetworkState {
    /// Compares the way between the guest and the pod's link with what binding makes. Pure.
    ///
    /// - Parameters:
    ///   - tap: the TAP or macvtap that QEMU has; the link itself, if that is a macvtap.
    ///   - link: the pod's link.
    public func gaps(between tap: String, and link: String) -> [JoinGap] {
        var gaps: [JoinGap] = []
        if self[link] == nil {
            gaps.append(
                JoinGap(
                    planned: "beside the pod's link \(link)", found: "no such link",
                    remedy: "the guest has not let go of it, if the link was taken away a moment ago"))
        }
        guard let end = self[tap] else {
            if tap != link {
                gaps.append(JoinGap(planned: "on \(tap)", found: "no such link in the pod's namespace"))
            }
            return gaps
        }
        if tap != link, !end.isUp { gaps.append(JoinGap(planned: "\(tap) switched on", found: "switched off")) }
        for rule in rules(end, link) {
            guard let place = self[rule.place] else { continue }
            let filters = rule.isLeaving ? place.leaving : place.arriving
            let there = filters.filter { rule.priorities.contains($0.priority) }.map(\.verdict)
            if there.allSatisfy({ $0 == rule.verdict }), there.isEmpty == (rule.verdict == nil) { continue }
            gaps.append(
                JoinGap(
                    planned: "\(rule.frames) \(rule.verdict?.description ?? "meets no filter")",
                    found: there.isEmpty ? "no such filter" : there.map { "it \($0)" }.joined(separator: ", "),
                    remedy: "somebody has changed the traffic control of the pod's links: delete the pod"))
        }
        return gaps
    }

    /// Filters that have to be there.
    private struct Rule {
        var place: String
        var isLeaving = false
        /// The subject of a sentence about the frames that they match.
        var frames: String
        var priorities: ClosedRange<UInt16>
        /// Nil: there is no filter.
        var verdict: FilterState.Verdict?
    }

    private func rules(_ tap: LinkState, _ link: String) -> [Rule] {
        let own = FilterPriority.redirect...FilterPriority.redirect
        let rest = FilterPriority.rest...FilterPriority.rest
        let isMacvtap = tap.device != nil
        let arriving: FilterState.Verdict = isMacvtap ? .arrive(on: tap.name) : .leave(by: tap.name)
        let allowed: FilterState.Verdict = isMacvtap || tap.isRouter ? .pass : .leave(by: link)
        var rules = [
            Rule(
                place: tap.name, isLeaving: isMacvtap, frames: "what the guest sends in its own name", priorities: own,
                verdict: allowed),
            Rule(
                place: tap.name, isLeaving: isMacvtap, frames: "what else the guest sends", priorities: rest,
                verdict: .drop),
        ]
        if tap.name != link, !tap.isRouter {
            rules.append(Rule(place: link, frames: "what arrives on \(link)", priorities: own, verdict: arriving))
        }
        guard !isMacvtap, let number = OwnLink.number(tap: tap.name) else { return rules }
        let relay = self[OwnLink.relay.name(number)]
        rules.append(
            Rule(
                place: tap.name, frames: "the guest's question for addresses", priorities: 0...own.lowerBound - 1,
                verdict: relay.map { .leave(by: $0.name) }))
        if let relay {
            rules.append(Rule(place: relay.name, frames: "the answer to it", priorities: own, verdict: arriving))
        }
        return rules
    }
}

internal import Glibc
public import LinuxSystem
internal import Netlink

/// The links of a pod's network namespace and what becomes of frames there, as the kernel has it.
public struct NetworkState: Codable, Equatable, Sendable {
    /// The links, by name.
    public var links: [LinkState]

    /// A state of its parts.
    public init(links: [LinkState]) {
        self.links = links
    }

    /// Reads the calling thread's namespace. Blocks for milliseconds.
    public init() throws(SystemError) {
        let netlink = try RTNetlink()
        let all = try netlink.links()
        let places = try netlink.qdiscs().filter(\.isIngress)
        links = []
        for link in all.sorted(by: { $0.name < $1.name }) {
            var state = LinkState(link.name, isUp: link.flags.contains(.up))
            state.isRouter = OwnLink.isOwn(link) && link.alias.flatMap { TapNote($0) }?.masquerade != nil
            for place in places where place.linkIndex == link.index {
                state.arriving = try netlink.filters(linkIndex: link.index).map { FilterState($0, all) }
                if place.kind == "clsact" {
                    state.leaving = try netlink.filters(.leaving, linkIndex: link.index).map { FilterState($0, all) }
                }
            }
            if link.kind == "macvtap" {
                let node = MacvtapNode(link: link.name, index: link.index)
                // It may go while it is looked at.
                state.device = (try? node.number()).map { LinkState.Device(path: node.path, number: $0) }
            }
            links.append(state)
        }
    }

    /// A link by its name.
    public subscript(_ name: String) -> LinkState? { links.first { $0.name == name } }
}

/// A link, and what its filters do.
public struct LinkState: Codable, Equatable, Sendable {
    /// Its name.
    public var name: String
    /// Whether it is switched on.
    public var isUp: Bool
    /// The guest's network ends there, and the pod's namespace routes.
    public var isRouter = false
    /// The filters that arriving frames pass, in their order.
    public var arriving: [FilterState] = []
    /// The filters that leaving frames pass, in their order.
    public var leaving: [FilterState] = []
    /// A macvtap's character device.
    public var device: Device?

    /// A character device.
    public struct Device: Codable, Equatable, Sendable {
        /// Where the kernel puts it.
        public var path: String
        /// Its number, which no other device of the node has (makedev(3)).
        public var number: UInt64

        /// A device of its parts.
        public init(path: String, number: UInt64) {
            self.path = path
            self.number = number
        }
    }

    /// A link without filters.
    public init(_ name: String, isUp: Bool = true) {
        self.name = name
        self.isUp = isUp
    }
}

/// A filter, with links by their names.
public struct FilterState: Codable, Equatable, Sendable {
    /// Filters are tried in ascending order.
    public var priority: UInt16
    /// What becomes of the frames that match.
    public var verdict: Verdict

    /// What becomes of frames.
    public enum Verdict: Codable, Hashable, Sendable {
        /// They leave by a link.
        case leave(by: String)
        /// They arrive on a link.
        case arrive(on: String)
        /// They go on.
        case pass
        /// They are dropped.
        case drop
        /// They were to go to a link that is no more.
        case lost
        /// Something that Slipway asks for nowhere.
        case foreign
    }

    /// A filter of its parts.
    public init(_ priority: UInt16, _ verdict: Verdict) {
        self.priority = priority
        self.verdict = verdict
    }

    init(_ filter: InstalledFilter, _ links: [Link]) {
        func name(_ index: Int32) -> String? { links.first { $0.index == index }?.name }
        priority = filter.priority
        verdict =
            switch filter.verdict {
            case .leave(let link): name(link).map { .leave(by: $0) } ?? .lost
            case .arrive(let link): name(link).map { .arrive(on: $0) } ?? .lost
            case .pass: .pass
            case .drop: .drop
            case nil: .foreign
            }
    }
}

extension FilterState.Verdict: CustomStringConvertible {
    /// The end of a sentence about frames.
    public var description: String {
        switch self {
        case .leave(let link): "leaves by \(link)"
        case .arrive(let link): "arrives on \(link)"
        case .pass: "passes"
        case .drop: "is dropped"
        case .lost: "is lost: its link is gone"
        case .foreign: "meets a filter that is not Slipway's"
        }
    }
}

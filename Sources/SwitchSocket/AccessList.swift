/// A POSIX access control list as the kernel keeps it in the extended attribute `system.posix_acl_access` (acl(5),
/// linux/posix_acl_xattr.h).
struct AccessList: Equatable {
    /// Bits of an entry.
    static let execute: UInt16 = 1, write: UInt16 = 2, read: UInt16 = 4

    private struct Entry: Equatable {
        var tag: Tag
        var permissions: UInt16
        var id: UInt32
    }

    /// In the order in which the kernel wants them.
    private enum Tag: UInt16 {
        case owner = 0x01
        case user = 0x02
        case owningGroup = 0x04
        case group = 0x08
        case mask = 0x10
        case others = 0x20
    }

    private static let version: UInt32 = 2
    private static let noID = UInt32.max
    private var entries: [Entry]

    /// What a file's mode says.
    init(mode: UInt32) {
        entries = [(Tag.owner, mode >> 6), (.owningGroup, mode >> 3), (.others, mode)].map { tag, bits in
            Entry(tag: tag, permissions: UInt16(bits & 7), id: Self.noID)
        }
    }

    /// Reads an attribute; nil when it is none of a list.
    init?(attribute bytes: [UInt8]) {
        func number(_ at: Int, _ count: Int) -> UInt32 {
            (0..<count).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
        }
        guard bytes.count >= 4, (bytes.count - 4).isMultiple(of: 8), number(0, 4) == Self.version else { return nil }
        entries = []
        for at in stride(from: 4, to: bytes.count, by: 8) {
            guard let tag = Tag(rawValue: UInt16(number(at, 2))) else { return nil }
            entries.append(Entry(tag: tag, permissions: UInt16(number(at + 2, 2)), id: number(at + 4, 4)))
        }
    }

    /// As the kernel takes it.
    var attribute: [UInt8] {
        func bytes(_ number: UInt32, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: number >> UInt32(8 * $0)) }
        }
        return bytes(Self.version, 4)
            + entries.flatMap { entry in
                bytes(UInt32(entry.tag.rawValue), 2) + bytes(UInt32(entry.permissions), 2) + bytes(entry.id, 4)
            }
    }

    /// Whether it says no more than a mode can.
    var isMode: Bool { entries.allSatisfy { [.owner, .owningGroup, .others].contains($0.tag) } }

    /// The mode's nine bits; those of the group are its own, not the mask.
    var mode: UInt32 {
        func bits(_ tag: Tag) -> UInt32 { UInt32(entries.first { $0.tag == tag }?.permissions ?? 0) & 7 }
        return bits(.owner) << 6 | bits(.owningGroup) << 3 | bits(.others)
    }

    /// The list with an entry for a user. The others' rights are what they were: where the mask had held some of them back,
    /// it has to be wide enough for the new entry all the same, and what it held back is taken from them.
    func granting(_ permissions: UInt16, to user: UInt32) -> AccessList {
        var list = revoking(user)
        let mask = list.entries.first { $0.tag == .mask }?.permissions ?? 7
        for index in list.entries.indices where [.user, .group, .owningGroup].contains(list.entries[index].tag) {
            list.entries[index].permissions &= mask
        }
        list.entries.append(Entry(tag: .user, permissions: permissions, id: user))
        list.setMask()
        return list
    }

    /// The list without an entry for a user.
    func revoking(_ user: UInt32) -> AccessList {
        var list = self
        guard entries.contains(where: { $0.tag == .user && $0.id == user }) else { return self }
        list.entries.removeAll { $0.tag == .user && $0.id == user }
        list.setMask()
        return list
    }

    private mutating func setMask() {
        entries.removeAll { $0.tag == .mask }
        if !isMode {
            let union = entries.filter { [.user, .group, .owningGroup].contains($0.tag) }
                .reduce(UInt16(0)) { $0 | $1.permissions }
            entries.append(Entry(tag: .mask, permissions: union, id: Self.noID))
        }
        entries.sort { ($0.tag.rawValue, $0.id) < ($1.tag.rawValue, $1.id) }
    }
}

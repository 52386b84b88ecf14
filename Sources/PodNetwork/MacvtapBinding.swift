import CLinux
import Glibc
import LinuxSystem
import Netlink

extension NetworkBinding {
    /// A macvtap of our own over the pod's link. What arrives on the link arrives there at once: the host's stack, to
    /// which a macvtap leaves a copy of every broadcast, hears nothing and answers nothing.
    func makeMacvtap(_ plan: InterfacePlan, _ link: Link, note: TapNote) throws(SystemError) {
        try refuseForeignFilter(link)
        try LinkNumber.macvtaps.first { (number) throws(SystemError) in
            try netlink.createMacvtap(
                plan.tap, over: link.index, index: number, receivesAll: plan.settings.isTrusted,
                LinkChange(mtu: plan.mtu, mac: link.mac))
        }
        try netlink.changeLink(plan.tap, LinkChange(alias: note.text, noAutomaticIPv6: true))
        try Sysctl.write("ipv6", "disable_ipv6", 1, of: plan.tap)
        try apply(note, mac: plan.mac)
        let tap = try index(plan.tap)
        try MacvtapNode(link: plan.tap, index: tap).check()
        try netlink.addFilterHooks(linkIndex: tap, name: plan.tap)
        try filterLeaving(plan, tap: tap, name: plan.tap)
        try netlink.changeLink(plan.tap, LinkChange(up: true))
        try netlink.addIngress(linkIndex: link.index, name: link.name)
        try redirect(plan, link, .arrive(on: tap))
    }

    /// A macvtap that a CNI plugin made: there is nothing to join. The note about the filter is the link's alias.
    func adoptMacvtap(_ plan: InterfacePlan, _ link: Link) throws(SystemError) {
        guard link.kind == "macvtap" else {
            throw SystemError("bind", "\(link.name) (it is no macvtap but \(link.kind ?? "hardware"))", code: EINVAL)
        }
        guard link.alias == nil else {
            throw SystemError("bind", "\(link.name) (it has an alias: \(link.alias ?? ""))", code: EEXIST)
        }
        try refuseForeignFilter(link)
        try MacvtapNode(link: link.name, index: link.index).check()
        var note = TapNote(linkIndex: link.index, link: link.name)
        note.adopted = plan.tap
        try netlink.changeLink(link.name, LinkChange(alias: note.text))
        try netlink.addFilterHooks(linkIndex: link.index, name: link.name)
        try filterLeaving(plan, tap: link.index, name: link.name)
    }

    /// What the guest sends passes the place for leaving frames. Doing it twice changes nothing.
    func filterLeaving(_ plan: InterfacePlan, tap: Int32, name: String) throws(SystemError) {
        let program =
            plan.settings.isTrusted
            ? .everything : SpoofingFilter.program(mac: plan.mac, addresses: plan.addresses.map(\.address))
        try netlink.setFilter(ProgramFilter(priority: FilterPriority.rest, .drop), .leaving, linkIndex: tap, name: name)
        try netlink.setFilter(
            ProgramFilter(priority: FilterPriority.redirect, .pass, matching: program), .leaving, linkIndex: tap,
            name: name)
    }
}

/// The character device of a macvtap, `/dev/tapN` with the link's number, which libvirt opens. The kernel makes it in
/// `/dev`, which is the host's, for the links of every namespace: a link of another one may have the name already.
struct MacvtapNode {
    let link: String
    let index: Int32

    var path: String { "/dev/tap\(index)" }

    /// Makes sure that the path leads to this link.
    ///
    /// - Throws: `SystemError` with EEXIST when it is another link's.
    func check() throws(SystemError) {
        let device = try number()
        var information = stat()
        var isThere = stat(path, &information) == 0
        // The name of a device that is no more: two links had the number, and the kernel removes its own files alone.
        if isThere, information.st_mode & S_IFMT == S_IFCHR, !Self.isDevice(UInt64(information.st_rdev)) {
            try File.remove(path)
            isThere = false
        }
        guard isThere else {
            // A /dev that the kernel does not keep.
            guard mknod(path, S_IFCHR | 0o600, dev_t(device)) == 0 else { throw .last("mknod", path) }
            return
        }
        guard information.st_mode & S_IFMT == S_IFCHR, UInt64(information.st_rdev) == device else {
            throw SystemError("open \(link) at", "\(path) (it belongs to a link of another namespace)", code: EEXIST)
        }
    }

    /// Whether a character device has this number, in whatever namespace.
    private static func isDevice(_ number: UInt64) -> Bool {
        File.exists("/sys/dev/char/\(slipway_major(number)):\(slipway_minor(number))")
    }

    /// The device's number as the kernel has it. `/sys` shows the links of the namespace that it was mounted in: a thread
    /// mounts one for itself.
    func number() throws(SystemError) -> UInt64 {
        let (link, index) = (link, index)
        do {
            let text = try Thread.runAndWait("sysfs") {
                try LinuxSystem.check(slipway_unshare(0x0002_0000), "unshare")  // CLONE_NEWNS
                guard mount("none", "/", nil, UInt(MS_REC | MS_PRIVATE), nil) == 0 else {
                    throw SystemError.last("mount", "/")
                }
                guard mount("sysfs", "/sys", "sysfs", 0, nil) == 0 else { throw SystemError.last("mount", "/sys") }
                return try File.text("/sys/class/net/\(link)/macvtap/tap\(index)/dev", limit: 64)
            }
            let parts = text.split { $0 == ":" || $0 == "\n" }.compactMap { UInt32($0) }
            guard parts.count == 2 else { throw SystemError("read device number of", link, code: EINVAL) }
            return slipway_makedev(parts[0], parts[1])
        } catch {
            throw (error as? SystemError) ?? SystemError("read device number of", link, code: EIO)
        }
    }
}

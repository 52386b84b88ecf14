import CLibvirt

// Changes of a running domain. Calls block, those that need the guest for seconds.
extension Domain {
    /// Lets a vCPU's thread run on these CPUs alone.
    public func pin(vcpu: Int, to cpus: some Sequence<Int>) throws(LibvirtError) {
        var map = Self.map(cpus)
        try checked(
            lv_virDomainPinVcpuFlags(pointer, UInt32(clamping: vcpu), &map, Int32(map.count), Self.live),
            "virDomainPinVcpuFlags")
    }

    /// Lets QEMU's own threads run on these CPUs alone.
    public func pinEmulator(to cpus: some Sequence<Int>) throws(LibvirtError) {
        var map = Self.map(cpus)
        try checked(
            lv_virDomainPinEmulator(pointer, &map, Int32(map.count), Self.live), "virDomainPinEmulator")
    }

    /// Lets an I/O thread run on these CPUs alone.
    public func pin(ioThread: Int, to cpus: some Sequence<Int>) throws(LibvirtError) {
        var map = Self.map(cpus)
        try checked(
            lv_virDomainPinIOThread(pointer, UInt32(clamping: ioThread), &map, Int32(map.count), Self.live),
            "virDomainPinIOThread")
    }

    /// The number of vCPUs that are plugged in.
    public func vcpus() throws(LibvirtError) -> Int {
        let count = lv_virDomainGetVcpusFlags(pointer, Self.live)
        try checked(count, "virDomainGetVcpusFlags")
        return Int(count)
    }

    /// Plugs vCPUs in or pulls them out, which a guest may refuse.
    public func set(vcpus: Int) throws(LibvirtError) {
        try checked(
            lv_virDomainSetVcpusFlags(pointer, UInt32(clamping: vcpus), Self.live), "virDomainSetVcpusFlags")
    }

    /// Asks the guest, through its agent, to use so many of its vCPUs and no more. Guests without udev's rule for new
    /// CPUs leave them alone otherwise.
    ///
    /// - Throws: a ``LibvirtError`` whose `isAgentUnavailable` is true when no agent answers.
    public func enable(vcpus: Int) throws(LibvirtError) {
        let flags = Self.live | UInt32(VIR_DOMAIN_VCPU_GUEST.rawValue)
        try checked(lv_virDomainSetVcpusFlags(pointer, UInt32(clamping: vcpus), flags), "virDomainSetVcpusFlags")
    }

    /// Changes a device to what the XML says, where the hypervisor can while it runs.
    public func update(device xml: String) throws(LibvirtError) {
        try checked(
            lv_virDomainUpdateDeviceFlags(pointer, xml, UInt32(VIR_DOMAIN_DEVICE_MODIFY_LIVE.rawValue)),
            "virDomainUpdateDeviceFlags")
    }

    private static let live = UInt32(VIR_DOMAIN_AFFECT_LIVE.rawValue)

    /// Bytes that the guest has of its virtio-mem device at this moment; nil without one.
    public func growingMemory() throws(LibvirtError) -> UInt64? {
        // <current unit='KiB'>N</current> stands in the device's target alone (formatdomain.html, "Memory devices").
        let open = "<current unit='KiB'>"
        guard let line = try xml().split(separator: "\n").first(where: { $0.contains(open) }) else { return nil }
        let number = line.drop { $0 != ">" }.dropFirst().prefix { $0 != "<" }
        return UInt64(number).map { $0 << 10 }
    }

    /// A bit for each CPU, the lowest first (VIR_USE_CPU).
    private static func map(_ cpus: some Sequence<Int>) -> [UInt8] {
        var map: [UInt8] = [0]
        for cpu in cpus where cpu >= 0 {
            while map.count <= cpu / 8 { map.append(0) }
            map[cpu / 8] |= 1 << UInt8(cpu % 8)
        }
        return map
    }
}

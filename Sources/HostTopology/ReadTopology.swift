extension HostTopology {
    /// Reads the host that this process runs on.
    ///
    /// It costs two files for each core and a few for each node, cache and PCI function: blocks for some milliseconds
    /// on the largest hosts. CPUs that go offline meanwhile are left out.
    ///
    /// - Parameters:
    ///   - sysfs: where sysfs is mounted.
    ///   - procfs: where proc is mounted; read on kernels without NUMA alone.
    ///   - devices: addresses of the PCI functions to read, `[]` for none; nil reads all. An address that is not there is
    ///     left out.
    /// - Throws: ``HostTopologyError``, naming the file.
    public static func read(
        sysfs: String = "/sys", procfs: String = "/proc", devices: [String]? = nil
    ) throws(HostTopologyError) -> HostTopology {
        let system = Sysfs(root: sysfs)
        let cpu = "devices/system/cpu"
        guard var online = try system.set("\(cpu)/online") else {
            throw .missing(file: system.path("\(cpu)/online"))
        }
        let nodes = try readNodes(system, Sysfs(root: procfs), online: online)
        // `offline` would list those too that could be plugged in some day.
        let present = try system.set("\(cpu)/present") ?? online
        online = nodes.reduce(CPUSet()) { $0.union($1.cpus) }
        return HostTopology(
            nodes: nodes,
            cpus: try readCPUs(system, online: online, nodes: nodes),
            offline: present.subtracting(online),
            isolated: try system.set("\(cpu)/isolated") ?? [],
            tickless: try system.set("\(cpu)/nohz_full") ?? [],
            devices: try readDevices(system, addresses: devices, nodes: CPUSet(nodes.map(\.id))),
            reservations: try readReservations(system))
    }
}

internal import LinuxSystem

extension Cgroup {
    /// The kernel's threads that move frames for a QEMU in this group (vhost-net), by the name that they have, `vhost-`
    /// and QEMU's process id.
    ///
    /// Since Linux 6.4 they are threads of QEMU, run where it does, and are not among these. Before, they are processes of
    /// the kernel, which puts them into QEMU's groups and lets them run on every CPU there.
    ///
    /// - Parameter procfs: where proc is mounted.
    public func vhostWorkers(of process: Int32, procfs: String = "/proc") -> [Int32] {
        let members = (try? processes()) ?? []
        return members.filter { (try? File.text("\(procfs)/\($0)/comm", limit: 64)) == "vhost-\(process)\n" }
    }
}

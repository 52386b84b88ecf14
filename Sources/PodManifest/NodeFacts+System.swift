internal import CRIProtocol
internal import Glibc
internal import LinuxSystem

extension NodeFacts {
    /// Reads /proc/meminfo, /sys/kernel/mm/hugepages, /etc/resolv.conf and the host name. What is missing is empty.
    public static func read(cgroupDriver: CgroupDriver = .cgroupfs) -> NodeFacts {
        NodeFacts(
            name: hostName(),
            memory: memory(),
            hugePageSizes: hugePageSizes(),
            resolver: CRIDNSConfig(resolvConf: (try? File.text("/etc/resolv.conf")) ?? ""),
            cgroupDriver: cgroupDriver)
    }

    private static func hostName() -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let start = buffer.baseAddress, gethostname(start, 255) == 0 else { return "localhost" }
            start[255] = 0
            return String(cString: start)
        }
    }

    private static func memory() -> Int64 {
        let pages = Int64(sysconf(Int32(_SC_PHYS_PAGES)))
        let size = Int64(sysconf(Int32(_SC_PAGESIZE)))
        return max(pages, 0) * max(size, 0)
    }

    /// Directory names are `hugepages-2048kB`.
    private static func hugePageSizes() -> [UInt64] {
        let names = (try? File.list("/sys/kernel/mm/hugepages")) ?? []
        return names.compactMap { name in
            guard name.hasPrefix("hugepages-"), name.hasSuffix("kB") else { return nil }
            return UInt64(name.dropFirst(10).dropLast(2)).map { $0 << 10 }
        }.sorted()
    }
}

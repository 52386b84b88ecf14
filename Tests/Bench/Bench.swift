import Glibc
import HostFixtures
import HostTopology
import MachinePlanning
import MachineVerification

/// Times what has no program of its own: `plan`, `populate BYTES PAGESIZE`, `verify`. Prints one number.
@main
enum Bench {
    static func main() throws {
        switch CommandLine.arguments.dropFirst().first {
        case "plan": print(try plan())
        case "populate":
            let numbers = CommandLine.arguments.dropFirst(2).compactMap { Int($0) }
            guard numbers.count == 2 else { return usage() }
            print(try populate(numbers[0], pageSize: numbers[1]))
        case "verify": print(try verify())
        default: usage()
        }
    }

    private static func usage() {
        print("usage: slipway-bench plan | populate BYTES PAGESIZE | verify")
        exit(2)
    }

    private static func seconds() -> Double {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
    }

    /// Median microseconds for a plan on eight nodes beside 200 pods that hold CPUs and pages.
    private static func plan() throws -> Double {
        let host = HostFixtures.large
        let pool = host.nodes.flatMap(\.hugePages).first { $0.free >= 64 }
        guard let pool, let node = host.nodes.last, node.cpus.count >= 8 else { return 0 }
        let mine = CPUSet(host.nodes.suffix(2).flatMap { $0.cpus.prefix(4) })
        let free = host.online.subtracting(mine)
        let others = Array(free.prefix(200)).map { cpu in
            Holding(
                pod: "nf/pod-\(cpu)", cpus: [cpu],
                pages: [Holding.Pages(node: host.cpu(cpu)?.node ?? 0, size: pool.size, count: 0)])
        }
        var request = MachineRequest(
            identity: MachineIdentity(
                container: "c", sandbox: "s", podName: "p", podNamespace: "n", podUID: "", containerName: "c"),
            cpuShares: UInt64(mine.count) * 1024, cpus: mine,
            boot: .disk(DiskSource(path: "/disk/vm.qcow2", format: .qcow2, virtualSize: 2 << 30)),
            links: (0..<6).map {
                RequestedLink(
                    "net\($0)", number: $0, backend: .tap(device: "slw\($0)"), mac: "02:00:00:00:00:0\($0)", mtu: 1500)
            },
            accelerator: Decision(.kvm, "measured"), user: 250_000, group: 250_000)
        request.hugePages.limits = [pool.size: pool.size * 32]
        var times: [Double] = []
        for _ in 0..<500 {
            let begin = seconds()
            let plan = try MachinePlan(request, on: host, beside: others)
            times.append((seconds() - begin) * 1e6)
            guard plan.placement.cells.count == 2 else { return 0 }
        }
        return times.sorted()[times.count / 2]
    }

    /// Milliseconds for a GiB of huge pages by mmap(2) with MAP_POPULATE.
    private static func populate(_ bytes: Int, pageSize: Int) throws -> Double {
        // MAP_HUGE_SHIFT is 26.
        let flags =
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE | Int32(pageSize.trailingZeroBitCount << 26)
        let begin = seconds()
        guard let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, flags, -1, 0), memory != MAP_FAILED else {
            throw NoPages(bytes: bytes, pageSize: pageSize)
        }
        let time = seconds() - begin
        munmap(memory, bytes)
        return time * 1000 / (Double(bytes) / Double(1 << 30))
    }

    private struct NoPages: Error {
        var bytes: Int
        var pageSize: Int
    }

    /// Median milliseconds for a machine of this node, the reading of the node included.
    private static func verify() throws -> Double {
        var times: [Double] = []
        for _ in 0..<20 {
            let begin = seconds()
            let machines = VerifiedMachine.all(on: try HostTopology.read())
            times.append((seconds() - begin) * 1000 / Double(max(machines.count, 1)))
        }
        return times.sorted()[times.count / 2]
    }
}

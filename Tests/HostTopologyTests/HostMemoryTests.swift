import Glibc
import HostMemory
import HostTopology
import LinuxSystem
import Testing

@Suite struct HostMemoryTests {
    @Test func pagesAreOnNodesWhenTheyWereWrittenTo() throws {
        let allowed = try #require(HostMemory.allowedNodes(), "libnuma1 is among the packages that tests need")
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let memory = try #require(
            mmap(nil, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
        defer { munmap(memory, 3 * page) }
        memory.storeBytes(of: 1, as: UInt8.self)
        memory.storeBytes(of: 1, toByteOffset: 2 * page, as: UInt8.self)
        let start = UInt64(UInt(bitPattern: memory))
        let nodes = try HostMemory.nodes(
            of: [start + 5, start + UInt64(page), start + 2 * UInt64(page), 0, .max], in: getpid())
        #expect(nodes.count == 5 && nodes[1] == nil && nodes[3] == nil && nodes[4] == nil)
        for index in [0, 2] { #expect(allowed.contains(try #require(nodes[index]))) }
        #expect(try HostMemory.nodes(of: [], in: getpid()).isEmpty)
    }

    @Test func noSuchProcess() {
        let error = #expect(throws: SystemError.self) { try HostMemory.nodes(of: [4096], in: Int32.max) }
        #expect(error?.code == ESRCH)
    }
}

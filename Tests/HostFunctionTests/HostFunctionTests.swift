import Glibc
import LinuxSystem
import Netlink
import TestSupport
import Testing

@testable import HostFunction

/// What can be seen without hardware: files of sysfs that nobody acts on, and links that are no functions. Functions are
/// taken and given back in the lab.
@Suite(.timeLimit(.minutes(1))) struct HostFunctionTests {
    private let address = "0000:3b:02.1"

    /// A function with a driver, and the files by which the kernel is told.
    private func sysfs() throws -> TemporaryDirectory {
        let root = try TemporaryDirectory()
        let device = "bus/pci/devices/\(address)"
        for file in ["bus/pci/drivers_probe", "bus/pci/drivers/iavf/unbind", "\(device)/driver_override"] {
            try root.write(file, "")
        }
        #expect(symlink("../../drivers/iavf", root("\(device)/driver")) == 0)
        return root
    }

    @Test func aFunctionThatIsNotThereIsNamed() throws {
        #expect(throws: HostFunctionError.notThere("0000:00:99.0")) { try HostFunction("0000:00:99.0", link: nil) }
    }

    @Test func whatVFIODoesNotTakeHasItsDriverAgain() throws {
        let root = try sysfs()
        let function = try HostFunction(address, link: nil, sysfs: root.path)
        #expect(function.driver == "iavf" && !function.isFree)
        #expect(throws: HostFunctionError.notTaken(address, driver: "iavf")) {
            try function.take(recordingIn: root("functions"), sysfs: root.path)
        }
        #expect(try File.text(root("bus/pci/drivers/iavf/unbind")) == address)
        #expect(try File.text(root("bus/pci/drivers_probe")) == address)
        // Nor is it VFIO's when it is bound the next time; what is written to a file stays, as it is no one of sysfs.
        #expect(try File.text(root("bus/pci/devices/\(address)/driver_override")).hasPrefix("\n"))
        #expect(try File.list(root("functions")) == [])
        // One whose driver is the same again was given back before, or never taken.
        #expect(HostFunction.giveBackAll(in: root("functions"), sysfs: root.path) == [])
    }

    /// The record says what was; a function that left the node, or a namespace that ended, is nobody's problem.
    @Test func recordsOfWhatIsGoneAreRemoved() throws {
        let root = try sysfs()
        let namespace = try namespace()
        let path = "/proc/\(getpid())/fd/\(namespace.descriptor.raw)"
        try namespace.runAndWait { try RTNetlink().createVeth("net1", peer: "p1") }
        let function = try HostFunction(
            address, link: try FunctionLink("net1", in: path), sysfs: root.path)
        try File.makeDirectory(root("functions"))
        for (index, record) in [
            #"{"address":"\#(address)","driver":"iavf"}"#, #"{"address":"0000:00:99.0","driver":"iavf"}"#, "garbage",
        ].enumerated() {
            try root.write("functions/\(["0000:3b:02.1", "0000:00:99.0", "broken"][index]).json", record)
        }
        let problems = HostFunction.giveBackAll(in: root("functions"), sysfs: root.path)
        #expect(problems.count == 1 && problems[0].contains("broken.json"), "\(problems)")
        #expect(try File.list(root("functions")) == ["broken.json"])
        #expect(function.link?.name == "net1")
    }

    /// Another link under the name becomes what the first one was.
    @Test func aLinkComesBackAsItWas() throws {
        let namespace = try namespace()
        let path = "/proc/\(getpid())/fd/\(namespace.descriptor.raw)"
        let mac = try #require(MACAddress("0a:58:0a:63:00:05"))
        let prefixes = try ["10.99.0.5/24", "fd00:99::5/64"].map { try #require(IPPrefix($0)) }
        let destination = try #require(IPPrefix("10.98.0.0/16"))
        try namespace.runAndWait {
            let netlink = try RTNetlink()
            try netlink.createVeth("net1", peer: "p1")
            try netlink.changeLink("net1", LinkChange(mtu: 9000, mac: mac, alias: "ens1f0v1"))
            for name in ["net1", "p1"] { try netlink.changeLink(name, LinkChange(up: true)) }
            let index = Int32(if_nametoindex("net1"))
            for prefix in prefixes {
                try netlink.addAddress(
                    Address(linkIndex: index, prefix: prefix, flags: [.permanent, .noDuplicateDetection]), name: "net1")
            }
            try netlink.setRoute(
                Route(destination: destination, gateway: IPAddress("10.99.0.1"), linkIndex: index, metric: 7),
                name: "net1")
        }
        let before = try FunctionLink("net1", in: path)
        #expect(before.addresses.map(\.prefix) == prefixes && before.routes.map(\.destination) == [destination])
        try namespace.runAndWait {
            let netlink = try RTNetlink()
            try netlink.deleteLink("net1")
            try netlink.createVeth("net1", peer: "p1")
            try netlink.changeLink("p1", LinkChange(up: true))
        }
        for _ in 0..<2 {
            try before.restore()
            let after = try FunctionLink("net1", in: path)
            #expect(after.mac == mac && after.mtu == 9000 && after.alias == "ens1f0v1" && after.isUp)
            #expect(after.addresses.map(\.prefix) == prefixes)
            #expect(after.routes.map(\.gateway) == [IPAddress("10.99.0.1")] && after.routes.map(\.metric) == [7])
        }
        #expect(throws: SystemError.self) { try FunctionLink("net2", in: path) }
    }

    @Test func aVirtualFunctionHasANumberAtItsPhysicalOne() throws {
        let root = try sysfs()
        #expect(VirtualFunction(address, sysfs: root.path) == nil)
        let devices = "bus/pci/devices"
        try root.write("\(devices)/0000:3b:00.0/net/ens1f0/mtu", "1500")
        #expect(symlink("../0000:3b:00.0", root("\(devices)/\(address)/physfn")) == 0)
        for (number, slot) in [(0, "02.0"), (1, "02.1"), (10, "03.2")] {
            #expect(symlink("../0000:3b:\(slot)", root("\(devices)/0000:3b:00.0/virtfn\(number)")) == 0)
        }
        let function = VirtualFunction(address, sysfs: root.path)
        #expect(function?.physicalLink == "ens1f0" && function?.number == 1)
    }

    private func namespace() throws -> NetworkNamespace {
        var spawn = Spawn("/bin/sleep", ["1000"])
        spawn.newNetworkNamespace = true
        let holder = try spawn.start()
        defer {
            try? holder.signal(SIGKILL)
            _ = try? holder.wait()
        }
        return try NetworkNamespace(path: "/proc/\(holder.pid)/ns/net")
    }
}

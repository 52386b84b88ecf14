import Glibc
import LinuxSystem
import TestSupport
import Testing

@testable import LibvirtMachine

@Suite struct MachineLogTests {
    @Test func aLongOneIsEmptiedUnderItsWriter() throws {
        let directory = try TemporaryDirectory()
        let log = MachineLog(try directory.write("log", "2026-11-28 08:00:00.000+0000: starting up\n"))
        let writer = try FileDescriptor.open(log.path, O_WRONLY | O_APPEND)
        try writer.write(Array("qemu-system-x86_64: first\n".utf8))
        #expect(try !log.bound() && log.reason == "qemu-system-x86_64: first")
        try writer.write([UInt8](repeating: 0x78, count: Int(MachineLog.limit)))
        #expect(try log.bound() && !log.bound())
        try writer.write(Array("qemu-system-x86_64: last\nqemu-system-x86_64: terminating on signal 15\n".utf8))
        let text = try File.text(log.path)
        #expect(text.hasPrefix("slipway: more than 1 MiB") && text.utf8.count < 200, "\(text)")
        #expect(log.reason == "qemu-system-x86_64: last")
    }

    @Test func oneThatIsNotThere() throws {
        let directory = try TemporaryDirectory()
        let log = MachineLog(directory("log"))
        #expect(throws: SystemError("open", log.path, code: ENOENT)) { try log.bound() }
        #expect(log.reason == nil)
    }
}

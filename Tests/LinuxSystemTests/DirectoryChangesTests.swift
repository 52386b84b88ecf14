import Glibc
import LinuxSystem
import TestSupport
import Testing

struct DirectoryChangesTests {
    private func happened(_ changes: DirectoryChanges) throws -> Bool {
        defer { changes.clear() }
        return try changes.descriptor.wait(for: Int16(POLLIN), milliseconds: 0)
    }

    @Test func filesThatComeChangeAndGoAreTold() throws {
        let directory = try TemporaryDirectory()
        var changes = try DirectoryChanges()
        changes.watch([directory.path])
        #expect(try !happened(changes))
        try directory.write("a", "1")
        #expect(try happened(changes))
        try directory.write("a", "2")
        #expect(try happened(changes))
        try #require(rename(directory("a"), directory("b")) == 0)
        #expect(try happened(changes))
        try File.remove(directory("b"))
        #expect(try happened(changes))
        let listener = try UnixSocket.listen(directory("socket"))
        #expect(try happened(changes))
        listener.close()
        changes.watch([])
        changes.clear()
        try directory.write("c", "")
        #expect(try !happened(changes))
    }

    @Test func aDirectoryThatIsNotThereYetIsWaitedFor() throws {
        let directory = try TemporaryDirectory()
        let path = directory("a/b/c")
        try directory.write("other", "1")
        var changes = try DirectoryChanges()
        changes.watch([path])
        try directory.write("other", "2")
        #expect(try !happened(changes))
        for part in ["a", "a/b", "a/b/c"] {
            try File.makeDirectory(directory(part))
            #expect(try happened(changes), "\(part)")
            changes.watch([path])
            changes.clear()
        }
        try directory.write("a/b/c/file", "")
        #expect(try happened(changes))
        // Gone and made anew.
        try File.removeTree(directory("a/b"))
        #expect(try happened(changes))
        changes.watch([path])
        changes.clear()
        try File.makeDirectory(path)
        #expect(try happened(changes))
        changes.watch([path])
        changes.clear()
        try directory.write("a/b/c/file", "")
        #expect(try happened(changes))
    }

    @Test func whatCannotBeADirectoryIsNoEndlessSearch() throws {
        let directory = try TemporaryDirectory()
        try directory.write("file", "")
        var changes = try DirectoryChanges()
        changes.watch([directory("file/below"), "", "/"])
        try #require(symlink("loop", directory("loop")) == 0)
        changes.watch([directory("loop/below")])
    }
}

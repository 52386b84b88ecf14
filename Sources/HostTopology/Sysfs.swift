internal import Glibc
internal import LinuxSystem

/// The small texts below one directory, as sysfs(5) and proc(5) have them. What is not there is nil.
struct Sysfs {
    /// The directory, without a slash at its end.
    let root: String

    func path(_ file: String) -> String { "\(root)/\(file)" }

    /// A file's text without white space at its end; nil when there is no such file, or it went while it was read, as
    /// those of a CPU do that is taken offline.
    func text(_ file: String, limit: Int = 4096) throws(HostTopologyError) -> Substring? {
        do throws(SystemError) {
            let text = try File.text(path(file), limit: limit)
            guard let last = text.utf8.lastIndex(where: { $0 != 0x0a && $0 != 0x20 }) else { return "" }
            return text[...last]
        } catch {
            if Self.absent.contains(error.code) { return nil }
            throw .unreadable(error)
        }
    }

    /// A set in the list format. A mask that was never made reads as `(null)` (`nohz_full` of kernels before 6.2), and
    /// is empty.
    func set(_ file: String) throws(HostTopologyError) -> CPUSet? {
        // 8192 CPUs, every other one listed by itself, are 20 KiB.
        guard let text = try text(file, limit: 1 << 16) else { return nil }
        if text == "(null)" { return [] }
        do throws(CPUSet.Malformed) {
            return try CPUSet(text)
        } catch {
            throw .malformed(path(file), text, wanted: "a list of numbers below \(CPUSet.limit) such as 0-3,8")
        }
    }

    /// A whole number, -1 ("not known") included.
    func number(_ file: String) throws(HostTopologyError) -> Int? {
        guard let text = try text(file) else { return nil }
        guard let number = Int32(text), number >= -1 else {
            throw .malformed(path(file), text, wanted: "a number from -1 to \(Int32.max)")
        }
        return Int(number)
    }

    /// A count.
    func count(_ file: String) throws(HostTopologyError) -> UInt64? {
        guard let text = try text(file) else { return nil }
        guard let number = UInt64(text), number <= Int64.max else {
            throw .malformed(path(file), text, wanted: "a number from 0 to \(Int64.max)")
        }
        return number
    }

    /// The last part of what a link points to.
    func link(_ file: String) throws(HostTopologyError) -> String? {
        let path = path(file)
        var buffer = [CChar](repeating: 0, count: 4096)
        let length = readlink(path, &buffer, buffer.count)
        guard length >= 0 else {
            let error = SystemError.last("readlink", path)
            if Self.absent.contains(error.code) { return nil }
            throw .unreadable(error)
        }
        let name = buffer[..<length].lazy.map { UInt8(bitPattern: $0) }.split(separator: UInt8(ascii: "/")).last
        return name.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The names in a directory; none when it is not there.
    func names(_ directory: String) throws(HostTopologyError) -> [String] {
        do throws(SystemError) {
            return try File.list(path(directory))
        } catch {
            if Self.absent.contains(error.code) { return [] }
            throw .unreadable(error)
        }
    }

    private static let absent: Set<Int32> = [ENOENT, ENOTDIR, ENODEV, ENXIO]
}

import CLinux
import Glibc

/// A system call that failed: what was tried, on what, and the kernel's answer.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The call or the step, for example `open` or `mount overlay`.
    public let operation: String
    /// What it was applied to: a path, a link's name, a process id; empty where there is no object.
    public let subject: String
    /// The errno value, always positive.
    public let code: Int32

    /// Makes an error from an errno value; negative values (as the C shims return) are taken as `-errno`.
    public init(_ operation: String, _ subject: String = "", code: Int32) {
        self.operation = operation
        self.subject = subject
        // The least number has no positive counterpart.
        self.code = Int32(clamping: code.magnitude)
    }

    /// Makes an error from the calling thread's current `errno`; call it before anything else that could change it.
    public static func last(_ operation: String, _ subject: String = "") -> SystemError {
        SystemError(operation, subject, code: errno)
    }

    /// `operation subject: No such file or directory`.
    public var description: String {
        let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { bytes in
            guard let start = bytes.baseAddress, strerror_r(code, start, bytes.count) == 0 else {
                return "errno \(code)"
            }
            return String(cString: start)
        }
        return subject.isEmpty ? "\(operation): \(text)" : "\(operation) \(subject): \(text)"
    }
}

/// Returns a C shim's result, or throws what its `-errno` says.
@discardableResult
public func check(_ result: Int32, _ operation: String, _ subject: String = "") throws(SystemError) -> Int32 {
    guard result >= 0 else { throw SystemError(operation, subject, code: result) }
    return result
}

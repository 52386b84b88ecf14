import Glibc
import LinuxSystem

extension ShimFront {
    /// The program: parses, runs, prints. Returns the exit status.
    public static func main(_ words: [String]) -> Int32 {
        do {
            let arguments = try ShimArguments(Array(words.dropFirst()))
            let program = try executable()
            let front = ShimFront(
                arguments: arguments, environment: processEnvironment(),
                standardInput: arguments.action == .start ? readStandardInput() : [],
                workingDirectory: currentDirectory(),
                sandboxProgram: program.prefix { _ in true }.dropLast(program.reversed().prefix { $0 != "/" }.count)
                    + "slipway-sandbox")
            try FileDescriptor(owning: 1).write(front.run())
            return 0
        } catch {
            try? FileDescriptor(owning: 2).write(Array("\(error)\n".utf8))
            return 1
        }
    }

    private static func executable() throws -> String {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0 else { throw SystemError.last("readlink", "/proc/self/exe") }
        return String(decoding: buffer.prefix(count), as: UTF8.self)
    }

    private static func currentDirectory() -> String {
        guard let text = getcwd(nil, 0) else { return "." }
        defer { free(text) }
        return String(cString: text)
    }

    private static func processEnvironment() -> [String: String] {
        var result: [String: String] = [:]
        let names = ["TTRPC_ADDRESS", "MAX_SHIM_VERSION", "GRPC_ADDRESS", "NAMESPACE"]
        for name in names {
            if let value = getenv(name) { result[name] = String(cString: value) }
        }
        return result
    }

    /// What is on stdin must never make a start fail: it is read to its end, up to 10 MiB, and judged later.
    private static func readStandardInput() -> [UInt8] {
        let input = FileDescriptor(owning: 0)
        return (try? input.readToEnd(limit: 10 << 20)) ?? []
    }
}

import Accelerator
import Glibc

struct SpawnError: Error {
    let executable: String
    let code: Int32
}

/// Runs programs by posix_spawn(3). The end of a process is the end of its standard error pipe.
struct SpawnRunner: ProofRunner {
    func run(executable: String, arguments: [String], deadline: Duration) throws -> ProofRun {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw SpawnError(executable: "pipe", code: errno) }
        defer { close(ends[0]) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 2)

        let strings = ([executable] + arguments).map { strdup($0) }
        defer { strings.forEach { free($0) } }
        let path = strdup("PATH=/usr/bin:/bin")
        defer { free(path) }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, executable, &actions, nil, strings + [nil], [path, nil])
        close(ends[1])
        guard code == 0 else { throw SpawnError(executable: executable, code: code) }

        let (text, ended) = read(ends[0], for: deadline)
        if !ended { kill(pid, SIGKILL) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        guard ended else { return ProofRun(.deadlinePassed, standardError: text) }
        let signal = status & 0x7f
        return ProofRun(signal == 0 ? .exited((status >> 8) & 0xff) : .signaled(signal), standardError: text)
    }

    /// What comes through the pipe, and whether it came to its end within the time.
    private func read(_ descriptor: Int32, for time: Duration) -> (String, Bool) {
        let end = ContinuousClock.now + time
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let left = ContinuousClock.now.duration(to: end)
            guard left > .zero else { return (String(decoding: bytes, as: UTF8.self), false) }
            var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&poller, 1, Int32(left / .milliseconds(1)) + 1) > 0 else { continue }
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return (String(decoding: bytes, as: UTF8.self), true) }
            bytes += buffer[..<count]
        }
    }
}

/// A runner that starts nothing: it notes what it is asked for and answers as told.
final class FakeRunner: ProofRunner {
    let answer: Result<ProofRun, SpawnError>
    private(set) var executable: String?
    private(set) var arguments: [String] = []
    private(set) var image: [UInt8] = []

    init(_ answer: Result<ProofRun, SpawnError>) {
        self.answer = answer
    }

    func run(executable: String, arguments: [String], deadline: Duration) throws -> ProofRun {
        self.executable = executable
        self.arguments = arguments
        if let option = arguments.firstIndex(of: "-bios") { image = try contents(arguments[option + 1]) }
        return try answer.get()
    }
}

/// A file's bytes.
func contents(_ path: String) throws -> [UInt8] {
    guard let file = fopen(path, "r") else { throw SpawnError(executable: path, code: errno) }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
    return bytes
}

/// A new directory in /tmp for the time of `body`, and the names that are left in it then.
func withDirectory<T>(_ body: (String) throws -> T) throws -> (T, left: [String]) {
    var template = Array("/tmp/slipway-accelerator-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SpawnError(executable: "mkdtemp", code: errno) }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { _ = try? SpawnRunner().run(executable: "rm", arguments: ["-r", path], deadline: .seconds(10)) }
    let value = try body(path)
    var left: [String] = []
    if let stream = opendir(path) {
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { left.append(name) }
        }
    }
    return (value, left)
}

internal import HostTopology

/// `/proc/PID/status` (proc_pid_status(5)): `Key:<blanks>value` lines.
struct StatusFile {
    private let values: [Substring: Substring]

    init(_ text: String) {
        var values: [Substring: Substring] = [:]
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            values[line[..<colon]] = line[line.index(after: colon)...].drop { $0 == "\t" || $0 == " " }
        }
        self.values = values
    }

    /// A list of numbers; empty where there is none.
    func set(_ key: Substring) -> CPUSet { (try? CPUSet(values[key] ?? "")) ?? [] }

    /// Bytes of a value in kB; 0 where there is none.
    func kilobytes(_ key: Substring) -> UInt64 {
        let number = UInt64(values[key]?.split(separator: " ").first ?? "") ?? 0
        return number > .max >> 10 ? .max : number << 10
    }

    var privileges: ObservedMachine.Privileges {
        // Real, effective, saved, file system.
        func effective(_ key: Substring) -> UInt32 {
            let numbers = values[key]?.split { $0 == "\t" || $0 == " " } ?? []
            return numbers.count > 1 ? UInt32(numbers[1]) ?? .max : .max
        }
        return ObservedMachine.Privileges(
            user: effective("Uid"), group: effective("Gid"),
            capabilities: UInt64(values["CapEff"] ?? "", radix: 16) ?? .max,
            noNewPrivileges: values["NoNewPrivs"] == "1", filtered: values["Seccomp"] == "2")
    }
}

/// The fields of `/proc/PID/stat` that tell how a thread is scheduled (proc_pid_stat(5)).
struct Scheduling {
    var policy = ObservedThread.Policy.other
    var lastCPU: Int?

    init(stat: String) {
        // The second field is the name in parentheses, which may hold blanks and parentheses; the third follows.
        guard let close = stat.lastIndex(of: ")") else { return }
        let fields = stat[stat.index(after: close)...].split { $0 == " " || $0 == "\n" }
        func number(_ field: Int) -> Int? { field - 3 < fields.count ? Int(fields[field - 3]) : nil }
        lastCPU = number(39).flatMap { (0..<CPUSet.limit).contains($0) ? $0 : nil }
        let priority = number(40) ?? 0
        switch number(41) {
        case 1: policy = .fifo(priority)
        case 2: policy = .roundRobin(priority)
        case 6: policy = .deadline
        default: policy = .other
        }
    }
}

/// `/proc/PID/numa_maps` (numa(7)): a line for each mapping.
enum NumaMaps {
    private struct Key: Hashable {
        var hugePages: UInt64?
        var policy: String
    }

    /// The sums over all mappings, huge pages first, then by policy. Mappings without pages are left out.
    static func memory(_ text: String) -> [ObservedMemory] {
        var sums: [Key: [Int: UInt64]] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count > 2 else { continue }
            var pages: [(node: Int, count: UInt64)] = []
            var isHuge = false
            var size: UInt64 = 4096
            for word in words.dropFirst(2) {
                if word == "huge" {
                    isHuge = true
                } else if word.hasPrefix("kernelpagesize_kB="), let number = UInt64(word.dropFirst(18)) {
                    size = number > 1 << 30 ? 1 << 40 : number << 10
                } else if word.first == "N", let equals = word.firstIndex(of: "="),
                    let node = Int(word[..<equals].dropFirst()), (0..<CPUSet.limit).contains(node),
                    let count = UInt64(word[word.index(after: equals)...])
                {
                    pages.append((node, count))
                }
            }
            guard !pages.isEmpty else { continue }
            // `prefer (many):0` is one policy.
            let policy = words[2].hasPrefix("(") ? "\(words[1]) \(words[2])" : String(words[1])
            for (node, count) in pages {
                let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
                let key = Key(hugePages: isHuge ? size : nil, policy: policy)
                sums[key, default: [:]][node] = (sums[key]?[node] ?? 0).saturatingSum(overflow ? .max : bytes)
            }
        }
        return sums.map { ObservedMemory(hugePages: $0.key.hugePages, policy: $0.key.policy, bytes: $0.value) }
            .sorted { ($1.hugePages ?? 0, $0.policy) < ($0.hugePages ?? 0, $1.policy) }
    }
}

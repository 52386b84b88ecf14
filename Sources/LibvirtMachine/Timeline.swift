import LinuxSystem

/// Numbered time stamps of a machine's start, in milliseconds since Create arrived.
struct Timeline {
    private let start = Clock.nanoseconds
    private var stamps: [(name: String, at: Int64)] = []

    mutating func stamp(_ name: String) { stamps.append((name, Clock.nanoseconds - start)) }

    /// `TS01 rootfs 1.2 ms, TS02 …`
    var text: String {
        stamps.enumerated().map { index, stamp in
            let tenths = stamp.at / 100_000
            return "TS\(index < 9 ? "0" : "")\(index + 1) \(stamp.name) \(tenths / 10).\(tenths % 10) ms"
        }.joined(separator: ", ")
    }
}

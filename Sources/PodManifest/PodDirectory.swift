internal import FoundationEssentials
internal import Glibc
public import LinuxSystem

/// A pod's directory on the node: makes its volumes and removes them with everything mounted there.
///
/// Blocks; needs root for tmpfs and hugetlbfs.
public struct PodDirectory: Sendable {
    /// The directory, which no other pod shares.
    public let path: String

    /// Names the directory; nothing is made yet.
    public init(_ path: String) {
        self.path = path
    }

    /// Makes every volume of a pod; after a failure ``remove()`` cleans up what was made.
    public func make(_ volumes: [PodVolume]) throws(SystemError) {
        try File.makeDirectory(path, mode: 0o750)
        for volume in volumes {
            switch volume.content {
            case .files(let files): try make(files, in: volume.path)
            case .directory: try makeDirectory(volume.path, mode: 0o777)
            case .memory(let limit):
                try makeDirectory(volume.path, mode: 0o777)
                try mount("tmpfs", on: volume.path, options: limit.map { "size=\($0)" } ?? "")
            case .hugePages(let size):
                try makeDirectory(volume.path, mode: 0o777)
                try mount("hugetlbfs", on: volume.path, options: "pagesize=\(size)")
            case .hostPath(let kind): try check(volume.path, kind)
            }
        }
    }

    /// Unmounts and removes everything below the directory. Nothing there is fine; what a hostPath names is left alone.
    public func remove() throws(SystemError) {
        let mounts = (try? File.text("/proc/self/mountinfo", limit: 64 << 20)) ?? ""
        for line in mounts.split(separator: "\n").reversed() {
            let fields = line.split(separator: " ")
            guard fields.count > 4, fields[4].hasPrefix(path + "/") else { continue }
            guard umount2(String(fields[4]), Self.detach | Self.noFollow) == 0 || errno == EINVAL else {
                throw .last("umount", String(fields[4]))
            }
        }
        try File.removeTree(path)
    }

    /// MNT_DETACH and UMOUNT_NOFOLLOW of umount2(2).
    private static let detach: Int32 = 2
    private static let noFollow: Int32 = 8

    private func makeDirectory(_ path: String, mode: UInt32) throws(SystemError) {
        try File.makeDirectory(path, mode: 0o755)
        guard chmod(path, mode) == 0 else { throw .last("chmod", path) }
    }

    private func mount(_ type: String, on path: String, options: String) throws(SystemError) {
        guard Glibc.mount(type, path, type, 0, options) == 0 else { throw .last("mount \(type) on", path) }
        guard chmod(path, 0o777) == 0 else { throw .last("chmod", path) }
    }

    /// Files below a hidden directory, `..data` naming that directory and each top entry naming its part of `..data`:
    /// the kubelet's layout, which programs that watch for a change of a ConfigMap rely on.
    private func make(_ files: [PodVolume.File], in directory: String) throws(SystemError) {
        let version = "..version_1"
        try makeDirectory(directory, mode: 0o755)
        try makeDirectory("\(directory)/\(version)", mode: 0o755)
        var tops: [String] = []
        for file in files {
            let target = "\(directory)/\(version)/\(file.path)"
            if let slash = target.lastIndex(of: "/") { try File.makeDirectory(String(target[..<slash]), mode: 0o755) }
            let handle = try FileDescriptor.open(target, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
            try handle.write(file.data)
            guard fchmod(handle.raw, file.mode) == 0 else { throw .last("chmod", target) }
            let top = String(file.path.prefix { $0 != "/" })
            if !tops.contains(top) { tops.append(top) }
        }
        try link(version, at: "\(directory)/..data")
        for top in tops { try link("..data/\(top)", at: "\(directory)/\(top)") }
    }

    private func link(_ target: String, at path: String) throws(SystemError) {
        guard symlink(target, path) == 0 else { throw .last("symlink", path) }
    }

    private func check(_ path: String, _ kind: Volume.HostPath.Kind) throws(SystemError) {
        let place = URL(filePath: path).resolvingSymlinksInPath().path
        let found = try? FileManager.default.attributesOfItem(atPath: place)[.type] as? FileAttributeType
        func require(_ type: FileAttributeType, _ otherwise: Int32) throws(SystemError) {
            if found != type {
                throw SystemError("hostPath of type \(kind.rawValue)", path, code: found == nil ? ENOENT : otherwise)
            }
        }
        switch kind {
        case .unchecked: break
        case .directoryOrCreate where found == nil: try File.makeDirectory(path, mode: 0o755)
        case .fileOrCreate where found == nil: _ = try FileDescriptor.open(path, O_WRONLY | O_CREAT, mode: 0o644)
        case .directory, .directoryOrCreate: try require(.typeDirectory, ENOTDIR)
        case .file, .fileOrCreate: try require(.typeRegular, EISDIR)
        case .socket: try require(.typeSocket, ENOTSOCK)
        case .characterDevice: try require(.typeCharacterSpecial, ENODEV)
        case .blockDevice: try require(.typeBlockSpecial, ENOTBLK)
        }
    }
}

import Glibc
import LinuxSystem

extension CloudInitSeed {
    /// The programs that write the image, the fastest first. They take the same arguments; xorriso's form needs a
    /// tenth of a second more.
    public static let imagePrograms = ["/usr/bin/genisoimage", "/usr/bin/mkisofs", "/usr/bin/xorrisofs"]

    /// Writes the seed as an ISO 9660 image with its kind's label, with Rock Ridge and Joliet names, readable and
    /// writable by its owner alone. Blocks for the run of one program.
    ///
    /// - Parameters:
    ///   - path: the image; whatever is there is replaced. Beside it, `<path>.files` is used and removed again.
    ///   - programs: tried in this order; the first that exists is run.
    /// - Throws: ``GuestConfigurationError/noImageProgram(_:)``, ``GuestConfigurationError/imageProgram(_:output:)``
    ///   or ``GuestConfigurationError/system(_:)``. No image is left behind then.
    public func writeImage(
        to path: String, programs: [String] = imagePrograms
    ) throws(GuestConfigurationError) {
        guard let program = programs.first(where: LinuxSystem.File.exists) else { throw .noImageProgram(programs) }
        let directory = path + ".files"
        defer { try? LinuxSystem.File.removeTree(directory) }
        let status: LinuxSystem.Process.Status
        let output: String
        do throws(SystemError) {
            try LinuxSystem.File.removeTree(directory)
            try LinuxSystem.File.remove(path)
            try LinuxSystem.File.makeDirectory("\(directory)/\(kind.directory)", mode: 0o700)
            for file in File.allCases {
                let name = "\(directory)/\(kind.directory)\(kind.name(file))"
                try FileDescriptor.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
                    .write(files[file] ?? [])
            }
            // Created here, with its mode, and written through stdout, which is where these programs write to by default.
            let image = try FileDescriptor.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            var spawn = Spawn(
                program,
                ["-quiet", "-input-charset", "utf-8", "-V", kind.label, "-J", "-R", "-no-pad", directory])
            spawn.workingDirectory = directory
            spawn.descriptors = [1: image]
            (status, output) = try spawn.run()
        } catch {
            try? LinuxSystem.File.remove(path)
            throw .system(error)
        }
        guard status == .exited(0) else {
            try? LinuxSystem.File.remove(path)
            throw .imageProgram(program, output: "\(status), \(output)")
        }
    }
}

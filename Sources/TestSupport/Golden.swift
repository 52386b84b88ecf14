internal import Glibc
public import LinuxSystem

/// Files that say what a text has to be, beside the tests.
public enum Golden {
    /// The recorded text of a name. With `SLIPWAY_UPDATE_GOLDEN=1` in the environment the actual text is recorded first,
    /// for the difference to be read before it is committed.
    ///
    /// - Parameters:
    ///   - name: the file's name in the directory `Golden` beside the test's source file.
    ///   - actual: what the code made.
    ///   - source: the test's source file.
    public static func text(_ name: String, actual: String, source: String = #filePath) throws(SystemError) -> String {
        let directory = source.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/Golden"
        if let update = getenv("SLIPWAY_UPDATE_GOLDEN"), String(cString: update) == "1" {
            try File.makeDirectory(directory, mode: 0o755)
            try File.replace("\(directory)/\(name)", with: Array(actual.utf8), mode: 0o644)
        }
        return try File.text("\(directory)/\(name)")
    }
}

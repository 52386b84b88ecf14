/// The container's environment and command as files in the guest, written by cloud-init.
///
/// They travel as a boot hook in the vendor-data and not as `write_files` of a cloud-config: cloud-init merges
/// vendor-data under user-data key by key, so that any `write_files` of the user would silently take their place. A
/// boot hook also runs at every boot and before the modules, which makes the files there for `bootcmd` already.
struct VendorData {
    /// `/etc/slipway/environment`: one assignment a line, as both sh(1) (`. file`) and systemd's EnvironmentFile=
    /// read it.
    let environmentFile: String
    /// `/etc/slipway/command`: a JSON array of strings; nil when the pod gives no command.
    let commandFile: String?

    init(environment: [String], command: [String]) throws(GuestConfigurationError) {
        var lines = ""
        for (index, entry) in environment.enumerated() {
            guard !entry.utf8.contains(0) else { throw .nul(field: "process.env[\(index)]") }
            guard let equals = entry.utf8.firstIndex(of: UInt8(ascii: "=")), equals != entry.startIndex else {
                throw .environment(index: index)
            }
            let name = entry[..<equals]
            guard Self.isShellName(name) else {
                lines += "# not a name for a shell: \(JSONText.quoted(String(name)))\n"
                continue
            }
            lines += "\(name)=\(Self.doubleQuoted(entry[entry.utf8.index(after: equals)...]))\n"
        }
        environmentFile = lines
        for (index, argument) in command.enumerated() where argument.utf8.contains(0) {
            throw .nul(field: "process.args[\(index)]")
        }
        commandFile = command.isEmpty ? nil : JSONText.strings(command).text() + "\n"
    }

    /// The vendor-data file. Only root may read the two files in the guest: the environment may hold secrets.
    var text: String {
        var script = """
            #cloud-boothook
            #!/bin/sh
            umask 077
            mkdir -p /etc/slipway
            printf %s \(Self.singleQuoted(environmentFile)) > /etc/slipway/environment

            """
        if let commandFile {
            script += "printf %s \(Self.singleQuoted(commandFile)) > /etc/slipway/command\n"
        } else {
            script += "rm -f /etc/slipway/command\n"
        }
        return script
    }

    /// The same for OpenStack's `vendor_data.json`, a JSON object of which cloud-init takes what bears its name.
    var json: JSONText { .object([("cloud-init", .string(text))]) }

    private static func isShellName(_ name: Substring) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return name.utf8.allSatisfy { byte in
            switch UnicodeScalar(byte) {
            case "a"..."z", "A"..."Z", "0"..."9", "_": true
            default: false
            }
        }
    }

    /// Inside double quotes sh and systemd agree: these four are escaped, a line break stands for itself.
    private static func doubleQuoted(_ value: Substring) -> String {
        var text = "\""
        for scalar in value.unicodeScalars {
            if scalar == "\"" || scalar == "\\" || scalar == "$" || scalar == "`" { text += "\\" }
            text.unicodeScalars.append(scalar)
        }
        return text + "\""
    }

    private static func singleQuoted(_ value: String) -> String {
        var text = "'"
        for scalar in value.unicodeScalars {
            if scalar == "'" { text += "'\\'" }
            text.unicodeScalars.append(scalar)
        }
        return text + "'"
    }
}

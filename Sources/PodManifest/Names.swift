/// Which names the Kubernetes API accepts (RFC 1123). They become parts of paths, so nothing else may pass.
enum Names {
    static func isLowerAlphanumeric(_ byte: UInt8) -> Bool {
        (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte)
    }

    static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isLowerAlphanumeric(byte) || (0x41...0x5a).contains(byte)
    }

    /// Up to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit.
    static func isLabel(_ name: some StringProtocol) -> Bool {
        let bytes = Array(name.utf8)
        guard let first = bytes.first, let last = bytes.last, bytes.count <= 63 else { return false }
        return isLowerAlphanumeric(first) && isLowerAlphanumeric(last)
            && bytes.allSatisfy { isLowerAlphanumeric($0) || $0 == 0x2d }
    }

    /// Labels joined by dots, up to 253 bytes.
    static func isSubdomain(_ name: String) -> Bool {
        name.utf8.count <= 253 && name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(isLabel)
    }

    static func require(label name: String, _ field: String) throws(ManifestError) {
        guard isLabel(name) else {
            throw ManifestError(
                field, "\"\(name)\" is no name: up to 63 of a-z, 0-9 and '-', with a letter or digit at both ends")
        }
    }

    static func require(subdomain name: String, _ field: String) throws(ManifestError) {
        guard isSubdomain(name) else {
            throw ManifestError(
                field, "\"\(name)\" is no name: up to 253 of a-z, 0-9, '-' and '.', with a letter or digit at both ends"
            )
        }
    }

    /// A relative path that stays below where it starts.
    static func require(relativePath path: String, _ field: String) throws(ManifestError) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let plain = parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
        guard plain, !path.utf8.contains(0), !path.hasPrefix("..") else {
            throw ManifestError(field, "\"\(path)\" is not accepted: a relative path without \"..\" is")
        }
    }

    static func require(absolutePath path: String, _ field: String) throws(ManifestError) {
        guard path.hasPrefix("/"), !path.utf8.contains(0), !path.split(separator: "/").contains("..") else {
            throw ManifestError(field, "\"\(path)\" is not accepted: an absolute path without \"..\" is")
        }
    }
}

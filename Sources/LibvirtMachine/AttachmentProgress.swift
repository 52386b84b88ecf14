import CNI

/// Whether the plugins of a network have come to their end with an interface. A link may be looked at while they are about
/// it; one that vanishes under their hands, as a function's does that the guest gets, would be their failure.
struct AttachmentProgress: Sendable {
    /// What is attached by hand.
    var attachments: Attachments
    /// What others have attached by libcni.
    var results = ResultCache()
    /// The sandbox's id, which is CNI's container id.
    var sandbox: String

    /// nil when nobody tells.
    func isComplete(_ interface: String) -> Bool? {
        if let attachment = try? attachments.read(interface) { return attachment.result != nil }
        let entries = (try? results.entries(container: sandbox, interface: interface)) ?? []
        return entries.isEmpty ? nil : true
    }

    /// What they have made; nil when nobody tells.
    func result(_ interface: String) throws -> CNIResult? {
        try results.result(container: sandbox, interface: interface) ?? attachments.read(interface)?.result
    }
}

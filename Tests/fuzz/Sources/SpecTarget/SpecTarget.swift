import OCIRuntimeSpec

/// A container's config.json, its annotations, and the resources of an Update.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let json = Array(UnsafeBufferPointer(start: bytes, count: count))
    do {
        let spec = try Spec.decode(json)
        _ = try? CRIAnnotations(spec.annotations ?? [:])
    } catch {
        precondition(!error.description.isEmpty)
    }
    _ = try? Spec.decodeResources(json)
    return 0
}

import CNI

/// What plugins print, what others have cached of it, and configurations.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let value = try? JSONValue(parsing: bytes) {
        precondition((try? JSONValue(parsing: Array(value.text.utf8))) == value, "what is written is read again")
    }
    do throws(ResultError) {
        let result = try CNIResult(parsing: bytes, version: "1.1.0")
        for address in result.addresses {
            precondition(result.interfaces.indices.contains(address.interface ?? 0) || address.interface == nil)
        }
    } catch {
        precondition(!error.description.isEmpty)
    }
    _ = try? ResultCache.entry(bytes, network: "lan", file: "lan-abc-net1")
    do throws(CNIError) {
        let network = try NetworkConfiguration(parsing: bytes, source: "lan.conflist", defaultName: "lan")
        precondition((try? NetworkConfiguration(network.json, source: "again")) == network)
    } catch {
        precondition(!error.description.isEmpty)
    }
    return 0
}

import ContainerIO
import ContainerdAPI
import SwiftProtobuf

/// Decodes, and expects that what was decoded encodes to the same message.
private func decode<Request: Message & Equatable>(_ type: Request.Type, _ bytes: [UInt8]) -> Request? {
    guard let request = try? Request(serializedBytes: bytes) else { return nil }
    guard let encoded: [UInt8] = try? request.serializedBytes(), let again = try? Request(serializedBytes: encoded)
    else { preconditionFailure("\(type): what was decoded cannot be encoded") }
    precondition(again == request)
    return request
}

/// The payloads of containerd's Task calls; the first byte chooses the message.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let all = UnsafeBufferPointer(start: bytes, count: count)
    guard let choice = all.first else { return 0 }
    let payload = Array(all.dropFirst())
    switch choice % 12 {
    case 0:
        guard let request = decode(Task_CreateTaskRequest.self, payload) else { break }
        for uri in [request.stdin, request.stdout, request.stderr] { _ = try? Endpoint(uri) }
        if request.hasOptions { _ = try? request.options.message(as: RuntimeOptions_Options.self) }
    case 1:
        guard let request = decode(Task_ExecProcessRequest.self, payload) else { break }
        for uri in [request.stdin, request.stdout, request.stderr] { _ = try? Endpoint(uri) }
    case 2: _ = decode(Task_UpdateTaskRequest.self, payload)
    case 3: _ = decode(Task_StateRequest.self, payload)
    case 4: _ = decode(Task_KillRequest.self, payload)
    case 5: _ = decode(Task_DeleteRequest.self, payload)
    case 6: _ = decode(Task_WaitRequest.self, payload)
    case 7: _ = decode(Task_ResizePtyRequest.self, payload)
    case 8: _ = decode(Task_CloseIORequest.self, payload)
    case 9: _ = decode(Task_StatsResponse.self, payload)
    case 10: _ = decode(Task_ShutdownRequest.self, payload)
    default: _ = try? Endpoint(String(decoding: payload, as: UTF8.self))
    }
    return 0
}

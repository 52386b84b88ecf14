internal import FoundationEssentials
internal import SwiftProtobuf

/// The envelope of a request, from and to bytes.
extension Call {
    init(envelope bytes: [UInt8]) throws(StatusError) {
        let request: Wire_Request
        do {
            request = try Wire_Request(serializedBytes: bytes)
        } catch {
            throw StatusError(
                .invalidArgument,
                "the frame's \(bytes.count) bytes are not a \(Wire_Request.protoMessageName) (\(error))")
        }
        var metadata: Metadata = [:]
        for entry in request.metadata { metadata[entry.key, default: []].append(entry.value) }
        self.init(
            service: request.service, method: request.method, payload: [UInt8](request.payload),
            timeout: request.timeoutNano == 0 ? nil : .nanoseconds(request.timeoutNano), metadata: metadata)
    }

    /// - Throws: ``StatusError`` with code 3 when it cannot be serialized.
    func envelope() throws(StatusError) -> [UInt8] {
        var request = Wire_Request()
        request.service = service
        request.method = method
        request.payload = Data(payload)
        request.timeoutNano = timeout.map(Self.nanoseconds) ?? 0
        for (key, values) in metadata.sorted(by: { $0.key < $1.key }) {
            for value in values {
                var entry = Wire_KeyValue()
                entry.key = key
                entry.value = value
                request.metadata.append(entry)
            }
        }
        do {
            return try request.serializedBytes()
        } catch {
            throw StatusError(.invalidArgument, "\(service)/\(method): the request cannot be serialized (\(error))")
        }
    }

    /// At least 1, since 0 means "no limit", and at most what the field holds.
    private static func nanoseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflow2) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        if overflow || overflow2 { return seconds > 0 ? .max : 1 }
        return max(sum, 1)
    }
}

/// The envelope of a response, from and to bytes.
enum Reply: Equatable {
    case success([UInt8])
    case failure(StatusError)

    init(envelope bytes: [UInt8]) {
        do {
            let response = try Wire_Response(serializedBytes: bytes)
            let status = response.status
            if status.code == 0 {
                self = .success([UInt8](response.payload))
            } else if let code = StatusCode(rawValue: status.code) {
                self = .failure(StatusError(code, status.message))
            } else {
                self = .failure(StatusError(.unknown, "\(status.message) (code \(status.code))"))
            }
        } catch {
            self = .failure(
                StatusError(
                    .internal, "the peer's \(bytes.count) bytes are not a \(Wire_Response.protoMessageName) (\(error))")
            )
        }
    }

    /// The whole frame. A payload beyond the limit becomes a failure with code 8.
    func frame(stream: UInt32) -> [UInt8] {
        var response = Wire_Response()
        switch self {
        case .success(let payload):
            response.payload = Data(payload)
        case .failure(let error):
            response.status.code = error.code.rawValue
            // A message may quote what the peer has sent; with this bound a failure always fits.
            response.status.message = String(decoding: error.message.utf8.prefix(64 << 10), as: UTF8.self)
        }
        if let bytes: [UInt8] = try? response.serializedBytes(),
            let frame = Frame(stream: stream, kind: .response, payload: bytes).bytes
        {
            return frame
        }
        let message = "the response is larger than a frame's limit of \(FrameHeader.maximumLength) bytes"
        return Reply.failure(StatusError(.resourceExhausted, message)).frame(stream: stream)
    }
}

internal import FoundationEssentials
internal import GRPCCore
internal import SwiftProtobuf

/// Protobuf messages for gRPC.
///
/// Two dozen lines in place of a package that would bring swift-protobuf's Foundation support into every program here.
struct MessageEncoder<Message: SwiftProtobuf.Message>: MessageSerializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ message: Message) throws -> Bytes {
        do {
            return Bytes(try message.serializedBytes() as [UInt8])
        } catch {
            throw RPCError(code: .invalidArgument, message: "the request cannot be serialized: \(error)")
        }
    }
}

/// The way back.
struct MessageDecoder<Message: SwiftProtobuf.Message>: MessageDeserializer {
    func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> Message {
        do {
            return try bytes.withUnsafeBytes { try Message(serializedBytes: Array($0)) }
        } catch {
            throw RPCError(code: .internalError, message: "the response is no \(Message.protoMessageName): \(error)")
        }
    }
}

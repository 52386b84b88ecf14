import FoundationEssentials
import Libvirt
import Sandbox

/// qemu-guest-agent's commands for running programs (QEMU's "guest agent protocol reference": guest-exec).
struct GuestAgent: Sendable {
    private let domain: Domain

    init(_ domain: Domain) { self.domain = domain }

    private struct Exec: Encodable {
        struct Arguments: Encodable {
            let path: String
            let arg: [String]
            let env: [String]
            let inputData: String?
            let captureOutput = true
            enum CodingKeys: String, CodingKey {
                case path, arg, env
                case inputData = "input-data"
                case captureOutput = "capture-output"
            }
        }
        let execute = "guest-exec"
        let arguments: Arguments
    }

    private struct ExecReply: Decodable {
        struct Return: Decodable { let pid: Int64 }
        let `return`: Return
    }

    private struct StatusReply: Decodable {
        struct Return: Decodable {
            let exited: Bool
            let exitcode: Int64?
            let signal: Int64?
            let outData: String?
            let errData: String?
            enum CodingKeys: String, CodingKey {
                case exited, exitcode, signal
                case outData = "out-data"
                case errData = "err-data"
            }
        }
        let `return`: Return
    }

    /// Starts a program; returns its process id in the guest. Blocks.
    func start(_ command: GuestCommand) throws -> Int64 {
        let request = Exec(
            arguments: Exec.Arguments(
                path: command.arguments.first ?? "", arg: Array(command.arguments.dropFirst()),
                env: command.environment,
                inputData: command.input.isEmpty ? nil : Data(command.input).base64EncodedString()))
        let json = String(decoding: try JSONEncoder().encode(request), as: UTF8.self)
        return try JSONDecoder().decode(ExecReply.self, from: Data(try send(json).utf8)).return.pid
    }

    /// What came of a program; nil while it runs. Blocks.
    func result(of pid: Int64) throws -> GuestCommand.Result? {
        let reply = try send(#"{"execute":"guest-exec-status","arguments":{"pid":\#(pid)}}"#)
        let status = try JSONDecoder().decode(StatusReply.self, from: Data(reply.utf8)).return
        guard status.exited else { return nil }
        let code = status.signal.map { 128 + ($0 & 0x7f) } ?? status.exitcode ?? 0
        return GuestCommand.Result(
            status: UInt32(truncatingIfNeeded: code) & 0xff, output: decoded(status.outData),
            error: decoded(status.errData))
    }

    private struct InterfacesReply: Decodable {
        struct Interface: Decodable {
            let name: String
            let hardwareAddress: String?
            enum CodingKeys: String, CodingKey {
                case name
                case hardwareAddress = "hardware-address"
            }
        }
        let `return`: [Interface]
    }

    /// The guest's names of its NICs, by Ethernet address in small letters, which several may share. Blocks for a second
    /// at most.
    func interfaces() throws -> [String: [String]] {
        let reply = try domain.agentCommand(#"{"execute":"guest-network-get-interfaces"}"#, seconds: 1)
        let interfaces = try JSONDecoder().decode(InterfacesReply.self, from: Data(reply.utf8)).return
        return Dictionary(
            interfaces.compactMap { interface in interface.hardwareAddress.map { ($0.lowercased(), [interface.name]) }
            },
            uniquingKeysWith: +)
    }

    private func decoded(_ text: String?) -> [UInt8] {
        text.flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) } ?? []
    }

    private func send(_ json: String) throws -> String {
        do {
            return try domain.agentCommand(json, seconds: 10)
        } catch {
            if !error.isAgentUnavailable { throw error }
            throw SandboxError(
                .unavailable,
                "the guest's agent does not answer; a command needs qemu-guest-agent running in the guest (\(error.message))"
            )
        }
    }
}

import ContainerdAPI
import FoundationEssentials
import Glibc
import LinuxSystem
import OCIRuntimeSpec
import SandboxRemains
public import StateDirectory
import SwiftProtobuf
import Version

/// The program that containerd runs: it lives for milliseconds, and what it prints is the answer.
public struct ShimFront: Sendable {
    /// An answer that is an error: its text goes to stderr, the exit status is 1.
    public struct Failure: Error, Equatable, CustomStringConvertible {
        /// The sentence, which containerd hands to the user.
        public let description: String
    }

    /// The parsed command line.
    public var arguments: ShimArguments
    /// The environment that containerd gives.
    public var environment: [String: String]
    /// Everything on stdin.
    public var standardInput: [UInt8]
    /// The working directory: containerd's bundle.
    public var workingDirectory: String
    /// The sandbox process's program.
    public var sandboxProgram: String
    /// The directory of all sandboxes.
    public var root: String

    /// A call of the program.
    public init(
        arguments: ShimArguments, environment: [String: String] = [:], standardInput: [UInt8] = [],
        workingDirectory: String, sandboxProgram: String, root: String = StateDirectory.defaultRoot
    ) {
        self.arguments = arguments
        self.environment = environment
        self.standardInput = standardInput
        self.workingDirectory = workingDirectory
        self.sandboxProgram = sandboxProgram
        self.root = root
    }

    /// Does what is asked and returns what has to be printed.
    public func run() throws -> [UInt8] {
        switch arguments.action {
        case .version: Array("\(Version.runtimeName) \(Version.text)\n".utf8)
        case .info: try info()
        case .start: try start()
        case .delete: try delete()
        }
    }

    private func info() throws -> [UInt8] {
        let features = #"{"ociVersionMin":"1.0.0","ociVersionMax":"1.1.0","mountOptions":["ro","rw","bind","rbind"]}"#
        return try Containerd_RuntimeInfo.with {
            $0.name = Version.runtimeName
            $0.version = .with { $0.version = Version.text }
            $0.features = Google_Protobuf_Any(typeURL: TypeURL.ociFeatures, bytes: Array(features.utf8))
        }.serializedBytes()
    }

    func readSpec() throws -> (spec: Spec, annotations: CRIAnnotations) {
        let spec = try Spec.decode(File.read("\(workingDirectory)/config.json", limit: Spec.maximumSize))
        return (spec, try CRIAnnotations(spec.annotations ?? [:]))
    }
}

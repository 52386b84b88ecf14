import Configuration
import LinuxSystem
import TestSupport
import Testing

@Suite struct ConfigurationTests {
    private func parse(_ json: String) throws(ConfigurationError) -> Configuration {
        try Configuration(json: Array(json.utf8), file: "/f")
    }

    private func refusal(_ json: String) -> String? {
        do throws(ConfigurationError) {
            _ = try parse(json)
            return nil
        } catch {
            return error.description
        }
    }

    @Test func nothingSaidIsTheDefaults() throws {
        #expect(try parse("{}") == Configuration())
        let defaults = Configuration()
        #expect(defaults.accelerator == .auto && defaults.users == 250_000...259_999)
        #expect(defaults.defaultVCPUs == 1 && defaults.defaultMemory == 512 << 20)
        #expect(defaults.allows(annotation: "disk", in: "any"))
    }

    @Test func everythingSaid() throws {
        let configuration = try parse(
            """
            // The node's settings.
            {
                accelerator: 'tcg', /* no KVM here */
                "users": {"first": 1000, "count": 1},
                "defaults": {"vcpus": 4, "memory": 1073741824,},
                "overhead": 1, "cache": "/c",
                "annotations": {"*": ["disk"], "trusted": ["*"], "none": []}
            }
            """)
        #expect(configuration.accelerator == .tcg && configuration.users == 1000...1000)
        #expect(configuration.defaultVCPUs == 4 && configuration.defaultMemory == 1 << 30)
        #expect(configuration.overhead == 1 && configuration.cache == "/c")
        #expect(
            configuration.allows(annotation: "disk", in: "any") && !configuration.allows(annotation: "x", in: "any"))
        #expect(configuration.allows(annotation: "x", in: "trusted"))
        #expect(!configuration.allows(annotation: "disk", in: "none"))
    }

    @Test(arguments: [
        (
            #"{"acelerator": "kvm"}"#,
            "/f: acelerator: is not known; known here: accelerator, annotations, base, cache, defaults, overhead, "
                + "profile, users"
        ),
        (#"{"defaults": {"cpus": 1}}"#, "/f: defaults.cpus: is not known; known here: memory, vcpus"),
        (#"{"users": {"first": 1, "last": 2}}"#, "/f: users.last: is not known; known here: count, first"),
        (#"{"profile": "hp"}"#, #"/f: profile: is "hp"; one of standard, high-performance is accepted"#),
        (#"{"accelerator": "hvf"}"#, #"/f: accelerator: is "hvf"; one of auto, kvm, tcg is accepted"#),
        (
            #"{"users": {"first": 0, "count": 1}}"#,
            "/f: users: first 0, count 1: both have to be above 0 and fit 32 bits"
        ),
        (
            #"{"users": {"first": 4294967295, "count": 1}}"#,
            "/f: users: first 4294967295, count 1: both have to be above 0 and fit 32 bits"
        ),
        (#"{"users": {"first": 1}}"#, "/f: users.count: is missing"),
        (#"{"defaults": {"vcpus": 0}}"#, "/f: defaults.vcpus: is 0; 1 to 255 is accepted"),
        (#"{"defaults": {"vcpus": 256}}"#, "/f: defaults.vcpus: is 256; 1 to 255 is accepted"),
        (
            #"{"defaults": {"memory": 67108863}}"#,
            "/f: defaults.memory: is 67108863; 67108864 (64 MiB) and more is accepted"
        ),
    ])
    func refused(json: String, sentence: String) {
        #expect(refusal(json) == sentence)
    }

    @Test(arguments: [
        ("", ""), ("{", ""), ("[]", ""), (#"{"accelerator": 5}"#, "accelerator"), (#"{"users": 5}"#, "users"),
        (#"{"users": null}"#, "users"), (#"{"defaults": {"memory": "1Gi"}}"#, "defaults.memory"),
        (#"{"annotations": {"*": "disk"}}"#, "annotations.*"), (#"{"cache": 1}"#, "cache"),
    ])
    func refusedByKey(json: String, key: String) {
        let error = #expect(throws: ConfigurationError.self) { try parse(json) }
        #expect(error?.key == key, "\(error?.description ?? "")")
        #expect(error?.problem.contains("DecodingError") == false, "\(error?.problem ?? "")")
        #expect(error?.file == "/f")
    }

    /// The decoder does not tell where it found a number that does not fit.
    @Test(arguments: [
        #"{"users": {"first": -1, "count": 1}}"#,
        #"{"users": {"first": 1e30, "count": 1}}"#,
        #"{"overhead": -1}"#,
        #"{"defaults": {"vcpus": 1.5}}"#,
    ])
    func numbersThatDoNotFit(json: String) {
        #expect { try parse(json) } throws: {
            "\($0)" == "/f: is no valid JSON, or has a number that does not fit its key"
        }
    }

    @Test func aFileStandsOnItsBase() throws {
        let directory = try TemporaryDirectory()
        let base = try directory.write("config.json", #"{"cache": "/x", "overhead": 7, "accelerator": "tcg"}"#)
        let path = try directory.write(
            "hp.json", #"{"base": "\#(base)", "profile": "high-performance", "overhead": 8}"#)
        let configuration = try Configuration.load(path)
        #expect(configuration.profile == .highPerformance && configuration.overhead == 8)
        #expect(configuration.cache == "/x" && configuration.accelerator == .tcg)
        let deep = try directory.write("deep.json", #"{"base": "\#(path)"}"#)
        #expect {
            try Configuration.load(deep)
        } throws: {
            "\($0)" == "\(path): base: is \"\(base)\"; a base has none of its own"
        }
        let wrong = try directory.write("wrong.json", #"{"base": "\#(directory("none"))"}"#)
        #expect(throws: ConfigurationError.self) { try Configuration.load(wrong) }
    }

    @Test func files() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("config.json", #"{"cache": "/x"}"#)
        #expect(try Configuration.load(path).cache == "/x")
        #expect {
            try Configuration.load(directory("none"))
        } throws: { error in
            "\(error)" == "\(directory("none")): open \(directory("none")): No such file or directory"
        }
        #expect(throws: ConfigurationError.self) { try Configuration.load("/dev/zero") }
    }
}

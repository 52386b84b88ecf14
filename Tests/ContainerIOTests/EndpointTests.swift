import ContainerIO
import Testing

@Suite struct EndpointTests {
    @Test(arguments: [
        ("", Endpoint.none), ("/run/x/stdout", .fifo("/run/x/stdout")), ("fifo:///run/x", .fifo("/run/x")),
        ("file:///var/log/x y", .file("/var/log/x y")), ("binary:///bin/logger", .binary("/bin/logger", [])),
        ("binary:///bin/log%20ger?--to=a%3Db&-v=&quiet", .binary("/bin/log ger", ["--to", "a=b", "-v", "quiet"])),
        ("binary:///bin/l?a=b=c+d&e=%zz%4", .binary("/bin/l", ["a", "b=c d", "e", "%zz%4"])),
    ])
    func accepted(uri: String, endpoint: Endpoint) throws {
        #expect(try Endpoint(uri) == endpoint)
    }

    @Test(arguments: ["relative", "http://x", "file://host/x", "binary://", "ttrpc+unix:///x", "fifo://", "://"])
    func refused(uri: String) {
        #expect(throws: Endpoint.Unknown.self) { try Endpoint(uri) }
    }

    @Test func theRefusalNamesWhatIsAccepted() {
        #expect {
            try Endpoint("http://x")
        } throws: { error in
            "\(error)" == "stdio: \"http://x\" is not accepted; an absolute path, file://, binary:// or nothing is"
        }
    }
}

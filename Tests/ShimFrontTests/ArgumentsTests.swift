import ShimFront
import Testing

@Suite struct ArgumentsTests {
    private static let start: ShimArguments? = {
        var arguments = try? ShimArguments(["-namespace", "n", "-id", "i", "start"])
        arguments?.address = "/a"
        arguments?.publishBinary = "/p"
        return arguments
    }()

    @Test(arguments: [
        "-namespace n -address /a -publish-binary /p -id i start",
        "--namespace n --address /a --publish-binary /p --id i start",
        "-namespace=n -address=/a -publish-binary=/p -id=i start",
        "--namespace=n --address=/a --publish-binary=/p --id=i start",
        "-id i --namespace=n -publish-binary /p --address /a start",
        "-id x -id i -namespace n -address /a -publish-binary /p start",
        "-id i -namespace n -address /a -publish-binary /p -debug=false start",
        "-id i -namespace n -address /a -publish-binary /p -debug=0 start",
        "-id i -namespace n -address /a -publish-binary /p -- start",
        "-id i -namespace n -address /a -publish-binary /p -socket /s start",
        // What follows the action is none of Go's flag package's business.
        "-id i -namespace n -address /a -publish-binary /p start -id j delete",
    ])
    func goSpellings(line: String) throws {
        let words = line.split(separator: " ").map(String.init)
        #expect(try ShimArguments(words) == Self.start)
    }

    @Test(arguments: ["-debug", "--debug", "-debug=true", "--debug=1", "-debug=T"])
    func debug(word: String) throws {
        let arguments = try ShimArguments([word, "-namespace", "n", "-id", "i", "-bundle", "/b c", "delete"])
        #expect(arguments.debug && arguments.action == .delete && arguments.bundle == "/b c")
    }

    @Test func valuesMayLookLikeFlagsOrBeEmpty() throws {
        let arguments = try ShimArguments(["-namespace", "-n", "-id=a=b", "-address=", "-bundle", "", "start"])
        #expect(
            arguments.namespace == "-n" && arguments.id == "a=b" && arguments.address == "" && arguments.bundle == "")
    }

    @Test func questionsNeedNothingElse() throws {
        #expect(try ShimArguments(["-info"]).action == .info)
        #expect(try ShimArguments(["--info"]).action == .info)
        #expect(try ShimArguments(["-v"]).action == .version)
        #expect(try ShimArguments(["-version"]).action == .version)
    }

    @Test(arguments: [
        ("", "no action; start, delete, -info and -v are accepted"),
        ("-id i -namespace n", "no action; start, delete, -info and -v are accepted"),
        ("-id i -namespace n stop", #""stop" is no action; start and delete are"#),
        ("-id i -namespace n -", #""-" is no action; start and delete are"#),
        ("-id i start", "-namespace and -id have to be given"),
        ("-namespace n start", "-namespace and -id have to be given"),
        ("-namespace n -id= delete", "-namespace and -id have to be given"),
        ("-namespace n -id", "flag needs an argument: -id"),
        ("-namespace n -id i -verbose start", "flag provided but not defined: -verbose"),
        ("---id i -namespace n start", "bad flag syntax: ---id"),
        ("-=i start", "bad flag syntax: -=i"),
        ("-debug=maybe start", #"invalid boolean value "maybe" for -debug"#),
    ])
    func refusals(line: String, sentence: String) {
        let words = line.split(separator: " ").map(String.init)
        #expect { try ShimArguments(words) } throws: { "\($0)" == sentence }
    }
}

import Foundation
import Netlink
import Testing

@Suite struct AddressTextTests {
    /// Examples of RFC 5952, sections 1, 2.2 and 4, with their canonical forms.
    @Test(arguments: [
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:0db8::0001", "2001:db8::1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:DB8::AAAA", "2001:db8::aaaa"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("::", "::"), ("::1", "::1"), ("1::", "1::"),
        ("fe80:0:0:0:0:0:0:0", "fe80::"), ("::ffff:192.0.2.1", "::ffff:192.0.2.1"), ("192.0.2.7", "192.0.2.7"),
    ]) func canonical(text: String, expected: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == expected)
        #expect(IPAddress(expected) == address)
    }

    @Test(arguments: [
        "", "1.2.3", "1.2.3.256", "01.2.3.4", " 1.2.3.4", "1.2.3.4\0", "1.2.3.4/8", ":::", "1::2::3", "fe80::1%eth0",
        "12345::",
        String(repeating: ":", count: 500),
    ]) func noAddress(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func prefixes() throws {
        let prefix = try #require(IPPrefix("10.88.3.5/13"))
        #expect(prefix.network.description == "10.88.0.0/13")
        #expect(prefix.netmask?.description == "255.248.0.0")
        #expect(IPPrefix("fd00:0:0:7f::5/59")?.network.description == "fd00:0:0:60::/59")
        #expect(try prefix.contains(#require(IPAddress("10.95.255.255"))))
        #expect(try !prefix.contains(#require(IPAddress("10.96.0.0"))))
        #expect(try !prefix.contains(#require(IPAddress("::1"))))
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "::/+8", "::/", "10.0.0.0/8/8"] {
            #expect(IPPrefix(text) == nil, "\(text)")
        }
    }

    @Test func ethernetAddresses() throws {
        #expect(MACAddress("0A:58:0a:f4:01:05")?.description == "0a:58:0a:f4:01:05")
        #expect(MACAddress("01:00:5e:00:00:01")?.isStation == false)
        #expect(MACAddress("00:00:00:00:00:00")?.isStation == false)
        for text in [
            "", "0a:58:0a:f4:01", "0a:58:0a:f4:01:5", "0a:58:0a:f4:01:+5", "0a:58:0a:f4:01:05:06", "0a-58-0a-f4-01-05",
        ] {
            #expect(MACAddress(text) == nil, "\(text)")
        }
    }

    @Test func codedAsText() throws {
        let prefix = try #require(IPPrefix("fd00::5/64"))
        let data = try JSONEncoder().encode([prefix])
        #expect(String(decoding: data, as: UTF8.self) == #"["fd00::5\/64"]"#)
        #expect(try JSONDecoder().decode([IPPrefix].self, from: data) == [prefix])
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode([MACAddress].self, from: Data(#"["zz"]"#.utf8))
        }
    }
}

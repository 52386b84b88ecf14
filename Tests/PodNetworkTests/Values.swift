import Netlink
import Testing

func ipPrefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

func ipAddress(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

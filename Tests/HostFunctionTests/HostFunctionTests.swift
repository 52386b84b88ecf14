import HostFunction
import LinuxSystem
import TestSupport
import Testing

@Suite struct HostFunctionTests {
    @Test func aFunctionThatIsNotThereIsNamed() throws {
        #expect(throws: HostFunctionError.notThere("0000:00:99.0")) {
            try HostFunction("0000:00:99.0", link: nil, namespace: nil)
        }
    }
}

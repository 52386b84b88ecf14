import CLibvirt
import LinuxSystem

/// The loaded library: loads it once a process, silences its printing to stderr, and runs its event loop on a thread.
///
/// libvirt wants the event implementation registered before the first connection is opened (virEventRegisterImpl).
public enum Library {
    private static let failure: LibvirtError? = {
        if let reason = slipway_libvirt_load() {
            return LibvirtError(
                operation: "load",
                message:
                    "\(String(cString: reason)); the Debian packages libvirt0 and libvirt-daemon-driver-qemu have it")
        }
        lv_virSetErrorFunc(nil, ignore)
        if lv_virInitialize() < 0 { return .last("virInitialize") }
        if lv_virEventRegisterDefaultImpl() < 0 { return .last("virEventRegisterDefaultImpl") }
        do {
            try Thread.start("libvirt-events") {
                while lv_virEventRunDefaultImpl() >= 0 {}
            }
        } catch {
            return LibvirtError(operation: "start event loop", message: "\(error)")
        }
        return nil
    }()

    private static let ignore: virErrorFunc = { _, _ in }

    /// The library's version, `9.0.0`. Loads it first.
    public static func version() throws(LibvirtError) -> String {
        try load()
        var number: UInt = 0
        try checked(lv_virGetVersion(&number, nil, nil), "virGetVersion")
        return "\(number / 1_000_000).\(number / 1000 % 1000).\(number % 1000)"
    }

    /// Loads and initialises libvirt; any number of times, from any thread.
    public static func load() throws(LibvirtError) {
        if let failure { throw failure }
    }
}

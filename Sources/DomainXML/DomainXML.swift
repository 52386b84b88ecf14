import HostTopology
public import MachinePlanning

/// Where the parts of a machine are on this node. None of it is decided: it follows from the sandbox's state directory.
public struct MachinePaths: Equatable, Sendable {
    /// QEMU's executable.
    public var emulator: String
    /// The Unix socket of the serial port.
    public var serial: String
    /// The Unix socket of the guest agent's channel.
    public var agent: String
    /// The kernel's file on the node.
    public var kernel: String?
    /// The initrd's file on the node.
    public var initrd: String?
    /// The image's disk; for messages only, since QEMU gets it as a descriptor.
    public var base: String
    /// The cloud-init seed.
    public var seed: String
    /// The root disk's overlay; for messages only, since QEMU gets it as a descriptor.
    public var overlay: String

    /// A set of paths.
    public init(
        emulator: String = "/usr/bin/qemu-system-x86_64", serial: String, agent: String, kernel: String? = nil,
        initrd: String? = nil, base: String, seed: String, overlay: String
    ) {
        self.emulator = emulator
        self.serial = serial
        self.agent = agent
        self.kernel = kernel
        self.initrd = initrd
        self.base = base
        self.seed = seed
        self.overlay = overlay
    }
}

/// The `fdgroup` names under which the domain XML refers to opened files.
public enum DiskDescriptor {
    /// The overlay, read and written.
    public static let overlay = "overlay"
    /// The image's file, read only.
    public static let base = "base"
}

extension MachinePlan {
    /// The domain XML (libvirt's formatdomain.html). Pure: the same plan and paths give the same text.
    public func domainXML(_ paths: MachinePaths) -> String {
        XML(
            "domain",
            [
                "type": accelerator.value == .kvm ? "kvm" : "qemu",
                "xmlns:qemu": withoutMSIX ? "http://libvirt.org/schemas/domain/qemu/1.0" : nil,
            ]
        ) {
            XML("name", text: name)
            XML("uuid", text: uuid.value)
            XML("memory", ["unit": "b"], text: "\(memory.value)")
            if memoryLimit.value > memory.value {
                XML("maxMemory", ["slots": "1", "unit": "b"], text: "\(memoryLimit.value)")
            }
            if let memoryBacking { memoryBacking }
            vcpu
            if ioThread != nil { XML("iothreads", text: "1") }
            if let processorTuning { processorTuning }
            if let memoryTuning { memoryTuning }
            systemInformation
            operatingSystem(paths)
            features
            processor
            XML("clock", ["offset": "utc"]) {
                XML("timer", ["name": "rtc", "tickpolicy": "catchup"])
                XML("timer", ["name": "pit", "tickpolicy": "delay"])
                XML("timer", ["name": "hpet", "present": "no"])
            }
            XML("on_poweroff", text: "destroy")
            XML("on_reboot", text: "restart")
            XML("on_crash", text: "destroy")
            devices(paths)
            XML("seclabel", ["type": "static", "model": "dac", "relabel": "yes"]) {
                XML("label", text: "+\(user):+\(group)")
            }
            if withoutMSIX {
                XML("qemu:commandline") {
                    XML("qemu:arg", ["value": "-global"])
                    XML("qemu:arg", ["value": "virtio-net-pci.vectors=0"])
                }
            }
        }.rendered()
    }

    /// QEMU without KVM ends when a guest masks an MSI-X vector of a vhost-user NIC: it looks for the vector's route into
    /// the kernel, which there is none of (`kvm_virtio_pci_irqfd_release`, QEMU 7.2). Such NICs have a line interrupt then,
    /// those that are plugged in later too.
    private var withoutMSIX: Bool { accelerator.value == .tcg && sharedMemory.value }

    private var systemInformation: XML {
        XML("sysinfo", ["type": "smbios"]) {
            XML("system") {
                XML("entry", ["name": "manufacturer"], text: "Slipway")
                XML("entry", ["name": "product"], text: "Pod")
                XML("entry", ["name": "serial"], text: uuid.value)
            }
        }
    }

    private func operatingSystem(_ paths: MachinePaths) -> XML {
        XML("os") {
            XML("type", ["arch": "x86_64", "machine": "q35"], text: "hvm")
            if case .kernel(_, _, let commandLine) = boot.value {
                if let kernel = paths.kernel { XML("kernel", text: kernel) }
                if let initrd = paths.initrd { XML("initrd", text: initrd) }
                XML("cmdline", text: commandLine)
            } else {
                XML("boot", ["dev": "hd"])
            }
            // The console shows the machine from the BIOS's first byte.
            XML("bios", ["useserial": "yes"])
            XML("smbios", ["mode": "sysinfo"])
        }
    }

    private var features: XML {
        XML("features") {
            XML("acpi")
            XML("apic")
            if accelerator.value == .tcg {
                // Unbounded, the translator's cache would grow to an eighth of the host's memory.
                XML("tcg") { XML("tb-cache", ["unit": "MiB"], text: "128") }
            }
            // Its interrupts come at any moment.
            if !placement.realtime.value.isEmpty { XML("pmu", ["state": "off"]) }
        }
    }

    private func devices(_ paths: MachinePaths) -> XML {
        XML("devices") {
            XML("emulator", text: paths.emulator)
            for disk in disks { self.disk(disk, paths) }
            XML("controller", ["type": "usb", "model": "none"])
            XML("controller", ["type": "pci", "index": "0", "model": "pcie-root"])
            for number in 0..<UInt8(clamping: nicPorts.value) { rootPort(bus: number + 1, ordinal: number) }
            functionBuses
            for nic in nics { nic.device }
            for device in devices { hostDevice(device) }
            if memoryLimit.value > memory.value { growingMemory }
            // Two queues a port, each one more descriptor in every poll of QEMU's loop, which carries the NICs' frames too;
            // QEMU's own 31 ports lengthen a round trip by a quarter. Port 0 is a console's, port 1 the channel's.
            XML("controller", ["type": "virtio-serial", "index": "0", "ports": "2"]) { pciAddress(slot: 1) }
            XML("serial", ["type": "unix"]) {
                XML("source", ["mode": "bind", "path": paths.serial])
                XML("target", ["type": "isa-serial", "port": "0"])
            }
            XML("console", ["type": "unix"]) {
                XML("source", ["mode": "bind", "path": paths.serial])
                XML("target", ["type": "serial", "port": "0"])
            }
            XML("channel", ["type": "unix"]) {
                XML("source", ["mode": "bind", "path": paths.agent])
                XML("target", ["type": "virtio", "name": "org.qemu.guest_agent.0"])
            }
            XML("memballoon", ["model": "none"])
            XML("rng", ["model": "virtio"]) {
                XML("backend", ["model": "random"], text: "/dev/urandom")
                pciAddress(slot: 2)
            }
            XML("panic", ["model": "isa"])
        }
    }

    private func disk(_ disk: Disk, _ paths: MachinePaths) -> XML {
        switch disk.content {
        case .root(let base):
            XML("disk", ["type": "file", "device": "disk"]) {
                XML("driver", ["name": "qemu", "type": "qcow2", "discard": "unmap", "iothread": ioThread])
                XML("source", ["file": paths.overlay, "fdgroup": DiskDescriptor.overlay])
                XML("backingStore", ["type": "file"]) {
                    XML("format", ["type": base.format.rawValue])
                    XML("source", ["file": paths.base, "fdgroup": DiskDescriptor.base])
                    XML("backingStore")
                }
                XML("target", ["dev": disk.target, "bus": "virtio"])
                XML("serial", text: disk.serial)
                pciAddress(slot: disk.slot)
            }
        case .seed:
            XML("disk", ["type": "file", "device": "disk"]) {
                XML("driver", ["name": "qemu", "type": "raw", "iothread": ioThread])
                XML("source", ["file": paths.seed])
                XML("target", ["dev": disk.target, "bus": "virtio"])
                XML("readonly")
                XML("serial", text: disk.serial)
                pciAddress(slot: disk.slot)
            }
        }
    }

    // Eight root ports are the functions of one slot, from slot 16 on.
    // Without gaps: a guest looks at no function of a slot that has no function 0.
    func rootPort(bus: UInt8, ordinal index: UInt8) -> XML {
        XML("controller", ["type": "pci", "index": "\(bus)", "model": "pcie-root-port"]) {
            if index % 8 == 0 {
                XML(
                    "address",
                    [
                        "type": "pci", "bus": "0x00", "slot": hex(16 + index / 8), "function": "0x0",
                        "multifunction": "on",
                    ])
            } else {
                XML(
                    "address",
                    ["type": "pci", "bus": "0x00", "slot": hex(16 + index / 8), "function": "0x\(index % 8)"])
            }
        }
    }

    func pciAddress(slot: UInt8) -> XML {
        XML("address", ["type": "pci", "bus": "0x00", "slot": hex(slot), "function": "0x0"])
    }
}

func hex(_ number: UInt8) -> String {
    (number < 16 ? "0x0" : "0x") + String(number, radix: 16)
}

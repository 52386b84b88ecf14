import LinuxSystem
import PodNetwork

/// What the guest calls its NICs, as its agent says. An agent may take its time, or be none: nobody waits for it.
struct GuestNames {
    private let machine: any FollowedMachine
    /// Signalled when the agent has answered, or has not in its time.
    private let answered: FileDescriptor
    private let pace: (longest: Int64, interval: Int64)
    private var names: [Int: String] = [:]
    /// Until when the agent is asked for a NIC, by number.
    private var wanted: [Int: Int64] = [:]
    private var question: Errand<[String: [String]]>?
    private var next: Int64 = 0

    init(_ machine: any FollowedMachine, answered: FileDescriptor, pace: (longest: Int64, interval: Int64)) {
        (self.machine, self.answered, self.pace) = (machine, answered, pace)
    }

    /// The name of a NIC, by number; nil while the guest has told none.
    subscript(_ number: Int) -> String? { names[number] }

    /// When the agent is to be asked; nil: when something happens.
    var due: Int64? { wanted.isEmpty || question != nil ? nil : next }

    /// From now on the name of a NIC is wanted.
    mutating func want(_ number: Int, _ now: Int64) {
        wanted[number] = now + pace.longest
        next = now
    }

    /// The guest has the NIC no more.
    mutating func forget(_ number: Int) {
        wanted[number] = nil
        names[number] = nil
    }

    /// Takes the agent's answer, and asks it again when that is due.
    ///
    /// - Parameter nics: the guest's.
    /// - Returns: those that have a name now and had none before; nil where nothing was answered.
    mutating func look(_ nics: [InterfacePlan], _ now: Int64) -> [InterfacePlan]? {
        var named: [InterfacePlan]?
        if let answer = question?.result {
            question = nil
            named = note((try? answer.get()) ?? [:], nics)
            wanted = wanted.filter { $0.value > now }
        }
        if let due, due <= now {
            next = now + pace.interval
            let machine = machine
            question = try? Errand("guest-agent", done: answered) { try machine.guestInterfaces() }
        }
        return named
    }

    /// - Parameter answer: the guest's NICs by Ethernet address.
    private mutating func note(_ answer: [String: [String]], _ nics: [InterfacePlan]) -> [InterfacePlan] {
        var named: [InterfacePlan] = []
        for nic in nics where names[nic.number] == nil {
            // NICs may have one address, as VLANs of one link have: the guest names them in their order.
            let candidates = (answer["\(nic.mac)"] ?? []).filter { !names.values.contains($0) }
            let twins = nics.count { $0.mac == nic.mac && names[$0.number] == nil }
            guard candidates.count >= twins, let name = candidates.first else { continue }
            names[nic.number] = name
            wanted[nic.number] = nil
            named.append(nic)
        }
        return named
    }
}

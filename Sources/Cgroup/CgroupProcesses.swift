internal import Glibc
internal import LinuxSystem

extension Cgroup {
    /// The `cgroup.procs` files of the group, for a child that joins between fork and exec.
    public var processFiles: [String] { entries.map { "\($0)/cgroup.procs" } }

    /// Moves a process with all its threads into the group; 0 is the calling process. Its future children start in it,
    /// memory that it already has stays charged where it was.
    ///
    /// - Throws: ``CgroupError/refused(file:value:_:)``: ESRCH when there is no such process, ENOENT without a group.
    public func enter(process: Int32) throws(CgroupError) {
        for file in processFiles { try Self.move(process, file) }
    }

    /// Moves one thread into the group; 0 is the calling thread. What that thread forks starts in the group, while the
    /// rest of its process stays where it is.
    ///
    /// - Throws: ``CgroupError/threadsAreVersion1Only``, ``CgroupError/refused(file:value:_:)``.
    public func enter(thread: Int32) throws(CgroupError) {
        guard case .v1 = hierarchy else { throw .threadsAreVersion1Only }
        for directory in entries { try Self.move(thread, "\(directory)/tasks") }
    }

    static func move(_ number: Int32, _ file: String) throws(CgroupError) {
        do {
            try File.put("\(number)", into: file)
        } catch {
            throw .refused(file: file, value: "\(number)", error)
        }
    }

    /// The processes that have a thread in the group or in a group below it, in any hierarchy, sorted. A process of
    /// which a single thread has entered is among them.
    public func processes() throws(CgroupError) -> [Int32] {
        var found: Set<Int32> = []
        for directory in directories {
            for group in try subtree(of: directory) {
                do {
                    let text = try File.text("\(group)/cgroup.procs", limit: 16 << 20)
                    // 0 stands for a process outside of the reader's pid namespace.
                    found.formUnion(text.split(separator: "\n").compactMap { Int32($0) }.filter { $0 > 0 })
                } catch {
                    // ENODEV and ENOENT: removed meanwhile.
                    guard error.code == ENOENT || error.code == ENODEV else { throw .system(error) }
                }
            }
        }
        return found.sorted()
    }

    /// Sends SIGKILL to every process of the group and waits until none is left.
    ///
    /// The calling process is spared even if a thread of it is inside, so that a supervisor cannot end itself. A group
    /// that does not exist is empty. Children of the caller still have to be reaped by it.
    ///
    /// - Throws: ``CgroupError/populated(_:processes:milliseconds:)`` after the deadline.
    public func kill(milliseconds: Int32 = 5000) throws(CgroupError) {
        let deadline = Clock.milliseconds + Int64(milliseconds)
        var pause = Backoff()
        while true {
            let victims = try others()
            if victims.isEmpty { return }
            guard Clock.milliseconds < deadline else {
                throw .populated(path.description, processes: victims, milliseconds: milliseconds)
            }
            if try killAtOnce() {
                if try awaitEvent("populated 0", until: deadline) { continue }
            } else {
                let before = Clock.milliseconds
                try kill(victims, until: deadline)
                // A process that has ended and is still listed gives nothing to wait on.
                if Clock.milliseconds == before { _ = pause.wait(until: deadline) }
            }
        }
    }

    private func others() throws(CgroupError) -> [Int32] {
        let own = getpid()
        return try processes().filter { $0 != own }
    }

    /// `cgroup.kill` (Linux 5.14) takes the whole group without a race against fork; false where it is missing or
    /// would take the caller with it.
    private func killAtOnce() throws(CgroupError) -> Bool {
        guard case .v2 = hierarchy, let directory = directories.first, File.exists("\(directory)/cgroup.kill"),
            try !processes().contains(getpid())
        else { return false }
        try system { () throws(SystemError) in try File.put("1", into: "\(directory)/cgroup.kill") }
        return true
    }

    private func kill(_ victims: [Int32], until deadline: Int64) throws(CgroupError) {
        let held = victims.compactMap { try? Process(pid: $0) }
        // A number that was reused between the list and the open is not in the list any more.
        let still = Set(try others())
        let members = held.filter { still.contains($0.pid) }
        for member in members { try? member.signal(SIGKILL) }
        // A frozen task of version 1 takes the signal only once it is thawed.
        if let freezer = freezerFile, case .v1 = hierarchy { try? File.put("THAWED", into: freezer) }
        try system { () throws(SystemError) in
            for member in members {
                let left = deadline - Clock.milliseconds
                guard left > 0, try member.waitForEnd(milliseconds: Int32(clamping: left)) else { return }
            }
        }
    }

    /// Stops every process of the group where it is, and waits until all stand.
    ///
    /// - Throws: ``CgroupError/notSettled(_:frozen:milliseconds:)``, ``CgroupError/controllerMissing(_:setting:)``.
    public func freeze(milliseconds: Int32 = 5000) throws(CgroupError) {
        try setFrozen(true, milliseconds)
    }

    /// Lets the processes run again.
    ///
    /// - Throws: as ``freeze(milliseconds:)``.
    public func thaw(milliseconds: Int32 = 5000) throws(CgroupError) {
        try setFrozen(false, milliseconds)
    }

    private var freezerFile: String? {
        switch hierarchy {
        case .v2: directories.first.map { "\($0)/cgroup.freeze" }
        case .v1: directory(of: "freezer").map { "\($0)/freezer.state" }
        }
    }

    private func setFrozen(_ frozen: Bool, _ milliseconds: Int32) throws(CgroupError) {
        guard let file = freezerFile else { throw .controllerMissing("freezer", setting: "freezing the container") }
        let deadline = Clock.milliseconds + Int64(milliseconds)
        let settled: Bool
        switch hierarchy {
        case .v2:
            try put(frozen ? "1" : "0", into: file)
            settled = try awaitEvent(frozen ? "frozen 1" : "frozen 0", until: deadline)
        case .v1:
            let state = frozen ? "FROZEN" : "THAWED"
            var pause = Backoff()
            // Writing again while the state is FREEZING makes the kernel look once more (freezer-subsystem.rst).
            repeat {
                try put(state, into: file)
                let now = try system { () throws(SystemError) in try File.text(file) }
                if now.hasPrefix(state) { return }
            } while pause.wait(until: deadline)
            settled = false
        }
        guard settled else { throw .notSettled(path.description, frozen: frozen, milliseconds: milliseconds) }
    }

    private func put(_ value: String, into file: String) throws(CgroupError) {
        do {
            try File.put(value, into: file)
        } catch {
            if error.code == ENOENT { throw .gone(path.description) }
            throw .refused(file: file, value: value, error)
        }
    }

    /// Waits for a line of version 2's `cgroup.events`, whose changes raise POLLPRI; false after the deadline.
    private func awaitEvent(_ line: Substring, until deadline: Int64) throws(CgroupError) -> Bool {
        guard let directory = directories.first else { return false }
        return try system { () throws(SystemError) in
            let events = try FileDescriptor.open("\(directory)/cgroup.events", O_RDONLY)
            while true {
                let text = String(decoding: try events.read(upTo: 4096, at: 0), as: UTF8.self)
                if text.split(separator: "\n").contains(line) { return true }
                let left = deadline - Clock.milliseconds
                guard left > 0 else { return false }
                _ = try events.wait(for: Int16(POLLPRI), milliseconds: Int32(clamping: left))
            }
        }
    }
}

internal import Glibc
internal import LinuxSystem

extension Cgroup {
    /// Writes limits into the group, at its creation or later.
    ///
    /// Two files may each forbid the other's new value (a limit above memory and swap, a period against a quota), so
    /// what the kernel refuses as invalid is tried once more after the rest.
    ///
    /// - Throws: ``CgroupError/invalidResource(field:value:accepted:)`` before anything is written;
    ///   ``CgroupError/controllerMissing(_:setting:)``, ``CgroupError/refused(file:value:_:)`` or
    ///   ``CgroupError/gone(_:)`` in the middle, with earlier values written.
    public func apply(_ resources: CgroupResources) throws(CgroupError) {
        let isVersion2 =
            switch hierarchy {
            case .v2: true
            case .v1: false
            }
        var refused: [CgroupResources.Setting] = []
        for setting in try resources.settings(version2: isVersion2) {
            do throws(CgroupError) {
                try write(setting)
            } catch .refused(_, _, let error) where error.code == EINVAL || error.code == EBUSY {
                refused.append(setting)
            }
        }
        for setting in refused { try write(setting) }
    }

    private func write(_ setting: CgroupResources.Setting) throws(CgroupError) {
        guard let directory = directory(of: setting.controller) else {
            if setting.isOptional { return }
            throw .controllerMissing(setting.controller, setting: setting.field)
        }
        let file = "\(directory)/\(setting.file)"
        do {
            try File.put(setting.value, into: file)
        } catch {
            guard error.code == ENOENT else { throw .refused(file: file, value: setting.value, error) }
            guard File.exists(directory) else { throw .gone(path.description) }
            if setting.isOptional { return }
            throw .controllerMissing(setting.controller, setting: "\(setting.field) (\(setting.file))")
        }
    }
}

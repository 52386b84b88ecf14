extension ObjectMeta {
    /// The name and the namespace, both proven to be names.
    func checkedName() throws(ManifestError) -> (name: String, namespace: String) {
        guard let name else { throw ManifestError("metadata.name", "is missing") }
        try Names.require(subdomain: name, "metadata.name")
        let namespace = namespace ?? "default"
        try Names.require(label: namespace, "metadata.namespace")
        return (name, namespace)
    }
}

extension Pod {
    /// What the Kubernetes API would have refused and what would otherwise fail late, or as a strange path.
    func check() throws(ManifestError) {
        _ = try metadata.checkedName()
        if let uid = metadata.uid { try Names.require(label: uid, "metadata.uid") }
        if let hostname = spec.hostname { try Names.require(label: hostname, "spec.hostname") }
        if let handler = spec.runtimeClassName { try Names.require(subdomain: handler, "spec.runtimeClassName") }
        if let grace = spec.terminationGracePeriodSeconds, grace < 0 {
            throw ManifestError("spec.terminationGracePeriodSeconds", "is \(grace); 0 or more is accepted")
        }
        if spec.dnsPolicy == DNSPolicy.none, spec.dnsConfig?.nameservers?.isEmpty ?? true {
            throw ManifestError("spec.dnsConfig.nameservers", "is empty; dnsPolicy None needs at least one")
        }
        guard !spec.containers.isEmpty else { throw ManifestError("spec.containers", "is empty; a pod needs one") }

        var volumes: Set<String> = []
        for (index, volume) in (spec.volumes ?? []).enumerated() {
            let field = "spec.volumes[\(index)]"
            try Names.require(label: volume.name, "\(field).name")
            guard volumes.insert(volume.name).inserted else {
                throw ManifestError("\(field).name", "\"\(volume.name)\" is there twice")
            }
            try volume.check(field)
        }
        var names: Set<String> = []
        for (index, container) in spec.containers.enumerated() {
            let field = "spec.containers[\(index)]"
            try Names.require(label: container.name, "\(field).name")
            guard names.insert(container.name).inserted else {
                throw ManifestError("\(field).name", "\"\(container.name)\" is there twice")
            }
            try container.check(field, volumes: volumes)
        }
    }
}

extension Volume {
    fileprivate func check(_ field: String) throws(ManifestError) {
        let sources = [configMap != nil, secret != nil, emptyDir != nil, hostPath != nil].filter { $0 }.count
        guard sources == 1 else {
            throw ManifestError(
                field, "\"\(name)\" has \(sources) sources; one of configMap, secret, emptyDir and hostPath is needed")
        }
        if let path = hostPath?.path { try Names.require(absolutePath: path, "\(field).hostPath.path") }
        for (index, item) in (configMap?.items ?? secret?.items ?? []).enumerated() {
            try Names.require(relativePath: item.path, "\(field).items[\(index)].path")
        }
        if let medium = emptyDir?.medium { _ = try Medium(medium, "\(field).emptyDir.medium") }
    }
}

extension Container {
    fileprivate func check(_ field: String, volumes: Set<String>) throws(ManifestError) {
        guard !image.isEmpty else { throw ManifestError("\(field).image", "is empty") }
        for (index, mount) in (volumeMounts ?? []).enumerated() {
            let place = "\(field).volumeMounts[\(index)]"
            guard volumes.contains(mount.name) else {
                let known = volumes.sorted().joined(separator: ", ")
                throw ManifestError(
                    "\(place).name", "no volume \"\(mount.name)\" in this pod; it has \(known.isEmpty ? "none" : known)"
                )
            }
            try Names.require(absolutePath: mount.mountPath, "\(place).mountPath")
            if let path = mount.subPath, !path.isEmpty { try Names.require(relativePath: path, "\(place).subPath") }
        }
        for (index, variable) in (env ?? []).enumerated() {
            let place = "\(field).env[\(index)]"
            guard !variable.name.isEmpty, !variable.name.contains("=") else {
                throw ManifestError("\(place).name", "\"\(variable.name)\" is no variable's name")
            }
            if let source = variable.valueFrom {
                let sources = [source.configMapKeyRef != nil, source.secretKeyRef != nil, source.fieldRef != nil]
                guard sources.filter({ $0 }).count == 1, variable.value == nil else {
                    throw ManifestError(place, "needs exactly one of value, configMapKeyRef, secretKeyRef and fieldRef")
                }
            }
        }
        for (resource, limit) in resources?.limits ?? [:] {
            if let request = resources?.requests?[resource], request > limit {
                throw ManifestError(
                    "\(field).resources.requests.\(resource)", "\(request) is more than the limit of \(limit)")
            }
        }
        for resource in (resources?.limits ?? [:]).keys where resource.hasPrefix("hugepages-") {
            _ = try HugePages.size(resource, "\(field).resources.limits")
        }
    }
}

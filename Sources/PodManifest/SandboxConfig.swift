internal import CRIProtocol
internal import SwiftProtobuf

extension CRIPodSandboxConfig {
    /// The message that the kubelet would send for this pod.
    init(_ pod: Pod, name: String, namespace: String, uid: String, node: NodeFacts) {
        self.init()
        let spec = pod.spec
        metadata = .with {
            $0.name = name
            $0.uid = uid
            $0.namespace = namespace
        }
        hostname = spec.hostNetwork == true ? node.name : Self.hostname(spec.hostname ?? name)
        logDirectory = "\(node.logDirectory)/\(namespace)_\(name)_\(uid)"
        dnsConfig = .init(spec, node: node.resolver)
        labels = (pod.metadata.labels ?? [:]).merging([
            KubernetesKeys.podName: name,
            KubernetesKeys.podNamespace: namespace,
            KubernetesKeys.podUID: uid,
        ]) { _, own in own }
        annotations = (pod.metadata.annotations ?? [:]).merging([
            KubernetesKeys.configSource: KubernetesKeys.playedSource
        ]) { _, own in own }
        linux = .with {
            $0.cgroupParent = node.cgroupParent ?? node.cgroupDriver.parent(uid: uid)
            $0.securityContext.namespaceOptions = .init(spec)
            $0.securityContext.privileged = spec.containers.contains { $0.securityContext?.privileged == true }
            $0.securityContext.seccomp.profileType = .runtimeDefault
            $0.securityContext.supplementalGroups = spec.securityContext?.supplementalGroups ?? []
            for sysctl in spec.securityContext?.sysctls ?? [] { $0.sysctls[sysctl.name] = sysctl.value }
            $0.resources = CRILinuxContainerResources(sumOf: spec.containers)
            if let overhead = spec.overhead { $0.overhead = CRILinuxContainerResources(overhead: overhead) }
        }
    }

    /// A host name has 63 bytes at the most and does not end in a dot or a hyphen.
    private static func hostname(_ name: String) -> String {
        var short = name.prefix(63)
        while let last = short.last, last == "-" || last == "." { short.removeLast() }
        return String(short)
    }
}

extension CRINamespaceOption {
    init(_ spec: PodSpec) {
        self.init()
        network = spec.hostNetwork == true ? .node : .pod
        pid = spec.hostPID == true ? .node : spec.shareProcessNamespace == true ? .pod : .container
        ipc = spec.hostIPC == true ? .node : .pod
    }
}

extension CRIDNSConfig {
    init(_ spec: PodSpec, node: CRIDNSConfig) {
        self = spec.dnsPolicy == DNSPolicy.none ? CRIDNSConfig() : node
        func append(_ more: [String]?, to list: inout [String]) {
            for entry in more ?? [] where !list.contains(entry) { list.append(entry) }
        }
        append(spec.dnsConfig?.nameservers, to: &servers)
        append(spec.dnsConfig?.searches, to: &searches)
        let options = spec.dnsConfig?.options?.map { option in
            option.value.map { "\(option.name):\($0)" } ?? option.name
        }
        append(options, to: &self.options)
    }
}

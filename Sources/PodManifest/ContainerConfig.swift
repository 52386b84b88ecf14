internal import CRIProtocol
internal import SwiftProtobuf

extension CRIContainerConfig {
    /// The message that the kubelet would send for this container.
    init(
        _ container: Container, of playable: PlayablePod, on node: NodeFacts, addresses: [String],
        objects: (DataObject.Kind, String) -> DataObject?, field: String
    ) throws(ManifestError) {
        self.init()
        let spec = playable.pod.spec
        let environment = try Environment(
            container, objects: objects, field: { playable.field($0, addresses: addresses) }, place: field)
        metadata.name = container.name
        image.image = container.image
        command = (container.command ?? []).map(environment.expand)
        args = (container.args ?? []).map(environment.expand)
        workingDir = container.workingDir ?? ""
        envs = environment.values.map { variable in
            .with {
                $0.key = variable.name
                $0.value = variable.value
            }
        }
        for mount in container.volumeMounts ?? [] {
            guard let volume = playable.volumes.first(where: { $0.name == mount.name }) else { continue }
            mounts.append(CRIMount(mount, of: volume))
        }
        labels = [
            KubernetesKeys.containerName: container.name,
            KubernetesKeys.podName: playable.name,
            KubernetesKeys.podNamespace: playable.namespace,
            KubernetesKeys.podUID: playable.uid,
        ]
        annotations = [
            KubernetesKeys.gracePeriod: "\(playable.gracePeriod)",
            KubernetesKeys.restartCount: "0",
        ]
        logPath = "\(container.name)/0.log"
        stdin = container.stdin ?? false
        stdinOnce = container.stdinOnce ?? false
        tty = container.tty ?? false
        linux.resources = try CRILinuxContainerResources(
            container.resources ?? Resources(), quality: QualityOfService(spec.containers), node: node, field: field)
        if let grant = playable.grant {
            try linux.resources.assign(grant, container.resources ?? Resources(), field: field)
        }
        linux.securityContext = CRILinuxContainerSecurityContext(container.securityContext, spec: spec)
    }
}

extension CRIMount {
    init(_ mount: VolumeMount, of volume: PodVolume) {
        self.init()
        containerPath = mount.mountPath
        hostPath = volume.path
        if let path = mount.subPath, !path.isEmpty { hostPath += "/\(path)" }
        readonly = volume.isReadOnly || mount.readOnly == true
        switch mount.mountPropagation ?? .none {
        case .none: propagation = .propagationPrivate
        case .hostToContainer: propagation = .propagationHostToContainer
        case .bidirectional: propagation = .propagationBidirectional
        }
    }
}

extension CRILinuxContainerSecurityContext {
    /// Paths that the kubelet hides from containers that are not privileged, procMount being Default.
    private static let masked = [
        "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
        "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    ]
    private static let readOnly = [
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    ]

    init(_ context: SecurityContext?, spec: PodSpec) {
        self.init()
        namespaceOptions = CRINamespaceOption(spec)
        privileged = context?.privileged ?? false
        if let changes = context?.capabilities {
            capabilities.addCapabilities = changes.add ?? []
            capabilities.dropCapabilities = changes.drop ?? []
        }
        if let user = context?.runAsUser ?? spec.securityContext?.runAsUser { runAsUser.value = user }
        if let group = context?.runAsGroup ?? spec.securityContext?.runAsGroup { runAsGroup.value = group }
        supplementalGroups = spec.securityContext?.supplementalGroups ?? []
        readonlyRootfs = context?.readOnlyRootFilesystem ?? false
        noNewPrivs = context?.allowPrivilegeEscalation == false
        seccomp.profileType = privileged ? .unconfined : .runtimeDefault
        if !privileged {
            maskedPaths = Self.masked
            readonlyPaths = Self.readOnly
        }
    }
}

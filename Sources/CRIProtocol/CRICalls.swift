public import SwiftProtobuf

/// Something that answers calls of the Container Runtime Interface: ``CRIClient``, or a runtime made up by a test.
public protocol CRICalls: Sendable {
    /// Makes one call and waits for its answer.
    ///
    /// - Parameter timeout: how long to wait; nil for as long as it takes.
    /// - Throws: what the runtime answered, `unavailable` when it could not be reached, `deadlineExceeded` when the
    ///   time was up, `cancelled` when the calling task was.
    func call<Response: Message>(
        _ method: CRIMethod, _ request: some Message, _ response: Response.Type, timeout: Duration?
    ) async throws(CRIError) -> Response
}

extension CRICalls {
    private func call<Response: Message>(
        _ method: CRIMethod, _ request: some Message, timeout: Duration? = .seconds(120)
    ) async throws(CRIError) -> Response {
        try await call(method, request, Response.self, timeout: timeout)
    }

    /// The runtime's name and versions.
    public func version() async throws(CRIError) -> CRIVersionResponse {
        try await call(.version, CRIVersionRequest(), timeout: .seconds(10))
    }

    /// Whether runtime and network are ready; `verbose` adds containerd's configuration.
    public func status(verbose: Bool = false) async throws(CRIError) -> CRIStatusResponse {
        try await call(.status, CRIStatusRequest.with { $0.verbose = verbose }, timeout: .seconds(10))
    }

    /// Makes and starts a sandbox, network included; returns its id.
    ///
    /// - Parameter handler: the runtime handler's name, empty for the default one.
    public func runPodSandbox(_ config: CRIPodSandboxConfig, handler: String) async throws(CRIError) -> String {
        let request = CRIRunPodSandboxRequest.with {
            $0.config = config
            $0.runtimeHandler = handler
        }
        let response: CRIRunPodSandboxResponse = try await call(.runPodSandbox, request, timeout: .seconds(240))
        return response.podSandboxID
    }

    /// Stops what runs in a sandbox and gives its network back. Stopping twice is fine.
    public func stopPodSandbox(_ id: String) async throws(CRIError) {
        let request = CRIStopPodSandboxRequest.with { $0.podSandboxID = id }
        let _: CRIStopPodSandboxResponse = try await call(.stopPodSandbox, request)
    }

    /// Removes a sandbox and its containers. Removing twice is fine.
    public func removePodSandbox(_ id: String) async throws(CRIError) {
        let request = CRIRemovePodSandboxRequest.with { $0.podSandboxID = id }
        let _: CRIRemovePodSandboxResponse = try await call(.removePodSandbox, request)
    }

    /// One sandbox; `notFound` when there is none of that id.
    public func podSandboxStatus(
        _ id: String, verbose: Bool = false
    ) async throws(CRIError) -> CRIPodSandboxStatusResponse {
        let request = CRIPodSandboxStatusRequest.with {
            $0.podSandboxID = id
            $0.verbose = verbose
        }
        return try await call(.podSandboxStatus, request)
    }

    /// The sandboxes that match, ready and stopped ones.
    public func listPodSandboxes(_ filter: CRIPodSandboxFilter = .init()) async throws(CRIError) -> [CRIPodSandbox] {
        let request = CRIListPodSandboxRequest.with { $0.filter = filter }
        let response: CRIListPodSandboxResponse = try await call(.listPodSandbox, request)
        return response.items
    }

    /// Makes a container in a sandbox without starting it; returns its id.
    public func createContainer(
        _ config: CRIContainerConfig, in sandbox: String, sandboxConfig: CRIPodSandboxConfig
    ) async throws(CRIError) -> String {
        let request = CRICreateContainerRequest.with {
            $0.podSandboxID = sandbox
            $0.config = config
            $0.sandboxConfig = sandboxConfig
        }
        let response: CRICreateContainerResponse = try await call(.createContainer, request, timeout: .seconds(240))
        return response.containerID
    }

    /// Starts a created container.
    public func startContainer(_ id: String) async throws(CRIError) {
        let request = CRIStartContainerRequest.with { $0.containerID = id }
        let _: CRIStartContainerResponse = try await call(.startContainer, request, timeout: .seconds(240))
    }

    /// SIGTERM, then SIGKILL after `grace` seconds; returns when the container has ended.
    public func stopContainer(_ id: String, grace: Int64) async throws(CRIError) {
        let request = CRIStopContainerRequest.with {
            $0.containerID = id
            $0.timeout = grace
        }
        // The runtime kills only after the grace, and needs time of its own for that.
        let timeout = Duration.seconds(min(max(grace, 0), 86_400) + 120)
        let _: CRIStopContainerResponse = try await call(.stopContainer, request, timeout: timeout)
    }

    /// Removes a container, killing it if it runs. Removing twice is fine.
    public func removeContainer(_ id: String) async throws(CRIError) {
        let request = CRIRemoveContainerRequest.with { $0.containerID = id }
        let _: CRIRemoveContainerResponse = try await call(.removeContainer, request)
    }

    /// The containers that match, in any state.
    public func listContainers(_ filter: CRIContainerFilter = .init()) async throws(CRIError) -> [CRIContainer] {
        let request = CRIListContainersRequest.with { $0.filter = filter }
        let response: CRIListContainersResponse = try await call(.listContainers, request)
        return response.containers
    }

    /// One container; `notFound` when there is none of that id.
    public func containerStatus(
        _ id: String, verbose: Bool = false
    ) async throws(CRIError) -> CRIContainerStatusResponse {
        let request = CRIContainerStatusRequest.with {
            $0.containerID = id
            $0.verbose = verbose
        }
        return try await call(.containerStatus, request)
    }

    /// Changes limits of a running container; what is 0 or empty stays as it is.
    public func updateContainerResources(
        _ id: String, to resources: CRILinuxContainerResources
    ) async throws(CRIError) {
        let request = CRIUpdateContainerResourcesRequest.with {
            $0.containerID = id
            $0.linux = resources
        }
        let _: CRIUpdateContainerResourcesResponse = try await call(.updateContainerResources, request)
    }

    /// Runs a command in a container and waits for its end.
    ///
    /// - Parameter timeout: seconds until the runtime kills the command; 0 for no end.
    public func execSync(
        _ command: [String], in container: String, timeout: Int64 = 0
    ) async throws(CRIError) -> CRIExecSyncResponse {
        let request = CRIExecSyncRequest.with {
            $0.containerID = container
            $0.cmd = command
            $0.timeout = timeout
        }
        let wait: Duration? = timeout > 0 ? .seconds(min(timeout, 86_400) + 30) : nil
        return try await call(.execSync, request, timeout: wait)
    }

    /// Prepares a command with streams; returns the URL of the streaming server.
    public func exec(_ request: CRIExecRequest) async throws(CRIError) -> String {
        let response: CRIExecResponse = try await call(.exec, request)
        return response.url
    }

    /// Prepares an attachment to a container's streams; returns the URL of the streaming server.
    public func attach(_ request: CRIAttachRequest) async throws(CRIError) -> String {
        let response: CRIAttachResponse = try await call(.attach, request)
        return response.url
    }

    /// Prepares the forwarding of TCP connections to ports of a pod's loopback; returns the URL of the streaming server.
    public func portForward(_ request: CRIPortForwardRequest) async throws(CRIError) -> String {
        let response: CRIPortForwardResponse = try await call(.portForward, request)
        return response.url
    }

    /// What a container uses now.
    public func containerStats(_ id: String) async throws(CRIError) -> CRIContainerStats {
        let request = CRIContainerStatsRequest.with { $0.containerID = id }
        let response: CRIContainerStatsResponse = try await call(.containerStats, request)
        return response.stats
    }

    /// What a sandbox uses now.
    public func podSandboxStats(_ id: String) async throws(CRIError) -> CRIPodSandboxStats {
        let request = CRIPodSandboxStatsRequest.with { $0.podSandboxID = id }
        let response: CRIPodSandboxStatsResponse = try await call(.podSandboxStats, request)
        return response.stats
    }

    /// The images on the node.
    public func listImages() async throws(CRIError) -> [CRIImage] {
        let response: CRIListImagesResponse = try await call(.listImages, CRIListImagesRequest())
        return response.images
    }

    /// An image on the node by reference or id; nil when it is not there.
    public func image(_ reference: String) async throws(CRIError) -> CRIImage? {
        let request = CRIImageStatusRequest.with { $0.image.image = reference }
        let response: CRIImageStatusResponse = try await call(.imageStatus, request)
        return response.hasImage ? response.image : nil
    }

    /// Pulls an image, however long that takes; returns its id or digest.
    public func pullImage(_ reference: String, for sandbox: CRIPodSandboxConfig) async throws(CRIError) -> String {
        let request = CRIPullImageRequest.with {
            $0.image.image = reference
            $0.sandboxConfig = sandbox
        }
        let response: CRIPullImageResponse = try await call(.pullImage, request, timeout: nil)
        return response.imageRef
    }
}

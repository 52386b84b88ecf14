internal import Yams

/// Which fields of a Pod are played, which are of no account on a single node, and which cannot be left out.
enum ManifestFields {
    indirect enum Shape: Sendable {
        /// Read whole; what is inside is checked by decoding it.
        case played
        /// Of no account on a single node without a Kubernetes.
        case quiet
        /// Leaving it out would make another pod than was asked for.
        case refused(String)
        /// Every element.
        case list(Shape)
        /// Fields by name. Others are warned of, or refused where a word is given for what they are.
        case fields([String: Shape], othersRefusedAs: String? = nil)
    }

    /// Sentences about fields that are ignored.
    ///
    /// - Throws: for fields that must not be ignored.
    static func check(_ document: Node) throws(ManifestError) -> [String] {
        try walk(document, pod, "")
    }

    private static func walk(_ node: Node, _ shape: Shape, _ path: String) throws(ManifestError) -> [String] {
        switch shape {
        case .played, .quiet: return []
        case .refused(let why):
            if node.null != nil || node.sequence?.isEmpty == true { return [] }
            throw ManifestError(path, why)
        case .list(let element):
            var found: [String] = []
            for (index, entry) in (node.sequence.map(Array.init) ?? []).enumerated() {
                found += try walk(entry, element, "\(path)[\(index)]")
            }
            return found
        case .fields(let fields, let word):
            var found: [String] = []
            for (key, value) in node.mapping.map(Array.init) ?? [] {
                let name = key.string ?? "?"
                let place = path.isEmpty ? name : "\(path).\(name)"
                if let shape = fields[name] {
                    found += try walk(value, shape, place)
                } else if let word {
                    let known = fields.keys.filter { $0 != "name" }.sorted().joined(separator: ", ")
                    throw ManifestError(place, "this \(word) is not played here; \(known) are")
                } else {
                    found.append("\(place) is not played here and was left out")
                }
            }
            return found
        }
    }

    private static func played(_ names: String...) -> [String: Shape] {
        Dictionary(names.map { ($0, .played) }) { first, _ in first }
    }

    private static func quiet(_ names: String...) -> [String: Shape] {
        Dictionary(names.map { ($0, .quiet) }) { first, _ in first }
    }

    private static func all(_ parts: [String: Shape]...) -> Shape {
        .fields(parts.reduce(into: [:]) { $0.merge($1) { first, _ in first } })
    }

    private static let pod = all(
        played("apiVersion", "kind"), quiet("status"),
        [
            "metadata": all(
                played("name", "namespace", "uid", "labels", "annotations"),
                quiet(
                    "creationTimestamp", "resourceVersion", "managedFields", "ownerReferences", "finalizers",
                    "selfLink", "generation")),
            "spec": spec,
        ])

    private static let spec = all(
        played(
            "runtimeClassName", "overhead", "hostname", "restartPolicy", "terminationGracePeriodSeconds", "dnsPolicy",
            "dnsConfig", "hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"),
        quiet(
            "nodeName", "nodeSelector", "affinity", "tolerations", "schedulerName", "priority", "priorityClassName",
            "preemptionPolicy", "serviceAccount", "serviceAccountName", "automountServiceAccountToken",
            "enableServiceLinks", "topologySpreadConstraints"),
        [
            "containers": .list(container),
            "volumes": .list(
                .fields(played("name", "configMap", "secret", "emptyDir", "hostPath"), othersRefusedAs: "volume source")
            ),
            "securityContext": all(
                played("runAsUser", "runAsGroup", "supplementalGroups", "sysctls"), quiet("runAsNonRoot")),
            "initContainers": .refused(
                "containers that run first are not played here; start them as a Pod of their own"),
            "ephemeralContainers": .refused("is not played here"),
        ])

    private static let container = all(
        played(
            "name", "image", "imagePullPolicy", "command", "args", "workingDir", "stdin", "stdinOnce", "tty", "envFrom"),
        quiet("ports", "terminationMessagePath", "terminationMessagePolicy"),
        [
            "env": .list(
                all(
                    played("name", "value"),
                    [
                        "valueFrom": .fields(
                            played("configMapKeyRef", "secretKeyRef", "fieldRef"), othersRefusedAs: "source of a value")
                    ])),
            "resources": all(played("limits", "requests")),
            "volumeMounts": .list(
                .fields(
                    played("name", "mountPath", "subPath", "readOnly", "mountPropagation"),
                    othersRefusedAs: "field of a mount")),
            "volumeDevices": .refused("block volumes come from claims, which are a cluster's; use a hostPath volume"),
            "securityContext": all(
                played(
                    "privileged", "capabilities", "runAsUser", "runAsGroup", "readOnlyRootFilesystem",
                    "allowPrivilegeEscalation"),
                quiet("runAsNonRoot")),
        ])
}

import FoundationEssentials
import LinuxSystem
import TestSupport
import Testing

/// The command on a node where systemd makes the cgroups.
@Suite(.serialized, .timeLimit(.minutes(15))) struct CommandTests {
    @Test func aPlayedPodRunsBelowASliceAndLeavesNothing() async throws {
        let before = try Lab.remains()
        try Lab.run(
            """
            cat >/root/played.yaml <<'END'
            apiVersion: v1
            kind: Pod
            metadata: {name: played}
            spec:
              runtimeClassName: slipway
              containers:
              - name: machine
                image: slipway.local/boot-sector:latest
                imagePullPolicy: Never
                resources: {limits: {cpu: 1, memory: 96Mi}}
            END
            """)
        try Lab.run(
            "slipway run -f /root/played.yaml --wait-ready 'boot-sector: runs' --timeout 300 2>&1", seconds: 500)
        let groups = try Lab.run("for pid in $(pgrep -x qemu-system-x86); do cat /proc/$pid/cgroup; done")
        #expect(groups.hasPrefix("0::/slipway.slice/slipway-pod") && groups.contains(".scope/machine"), "\(groups)")
        #expect(try Lab.run("slipway ps").contains("played"))
        try Lab.run("slipway rm played --grace 0 2>&1; rm /root/played.yaml")
        try await Lab.expectNothingLeft(since: before)
    }
}

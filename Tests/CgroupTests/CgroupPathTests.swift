import Testing

@testable import Cgroup

@Suite struct CgroupPathTests {
    @Test(arguments: [
        ("/kubepods/burstable/pod1/abc", "/kubepods/burstable/pod1/abc"),
        ("k8s.io/abc", "/k8s.io/abc"),
        ("abc", "/abc"),
        ("/a:b:c/d", "/a:b:c/d"),
        (
            "kubepods-burstable-pod_x.slice:cri-containerd:id1",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod_x.slice/cri-containerd-id1.scope"
        ),
        (":cri-containerd:id1", "/system.slice/cri-containerd-id1.scope"),
        ("-.slice:p:id1", "/p-id1.scope"),
        ("a.slice::id1", "/a.slice/id1.scope"),
        ("a.slice:p:a-b.slice", "/a.slice/a-b.slice"),
    ]) func accepts(text: String, expected: String) throws {
        #expect(try CgroupPath(text).description == expected)
    }

    @Test func tellsTheDriver() throws {
        #expect(try CgroupPath("/kubepods/pod1/x").driver == .cgroupfs)
        #expect(try CgroupPath("a.slice:p:x").driver == .systemd(unit: "p-x.scope"))
    }

    @Test(arguments: [
        ("", CgroupPath.Problem.namesNoGroup),
        ("/", .namesNoGroup),
        ("//", .component("")),
        ("/a/", .component("")),
        ("/a//b", .component("")),
        ("/a/../b", .component("..")),
        ("..", .component("..")),
        ("/a/./b", .component(".")),
        ("/a\nb", .component("a\nb")),
        ("/a\0b", .component("a\0b")),
        ("a.slice:p:", .component("")),
        ("a:p:x", .slice("a")),
        ("a--b.slice:p:x", .slice("a--b.slice")),
        ("-a.slice:p:x", .slice("-a.slice")),
        (".slice:p:x", .slice(".slice")),
    ]) func refuses(text: String, problem: CgroupPath.Problem) {
        #expect(throws: CgroupError.invalidPath(text, problem)) { try CgroupPath(text) }
    }

    @Test func refusesLongNames() {
        let name = String(repeating: "x", count: 256)
        #expect(throws: CgroupError.invalidPath(name, .component(name))) { try CgroupPath(name) }
    }

    @Test func saysWhatIsWrong() {
        let error = CgroupError.invalidPath("/a/../b", .component(".."))
        #expect(
            error.description
                == "linux.cgroupsPath \"/a/../b\" has the component \"..\", which cannot name a group; "
                + "accepted are /parent/name and slice:prefix:name")
    }
}

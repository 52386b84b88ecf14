#!/usr/bin/env python3
"""Measures Slipway on a private node and prints one JSON object a line.

Absolute times mean little on a shared machine: every number stands beside a limit, or beside the same thing done without
Slipway in the same run. Usage: bench.py NODE_DIR IMAGES_DIR NODE_DIR_WITH_16_NETWORKS [PART…], with SLIPWAY_BIN in the
environment; the parts are start, shim, memory, placement and network.
"""
import glob, json, os, re, shutil, socket, statistics, subprocess, sys, tempfile, time

node, images, node_of_16 = sys.argv[1:4]
binaries = os.environ["SLIPWAY_BIN"]
address = f"{node}/containerd.sock"
work = tempfile.mkdtemp(prefix="slipway-bench.")
runs = int(os.environ.get("SLIPWAY_BENCH_RUNS", "5"))


def report(name, value, unit, vs):
    print(json.dumps({"name": name, "value": round(value, 1 if abs(value) >= 10 else 3), "unit": unit, "vs": vs}), flush=True)


def slipway(*words, check=True):
    return subprocess.run([f"{binaries}/slipway", *words, "--runtime-endpoint", f"unix://{address}"], check=check,
                          capture_output=True, text=True)


def ctr(*words):
    return subprocess.run(["ctr", "-a", address, "-n", "k8s.io", *words], capture_output=True, text=True)


def manifest(name, memory="96Mi", image="tiny-vnf-kernel"):
    path = f"{work}/{name}.yaml"
    with open(path, "w") as file:
        file.write(f"""apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  runtimeClassName: slipway
  containers:
  - name: machine
    image: slipway.local/{image}:latest
    imagePullPolicy: Never
    resources: {{limits: {{cpu: 1, memory: {memory}}}}}
""")
    return path


def bench(*words):
    return float(subprocess.run([f"{binaries}/slipway-bench", *words], check=True, capture_output=True, text=True).stdout)


def pages_start(megabytes):
    """Milliseconds that libvirt takes to start a machine with so much RAM on huge pages, its CPUs 0 and 1."""
    path = f"{work}/pages.yaml"
    with open(path, "w") as file:
        file.write(f"""apiVersion: v1
kind: Pod
metadata: {{name: bench}}
spec:
  runtimeClassName: slipway
  containers:
  - name: machine
    image: slipway.local/tiny-vnf-kernel:latest
    imagePullPolicy: Never
    resources: {{limits: {{cpu: 2, memory: 512Mi, hugepages-2Mi: {megabytes}Mi}}}}
""")
    slipway("run", "-f", path, "--cpuset", "0-1")
    _, directory = record(pod("bench")["id"])
    stamps = time_stamps(directory)
    verify = bench("verify")
    slipway("rm", "bench", "--grace", "0")
    return stamps["QEMU started"] - stamps["libvirt opened"], verify


def pod(name):
    return next(p for p in json.loads(slipway("ps", "-o", "json").stdout) if p["name"] == name)


def record(pod_id):
    for path in glob.glob("/run/slipway/*/sandbox.json"):
        data = json.load(open(path))
        if data["id"] == pod_id:
            return data, os.path.dirname(path)
    raise SystemExit(f"no sandbox {pod_id}")


def wait(condition, seconds=60, pause=0.005):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise SystemExit("bench: what was waited for did not come")
        time.sleep(pause)
    return value


def stamp(line):
    """Nanoseconds since 1970 of a line of a container's log."""
    text = line.split(" ", 1)[0]
    seconds, fraction = re.match(r"(.*)\.(\d+)Z", text).groups()
    return int(time.mktime(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) - time.timezone) * 10**9 + int(fraction.ljust(9, "0"))


def log_line(uid, text):
    for path in glob.glob(f"/var/log/pods/*_{uid}/machine/*.log"):
        for line in open(path, errors="replace"):
            if text in line:
                return stamp(line)
    return None


def time_stamps(directory):
    text = open(f"{directory}/sandbox.log").read()
    return dict((name, float(value)) for name, value in re.findall(r"TS\d+ ([^,]*?) ([\d.]+) ms", text))


def run_pod_sandbox(uid):
    """When containerd was asked for a pod's sandbox, by its log: the command's own start is not the pod's."""
    for line in open(f"{node}/containerd.log", errors="replace"):
        if "RunPodSandbox for" in line and f"Uid:{uid}," in line:
            return stamp(re.search('time="([^"]*)"', line)[1] + " ")
    raise SystemExit(f"containerd's log does not know pod {uid}")


def machine_start():
    """Milliseconds from RunPodSandbox to the first line of the guest's init, and the shim's own time stamps."""
    slipway("run", "-f", manifest("bench"))
    # While the guest boots nothing of ours runs, as nothing does beside bare QEMU: two CPUs may be threads of one core. The
    # time is that of the log's line, however late it is seen.
    directory, data = next(
        (os.path.dirname(path), data) for path in glob.glob("/run/slipway/*/sandbox.json")
        if (data := json.load(open(path)))["podName"] == "bench")
    first = wait(lambda: log_line(data["podUID"], "tiny-vnf: init"), pause=0.25)
    begin = run_pod_sandbox(data["podUID"])
    stamps = time_stamps(directory)
    arguments = same_guest(data["machine"]["process"]["pid"])
    slipway("rm", "bench", "--grace", "0")
    return (first - begin) / 1e6, stamps, arguments


def same_guest(pid):
    """The command line of a pod's QEMU, for a start without libvirt, containerd and a pod: the same machine to the last
    device, its serial port on stdout, its NIC on a network of QEMU's own."""
    words = open(f"/proc/{pid}/cmdline").read().split("\0")[:-1]
    result, index = words[:1], 1
    while index < len(words):
        option = words[index]
        alone = index + 1 == len(words) or words[index + 1].startswith("-")
        value = None if alone else words[index + 1]
        index += 1 if alone else 2
        if option in ("-S", "-mon") or value and ("masterKey0" in value or "id=charmonitor" in value):
            continue
        if option == "-kernel":
            value = f"{images}/vmlinuz"
        elif option == "-initrd":
            value = f"{images}/initrd.img"
        elif option == "-chardev":
            value = "stdio,id=charserial0" if "id=charserial0" in value else "null,id=charchannel0"
        elif option == "-netdev":
            value = json.dumps({"type": "user", "id": json.loads(value)["id"]})
        elif option == "-blockdev" and "filename" in json.loads(value):
            seed = json.loads(value)
            seed["filename"] = shutil.copy(seed["filename"], f"{work}/seed.iso")
            value = json.dumps(seed)
        result += [option] if value is None else [option, value]
    return result


def bare_start(arguments=None):
    """The guest without libvirt, containerd and a pod: from QEMU's start to the first line of init. Without arguments its
    machine has nothing but a serial port and random numbers."""
    begin = time.time_ns()
    process = subprocess.Popen(
        arguments or
        ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-M", "q35,graphics=off", "-m", "96", "-nodefaults",
         "-display", "none", "-serial", "stdio", "-device", "virtio-rng-pci", "-kernel", f"{images}/vmlinuz",
         "-initrd", f"{images}/initrd.img", "-append", "console=ttyS0", "-sandbox", "on"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    seen = b""
    while b"tiny-vnf: init" not in seen:
        part = os.read(process.stdout.fileno(), 4096)
        if not part:
            raise SystemExit("bench: bare QEMU ended before its guest's init")
        seen += part
    end = time.time_ns()
    process.kill()
    process.wait()
    return (end - begin) / 1e6


def front_start():
    """Milliseconds until `start` has returned and the sandbox process has answered a call on its socket."""
    bundle = tempfile.mkdtemp(dir=work)
    with open(f"{bundle}/config.json", "w") as file:
        json.dump({"ociVersion": "1.0.2", "linux": {"namespaces": [{"type": "network"}]}}, file)
    name = os.path.basename(bundle)
    begin = time.perf_counter_ns()
    reply = subprocess.run([f"{binaries}/containerd-shim-slipway-v2", "-namespace", "bench", "-address", address, "-id",
                            name, "start"], cwd=bundle, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    returned = time.perf_counter_ns()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(reply.stdout.removeprefix("unix://"))
    payload = bytes.fromhex("0a17636f6e7461696e6572642e7461736b2e76322e5461736b1207436f6e6e656374")
    connection.sendall(len(payload).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"\x01\x00" + payload)
    connection.recv(10)
    answered = time.perf_counter_ns()
    payload = bytes.fromhex("0a17636f6e7461696e6572642e7461736b2e76322e5461736b120853687574646f776e")
    connection.sendall(len(payload).to_bytes(4, "big") + (3).to_bytes(4, "big") + b"\x01\x00" + payload)
    while connection.recv(4096):
        pass
    return (returned - begin) / 1e6, (answered - begin) / 1e6


def kill_to_exit():
    """Milliseconds from SIGKILL to the TaskExit event."""
    slipway("run", "-f", manifest("bench"))
    container = pod("bench")["containers"][0]["id"]
    with open(f"{work}/events", "w") as file:
        events = subprocess.Popen(["ctr", "-a", address, "-n", "k8s.io", "events"], stdout=file)
        time.sleep(0.3)
        begin = time.time_ns()
        ctr("task", "kill", "-s", "KILL", container)

        def exited():
            for line in open(f"{work}/events"):
                if "/tasks/exit" in line and container in line:
                    return line
        line = wait(exited)
        events.terminate()
        events.wait()
    day, clock = line.split()[:2]
    at = stamp(f"{day}T{clock}Z")
    slipway("rm", "bench", "--grace", "0")
    return (at - begin) / 1e6


def prefix():
    return re.search("^name=(.*)", open(f"{node}/node.env").read(), re.M)[1]


def shell(script):
    return subprocess.run(["sh", "-ec", script], check=True, capture_output=True, text=True).stdout


class BareGuest:
    """The same guest on the same bridge, under QEMU alone: a TAP is a port of the bridge, in place of the pod's veth. It has
    the pod's quota and share of the CPUs as well."""

    kernel_arguments = "console=ttyS0 quiet panic=5 no_timer_check memhp_default_state=online"

    def __init__(self, bridge, address, like):
        self.tap = bridge.rstrip("0") + "t"
        shell(f"ip tuntap add {self.tap} mode tap; ip link set {self.tap} master {bridge} up")
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-M", "q35,graphics=off", "-m", "160", "-nodefaults",
             "-display", "none", "-serial", "stdio", "-device", "virtio-rng-pci", "-kernel", f"{images}/vmlinuz",
             "-initrd", f"{images}/net-vnf.initrd", "-append", self.kernel_arguments, "-sandbox", "on",
             "-netdev", f"tap,id=net,ifname={self.tap},script=no,downscript=no",
             "-device", "virtio-net-pci,netdev=net,mac=02:53:4c:00:00:01"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        # Beside the pod's machine in the pod's cgroup, with the same quota and share.
        match = re.search(r"^\d+:[^:]*\bcpu\b[^:]*:(.*)", open(f"/proc/{like}/cgroup").read(), re.M)
        theirs = f"/sys/fs/cgroup/cpu{match[1]}"
        self.group = os.path.dirname(theirs) + "/bare"
        os.makedirs(self.group, exist_ok=True)
        for name in ("cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares"):
            open(f"{self.group}/{name}", "w").write(open(f"{theirs}/{name}").read())
        open(f"{self.group}/cgroup.procs", "w").write(str(self.process.pid))
        self.seen = b""
        self.wait(b"tiny-vnf: ready")
        self.process.stdin.write(f"ip addr flush dev eth0; ip addr add {address}/24 dev eth0; ip link set eth0 up; "
                                 "echo address $((40 + 2))\n".encode())
        self.process.stdin.flush()
        self.wait(b"address 42")

    def wait(self, text):
        while text not in self.seen:
            self.seen += os.read(self.process.stdout.fileno(), 4096)

    def end(self):
        self.process.kill()
        self.process.wait()
        shell(f"ip link delete {self.tap}")
        os.rmdir(self.group)


def throughput(address, size):
    """Mbit/s to the guest and from it, as one: bytes both ways by the time of both."""
    text = shell(f"{images}/netprobe tcp {address} 5201 {size}")
    up, down = (float(rate) for rate in re.findall(r"(\d+) Mbit/s", text))
    return 2 / (1 / up + 1 / down)


def round_trip(address):
    return float(re.search(r"median ([\d.]+)", shell(f"{images}/netprobe rtt {address} 5201 500"))[1])


def network(pairs=15, size=30_000_000):
    """Ratios to bare QEMU of throughput and round trips: each the median over pairs that are measured by turns."""
    slipway("run", "-f", manifest("bench", "160Mi", "net-vnf"), "--wait-ready", "tiny-vnf: ready")
    entry = pod("bench")
    ours, bridge = entry["ip"], prefix() + "0"
    theirs = ours.rsplit(".", 1)[0] + ".250"
    guest = BareGuest(bridge, theirs, record(entry["id"])[0]["machine"]["process"]["pid"])
    try:
        for address in ours, theirs:
            throughput(address, size)
            round_trip(address)
        rates, trips, bare_rates, bare_trips = [], [], [], []
        for number in range(pairs):
            # Who is first changes as well.
            for address in (ours, theirs) if number % 2 else (theirs, ours):
                (rates if address == ours else bare_rates).append(throughput(address, size))
                (trips if address == ours else bare_trips).append(round_trip(address))
    finally:
        guest.end()
        slipway("rm", "bench", "--grace", "0")
    median = statistics.median
    return (median(a / b for a, b in zip(rates, bare_rates)), median(a / b for a, b in zip(trips, bare_trips)),
            median(rates), median(bare_rates), median(trips), median(bare_trips))


def nic_hotplug(cycles=10):
    """Milliseconds from `ip link add … netns` to the guest's kernel telling of the NIC, and to the sandbox's report."""
    slipway("run", "-f", manifest("bench", "160Mi", "net-vnf"), "--wait-ready", "tiny-vnf: ready")
    entry = pod("bench")
    data, directory = record(entry["id"])
    far = f"{prefix()}far"
    shell(f"ip netns add {far}")
    told, reported = [], []

    def states():
        try:
            return {nic["link"]: nic["state"]["name"] for nic in json.load(open(f"{directory}/network.json"))["interfaces"]}
        except (OSError, ValueError):
            return {}
    try:
        for cycle in range(cycles):
            mac = f"02:53:4c:48:01:{cycle:02x}"
            begin = time.time_ns()
            shell(f"nsenter --net={data['networkNamespace']} sh -ec '"
                  f"ip link add net1 address {mac} type veth peer name net1 netns /run/netns/{far}; "
                  f"ip -n {far} link set dev net1 up; ip link set dev net1 up'")
            wait(lambda: states().get("net1") == "up", 30)
            reported.append((time.time_ns() - begin) / 1e6)
            told.append((wait(lambda: log_line(entry["uid"], mac), 30) - begin) / 1e6)
            shell(f"nsenter --net={data['networkNamespace']} ip link delete net1")
            wait(lambda: "net1" not in states(), 60)
    finally:
        shell(f"ip netns delete {far}")
        slipway("rm", "bench", "--grace", "0")
    return statistics.median(told), max(told), statistics.median(reported)


def nics_start(name):
    """Milliseconds from CreateContainer, when CNI has made the links, to the first line of init; pod bench has one NIC on the
    node with 16 networks, pod bench16 has them all."""
    endpoint = ["--runtime-endpoint", f"unix://{node_of_16}/containerd.sock"]

    def ask(*words):
        return subprocess.run([f"{binaries}/slipway", *words, *endpoint], check=True, capture_output=True, text=True).stdout
    ask("run", "-f", manifest(name, "160Mi", "net-vnf"))
    entry = next(p for p in json.loads(ask("ps", "-o", "json")) if p["name"] == name)
    first = wait(lambda: log_line(entry["uid"], "tiny-vnf: init"))
    count = len(json.load(open(f"{record(entry['id'])[1]}/network.json"))["interfaces"])
    ask("rm", name, "--grace", "0")
    for line in open(f"{node_of_16}/containerd.log", errors="replace"):
        if "CreateContainer within sandbox" in line and entry["id"] in line:
            return (first - stamp(re.search('time="([^"]*)"', line)[1] + " ")) / 1e6, count
    raise SystemExit(f"containerd's log does not know a container of {entry['id']}")


def rollup(pid):
    text = open(f"/proc/{pid}/smaps_rollup").read()
    return {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}


def qemu_overhead(pid, ram_kb):
    """PSS of QEMU without the mapping that is the guest's RAM."""
    total = ram = 0
    size = None
    for line in open(f"/proc/{pid}/smaps"):
        if match := re.match(r"Size:\s+(\d+)", line):
            size = int(match[1])
        elif match := re.match(r"Pss:\s+(\d+)", line):
            total += int(match[1])
            if size == ram_kb:
                ram += int(match[1])
    return total - ram


def memory():
    names = [f"bench{number}" for number in range(10)]
    for name in names:
        slipway("run", "-f", manifest(name))
    for name in names:
        wait(lambda: log_line(pod(name)["uid"], "tiny-vnf: ready"), 180)
    os.sync()
    sandboxes, overheads = [], []
    for name in names:
        data, _ = record(pod(name)["id"])
        sandboxes.append(rollup(data["process"]["pid"]))
        overheads.append(qemu_overhead(data["machine"]["process"]["pid"], 96 << 10))
    for name in names:
        slipway("rm", name, "--grace", "0")
    median = statistics.median
    return median(s["Anonymous"] for s in sandboxes), median(s["Pss"] for s in sandboxes), median(overheads)


def measure_start():
    _, _, arguments = machine_start()  # warms the page cache and the node's caches
    bare_start(arguments)
    ours, bare, empty, to_libvirt = [], [], [], []
    # By turns and often: under TCG one boot differs from the next by more than what is looked for.
    for _ in range(runs * 2 + 1):
        total, stamps, arguments = machine_start()
        ours.append(total)
        to_libvirt.append(stamps["libvirt opened"])
        bare.append(bare_start(arguments))
        empty.append(bare_start())
    started, alone, least = map(statistics.median, (ours, bare, empty))
    report("start_ms", started, "ms", f"the same machine under bare QEMU in this run: {alone:.0f} ms")
    report("start_overhead_ms", started - alone, "ms",
           f"limit 400, aim 200; {started / alone:.2f} of bare QEMU with the same devices, ports for NICs to come included")
    report("devices_start_ms", alone - least, "ms",
           f"what the devices of a pod's machine cost the guest's start: bare QEMU without them takes {least:.0f} ms")
    report("start_to_libvirt_ms", statistics.median(to_libvirt), "ms", "from Task.Create until libvirt is asked for a domain")


def measure_shim():
    starts = [front_start() for _ in range(runs * 4)]
    report("front_start_ms", statistics.median(s[1] for s in starts), "ms",
           f"limit 15, answer to a call included; start alone {statistics.median(s[0] for s in starts):.1f}")
    report("kill_to_exit_ms", statistics.median(kill_to_exit() for _ in range(runs)), "ms", "limit 250, aim 100")


def measure_memory():
    anonymous, pss, qemu = memory()
    report("sandbox_anon_kb", anonymous, "kB", "limit 8500; 10 pods at once")
    report("sandbox_pss_kb", pss, "kB", "10 pods at once")
    report("qemu_overhead_kb", qemu, "kB", "PSS of QEMU without the guest's RAM, median of 10 pods")


def measure_placement():
    report("plan_us", bench("plan"), "us", "limit 2000; eight nodes, two cells, 200 pods' holdings")
    few, many, bare, verify = [], [], [], []
    # The first touch of a page is the host's to pay on a virtual machine.
    bench("populate", str(1152 << 20), str(2 << 20))
    for _ in range(runs):
        few.append(pages_start(64)[0])
        time_taken, verify_time = pages_start(64 + 1024)
        many.append(time_taken)
        verify.append(verify_time)
        bare.append(bench("populate", str(1 << 30), str(2 << 20)))
    ours = statistics.median(many) - statistics.median(few)
    report("prealloc_ms_per_gib", ours, "ms",
           f"limit 1.2 of a bare mmap with MAP_POPULATE in this run, {statistics.median(bare):.0f} ms: "
           f"{ours / statistics.median(bare):.2f}")
    report("verify_ms", statistics.median(verify), "ms", "a machine of two vCPUs and 544 huge pages, the node's reading included")


def measure_network():
    rate, trip, rates, bare_rates, trips, bare_trips = network()
    report("net_throughput_ratio", rate, "", f"limit 0.95; {rates:.0f} Mbit/s, the same guest under bare QEMU {bare_rates:.0f}")
    report("net_rtt_ratio", trip, "", f"{trips:.0f} us, the same guest under bare QEMU {bare_trips:.0f} us")
    told, slowest, reported = nic_hotplug()
    report("nic_hotplug_ms", told, "ms", f"limit 500, aim 150; the guest's kernel tells of it; slowest {slowest:.0f}; "
           f"the sandbox reports it after {reported:.0f}")
    nics_start("bench16")
    one, sixteen = [], []
    for _ in range(runs):
        one.append(nics_start("bench"))
        sixteen.append(nics_start("bench16"))
    extra = statistics.median(t for t, _ in sixteen) - statistics.median(t for t, _ in one)
    report("nic16_start_extra_ms", extra, "ms", f"{sixteen[0][1]} NICs instead of {one[0][1]}, to the first line of init")


parts = {"start": measure_start, "shim": measure_shim, "memory": measure_memory, "placement": measure_placement,
         "network": measure_network}
try:
    for part in sys.argv[4:] or parts:
        parts[part]()
finally:
    for name in ["bench"] + [f"bench{number}" for number in range(10)]:
        slipway("rm", name, "--force", check=False)
    shutil.rmtree(work, ignore_errors=True)

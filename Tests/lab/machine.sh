# shellcheck shell=bash disable=SC2034,SC2054,SC2154
# The lab's machine, read by lab.sh after suite.sh. A saved state belongs to exactly this machine, hence a file of its own.

# QEMU's arguments for a machine whose files are in DIR and that boots from IMAGE.
#   NUMA      two nodes with two CPUs and 4 GiB each
#   nic0,nic1 an e1000e on each node, behind a root port below an expander bus of that node; wired to each other
#   IOMMU     intel-iommu, fit for vfio-pci
#   SR-IOV    an igb on node 1 with seven virtual functions, on the same wire; not with bookworm's QEMU, which has none
#   KVM       the emulated CPUs have AMD's SVM with nested paging: guests in the lab run under KVM
#   vdb       what is new to the cached image
# A kernel with 1 GiB pages: one reserved on each node. 2 MiB pages are reserved when somebody asks (`lab pages`).
machine() { # DIR IMAGE
    machine=(
        -name lab -nodefaults -no-user-config -display none
        -daemonize -pidfile "$1/qemu.pid" -monitor "unix:$1/monitor.sock,server=on,wait=off"
        -serial "file:$1/console.log"
        # Without five-level paging, which only lengthens the emulated walks.
        -accel tcg,thread=multi -cpu max,la57=off -M q35,kernel-irqchip=split,vmport=off
        -smp 4,sockets=2,cores=2,threads=1 -m 8G
        -object memory-backend-ram,id=ram0,size=4G -numa node,nodeid=0,cpus=0-1,memdev=ram0
        -object memory-backend-ram,id=ram1,size=4G -numa node,nodeid=1,cpus=2-3,memdev=ram1
        -numa dist,src=0,dst=1,val=21
        -device intel-iommu,intremap=on,caching-mode=on
        -drive "file=$1/disk.qcow2,format=qcow2,if=none,id=root,cache=unsafe,discard=unmap"
        -device virtio-blk-pci,drive=root
        -drive "file=$1/payload.raw,format=raw,if=none,id=payload,cache=unsafe,readonly=on"
        -device virtio-blk-pci,drive=payload
        -netdev user,id=way-in,ipv6=off,hostfwd=tcp:127.0.0.1:0-:22
        -device virtio-net-pci,netdev=way-in,romfile=
        -device virtio-rng-pci
        -device pxb-pcie,id=expander0,bus=pcie.0,bus_nr=32,numa_node=0
        -device pcie-root-port,id=port0,bus=expander0,chassis=1
        -netdev hubport,id=wire0,hubid=0
        -device e1000e,id=nic0,bus=port0,netdev=wire0,mac=52:54:00:1a:b0:00,romfile=
        -device pxb-pcie,id=expander1,bus=pcie.0,bus_nr=64,numa_node=1
        -device pcie-root-port,id=port1,bus=expander1,chassis=2
        -netdev hubport,id=wire1,hubid=0
        -device e1000e,id=nic1,bus=port1,netdev=wire1,mac=52:54:00:1a:b0:01,romfile=
        -kernel "$2/vmlinux" -initrd "$2/initrd.img"
        -append "console=ttyS0 quiet panic=1 net.ifnames=0 mitigations=off no_timer_check \
intel_iommu=on iommu=pt hugepagesz=1G hugepages=0:1,1:1 systemd.show_status=false"
    )
    [ "$suite" = bookworm ] || machine+=(
        -device pcie-root-port,id=port2,bus=expander1,chassis=3
        -netdev hubport,id=wire2,hubid=0
        -device igb,id=igb,bus=port2,netdev=wire2,mac=52:54:00:1a:b0:02,romfile=
    )
}

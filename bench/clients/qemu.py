# SPDX-License-Identifier: MIT
"""A QEMU guest under TCG: Debian's cloud kernel and busybox. Slow, so its figures are relative ones; a whole Linux behind every kind of port."""

from bench.clients import initrd
from bench.clients.console import DHCP_EVENT, SHELL, Console
from bench.measure import QemuLoop
from bench.scene import BACK_CORE, BUILD, TOOLS, Missing, need, run

INIT = """#!/bin/sh
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /lib/modules/*.ko; do insmod $module 2>/dev/null; done
ip link set lo up
""" + SHELL.replace("CONSOLE", "/dev/ttyS0")

MEMORY = "192M"


class Qemu(Console):
    kinds = ("vhost", "stream", "dgram", "tap", "vde", "qemu", "none")
    iperf = False
    boot_seconds = 120

    def __init__(self, scene, attachment, number, core):
        super().__init__(scene, attachment, number, core)
        need("qemu-system-x86_64")
        kernel, own = self.files()
        # The main loop carries the network for most ports: it belongs to the backend's core, the virtual processor to the guest's.
        self.core = None
        words = ["qemu-system-x86_64", "-name", "guest,debug-threads=on", "-accel", "tcg", "-cpu", "max", "-m", MEMORY, "-smp", "1",
                 "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio", "-kernel", kernel, "-initrd", own, "-append", "console=ttyS0 rdinit=/bench-init quiet mitigations=off",
                 *self.net(attachment)]
        # hospesd is another user's and must be able to write to a socket that QEMU makes.
        self.boot(words, attachment.netns if attachment.kind == "tap" else scene.host, umask=0)
        self.pin(core)
        self.configure()

    def files(self):
        if not (BUILD / "mini-build").exists():
            raise Missing(f"{BUILD}/mini-build is not built")
        mini = run([BUILD / "mini-build", BUILD / "mini-cache"], timeout=300).strip()
        path = self.scene.folder / "qemu.initrd"
        if not path.exists():
            extra = initrd.archive({"bench-init": INIT.encode(), "dhcp-event": DHCP_EVENT.encode(), "bin/load": (TOOLS / "load").read_bytes()})
            with open(f"{mini}/initrd", "rb") as base:
                path.write_bytes(base.read())
            # The kernel unpacks one archive behind the other, each padded to four bytes.
            with open(path, "ab") as whole:
                whole.write(b"\0" * (-whole.tell() % 4) + extra)
        return f"{mini}/kernel", path

    def net(self, attachment):
        path = attachment.path
        shared, vectors = [], ""
        if attachment.kind == "none":
            return []
        netdev = {
            "stream": f"stream,id=n,server=off,addr.type=unix,addr.path={path}",
            "dgram": f"dgram,id=n,local.type=unix,local.path={attachment.own_path},remote.type=unix,remote.path={path}",
            "tap": f"tap,id=n,ifname={attachment.interface},script=no,downscript=no,vhost=off",
            "vde": f"vde,id=n,sock={path}",
            "qemu": "user,id=n",
            "vhost": "vhost-user,id=n,chardev=c",
        }[attachment.kind]
        if attachment.kind == "vhost":
            # QEMU 7.2 with MSI-X and TCG crashes in the guest's driver, or delivers no interrupt.
            vectors = ",vectors=0"
            shared = ["-chardev", f"socket,id=c,path={path}", "-object", f"memory-backend-memfd,id=m,size={MEMORY},share=on", "-machine", "memory-backend=m"]
        return [*shared, "-netdev", netdev, "-device", f"virtio-net-pci,netdev=n,mac={attachment.mac},romfile={vectors}"]

    def pin(self, core):
        """Threads by their work: QemuLoop knows which are no virtual processors."""
        loop = QemuLoop(self.process.pid)
        for tid in super(QemuLoop, loop).threads():
            run(["taskset", "-p", "-c", BACK_CORE if tid in loop.own else core, tid])

    def backends(self):
        return [] if self.loopback else [QemuLoop(self.process.pid)]

    def tool(self, name):
        return f"/bin/{name}"

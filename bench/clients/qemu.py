# SPDX-License-Identifier: MIT
"""A QEMU guest under TCG: Debian's cloud kernel and busybox. Slow, so its figures are relative ones; a whole Linux behind every kind of port."""

import pathlib

from bench.clients.console import Console
from bench.measure import QemuLoop
from bench.scene import BACK_CORE, BUILD, TOOLS, Missing, need, run
from tests.support.qemu import boot_words, make_initrd

MEMORY = "192M"


class Qemu(Console):
    kinds = ("vhost", "stream", "dgram", "tap", "vde", "qemu", "none")
    iperf = False
    boot_seconds = 120

    def __init__(self, scene, attachment, number, core):
        super().__init__(scene, attachment, number, core)
        need("qemu-system-x86_64")
        words = [*boot_words(*self.files(), MEMORY), "-name", "guest,debug-threads=on", "-no-reboot", *self.net(attachment)]
        # The main loop carries the network for most ports: it belongs to the backend's core, the virtual processor to the guest's.
        self.core = None
        # hospesd is another user's and must be able to write to a socket that QEMU makes.
        self.boot(words, attachment.netns if attachment.kind == "tap" else scene.host, umask=0)
        self.pin(core)
        self.configure()

    def files(self):
        if not (BUILD / "mini-build").exists():
            raise Missing(f"{BUILD}/mini-build is not built")
        mini = pathlib.Path(run([BUILD / "mini-build", BUILD / "mini-cache"], timeout=300).strip())
        path = self.scene.folder / "qemu.initrd"
        if not path.exists():
            make_initrd(path, mini, {"bin/load": (TOOLS / "load").read_bytes()})
        return mini, path

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

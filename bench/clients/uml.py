# SPDX-License-Identifier: MIT
"""User-mode Linux: a real Linux guest at native speed, a vhost-user front end or behind a tap. The host's files are its own, so it runs the host's iperf3."""

from bench.clients.console import Console
from bench.scene import TOOLS, Missing, need
from tests.support.uml import VIRTIO_NET, boot_words, make_initrd


class Uml(Console):
    kinds = ("vhost", "tap", "none")
    memory = 256

    def __init__(self, scene, attachment, number, core):
        super().__init__(scene, attachment, number, core)
        need("linux.uml")
        words = boot_words(self.initrd(), self.memory)
        netns = scene.host
        if attachment.kind == "vhost":
            words.append(f"virtio_uml.device={attachment.path}:1")
        elif attachment.kind == "tap":
            words.append(f"vec0:transport=tap,ifname={attachment.interface},depth=128,gro=1,mtu={scene.mtu}")
            netns = attachment.netns
        # One in some thirty panics at boot on a busy host: its init cannot fork.
        self.boot(words, netns, tries=3)
        if attachment.kind == "tap":
            self.shell("ip link set vec0 name eth0")
        elif attachment.kind == "vhost" and not self.shell("ls /sys/class/net | grep eth0 || true").strip():
            # Without that channel its driver has no interrupt of its own, asks for the timer's (number 0), and gives up with EBUSY.
            raise Missing("User-mode Linux has no eth0 with it: it wants a backend that offers protocol feature bit 5 (BACKEND_REQ)")
        self.configure()

    def initrd(self):
        path = self.scene.folder / "uml.initrd"
        if not path.exists():
            try:
                make_initrd(path, VIRTIO_NET)
            except FileNotFoundError as error:
                raise Missing(f"no modules of User-mode Linux, or no busybox-static: {error}") from None
        return path

    def tool(self, name):
        return str(TOOLS / name)

    def program(self, words):
        return "chroot /host " + super().program(words)


class SmallUml(Uml):
    """Many of them fit into one machine."""

    kinds = ("vhost", "none")
    memory = 80

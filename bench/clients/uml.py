# SPDX-License-Identifier: MIT
"""User-mode Linux: a real Linux guest at native speed, a vhost-user front end or behind a tap. The host's files are its own, so it runs the host's iperf3."""

import pathlib

from bench.clients import initrd
from bench.clients.console import DHCP_EVENT, SHELL, Console
from bench.scene import TOOLS, Missing, need

MODULES = ("net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net")

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t hostfs none /host -o /
mount -t proc proc /host/proc
for module in /modules/*.ko; do insmod $module; done
ip link set lo up
""" + SHELL.replace("CONSOLE", "/dev/tty0")


class Uml(Console):
    kinds = ("vhost", "tap", "none")
    memory = 256

    def __init__(self, scene, attachment, number, core):
        super().__init__(scene, attachment, number, core)
        need("linux.uml")
        words = ["linux.uml", f"mem={self.memory}M", f"initrd={self.initrd()}", "root=/dev/ram0", "rdinit=/init", "con0=fd:0,fd:1", "con=null", "quiet"]
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
        self.configure()

    def initrd(self):
        path = self.scene.folder / "uml.initrd"
        if not path.exists():
            trees = sorted(pathlib.Path("/usr/lib/uml/modules").glob("*/kernel"))
            if not trees or not pathlib.Path("/bin/busybox").exists():
                raise Missing("no modules of User-mode Linux, or no busybox-static")
            files = {"init": INIT.encode(), "dhcp-event": DHCP_EVENT.encode(), "bin/busybox": pathlib.Path("/bin/busybox").read_bytes()}
            for order, module in enumerate(MODULES):
                files[f"modules/{order}.ko"] = (trees[-1] / f"{module}.ko").read_bytes()
            initrd.write(path, files, ("dev", "proc", "sys", "tmp", "host"))
        return path

    def tool(self, name):
        return str(TOOLS / name)

    def program(self, words):
        return "chroot /host " + super().program(words)


class SmallUml(Uml):
    """Many of them fit into one machine."""

    kinds = ("vhost", "none")
    memory = 80

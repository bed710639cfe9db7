# SPDX-License-Identifier: MIT
"""User-mode Linux: a real Linux guest at native speed, whose vhost-user front end nobody here wrote. The host's files are its own, so that it runs the host's Python."""

import gzip
import pathlib

from tests.support.console import DHCP_EVENT, SHELL, Console, archive
from tests.support.lan import as_user

MODULES = ("lib/crc-ccitt", "net/ipv6/ipv6", "net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net")

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t hostfs none /host -o /
mount -t proc proc /host/proc
for module in /modules/*.ko; do insmod $module; done
echo 1 >/proc/sys/net/ipv6/conf/default/optimistic_dad
""" + SHELL.replace("CONSOLE", "/dev/tty0")

PEER = pathlib.Path(__file__).with_name("peer.py")


def make_initrd(path):
    tree = sorted(pathlib.Path("/usr/lib/uml/modules").glob("*/kernel"))[-1]
    files = {"init": INIT.encode(), "dhcp-event": DHCP_EVENT.encode(), "etc/resolv.conf": b"", "bin/busybox": pathlib.Path("/bin/busybox").read_bytes()}
    for order, module in enumerate(MODULES):
        files[f"modules/{order}.ko"] = (tree / f"{module}.ko").read_bytes()
    path.write_bytes(gzip.compress(archive(files, ("dev", "proc", "sys", "tmp", "host")), 1))
    return path


class Uml(Console):
    """On the vhost socket of a daemon's LAN, with a MAC of its own choice. boot() starts it."""

    def __init__(self, netns, daemon, name, mac, memory=192):
        home = daemon.home
        initrd = home.path / "uml.initrd"
        if not initrd.exists():
            make_initrd(initrd)
            (home.bin / "peer.py").write_bytes(PEER.read_bytes())
        self.peer = f"chroot /host /usr/bin/python3 -S -E {home.bin}/peer.py"
        words = ["linux.uml", f"mem={memory}M", f"initrd={initrd}", "root=/dev/ram0", "rdinit=/init", "con0=fd:0,fd:1", "con=null", "quiet",
                 f"virtio_uml.device={daemon.runtime}/vhost:1"]
        self.mac = mac
        super().__init__(name, netns.command(as_user(words)), dict(home.environment, TMPDIR="/dev/shm"))

    def wait_ready(self):
        super().wait_ready()
        self.shell(f"ip link set eth0 address {self.mac} && ip link set eth0 up")

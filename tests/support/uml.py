# SPDX-License-Identifier: MIT
"""User-mode Linux: a real Linux guest at native speed, whose vhost-user front end nobody here wrote. The host's files are its own, so that it runs the host's programs."""

import gzip
import pathlib

from tests.support.console import Console
from tests.support.initrd import archive, shell_files
from tests.support.lan import as_user

VIRTIO_NET = "net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net"
IPV6 = "lib/crc-ccitt", "net/ipv6/ipv6"

HOST_FILES = "mount -t hostfs none /host -o /; mount -t proc proc /host/proc"
PEER = pathlib.Path(__file__).with_name("peer.py")


def make_initrd(path, modules):
    """modules: of its kernel, in the order in which they are loaded. Raises FileNotFoundError where they or busybox are not installed."""
    trees = sorted(pathlib.Path("/usr/lib/uml/modules").glob("*/kernel"))
    if not trees:
        raise FileNotFoundError("no modules of User-mode Linux")
    files = {**shell_files("/dev/tty0", HOST_FILES), "bin/busybox": pathlib.Path("/bin/busybox").read_bytes()}
    for order, module in enumerate(modules):
        files[f"lib/modules/{order}.ko"] = (trees[-1] / f"{module}.ko").read_bytes()
    path.write_bytes(gzip.compress(archive(files, ("dev", "proc", "sys", "tmp", "host")), 1))


def boot_words(initrd, memory):
    """What starts one. memory: in MB."""
    return ["linux.uml", f"mem={memory}M", f"initrd={initrd}", "root=/dev/ram0", "rdinit=/guest-init", "con0=fd:0,fd:1", "con=null", "quiet"]


class Uml(Console):
    """On the vhost socket of a daemon's LAN, with a MAC of its own choice. boot() starts it."""

    def __init__(self, netns, daemon, name, mac, memory=192):
        home = daemon.home
        initrd = home.path / "uml.initrd"
        if not initrd.exists():
            make_initrd(initrd, IPV6 + VIRTIO_NET)
            (home.bin / "peer.py").write_bytes(PEER.read_bytes())
        self.peer = f"chroot /host /usr/bin/python3 -S -E {home.bin}/peer.py"
        self.mac = mac
        words = [*boot_words(initrd, memory), f"virtio_uml.device={daemon.runtime}/vhost:1"]
        super().__init__(name, netns.command(as_user(words)), dict(home.environment, TMPDIR="/dev/shm"))

    def wait_ready(self):
        super().wait_ready()
        self.shell(f"ip link set eth0 address {self.mac} && ip link set eth0 up")

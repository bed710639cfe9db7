# SPDX-License-Identifier: MIT
"""QEMU guests of the tests' own, attached by the line that `hospes qemu-args` says: the mini's kernel, a shell on the console, and QMP to tell QEMU what to do."""

import contextlib
import itertools
import json
import shlex
import socket
import time

from tests.support.console import DHCP_EVENT, SHELL, Console, archive
from tests.support.lan import wait_for

INIT = """#!/bin/sh
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo 1 >/proc/sys/net/ipv6/conf/default/optimistic_dad
for module in /lib/modules/*.ko; do insmod $module 2>/dev/null; done
ip link set eth0 up
""" + SHELL.replace("CONSOLE", "/dev/ttyS0")


class Qmp:
    """QEMU's monitor on a unix socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("r")
        assert "QMP" in json.loads(self.file.readline())
        self.do("qmp_capabilities")

    def do(self, command, **arguments):
        """Execute a command; what it returns. Events that come before are passed over."""
        line = {"execute": command, **({"arguments": {name.replace("_", "-"): value for name, value in arguments.items()}} if arguments else {})}
        self.socket.sendall(json.dumps(line).encode() + b"\n")
        while True:
            answer = json.loads(self.file.readline())
            assert "error" not in answer, (line, answer)
            if "return" in answer:
                return answer["return"]

    def close(self):
        self.file.close()
        self.socket.close()


class QemuGuest(Console):
    """A guest with a name on a user's LAN; `more` are further words for QEMU. boot() starts it."""

    numbers = itertools.count()

    def __init__(self, user, name, port="vhost", memory="192M", card="", lan="default", more=()):
        self.user, self.monitor = user, None
        self.monitor_path = user.path / "home" / f"qmp-{next(self.numbers)}"
        words = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", memory, "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
                 "-qmp", f"unix:{self.monitor_path},server=on,wait=off", *boot_words(user), *attach_words(user, lan, name, port, memory, card), *more]
        super().__init__(name, user.command(words), user.environment, boot_seconds=90)

    def spawn(self):
        super().spawn()
        wait_for(lambda: self.process.poll() is not None or self.connect(), 20, f"the monitor of {self.name}")

    def connect(self):
        with contextlib.suppress(OSError):
            self.monitor = Qmp(self.monitor_path)
        return self.monitor

    def do(self, command, **arguments):
        return self.monitor.do(command, **arguments)

    def kill(self):
        super().kill()
        if self.monitor:
            self.monitor.close()
            self.monitor = None
        self.monitor_path.unlink(missing_ok=True)


def boot_words(user):
    folder = next((user.path / "home/.cache/hospes/mini").glob("[0-9]*"))
    initrd = user.path / "qemu.initrd"
    if not initrd.exists():
        base = (folder / "initrd").read_bytes()
        # The kernel unpacks one archive behind the other, each padded to four bytes.
        initrd.write_bytes(base + bytes(-len(base) % 4) + archive({"guest-init": INIT.encode(), "dhcp-event": DHCP_EVENT.encode()}))
    return ["-kernel", str(folder / "kernel"), "-initrd", str(initrd), "-append", "console=ttyS0 rdinit=/guest-init quiet mitigations=off"]


def attach_words(user, lan, name, port, memory, card):
    """What hospes says, with more properties for the card."""
    size = memory.split(",")[0].removeprefix("size=")
    words = shlex.split(user.hospes("qemu-args", "-l", lan, "--port", port, "--name", name, *(["--mem", size] if port == "vhost" else [])))
    if port == "vhost":
        assert words[:2] == ["-m", size]
        words = words[2:]
    assert words[-2] == "-device" and words[-1].startswith("virtio-net-pci,")
    return words[:-1] + [words[-1] + ",romfile=" + card]


def move(source, target, path, seconds=60, meanwhile=lambda: None):
    """Migrate a guest that runs to a QEMU that waits at the path. Return: what QEMU tells of it."""
    source.do("migrate", uri=f"unix:{path}")
    end = time.monotonic() + seconds
    while True:
        told = source.do("query-migrate")
        if told.get("status") == "completed":
            break
        assert told.get("status") in (None, "none", "setup", "active", "device"), told
        assert time.monotonic() < end, told
        meanwhile()
        time.sleep(0.02)
    wait_for(lambda: target.do("query-status")["status"] == "running", 10, "the guest to run at the other side")
    return told

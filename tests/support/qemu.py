# SPDX-License-Identifier: MIT
"""QEMU guests of the tests' own, attached by the line that `hospes qemu-args` says: the mini's kernel, a shell on the console, and QMP to tell QEMU what to do."""

import contextlib
import itertools
import json
import shlex
import socket
import time

from tests.support.console import Console
from tests.support.initrd import archive, shell_files
from tests.support.lan import wait_for


def make_initrd(path, mini, files=None):
    """The mini's initrd with a shell on the console, and more files if wanted. mini: the folder of its kernel and initrd."""
    base = (mini / "initrd").read_bytes()
    # The kernel unpacks one archive behind the other, each padded to four bytes.
    path.write_bytes(base + bytes(-len(base) % 4) + archive({**shell_files("/dev/ttyS0"), **(files or {})}))


def boot_words(mini, initrd, memory):
    """What starts one, under TCG. memory: as -m takes it."""
    return ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", memory,
            "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
            "-kernel", f"{mini}/kernel", "-initrd", str(initrd), "-append", "console=ttyS0 rdinit=/guest-init quiet mitigations=off"]


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
    """A guest with a name on a user's LAN; `more` are further words for QEMU. boot() starts it. queues: pairs of them, and as many processors."""

    numbers = itertools.count()
    boot_seconds = 90

    def __init__(self, user, name, port="vhost", memory="192M", card="", lan="default", queues=1, more=()):
        self.user, self.monitor = user, None
        self.monitor_path = user.path / "home" / f"qmp-{next(self.numbers)}"
        mini = next((user.path / "home/.cache/hospes/mini").glob("[0-9]*"))
        initrd = user.path / "qemu.initrd"
        if not initrd.exists():
            make_initrd(initrd, mini)
        words = [*boot_words(mini, initrd, memory), "-qmp", f"unix:{self.monitor_path},server=on,wait=off",
                 *attach_words(user, lan, name, port, memory, card, queues), *more]
        super().__init__(name, user.command(words), user.environment)

    def spawn(self):
        super().spawn()
        wait_for(lambda: self.process.poll() is not None or self.connect(), 20, f"the monitor of {self.name}")

    def wait_ready(self):
        super().wait_ready()
        self.shell("ip link set eth0 up")

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


def attach_words(user, lan, name, port, memory, card, queues):
    """What hospes says, with more properties for the card, and more queues than it gives a guest under TCG."""
    size = memory.split(",")[0].removeprefix("size=")
    words = shlex.split(user.hospes("qemu-args", "-l", lan, "--port", port, "--name", name, *(["--mem", size] if port == "vhost" else [])))
    if port == "vhost":
        assert words[:2] == ["-m", size]
        words = words[2:]
    assert words[-2] == "-device" and words[-1].startswith("virtio-net-pci,")
    words[-1] += ",romfile=" + card
    if queues > 1:
        words[words.index("-netdev") + 1] += f",queues={queues}"
        words[-1] += ",mq=on"
        words += ["-smp", str(queues)]
    return words


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

# SPDX-License-Identifier: MIT
"""A patient for `hospes doctor`: a host whose bridge br0 hospes did not make, with an uplink to a LAN and a guest on a port.

	guest eth0 --- port0 [br0] eth0 --- eth0 lan
"""

import contextlib
import json
import os
import signal
import subprocess

from tests.support.bridge import Host
from tests.support.lan import USER, as_user, wait_for
from tests.support.netns import Netns, link, run

HOST4, LAN4, GUEST4 = "192.168.1.2", "192.168.1.1", "192.168.1.50"
HOST6, LAN6, GUEST6 = "2001:db8:1::2", "2001:db8:1::1", "2001:db8:1::50"

# A remedy of an ordinary user asks for root by sudo; here it is root who types it.
SUDO = '#!/bin/sh\nexec "$@"\n'


class Doctor:
    """hospes doctor in a namespace, and its remedies, typed there."""

    def __init__(self, netns, home):
        self.netns, self.home = netns, home
        sudo = home.bin / "sudo"
        sudo.write_text(SUDO)
        sudo.chmod(0o755)
        # Whether KVM works takes seconds to find out, and is no matter of most tests.
        self.environment = dict(home.environment, HOSPES_ACCEL="kvm")
        self.prefix = []

    def words(self, arguments, user):
        words = [str(self.home.bin / "hospes"), "doctor", *map(str, arguments)]
        return self.netns.command(self.prefix + (as_user(words) if user else words))

    def environ(self, user):
        if user:
            return self.environment
        return {name: value for name, value in self.environment.items() if name not in ("XDG_RUNTIME_DIR", "HOME")}

    def run(self, *arguments, user=False, status=None):
        """Its output and messages; its status must agree with what it found, or be the one that is expected."""
        done = subprocess.run(self.words(arguments, user), env=self.environ(user), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        assert done.returncode == status or (status is None and done.returncode in (0, 1)), f"{done.returncode}: {done.stdout}{done.stderr}"
        return done

    def all(self, *arguments, user=False):
        done = self.run(*arguments, "--json", user=user)
        report = json.loads(done.stdout)
        worst = {finding["severity"] for finding in report["findings"]} - {"note"}
        assert done.returncode == (1 if worst else 0), report
        for finding in report["findings"]:
            assert all(finding[key] for key in ("symptom", "cause", "where")) and (finding["remedy"] or finding["advice"]), finding
        return report["findings"]

    def found(self, check, *arguments, user=False):
        return [finding for finding in self.all(*arguments, user=user) if finding["check"] == check]

    def type(self, line, user=False):
        """Type a line where the doctor has said it, as whoever would: root, but for what asks for sudo."""
        environment = dict(self.environ(user), PATH=self.environment["PATH"])
        words = self.prefix + ["sh", "-c", line]
        done = subprocess.run(self.netns.command(words), env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{line}: {done.returncode}: {done.stdout}{done.stderr}"

    def heal(self, check, *arguments, user=False, as_root=True):
        """The check finds something; its remedy is typed; it finds nothing any more. What was found."""
        found = self.found(check, *arguments, user=user)
        assert found, f"{check} finds nothing: {self.all(*arguments, user=user)}"
        for one in found:
            if as_root:
                self.type(one["remedy"], user)
            else:
                self.type_as_user(one["remedy"])
        left = self.found(check, *arguments, user=user)
        assert not left, f"still there after {[one['remedy'] for one in found]}: {left}"
        return found

    def type_as_user(self, line):
        words = self.netns.command(self.prefix + as_user(["sh", "-c", line]))
        done = subprocess.run(words, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{line}: {done.returncode}: {done.stdout}{done.stderr}"


class Patient(Doctor):
    USER = "wangji"

    def __init__(self, home, fixed_mac=True, uplink=True):
        super().__init__(Host("patient", {self.USER: (USER, str(home.path / "home"))}), home)
        self.host, self.lan, self.guest = self.netns, Netns("lan"), Netns("guest")
        self.processes = []
        h = self.host
        h.ip("link add br0 type bridge")
        link(h, "eth0", self.lan, "eth0")
        link(h, "port0", self.guest, "eth0")
        h.ip("link set port0 master br0")
        if fixed_mac:
            h.ip(f"link set br0 address {self.mac('eth0' if uplink else 'br0')}")
        if uplink:
            h.ip("link set eth0 master br0")
        h.ip("link set br0 up")
        self.address(h, "br0", HOST4, HOST6)
        self.address(self.guest, "eth0", GUEST4, GUEST6)
        if uplink:
            self.address(self.lan, "eth0", LAN4, LAN6)
            self.host.ip(f"route add default via {LAN4}")
            self.host.ip(f"route add default via {LAN6}")
            self.guest.ip(f"route add default via {LAN4}")
            self.host.sysctl("net.ipv6.conf.all.accept_ra=0")

    @staticmethod
    def address(netns, name, net4, net6):
        netns.ip(f"address add {net4}/24 dev {name}")
        netns.ip(f"address add {net6}/64 dev {name} nodad")

    def mac(self, name):
        return json.loads(self.host.ip(f"-j link show {name}"))[0]["address"]

    def run_in(self, netns, *words):
        """Start a program that runs until the end of the test."""
        process = subprocess.Popen(netns.command(list(words)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def qemu(self, tap, mac=None):
        """A QEMU that has the tap open; its guest is not started, for nobody needs it."""
        process = self.run_in(self.host, "qemu-system-x86_64", "-S", "-display", "none", "-nodefaults", "-m", "16", "-accel", "tcg",
                              "-netdev", f"tap,id=net0,ifname={tap},script=no,downscript=no",
                              "-device", "virtio-net-pci,netdev=net0,romfile=" + (f",mac={mac}" if mac else ""))
        wait_for(lambda: process.poll() is not None or self.carrier(tap), 10, f"QEMU to open {tap}")
        assert process.poll() is None, "QEMU ended"
        return process

    def carrier(self, tap):
        self.host.ip(f"link set {tap} up")
        return "NO-CARRIER" not in json.loads(self.host.ip(f"-j link show {tap}"))[0]["flags"]

    def tap(self, name, master="br0", user=USER):
        # Where the host's own accounts are known.
        self.type(f"ip tuntap add dev {name} mode tap user {user}")
        if master:
            self.host.ip(f"link set {name} master {master} up")

    def remove(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(10)
        for netns in (self.guest, self.lan, self.host):
            netns.remove()


def reaches(netns, address, size=8, options=(), tries=3):
    """Does a ping come back?"""
    words = ["ping", "-n", "-c", "1", "-W", "1", "-s", str(size), *options, address]
    for _ in range(tries):
        if subprocess.run(netns.command(words), capture_output=True, timeout=10, check=False).returncode == 0:
            return True
    return False


@contextlib.contextmanager
def background(words):
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def node(path, major, minor, mode):
    os.mknod(path, 0o20000 | mode, os.makedev(major, minor))
    os.chmod(path, mode)


__all__ = ["Doctor", "Patient", "background", "node", "reaches", "run"]

# SPDX-License-Identifier: MIT
"""Guests of a bridge LAN: one played frame by frame on its tap's descriptor, one that is a namespace with a real kernel."""

import contextlib
import fcntl
import os
import select
import socket
import struct
import subprocess
import threading
import time

from scapy.layers.l2 import Ether

from tests.support.lan import USER
from tests.support.netns import Netns
from tests.support.wire import Guest

TUNSETIFF = 0x400454ca
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000


class FrameGuest(Guest):
    """Every frame by hand. It has no address until lease() or until the test says one."""

    def __init__(self, bridged, name, lan="br0", user=USER, **parameters):
        self.reply, self.fd, self.connection = bridged.attach(lan, user, name=name, **parameters)
        self.tap, self.mac = self.reply["tap"], self.reply["mac"]
        self.ip, self.ip6, self.kept = "0.0.0.0", None, []
        os.set_blocking(self.fd, False)

    def send_bytes(self, frame):
        os.write(self.fd, frame)

    def send(self, *packets):
        for packet in packets:
            os.write(self.fd, bytes(packet).ljust(60, b"\0"))

    def ether(self, to="ff:ff:ff:ff:ff:ff"):
        return Ether(src=self.mac, dst=to)

    def read(self, seconds):
        if not select.select([self.fd], [], [], max(seconds, 0))[0]:
            return None
        return Ether(os.read(self.fd, 70000))

    def until(self, marker, control, seconds):
        """Read until a frame with the control bytes: did one with the marker come before? None: no control came within the time, and no marker."""
        return marked(lambda left: self.read(left), marker, control, seconds)

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self.connection.close()


class TapHolder(FrameGuest):
    """Whoever opens a persistent tap by its name, as QEMU does, and plays a guest with a MAC of its own choice."""

    def __init__(self, host, tap, mac):
        with host.entered():
            self.fd = os.open(host.root / "dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
            fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", tap.encode(), IFF_TAP | IFF_NO_PI))
        self.tap, self.mac = tap, mac
        self.ip, self.ip6, self.kept = "0.0.0.0", None, []

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def marked(read, marker, control, seconds):
    end, found = time.monotonic() + seconds, None
    while (left := end - time.monotonic()) > 0 and (frame := read(left)) is not None:
        frame = bytes(frame)
        found = True if marker in frame else found
        if control in frame:
            return bool(found)
    return found


class KernelGuest(Netns):
    """A namespace whose eth0 is joined to the LAN's tap by a thread that carries frames."""

    def __init__(self, bridged, name, lan="br0", user=USER, **parameters):
        super().__init__(f"guest-{name}")
        self.reply, self.fd, self.connection = bridged.attach(lan, user, name=name, **parameters)
        self.mac = self.reply["mac"]
        with self.entered():
            self.own = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            fcntl.ioctl(self.own, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI))
        self.sysctl("net.ipv6.conf.all.optimistic_dad=1")
        self.sysctl("net.ipv6.conf.eth0.optimistic_dad=1")
        self.ip(f"link set eth0 address {self.mac}")
        self.stop_read, self.stop_write = os.pipe()
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()
        self.ip("link set eth0 up")

    def carry(self):
        other = {self.own: self.fd, self.fd: self.own}
        while True:
            ready = select.select([self.own, self.fd, self.stop_read], [], [])[0]
            if self.stop_read in ready:
                return
            for fd in ready:
                with contextlib.suppress(OSError):
                    os.write(other[fd], os.read(fd, 70000))

    def dhcp(self, path, seconds=10, client_id=None):
        """One lease by udhcpc: what it was told, by name; empty if nobody answered. The address and the route are set. client_id: hexadecimal"""
        script, told = path / f"{self.name}.udhcpc", path / f"{self.name}.told"
        script.write_text(f'#!/bin/sh\n[ "$1" = bound ] || exit 0\nip address replace "$ip/$mask" dev eth0\n'
                          f'[ -z "$router" ] || ip route replace default via "${{router%% *}}"\nenv >{told}\n')
        script.chmod(0o755)
        words = ["busybox", "udhcpc", "-f", "-q", "-n", "-i", "eth0", "-s", str(script), "-t", "4", "-T", "1", "-O", "search"]
        if client_id:
            words += ["-x", f"0x3d:{client_id}"]
        told.unlink(missing_ok=True)
        subprocess.run(self.command(words), capture_output=True, timeout=seconds + 10, check=False)
        if not told.exists():
            return {}
        return dict(line.split("=", 1) for line in told.read_text().splitlines() if "=" in line)

    def detach(self):
        if self.fd >= 0:
            os.write(self.stop_write, b"x")
            self.thread.join(5)
            for fd in (self.fd, self.own, self.stop_read, self.stop_write):
                os.close(fd)
            self.fd = -1
            self.connection.close()

    def remove(self):
        self.detach()
        super().remove()


class Sniffer:
    """All frames that arrive at an interface of a namespace, from now on."""

    def __init__(self, netns, interface="eth0"):
        self.socket = netns.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((interface, 0))

    def read(self, seconds):
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(70000)
        except (socket.timeout, BlockingIOError):
            return None

    def until(self, marker, control, seconds):
        """As FrameGuest.until()."""
        return marked(self.read, marker, control, seconds)

    def seen(self, marker, seconds):
        """Does a frame with these bytes come within the time?"""
        return bool(self.until(marker, marker, seconds))

    def close(self):
        self.socket.close()

# SPDX-License-Identifier: MIT
"""Other ways to attach: a QEMU line of one's own, datagrams, a QEMU that cannot connect itself, the boot ROM."""

import shlex
import socket
import subprocess
import time

import pytest

from tests.support.lan import wait_for
from tests.support.user import BOOT


def boot_words(user):
    """A mini without any key: what somebody else's QEMU line looks like."""
    folder = next((user.path / "home/.cache/hospes/mini").glob("[0-9]*"))
    return ["qemu-system-x86_64", "-m", "256M", "-display", "none", "-serial", "null", "-kernel", str(folder / "kernel"), "-initrd", str(folder / "initrd"),
            "-append", "console=ttyS0 quiet"]


@pytest.mark.parametrize("port", ["stream", "dgram", "vhost"])
def test_qemu_args(user, port):
    name = f"by-hand-{port}"
    memory = ["--mem", "256M"] if port == "vhost" else []
    line = user.hospes("qemu-args", "--port", port, "--name", name, *memory)
    assert "\n" not in line and port in line
    guest = user.guests()[name]
    assert guest["registered"] and guest["mac"] in line
    process = user.popen(*boot_words(user), *shlex.split(line), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: "<title>mini</title>" in user.run("hospes", "exec", "--", "curl", "-sS", "-m", "5", f"http://{name}/", status=None), BOOT, "the guest")
        assert user.guests()[name]["state"] == "attached"
        message = user.fails("stop", name)
        assert "was not started by hospes run" in message
        message = user.fails("run", "--detach", "--name", name, "mini")
        assert "attached already" in message
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=20)
    assert b"error" not in out.lower(), out


def test_dgram(user):
    user.hospes("run", "--detach", "--name", "by-dgram", "--port", "dgram", "mini")
    user.wait_ssh("by-dgram")
    assert "dgram" in next(line for line in user.hospes("ls").splitlines() if line.startswith("by-dgram"))
    user.hospes("stop", "by-dgram")


def test_old_qemu(user):
    """A QEMU before 7.2 gets a connection that was made for it."""
    old = user.bin / "old-qemu"
    old.write_text('#!/bin/sh\n[ "$1" != -version ] || { echo "QEMU emulator version 6.2.0 (Debian 1:6.2+dfsg-2)"; exit 0; }\nexec qemu-system-x86_64 "$@"\n')
    old.chmod(0o755)
    environment = {"HOSPES_QEMU": str(old)}
    user.hospes("run", "--detach", "--name", "by-fd", "--port", "stream", "mini", environment=environment)
    user.wait_ssh("by-fd")
    assert any("socket,id=hospes,fd=" in p for p in user.processes())
    user.hospes("stop", "by-fd")
    assert "--port stream" in user.fails("run", "--detach", "--port", "dgram", "mini", environment=environment)
    assert "hospes run" in user.fails("qemu-args", environment=environment)


class Serial:
    """The serial line of a guest that was started with --detach."""

    def __init__(self, user, name):
        self.text = ""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(user.runtime() / "guests" / name / "serial"))
        self.socket.settimeout(0.2)

    def expect(self, wanted, seconds):
        """Read on until the text has come."""
        end = time.monotonic() + seconds
        while wanted not in self.text:
            assert time.monotonic() < end, f"no {wanted!r} within {seconds} s:\n{self.text}"
            try:
                self.text += self.socket.recv(65536).decode(errors="replace")
            except socket.timeout:
                pass

    def type(self, text):
        """As a person would: the firmware's serial line keeps few characters."""
        for character in text:
            self.socket.sendall(character.encode())
            time.sleep(0.03)


def test_ipxe(user, world, serve):
    """QEMU's own boot ROM gets a lease, and fetches and runs a script by HTTP, which fetches a file."""
    blob = bytes(range(256)) * 400
    server = serve(world.host, {"blob": blob})
    server_files = f"#!ipxe\necho script runs at ${{net0/ip}}\nimgfetch http://10.0.2.2:{server.port}/blob\nimgstat\n".encode()
    script = serve(world.host, {"s": server_files})
    user.hospes("run", "--detach", "--name", "pxe", "--mem", "256M", "--", "-machine", "graphics=off", "-vga", "none", "-boot", "n")
    serial = Serial(user, "pxe")
    serial.expect("iPXE initialising devices", BOOT)
    serial.expect("Press Ctrl-B for the iPXE command line", BOOT)
    serial.type("\x02")
    serial.expect("iPXE>", 20)
    serial.type(f"dhcp && chain http://10.0.2.2:{script.port}/s\r")
    wait_for(lambda: server.asked, 40, "the file's request")
    serial.expect(f"blob : {len(blob)} bytes", 20)
    lease = user.guests()["pxe"]["lease"]
    assert f"script runs at {lease}" in serial.text
    assert "iPXE" in script.asked[0][1]
    serial.socket.close()
    start = time.monotonic()
    user.hospes("stop", "pxe")   # it does not hear the power button: QEMU is ended after a while
    assert time.monotonic() - start < 14

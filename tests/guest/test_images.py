# SPDX-License-Identifier: MIT
"""Images: a raw disk, a qcow2 disk, a CD. A boot sector of our own stands in for an operating system: it speaks on the serial line, writes a sector, powers off."""

import hashlib
import struct
import subprocess

import pytest

from tests.support.lan import wait_for
from tests.support.user import BOOT, give

MESSAGE = b"the image boots\r\n"


def boot_sector(head=b""):
    """16-bit code that is loaded at 0x7c00, the drive's number in DL. It writes itself into sector 2, and @head, of eight bytes, into the first."""
    code = bytes.fromhex("31c0 8ed8 8ec0 8ed0 bc007c")          # xor ax, ax; mov ds, es, ss, ax; mov sp, 0x7c00
    if head:
        code += bytes.fromhex("66c7060080") + head[:4] + bytes.fromhex("66c7060480") + head[4:]  # mov dword [0x8000], head; and its rest
        code += bytes.fromhex("b80103 bb0080 b90100 b600 cd13") # write sector 1 from 0x8000
    code += bytes.fromhex("b80103 bb007c b90200 b600 cd13")     # write sector 2 from 0x7c00: int 0x13, ah 3 (a CD refuses)
    code += bytes.fromhex("be") + struct.pack("<H", 0x7c00 + 128) + bytes.fromhex("baf803")  # mov si, message; mov dx, 0x3f8
    code += bytes.fromhex("ac 84c0 7403 ee ebf8")               # lodsb; test al, al; jz +3; out dx, al; jmp -8
    code += bytes.fromhex("ba0406 b80020 ef f4 ebfd")           # mov dx, 0x604; mov ax, 0x2000; out dx, ax (power off); hlt
    return (code.ljust(128, b"\0") + MESSAGE + b"\0").ljust(510, b"\0") + b"\x55\xaa"


def iso():
    """The least that El Torito takes for a CD to boot from: two volume descriptors, a catalogue, the boot sector."""
    sector = 2048
    primary = (b"\1CD001\1\0" + b" " * 32 + b"HOSPES".ljust(32)).ljust(sector, b"\0")
    boot = (b"\0CD001\1" + b"EL TORITO SPECIFICATION".ljust(32, b"\0") + bytes(32) + struct.pack("<I", 19)).ljust(sector, b"\0")
    end = b"\xffCD001\1".ljust(sector, b"\0")
    check = bytearray(b"\1\0\0\0" + bytes(24) + b"\0\0\x55\xaa")
    check[28:30] = struct.pack("<H", -sum(struct.unpack("<16H", check)) & 0xffff)
    entry = b"\x88\0" + struct.pack("<HBBHI", 0, 0, 0, 1, 20)
    catalogue = (bytes(check) + entry).ljust(sector, b"\0")
    return bytes(16 * sector) + primary + boot + end + catalogue + boot_sector().ljust(sector, b"\0") + bytes(100 * sector)


@pytest.fixture
def image(user):
    """image("raw"): a path below HOME."""
    def maker(kind):
        path = user.path / "home" / f"Disk_of {kind}.img"
        path.write_bytes(iso() if kind == "iso" else boot_sector() + bytes((1 << 20) - 512))
        if kind == "qcow2":
            raw = path.rename(path.with_suffix(".raw"))
            subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, path], check=True, timeout=60)
        give(path)
        return path

    yield maker


def written(path):
    """Was the second sector written?"""
    raw = path.with_suffix(".out")
    subprocess.run(["qemu-img", "convert", "-O", "raw", path, raw], check=True, timeout=60)
    return raw.read_bytes()[512:1024] == boot_sector()


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_disk(user, image, kind):
    path = image(kind)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    assert MESSAGE.decode().strip() in user.hospes("run", "--snapshot", path, timeout=BOOT)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before, "--snapshot wrote to the image"
    path.chmod(0o444)
    assert MESSAGE.decode().strip() in user.hospes("run", "--snapshot", path, timeout=BOOT)
    path.chmod(0o644)
    assert MESSAGE.decode().strip() in user.hospes("run", path, timeout=BOOT)
    assert written(path)


def test_no_other_format(user, image):
    """A guest cannot make its raw disk one with a file of the host behind it: the next start would open that."""
    path = image("raw")
    path.write_bytes(boot_sector(b"QFI\xfb\0\0\0\3") + bytes((1 << 20) - 512))
    assert MESSAGE.decode().strip() in user.hospes("run", path, timeout=BOOT)
    first, second = path.read_bytes()[:512], path.read_bytes()[512:1024]
    assert second[:2] == first[:2], "nothing was written at all"
    assert first[:4] != b"QFI\xfb", "the disk has become a qcow2"


def test_name_with_a_colon(user, image):
    path = image("raw")
    path.rename(path.with_name("a:b.img"))
    assert MESSAGE.decode().strip() in user.hospes("run", "a:b.img", timeout=BOOT)


def test_cd(user, image):
    path = image("iso")
    path.chmod(0o444)
    assert MESSAGE.decode().strip() in user.hospes("run", path, timeout=BOOT)


def test_kernel_of_ones_own(user):
    """No image: the words behind "--" say what is booted."""
    folder = next((user.path / "home/.cache/hospes/mini").glob("[0-9]*"))
    user.hospes("run", "--detach", "--name", "own", "--", "-kernel", folder / "kernel", "-initrd", folder / "initrd", "-append", "console=ttyS0 quiet")
    log = user.runtime() / "guests/own/serial.log"
    wait_for(lambda: "This is mini" in log.read_text(errors="replace"), BOOT, "the guest's prompt")


def test_name_from_file(user, image):
    """A guest without a name gets its image's, as a name of the network."""
    path = image("raw")
    user.hospes("run", "--detach", "--snapshot", path, "--", "-S")
    user.hospes("run", "--detach", "--snapshot", path, "--", "-S")
    assert {"disk-of-raw", "disk-of-raw-2"} <= set(user.guests())

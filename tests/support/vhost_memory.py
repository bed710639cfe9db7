# SPDX-License-Identifier: MIT
"""A guest's memory as a front end shares it: memory files, and what lies where in them."""

import fcntl
import mmap
import os
import struct
import threading

from tests.support.vhost_message import REGION

PAGE = 4096
GIB = 1 << 30


def pages(guest, size):
    """The numbers of the pages that these bytes touch."""
    return set(range(guest // PAGE, (guest + size - 1) // PAGE + 1))


class Region:
    """A range of guest addresses in a file of its own (or in one that is given). The two addresses differ, so that a mix-up shows."""

    def __init__(self, guest, size, user=None, offset=0, fd=None):
        self.guest, self.size, self.offset = guest, size, offset
        self.user = 0x7f1200000000 + guest if user is None else user
        self.fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING) if fd is None else os.dup(fd)
        if fd is None:
            os.ftruncate(self.fd, offset + size)
        self.map = mmap.mmap(self.fd, size, offset=offset)
        self.bytes = memoryview(self.map)
        self.u16 = self.bytes.cast("H")
        self.copy = None  # a bytearray: see Memory.snapshot()
        self.next = PAGE  # the first byte that nobody has taken; address 0 is nothing to some back ends

    def describe(self):
        return REGION.pack(self.guest, self.size, self.user, self.offset)

    def truncate(self, size):
        """Take the file's pages away under everybody who has mapped it. Our own map must not be touched any more."""
        os.ftruncate(self.fd, size)

    def seal(self, seals=fcntl.F_SEAL_SHRINK):
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)

    def close(self):
        self.u16.release()
        self.bytes.release()
        self.map.close()
        os.close(self.fd)


class Memory:
    """Guest memory. By default the rings find room in a region below 1 MiB that starts somewhere in its file, buffers above 4 GiB."""

    def __init__(self, regions=None):
        self.regions = regions or [Region(0, 4 << 20, offset=2 * PAGE), Region(4 * GIB, 96 << 20)]

    def close(self):
        for region in self.regions:
            region.close()
        self.regions = []

    def find(self, guest, size=1):
        """The region of a guest address, and where in it."""
        for region in self.regions:
            if region.guest <= guest and guest + size <= region.guest + region.size:
                return region, guest - region.guest
        raise LookupError(f"{guest:#x} is not in memory")

    def allocate(self, size, align=16, region=None):
        """Room for good. Return: its guest address. Without a region, the last one."""
        region = region or self.regions[-1]
        start = -(-region.next // align) * align
        if start + size > region.size:
            raise MemoryError(f"no {size} bytes left at {region.guest:#x}")
        region.next = start + size
        return region.guest + start

    def user(self, guest):
        """The user address of a guest address."""
        region, offset = self.find(guest)
        return region.user + offset

    def read(self, guest, size):
        region, offset = self.find(guest, max(size, 1))
        return bytes(region.bytes[offset:offset + size])

    def write(self, guest, data):
        region, offset = self.find(guest, max(len(data), 1))
        if region.copy:
            region.copy[offset:offset + len(data)] = data
        region.bytes[offset:offset + len(data)] = data

    def get16(self, guest):
        """Two bytes in one access."""
        region, offset = self.find(guest, 2)
        return region.u16[offset // 2]

    def set16(self, guest, value):
        region, offset = self.find(guest, 2)
        if region.copy:
            struct.pack_into("=H", region.copy, offset, value & 0xffff)
        region.u16[offset // 2] = value & 0xffff

    def pack(self, form, guest, *values):
        self.write(guest, struct.pack(form, *values))

    def unpack(self, form, guest):
        return struct.unpack(form, self.read(guest, struct.calcsize(form)))

    def snapshot(self):
        """Keep a copy, in which the driver's own writes are followed (the device's are not)."""
        for region in self.regions:
            region.copy = bytearray(region.bytes)

    def changed(self):
        """The numbers of the pages in which the device has changed something since the snapshot."""
        found = set()
        for region in self.regions:
            now, chunk = bytes(region.bytes), 64 * PAGE
            for start in range(0, region.size, chunk):
                if now[start:start + chunk] != region.copy[start:start + chunk]:
                    found |= {(region.guest + at) // PAGE for at in range(start, min(start + chunk, region.size), PAGE)
                              if now[at:at + PAGE] != region.copy[at:at + PAGE]}
        return found


class Log:
    """The bitmap of pages that the back end has changed, for migration."""

    def __init__(self, memory, offset=0):
        last = max(region.guest + region.size for region in memory.regions)
        self.offset = offset
        self.size = -(-last // PAGE // 64) * 8
        self.fd = os.memfd_create("log", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, offset + self.size)
        self.map = mmap.mmap(self.fd, offset + self.size)

    def pages(self):
        """The numbers of all pages that are marked."""
        data = self.map[self.offset:]
        return {byte * 8 + bit for byte, value in enumerate(data) if value for bit in range(8) if value & 1 << bit}

    def clear(self):
        self.map[self.offset:] = bytes(self.size)

    def close(self):
        self.map.close()
        os.close(self.fd)


_lock = threading.Lock()


def barrier():
    """What was written before is seen by all before what is read after: a lock taken is a full barrier on x86."""
    with _lock:
        pass

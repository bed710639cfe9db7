# SPDX-License-Identifier: MIT
"""What guests boot that have a shell on their console: an init for busybox, and the archive that it comes in."""

import itertools
import pathlib

# The last thing is the shell, a line at a time. No echo, no prompt: what comes back is output only.
INIT = """#!/bin/busybox sh
[ -e /bin/sh ] || /bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /lib/modules/*.ko; do insmod $module; done
[ ! -e /proc/sys/net/ipv6 ] || echo 1 >/proc/sys/net/ipv6/conf/all/optimistic_dad
SETUP
ip link set lo up
exec <CONSOLE >CONSOLE 2>&1
stty -echo -onlcr 2>/dev/null
echo GUEST-READY
while read -r line; do eval "$line"; done
"""

# What udhcpc calls. The card gets the MTU that the lease says; IPv6 comes by advertisement.
DHCP_EVENT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip -4 address flush dev "$interface"
[ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
ip address add "$ip/$mask" dev "$interface"
for gateway in $router; do ip route replace default via "$gateway" dev "$interface"; break; done
for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
"""


def shell_files(console, setup=""):
    """The files for a shell on a device: boot with rdinit=/guest-init. setup: lines of the guest's own, run before the shell."""
    init = INIT.replace("CONSOLE", console).replace("SETUP", setup)
    return {"guest-init": init.encode(), "dhcp-event": DHCP_EVENT.encode(), "etc/resolv.conf": b""}


def archive(files, folders=()):
    """A cpio archive ("newc"). files: path in the guest to bytes; all of them are executable."""
    data, numbers, made = bytearray(), itertools.count(1), set()

    def add(name, mode, content):
        number = next(numbers)
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        data.extend(b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0")
        data.extend(b"\0" * (-len(data) % 4) + content)
        data.extend(b"\0" * (-len(data) % 4))

    for path in [*(f"{folder}/x" for folder in folders), *files]:
        for parent in reversed(pathlib.PurePosixPath(path).parents):
            if str(parent) not in (".", "/") and str(parent) not in made:
                made.add(str(parent))
                add(str(parent), 0o40755, b"")
    for path, content in files.items():
        add(path, 0o100755, content)
    add("TRAILER!!!", 0, b"")
    return bytes(data)

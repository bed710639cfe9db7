# SPDX-License-Identifier: MIT
"""Numbered frames between two guests, and what a daemon holds of them."""

import os
import pathlib
import random
import re
import struct
import time

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from tests.support.vhost import GSO_TCPV4, GSO_TCPV6, NEEDS_CSUM, Feature, Header, fold

ONE, TWO = "02:00:00:00:00:01", "02:00:00:00:00:02"
PACKED = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
NEVER = 0x5000000000  # a guest address that is of no region
ETHERTYPE = 0x88b5  # for local experiments

RINGS = {
    "split": {},
    "split, events by index": {"event_idx": True},
    "split, in order": {"in_order": True},
    "split, in order, events by index": {"in_order": True, "event_idx": True},
    "split, shuffled": {"shuffle": 3},
    "split, calls by a pipe": {"pipe": True, "event_idx": True},
    "packed": {"packed": True},
    "packed, events by index": {"packed": True, "event_idx": True},
    "packed, in order": {"packed": True, "in_order": True},
    "packed, in order, events by index": {"packed": True, "in_order": True, "event_idx": True},
    "packed, size is no power of two": {"packed": True, "size": 100},
    "packed, shuffled": {"packed": True, "shuffle": 3},
}
BUFFERS = {
    "mergeable": {},
    "mergeable and small": {"rx": (256,)},
    "whole": {"features": Feature.VERSION_1},
    "whole, header apart": {"features": Feature.VERSION_1, "rx": (12, 2048)},
    "legacy": {"features": Feature(0)},
    "cut": {"tx": (12, 14, 1, 20)},
    "indirect": {"indirect": True, "tx": (12, 14, 1, 20), "features": Feature.VERSION_1, "rx": (12, 100, 1500)},
}


def combine(rings, buffers):
    """The options of a device. There is no legacy packed ring."""
    options = {**RINGS[rings], **BUFFERS[buffers]}
    if options.get("packed"):
        options["features"] = options.get("features", Feature.VERSION_1 | Feature.MRG_RXBUF) | Feature.VERSION_1
    return options


def frame(number, size=60, source=ONE, to=TWO):
    head = bytes.fromhex((to + source).replace(":", "")) + struct.pack("!HI", ETHERTYPE, number)
    return head + random.Random(number).randbytes(size - len(head))


def take_frame(receiver, seconds=2.0):
    """The next numbered frame with its header; what others say on the LAN is left out."""
    while True:
        header, came = receiver.receive(seconds)
        if came is None or came[12:14] == struct.pack("!H", ETHERTYPE):
            return header, came


def pass_all(sender, receiver, frames, burst=16, seconds=2.0):
    """Send frames and receive them, in order and unchanged."""
    for first in range(0, len(frames), burst):
        sender.transmit(*frames[first:first + burst])
        for sent in frames[first:first + burst]:
            came = take_frame(receiver, seconds)[1]
            assert came == sent, f"{None if came is None else (len(came), came[:20])} came, not {len(sent), sent[:20]}"
    sender.flush()


def numbered(sizes, source=ONE, to=TWO):
    return [frame(number, size, source, to) for number, size in enumerate(sizes)]


def sizes(count, seed=7):
    """Lengths of frames: the edges, and others."""
    return ([60, 61, 243, 244, 245, 1513, 1514] + [random.Random(seed).randrange(60, 1515) for _ in range(count)])[:count]


def pseudo(packet):
    """The sum of a TCP or UDP packet's pseudo header, not inverted: what a driver leaves in the checksum field for the device to complete."""
    layer = packet[IP] if IP in packet else packet[IPv6]
    size, number = len(bytes(layer.payload)), layer.proto if IP in packet else layer.nh
    raw = bytes(layer)
    addresses = raw[12:20] if IP in packet else raw[8:40]
    return fold(addresses + struct.pack("!HH", number, size))


def open_segment(packet, segment_size):
    """A TCP packet of any length as a driver with segmentation offload hands it over: bytes with the checksum open, and their header."""
    data = bytearray(bytes(packet))
    start = 14 + (20 if IP in packet else 40)
    data[start + 16:start + 18] = struct.pack("!H", pseudo(packet))
    kind = GSO_TCPV4 if IP in packet else GSO_TCPV6
    return bytes(data), Header(NEEDS_CSUM, kind, start + packet[TCP].dataofs * 4 if packet[TCP].dataofs else start + 20, segment_size, start, 16)


def descriptors(daemon):
    """How many descriptors a daemon holds."""
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def processor_seconds(daemon):
    """How long a daemon has worked."""
    fields = open(f"/proc/{daemon.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wake_ups(daemon):
    """How often a daemon's threads have gone to sleep since they began."""
    statuses = pathlib.Path(f"/proc/{daemon.process.pid}/task").glob("*/status")
    return sum(int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read_text(), re.M)[1]) for status in statuses)


def introduce(*guests):
    """The switch learns where everybody is, so that nothing is flooded."""
    for guest in guests:
        guest.announce()
    for guest in guests:
        guest.drain()


ACCEPTED, REFUSED, CLOSED = "accepted", "refused", "closed"


def outcome(act, *arguments, **options):
    """What the back end does about a message."""
    try:
        answer = act(*arguments, **options)
    except (ConnectionError, BrokenPipeError):
        return CLOSED
    return REFUSED if answer else ACCEPTED


def ends(guest, seconds=2.0):
    """The port of a guest with a broken ring closes; or the ring at least never goes on, and its error descriptor says so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if guest.front.closed(0.05) or any(ring.failed() for ring in guest.rings):
            return True
    return False


def good(guest, size=100):
    """A frame in guest memory, with its header. Return: address and length."""
    data = bytes(12) + frame(1, size)
    address = guest.memory.allocate(len(data))
    guest.memory.write(address, data)
    return address, len(data)

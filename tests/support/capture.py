# SPDX-License-Identifier: MIT
"""What has left a port, frame by frame: nothing of it may need an offload that the port lacks. The bytes are looked at by themselves, without scapy."""

import collections
import struct

from tests.support.vhost import GSO_NONE, NEEDS_CSUM, complete, fold

IPV4, IPV6, VLAN = 0x0800, 0x86dd, 0x8100
TCP, UDP, ICMP6 = 6, 17, 58
CHECKSUM = {TCP: 16, UDP: 6, 1: 2, ICMP6: 2}  # where it stands, by protocol

Packet = collections.namedtuple("Packet", "version protocol ports header payload")  # header: of the transport


def examine(frame, mtu=1500):
    """Look at a whole frame: no more than the MTU, and every length and checksum right. Return: a Packet; None if it is no TCP, UDP or ICMP."""
    at, (kind,) = 14, struct.unpack_from("!H", frame, 12)
    if kind == VLAN:
        at, (kind,) = 18, struct.unpack_from("!H", frame, 16)
    assert len(frame) - at <= mtu, f"{len(frame) - at} bytes of type {kind:#x} where the MTU is {mtu}"
    if kind not in (IPV4, IPV6):
        return None
    if kind == IPV4:
        head, end = (frame[at] & 15) * 4, at + struct.unpack_from("!H", frame, at + 2)[0]
        protocol, addresses = frame[at + 9], frame[at + 12:at + 20]
        assert fold(frame[at:at + head]) == 0xffff, "the checksum of an IPv4 header is wrong"
        assert not struct.unpack_from("!H", frame, at + 6)[0] & 0x3fff, "a fragment"
    else:
        head, end = 40, at + 40 + struct.unpack_from("!H", frame, at + 4)[0]
        protocol, addresses = frame[at + 6], frame[at + 8:at + 40]
    assert at + head <= end <= len(frame) and (end == len(frame) or len(frame) == 60), f"the IP packet ends at {end} in a frame of {len(frame)} bytes"
    if protocol not in CHECKSUM:
        return None
    data = frame[at + head:end]
    check_transport(data, protocol, addresses if kind == IPV6 or protocol != 1 else None)
    size = {TCP: data[12] >> 4 << 2 if protocol == TCP else 0}.get(protocol, 8)
    return Packet(4 if kind == IPV4 else 6, protocol, struct.unpack_from("!HH", data), data[:size], data[size:])


def check_transport(data, protocol, addresses):
    """ICMP of IPv4 alone has no pseudo header."""
    (given,) = struct.unpack_from("!H", data, CHECKSUM[protocol])
    pseudo = fold(addresses + struct.pack("!HH", protocol, len(data))) if addresses else 0
    assert protocol != UDP or struct.unpack_from("!H", data, 4)[0] == len(data), "UDP's length is not that of its packet"
    assert protocol != UDP or given, "a UDP checksum was left out"
    assert fold(data, pseudo) == 0xffff, f"the checksum {given:#06x} of protocol {protocol} is wrong"


class Capture(list):
    """All that a guest gets from now on, each frame examined as it comes. `opens`: its driver takes open checksums, but no segments."""

    def __init__(self, guest, mtu=1500, opens=False):
        super().__init__()
        self.mtu, self.opens = mtu, opens
        self.takes_headers = hasattr(guest, "receive")
        self.inner = guest.receive if self.takes_headers else guest.read_frame
        setattr(guest, "receive" if self.takes_headers else "read_frame", self.take)

    def take(self, seconds=2.0):
        came = self.inner(seconds)
        header, frame = came if self.takes_headers else (None, came)
        if frame is None:
            return came
        if header:
            assert header.gso_type == GSO_NONE and header.gso_size == 0, f"{header} to a driver that takes no segments"
            assert self.opens or not header.flags, f"{header} to a driver that takes no open checksum"
            frame = complete(header, frame) if header.flags & NEEDS_CSUM else frame
        self.append((frame, examine(frame, self.mtu)))
        return came

    def packets(self, protocol):
        return [packet for _, packet in self if packet and packet.protocol == protocol]

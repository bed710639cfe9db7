# SPDX-License-Identifier: MIT
"""Frames that no honest guest sends: dropped and counted, and the daemon goes on serving."""

import random
import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting
from scapy.layers.l2 import ARP, Dot1Q, Ether

from tests.support.netns import World
from tests.support.wire import GATEWAY4, GATEWAY_MAC, connect

PORTS = ["stream", "vhost"]


@pytest.fixture(autouse=True)
def serves_afterwards(daemon, attach, server4):
    """Whatever was sent: another guest's connection works as ever."""
    yield
    connection, peer = connect(attach(daemon, 9), server4)
    connection.send("PA", b"as ever")
    assert peer.recv(100) == b"as ever"
    peer.sendall(b"and back")
    assert connection.take(8) == b"and back"


def head(guest, ethertype=None):
    frame = bytes.fromhex(GATEWAY_MAC.replace(":", "")) + bytes.fromhex(guest.mac.replace(":", ""))
    return frame + struct.pack("!H", ethertype) if ethertype is not None else frame


@pytest.mark.parametrize("seed", range(3))
def test_noise_of_every_length(daemon, guest, grows, seed):
    chance = random.Random(seed)
    with grows(daemon, "short", 14):
        for size in range(81):
            guest.send_bytes(chance.randbytes(size))


@pytest.mark.parametrize("ethertype", [0x0800, 0x0806, 0x86dd, 0x8100, 0x88cc, 0, 46])
def test_noise_to_the_gateway(daemon, guest, ethertype):
    chance = random.Random(ethertype)
    before = sum(daemon.drops().values())
    for size in range(67):
        for _ in range(3):
            guest.send_bytes(head(guest, ethertype) + chance.randbytes(size))
    guest.drain()
    assert sum(daemon.drops().values()) - before == 201
    assert set(daemon.drops()) <= {"short", "malformed", "checksum", "no-protocol", "spoofed-ip", "martian"}


@pytest.mark.parametrize("protocol", [1, 6, 17, 58, 44, 0, 43, 60])
@pytest.mark.parametrize("version", [4, 6])
def test_noise_inside_ip(daemon, guest, version, protocol):
    """A good IP header, and behind it anything."""
    chance = random.Random(protocol)
    for size in range(61):
        noise = chance.randbytes(size)
        packet = guest.ip_to(World.SERVER4, proto=protocol) if version == 4 else guest.ip_to(World.SERVER6, nh=protocol)
        guest.send(packet / noise)
    guest.drain()
    assert sum(daemon.drops().values()) > 0


def raw_checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip_frame(guest, packet, patch):
    """A frame whose IP header was changed at some offsets, its checksum made right again."""
    data = bytearray(bytes(packet))
    for offset, value in patch.items():
        data[offset:offset + len(value)] = value
    if data[0] >> 4 == 4 and 10 not in patch:
        data[10:12] = b"\0\0"
        size = max((data[0] & 15) * 4, 20)
        data[10:12] = struct.pack("!H", raw_checksum(bytes(data[:size])))
    return head(guest, 0x0800 if data[0] >> 4 == 4 else 0x86dd) + bytes(data)


def udp4(guest):
    return guest.ip_to(World.SERVER4) / UDP(sport=5, dport=7) / b"payload!"


@pytest.mark.parametrize("name,patch,reason", [
    ("version", {0: b"\x55"}, "malformed"), ("no header", {0: b"\x40"}, "malformed"), ("short header", {0: b"\x44"}, "malformed"),
    ("long header", {0: b"\x4f"}, "malformed"), ("total below header", {2: b"\0\x13"}, "malformed"), ("total 0", {2: b"\0\0"}, "malformed"),
    ("total beyond frame", {2: b"\xff\xff"}, "malformed"), ("checksum", {10: b"\x12\x34"}, "malformed"),
    ("udp length below header", {24: b"\0\7"}, "short"), ("udp length beyond packet", {24: b"\xff\xff"}, "short"),
    ("udp checksum", {26: b"\x12\x34"}, "checksum"), ("total cuts the udp header", {2: b"\0\x18"}, "short")])
def test_wrong_ipv4(daemon, guest, grows, name, patch, reason):
    with grows(daemon, reason):
        guest.send_bytes(ip_frame(guest, udp4(guest), patch))


@pytest.mark.parametrize("name,patch,reason", [
    ("version", {0: b"\x50"}, "malformed"), ("payload beyond frame", {4: b"\xff\xff"}, "malformed"), ("no payload", {4: b"\0\0"}, "short"),
    ("udp length", {44: b"\xff\xff"}, "short"), ("udp checksum", {46: b"\x12\x34"}, "checksum")])
def test_wrong_ipv6(daemon, guest, grows, name, patch, reason):
    packet = guest.ip_to(World.SERVER6) / UDP(sport=5, dport=7) / b"payload!"
    with grows(daemon, reason):
        guest.send_bytes(ip_frame(guest, packet, patch))


@pytest.mark.parametrize("name,patch,reason", [
    ("offset below header", {12: b"\x40"}, "short"), ("offset beyond segment", {12: b"\xf0"}, "short"), ("port 0", {0: b"\0\0"}, "malformed"),
    ("port 0 at the peer", {2: b"\0\0"}, "malformed"), ("SYN and FIN", {13: b"\x03"}, "malformed"), ("SYN and RST", {13: b"\x06"}, "malformed"),
    ("every flag", {13: b"\xff"}, "malformed"), ("option of no length", {20: b"\2\0\0\0"}, None), ("option beyond the header", {20: b"\2\x40\0\0"}, None)])
def test_wrong_tcp(daemon, guest, grows, name, patch, reason):
    segment = bytearray(bytes(TCP(sport=1000, dport=81, flags="S", options=[("MSS", 1460)])))
    for offset, value in patch.items():
        segment[offset:offset + len(value)] = value
    segment[16:18] = b"\0\0"
    source, destination = (bytes(map(int, a.split("."))) for a in (guest.ip, World.SERVER4))
    pseudo = source + destination + struct.pack("!HH", 6, len(segment))
    segment[16:18] = struct.pack("!H", raw_checksum(pseudo + bytes(segment)))
    if reason:
        with grows(daemon, reason):
            guest.send(guest.ip_to(World.SERVER4, proto=6) / bytes(segment))
        guest.silence(lambda p: TCP in p, 0.05)
    else:  # the option is passed over, the SYN counts
        guest.send(guest.ip_to(World.SERVER4, proto=6) / bytes(segment))
        guest.expect(lambda p: TCP in p and p[TCP].flags & 4, what="RST of the closed port")


def test_flags_that_make_no_sense_in_a_connection(daemon, guest, server4, grows):
    connection, peer = connect(guest, server4)
    with grows(daemon, "malformed", 3):
        connection.send("", b"no flags", advance=False)
        connection.send("FPU", advance=False, seq=connection.seq)
        connection.send("SF", advance=False)
    connection.send("PA", b"fine")
    assert peer.recv(100) == b"fine"


def test_source_routes(daemon, guest, grows):
    with grows(daemon, "malformed", 2):
        for option in (b"\x83\x07\x04\x0a\0\2\2\0", b"\x89\x07\x04\x0a\0\2\2\0"):
            packet = IP(src=guest.ip, dst=World.SERVER4, options=[]) / UDP(sport=5, dport=7) / b"x"
            data = bytearray(bytes(packet))
            data[20:20] = option
            data[0] = 0x47
            data[2:4] = struct.pack("!H", len(data))
            guest.send_bytes(ip_frame(guest, bytes(data), {}))


def test_extension_headers(daemon, guest, grows):
    """Those that say nothing are walked over, a routing header is refused, and so is a chain without end."""
    ping = ICMPv6EchoRequest(id=1, seq=1, data=b"x")
    gateway = daemon.call("Status")["gateway6"]
    guest.send(guest.ip_to(gateway) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / ping)
    guest.expect(lambda p: IPv6 in p and p[IPv6].nh == 58 and p[IPv6].src == gateway, what="echo reply")
    with grows(daemon, "malformed", 2):
        guest.send(guest.ip_to(gateway) / IPv6ExtHdrRouting(addresses=["2001:db8::1"], segleft=1) / ping)
        chain = guest.ip_to(gateway)
        for _ in range(60):
            chain /= IPv6ExtHdrDestOpt()
        guest.send(chain / ping)


def test_loops(daemon, guest, grows):
    """From oneself to oneself; to the gateway from the gateway; from and to groups."""
    with grows(daemon, "spoofed-ip", 3):
        guest.send(guest.ether() / IP(src=GATEWAY4, dst=GATEWAY4) / TCP(sport=80, dport=80, flags="S"))
        guest.send(guest.ether() / IP(src="255.255.255.255", dst=World.SERVER4) / ICMP())
        guest.send(guest.ether() / IPv6(src="ff02::1", dst=World.SERVER6) / ICMPv6EchoRequest())
    with grows(daemon, "martian"):
        guest.send(guest.ether() / IP(src=guest.ip, dst=guest.ip) / TCP(sport=80, dport=80, flags="S"))


def test_smurf(guest):
    """A ping of everybody is the guests' to answer, not the gateway's to multiply."""
    guest.send(guest.ip_to("10.0.2.255") / ICMP(), guest.ip_to("255.255.255.255") / ICMP())
    guest.silence(lambda p: ICMP in p, 0.1)


def test_vlan_tags(daemon, guest, grows):
    with grows(daemon, "no-protocol"):
        guest.send(Ether(src=guest.mac, dst=GATEWAY_MAC) / Dot1Q(vlan=5) / guest.ip_to(GATEWAY4) / ICMP())


def test_arp_of_other_kinds(daemon, guest, grows):
    with grows(daemon, "malformed", 3):
        guest.send(guest.ether() / ARP(hwtype=6, hwsrc=guest.mac, psrc=guest.ip, pdst=GATEWAY4))
        guest.send(guest.ether() / ARP(ptype=0x86dd, hwsrc=guest.mac, psrc=guest.ip, pdst=GATEWAY4))
        guest.send_bytes(head(guest, 0x0806) + bytes(ARP(hwsrc=guest.mac, psrc=guest.ip, pdst=GATEWAY4))[:20])


# the stream itself

def test_lengths_of_the_stream(daemon, guest, grows):
    """Empty, short and oversize frames are left out; those behind them count."""
    with grows(daemon, "short", 14):
        for size in range(14):
            guest.send_bytes(bytes(size))
    with grows(daemon, "oversize"):
        guest.send_bytes(bytes(100000))
    guest.announce()


@pytest.mark.streams
def test_byte_by_byte(guest):
    frame = bytes(guest.ether() / ARP(hwsrc=guest.mac, psrc=guest.ip, pdst=GATEWAY4))
    for byte in struct.pack("!I", len(frame)) + frame:
        guest.socket.send(bytes([byte]))
    guest.expect(lambda p: ARP in p and p[ARP].op == 2, what="ARP answer")


@pytest.mark.streams
@pytest.mark.parametrize("length", [1 << 17 | 1, 0x7fffffff, 0xffffffff, 0x47455420])
def test_length_that_makes_no_sense(daemon, guest, length):
    """Out of step for ever (somebody spoke HTTP, say): the port is closed."""
    guest.socket.sendall(struct.pack("!I", length) + bytes(100))
    with pytest.raises(ConnectionError):
        while guest.read(2) is not None:
            pass
        raise AssertionError("the port is still open")


@pytest.mark.streams
def test_guest_that_leaves_in_the_middle_of_a_frame(daemon, attach):
    guest = attach(daemon, 5)
    guest.socket.sendall(struct.pack("!I", 1000) + bytes(500))
    guest.close()


def test_flood(daemon, guest):
    """More than it can carry: SYNs to everywhere, from many ports."""
    chance = random.Random(1)
    packets = [guest.ip_to(World.SERVER4) / TCP(sport=1024 + n, dport=chance.randint(1, 65535), flags="S") for n in range(500)]
    guest.send(*packets)
    answers = [p for p in guest.drain(0.3) if TCP in p]
    assert len(answers) == 500


def test_more_flows_than_there_is_room(start, attach, grows, world, sockets):
    """Another LAN with a small table: new ones are refused, those that are open go on."""
    daemon = start(lan="small", config="[LAN]\nFlows = 16\nIPv4 = 10.0.2.0/24\n")
    guest = attach(daemon)
    listener = sockets(world.net, World.SERVER4)
    opened = [connect(guest, listener) for _ in range(16)]
    with grows(daemon, "flow-table-full"):
        guest.send(guest.ip_to(World.SERVER4) / TCP(sport=5, dport=listener.getsockname()[1], flags="S"))
    for connection, peer in opened:
        connection.send("PA", b"open")
        assert peer.recv(10) == b"open"

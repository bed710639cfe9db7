# SPDX-License-Identifier: MIT
"""A guest played by scapy on the LAN's stream socket: every frame by hand, and small helpers for the usual ones."""

import random
import socket
import struct
import time

from scapy.config import conf
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6)
from scapy.layers.l2 import ARP, Ether

conf.verb = 0

GATEWAY_MAC = "52:55:0a:00:02:02"
GATEWAY4, DNS4 = "10.0.2.2", "10.0.2.3"


class Guest:
    """One attachment. Frames come and go as bytes behind their length; answers to ARP and neighbour solicitations for our own addresses are sent by recv()."""

    def __init__(self, daemon, mac="02:00:00:00:00:01", ip="10.0.2.100", ip6=None):
        self.play(mac, ip, ip6)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(daemon.runtime / "stream"))
        self.buffer = b""

    def play(self, mac, ip, ip6):
        """Be this guest."""
        self.mac, self.ip, self.ip6 = mac, ip, ip6
        self.kept = []  # frames that nobody has asked for yet

    def close(self):
        self.socket.close()

    die = close  # the connection ends

    # frames; guests on another kind of port have their own send_frames() and read_frame()

    def send_frames(self, frames):
        self.socket.sendall(b"".join(struct.pack("!I", len(frame)) + frame for frame in frames))

    def send_bytes(self, frame):
        self.send_frames([frame])

    def send(self, *packets, **options):
        """Send packets; an Ethernet header to the gateway is put before those that have none."""
        self.send_frames([bytes(packet if packet.haslayer(Ether) else self.ether() / packet) for packet in packets], **options)

    def ether(self, to=GATEWAY_MAC):
        return Ether(src=self.mac, dst=to)

    def read(self, seconds):
        """The next frame as a scapy packet, or None when the time is over."""
        frame = self.read_frame(seconds)
        return None if frame is None else Ether(frame)

    def read_frame(self, seconds):
        end = time.monotonic() + seconds
        while True:
            if len(self.buffer) >= 4:
                size = struct.unpack("!I", self.buffer[:4])[0]
                if len(self.buffer) >= 4 + size:
                    frame, self.buffer = self.buffer[4:4 + size], self.buffer[4 + size:]
                    return frame
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                part = self.socket.recv(262144)
            except (socket.timeout, BlockingIOError):
                return None
            if not part:
                raise ConnectionError("the daemon closed the port")
            self.buffer += part

    def recv(self, wanted, seconds=2.0):
        """The first frame for which wanted(packet) holds; others are kept for later calls. None when the time is over."""
        for index, packet in enumerate(self.kept):
            if wanted(packet):
                return self.kept.pop(index)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            packet = self.read(left)
            if packet is None:
                return None
            if wanted(packet):
                return packet
            if not self.answer_neighbour(packet):
                self.kept.append(packet)
        return None

    def expect(self, wanted, seconds=2.0, what="a frame"):
        packet = self.recv(wanted, seconds)
        assert packet is not None, f"no {what}; kept: {[p.summary() for p in self.kept[-10:]]}"
        return packet

    def announce(self):
        """Let the LAN know that we are here, as a guest does by its first packets."""
        self.send(self.ether() / ARP(op=1, hwsrc=self.mac, psrc=self.ip, pdst=GATEWAY4))
        self.expect(lambda p: ARP in p and p[ARP].op == 2 and p[ARP].psrc == GATEWAY4, what="ARP answer of the gateway")
        return self

    def drain(self, seconds=0.05):
        """Take everything that comes within a moment, answering neighbours. Return: the frames, with those kept before."""
        while (packet := self.read(seconds)) is not None:
            if not self.answer_neighbour(packet):
                self.kept.append(packet)
        taken, self.kept = self.kept, []
        return taken

    def silence(self, wanted, seconds=0.3):
        packet = self.recv(wanted, seconds)
        assert packet is None, f"unexpected: {packet.summary()}"

    def answer_neighbour(self, packet):
        if ARP in packet and packet[ARP].op == 1 and packet[ARP].pdst == self.ip:
            self.send(self.ether(packet.src) / ARP(op=2, hwsrc=self.mac, psrc=self.ip, hwdst=packet[ARP].hwsrc, pdst=packet[ARP].psrc))
            return True
        if ICMPv6ND_NS in packet and packet[ICMPv6ND_NS].tgt == self.ip6:
            self.send(self.ether(packet.src) / IPv6(src=self.ip6, dst=packet[IPv6].src, hlim=255) /
                      ICMPv6ND_NA(tgt=self.ip6, R=0, S=1) / ICMPv6NDOptDstLLAddr(lladdr=self.mac))
            return True
        return False

    # the usual packets

    def ip_to(self, dst, **fields):
        """An IP header of the right version from our address."""
        if ":" in dst:
            return IPv6(src=self.ip6, dst=dst, **fields)
        return IP(src=self.ip, dst=dst, **fields)

    def dhcp(self, kind, seconds=2.0, mac=None, source="0.0.0.0", to="255.255.255.255", ciaddr="0.0.0.0", xid=None, answer=True, **options):
        """Send a DHCP message and return the answer (None if there is none). Options by scapy's names."""
        xid = xid if xid is not None else random.getrandbits(32)
        mac = mac or self.mac
        raw = bytes.fromhex(mac.replace(":", ""))
        words = [("message-type", kind)] + [(k.replace("__", "-"), v) for k, v in options.items()] + ["end"]
        self.send(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / IP(src=source, dst=to) / UDP(sport=68, dport=67) /
                  BOOTP(chaddr=raw + bytes(10), xid=xid, ciaddr=ciaddr, flags=0) / DHCP(options=words))
        if not answer:
            return None
        return self.recv(lambda p: BOOTP in p and p[BOOTP].op == 2 and p[BOOTP].xid == xid, seconds)

    def lease(self, **options):
        """Discover and request as a client does; our address is the leased one afterwards. Return: the acknowledgement."""
        offer = self.dhcp("discover", **options)
        assert offer is not None, "no DHCP offer"
        ack = self.dhcp("request", requested_addr=offer[BOOTP].yiaddr, server_id=dhcp_option(offer, "server_id"), **options)
        assert ack is not None and dhcp_option(ack, "message-type") == 5, "no DHCP acknowledgement"
        self.ip = ack[BOOTP].yiaddr
        return ack


class DgramGuest(Guest):
    """On the dgram socket: a frame a datagram, from a path of its own."""

    def __init__(self, daemon, mac="02:00:00:00:00:01", ip="10.0.2.100", ip6=None):
        self.play(mac, ip, ip6)
        self.path = daemon.runtime / f"dgram.{mac.replace(':', '')}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.path.chmod(0o777)
        self.socket.connect(str(daemon.runtime / "dgram"))

    def close(self):
        super().close()
        self.path.unlink(missing_ok=True)

    def send_frames(self, frames):
        for frame in frames:
            self.socket.send(frame)

    def read_frame(self, seconds):
        self.socket.settimeout(max(seconds, 0.001))
        try:
            return self.socket.recv(65536 + 100)
        except (TimeoutError, BlockingIOError):
            return None


def dhcp_option(packet, name):
    """An option of a DHCP message, or None."""
    for option in packet[DHCP].options:
        if isinstance(option, tuple) and option[0] == name:
            return option[1] if len(option) == 2 else option[1:]
    return None


class Connection:
    """A TCP connection of a played guest: sequence numbers are kept, nothing is sent or acknowledged by itself."""

    def __init__(self, guest, dst, dport, sport=None, seq=None, window=65535, options=None):
        self.guest, self.dst, self.dport = guest, dst, dport
        self.sport = sport or random.randint(20000, 60000)
        self.seq = seq if seq is not None else random.getrandbits(32)  # the next byte we send
        self.ack = 0                                                   # the next byte we expect
        self.window = window
        self.options = options if options is not None else [("MSS", 1460)]
        self.synack = None
        self.ack_edge = None  # the highest sequence number that the gateway's window allows, once known

    def segment(self, flags="A", payload=b"", seq=None, ack=None, window=None, options=None):
        packet = self.guest.ip_to(self.dst) / TCP(
            sport=self.sport, dport=self.dport, seq=(self.seq if seq is None else seq) & 0xffffffff, ack=(self.ack if ack is None else ack) & 0xffffffff,
            flags=flags, window=self.window if window is None else window, options=options or [])
        return packet / payload if payload else packet

    def send(self, flags="A", payload=b"", advance=True, **fields):
        """Send a segment; our sequence number goes on by what it took, unless advance is false."""
        self.guest.send(self.segment(flags, payload, **fields))
        if advance:
            self.seq = (self.seq + len(payload) + ("S" in flags) + ("F" in flags)) & 0xffffffff

    def mine(self, packet):
        return (TCP in packet and packet[TCP].dport == self.sport and packet[TCP].sport == self.dport and
                packet.getlayer(1).src == self.dst)

    def recv(self, wanted=lambda t: True, seconds=2.0):
        """The TCP layer of the next segment of this connection for which wanted(tcp) holds, or None."""
        packet = self.guest.recv(lambda p: self.mine(p) and wanted(p[TCP]), seconds)
        return packet and packet[TCP]

    def expect(self, wanted=lambda t: True, seconds=2.0, what="segment"):
        segment = self.recv(wanted, seconds)
        assert segment is not None, f"no {what} on {self.sport}->{self.dst}:{self.dport}; kept {[p.summary() for p in self.guest.kept[-8:]]}"
        return segment

    def open(self, seconds=2.0):
        """The three-way handshake from our side."""
        self.send("S", options=self.options)
        self.synack = self.expect(lambda t: t.flags & 0x12 == 0x12, seconds, "SYN|ACK")
        assert self.synack.ack == self.seq
        self.ack = (self.synack.seq + 1) & 0xffffffff
        self.send("A")
        return self

    @property
    def scale(self):
        """The shift of the windows that the gateway offers, if it and we scale."""
        return dict((o[0], o[1]) for o in self.synack.options).get("WScale", 0) if any(o[0] == "WScale" for o in self.options) else 0

    def give(self, data, size=1400, stall=0.5):
        """Send data as far as the window goes, in segments of so many bytes, until all is acknowledged or nothing moves. Return: bytes acknowledged."""
        first, edge = self.seq, (self.ack_edge if self.ack_edge is not None else self.seq + self.synack.window)
        sent = acknowledged = 0
        while acknowledged < len(data):
            room = (edge - first) - sent
            part = data[sent:sent + min(size, room)] if room > 0 else b""
            if part and (len(part) == size or sent + len(part) == len(data) or sent == acknowledged):
                self.send("PA", part)
                sent += len(part)
                continue
            segment = self.recv(lambda t: t.flags & 0x10, stall)
            if segment is None:
                break
            acknowledged = max(acknowledged, ((segment.ack - first) & 0xffffffff))
            edge = max(edge, first + ((segment.ack - first) & 0xffffffff) + (segment.window << self.scale))
            self.ack_edge = edge
        self.seq = (first + acknowledged) & 0xffffffff
        return acknowledged

    def take(self, count, seconds=5.0):
        """Receive so many bytes in order, acknowledging each segment."""
        data = b""
        end = time.monotonic() + seconds
        while len(data) < count:
            segment = self.expect(lambda t: len(payload_of(t)), max(end - time.monotonic(), 0.01), f"data: {len(data)} of {count} bytes came")
            if segment.seq == self.ack:
                part = payload_of(segment)
                data += part
                self.ack = (self.ack + len(part)) & 0xffffffff
            self.send("A")
        return data


def connect(guest, server, **options):
    """Open a connection to a listening socket. Return: our end, and the socket at the other end."""
    address, port = server.getsockname()[:2]
    connection = Connection(guest, address, port, **options).open()
    peer, _ = server.accept()
    peer.settimeout(3)
    return connection, peer


def accept(guest, port, seconds=3.0, options=None):
    """Wait for a SYN to our port and accept it. Return: our end."""
    syn = guest.expect(lambda p: TCP in p and p[TCP].dport == port and p[TCP].flags & 0x12 == 0x02, seconds, f"SYN to port {port}")
    connection = Connection(guest, syn.getlayer(1).src, syn[TCP].sport, sport=port, options=options)
    connection.ack = (syn[TCP].seq + 1) & 0xffffffff
    connection.synack = syn[TCP]
    connection.send("SA", options=connection.options)
    connection.expect(lambda t: t.flags & 0x10 and t.ack == connection.seq, what="acknowledgement of our SYN|ACK")
    return connection


def payload_of(tcp):
    """A segment's payload, without Ethernet's padding (which scapy keeps apart)."""
    from scapy.packet import Padding
    payload = tcp.payload
    if isinstance(payload, Padding):
        return b""
    data = bytes(payload)
    if Padding in payload:
        data = data[:len(data) - len(bytes(payload[Padding]))]
    return data

# SPDX-License-Identifier: MIT
"""TCP's windows: zero ones, scaled ones, full ones; and segment sizes."""

import contextlib
import os
import signal
import socket
import threading
import time

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6

from tests.support.wire import connect, payload_of

PORTS = ["stream", "vhost"]


def data_of(packets, connection):
    return [p[TCP] for p in packets if connection.mine(p) and payload_of(p[TCP])]


@pytest.mark.parametrize("take_probe", [False, True])
def test_guest_closes_its_window(guest, server, take_probe):
    connection, peer = connect(guest, server)
    connection.window = 0
    connection.send("A")
    guest.drain()
    data = os.urandom(5000)
    peer.sendall(data)
    started = time.monotonic()
    probe = connection.expect(lambda t: payload_of(t), what="window probe")
    assert time.monotonic() - started > 0.1, "that was no probe: it came at once"
    assert payload_of(probe) == data[:1] and probe.seq == connection.ack
    got = b""
    if take_probe:
        got = payload_of(probe)
        connection.ack += 1
    connection.send("A")
    probe = connection.expect(lambda t: payload_of(t) and t.seq == connection.ack, what="another probe")
    assert payload_of(probe) == data[len(got):len(got) + 1]
    guest.drain()
    connection.window = 65535
    connection.send("A")
    assert got + connection.take(5000 - len(got)) == data
    guest.drain()
    peer.sendall(b"more")
    assert connection.take(4) == b"more"


def test_window_that_closes_in_a_transfer(guest, server):
    """What was in flight is taken, then the window is shut: not a byte more but probes; then all the rest."""
    connection, peer = connect(guest, server, window=4000)
    data = os.urandom(20000)
    peer.sendall(data)
    got = connection.take(1000)
    guest.drain()
    connection.window = 0
    connection.send("A")
    late = data_of(guest.drain(0.15), connection)
    assert all(len(payload_of(t)) <= 1 or t.seq + len(payload_of(t)) - connection.ack <= 4000 for t in late)
    connection.window = 65535
    connection.send("A")
    assert got + connection.take(20000 - len(got)) == data


def test_guest_must_stop_when_the_server_does_not_read(guest, server):
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    connection, peer = connect(guest, server, options=[("MSS", 1460), ("WScale", 7)])
    data = os.urandom(16 << 20)
    accepted = connection.give(data, size=1400)
    assert 0 < accepted < len(data), "the window never closed"
    last = connection.recv(lambda t: True, 0.1)
    assert last is None or last.window << connection.scale < 1400
    guest.drain()
    got = bytearray()
    while len(got) < accepted:  # now it reads: the gateway says so, unasked
        got += peer.recv(1 << 20)
    assert got == data[:accepted]
    update = connection.expect(lambda t: t.window, what="window update")
    connection.ack_edge = None
    connection.synack.window = update.window << connection.scale
    more = connection.give(data[accepted:accepted + 50000])
    assert more == 50000
    while len(got) < accepted + more:
        got += peer.recv(1 << 20)
    assert got == data[:accepted + more]


def test_bytes_beyond_the_window_are_not_acknowledged(guest, server):
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    connection, peer = connect(guest, server)
    accepted = connection.give(bytes(16 << 20), size=1400)
    guest.drain(0.1)
    connection.send("PA", b"x" * 1400, advance=False)
    answer = connection.expect(what="answer to what lies beyond the window")
    assert answer.ack == connection.seq
    got = 0
    while got < accepted:
        got += len(peer.recv(1 << 20))
    peer.settimeout(0.2)
    with pytest.raises(TimeoutError):
        peer.recv(1)


@pytest.mark.parametrize("mss", [64, 200, 1000])
def test_mss_of_the_guest(guest, server, mss):
    connection, peer = connect(guest, server, options=[("MSS", mss)])
    data = os.urandom(3000)
    peer.sendall(data)
    sizes, got = [], b""
    while len(got) < len(data):
        segment = connection.expect(lambda t: payload_of(t))
        sizes.append(len(payload_of(segment)))
        got += payload_of(segment)
        connection.ack += len(payload_of(segment))
        connection.send("A")
    assert got == data and max(sizes) == mss


def test_no_mss_is_the_least(guest, server):
    """RFC 9293 section 3.7.1: 536 for IPv4, 1220 for IPv6."""
    connection, peer = connect(guest, server, options=[])
    peer.sendall(bytes(5000))
    segment = connection.expect(lambda t: payload_of(t))
    assert len(payload_of(segment)) == (1220 if ":" in connection.dst else 536)


@pytest.fixture
def large_buffers(world):
    """Sockets of the host that hold much from their first byte on."""
    world.host.sysctl("net.ipv4.tcp_rmem=4096 2097152 6291456")
    yield
    world.host.sysctl("net.ipv4.tcp_rmem=4096 131072 6291456")


def in_flight(guest, connection, peer):
    """How much of much comes without being acknowledged."""
    sender = threading.Thread(target=send_for_ever, args=(peer,))
    sender.start()
    try:
        segments = data_of(guest.drain(0.15), connection)
        return max(((t.seq + len(payload_of(t)) - connection.ack) & 0xffffffff) for t in segments)
    finally:
        connection.send("R")
        sender.join()


def send_for_ever(peer):
    with contextlib.suppress(OSError):
        while True:
            peer.sendall(bytes(1 << 16))


def test_window_scale(large_buffers, guest, server):
    connection, peer = connect(guest, server, window=1000, options=[("MSS", 1460), ("WScale", 7)])
    assert any(o[0] == "WScale" for o in connection.synack.options)
    assert 128000 - 1460 < in_flight(guest, connection, peer) <= 128000


def test_no_window_scale(large_buffers, guest, server):
    """Without the option in the guest's SYN the answer has none, and windows are what they say."""
    connection, peer = connect(guest, server, window=60000)
    assert not any(o[0] == "WScale" for o in connection.synack.options)
    assert 60000 - 1460 < in_flight(guest, connection, peer) <= 60000


def too_big(guest, segment, mtu):
    """The ICMP error that a router on the guest's side would send about a packet to the guest."""
    if segment.haslayer(IPv6):
        return guest.ip_to(segment[IPv6].src) / ICMPv6PacketTooBig(mtu=mtu) / bytes(segment[IPv6])[:600]
    return guest.ip_to(segment[IP].src) / ICMP(type=3, code=4, nexthopmtu=mtu) / bytes(segment[IP])[:28]


def test_path_mtu_of_the_guests_side(guest, server):
    connection, peer = connect(guest, server)
    data = os.urandom(8000)
    peer.sendall(data)
    first = guest.expect(lambda p: connection.mine(p) and payload_of(p[TCP]), what="data")
    whole = len(payload_of(first[TCP]))
    header = 60 if first.haslayer(IPv6) else 40
    assert whole == 1500 - header
    guest.drain()
    guest.send(too_big(guest, first, 1300))
    again = connection.expect(lambda t: payload_of(t) and t.seq == connection.ack, 1, what="smaller segment")
    assert len(payload_of(again)) == 1300 - header
    connection.ack += len(payload_of(again))
    connection.send("A")
    got = payload_of(again) + connection.take(len(data) - len(payload_of(again)))
    assert got == data


def test_path_mtu_of_no_segment_of_ours(daemon, guest, server, grows):
    """An error about what was never sent changes nothing."""
    connection, peer = connect(guest, server)
    peer.sendall(bytes(5000))
    first = guest.expect(lambda p: connection.mine(p) and payload_of(p[TCP]), what="data")
    guest.drain()
    forged = first.copy()
    forged[TCP].seq = (forged[TCP].seq + 0x40000000) & 0xffffffff
    for layer in (IP, TCP):
        if forged.haslayer(layer):
            del forged[layer].chksum
    with grows(daemon, "no-flow"):
        guest.send(too_big(guest, forged, 1300))
    again = connection.expect(lambda t: payload_of(t) and t.seq == connection.ack, 2, what="retransmission")
    assert len(payload_of(again)) == len(payload_of(first[TCP]))


def test_the_end_comes_with_more_than_the_window_takes_at_once(guest, server, daemon):
    """The last bytes and the server's end are found together, and what is left of the window is less than a segment: the FIN follows the acknowledgement."""
    connection, peer = connect(guest, server, window=1500)
    data = os.urandom(1000)
    daemon.process.send_signal(signal.SIGSTOP)
    peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
    time.sleep(0.05)
    daemon.process.send_signal(signal.SIGCONT)
    assert connection.take(1000) == data
    connection.expect(lambda t: t.flags.F, what="the server's FIN")

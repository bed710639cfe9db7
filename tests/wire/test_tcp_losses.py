# SPDX-License-Identifier: MIT
"""TCP when segments are lost, late, doubled or out of order, when numbers wrap, and when all is quiet."""

import os
import socket
import struct
import time

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from tests.support.netns import World
from tests.support.wire import Connection, connect, payload_of

MSS = 1000
TEN = 10 * MSS


def lose(guest, server, options=(("MSS", MSS),)):
    """A connection with ten segments of data on their way to the guest, who has not said anything yet."""
    address, port = server.getsockname()[:2]
    connection = Connection(guest, address, port, options=list(options))
    connection.send("S", options=connection.options)
    connection.ack = connection.expect(lambda t: t.flags & 0x12 == 0x12, what="SYN|ACK").seq + 1
    peer, _ = server.accept()
    peer.settimeout(3)
    data = os.urandom(TEN)
    peer.sendall(data)
    time.sleep(0.03)  # all of it waits at the gateway when the handshake ends: so it comes in full segments
    connection.send("A")
    segments = [connection.expect(lambda t: payload_of(t), what=f"segment {i}") for i in range(10)]
    assert b"".join(payload_of(t) for t in segments) == data
    return connection, peer, data, segments


def acknowledge(connection, segments, ack, times=1):
    for _ in range(times):
        connection.send("A", ack=ack, advance=False)


def test_retransmission_by_time(guest, server):
    """The first missing one alone, later each time; and nothing more once all is acknowledged."""
    connection, _, data, segments = lose(guest, server)
    seen = []
    for _ in range(2):
        again = connection.expect(lambda t: payload_of(t), 3, "retransmission")
        seen.append(time.monotonic())
        assert again.seq == segments[0].seq and payload_of(again) == data[:MSS]
    assert seen[1] - seen[0] > 0.3  # 200 ms at first
    connection.ack = segments[9].seq + MSS
    connection.send("A")
    guest.silence(lambda p: connection.mine(p) and payload_of(p[TCP]), 0.9)


def test_guest_that_lost_everything(guest, server):
    """After some time in which the guest said nothing at all, all is sent again."""
    connection, _, data, segments = lose(guest, server)
    for _ in range(3):
        connection.expect(lambda t: payload_of(t) and t.seq == segments[0].seq, 3, "retransmission")
    again = [connection.expect(lambda t: payload_of(t), what="the rest") for _ in range(9)]
    assert [t.seq for t in again] == [t.seq for t in segments[1:]]
    assert b"".join(payload_of(t) for t in again) == data[MSS:]


def test_fast_retransmission(guest, server):
    """Three duplicate acknowledgements bring the missing segment at once, and it alone; two do not."""
    for attempt in range(3):  # a machine that is busy elsewhere may let the time-out come first: then it says nothing
        connection, peer, data, segments = lose(guest, server)
        sent = time.monotonic()
        acknowledge(connection, segments, segments[1].seq)
        acknowledge(connection, segments, segments[1].seq, 2)
        early = connection.recv(lambda t: payload_of(t), 0.05)
        acknowledge(connection, segments, segments[1].seq)
        again = connection.expect(lambda t: payload_of(t), what="fast retransmission")
        if time.monotonic() - sent < 0.19:
            break
        connection.send("R")
    else:
        pytest.fail("it never came before the time-out")
    assert early is None
    assert again.seq == segments[1].seq and payload_of(again) == data[MSS:2 * MSS]
    connection.ack = segments[9].seq + MSS
    connection.send("A")
    guest.silence(lambda p: connection.mine(p) and payload_of(p[TCP]), 0.5)
    peer.sendall(b"goes on")
    assert connection.take(7) == b"goes on"


def test_two_holes(guest, server):
    """RFC 6582: a partial acknowledgement shows the next hole, which is repaired without another time-out."""
    connection, _, data, segments = lose(guest, server)
    acknowledge(connection, segments, segments[2].seq, 4)
    again = connection.expect(lambda t: payload_of(t), what="the first hole's segment")
    assert again.seq == segments[2].seq
    acknowledge(connection, segments, segments[6].seq)
    again = connection.expect(lambda t: payload_of(t), what="the second hole's segment")
    assert again.seq == segments[6].seq and payload_of(again) == data[6 * MSS:7 * MSS]
    connection.ack = segments[9].seq + MSS
    connection.send("A")
    guest.silence(lambda p: connection.mine(p) and payload_of(p[TCP]), 0.5)


def test_acknowledgement_of_what_was_never_sent(daemon, guest, server, grows):
    connection, peer = connect(guest, server)
    with grows(daemon, "out-of-window"):
        connection.send("A", ack=connection.ack + 5000)
    peer.sendall(b"unharmed")
    assert connection.take(8) == b"unharmed"


def read_all(peer, count):
    got = b""
    while len(got) < count:
        got += peer.recv(65536)
    return got


def sack_of(segment):
    """The blocks of a segment's SACK option, as pairs."""
    edges = dict((o[0], o[1]) for o in segment.options).get("SAck", ())
    return list(zip(edges[::2], edges[1::2]))


SACK = [("MSS", 1460), ("SAckOK", b"")]


@pytest.mark.parametrize("options", [SACK, SACK[:1]], ids=["SACK", "no SACK"])
@pytest.mark.parametrize("seq", [1000, 0xffffffff - 150], ids=["plain", "wrap"])
def test_reordered_from_the_guest(guest, server, options, seq):
    """Early segments are held and told; when the missing one comes, all is there, and nothing need be sent again."""
    connection, peer = connect(guest, server, options=options, seq=seq)
    start = connection.seq
    at = lambda offset: (start + offset) & 0xffffffff  # noqa: E731
    assert any(o[0] == "SAckOK" for o in connection.synack.options) == (options is SACK)
    guest.drain()
    for letter, offset, told in ((b"B", 100, [(100, 200)]), (b"E", 400, [(400, 500), (100, 200)]), (b"C", 200, [(100, 300), (400, 500)])):
        connection.send("PA", letter * 100, seq=start + offset, advance=False)
        duplicate = connection.expect(what="duplicate acknowledgement")
        assert duplicate.ack == start
        assert sack_of(duplicate) == ([(at(a), at(b)) for a, b in told] if options is SACK else [])
    peer.settimeout(0.1)
    with pytest.raises(TimeoutError):
        peer.recv(1)
    peer.settimeout(3)
    connection.send("PA", b"A" * 100, seq=start, advance=False)
    assert connection.expect(lambda t: t.ack != start, what="acknowledgement").ack == at(300)
    connection.send("FPA", b"F" * 100, seq=start + 500, advance=False)
    connection.send("PA", b"D" * 100, seq=start + 300, advance=False)
    connection.expect(lambda t: t.ack == at(601), what="acknowledgement of all, with the FIN")
    assert read_all(peer, 600) == b"".join(bytes([letter]) * 100 for letter in b"ABCDEF")
    assert peer.recv(1) == b""


def test_early_beyond_the_window(daemon, guest, server, grows):
    """Nothing is held that the guest was not allowed to send."""
    connection, peer = connect(guest, server)
    connection.send("PA", b"x")
    edge = connection.expect(lambda t: t.ack == connection.seq)
    with grows(daemon, "out-of-window"):
        connection.send("PA", b"y" * 100, seq=edge.ack + edge.window - 50, advance=False)
    connection.send("PA", b"z")
    assert read_all(peer, 2) == b"xz"


def test_early_twice(daemon, guest, server, grows):
    connection, peer = connect(guest, server)
    start = connection.seq
    connection.send("PA", b"B" * 100, seq=start + 100, advance=False)
    with grows(daemon, "out-of-window"):
        connection.send("PA", b"B" * 100, seq=start + 100, advance=False)
    connection.send("PA", b"-" * 100 + b"C" * 100, seq=start + 100, advance=False)  # overlaps what is held, and brings more
    connection.send("PA", b"A" * 100, seq=start, advance=False)
    connection.expect(lambda t: t.ack == (start + 300) & 0xffffffff, what="acknowledgement of all")
    assert read_all(peer, 300) == b"A" * 100 + b"B" * 100 + b"C" * 100


def test_much_that_is_early(daemon, guest, server):
    """Every other segment of many, and then the rest: all arrives, in order."""
    connection, peer = connect(guest, server, options=SACK)
    start, data = connection.seq, os.urandom(40000)
    for first in (1, 0):
        for number in range(first, 40, 2):
            connection.send("PA", data[number * 1000:number * 1000 + 1000], seq=start + number * 1000, advance=False)
    connection.expect(lambda t: t.ack == (start + 40000) & 0xffffffff, what="acknowledgement of all")
    assert read_all(peer, 40000) == data


def test_guest_tells_its_holes(guest, server):
    """By SACK: what is missing comes at once, as much as is missing and no more."""
    for attempt in range(3):
        connection, peer, data, segments = lose(guest, server, [("MSS", MSS), ("SAckOK", b"")])
        begun = time.monotonic()
        first, last = segments[4].seq, (segments[9].seq + MSS) & 0xffffffff
        connection.send("A", ack=segments[1].seq, advance=False, options=[("NOP", None), ("NOP", None), ("SAck", (first, last))])
        again = [connection.expect(lambda t: payload_of(t), what="what is missing") for _ in range(3)]
        if time.monotonic() - begun < 0.19:
            break
        connection.send("R")
    else:
        pytest.fail("it never came before the time-out")
    assert [t.seq for t in again] == [t.seq for t in segments[1:4]]
    assert b"".join(payload_of(t) for t in again) == data[MSS:4 * MSS]
    connection.ack = last
    connection.send("A")
    guest.silence(lambda p: connection.mine(p) and payload_of(p[TCP]), 0.5)


def test_duplicated_and_overlapping_from_the_guest(guest, server):
    connection, peer = connect(guest, server)
    start = connection.seq
    connection.send("PA", b"abcdef", seq=start, advance=False)
    connection.send("PA", b"abcdef", seq=start, advance=False)
    connection.send("PA", b"defghi", seq=start + 3, advance=False)
    connection.expect(lambda t: t.ack == (start + 9) & 0xffffffff, what="acknowledgement of nine bytes")
    connection.send("PA", b"j", seq=start + 9, advance=False)
    assert read_all(peer, 10) == b"abcdefghij"
    peer.settimeout(0.2)
    with pytest.raises(TimeoutError):
        peer.recv(1)


def test_numbers_of_the_guest_wrap(guest, server):
    connection, peer = connect(guest, server, seq=0xffffffff - 5000)
    data = os.urandom(20000)
    assert connection.give(data) == len(data)
    assert read_all(peer, len(data)) == data
    assert connection.seq < 20000
    connection.send("FA")
    assert peer.recv(1) == b""


def test_numbers_wrap_at_the_handshake(guest, server):
    connection, peer = connect(guest, server, seq=0xffffffff)  # the SYN takes the last one
    assert connection.synack.ack == 0
    connection.send("PA", b"zero")
    assert peer.recv(10) == b"zero"


def nearest_to_wrap(guest, server, count):
    """Open many connections and keep the one whose first number towards us is nearest to the wrap. It is not random enough to be far from it among so many."""
    address, port = server.getsockname()[:2]
    opened = []
    for first in range(0, count, 100):
        batch = [Connection(guest, address, port, sport=20000 + first + i, options=[("MSS", 1460), ("WScale", 7)]) for i in range(100)]
        for connection in batch:
            connection.send("S", options=connection.options)
        by_port = {c.sport: c for c in batch}
        waiting = dict(by_port)
        while waiting:
            packet = guest.expect(lambda p: TCP in p and p[TCP].flags & 0x12 == 0x12 and p[TCP].dport in waiting, what="SYN|ACK")
            connection = waiting.pop(packet[TCP].dport)
            connection.synack = packet[TCP]
            connection.ack = (packet[TCP].seq + 1) & 0xffffffff
        opened += batch
        best = min(opened, key=lambda c: 0x100000000 - c.ack)
        for connection in opened:
            if connection is not best:
                connection.send("R")
        opened = [best]
    return opened[0]


def bulk(guest, connection, count):
    """Receive so many bytes fast, acknowledging now and then. Return: how many came in order."""
    template = connection.segment("A", window=60000)
    got = since = 0
    data_offset = 14 + 20
    while got < count:
        while len(guest.buffer) < 4 or len(guest.buffer) < 4 + struct.unpack("!I", guest.buffer[:4])[0]:
            guest.socket.settimeout(3)
            guest.buffer += guest.socket.recv(1 << 20)
        view, at = guest.buffer, 0
        while at + 4 <= len(view):
            size = struct.unpack_from("!I", view, at)[0]
            if at + 4 + size > len(view):
                break
            frame = view[at + 4:at + 4 + size]
            at += 4 + size
            if frame[12:14] != b"\x08\x00" or frame[23] != 6:
                continue
            total = struct.unpack_from("!H", frame, 16)[0]
            dport, seq = struct.unpack_from("!HI", frame, data_offset + 2)
            length = total - 20 - (frame[data_offset + 12] >> 4) * 4
            if dport != connection.sport or seq != connection.ack or not length:
                continue
            connection.ack = (connection.ack + length) & 0xffffffff
            got, since = got + length, since + length
        guest.buffer = view[at:]
        if since:
            template[TCP].ack = connection.ack
            template[TCP].seq = connection.seq
            del template[TCP].chksum
            guest.send(template)
            since = 0
    return got


@pytest.mark.streams
def test_numbers_of_the_gateway_wrap(world, guest, server4):
    """Its first number is random: so we open connections until one starts shortly before the wrap, and receive beyond it."""
    connection = nearest_to_wrap(guest, server4, 800)
    distance = 0x100000000 - connection.ack
    assert distance < 0x10000000, "chance was unkind: 800 connections, and none starts in the last sixteenth"
    connection.window = 60000
    connection.send("A")
    server4.settimeout(3)
    wanted = min(distance, 64 << 20) + (1 << 20)
    if wanted < distance:
        pytest.skip("no connection starts near enough to the wrap this time")
    while True:  # ours is the one that is still there
        peer, _ = server4.accept()
        peer.setblocking(False)
        if connection_alive(peer):
            break
        peer.close()
    peer.setblocking(True)
    block, left, got = bytes(1 << 16), wanted, 0
    while left:
        peer.sendall(block[:min(len(block), left)])
        part = min(len(block), left)
        left -= part
        got += bulk(guest, connection, part)
    assert got == wanted and connection.ack < 2 << 20
    connection.send("PA", b"and back")
    peer.settimeout(3)
    assert peer.recv(10) == b"and back"


def connection_alive(peer):
    try:
        return peer.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_keepalive(start, attach, server):
    daemon = start(config="[LAN]\nKeepalive = 1\n")
    guest = attach(daemon)
    connection, peer = connect(guest, server)
    guest.drain()
    for _ in range(2):
        probe = connection.expect(seconds=3, what="keepalive")
        assert probe.seq == (connection.ack - 1) & 0xffffffff and not payload_of(probe) and probe.flags == 0x10
        connection.send("A")
    peer.sendall(b"alive")
    assert connection.take(5) == b"alive"


def test_guest_that_answers_no_keepalive(start, attach, server4):
    """It was switched off: after nine probes the host's peer is reset, and the flow gone."""
    daemon = start(config="[LAN]\nKeepalive = 1\n")
    connection, peer = connect(attach(daemon), server4)
    peer.settimeout(13)
    with pytest.raises(ConnectionResetError):
        peer.recv(1)
    assert daemon.call("Status")["flows"]["tcp"] == 0
    probes = [p for p in connection.guest.drain() if connection.mine(p) and p[TCP].seq == (connection.ack - 1) & 0xffffffff]
    assert len(probes) == 9


def test_no_keepalive_so_soon(guest, server):
    """The same, with the default of two hours: nothing is heard in that time."""
    connection, _ = connect(guest, server)
    guest.drain()
    guest.silence(connection.mine, 2.5)


def test_keepalive_of_the_guest_is_answered(guest, server):
    connection, _ = connect(guest, server)
    connection.send("PA", b"x")
    connection.expect(lambda t: t.ack == connection.seq)
    guest.drain()
    connection.send("A", seq=connection.seq - 1, advance=False)
    assert connection.expect(what="answer").ack == connection.seq

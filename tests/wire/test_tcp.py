# SPDX-License-Identifier: MIT
"""TCP between a guest that is played by hand and real sockets of the host's side: how connections begin, carry bytes and end."""

import socket
import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6DestUnreach

from tests.support.lan import wait_for
from tests.support.netns import World
from tests.support.wire import Connection, connect, payload_of

PORTS = ["stream", "offloads"]

RST, FIN = 0x04, 0x01


def reset(peer):
    """Close a socket of the host's side so that its kernel sends RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def test_handshake(guest, server):
    connection, peer = connect(guest, server)
    assert ("MSS", 1440 if ":" in connection.dst else 1460) in connection.synack.options
    connection.send("PA", b"hello")
    assert peer.recv(100) == b"hello"
    acknowledged = connection.expect(lambda t: t.ack == connection.seq, what="acknowledgement")
    assert acknowledged.window > 0
    peer.sendall(b"welcome")
    assert connection.take(7) == b"welcome"
    peer.close()


def test_handshake_is_repeated(guest, server):
    """A SYN that comes twice opens one connection; a SYN|ACK that the guest does not acknowledge comes again."""
    address, port = server.getsockname()[:2]
    connection = Connection(guest, address, port)
    connection.send("S", options=connection.options)
    first = connection.expect(lambda t: t.flags & 0x12 == 0x12, what="SYN|ACK")
    connection.send("S", advance=False, seq=connection.seq - 1, options=connection.options)
    again = connection.expect(lambda t: t.flags & 0x12 == 0x12, what="SYN|ACK to a repeated SYN")
    assert again.seq == first.seq and again.ack == first.ack
    unasked = connection.expect(lambda t: t.flags & 0x12 == 0x12, what="SYN|ACK by time-out")
    assert unasked.seq == first.seq
    connection.ack = first.seq + 1
    connection.send("PA", b"late")
    peer, _ = server.accept()
    peer.settimeout(3)
    assert peer.recv(10) == b"late"
    server.settimeout(0.2)
    with pytest.raises(TimeoutError):
        server.accept()
    peer.close()


@pytest.mark.parametrize("address", [World.SERVER4, World.SERVER6])
def test_closed_port_is_refused(guest, address):
    connection = Connection(guest, address, 1)
    connection.send("S")
    refused = connection.expect(lambda t: t.flags & RST, what="RST")
    assert refused.ack == connection.seq


def test_segment_of_no_connection_is_reset(daemon, guest, grows):
    connection = Connection(guest, World.SERVER4, 80)
    connection.ack = 12345
    with grows(daemon, "no-flow"):
        connection.send("A", b"who am I?")
        assert connection.expect(lambda t: t.flags & RST, what="RST").seq == 12345
    connection.send("R")
    connection.guest.silence(connection.mine)  # a reset is never answered


def test_guest_closes_first(daemon, guest, server):
    connection, peer = connect(guest, server)
    connection.send("FA")
    connection.expect(lambda t: t.ack == connection.seq, what="acknowledgement of FIN")
    assert peer.recv(10) == b""
    peer.sendall(b"still here")  # the other half is open
    assert connection.take(10) == b"still here"
    peer.close()
    fin = connection.expect(lambda t: t.flags & FIN, what="FIN")
    assert fin.seq == connection.ack
    connection.ack += 1
    assert daemon.call("Status")["flows"]["tcp"] == 1
    connection.send("A")
    wait_for(lambda: daemon.call("Status")["flows"]["tcp"] == 0, 3, "the end of the flow")


def test_host_closes_first(daemon, guest, server):
    connection, peer = connect(guest, server)
    peer.sendall(b"bye")
    peer.shutdown(socket.SHUT_WR)
    assert connection.take(3) == b"bye"
    connection.expect(lambda t: t.flags & FIN, what="FIN")
    connection.ack += 1
    connection.send("A")
    connection.send("PA", b"answer")
    assert peer.recv(100) == b"answer"
    connection.send("FA")
    connection.expect(lambda t: t.ack == connection.seq, what="acknowledgement of our FIN")
    assert peer.recv(10) == b""
    guest.drain()
    connection.send("FA", advance=False, seq=connection.seq - 1)  # as if that acknowledgement had been lost
    again = connection.expect(what="answer to a repeated FIN")
    assert not again.flags & RST and again.ack == connection.seq
    wait_for(lambda: daemon.call("Status")["flows"]["tcp"] == 0, 3, "the end of the flow")
    connection.send("A")  # and now nobody knows it any more
    assert connection.expect(what="RST").flags & RST


def test_fin_is_sent_again(guest, server):
    connection, peer = connect(guest, server)
    peer.close()
    first = connection.expect(lambda t: t.flags & FIN, what="FIN")
    again = connection.expect(lambda t: t.flags & FIN, what="FIN by time-out")
    assert first.seq == again.seq == connection.ack
    connection.ack += 1
    connection.send("FA")


def test_no_fin_before_data_is_acknowledged(guest, server):
    """Bytes that were only peeked at must not be lost behind a FIN."""
    connection, peer = connect(guest, server, window=1000)
    peer.sendall(bytes(5000))
    peer.close()
    data = connection.take(5000)
    assert data == bytes(5000)
    fin = connection.expect(lambda t: t.flags & FIN, what="FIN")
    assert fin.seq == connection.ack


def test_guest_resets(daemon, guest, server):
    connection, peer = connect(guest, server)
    connection.send("R")
    with pytest.raises(ConnectionResetError):
        peer.recv(10)
    assert daemon.call("Status")["flows"]["tcp"] == 0


def test_reset_must_hit_the_next_byte(daemon, guest, server, grows):
    """RFC 5961: one within the window is asked back for, one outside it is nothing."""
    connection, peer = connect(guest, server)
    guest.drain()
    with grows(daemon, "out-of-window", 2):
        connection.send("R", seq=connection.seq + 5, advance=False)
        challenge = connection.expect(what="challenge")
        assert not challenge.flags & RST and challenge.ack == connection.seq
        connection.send("R", seq=connection.seq - 5, advance=False)
    connection.send("PA", b"alive")
    assert peer.recv(10) == b"alive"
    connection.send("R")
    with pytest.raises(ConnectionResetError):
        peer.recv(10)


def test_host_resets(guest, server):
    connection, peer = connect(guest, server)
    reset(peer)
    assert connection.expect(lambda t: t.flags & RST, what="RST").seq == connection.ack
    connection.send("A")
    assert connection.expect(what="RST").flags & RST


def test_unreachable_network(world, daemon, guest, grows):
    """No route on the host: an ICMP error about the guest's own SYN, not a reset."""
    world.host.ip("route add unreachable 203.0.113.0/24")
    world.host.ip("route add unreachable 2001:db8:bad::/48")
    try:
        with grows(daemon, "no-route", 2):
            connection = Connection(guest, "203.0.113.1", 80)
            connection.send("S")
            error = guest.expect(lambda p: ICMP in p and p[ICMP].type == 3, what="ICMP unreachable")
            assert error[IP].src == "10.0.2.2" and error[ICMP].payload.src == guest.ip
            assert error[ICMP].payload.payload.sport == connection.sport
            connection = Connection(guest, "2001:db8:bad::1", 80)
            connection.send("S")
            error = guest.expect(lambda p: ICMPv6DestUnreach in p, what="ICMPv6 unreachable")
            assert error[ICMPv6DestUnreach].payload.src == guest.ip6
    finally:
        world.host.ip("route del unreachable 203.0.113.0/24")
        world.host.ip("route del unreachable 2001:db8:bad::/48")


def test_one_byte_segments(guest, server):
    """Padding of short frames never reaches the stream."""
    connection, peer = connect(guest, server)
    for byte in b"abc":
        connection.send("PA", bytes([byte]))
    got = b""
    while len(got) < 3:
        got += peer.recv(10)
    assert got == b"abc"
    peer.sendall(b"x")
    assert payload_of(connection.expect(lambda t: len(payload_of(t)))) == b"x"


def test_wrong_checksum(daemon, guest, server, grows):
    connection, peer = connect(guest, server)
    segment = connection.segment("PA", b"wrong")
    segment[TCP].chksum = 0x1234
    with grows(daemon, "checksum"):
        guest.send(segment)
    connection.send("PA", b"right")
    assert peer.recv(10) == b"right"


def test_guest_starts_anew_with_the_same_port(guest, server):
    """A guest that was reset and forgot everything gets a challenge, resets by it, and can connect again (RFC 5961 section 4)."""
    connection, peer = connect(guest, server)
    guest.drain()
    anew = Connection(guest, connection.dst, connection.dport, sport=connection.sport, seq=connection.seq + 1000000)
    anew.send("S")
    challenge = anew.expect(what="challenge")
    assert challenge.flags == 0x10 and challenge.ack == connection.seq
    anew.send("R", seq=challenge.ack, advance=False)
    with pytest.raises(ConnectionResetError):
        peer.recv(10)
    anew.send("S", seq=anew.seq - 1, advance=False)
    synack = anew.expect(lambda t: t.flags & 0x12 == 0x12, what="SYN|ACK")
    assert synack.ack == anew.seq

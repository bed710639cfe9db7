# SPDX-License-Identifier: MIT
"""TCP between a guest that is played by hand and real sockets of the host's side."""

import pytest

from tests.support.netns import World
from tests.support.wire import Connection, payload_of


@pytest.fixture
def server(world):
    """A listening socket on the internet: accept() gives the other end of a guest's connection."""
    listener = world.net.socket()
    listener.bind((World.SERVER4, 0))
    listener.listen(16)
    listener.settimeout(3)
    yield listener
    listener.close()


def connect(guest, server, **options):
    address, port = server.getsockname()[:2]
    connection = Connection(guest, address, port, **options).open()
    peer, _ = server.accept()
    peer.settimeout(3)
    return connection, peer


def test_handshake(guest, server):
    connection, peer = connect(guest, server)
    assert ("MSS", 1460) in connection.synack.options
    connection.send("PA", b"hello")
    assert peer.recv(100) == b"hello"
    acknowledged = connection.expect(lambda t: t.ack == connection.seq, what="acknowledgement")
    assert acknowledged.window > 0
    peer.sendall(b"welcome")
    assert connection.take(7) == b"welcome"
    peer.close()


def test_closed_port_is_refused(guest):
    connection = Connection(guest, World.SERVER4, 1)
    connection.send("S")
    reset = connection.expect(lambda t: t.flags & 0x04, what="RST")
    assert reset.ack == connection.seq


def test_guest_closes_first(guest, server):
    connection, peer = connect(guest, server)
    connection.send("FA")
    connection.expect(lambda t: t.ack == connection.seq, what="acknowledgement of FIN")
    assert peer.recv(10) == b""
    peer.sendall(b"still here")  # the other half is open
    assert connection.take(10) == b"still here"
    peer.close()
    fin = connection.expect(lambda t: t.flags & 0x01, what="FIN")
    assert fin.seq == connection.ack
    connection.ack += 1
    connection.send("A")


def test_host_closes_first(guest, server):
    connection, peer = connect(guest, server)
    peer.sendall(b"bye")
    peer.shutdown(1)
    assert connection.take(3) == b"bye"
    connection.expect(lambda t: t.flags & 0x01, what="FIN")
    connection.ack += 1
    connection.send("A")
    connection.send("PA", b"answer")
    assert peer.recv(100) == b"answer"
    connection.send("FA")
    connection.expect(lambda t: t.ack == connection.seq, what="acknowledgement of our FIN")
    assert peer.recv(10) == b""
    connection.send("FA", advance=False, seq=connection.seq - 1)  # as if that acknowledgement had been lost
    again = connection.expect(what="answer to a repeated FIN")
    assert not again.flags & 0x04 and again.ack == connection.seq


def test_segments_after_segments_are_payload_only(guest, server):
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

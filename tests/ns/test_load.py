# SPDX-License-Identifier: MIT
"""Load through the gateway: a real kernel's guest on one side, a server on the internet on the other."""

import contextlib
import hashlib
import os
import selectors
import socket
import threading
import time

import pytest

from tests.support.netns import World

BLOCK = os.urandom(1 << 20)
GIB = 1 << 30


@contextlib.contextmanager
def listener(netns, address, backlog=1024):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = netns.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, 0))
    server.listen(backlog)
    server.settimeout(20)
    with server:
        yield server


def connect(netns, address, timeout=20):
    client = netns.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    client.settimeout(timeout)
    client.connect(address[:2])
    return client


def send_stream(sink, size):
    """Send so many bytes, no two megabytes alike, and close our half; their hash."""
    digest = hashlib.blake2b()
    for number in range(size >> 20):
        block = number.to_bytes(8, "big") + BLOCK[8:]
        digest.update(block)
        sink.sendall(block)
    sink.shutdown(socket.SHUT_WR)
    return digest.hexdigest()


def recv_stream(source):
    """Receive to the end of the stream; size and hash."""
    digest, size = hashlib.blake2b(), 0
    while data := source.recv(1 << 20):
        digest.update(data)
        size += len(data)
    return size, digest.hexdigest()


def transfer(sink, source, size):
    """Size bytes from one socket to the other; fails if one is missing or changed. Seconds."""
    sent = []
    start = time.monotonic()
    thread = threading.Thread(target=lambda: sent.append(send_stream(sink, size)))
    thread.start()
    got, digest = recv_stream(source)
    thread.join(30)
    assert got == size and sent and sent[0] == digest
    return time.monotonic() - start


def both_ways(world, guest, address, size):
    with listener(world.net, address) as server:
        seconds = []
        for towards_guest in (False, True):
            with connect(guest, server.getsockname()) as near:
                far, _ = server.accept()
                far.settimeout(60)
                near.settimeout(60)
                with far:
                    seconds.append(transfer(far, near, size) if towards_guest else transfer(near, far, size))
    return seconds


@pytest.mark.parametrize("address", [World.SERVER4, World.SERVER6])
def test_a_gibibyte_each_way(world, start, attach, address):
    daemon = start()
    up, down = both_ways(world, attach(daemon, "bulk"), address, GIB)
    print(f"{address}: from guest {8 * 1.073 / up:.1f} Gbit/s, to guest {8 * 1.073 / down:.1f} Gbit/s")
    assert daemon.drops().get("checksum", 0) == 0


def test_each_way_on_a_kernel_without_peek_offset(world, start, attach):
    """Before Linux 6.9 TCP has no SO_PEEK_OFF: bytes in flight are read again to get past them."""
    daemon = start(arguments=["--no-peek-offset"])
    both_ways(world, attach(daemon, "older"), World.SERVER4, GIB // 4)


@pytest.mark.parametrize("address", [World.SERVER4, World.SERVER6])
def test_a_gibibyte_each_way_with_one_percent_lost(world, start, attach, address):
    daemon = start(arguments=["--fault", "lose=1%,seed=3"])
    both_ways(world, attach(daemon, "lossy"), address, GIB)
    assert daemon.drops()["fault"] > 100  # the fault was there


def test_a_stream_that_is_cut_is_noticed(world, start, attach):
    """The check above can fail: without the last block, sizes and hashes differ."""
    daemon = start()
    guest = attach(daemon, "cut")
    with listener(world.net, World.SERVER4) as server, connect(guest, server.getsockname()) as near:
        far, _ = server.accept()
        near.sendall(BLOCK[:-1])
        near.shutdown(socket.SHUT_WR)
        size, digest = recv_stream(far)
        assert size != len(BLOCK) and digest != hashlib.blake2b(BLOCK).hexdigest()
        far.close()


def echo_server(server, stop):
    """Serve many connections: what comes is sent back; the end is answered by an end."""
    with selectors.DefaultSelector() as poll:
        server.setblocking(False)
        poll.register(server, selectors.EVENT_READ)
        while not stop.is_set():
            for key, _ in poll.select(0.1):
                if key.fileobj is server:
                    with contextlib.suppress(BlockingIOError):
                        while True:
                            client, _ = server.accept()
                            poll.register(client, selectors.EVENT_READ)
                else:
                    data = key.fileobj.recv(65536)
                    if data:
                        key.fileobj.sendall(data)
                    else:
                        poll.unregister(key.fileobj)
                        key.fileobj.close()


@contextlib.contextmanager
def echoing(netns, address):
    with listener(netns, address) as server:
        stop = threading.Event()
        thread = threading.Thread(target=echo_server, args=(server, stop))
        thread.start()
        try:
            yield server.getsockname()
        finally:
            stop.set()
            thread.join(10)


@pytest.mark.parametrize("address", [World.SERVER4, World.SERVER6])
def test_a_thousand_connections_at_once(world, start, attach, address):
    daemon = start()
    guest = attach(daemon, "crowd")
    with echoing(world.net, address) as server:
        clients = [connect(guest, server) for _ in range(1000)]
        assert daemon.call("Status")["flows"]["tcp"] >= 1000
        for number, client in enumerate(clients):
            client.sendall(b"%04d" % number)
        for number, client in enumerate(clients):
            assert client.recv(16) == b"%04d" % number
        for client in clients:
            client.close()


@pytest.mark.parametrize("address", [World.SERVER4, World.SERVER6])
def test_ten_thousand_connections_in_a_row(world, start, attach, address):
    daemon = start()
    guest = attach(daemon, "row")
    start_time = time.monotonic()
    with echoing(world.net, address) as server:
        for number in range(10000):
            with connect(guest, server) as client:
                client.sendall(b"%05d" % number)
                assert client.recv(16) == b"%05d" % number
    print(f"{address}: {10000 / (time.monotonic() - start_time):.0f} connections a second")


@pytest.mark.parametrize("address", [World.SERVER4, World.SERVER6])
def test_udp_to_a_thousand_peers(world, start, attach, address):
    """One guest socket, a thousand peers: each answers to the address and port that it was asked from, and they all see the same port."""
    daemon = start()
    guest = attach(daemon, "peers")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    client = guest.socket(family, socket.SOCK_DGRAM)
    peers = []
    for _ in range(1000):
        peer = world.net.socket(family, socket.SOCK_DGRAM)
        peer.bind((address, 0))
        peer.settimeout(5)
        peers.append(peer)
    seen = set()
    client.settimeout(5)
    for number, peer in enumerate(peers):
        client.sendto(b"%d" % number, peer.getsockname()[:2])
        data, source = peer.recvfrom(100)
        assert data == b"%d" % number
        seen.add(source[1])
        peer.sendto(b"re:" + data, source)
        answer, origin = client.recvfrom(100)
        assert answer == b"re:" + data and origin[1] == peer.getsockname()[1]
    assert len(seen) == 1
    assert daemon.call("Status")["flows"]["udp"] >= 1000
    for peer in [*peers, client]:
        peer.close()


def test_guest_to_guest_is_switched(world, start, attach):
    daemon = start()
    one, two = attach(daemon, "one"), attach(daemon, "two")
    for address in (two.lease["address4"], two.lease["address6"]):
        with listener(two, address) as server, connect(one, server.getsockname()) as near:
            far, _ = server.accept()
            with far:
                seconds = transfer(near, far, GIB)
        print(f"guest to guest, {address}: {8 * 1.073 / seconds:.1f} Gbit/s")

# SPDX-License-Identifier: MIT
"""Runs of datagrams between real kernels: guests that are namespaces behind taps, where a run stays whole from the program that sends it to the one that receives it."""

import contextlib
import os
import socket
import struct
import threading

import pytest

from tests.support.lan import wait_for
from tests.support.netns import World

SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104  # Python does not know them yet
SO_RCVBUFFORCE = 33
SIZE, COUNT = 1000, 60


def datagram_socket(netns, address="", port=0, gro=True):
    made = netns.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(5)
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    if gro:
        made.setsockopt(SOL_UDP, UDP_GRO, 1)
    if address:
        made.bind((address, port))
    return made


def run_of(number, size=SIZE, count=COUNT):
    """The bytes of a run; each datagram begins with its number."""
    return b"".join(struct.pack("!Q", number + i) + bytes([(number + i) % 251]) * (size - 8) for i in range(count))


def send_run(sock, data, size, to):
    sock.sendmsg([data], [(SOL_UDP, UDP_SEGMENT, struct.pack("H", size))], 0, to)


def receive(sock):
    """One message: its bytes, the size of each datagram in it, and whom it is from."""
    data, ancillary, _, source = sock.recvmsg(65536, 100)
    sizes = [struct.unpack("i", value)[0] for level, kind, value in ancillary if (level, kind) == (SOL_UDP, UDP_GRO)]
    return data, sizes[0] if sizes else len(data), source


def exchange(sender, receiver, to, rounds=50, size=SIZE, count=COUNT, single=False):
    """Send runs and see that every datagram arrives once, in order and unchanged. Return: messages it came in."""
    failures, found = [], {"messages": 0, "bytes": 0, "source": None}

    def collect():
        try:
            expected = b"".join(run_of(n * count, size, count) for n in range(rounds))
            at = 0
            while at < len(expected):
                data, each, found["source"] = receive(receiver)
                assert each == size and data == expected[at:at + len(data)], f"at datagram {at // size}"
                at += len(data)
                found["messages"] += 1
                found["bytes"] = at
        except (AssertionError, OSError) as error:
            failures.append(error)

    thread = threading.Thread(target=collect)
    thread.start()
    for number in range(rounds):
        data = run_of(number * count, size, count)
        if single:
            for at in range(0, len(data), size):
                sender.sendto(data[at:at + size], to)
        else:
            send_run(sender, data, size, to)
        # Nobody holds a sender of UDP back but itself: sockets on the way have room for about ninety datagrams.
        wait_for(lambda: failures or found["bytes"] >= (number + 1) * size * count, what=f"run {number}; {found['bytes']} bytes came")
    thread.join(20)
    assert not failures and not thread.is_alive(), failures
    return found["messages"], found["source"]


@pytest.mark.parametrize("address", [World.SERVER4, World.SERVER6])
def test_runs_stay_whole_both_ways(world, start, attach, address):
    daemon = start()
    guest = attach(daemon, "runs")
    with contextlib.closing(datagram_socket(world.net, address)) as server, contextlib.closing(datagram_socket(guest, "::" if ":" in address else "0.0.0.0")) as client:
        client.sendto(b"first", server.getsockname()[:2])
        assert server.recvfrom(100)[0] == b"first"
        messages, source = exchange(client, server, server.getsockname()[:2])
        assert messages == 50  # each as it was sent
        messages, _ = exchange(server, client, source[:2])
        assert messages == 50
        # And one by one: what waits together goes together.
        exchange(client, server, server.getsockname()[:2], single=True)
        exchange(server, client, source[:2], single=True)
    assert not {"checksum", "malformed", "oversize", "socket-error"} & set(daemon.drops()), daemon.drops()


@pytest.mark.parametrize("size,count", [(8, 64), (64, 64), (1472, 44), (1452, 45)])
def test_sizes(world, start, attach, size, count):
    daemon = start()
    guest = attach(daemon, "sizes")
    with contextlib.closing(datagram_socket(world.net, World.SERVER4)) as server, contextlib.closing(datagram_socket(guest, "0.0.0.0")) as client:
        client.sendto(b"first", server.getsockname())
        server.recvfrom(100)
        _, source = exchange(client, server, server.getsockname(), size=size, count=count)
        exchange(server, client, source, size=size, count=count)


def test_sockets_that_know_no_runs(world, start, attach):
    """Neither end asked for runs: the kernels cut them, and every datagram is there."""
    daemon = start()
    guest = attach(daemon, "plain")
    with contextlib.closing(datagram_socket(world.net, World.SERVER4, gro=False)) as server, contextlib.closing(datagram_socket(guest, "0.0.0.0", gro=False)) as client:
        client.sendto(b"first", server.getsockname())
        server.recvfrom(100)
        messages, source = exchange(client, server, server.getsockname(), rounds=10)
        assert messages == 10 * COUNT
        messages, _ = exchange(server, client, source, rounds=10)
        assert messages == 10 * COUNT


def test_guest_to_guest(start, attach):
    daemon = start()
    one, two = attach(daemon, "one"), attach(daemon, "two")
    for key, any_address in (("address4", "0.0.0.0"), ("address6", "::")):
        with contextlib.closing(datagram_socket(one, any_address)) as sender, contextlib.closing(datagram_socket(two, any_address)) as receiver:
            to = (two.lease[key], receiver.getsockname()[1])
            sender.sendto(b"first", to)
            receiver.recvfrom(100)
            messages, _ = exchange(sender, receiver, to)
            assert messages == 50


def test_forward(world, start, attach):
    """A client on the internet and a guest behind a forward, both with runs."""
    daemon = start()
    guest = attach(daemon, "served")
    daemon.call("AddForward", listen=f"{World.HOST4}:5353/udp", to=f"{guest.lease['address4']}:53")
    with contextlib.closing(datagram_socket(world.net, World.SERVER4)) as client, contextlib.closing(datagram_socket(guest, "0.0.0.0", 53)) as server:
        messages, source = exchange(client, server, (World.HOST4, 5353))
        assert source == client.getsockname()  # the client as it is
        assert messages == 50
        messages, answered = exchange(server, client, source)
        assert messages == 50 and answered == (World.HOST4, 5353)


def test_larger_than_the_path(world, start, attach):
    """A run whose datagrams fit the LAN and not the way out: the guest's kernel learns the path's MTU by ICMP; without DF all arrive in fragments."""
    daemon = start()
    guest = attach(daemon, "narrow")
    IP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_DO, IP_MTU = 10, 0, 2, 14
    world.host.ip("route add 198.51.100.25/32 via 192.0.2.1 mtu 1300")
    try:
        with contextlib.closing(datagram_socket(world.net, "198.51.100.25", gro=False)) as server, contextlib.closing(datagram_socket(guest, "0.0.0.0")) as client:
            to = server.getsockname()
            client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
            messages, _ = exchange(client, server, to, rounds=3, size=1400, count=20)
            assert messages == 60
            client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
            client.connect(to)
            client.sendmsg([os.urandom(14000)], [(SOL_UDP, UDP_SEGMENT, struct.pack("H", 1400))])
            wait_for(lambda: client.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1300, what="the path's MTU in the guest")
            with pytest.raises(OSError):
                client.send(bytes(1400))
            assert daemon.drops()["too-big"] == 10
    finally:
        world.host.ip("route del 198.51.100.25/32")

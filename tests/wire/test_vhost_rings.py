# SPDX-License-Identifier: MIT
"""The rings of the vhost-user port: every kind of ring and buffer, events, and what happens where there is no room."""

import os
import random
import select
import struct
import time

import pytest
from scapy.layers.inet import ICMP, IP, UDP

from tests.support.lan import wait_for
from tests.support.vhost import OFFLOADS, PLAIN, Feature
from tests.support.vhost_traffic import (BUFFERS, ONE, PACKED, RINGS, TWO, combine, frame, introduce, numbered, pass_all, processor_seconds, sizes,
                                         take_frame, wake_ups)
from tests.support.wire import GATEWAY4, connect

@pytest.mark.parametrize("buffers", BUFFERS)
@pytest.mark.parametrize("rings", RINGS)
def test_frames_pass_both_ways(two, rings, buffers):
    """More frames than a ring has descriptors, of every length."""
    one, other = two(**{"size": 64, **combine(rings, buffers)})
    pass_all(one, other, numbered(sizes(150)))
    pass_all(other, one, numbered(sizes(20), TWO, ONE))


@pytest.mark.parametrize("rings", RINGS)
@pytest.mark.parametrize("other_rings", ["split", "packed, events by index"])
def test_guests_of_different_kinds(vhost, rings, other_rings):
    one, other = vhost(1, **combine(rings, "mergeable")), vhost(2, **combine(other_rings, "whole"))
    introduce(one, other)
    pass_all(one, other, numbered(sizes(50)))
    pass_all(other, one, numbered(sizes(50), TWO, ONE))


@PACKED
def test_beside_a_stream_port(daemon, vhost, attach, packed):
    one, other = vhost(1, packed=packed), attach(daemon, 2, port="stream")
    introduce(one, other)
    for number, size in enumerate(sizes(40)):
        one.transmit(frame(number, size))
        assert bytes(other.expect(lambda p: p.type == 0x88b5)) == frame(number, size)
        other.send_bytes(frame(number, size, TWO, ONE))
        assert take_frame(one)[1] == frame(number, size, TWO, ONE)


@PACKED
def test_to_the_internet(vhost, server, packed):
    guest = vhost(1, packed=packed)
    connection, peer = connect(guest, server)
    connection.send("PA", b"there")
    assert peer.recv(100) == b"there"
    peer.sendall(b"and back")
    assert connection.take(8) == b"and back"
    peer.close()


@pytest.mark.parametrize("size", [2, 4, 1024, 32768])
@PACKED
def test_sizes_of_rings(two, packed, size):
    one, other = two(packed=packed, size=size)
    pass_all(one, other, numbered(sizes(20)), burst=1)
    pass_all(one, other, numbered([60] * 100), burst=1)


@pytest.mark.parametrize("size", [1, 3, 5, 1000])
def test_packed_rings_of_any_size(two, size):
    one, other = two(packed=True, size=size)
    pass_all(one, other, numbered([60] * 100), burst=1)


@pytest.mark.parametrize("event_idx", [False, True])
def test_an_index_that_wraps(two, event_idx):
    """A split ring's index is 16 bits wide, and goes on at 0."""
    one, other = two(first=65500, event_idx=event_idx)
    pass_all(one, other, numbered([60] * 200))
    assert one.senders[0].next < 65500 and other.receivers[0].last_used < 65500
    assert one.stop()[1] == one.senders[0].next


@PACKED
def test_queue_pairs(two, packed):
    """Frames are taken from every queue that the front end enables, and come by some of its queues."""
    one, other = two(pairs=4, packed=packed)
    for queue in (0, 3, 1, 2, 0, 3):
        one.transmit(frame(queue), queue=queue)
        assert take_frame(other)[1] == frame(queue)
        one.flush()


@PACKED
def test_more_pairs_than_are_enabled(two, packed):
    """What the driver has not enabled gets nothing; the others get everything."""
    one, other = two(pairs=4, packed=packed)
    for ring in other.rings[2:]:
        other.must(other.front.set_vring_enable(ring.index, 0))
    for number in range(64):
        one.transmit(frame(number), queue=number % 4)
        assert take_frame(other)[1] == frame(number)
    assert not any(ring.pending() for ring in other.receivers[1:])


def test_a_flow_stays_in_its_order(two):
    """Frames of one flow come in the order in which they were sent, many queues or not."""
    one, other = two(pairs=4)
    for number in range(200):
        one.transmit((one.ether(TWO) / IP(src="10.0.2.100", dst="10.0.2.101") / UDP(sport=7, dport=8) / number.to_bytes(2, "big")).build(), queue=1)
    came = [other.expect(lambda p: UDP in p) for _ in range(200)]
    assert [int.from_bytes(bytes(p[UDP].payload)[:2], "big") for p in came] == list(range(200))


@PACKED
def test_control_queue(two, packed):
    """The number of queue pairs is set (virtio 1.2 section 5.1.6.5.5); numbers that there are not, and other commands, are refused."""
    one, other = two(packed=packed, pairs=4, features=PLAIN | Feature.CTRL_VQ)
    most = one.front.get_queue_num()
    for pairs in (1, 2, 4, most):
        assert one.command(struct.pack("<BBH", 4, 0, pairs)) == b"\0"
    for pairs in (0, most + 1, 0x8000, 0xffff):
        assert one.command(struct.pack("<BBH", 4, 0, pairs)) == b"\1"
    for command in (b"\4\1\1\0", b"\0\0\1", b"\1\0" + bytes(6), b"\4\0\1", b"\4\0", b"\4"):
        assert one.command(command) == b"\1"
    for _ in range(300):
        assert one.command(struct.pack("<BBH", 4, 0, 2)) == b"\0"
    pass_all(one, other, numbered([60] * 30))


def test_control_queue_without_queue_pairs(two):
    """It is the third queue then."""
    one, other = two(features=PLAIN | Feature.CTRL_VQ)
    assert one.control.index == 2
    assert one.command(struct.pack("<BBH", 4, 0, 1)) in (b"\0", b"\1")
    pass_all(one, other, numbered([60] * 30))


# events

@PACKED
@pytest.mark.parametrize("event_idx", [False, True])
def test_every_wait_ends_by_its_call(two, packed, event_idx):
    """One frame at a time: the receiver sleeps before each, so a lost call shows at once (wait() fails on it), and the sender kicks."""
    one, other = two(packed=packed, event_idx=event_idx)
    for number in range(300):
        one.transmit(frame(number))
        assert take_frame(other)[1] == frame(number)
    one.flush()


@PACKED
def test_no_calls_where_none_are_wanted(two, packed):
    """With EVENT_IDX one call comes for the frame that was asked for, none for those after it."""
    one, other = two(packed=packed, event_idx=True)
    ring = other.receivers[0]
    ring.called()
    calls = ring.calls
    assert ring.arm()
    for number in range(40):
        one.transmit(frame(number))
        one.flush()
    wait_for(ring.pending, 2, "frames")
    time.sleep(0.1)
    ring.called()
    assert ring.calls - calls == 1
    assert [take_frame(other)[1] for _ in range(40)] == [frame(number) for number in range(40)]


@PACKED
@pytest.mark.parametrize("event_idx", [False, True])
def test_what_was_sent_is_called_for(two, packed, event_idx):
    """A driver that sleeps until its frame has gone is woken, once, though nothing else happens."""
    one, other = two(packed=packed, event_idx=event_idx)
    ring = one.senders[0]
    for number in range(30):
        one.flush()
        ring.called()
        calls = ring.calls
        assert ring.arm()
        one.transmit(frame(number))
        assert select.select([ring.call_fd], [], [], 2)[0]
        time.sleep(0.002)
        assert ring.called() and not ring.called() and ring.calls == calls + 1
        assert take_frame(other)[1] == frame(number)


@PACKED
def test_no_calls_by_flags(two, packed):
    """Without EVENT_IDX a flag asks for none."""
    one, other = two(packed=packed)
    ring = other.receivers[0]
    ring.called()
    ring.disarm()
    one.transmit(*[frame(number) for number in range(40)])
    one.flush()
    time.sleep(0.1)
    assert not ring.called()
    assert [take_frame(other)[1] for _ in range(40)] == [frame(number) for number in range(40)]


@PACKED
@pytest.mark.parametrize("event_idx", [False, True])
def test_a_batch_is_called_once(two, packed, event_idx):
    """Frames that are handed over together cost a call or two at the other end, not one each."""
    one, other = two(packed=packed, event_idx=event_idx)
    for number in range(10):
        other.receivers[0].called()
        before = other.receivers[0].calls
        one.transmit(*[frame(number * 60 + i) for i in range(60)])
        for i in range(60):
            assert take_frame(other)[1] == frame(number * 60 + i)
        assert other.receivers[0].calls - before <= 4


@PACKED
@pytest.mark.parametrize("event_idx", [False, True])
def test_no_kick_is_missed(two, packed, event_idx):
    """Frames that come while the device is just about to sleep, at many distances from each other: a kick that it did not want was not needed."""
    one, other = two(packed=packed, event_idx=event_idx, size=1024)
    chance = random.Random(5)
    for number in range(1000):
        one.transmit(frame(number))
        time.sleep(chance.choice((0, 0, 0, 0.00001, 0.0001, 0.0003)))
        if number % 10 == 9:
            assert [take_frame(other)[1][14:18] for _ in range(10)] == [n.to_bytes(4, "big") for n in range(number - 9, number + 1)]
            one.flush()


@PACKED
@pytest.mark.parametrize("event_idx", [False, True])
def test_idle_guests_wake_nobody(daemon, two, packed, event_idx):
    """Guests with full rings and no frames: after traffic, fast and slow, the daemon goes to sleep and is not woken once. A frame wakes it."""
    one, other = two(packed=packed, event_idx=event_idx)
    pass_all(one, other, numbered([60] * 200))
    pass_all(other, one, numbered([60] * 20, TWO, ONE), burst=1)
    time.sleep(0.5)
    before, busy = wake_ups(daemon), processor_seconds(daemon)
    time.sleep(3)
    assert wake_ups(daemon) == before and processor_seconds(daemon) == busy
    pass_all(one, other, [frame(1)])
    time.sleep(0.1)
    assert wake_ups(daemon) > before


def test_polled_rings(vhost):
    """No kick descriptor (bit 8): what is in the ring is seen all the same. No call descriptor: no call, and the frames are there."""
    one, other = vhost(1), vhost(2)
    introduce(one, other)
    one.must(one.front.set_vring_kick(1, None))
    one.senders[0].kick = lambda: None
    pass_all(one, other, numbered([60] * 40))
    other.must(other.front.set_vring_call(0, None))
    other.receivers[0].called()
    one.transmit(frame(99))
    wait_for(other.receivers[0].pending, 2, "the frame")
    assert not other.receivers[0].called()
    assert take_frame(other)[1] == frame(99)


def test_other_descriptors_under_traffic(two):
    """The kick and call descriptors of running rings are replaced, and the new ones are used."""
    one, other = two()
    for turn in range(5):
        for guest, ring in ((one, one.senders[0]), (other, other.receivers[0])):
            for name in ("kick_fd", "call_fd", "call_end"):
                os.close(getattr(ring, name))
            ring.kick_fd, ring.call_fd = (os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2))
            ring.call_end = os.dup(ring.call_fd)
            guest.must(guest.front.set_vring_call(ring.index, ring.call_end))
            guest.must(guest.front.set_vring_kick(ring.index, ring.kick_fd))
        pass_all(one, other, numbered([60] * 30))


# room

@PACKED
def test_no_buffers_no_frames(daemon, two, grows, packed):
    """A guest that offers no buffers loses what is sent to it, counted; with buffers it is served again. Nobody else waits for it."""
    one, other = two(packed=packed, size=16)
    other.refill = False
    with grows(daemon, "port-full", 1):
        one.transmit(*[frame(number) for number in range(16)])
        one.flush()
        one.transmit(*[frame(number) for number in range(16, 32)])
        one.flush()
    got = []
    while (came := take_frame(other, 0.3)[1]) is not None:
        got.append(came)
    assert got == [frame(number) for number in range(len(got))] and len(got) <= 16
    other.refill = True
    other.fill()
    pass_all(one, other, numbered([60] * 40), burst=8)


@PACKED
def test_a_frame_over_many_buffers(two, packed):
    """Mergeable buffers of 300 bytes: each frame takes as many as it needs, and says so."""
    one, other = two(packed=packed, rx=(300,))
    for size in (60, 287, 288, 289, 588, 589, 1514):
        one.transmit(frame(size, size))
        header, came = take_frame(other)
        assert came == frame(size, size)
        assert header.num_buffers == -(-(size + 12) // 300)


@PACKED
def test_a_frame_too_large_for_its_buffers(daemon, two, grows, packed):
    """Without mergeable buffers a frame must fit into one chain; what does not is dropped, and the chain serves the next frame."""
    one, other = two(packed=packed, features=Feature.VERSION_1, rx=(12, 500))
    drops = sum(daemon.drops().values())
    one.transmit(frame(1, 600), frame(2, 500), frame(3, 501), frame(4, 100))
    assert take_frame(other)[1] == frame(2, 500)
    assert take_frame(other)[1] == frame(4, 100)
    assert sum(daemon.drops().values()) - drops == 2
    pass_all(one, other, numbered([500] * 100))


@PACKED
@pytest.mark.parametrize("pieces", [100, 128], ids=["ends inside a chain", "ends between chains"])
def test_a_frame_over_too_many_pieces(daemon, two, packed, pieces):
    """Chains of many buffers of a byte each. A frame that would need over 1024 of them is dropped and counted, and its chains serve the next ones."""
    one, other = two(packed=packed, indirect=True, rx=(1,) * pieces)
    largest = 1024 // pieces * pieces - 12
    drops = daemon.drops().get("oversize", 0)
    for turn in range(20):
        one.transmit(frame(1, largest + 1), frame(2, largest), frame(3, 1514), frame(4, 100))
        header, came = take_frame(other)
        assert came == frame(2, largest) and header.num_buffers == 1024 // pieces
        assert take_frame(other)[1] == frame(4, 100)
    assert daemon.drops()["oversize"] - drops == 40
    one.flush()


@PACKED
def test_a_stream_into_pieces(vhost, server4, packed):
    """What a host's socket has for a guest comes in as many bytes as its pieces hold."""
    guest = vhost(1, packed=packed, indirect=True, rx=(1,) * 100, features=PLAIN | OFFLOADS)
    connection, peer = connect(guest, server4, options=[("MSS", 800)])
    content = random.Random(5).randbytes(20000)
    peer.sendall(content)
    assert connection.take(len(content)) == content


@PACKED
def test_fewer_buffers_than_a_frame_needs(two, packed):
    """A frame that needs more mergeable buffers than there are is dropped whole; those that are there are not lost."""
    one, other = two(packed=packed, size=8, rx=(100,))
    one.transmit(frame(1, 1514), frame(2, 400))
    header, came = take_frame(other)
    assert came == frame(2, 400) and header.num_buffers == 5
    pass_all(one, other, numbered([700] * 40), burst=1)



# memory

def test_rings_of_a_guest_of_legacy_vmm(vhost):
    """No protocol features at all: rings run from their kick descriptor on, enabled."""
    one, other = vhost(1, start=False), vhost(2)
    one.offered = Feature(one.front.get_features())
    one.features, one.rx_sizes = PLAIN, (2048,)
    one.front.set_owner()
    one.front.set_features(PLAIN)
    one.share()
    one.set_up()
    one.fill()
    introduce(one, other)
    pass_all(one, other, numbered([60] * 40))
    pass_all(other, one, numbered([60] * 40, TWO, ONE))


def test_ping_of_the_gateway_by_each_queue(vhost):
    guest = vhost(1, pairs=2)
    guest.announce()
    for queue in (0, 1):
        guest.send(guest.ip_to(GATEWAY4) / ICMP(type=8, id=queue, seq=1) / b"ping", queue=queue)
        guest.expect(lambda p: ICMP in p and p[ICMP].type == 0 and p[ICMP].id == queue)


def test_calls_wake_a_sleeper(two):
    """poll() on the call descriptor, as a VMM's event loop does it."""
    one, other = two()
    ring = other.receivers[0]
    ring.called()
    assert ring.arm()
    assert not select.select([ring.call_fd], [], [], 0.1)[0]
    one.transmit(frame(1))
    assert select.select([ring.call_fd], [], [], 2)[0]

# SPDX-License-Identifier: MIT
"""Guests and front ends that want to do harm by headers, by changes under way, by memory that goes away, and by notifications."""

import os
import random
import socket
import struct
import threading
import time

import pytest

from tests.support.vhost import GSO_NONE, GSO_TCPV4, GSO_UDP_L4, LARGEST, NEEDS_CSUM, OFFLOADS, PLAIN, Feature, Header, Request
from tests.support.vhost_memory import GIB, PAGE, Log
from tests.support.vhost_message import HEAD, VERSION
from tests.support.vhost_ring import AVAIL, Broken
from tests.support.vhost_traffic import NEVER, ONE, PACKED, TWO, frame, good, numbered, pass_all, processor_seconds

pytestmark = pytest.mark.usefixtures("harmless")
LOST = (ConnectionError, Broken)


# headers and frames

@PACKED
@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 12, 13, 25, 26])
def test_frames_too_short(daemon, sly, packed, size):
    """From no header at all to 14 bytes of frame: used, and what is no frame is dropped and counted."""
    it = sly(packed=packed)
    before = daemon.drops().get("short", 0)
    address, _ = good(it)
    it.senders[0].add([(address, size, False)])
    it.senders[0].publish()
    it.flush()
    assert daemon.drops().get("short", 0) - before == (size < 12 + 14)


@PACKED
@pytest.mark.parametrize("size", [LARGEST - 3, LARGEST, LARGEST + 1, 100000, 1 << 20, 8 << 20])
def test_frames_too_long(sly, packed, size):
    it = sly(packed=packed)
    address = it.memory.allocate(size + 12)
    it.memory.write(address, bytes(12) + frame(1, 100))
    it.senders[0].add([(address, size + 12, False)])
    it.senders[0].publish()
    try:
        it.flush()
    except LOST:
        pass


HEADERS = [
    Header(gso_type=2), Header(gso_type=3), Header(gso_type=6), Header(gso_type=0x7f), Header(gso_type=0xff), Header(gso_type=0x80),
    Header(gso_type=GSO_TCPV4, gso_size=1448), Header(NEEDS_CSUM, GSO_TCPV4, 54, 0, 34, 16), Header(NEEDS_CSUM, GSO_TCPV4, 54, 1, 34, 16),
    Header(NEEDS_CSUM, GSO_TCPV4, 0, 1448, 34, 16), Header(NEEDS_CSUM, GSO_TCPV4, 0xffff, 1448, 34, 16), Header(NEEDS_CSUM, GSO_TCPV4, 54, 0xffff, 34, 16),
    Header(NEEDS_CSUM, GSO_NONE, 0, 0, 0, 0), Header(NEEDS_CSUM, GSO_NONE, 0, 0, 0xffff, 0xffff), Header(NEEDS_CSUM, GSO_NONE, 0, 0, 34, 0xffff),
    Header(NEEDS_CSUM, GSO_NONE, 0, 0, 1513, 0), Header(NEEDS_CSUM, GSO_NONE, 0, 0, 1512, 0), Header(NEEDS_CSUM, GSO_NONE, 0, 0, 1514, 0),
    Header(NEEDS_CSUM, GSO_UDP_L4, 42, 100, 34, 6), Header(0xff, 0xff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff),
]


@pytest.mark.parametrize("offloads", [True, False])
def test_headers(daemon, sly, attach, vhost, offloads):
    """Whatever a header says of this frame: to nobody goes more than a frame, and the sender is served on."""
    it = sly(features=PLAIN | (OFFLOADS if offloads else 0))
    plain, able, stream = vhost(2).announce(), vhost(3, features=PLAIN | OFFLOADS).announce(), attach(daemon, 4, port="stream").announce()
    for header in HEADERS:
        for other in (plain, able, stream):
            other.drain(0)
            for size in (60, 1514, 9000):
                it.transmit(frame(size, size, it.mac, other.mac), header=header)
            it.transmit(frame(5, 70, it.mac, other.mac))
            came = []
            while not came or came[-1] != frame(5, 70, it.mac, other.mac):
                came.append(bytes(other.expect(lambda p: p.type == 0x88b5)))
            assert len(came) <= 4, header
            it.flush()


@pytest.mark.parametrize("seed", range(4))
def test_noise_as_headers_and_frames(daemon, sly, vhost, seed):
    it, other = sly(features=PLAIN | OFFLOADS, event_idx=bool(seed & 1), packed=bool(seed & 2)), vhost(2, features=PLAIN | OFFLOADS).announce()
    chance = random.Random(seed)
    for _ in range(400):
        header = Header(*(chance.choice((0, 1, 2, 4, 5, 14, 20, 34, 54, chance.getrandbits(8), chance.getrandbits(16))) & (255 if i < 2 else 0xffff)
                          for i in range(7)))
        data = bytearray(frame(1, chance.randrange(18, 4000)))
        data[12:14] = chance.choice((b"\x08\x00", b"\x86\xdd", b"\x08\x06", b"\x81\x00"))
        data[14:15] = chance.choice((b"\x45", b"\x4f", b"\x60"))
        it.transmit(bytes(data), header=header)
    it.flush()
    other.drain()


# a driver that changes its mind

class Meddler:
    """A thread that does something over and over beside us."""

    def __init__(self, act):
        self.act, self.ended = act, False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ended:
            self.act()
            time.sleep(0)  # let the others have their turn

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()


@PACKED
@pytest.mark.parametrize("what", ["lengths", "addresses", "flags", "headers", "indexes", "everything"])
def test_changes_under_way(sly, vhost, packed, what):
    """Descriptors, headers and indexes change while the device reads them."""
    it, other = sly(packed=packed, features=PLAIN | OFFLOADS | Feature.INDIRECT_DESC), vhost(2).announce()
    chance = random.Random(what)
    ring = it.senders[0]
    address, length = good(it, 1000)

    def meddle():
        slot = ring.desc + 16 * chance.randrange(ring.size)
        if what in ("lengths", "everything"):
            it.memory.write(slot + 8, struct.pack("<I", chance.choice((length, 0, 13, 0xffffffff, 70000))))
        if what in ("addresses", "everything"):
            it.memory.write(slot, struct.pack("<Q", chance.choice((address, NEVER, 0, 0xfffffffffffffff0))))
        if what in ("flags", "everything"):
            it.memory.set16(slot + (14 if packed else 12), chance.getrandbits(3) | (AVAIL if packed and ring.avail_wrap else 0))
        if what in ("headers", "everything"):
            it.memory.write(address, chance.randbytes(12))
        if what in ("indexes", "everything") and not packed:
            it.memory.set16(ring.avail + 2, chance.choice((ring.next, ring.next, ring.next, chance.getrandbits(16))))
            it.memory.set16(ring.used + 2, chance.getrandbits(16))

    with Meddler(meddle):
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            for _ in range(8):
                if packed:
                    ring.heads, ring.added = [], 0
                    ring.write_chain([(address, length, 0)], 0)
                    ring.hand_over()
                else:
                    ring.write_descriptor(ring.next % ring.size, address, length, 0, 0)
                    ring.offer(ring.next % ring.size)
                    ring.hand_over()
            ring.kick()
            other.drain(0.001)
            if it.front.closed(0.001):
                it.die()
                it = sly(packed=packed, features=PLAIN | OFFLOADS | Feature.INDIRECT_DESC)
                ring = it.senders[0]
                address, length = good(it, 1000)


@PACKED
def test_changes_in_a_receiving_ring(vhost, packed):
    it, other = vhost(1, packed=packed), vhost(2).announce()
    chance = random.Random(1)
    ring = it.receivers[0]

    def meddle():
        slot = ring.desc + 16 * chance.randrange(ring.size)
        it.memory.write(slot, struct.pack("<QI", chance.choice((4 * GIB + PAGE, NEVER)), chance.choice((2048, 0, 1, 0xffffffff))))
        it.memory.write(ring.addresses[1], chance.randbytes(4))

    with Meddler(meddle):
        for number in range(300):
            other.transmit(frame(number, 60, TWO, ONE))
            it.receivers[0].kick()
    other.flush()


@pytest.mark.parametrize("seed", range(6))
def test_noise_in_the_rings(vhost, seed):
    """The whole of the rings' memory is noise, again and again."""
    chance = random.Random(seed)
    other = vhost(2).announce()
    for _ in range(8):
        it = vhost(1, packed=bool(seed & 1), event_idx=bool(seed & 2), size=16)
        for turn in range(10):
            for ring in it.rings:
                for part in ring.addresses:
                    it.memory.write(part, chance.randbytes(chance.choice((4, 16, 64, 256))))
                ring.kick()
            other.transmit(frame(turn, 60, TWO, ONE))
            other.drain(0.001)
        it.die()
    other.flush()


@pytest.mark.parametrize("seed", range(6))
def test_noise_as_messages(daemon, vhost, seed):
    """Messages of every number with noise as payload, and descriptors now and then, on a device that runs."""
    chance = random.Random(seed)
    for _ in range(25):
        it = vhost(1, size=16)
        for _ in range(20):
            payload = bytearray(chance.randbytes(chance.choice((0, 8, 8, 12, 16, 20, 40, 40, 72, 268))))
            for at in range(0, len(payload) - 3, 4):
                if chance.random() < 0.6:
                    payload[at:at + 4] = struct.pack("=I", chance.choice((0, 0, 1, 2, 3, 255, 256, 4096, 0xffffffff)))
            fds = [chance.choice((it.memory.regions[0].fd, it.rings[0].kick_fd, it.rings[0].call_end)) for _ in range(chance.choice((0, 0, 1, 1, 2, 8)))]
            try:
                it.front.message(chance.randrange(1, 42), bytes(payload), fds, chance.choice((VERSION, VERSION | 8)))
                for ring in it.rings:
                    ring.kick()
            except (ConnectionError, BrokenPipeError):
                break
        time.sleep(0.002)
        it.die()
        for ring in it.rings:
            ring.close()
        it.rings = []


# memory that goes away

@PACKED
@pytest.mark.parametrize("which", ["rings", "buffers", "all"])
@pytest.mark.parametrize("left", [0, PAGE])
def test_memory_is_cut_short(vhost, packed, which, left):
    """The file behind the memory is truncated under the back end (SIGBUS): the guest loses its port."""
    it, other = vhost(1, packed=packed).announce(), vhost(2).announce()
    pass_all(it, other, numbered([60] * 20))
    for number, region in enumerate(it.memory.regions):
        if which == "all" or (which == "rings") == (number == 0):
            region.truncate(left)
    for number in range(20):
        other.transmit(frame(number, 200, TWO, ONE))
        for ring in it.rings:
            ring.kick()
    other.flush()
    assert it.front.closed(2)


@PACKED
def test_memory_is_cut_short_under_traffic(vhost, packed):
    """Cut at a moment when the device is busy with it, again and again."""
    other = vhost(2).announce()
    for turn in range(8):
        it = vhost(1, packed=packed).announce()
        it.transmit(*[frame(number, 1000) for number in range(100)])
        for number in range(50):
            other.transmit(frame(number, 1000, TWO, ONE))
        it.memory.regions[turn & 1].truncate(0)
        for number in range(50):
            other.transmit(frame(number, 1000, TWO, ONE))
        other.flush()
        for ring in it.rings:
            ring.kick()
        assert it.front.closed(2)
        other.drain(0.01)


def test_the_log_is_cut_short(vhost):
    it, other = vhost(1).announce(), vhost(2).announce()
    log = Log(it.memory)
    it.front.set_log_base(log.size, 0, log.fd)
    it.log(True)
    os.ftruncate(log.fd, 0)
    for number in range(20):
        other.transmit(frame(number, 1000, TWO, ONE))
    other.flush()
    log.close()


@PACKED
def test_the_inflight_memory_is_cut_short(vhost, packed):
    it, other = vhost(1, packed=packed, start=False), vhost(2).announce()
    it.negotiate()
    it.share()
    memory = os.memfd_create("inflight")
    (length, offset, _, _), fds = it.front.get_inflight_fd(2, it.size)
    os.ftruncate(memory, offset + length)
    it.must(it.front.set_inflight_fd(length, offset, 2, it.size, memory))
    it.set_up()
    os.ftruncate(memory, 0)
    it.enable()
    it.fill()
    try:
        it.transmit(*[frame(number) for number in range(20)], seconds=0.2)
    except LOST:
        pass
    for number in range(20):
        other.transmit(frame(number, 1000, TWO, ONE))
    other.flush()
    for fd in (memory, *fds):
        os.close(fd)


def test_memory_is_exchanged_under_traffic(vhost):
    """Another table while frames fly, in which the buffers' addresses are of no region any more."""
    other = vhost(2).announce()
    for turn in range(10):
        it = vhost(1).announce()
        it.transmit(*[frame(number, 1000) for number in range(100)])
        it.front.tell(Request.SET_MEM_TABLE, struct.pack("=IIQQQQ", 1, 0, 0, 4 << 20, it.memory.regions[0].user, 2 * PAGE), fds=[it.memory.regions[0].fd])
        other.transmit(*[frame(number, 1000, TWO, ONE) for number in range(50)])
        for ring in it.rings:
            ring.kick()
        other.drain(0.01)
        it.die()


# notifications

def test_a_storm_of_kicks(daemon, sly):
    it = sly()
    for _ in range(20000):
        it.senders[0].kick()
    busy = processor_seconds(daemon)
    time.sleep(0.3)
    assert processor_seconds(daemon) - busy < 0.1


@pytest.mark.parametrize("kind", ["full event", "full pipe", "closed pipe", "full socket"])
def test_calls_that_nobody_takes(vhost, kind):
    """A call descriptor on which a write would wait for ever, or raise SIGPIPE: the daemon does not wait."""
    it, other = vhost(1).announce(), vhost(2).announce()
    close = []
    if kind == "full event":
        fd = os.eventfd(0)
        os.eventfd_write(fd, 0xfffffffffffffffe)
    elif kind == "full socket":
        one, two_ = socket.socketpair()
        one.setblocking(False)
        try:
            while True:
                one.send(bytes(8))
        except BlockingIOError:
            pass
        one.setblocking(True)
        fd = one.detach()
        close.append(two_.detach())
    else:
        end, fd = os.pipe()
        if kind == "full pipe":
            os.set_blocking(fd, False)
            try:
                while True:
                    os.write(fd, bytes(4096))
            except BlockingIOError:
                pass
            os.set_blocking(fd, True)
            close.append(end)
        else:
            os.close(end)
    for index in range(2):
        it.front.set_vring_call(index, fd)  # taken, or refused for what it is
    it.senders[0].arm()
    it.receivers[0].arm()
    for number in range(50):
        other.transmit(frame(number, 60, TWO, ONE))
    other.flush()
    os.close(fd)
    for fd in close:
        os.close(fd)


def test_kick_descriptors_that_are_always_ready(daemon, vhost):
    """A pipe whose writer has gone, a socket whose peer has gone, an event that somebody else keeps raising: the daemon does not spin."""
    it = vhost(1).announce()
    for name in ("pipe", "socket"):
        if name == "pipe":
            fd, end = os.pipe()
            os.close(end)
        else:
            one, end = socket.socketpair()
            end.close()
            fd = one.detach()
        try:
            it.front.set_vring_kick(1, fd)
        except ConnectionError:
            it = vhost(1)
        os.close(fd)
        time.sleep(0.05)
        busy = processor_seconds(daemon)
        time.sleep(0.3)
        assert processor_seconds(daemon) - busy < 0.1, name


def test_a_front_end_that_answers_nothing(vhost):
    """The back end's own channel is full and nobody reads it: the back end does not wait for it."""
    it = vhost(1).announce()
    channel = it.take_backend_requests()
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    it.announce()


def test_messages_between_frames(vhost):
    """A front end that asks without end while frames fly gets its answers, and so do the others their frames."""
    it, other = vhost(1).announce(), vhost(2).announce()
    asking = threading.Event()

    def ask():
        while not asking.is_set():
            it.front.raw(HEAD.pack(Request.GET_QUEUE_NUM, VERSION, 0))
            it.front.reply(Request.GET_QUEUE_NUM)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        fresh = vhost(3).announce()
        pass_all(other, fresh, numbered([60] * 200, other.mac, fresh.mac))
    finally:
        asking.set()
        thread.join()

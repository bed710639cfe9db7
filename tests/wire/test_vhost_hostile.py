# SPDX-License-Identifier: MIT
"""Guests and front ends that want to do harm through their rings and memory: they lose their own port at most, and nobody else notices."""

import os
import random
import socket
import struct
import threading
import time

import pytest

from tests.support.lan import wait_for
from tests.support.vhost import GSO_NONE, GSO_TCPV4, GSO_UDP_L4, LARGEST, NEEDS_CSUM, OFFLOADS, PLAIN, Feature, Header
from tests.support.vhost_memory import GIB, PAGE, Log
from tests.support.vhost_message import HEAD, VERSION, Request
from tests.support.vhost_ring import AVAIL, DESCRIPTOR, INDIRECT, NEXT, USED, WRITE, Broken
from tests.support.vhost_traffic import ONE, TWO, frame, numbered, pass_all, processor_seconds, take_frame

pytestmark = pytest.mark.usefixtures("harmless")
PACKED = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
NEVER = 0x5000000000  # a guest address that is of no region
LOST = (ConnectionError, Broken)


@pytest.fixture
def guest(vhost):
    """guest(**options): one whose frames the witness would get."""
    def maker(**options):
        options.setdefault("features", PLAIN | Feature.INDIRECT_DESC)
        made = vhost(1, **options).announce()
        made.drain()
        return made

    return maker


def ends(guest, seconds=2.0):
    """The port of a guest with a broken ring closes; or the ring at least never goes on, and its error descriptor says so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if guest.front.closed(0.05) or any(ring.failed() for ring in guest.rings):
            return True
    return False


def good(guest, size=100):
    """A frame in guest memory, with its header. Return: address and length."""
    data = bytes(12) + frame(1, size)
    address = guest.memory.allocate(len(data))
    guest.memory.write(address, data)
    return address, len(data)


# split rings: what stands in the descriptors

def split_chain(guest, descriptors_, head=0):
    """Write descriptors from slot 0 on as they are, and hand over a head."""
    ring = guest.senders[0]
    for slot, descriptor in enumerate(descriptors_):
        ring.write_descriptor(slot, *descriptor)
    ring.offer(head)
    ring.hand_over()
    ring.kick()


SPLIT = {
    "a loop of one": lambda a, n: [(a, n, NEXT, 0)],
    "a loop of two": lambda a, n: [(a, 50, NEXT, 1), (a + 50, n - 50, NEXT, 0)],
    "a loop further on": lambda a, n: [(a, 50, NEXT, 1), (a, 10, NEXT, 2), (a, 10, NEXT, 1)],
    "a loop of empty buffers": lambda a, n: [(a, 0, NEXT, 1), (a, 0, NEXT, 0)],
    "next is outside of the ring": lambda a, n: [(a, n, NEXT, 256)],
    "next is far outside": lambda a, n: [(a, n, NEXT, 0xffff)],
    "an address outside memory": lambda a, n: [(NEVER, n, 0, 0)],
    "an address outside memory behind a good one": lambda a, n: [(a, 12, NEXT, 1), (NEVER, n, 0, 0)],
    "a hole between regions": lambda a, n: [((4 << 20) - 50, n, 0, 0)],
    "over the end of memory": lambda a, n: [(4 * GIB + (96 << 20) - 50, n, 0, 0)],
    "an address that wraps": lambda a, n: [(0xffffffffffffffc0, 1000, 0, 0)],
    "4 GiB": lambda a, n: [(a, 0xffffffff, 0, 0)],
    "16 GiB in a chain": lambda a, n: [(a, 0xffffffff, NEXT, 1), (a, 0xffffffff, NEXT, 2), (a, 0xffffffff, NEXT, 3), (a, 0xffffffff, 0, 0)],
    "to be written by the device": lambda a, n: [(a, n, WRITE, 0)],
    "the header to be written": lambda a, n: [(a, 12, NEXT | WRITE, 1), (a + 12, n - 12, 0, 0)],
    "the frame to be written": lambda a, n: [(a, 12, NEXT, 1), (a + 12, n - 12, WRITE, 0)],
    "indirect, an empty table": lambda a, n: [(a, 0, INDIRECT, 0)],
    "indirect, half a descriptor": lambda a, n: [(a, 24, INDIRECT, 0)],
    "indirect and next": lambda a, n: [(a, 16, INDIRECT | NEXT, 1), (a, n, 0, 0)],
    "indirect, a table outside memory": lambda a, n: [(NEVER, 16, INDIRECT, 0)],
    "indirect, a table over the end": lambda a, n: [(4 * GIB + (96 << 20) - 16, 32, INDIRECT, 0)],
    "indirect, a table of 4 GiB": lambda a, n: [(a, 0xfffffff0, INDIRECT, 0)],
}


@pytest.mark.parametrize("what", SPLIT)
def test_split_descriptors(guest, what):
    for in_order in (False, True):
        it = guest(in_order=in_order)
        split_chain(it, SPLIT[what](*good(it)))
        assert ends(it)
        it.die()


@pytest.mark.parametrize("head", [256, 257, 0x8000, 0xffff])
def test_heads_outside_of_the_ring(guest, head):
    it = guest()
    split_chain(it, [(*good(it), 0, 0)], head)
    assert ends(it)


@pytest.mark.parametrize("ahead", [257, 1000, 0x8000, 0xff00])
def test_an_index_that_jumps(guest, ahead):
    """More chains than the ring has places."""
    it = guest()
    ring = it.senders[0]
    it.memory.set16(ring.avail + 2, ring.next + ahead)
    ring.kick()
    assert ends(it)


def test_an_index_that_goes_back(guest):
    it = guest()
    ring = it.senders[0]
    it.memory.set16(ring.avail + 2, ring.next - 1)
    ring.kick()
    assert ends(it)


def test_the_same_chain_again_and_again(guest, vhost):
    """Nobody forbids the device to read the same buffers twice: the frames go out, and the ring stays within bounds."""
    it, other = guest(), vhost(2).announce()
    other.drain()
    ring = it.senders[0]
    ring.write_descriptor(0, *good(it), 0, 0)
    for _ in range(200):
        ring.offer(0)
    ring.hand_over()
    ring.kick()
    for _ in range(200):
        assert take_frame(other)[1] == frame(1, 100)


INDIRECT_TABLES = {
    "a loop of one": [("good", NEXT, 0)],
    "a loop of two": [("good", NEXT, 1), ("good", NEXT, 0)],
    "next is outside of the table": [("good", NEXT, 7)],
    "a table within": [("good", INDIRECT, 0)],
    "an address outside memory": [("bad", 0, 0)],
    "mixed directions": [("good", NEXT, 1), ("good", WRITE, 0)],
}


@pytest.mark.parametrize("what", INDIRECT_TABLES)
def test_indirect_tables(guest, what):
    it = guest()
    address, length = good(it)
    entries = [DESCRIPTOR.pack(address if kind == "good" else NEVER, length, flags, following) for kind, flags, following in INDIRECT_TABLES[what]]
    table = it.memory.allocate(len(entries) * 16)
    it.memory.write(table, b"".join(entries))
    split_chain(it, [(table, len(entries) * 16, INDIRECT, 0)])
    assert ends(it)


def test_indirect_was_not_negotiated(guest):
    it = guest(features=PLAIN)
    address, length = good(it)
    table = it.memory.allocate(16)
    it.memory.write(table, DESCRIPTOR.pack(address, length, 0, 0))
    split_chain(it, [(table, 16, INDIRECT, 0)])
    assert ends(it)


@PACKED
@pytest.mark.parametrize("entries", [1025, 4096, 65536])
def test_a_table_of_thousands(guest, packed, entries):
    """Single bytes by the thousand: sent, dropped or the end of the port, but in bounded time."""
    it = guest(packed=packed)
    address, _ = good(it, 1514)
    try:
        it.senders[0].add([(address + i % 1500, 1, False) for i in range(entries)], None, indirect=True)
        it.senders[0].publish()
        it.flush()
    except LOST:
        pass


# packed rings

def packed_chain(guest, entries, ident=0):
    """Descriptors (address, length, flags) from our position on, made available from the last to the first."""
    ring = guest.senders[0]
    for number in reversed(range(len(entries))):
        address, length, flags = entries[number]
        at = ring.desc + 16 * ((ring.next + number) % ring.size)
        guest.memory.write(at, DESCRIPTOR.pack(address, length, ident, flags | (AVAIL if ring.avail_wrap else USED)))
    ring.kick()


PACKED_CHAINS = {
    "a chain without an end": lambda a, n: [(a, n, NEXT)] * 250,
    "an address outside memory": lambda a, n: [(NEVER, n, 0)],
    "a hole between regions": lambda a, n: [((4 << 20) - 50, n, 0)],
    "an address that wraps": lambda a, n: [(0xffffffffffffffc0, 1000, 0)],
    "4 GiB": lambda a, n: [(a, 0xffffffff, 0)],
    "to be written by the device": lambda a, n: [(a, n, WRITE)],
    "mixed directions": lambda a, n: [(a, 12, NEXT), (a, n, WRITE)],
    "indirect, an empty table": lambda a, n: [(a, 0, INDIRECT)],
    "indirect, half a descriptor": lambda a, n: [(a, 24, INDIRECT)],
    "indirect and next": lambda a, n: [(a, 16, INDIRECT | NEXT), (a, n, 0)],
    "indirect, a table outside memory": lambda a, n: [(NEVER, 16, INDIRECT)],
    "indirect, a table of 4 GiB": lambda a, n: [(a, 0xfffffff0, INDIRECT)],
}


@pytest.mark.parametrize("what", PACKED_CHAINS)
def test_packed_descriptors(guest, what):
    for in_order in (False, True):
        it = guest(packed=True, in_order=in_order)
        packed_chain(it, PACKED_CHAINS[what](*good(it)))
        if what == "a chain without an end":
            packed_chain(it, [(*good(it), NEXT)] * 256)
        assert ends(it)
        it.die()


def test_packed_ids_of_every_number(guest, vhost):
    """A buffer's id is the driver's own word, given back as it was."""
    it, other = guest(packed=True), vhost(2).announce()
    other.drain()
    ring = it.senders[0]
    for number, ident in enumerate((0, 255, 256, 0x7fff, 0xffff)):
        at, wrap = ring.desc + 16 * ring.next, ring.avail_wrap
        packed_chain(it, [(*good(it), 0)], ident)
        assert take_frame(other)[1] == frame(1, 100)
        wait_for(lambda: bool(it.memory.get16(at + 14) & USED) == bool(wrap), 2, "the used descriptor")
        assert it.memory.unpack("<QIHH", at)[2] == ident
        ring.next += 1


# receiving rings

RECEIVE = {
    "an address outside memory": (NEVER, 2048, WRITE),
    "4 GiB": (4 * GIB, 0xffffffff, WRITE),
    "an address that wraps": (0xfffffffffffffff0, 2048, WRITE),
    "to be read by the device": (4 * GIB + PAGE, 2048, 0),
    "half outside": (4 * GIB + (96 << 20) - 100, 2048, WRITE),
}


@PACKED
@pytest.mark.parametrize("what", RECEIVE)
def test_receiving_descriptors(vhost, packed, what):
    """A buffer where no buffer can be, in front of good ones."""
    it = vhost(1, packed=packed, refill=False)
    address, length, flags = RECEIVE[what]
    it.announce()
    ring = it.receivers[0]
    for slot in range(ring.size):
        at = ring.desc + 16 * slot
        if packed:
            it.memory.write(at, struct.pack("<QI", address, length))
            it.memory.set16(at + 14, it.memory.get16(at + 14) & ~WRITE | flags)
        else:
            ring.write_descriptor(slot, address, length, flags, 0)
    other = vhost(2)
    try:
        for number in range(10):
            other.transmit(frame(number, 60, TWO, ONE))
        assert ends(it)
    except LOST:
        pass


@PACKED
@pytest.mark.parametrize("size", [1, 11, 12, 13, 25])
def test_receiving_buffers_too_small_for_a_header(vhost, packed, size):
    """Mergeable buffers may be of any size; the header must fit into the first (virtio 1.2 section 5.1.6.3.1), or the frame is lost."""
    it, other = vhost(1, packed=packed, rx=(size,)), vhost(2).announce()
    for number in range(300):
        other.transmit(frame(number, 60, TWO, ONE))
    other.flush()
    try:
        it.drain()
    except LOST:
        pass


@PACKED
def test_buffers_that_are_the_ring(vhost, packed):
    """What is sent to the guest is written over its own rings: its ring breaks, and no other's."""
    it, other = vhost(1, packed=packed), vhost(2).announce()
    ring = it.receivers[0]
    for slot in range(ring.size):
        at, length = ring.desc + 16 * slot, 1500
        if packed:
            it.memory.write(at, struct.pack("<QI", ring.desc, length))
        else:
            ring.write_descriptor(slot, (ring.desc, ring.avail, ring.used)[slot % 3], length, WRITE, 0)
    for number in range(300):
        other.transmit(frame(number, 1400, TWO, ONE))
    other.flush()


def test_rings_on_top_of_each_other(vhost):
    """All parts of all rings at one place."""
    it = vhost(1, start=False)
    it.negotiate()
    it.share()
    it.set_up()
    place = it.rings[0].addresses
    for ring in it.rings:
        ring.addresses = (place[0], place[0], place[0])
        it.tell_ring(ring)
    it.enable()
    other = vhost(2).announce()
    for number in range(200):
        it.rings[number % 2].kick()
        other.transmit(frame(number, 60, TWO, ONE))
    other.flush()


CONTROL = {
    "no room for the answer": [(4 * GIB + PAGE, 4, False)],
    "room for the answer alone": [(4 * GIB + PAGE, 1, True)],
    "the answer goes nowhere": [(4 * GIB + PAGE, 4, False), (NEVER, 1, True)],
    "the command comes from nowhere": [(NEVER, 4, False), (4 * GIB + PAGE, 1, True)],
    "an empty answer": [(4 * GIB + PAGE, 4, False), (4 * GIB + PAGE, 0, True)],
    "an empty command": [(4 * GIB + PAGE, 0, False), (4 * GIB + PAGE, 1, True)],
    "all is empty": [(4 * GIB + PAGE, 0, False), (4 * GIB + PAGE, 0, True)],
    "the answer first": [(4 * GIB + PAGE, 1, True), (4 * GIB + PAGE, 4, False)],
    "many pieces": [(4 * GIB + PAGE + i, 1, False) for i in range(40)] + [(4 * GIB + PAGE + i, 1, True) for i in range(40)],
    "8 MiB": [(4 * GIB, 8 << 20, False), (4 * GIB, 8 << 20, True)],
}


@PACKED
@pytest.mark.parametrize("what", CONTROL)
def test_control_commands(guest, vhost, packed, what):
    """In one chain and in an indirect one: answered, refused, or the end of the port."""
    for indirect in (False, True):
        it = guest(packed=packed, features=PLAIN | Feature.CTRL_VQ | Feature.INDIRECT_DESC)
        it.control.add(CONTROL[what], None, indirect)
        it.control.publish()
        try:
            if it.wait([it.control], 0.2):
                it.control.take()
                it.announce()
            else:
                assert ends(it)
        except ConnectionError:
            pass
        it.die()


# headers and frames

@PACKED
@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 12, 13, 25, 26])
def test_frames_too_short(daemon, guest, packed, size):
    """From no header at all to 14 bytes of frame: used, and what is no frame is dropped and counted."""
    it = guest(packed=packed)
    before = daemon.drops().get("short", 0)
    address, _ = good(it)
    it.senders[0].add([(address, size, False)])
    it.senders[0].publish()
    it.flush()
    assert daemon.drops().get("short", 0) - before == (size < 12 + 14)


@PACKED
@pytest.mark.parametrize("size", [LARGEST - 3, LARGEST, LARGEST + 1, 100000, 1 << 20, 8 << 20])
def test_frames_too_long(guest, packed, size):
    it = guest(packed=packed)
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
def test_headers(daemon, guest, attach, vhost, offloads):
    """Whatever a header says of this frame: to nobody goes more than a frame, and the sender is served on."""
    it = guest(features=PLAIN | (OFFLOADS if offloads else 0))
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
def test_noise_as_headers_and_frames(daemon, guest, vhost, seed):
    it, other = guest(features=PLAIN | OFFLOADS, event_idx=bool(seed & 1), packed=bool(seed & 2)), vhost(2, features=PLAIN | OFFLOADS).announce()
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
def test_changes_under_way(guest, vhost, packed, what):
    """Descriptors, headers and indexes change while the device reads them."""
    it, other = guest(packed=packed, features=PLAIN | OFFLOADS | Feature.INDIRECT_DESC), vhost(2).announce()
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
                it = guest(packed=packed, features=PLAIN | OFFLOADS | Feature.INDIRECT_DESC)
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

def test_a_storm_of_kicks(daemon, guest):
    it = guest()
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
        outcome = it.front.set_vring_call(index, fd)
        assert outcome in (0, 1) or outcome is not None
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

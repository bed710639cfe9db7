# SPDX-License-Identifier: MIT
"""Guests whose rings make no sense: they lose their own port at most, and nobody else notices."""

import struct

import pytest

from tests.support.lan import wait_for
from tests.support.vhost import PLAIN, Feature
from tests.support.vhost_memory import GIB, PAGE
from tests.support.vhost_ring import AVAIL, DESCRIPTOR, INDIRECT, NEXT, USED, WRITE, Broken
from tests.support.vhost_traffic import NEVER, ONE, PACKED, TWO, ends, frame, good, take_frame

pytestmark = pytest.mark.usefixtures("harmless")
LOST = (ConnectionError, Broken)


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
def test_split_descriptors(sly, what):
    for in_order in (False, True):
        it = sly(in_order=in_order)
        split_chain(it, SPLIT[what](*good(it)))
        assert ends(it)
        it.die()


@pytest.mark.parametrize("head", [256, 257, 0x8000, 0xffff])
def test_heads_outside_of_the_ring(sly, head):
    it = sly()
    split_chain(it, [(*good(it), 0, 0)], head)
    assert ends(it)


@pytest.mark.parametrize("ahead", [257, 1000, 0x8000, 0xff00])
def test_an_index_that_jumps(sly, ahead):
    """More chains than the ring has places."""
    it = sly()
    ring = it.senders[0]
    it.memory.set16(ring.avail + 2, ring.next + ahead)
    ring.kick()
    assert ends(it)


def test_an_index_that_goes_back(sly):
    it = sly()
    ring = it.senders[0]
    it.memory.set16(ring.avail + 2, ring.next - 1)
    ring.kick()
    assert ends(it)


def test_the_same_chain_again_and_again(sly, vhost):
    """Nobody forbids the device to read the same buffers twice: the frames go out, and the ring stays within bounds."""
    it, other = sly(), vhost(2).announce()
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
def test_indirect_tables(sly, what):
    it = sly()
    address, length = good(it)
    entries = [DESCRIPTOR.pack(address if kind == "good" else NEVER, length, flags, following) for kind, flags, following in INDIRECT_TABLES[what]]
    table = it.memory.allocate(len(entries) * 16)
    it.memory.write(table, b"".join(entries))
    split_chain(it, [(table, len(entries) * 16, INDIRECT, 0)])
    assert ends(it)


def test_indirect_was_not_negotiated(sly):
    it = sly(features=PLAIN)
    address, length = good(it)
    table = it.memory.allocate(16)
    it.memory.write(table, DESCRIPTOR.pack(address, length, 0, 0))
    split_chain(it, [(table, 16, INDIRECT, 0)])
    assert ends(it)


@PACKED
@pytest.mark.parametrize("entries", [1025, 4096, 65536])
def test_a_table_of_thousands(sly, packed, entries):
    """Single bytes by the thousand: sent, dropped or the end of the port, but in bounded time."""
    it = sly(packed=packed)
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
def test_packed_descriptors(sly, what):
    for in_order in (False, True):
        it = sly(packed=True, in_order=in_order)
        packed_chain(it, PACKED_CHAINS[what](*good(it)))
        if what == "a chain without an end":
            packed_chain(it, [(*good(it), NEXT)] * 256)
        assert ends(it)
        it.die()


def test_packed_ids_of_every_number(sly, vhost):
    """A buffer's id is the driver's own word, given back as it was."""
    it, other = sly(packed=True), vhost(2).announce()
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
def test_control_commands(sly, vhost, packed, what):
    """In one chain and in an indirect one: answered, refused, or the end of the port."""
    for indirect in (False, True):
        it = sly(packed=packed, features=PLAIN | Feature.CTRL_VQ | Feature.INDIRECT_DESC)
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

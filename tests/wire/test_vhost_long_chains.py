# SPDX-License-Identifier: MIT
"""Chains that are long to follow, and may hold nothing: those of an honest driver pass, and no guest keeps the thread that serves all to itself."""

import os
import time

import pytest

from tests.support.lan import wait_for
from tests.support.vhost import PLAIN, Feature
from tests.support.vhost_memory import GIB, Memory, Region
from tests.support.vhost_ring import DESCRIPTOR, INDIRECT, NEXT, WRITE
from tests.support.vhost_traffic import ONE, PACKED, TWO, ends, frame, introduce, numbered, pass_all

pytestmark = pytest.mark.usefixtures("harmless")
LONGEST = 1024  # descriptors of a chain that are followed, the empty ones too
INDIRECTLY = pytest.mark.parametrize("indirect", [False, True], ids=["direct", "indirect"])


def nothing(guest, count, writable=False):
    """So many buffers without a byte."""
    return [(guest.memory.allocate(16), 0, writable)] * count


@PACKED
@INDIRECTLY
def test_chains_of_nothing(daemon, sly, packed, indirect):
    """As long as a chain may be, they are used, hold no frame, and the guest is served on."""
    it = sly(packed=packed, size=2 * LONGEST)
    before = daemon.drops().get("short", 0)
    for _ in range(4):
        it.senders[0].add(nothing(it, LONGEST), None, indirect)
        it.senders[0].publish()
        it.flush()
    assert daemon.drops()["short"] == before + 4
    it.announce()


@PACKED
@INDIRECTLY
@pytest.mark.parametrize("last", [0, 1, 100])
def test_a_chain_with_one_too_many(sly, packed, indirect, last):
    it = sly(packed=packed, size=2 * LONGEST)
    it.senders[0].add([*nothing(it, LONGEST), (it.memory.allocate(100), last, False)], None, indirect)
    it.senders[0].publish()
    assert ends(it)


@PACKED
@INDIRECTLY
def test_the_longest_chains_pass(vhost, packed, indirect):
    """Frames in as many pieces as there may be, every other one empty; and into such buffers."""
    options = {"packed": packed, "size": 2 * LONGEST, "indirect": indirect}
    it, other = vhost(1, tx=(1, 0) * (LONGEST // 2 - 1) + (0,), rx=(12, 0) * (LONGEST // 2 - 1) + (0, 2048), **options), vhost(2)
    introduce(it, other)
    pass_all(it, other, numbered([700, 1514] * 20), burst=4)
    pass_all(other, it, numbered([60, 1514] * 20, TWO, ONE), burst=1)


@PACKED
def test_turns_are_short(sly, packed):
    """A turn ends with one call, and takes one of the longest chains, though up to 64 short ones."""
    it = sly(packed=packed, size=LONGEST)
    ring, chains, used = it.senders[0], 60, []
    it.flush()
    ring.called()
    ring.arm()
    for _ in range(chains):
        ring.add(nothing(it, LONGEST), None, indirect=True)
    ring.publish()
    wait_for(lambda: used.extend(ring.take()) or len(used) == chains, 3, "all chains to be used")
    assert os.eventfd_read(ring.call_fd) > chains // 2


@PACKED
def test_buffers_of_nothing(daemon, vhost, packed):
    """A frame is not looked a place for in chain after chain: so much of the ring is followed, and the frame is dropped."""
    it, other = vhost(1, packed=packed, size=LONGEST, rx=(0,) * (LONGEST // 4), indirect=True), vhost(2)
    it.transmit(frame(1, 60, ONE, TWO))
    introduce(other)
    before = daemon.drops().get("oversize", 0)
    other.transmit(*[frame(number, 60, TWO, ONE) for number in range(10)])
    other.flush()
    assert daemon.drops()["oversize"] == before + 10


@pytest.mark.parametrize("queue", ["transmit", "receive"])
def test_a_table_as_large_as_memory(vhost, queue):
    """A table of 268 million descriptors, of which the first 65536 lead round in a circle: the neighbours do not wait for its end."""
    memory = Memory([Region(0, 4 << 20), Region(4 * GIB, 4 * GIB)])
    it, other = vhost(1, features=PLAIN | Feature.INDIRECT_DESC, memory=memory, start=False), vhost(2)
    it.negotiate()
    it.share()
    it.set_up()
    it.enable()
    it.transmit(frame(1, 60, ONE, TWO))
    it.flush()
    introduce(other)
    ring, flags = (it.senders[0], NEXT) if queue == "transmit" else (it.receivers[0], NEXT | WRITE)
    table = memory.allocate(1 << 20)
    memory.write(table, b"".join(DESCRIPTOR.pack(table, 0, flags, following & 0xffff) for following in range(1, (1 << 16) + 1)))
    ring.write_descriptor(0, table, 8 * GIB - table - 16, INDIRECT, 0)
    ring.offer(0)
    began = time.monotonic()
    ring.hand_over()
    ring.kick()
    other.transmit(frame(1, 60, TWO, ONE))
    other.announce()
    assert time.monotonic() - began < 0.5
    assert ends(it)

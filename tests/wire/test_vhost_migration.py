# SPDX-License-Identifier: MIT
"""What a guest takes with it: the log of changed pages, and chains in flight."""

import mmap
import os
import random
import struct

import pytest
from scapy.layers.inet import IP, TCP

from tests.support.lan import wait_for
from tests.support.vhost import OFFLOADS, PLAIN, Feature, Request
from tests.support.vhost_memory import GIB, PAGE, Log, Memory, Region, pages
from tests.support.vhost_traffic import (CLOSED, ONE, PACKED, REFUSED, RINGS, TWO, frame, introduce, numbered, open_segment, outcome, pass_all, sizes,
                                         take_frame)
from tests.support.wire import connect

pytestmark = pytest.mark.usefixtures("harmless")


# migration

@PACKED
def test_the_log_has_the_pages_that_were_written(vhost, packed):
    """While LOG_ALL is on, each page that a frame or the used ring changed is marked, and no page of other buffers."""
    one, other = vhost(1), vhost(2, packed=packed, rx=(5000,))
    introduce(one, other)
    log = Log(other.memory, offset=PAGE)
    other.front.set_log_base(log.size, PAGE, log.fd)
    assert log.map[:PAGE] == bytes(PAGE) and log.pages() == set()
    other.log(True)
    for number, size in enumerate((60, 1514, 1000)):
        log.clear()
        one.transmit(frame(number, size))
        assert take_frame(other)[1] == frame(number, size)
        marked = log.pages()
        assert other.last_written <= marked and marked & other.ring_pages()
        assert marked <= other.last_written | other.ring_pages()
    log.clear()
    other.transmit(frame(9, 60, TWO, ONE))
    other.flush()
    marked = log.pages()
    assert marked and marked <= other.ring_pages()
    other.log(False)
    log.clear()
    pass_all(one, other, numbered(sizes(20)))
    assert log.pages() == set() and log.map[:PAGE] == bytes(PAGE)
    log.close()


class Migration:
    """A migration of a device's guest: its log, and a copy of its memory as the target has it."""

    def __init__(self, device):
        self.device, self.log = device, Log(device.memory)
        device.front.set_log_base(self.log.size, 0, self.log.fd)
        device.log(True)

    def copy(self):
        """A round: the log is cleared, then the memory is copied, at whatever moment. Until the next one the driver puts no buffers in, which would
        hide what the device wrote in a packed ring."""
        self.device.fill()
        self.log.clear()
        self.device.memory.snapshot()
        self.device.written.clear()

    def check(self):
        """What has changed since the copy is marked, and no page that no chain or ring was written in. Return: the pages that have changed."""
        device = self.device
        changed = device.memory.changed()
        device.front.sync()  # between a change and its mark is no time for an answer
        marked = self.log.pages()
        device.collect()
        assert changed <= marked, f"changed and not marked: {[hex(page * PAGE) for page in sorted(changed - marked)]}"
        assert marked <= device.written | device.ring_pages()
        return changed

    def close(self):
        self.device.log(False)
        self.log.close()


MIGRANTS = {name: RINGS[name] for name in ("split", "split, events by index", "packed", "packed, events by index")}
MIGRANTS["whole"] = {"features": Feature.VERSION_1, "event_idx": True}


@pytest.fixture(params=MIGRANTS)
def migration(request, vhost):
    """Guest 2 while it is migrated. Its memory is small enough to be compared again and again, its rings so large that events lie in another
    page than indexes."""
    options = {"features": PLAIN, **MIGRANTS[request.param]}
    options["features"] |= OFFLOADS | Feature.CTRL_VQ
    memory = Memory([Region(0, 1 << 20, offset=2 * PAGE), Region(4 * GIB, 24 << 20)])
    it = Migration(vhost(2, size=512, memory=memory, refill=False, **options).announce())
    yield it
    it.close()


def wait_until_it_listens(ring):
    """With events by index the device says at last, when it rests, where it wants to be kicked. Return: the pages of that."""
    place, size = (ring.device, 4) if ring.packed else (ring.avail_event, 2)
    wait_for(lambda: ring.memory.get16(place) & 0x7fff == ring.next & 0x7fff, 2, "the device to listen")
    return pages(place, size)


def test_all_that_changes_is_logged(vhost, migration):
    """Frames of another guest, short and long; the used ring and the event of what the guest sends; an answer of the control queue."""
    one, other = vhost(1, features=PLAIN | OFFLOADS), migration.device
    introduce(one, other)
    long = one.ether(TWO) / IP(src=one.ip, dst=other.ip) / TCP(sport=1, dport=2, flags="PA") / random.Random(3).randbytes(30000)
    for sent, offload in [(frame(number, size), None) for number, size in enumerate((60, 1514, 300))] + [open_segment(long, 1448)]:
        migration.copy()
        one.transmit(sent, header=offload)
        assert other.receive()[1] == sent
        changed = migration.check()
        assert other.last_written <= changed and len(changed & other.written) > len(sent) // PAGE and changed & other.ring_pages()
    for count in (1, 30):
        migration.copy()
        other.transmit(*[frame(number, 100, TWO, ONE) for number in range(count)])
        other.flush()
        event = wait_until_it_listens(other.senders[0]) if other.features & Feature.EVENT_IDX else set()
        changed = migration.check()
        assert changed and event <= changed
    migration.copy()
    assert other.command(struct.pack("<BBH", 4, 0, 1)) == b"\0"
    assert other.written and other.written <= migration.check()


def test_all_that_a_socket_gives_is_logged(migration, server4):
    """Bytes that the kernel writes into the guest's buffers, and the headers before them; copied in the middle of it, too."""
    guest = migration.device
    connection, peer = connect(guest, server4, options=[("MSS", 1460), ("WScale", 7)])
    for number in range(12):
        content, from_the_start = random.Random(number).randbytes(40000), number % 2
        if from_the_start:
            migration.copy()
        peer.sendall(content)
        if not from_the_start:
            migration.copy()
        assert connection.take(len(content)) == content
        changed = migration.check()
        if from_the_start:
            assert changed & guest.ring_pages() and len(changed & guest.written) >= len(content) // PAGE
    connection.send("R")


def test_rings_are_logged_at_the_address_that_was_told(vhost):
    """SET_VRING_ADDR says where the used ring's changes are marked, which need not be where it is."""
    one, other = vhost(1), vhost(2)
    introduce(one, other)
    log = Log(other.memory)
    other.front.set_log_base(log.size, 0, log.fd)
    elsewhere = 3 * GIB
    other.must(other.front.set_features(other.features | Feature.LOG_ALL))
    for ring in other.rings:
        ring.log_address = elsewhere + ring.index * (1 << 20)
        other.tell_addresses(ring, log=True)
    one.transmit(frame(1))
    assert take_frame(other)[1] == frame(1)
    ring = other.receivers[0]
    assert log.pages() & pages(elsewhere, 6 + 8 * ring.size)
    assert log.pages() <= pages(elsewhere, 6 + 8 * ring.size) | other.last_written
    log.close()


@pytest.mark.parametrize("size, offset", [(0, 0), (1, 0), (100, 0), (1 << 40, 0), (8, 1 << 40), (0xffffffffffffffff, 1), (64, 0xfffffffffffffff0)])
def test_logs_that_cannot_be_or_are_too_small(vhost, size, offset):
    """A log that does not cover the memory marks what it covers, and nothing behind its end is written."""
    one, other = vhost(1), vhost(2)
    introduce(one, other)
    log = Log(other.memory)
    try:
        other.front.set_log_base(size, offset, log.fd)
        other.log(True)
        pass_all(one, other, numbered(sizes(20)))
    except ConnectionError:
        pass
    else:
        assert log.map[min(size, log.size):] == bytes(max(log.size - size, 0))
    log.close()


def test_log_without_a_log(vhost):
    one, other = vhost(1), vhost(2)
    introduce(one, other)
    other.log(True)
    pass_all(one, other, numbered(sizes(20)))
    event = os.eventfd(0)
    assert other.front.set_log_fd(event) == 0
    os.close(event)


# inflight

def get_inflight(device, queues=2, size=None):
    (length, offset, _, _), fds = device.front.get_inflight_fd(queues, size or device.size)
    assert len(fds) == 1 and length > 0
    assert os.fstat(fds[0]).st_size >= offset + length
    return length, offset, fds[0]


@PACKED
def test_inflight_memory(vhost, packed):
    """Got, given back, and written while frames pass."""
    one, other = vhost(1, packed=packed), vhost(2, packed=packed, start=False)
    other.negotiate()
    other.share()
    length, offset, fd = get_inflight(other)
    assert length >= 2 * other.size * 16
    other.must(other.front.set_inflight_fd(length, offset, 2, other.size, fd))
    other.set_up()
    other.enable()
    other.fill()
    introduce(one, other)
    pass_all(one, other, numbered(sizes(300)))
    area = mmap.mmap(fd, offset + length)
    _, version, count = struct.unpack_from("=QHH", area, offset)
    assert (version, count) == (1, other.size)
    area.close()
    os.close(fd)


def with_inflight(device):
    """Start a device of split rings, its receiving rings still empty. Return: a function
    that says which chains of the first ring are in flight, by their heads, and the descriptor of the memory that has it."""
    device.negotiate()
    device.share()
    length, offset, fd = get_inflight(device)
    device.must(device.front.set_inflight_fd(length, offset, 2, device.size, fd))
    device.set_up()
    device.enable()

    def heads():
        device.front.sync()
        area = os.pread(fd, length // 2, offset)
        assert struct.unpack_from("=QHH", area) == (0, 1, device.size)
        return [head for head in range(device.size) if area[16 + 16 * head]]

    return heads, fd


def test_chains_that_were_not_needed_are_not_in_flight(vhost, server4):
    """For what a socket may have, more chains are taken than what it has then needs; the others are given back."""
    guest = vhost(1, start=False, features=PLAIN | OFFLOADS)
    heads, fd = with_inflight(guest)
    guest.fill()
    connection, peer = connect(guest, server4)
    for size in (100, 5000, 1, 30000):
        peer.sendall(bytes(size))
        connection.take(size)
        assert heads() == []
    connection.send("R")
    os.close(fd)


def test_chains_that_were_too_few_are_not_in_flight(vhost):
    """Not all of a frame had room: none of the chains is in flight, and the next frame has them."""
    one, other = vhost(1), vhost(2, start=False, rx=(256,), refill=False)
    heads, fd = with_inflight(other)
    ring = other.receivers[0]
    for _ in range(3):
        other.offer_buffer(ring)
    ring.publish()
    one.transmit(frame(1, 1000))
    one.flush()
    assert heads() == [] and not ring.pending()
    one.transmit(frame(2, 700))
    assert take_frame(other)[1] == frame(2, 700)
    assert heads() == []
    os.close(fd)


def test_inflight_chains_are_taken_up_again(vhost):
    """What a back end that died had taken and not used is done by the next one, in its order; nothing else is done twice."""
    one, other = vhost(1, start=False), vhost(2)
    one.negotiate()
    one.share()
    length, offset, fd = get_inflight(one)
    one.set_up(tell=False)
    other.announce()
    ring = one.senders[0]
    area = mmap.mmap(fd, offset + length)
    one.transmit(*[frame(number) for number in range(6)])  # made available: heads 0 to 5
    # The back end before had used 0 to 2 and had taken 3 and 4 beyond them.
    for head in range(3):
        one.memory.pack("<II", ring.used + 4 + 8 * head, head, 0)
    one.memory.set16(ring.used + 2, 3)
    start = offset + length // 2  # the second queue's region
    struct.pack_into("=QHHHH", area, offset, 0, 1, one.size, 0, 0)
    struct.pack_into("=QHHHH", area, start, 0, 1, one.size, 0, 3)
    for counter, head in enumerate((3, 4)):
        struct.pack_into("=B5xHQ", area, start + 16 + 16 * head, 1, 0, counter)
    one.must(one.front.set_inflight_fd(length, offset, 2, one.size, fd))
    one.enable()
    one.tell_ring(one.rings[0])
    ring.first = 5
    one.must(one.front.set_vring_num(1, ring.size))
    one.must(one.front.set_vring_base(1, 5))
    one.tell_addresses(ring)
    one.must(one.front.set_vring_call(1, ring.call_end))
    one.must(one.front.set_vring_kick(1, ring.kick_fd))
    ring.kick()
    assert [take_frame(other)[1] for _ in range(3)] == [frame(3), frame(4), frame(5)]
    assert take_frame(other, 0.1)[1] is None
    one.flush()
    assert one.memory.get16(ring.used + 2) == 6
    area.close()
    os.close(fd)


@pytest.mark.parametrize("queues, size", [(0, 256), (2, 0), (65535, 65535), (1000, 256), (2, 65535)])
def test_inflight_memory_that_cannot_be(front, queues, size):
    it = front()
    try:
        _, fds = it.ask(Request.GET_INFLIGHT_FD, struct.pack("=QQHH", 0, 0, queues, size))
        for fd in fds:
            os.close(fd)
        it.sync()
    except ConnectionError:
        pass


@pytest.mark.parametrize("size, offset, queues, queue_size", [
    (0, 0, 2, 256), (100, 0, 2, 256), (1 << 40, 0, 2, 256), (8192, 1 << 40, 2, 256), (8192, 0xfffffffffffff000, 2, 256), (1 << 63, 1 << 63, 2, 256),
    (4096, 0, 65535, 65535), (4096, 0, 0, 256), (4096, 0, 2, 0), (4096, 0, 2, 256)])
def test_inflight_memory_of_wrong_sizes(front, size, offset, queues, queue_size):
    """Memory too small for what it shall hold is refused, or never written behind its end."""
    it = front()
    memory = os.memfd_create("inflight")
    os.ftruncate(memory, 8192)
    assert outcome(it.set_inflight_fd, size, offset, queues, queue_size, memory) in (REFUSED, CLOSED)
    assert os.pread(memory, 8192, 0) == bytes(8192)
    os.close(memory)

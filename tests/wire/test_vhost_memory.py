# SPDX-License-Identifier: MIT
"""A guest's memory as its front end tells of it: tables, slots, what cannot be, and what changes under traffic."""

import pytest

from tests.support.lan import wait_for
from tests.support.vhost import Memory, Request
from tests.support.vhost_memory import GIB, PAGE, Region
from tests.support.vhost_message import REGION, STATE
from tests.support.vhost_traffic import CLOSED, ONE, PACKED, REFUSED, TWO, ends, frame, introduce, numbered, outcome, pass_all, sizes, take_frame

pytestmark = pytest.mark.usefixtures("harmless")


@pytest.fixture
def extra():
    """Memory that a guest does not have at first."""
    made = Region(32 * GIB, 1 << 20)
    yield made
    made.close()


@pytest.fixture
def met(vhost, packed):
    """Two guests that know each other; the rings of the first one are as the test says."""
    one, other = vhost(1, packed=packed), vhost(2)
    introduce(one, other)
    return one, other


# memory

@pytest.mark.parametrize("count, fds", [(0, 1), (1, 0), (1, 2), (2, 1), (8, 7), (9, 8), (1000, 2), (0xffffffff, 2)])
def test_counts_of_regions_that_are_wrong(front, count, fds):
    it = front(share=False)
    region = it.device.memory.regions[0]
    payload = STATE.pack(count, 0) + b"".join(REGION.pack(n << 30, 1 << 20, n << 30, 0) for n in range(min(count, 8)))
    assert outcome(it.tell, Request.SET_MEM_TABLE, payload, fds=[region.fd] * fds) in (REFUSED, CLOSED)


@pytest.mark.parametrize("guest, size, user, offset", [
    (0, 0, 0, 0), (0, 1 << 63, 0, 0), (1 << 63, 1 << 63, 0, 0), (0xfffffffffffff000, 1 << 20, 0, 0), (0, 1 << 20, 0xfffffffffffff000, 0),
    (0, 1 << 20, 0, 0xfffffffffffff000), (0, 1 << 20, 0, 1 << 40), (0, (4 << 20) + PAGE + 1, 0, PAGE), (0, 0xffffffffffffffff, 0, 0),
    (0, PAGE, 0, (1 << 63) - 1),
])
def test_regions_that_cannot_be(front, guest, size, user, offset):
    it = front(share=False)
    payload = STATE.pack(1, 0) + REGION.pack(guest, size, user, offset)
    assert outcome(it.tell, Request.SET_MEM_TABLE, payload, fds=[it.device.memory.regions[0].fd]) in (REFUSED, CLOSED)


def test_regions_that_overlap(front):
    it = front(share=False)
    region = it.device.memory.regions[1]
    payload = STATE.pack(2, 0) + REGION.pack(0, 2 << 20, 1 << 40, 0) + REGION.pack(1 << 20, 2 << 20, 1 << 41, 4 << 20)
    assert outcome(it.tell, Request.SET_MEM_TABLE, payload, fds=[region.fd] * 2) in (REFUSED, CLOSED)


def test_a_table_with_room_for_more(vhost):
    """User-mode Linux sizes the payload for two regions, with one."""
    region = Region(0, 64 << 20, offset=PAGE)
    guest = vhost(1, start=False, memory=Memory([region]))
    guest.negotiate()
    assert guest.front.set_mem_table([region], room=2) == 0
    guest.set_up()
    guest.enable()
    guest.fill()
    guest.announce()


def test_eight_regions(vhost):
    """Buffers in every one of them."""
    memory = Memory([Region(n << 32, 8 << 20, offset=n * PAGE) for n in range(8)])
    one, other = vhost(1, memory=memory), vhost(2)
    introduce(one, other)
    ring = one.senders[0]
    for number, region in enumerate(memory.regions):
        data = bytes(12) + frame(number, 200)
        address = memory.allocate(len(data), region=region)
        memory.write(address, data)
        ring.add([(address, len(data), False)])
        ring.publish()
        assert take_frame(other)[1] == frame(number, 200)


def test_a_buffer_across_two_regions(vhost):
    """Neighbours in the guest's addresses, from different files: a guest does not see the seam."""
    memory = Memory([Region(0, 4 << 20), Region(4 << 20, 64 << 20, user=0x7e0000000000)])
    one, other = vhost(1, memory=memory), vhost(2)
    introduce(one, other)
    ring, seam = one.senders[0], 4 << 20
    for number, before in enumerate((1, 11, 12, 13, 100, 1000)):
        data = bytes(12) + frame(number, 1200)
        memory.write(seam - before, data[:before])
        memory.write(seam, data[before:])
        ring.add([(seam - before, len(data), False)])
        ring.publish()
        assert take_frame(other)[1] == frame(number, 1200)


def test_user_addresses_are_not_guest_addresses(vhost):
    """Two regions, each with the other's guest address as its user address."""
    memory = Memory([Region(0, 8 << 20, user=1 << 32), Region(1 << 32, 64 << 20, user=0)])
    one, other = vhost(1, memory=memory), vhost(2)
    introduce(one, other)
    pass_all(one, other, numbered(sizes(30)))
    pass_all(other, one, numbered(sizes(30), TWO, ONE))


@PACKED
def test_memory_slots(vhost, packed):
    """Memory by ADD_MEM_REG alone; more of it comes and goes while frames pass."""
    one, other = vhost(1, packed=packed, start=False), vhost(2)
    one.negotiate()
    for region in one.memory.regions:
        assert one.front.add_mem_reg(region) == 0
    one.set_up()
    one.enable()
    one.fill()
    introduce(one, other)
    for turn in range(5):
        pass_all(one, other, numbered(sizes(20)))
        extra = Region((8 + turn) * GIB, 1 << 20, offset=turn * PAGE)
        assert one.front.add_mem_reg(extra) == 0
        data = bytes(12) + frame(turn, 300)
        extra.bytes[500:500 + len(data)] = data
        one.senders[0].add([(extra.guest + 500, len(data), False)])
        one.senders[0].publish()
        assert take_frame(other)[1] == frame(turn, 300)
        one.flush()
        assert one.front.rem_mem_reg(extra, **({"fds": [extra.fd]} if turn % 2 else {})) == 0
        extra.close()


def test_memory_slots_that_cannot_be(front):
    it = front()
    there = it.device.memory.regions[0]
    assert outcome(it.add_mem_reg, Region(there.guest + PAGE, PAGE)) == REFUSED
    smaller = Region(there.guest, PAGE, user=there.user)
    assert outcome(it.rem_mem_reg, smaller) == REFUSED


@PACKED
def test_memory_slots_again(met, extra):
    """QEMU until 7.2 adds and removes a region for each pair of queues, whose rings run by then."""
    one, other = met
    for _ in range(2):
        for region in (*one.memory.regions, extra):
            assert one.front.add_mem_reg(region) == 0
        pass_all(one, other, numbered(sizes(20)))
        pass_all(other, one, numbered(sizes(20), TWO, ONE))
    for _ in range(2):
        assert one.front.rem_mem_reg(extra) == 0
        pass_all(one, other, numbered(sizes(20)))


def test_more_memory_slots_than_there_are(front):
    it = front(share=False)
    slots, region = it.get_max_mem_slots(), Region(0, PAGE)
    for number in range(slots):
        assert it.tell(Request.ADD_MEM_REG, bytes(8) + REGION.pack(number * PAGE, PAGE, GIB + number * PAGE, 0), fds=[region.fd]) == 0
    assert outcome(it.tell, Request.ADD_MEM_REG, bytes(8) + REGION.pack(slots * PAGE, PAGE, 1 << 40, 0), fds=[region.fd]) == REFUSED
    region.close()


@PACKED
def test_another_table_under_traffic(met, extra):
    """The table is sent again while rings run, with a region more or less, and at other addresses of the front end."""
    one, other = met
    for turn in range(6):
        one.transmit(*[frame(number) for number in range(20)])
        one.must(one.front.set_mem_table(one.memory.regions + ([extra] if turn % 2 else [])))
        assert [take_frame(other)[1] for _ in range(20)] == [frame(number) for number in range(20)]
        pass_all(other, one, numbered(sizes(20), TWO, ONE))


@PACKED
def test_slots_come_and_go_under_traffic(met, extra):
    """While frames from other regions are in flight, both ways, a region is added and removed."""
    one, other = met
    for turn in range(12):
        frames, back = ([frame(turn * 20 + number, 1000, *way) for number in range(20)] for way in ((ONE, TWO), (TWO, ONE)))
        other.transmit(*back)
        one.transmit(*frames)
        one.must((one.front.rem_mem_reg if turn % 2 else one.front.add_mem_reg)(extra))
        assert [take_frame(other)[1] for _ in range(20)] == frames
        assert [take_frame(one)[1] for _ in range(20)] == back


@PACKED
@pytest.mark.parametrize("late", [False, True], ids=["sent before", "sent after"])
def test_frames_in_a_removed_slot(met, extra, late):
    """What was sent before its region is removed arrives as it is, or not at all; what is sent after it cannot. A guest of such frames is no guest."""
    one, other = met
    ring = one.senders[0]
    one.must(one.front.add_mem_reg(extra))
    for number in range(20):
        data = bytes(12) + frame(number, 1000)
        extra.bytes[2048 * number:2048 * number + len(data)] = data
        ring.add([(extra.guest + 2048 * number, len(data), False)])
    came = 0
    try:
        if not late:
            ring.publish()
        one.must(one.front.rem_mem_reg(extra))
        ring.publish()
    except ConnectionError:
        pass
    while (data := take_frame(other, 0.3)[1]) is not None:
        assert data == frame(came, 1000)
        came += 1
    assert came == 20 and not late or came < 20 and ends(one), f"{came} frames came"


@PACKED
def test_buffers_for_receiving_in_a_removed_slot(vhost, extra, packed):
    """Nothing is written there any more, and a guest that leaves its buffers there is no guest."""
    one, other = vhost(1, packed=packed, refill=False, start=False), vhost(2)
    one.negotiate()
    one.share()
    one.must(one.front.add_mem_reg(extra))
    one.set_up()
    one.enable()
    ring = one.receivers[0]
    for number in range(20):
        ring.add([(extra.guest + 2048 * number, 2048, True)])
    ring.publish()
    one.transmit(frame(1))
    other.transmit(frame(0, 60, TWO, ONE))
    wait_for(ring.pending, 2, "a frame in the region")
    other.transmit(*[frame(number, 60, TWO, ONE) for number in range(5)])
    one.must(one.front.rem_mem_reg(extra))
    before = bytes(extra.bytes)
    other.transmit(*[frame(number, 60, TWO, ONE) for number in range(5, 10)])
    other.flush()
    assert ends(one)
    assert bytes(extra.bytes) == before


def test_the_memory_of_rings_goes_away(vhost):
    """A table without the rings' region: they stop; with it they go on, or have to be told of again."""
    one, other = vhost(1), vhost(2)
    introduce(one, other)
    one.front.set_mem_table(one.memory.regions[1:])
    one.transmit(*[frame(number) for number in range(5)])
    assert take_frame(other, 0.2)[1] is None
    one.must(one.front.set_mem_table(one.memory.regions))
    one.stop()
    one.restart(early=True)
    assert [take_frame(other)[1] for _ in range(5)] == [frame(number) for number in range(5)]

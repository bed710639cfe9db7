# SPDX-License-Identifier: MIT
"""Every message of a vhost-user front end: rightly, and with wrong sizes, descriptors, numbers and order. Whatever comes, others are served on."""

import fcntl
import mmap
import os
import socket
import struct
import time

import pytest

from tests.support.lan import wait_for
from tests.support.vhost import (ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, OFFLOADS, PLAIN, PROTOCOL, UDP_OFFLOADS, Device, Feature, FrontEnd, Memory,
                                 Protocol, Request)
from tests.support.vhost_memory import GIB, PAGE, Log, Region, pages
from tests.support.vhost_message import HEAD, NEED_REPLY, REGION, STATE, VERSION
from tests.support.vhost_traffic import ONE, TWO, descriptors, frame, numbered, pass_all, processor_seconds, sizes, take_frame

pytestmark = pytest.mark.usefixtures("harmless")
PACKED = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
OFFERED = (PLAIN | OFFLOADS | Feature.INDIRECT_DESC | Feature.EVENT_IDX | Feature.MTU | Feature.MQ | Feature.IN_ORDER | Feature.RING_PACKED |
           Feature.PROTOCOL_FEATURES | Feature.LOG_ALL | Feature.CTRL_VQ | UDP_OFFLOADS)
ACCEPTED, REFUSED, CLOSED = "accepted", "refused", "closed"


@pytest.fixture
def front(daemon, vhost):
    """front(): a connection on which features were negotiated and memory shared, with acknowledgements. Its device is front.device."""
    def maker(share=True, **options):
        device = vhost(1, start=False, **options)
        device.negotiate()
        if share:
            device.share()
        device.front.device = device
        return device.front

    return maker


def outcome(act, *arguments, **options):
    """What the back end does about a message."""
    try:
        answer = act(*arguments, **options)
    except (ConnectionError, BrokenPipeError):
        return CLOSED
    return REFUSED if answer else ACCEPTED


def introduce(*guests):
    for guest in guests:
        guest.announce()
    for guest in guests:
        guest.drain()


# what is offered

def test_offers(vhost):
    device = vhost(1, start=False)
    offered = Feature(device.front.get_features())
    assert offered & OFFERED == OFFERED
    assert not offered & (Feature.ACCESS_PLATFORM | Feature.GUEST_ANNOUNCE)
    protocol = Protocol(device.front.get_protocol_features())
    assert protocol & PROTOCOL == PROTOCOL
    assert not protocol & Protocol.INBAND_NOTIFICATIONS
    assert device.front.get_queue_num() >= 2
    assert device.front.get_max_mem_slots() >= 32


def test_features_twice(front):
    """As User-mode Linux does: the second time without bit 30."""
    it = front()
    assert it.set_features(PLAIN | Feature.PROTOCOL_FEATURES) == 0
    assert it.set_features(PLAIN) == 0


@pytest.mark.parametrize("bit", [9, 18, 21, 33, 36, 40, 63])
def test_features_that_were_not_offered(front, bit):
    assert outcome(front().set_features, PLAIN | 1 << bit) in (REFUSED, CLOSED)


@pytest.mark.parametrize("bit", [6, 7, 8, 11, 14, 20, 63])
def test_protocol_features_that_were_not_offered(front, bit):
    it = front()
    assert outcome(it.tell, Request.SET_PROTOCOL_FEATURES, struct.pack("=Q", int(PROTOCOL) | 1 << bit)) in (REFUSED, CLOSED)


def test_no_acknowledgement_is_sent_where_none_was_negotiated(vhost):
    it = vhost(1, start=False).front
    it.message(Request.SET_OWNER, flags=VERSION | NEED_REPLY)
    it.message(Request.SET_FEATURES, struct.pack("=Q", PLAIN), flags=VERSION | NEED_REPLY)
    it.sync()


def test_acknowledgements_only_where_asked(front):
    it = front()
    assert it.set_features(PLAIN, flags=VERSION) is None
    it.sync()


# the form of messages

def test_a_message_in_single_bytes(front):
    it = front()
    for byte in HEAD.pack(Request.GET_QUEUE_NUM, VERSION, 0):
        it.raw(bytes([byte]))
        time.sleep(0.002)
    assert struct.unpack("=Q", it.reply(Request.GET_QUEUE_NUM)[0])[0] >= 2
    whole = HEAD.pack(Request.SET_FEATURES, VERSION | NEED_REPLY, 8) + struct.pack("=Q", PLAIN)
    for byte in whole:
        it.raw(bytes([byte]))
        time.sleep(0.002)
    assert it.reply(Request.SET_FEATURES)[0] == bytes(8)


def test_many_messages_at_once(front):
    it = front()
    it.raw(b"".join(HEAD.pack(request, VERSION, 0) for request in (Request.GET_FEATURES, Request.GET_QUEUE_NUM, Request.GET_PROTOCOL_FEATURES) * 20))
    for _ in range(20):
        for request in (Request.GET_FEATURES, Request.GET_QUEUE_NUM, Request.GET_PROTOCOL_FEATURES):
            assert len(it.reply(request)[0]) == 8


@pytest.mark.parametrize("flags", [0, 2, 3, VERSION | 4, VERSION | NEED_REPLY | 4])
def test_wrong_flags(front, flags):
    """Another version, or a reply where there is no question: the stream is not to be trusted."""
    it = front()
    it.message(Request.GET_FEATURES, flags=flags)
    assert it.closed()


@pytest.mark.parametrize("size", [281, 4096, 1 << 16, 1 << 31, 0xffffffff])
def test_a_payload_longer_than_any(front, size):
    it = front()
    it.message(Request.SET_FEATURES, bytes(280), size=size)
    assert it.closed()


@pytest.mark.parametrize("request_number", [0, 26, 27, 28, 29, 30, 33, 41, 42, 1000, 0x7fffffff, 0xffffffff])
def test_unknown_requests(front, request_number):
    """Refused, the connection goes on; or closed. Never acknowledged as done."""
    it = front()
    it.message(request_number, bytes(8), flags=VERSION | NEED_REPLY)
    try:
        came, flags, size = HEAD.unpack(it.exactly(HEAD.size, [], 2))
        assert came == request_number and struct.unpack("=Q", it.exactly(size, [], 2))[0] != 0
        it.sync()
    except ConnectionError:
        pass


SIZED = {  # requests with a payload, and its right size
    Request.SET_FEATURES: 8, Request.SET_PROTOCOL_FEATURES: 8, Request.SET_VRING_NUM: 8, Request.SET_VRING_ADDR: 40, Request.SET_VRING_BASE: 8,
    Request.SET_VRING_KICK: 8, Request.SET_VRING_CALL: 8, Request.SET_VRING_ERR: 8, Request.SET_VRING_ENABLE: 8, Request.SEND_RARP: 8,
    Request.NET_SET_MTU: 8, Request.SET_CONFIG: 12, Request.SET_INFLIGHT_FD: 20, Request.ADD_MEM_REG: 40, Request.REM_MEM_REG: 40, Request.SET_STATUS: 8,
    Request.SET_MEM_TABLE: 8,
}
ANSWERED = {Request.GET_VRING_BASE: 8, Request.GET_CONFIG: 12, Request.GET_INFLIGHT_FD: 20, Request.SET_LOG_BASE: 16}
BARE = [Request.GET_FEATURES, Request.GET_PROTOCOL_FEATURES, Request.GET_QUEUE_NUM, Request.GET_MAX_MEM_SLOTS, Request.GET_STATUS]


@pytest.mark.parametrize("request_number", SIZED, ids=lambda r: r.name)
def test_payloads_that_are_too_short(front, request_number):
    for size in range(0, SIZED[request_number]):
        it = front()
        assert outcome(it.tell, request_number, bytes(size)) in (REFUSED, CLOSED), size
        it.device.die()


@pytest.mark.parametrize("request_number", ANSWERED, ids=lambda r: r.name)
def test_questions_that_are_too_short(front, request_number):
    """There is an answer, or the connection ends; never silence."""
    for size in range(0, ANSWERED[request_number]):
        it = front()
        try:
            it.ask(request_number, bytes(size), flags=VERSION | NEED_REPLY)
        except ConnectionError:
            pass
        it.device.die()


@pytest.mark.parametrize("request_number", list(SIZED) + list(ANSWERED) + BARE, ids=lambda r: r.name)
def test_payloads_that_are_too_long(front, request_number):
    """Bytes behind what belongs to a message: it is answered, or the connection ends."""
    right = {**SIZED, **ANSWERED}.get(request_number, 0)
    for size in (right + 1, right + 8, 280):
        it = front()
        it.message(request_number, bytes(size), flags=VERSION | NEED_REPLY)
        try:
            it.reply(request_number)
            it.sync()
        except ConnectionError:
            pass
        it.device.die()


# descriptors

WITH_FD = {Request.SET_VRING_KICK: 8, Request.SET_VRING_CALL: 8, Request.SET_VRING_ERR: 8, Request.SET_BACKEND_REQ_FD: 0, Request.ADD_MEM_REG: 40,
           Request.SET_INFLIGHT_FD: 20, Request.SET_LOG_FD: 0}


@pytest.mark.parametrize("request_number", WITH_FD, ids=lambda r: r.name)
def test_descriptors_that_are_missing(front, request_number):
    it = front()
    payload = bytes(WITH_FD[request_number])
    if request_number == Request.ADD_MEM_REG:
        payload = bytes(8) + REGION.pack(64 * GIB, 1 << 20, 64 * GIB, 0)
    assert outcome(it.tell, request_number, payload) in (REFUSED, CLOSED)


@pytest.mark.parametrize("request_number", sorted({*SIZED, *ANSWERED, *BARE, *WITH_FD}), ids=lambda r: r.name)
def test_descriptors_that_nobody_asked_for(front, request_number):
    """They are closed (harmless counts); the message may be done or not."""
    size = {**SIZED, **ANSWERED, **WITH_FD}.get(request_number, 0)
    null = os.open("/dev/null", os.O_RDWR)
    for count in (1, 2, 7, 8):
        it = front()
        it.message(request_number, bytes(size), fds=[null] * count, flags=VERSION | NEED_REPLY)
        try:
            _, fds = it.reply(request_number)
            for fd in fds:
                os.close(fd)
            it.sync()
        except ConnectionError:
            pass
        it.device.die()
    os.close(null)


@pytest.mark.parametrize("count", [9, 64, 253])
def test_more_descriptors_than_any_message_has(front, count):
    it = front()
    fd = os.open("/dev/null", os.O_RDWR)
    it.message(Request.GET_FEATURES, fds=[fd] * count)
    os.close(fd)
    assert it.closed()


def test_descriptors_with_half_a_message(front):
    """The header and the descriptors come; the rest never does."""
    it = front()
    region = it.device.memory.regions[0]
    it.raw(HEAD.pack(Request.SET_MEM_TABLE, VERSION, 40) + bytes(10), fds=[region.fd] * 3)
    time.sleep(0.05)
    it.device.die()


def test_descriptors_behind_their_header(front):
    it = front()
    it.raw(HEAD.pack(Request.SET_VRING_KICK, VERSION | NEED_REPLY, 8))
    time.sleep(0.05)
    fd = os.eventfd(0)
    it.raw(bytes(8), fds=[fd])
    os.close(fd)
    try:
        it.reply(Request.SET_VRING_KICK)
    except ConnectionError:
        pass


def files(tmp_path):
    """Descriptors of every kind."""
    read_end, write_end = os.pipe()
    one, other = socket.socketpair()
    made = {
        "null": os.open("/dev/null", os.O_RDWR), "zero": os.open("/dev/zero", os.O_RDWR), "full": os.open("/dev/full", os.O_RDWR),
        "folder": os.open(tmp_path, os.O_RDONLY), "path": os.open(tmp_path, os.O_PATH), "read end": read_end, "write end": write_end,
        "socket": one.detach(), "other socket": other.detach(), "event": os.eventfd(0), "event set": os.eventfd(1),
        "empty memory": os.memfd_create("empty"), "small memory": os.memfd_create("small"), "file": os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT),
        "unix": socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach(), "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach(),
        "process": os.pidfd_open(os.getpid()),
    }
    os.ftruncate(made["small memory"], 100)
    return made


@pytest.fixture
def every_file(tmp_path):
    made = files(tmp_path)
    yield made
    for fd in made.values():
        os.close(fd)


@pytest.mark.parametrize("request_number", [Request.SET_VRING_KICK, Request.SET_VRING_CALL, Request.SET_VRING_ERR, Request.SET_BACKEND_REQ_FD,
                                            Request.SET_LOG_FD], ids=lambda r: r.name)
def test_descriptors_of_every_kind(daemon, vhost, every_file, request_number):
    """In the place of an event descriptor, with rings that run: whatever it is, the daemon neither stops nor spins."""
    for name, fd in every_file.items():
        guest = vhost(1)
        for index in range(2):
            payload = struct.pack("=Q", index) if WITH_FD[request_number] else b""
            outcome(guest.front.tell, request_number, payload, fds=[fd])
        try:
            guest.transmit(*[frame(number) for number in range(10)], seconds=0.1)
        except (ConnectionError, AssertionError):
            pass
        before = processor_seconds(daemon)
        time.sleep(0.15)
        assert processor_seconds(daemon) - before < 0.1, f"the daemon spins with {name}"
        guest.die()


def test_memory_of_every_kind(front, every_file):
    """Only files that have the bytes can be memory."""
    for name, fd in every_file.items():
        it = front(share=False)
        payload = STATE.pack(1, 0) + REGION.pack(0, 1 << 20, 1 << 40, 0)
        assert outcome(it.tell, Request.SET_MEM_TABLE, payload, fds=[fd]) in (REFUSED, CLOSED), name
        it.device.die()


def test_memory_that_is_read_only(front):
    it = front(share=False)
    memory = os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, 1 << 20)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    payload = STATE.pack(1, 0) + REGION.pack(0, 1 << 20, 1 << 40, 0)
    assert outcome(it.tell, Request.SET_MEM_TABLE, payload, fds=[memory]) in (REFUSED, CLOSED)
    os.close(memory)


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
    assert outcome(it.add_mem_reg, there) == REFUSED
    assert outcome(it.add_mem_reg, Region(there.guest + PAGE, PAGE)) == REFUSED
    missing = Region(99 * GIB, PAGE)
    assert outcome(it.rem_mem_reg, missing) == REFUSED
    smaller = Region(there.guest, PAGE, user=there.user)
    assert outcome(it.rem_mem_reg, smaller) == REFUSED
    assert it.rem_mem_reg(there) == 0
    assert outcome(it.rem_mem_reg, there) == REFUSED
    assert it.add_mem_reg(there) == 0


def test_more_memory_slots_than_there_are(front):
    it = front(share=False)
    slots, region = it.get_max_mem_slots(), Region(0, PAGE)
    for number in range(slots):
        assert it.tell(Request.ADD_MEM_REG, bytes(8) + REGION.pack(number * PAGE, PAGE, GIB + number * PAGE, 0), fds=[region.fd]) == 0
    assert outcome(it.tell, Request.ADD_MEM_REG, bytes(8) + REGION.pack(slots * PAGE, PAGE, 1 << 40, 0), fds=[region.fd]) == REFUSED
    region.close()


@PACKED
def test_another_table_under_traffic(vhost, packed):
    """The table is sent again while rings run, with a region more or less, and at other addresses of the front end."""
    one, other = vhost(1, packed=packed), vhost(2)
    introduce(one, other)
    extra = Region(32 * GIB, 1 << 20)
    for turn in range(6):
        one.transmit(*[frame(number) for number in range(20)])
        one.must(one.front.set_mem_table(one.memory.regions + ([extra] if turn % 2 else [])))
        assert [take_frame(other)[1] for _ in range(20)] == [frame(number) for number in range(20)]
        pass_all(other, one, numbered(sizes(20), TWO, ONE))
    extra.close()


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


# rings

@pytest.mark.parametrize("index", [17, 128, 255, 256, 0x7fffffff, 0xffffffff])
def test_rings_that_do_not_exist(front, index):
    it = front()
    assert it.get_queue_num() * 2 < index  # the one at that place is the control queue
    assert outcome(it.set_vring_num, index, 256) == REFUSED
    assert outcome(it.set_vring_base, index, 0) == REFUSED
    assert outcome(it.set_vring_addr, index, 0, 0, 0) == REFUSED
    assert outcome(it.set_vring_enable, index) == REFUSED
    event = os.eventfd(0)
    if index < 256:
        for act in (it.set_vring_kick, it.set_vring_call, it.set_vring_err):
            assert outcome(act, index, event) == REFUSED
    os.close(event)
    try:
        it.ask(Request.GET_VRING_BASE, STATE.pack(index, 0))
    except ConnectionError:
        pass


@pytest.mark.parametrize("number", [0, 3, 5, 100, 32769, 65536, 65535, 0x80000000, 0xffffffff])
def test_sizes_that_no_split_ring_has(front, number):
    """Refused at once, or when the ring would start."""
    it = front()
    device = it.device
    if outcome(it.set_vring_num, 0, number) != ACCEPTED:
        return
    users = [device.memory.user(device.memory.allocate(65536, 4096)) for _ in range(3)]
    outcomes = [outcome(it.set_vring_addr, 0, *users)]
    event = os.eventfd(0)
    outcomes.append(outcome(it.set_vring_kick, 0, event))
    os.close(event)
    assert REFUSED in outcomes or CLOSED in outcomes


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("where", ["outside", "null", "over the end", "unaligned", "huge"])
def test_addresses_that_no_ring_has(front, part, packed, where):
    it = front(packed=packed)
    device = it.device
    if where == "unaligned" and (part, packed) == (2, False):
        offset = 1
    else:
        offset = {0: 8, 1: 2, 2: 2}[part]
    users = [device.memory.user(device.memory.allocate(65536, 4096)) for _ in range(3)]
    region = device.memory.regions[1]
    users[part] = {"outside": 0x123456000, "null": 0, "over the end": region.user + region.size - 16, "unaligned": users[part] + offset,
                   "huge": 0xfffffffffffffff0}[where]
    if where == "over the end" and packed and part:
        users[part] = region.user + region.size - 2  # four bytes each
    outcomes = [outcome(it.set_vring_num, 0, 256), outcome(it.set_vring_base, 0, 0), outcome(it.set_vring_addr, 0, *users)]
    if CLOSED not in outcomes and REFUSED not in outcomes:
        event = os.eventfd(1)
        outcomes.append(outcome(it.set_vring_kick, 0, event))
        os.close(event)
    assert REFUSED in outcomes or CLOSED in outcomes


def test_a_ring_in_pieces(front):
    """Each of the things that a ring needs is missing once when it is kicked; GET_VRING_BASE has an answer all the same."""
    for missing in range(4):
        it = front()
        device, event = it.device, os.eventfd(1)
        users = [device.memory.user(device.memory.allocate(4096, 4096)) for _ in range(3)]
        for number, act in enumerate((lambda: it.set_vring_num(0, 64), lambda: it.set_vring_addr(0, *users), lambda: it.set_vring_enable(0),
                                      lambda: it.set_vring_kick(0, event))):
            if number != missing:
                outcome(act)
        time.sleep(0.02)
        try:
            assert it.get_vring_base(0) == 0
        except ConnectionError:
            pass
        os.close(event)
        device.die()


def test_rings_before_everything(vhost):
    """Rings, memory and features in the wrong order, on connections of their own."""
    event = os.eventfd(1)
    acts = [lambda f, d: f.set_vring_kick(0, event), lambda f, d: f.set_vring_enable(0), lambda f, d: f.set_vring_addr(0, *[d.memory.regions[0].user] * 3),
            lambda f, d: f.set_vring_num(0, 256), lambda f, d: f.get_vring_base(0), lambda f, d: f.set_features(PLAIN),
            lambda f, d: f.set_mem_table(d.memory.regions), lambda f, d: f.set_owner(), lambda f, d: f.reset_owner(), lambda f, d: f.set_vring_base(0, 5), lambda f, d: f.reset_device()]
    for first in range(len(acts)):
        device = vhost(1, start=False)
        for step in range(len(acts)):
            if outcome(acts[(first + step * 7) % len(acts)], device.front, device) == CLOSED:
                break
        device.die()
    os.close(event)


def test_owner_again_and_no_more(front):
    """RESET_OWNER is of no meaning any more (the specification: ignored, or rings disabled); afterwards a front end can begin again."""
    it = front()
    assert it.set_owner() in (0, 1)
    assert it.reset_owner() == 0
    device = it.device
    device.negotiate()
    device.share()
    device.set_up()
    device.enable()
    device.fill()
    device.announce()


def test_features_change_under_running_rings(vhost):
    """Whatever becomes of this guest, it is one outcome and no crash."""
    for features in (PLAIN, Feature.VERSION_1, PLAIN | Feature.RING_PACKED, PLAIN | Feature.EVENT_IDX, Feature(0)):
        guest = vhost(1)
        outcome(guest.front.set_features, features)
        try:
            guest.transmit(*[frame(number) for number in range(20)], seconds=0.1)
        except (ConnectionError, AssertionError):
            pass
        guest.die()


@PACKED
def test_stopping_twice(vhost, packed):
    guest = vhost(1, packed=packed)
    guest.announce()
    once = [guest.front.get_vring_base(ring.index) for ring in guest.rings]
    assert guest.stop() == once
    guest.restart()
    guest.announce()


# the device

def test_status(front):
    it = front()
    for status in (ACKNOWLEDGE, ACKNOWLEDGE | DRIVER, ACKNOWLEDGE | DRIVER | FEATURES_OK, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK, 0):
        assert it.set_status(status) == 0
        assert it.get_status() == status


def test_reset_device(vhost):
    guest = vhost(1)
    guest.announce()
    assert guest.front.reset_device() == 0
    assert guest.front.get_status() == 0
    guest.transmit(frame(1))
    time.sleep(0.05)
    assert not guest.senders[0].pending()
    guest.clear()
    guest.share()
    guest.restart()
    guest.fill()
    guest.announce()


def test_config(daemon, front):
    it = front()
    whole = it.get_config(0, 12)
    mac, status, pairs, mtu = struct.unpack("<6sHHH", whole)
    assert status & 1 and pairs == it.get_queue_num() and mtu == daemon.call("Status")["mtu"]
    if it.device.offered & Feature.MAC:
        assert not mac[0] & 1 and any(mac)
    for offset in range(12):
        for size in range(1, 12 - offset + 1):
            assert it.get_config(offset, size) == whole[offset:offset + size]


@pytest.mark.parametrize("offset, size", [(0, 257), (255, 2), (256, 1), (0x7fffffff, 4), (0xffffffff, 4), (0xffffffff, 0xffffffff), (0, 0xffffffff),
                                          (4, 0xfffffffd)])
def test_config_that_is_not_there(front, offset, size):
    it = front()
    it.message(Request.GET_CONFIG, struct.pack("=III", offset, size, 0) + bytes(min(size, 256)))
    try:
        payload, _ = it.reply(Request.GET_CONFIG)
        assert payload == b""
        it.sync()
    except ConnectionError:
        pass


def test_config_cannot_be_set(front):
    it = front()
    before = it.get_config(0, 12)
    assert outcome(it.set_config, 0, b"\x02\x00\x00\x00\x00\x55") == REFUSED
    assert outcome(it.set_config, 250, bytes(10)) == REFUSED
    assert it.get_config(0, 12) == before


def test_mtu(daemon, front):
    it = front(features=PLAIN | Feature.MTU)
    mtu = daemon.call("Status")["mtu"]
    assert it.net_set_mtu(mtu) == 0
    for wrong in (0, 67, 65536, 1 << 32, (1 << 64) - 1):
        assert outcome(it.net_set_mtu, wrong) == REFUSED, wrong


def test_rarp_tells_the_lan(vhost, attach, daemon):
    """After a migration others find the guest at its new port, though it has sent nothing itself."""
    old, other = vhost(1).announce(), vhost(2).announce()
    new = vhost(3, mac=TWO)
    new.mac = old.mac
    for guest in (old, other, new):
        guest.drain()
    assert new.front.send_rarp(old.mac) == 0
    came = other.expect(lambda p: p.type == 0x8035, what="RARP")
    assert came.src == old.mac and came.dst == "ff:ff:ff:ff:ff:ff"
    other.transmit(frame(1, 60, other.mac, old.mac))
    assert take_frame(new)[1] == frame(1, 60, other.mac, old.mac)
    assert take_frame(old, 0.1)[1] is None


def test_the_channel_of_the_back_end(vhost):
    """Taken, replaced, and its other end closed: nothing depends on it."""
    guest = vhost(1)
    guest.take_backend_requests()
    first = guest.backend
    guest.take_backend_requests()
    first.close()
    guest.announce()
    guest.backend.close()
    guest.announce()


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


# the end

class Recorder(FrontEnd):
    """A connection that ends by itself after so many bytes of ours."""

    left = None

    def raw(self, data, fds=()):
        if self.left is not None and len(data) > self.left:
            if self.left:
                super().raw(data[:self.left], fds)
            raise EOFError
        super().raw(data, fds)
        if self.left is not None:
            self.left -= len(data)


def test_the_front_end_dies_at_every_byte(daemon, vhost):
    """The whole way of attaching, cut short at each of its messages and at many places inside them."""
    before = descriptors(daemon)
    total = 0
    cuts = [0, 1, 5, 11, 12, 13, 16, 19, 20, 30]
    while True:
        finished = False
        for cut in [total + c for c in cuts]:
            device = Device(daemon.runtime / "vhost", start=False, size=16)
            device.front.close()
            device.front = Recorder(daemon.runtime / "vhost")
            device.front.left = cut
            try:
                device.negotiate()
                device.share()
                device.set_up()
                device.enable()
                device.fill()
                finished = True
            except EOFError:
                pass
            device.close()
        if finished:
            break
        total += 23
    assert total > 300
    wait_for(lambda: descriptors(daemon) <= before + 3, 3, "descriptors to be closed")


@PACKED
def test_the_front_end_dies_under_traffic(vhost, packed):
    witness = vhost(2)
    witness.announce()
    for turn in range(10):
        guest = vhost(1, packed=packed)
        guest.announce()
        witness.drain()
        guest.transmit(*[frame(number) for number in range(100)])
        witness.transmit(*[frame(number, 60, TWO, ONE) for number in range(100)])
        guest.die()
        assert len([p for p in witness.drain(0.05) if p.type == 0x88b5]) <= 100


def test_a_front_end_that_does_not_read(vhost):
    """Replies that nobody takes: the back end neither waits nor keeps them for ever."""
    it = vhost(1, start=False).front
    it.socket.settimeout(0.5)
    question = HEAD.pack(Request.GET_FEATURES, VERSION, 0) * 1000
    try:
        for _ in range(300):
            it.raw(question)
    except (ConnectionError, BrokenPipeError, socket.timeout):
        pass


def test_many_connections(daemon, vhost):
    """Front ends that connect and say nothing."""
    idle = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(100)]
    for one in idle:
        one.connect(str(daemon.runtime / "vhost"))
    vhost(1).announce()
    for one in idle:
        one.close()

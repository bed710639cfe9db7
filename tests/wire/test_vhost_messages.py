# SPDX-License-Identifier: MIT
"""The messages of a vhost-user front end, rightly, and with wrong sizes and descriptors. Whatever comes, others are served on."""

import fcntl
import os
import socket
import struct
import time

import pytest

from tests.support.vhost import OFFLOADS, PLAIN, PROTOCOL, UDP_OFFLOADS, Feature, Protocol, Request
from tests.support.vhost_memory import GIB
from tests.support.vhost_message import HEAD, NEED_REPLY, REGION, STATE, VERSION
from tests.support.vhost_traffic import CLOSED, REFUSED, frame, outcome, processor_seconds

pytestmark = pytest.mark.usefixtures("harmless")
OFFERED = (PLAIN | OFFLOADS | Feature.INDIRECT_DESC | Feature.EVENT_IDX | Feature.MTU | Feature.MQ | Feature.IN_ORDER | Feature.RING_PACKED |
           Feature.PROTOCOL_FEATURES | Feature.LOG_ALL | Feature.CTRL_VQ | UDP_OFFLOADS)


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

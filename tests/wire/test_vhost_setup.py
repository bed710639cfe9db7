# SPDX-License-Identifier: MIT
"""Rings and the device as a front end sets them up: wrong numbers, wrong order, an end in the middle of anything."""

import os
import socket
import struct
import time

import pytest

from tests.support.lan import wait_for
from tests.support.vhost import ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, PLAIN, Device, Feature, FrontEnd, Request
from tests.support.vhost_message import HEAD, STATE, VERSION
from tests.support.vhost_traffic import (ACCEPTED, CLOSED, ONE, PACKED, REFUSED, TWO, descriptors, frame, introduce, numbered, outcome, pass_all,
                                         take_frame)

pytestmark = pytest.mark.usefixtures("harmless")


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
            lambda f, d: f.set_mem_table(d.memory.regions), lambda f, d: f.set_owner(), lambda f, d: f.reset_owner(),
            lambda f, d: f.set_vring_base(0, 5), lambda f, d: f.reset_device()]
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


@PACKED
@pytest.mark.parametrize("anew", [False, True], ids=["goes on", "begins anew"])
def test_status_goes_before_the_rings_are_asked(vhost, packed, anew):
    """QEMU 7.2 stops a guest, or moves it away, by SET_STATUS 0 and then GET_VRING_BASE: where each ring stood is still told. The guest goes on from
    there, or its driver begins with new rings."""
    guest, other = vhost(1, packed=packed, size=64), vhost(2)
    introduce(guest, other)
    for turn in range(3):
        pass_all(guest, other, numbered([60] * 37))
        pass_all(other, guest, numbered([60] * 41, TWO, ONE))
        guest.drain()
        assert guest.front.set_status(0) == 0
        other.transmit(*numbered([60] * 5, TWO, ONE))  # lost: nobody is there
        other.flush()
        stood = [ring.position() for ring in guest.rings]
        assert guest.stop() == stood and all(base & 0x7fff for base in stood)
        if anew:
            guest.clear()
        guest.restart()
        if anew:
            guest.fill()
        introduce(guest, other)


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

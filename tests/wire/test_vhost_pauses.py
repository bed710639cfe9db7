# SPDX-License-Identifier: MIT
"""Rings that stop and go on, are disabled, begin anew, and new connections."""

import pytest

from tests.support.lan import wait_for
from tests.support.vhost_traffic import ONE, PACKED, TWO, descriptors, frame, introduce, numbered, pass_all, take_frame

# pauses and new beginnings

def stands(guest):
    """Where each ring stands, when the device has used all that was sent, and what it received was taken."""
    return [ring.position() for ring in guest.rings]


@PACKED
@pytest.mark.parametrize("event_idx", [False, True])
def test_stopped_rings_go_on(two, packed, event_idx):
    """GET_VRING_BASE says where a ring stopped; from there it goes on, and nothing that was with the device is lost or doubled."""
    one, other = two(packed=packed, event_idx=event_idx)
    for turn in range(4):
        pass_all(one, other, numbered([60] * 37))
        for guest in (one, other):
            guest.drain()
            guest.flush()
            assert guest.stop() == stands(guest)
            guest.restart()


@PACKED
def test_frames_handed_over_while_stopped(two, packed):
    """What the driver makes available to a stopped ring is taken once it runs again."""
    one, other = two(packed=packed)
    one.stop()
    one.transmit(*[frame(number) for number in range(10)])
    assert take_frame(other, 0.2)[1] is None
    one.restart(early=True)
    assert [take_frame(other)[1] for _ in range(10)] == [frame(number) for number in range(10)]


@PACKED
def test_a_stopped_guest_gets_nothing(two, packed):
    one, other = two(packed=packed)
    before = other.memory.read(other.rings[0].addresses[1], 64)
    other.stop()
    one.transmit(*[frame(number) for number in range(50)])
    one.flush()
    assert other.memory.read(other.rings[0].addresses[1], 64) == before
    other.restart()
    introduce(other)
    pass_all(one, other, numbered([60] * 40))


@PACKED
def test_disabled_rings(two, packed):
    """Disabled, a ring gets no frames, and what is sent by it is used and thrown away (the specification's ring states)."""
    one, other = two(packed=packed)
    other.enable(0)
    one.transmit(*[frame(number) for number in range(20)])
    one.flush()
    other.transmit(*[frame(number, 60, TWO, ONE) for number in range(20)])
    other.flush()
    assert take_frame(one, 0.2)[1] is None and not other.receivers[0].pending()
    other.enable(1)
    pass_all(one, other, numbered([60] * 40))
    pass_all(other, one, numbered([60] * 40, TWO, ONE))


@PACKED
def test_a_reboot(two, packed):
    one, other = two(packed=packed)
    for turn in range(3):
        pass_all(one, other, numbered([60] * 30))
        other.reset()
        introduce(other)
        pass_all(other, one, numbered([60] * 30, TWO, ONE))
        assert not other.front.reset_device()
        other.clear()
        other.share()
        other.restart()
        other.fill()
        introduce(other)
        pass_all(other, one, numbered([60] * 30, TWO, ONE))


@PACKED
def test_a_new_connection_begins_anew(daemon, two, packed):
    one, other = two(packed=packed)
    before = descriptors(daemon)
    for _ in range(5):
        pass_all(one, other, numbered([60] * 30))
        other.reconnect()
        introduce(other)
        pass_all(other, one, numbered([60] * 30, TWO, ONE))
    wait_for(lambda: descriptors(daemon) <= before, 2, "descriptors of old connections to be closed")

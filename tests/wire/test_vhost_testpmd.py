# SPDX-License-Identifier: MIT
"""Front ends that nobody here wrote, by the million frames: testpmd's virtio-user at both ends of the LAN. Every frame is counted there and here."""

import time

import pytest

from tests.support.lan import wait_for
from tests.support.testpmd import Testpmd
from tests.support.vhost_traffic import descriptors, processor_seconds, wake_ups

RINGS = {
    "split": ",in_order=0",
    "split, in order": ",in_order=1",
    "split, whole buffers": ",mrg_rxbuf=0,in_order=0",
    "split, vectorized": ",vectorized=1,mrg_rxbuf=0,in_order=1",
    "packed": ",packed_vq=1,in_order=0",
    "packed, in order": ",packed_vq=1,in_order=1",
    "packed, whole buffers": ",packed_vq=1,mrg_rxbuf=0,in_order=0",
    "packed, vectorized": ",packed_vq=1,vectorized=1,mrg_rxbuf=0,in_order=1",
}


@pytest.fixture
def testpmd(world):
    """testpmd(daemon, options): two guests. They end with the test."""
    made = []

    def maker(daemon, *arguments, **options):
        made.append(Testpmd(world.host, daemon, *arguments, **options))
        return made[-1]

    yield maker
    for each in made:
        each.close()


def ports(daemon):
    return [port for port in daemon.call("List")["ports"] if port["kind"] == "vhost"]


def wait_moving(daemon, least=2000):
    """Until so many more frames have passed."""
    before = sum(port["frames_to_guest"] for port in ports(daemon))
    wait_for(lambda: sum(port["frames_to_guest"] for port in ports(daemon)) > before + least, 10, "frames to pass")


def check_counts(daemon, testpmd):
    """What the guests sent is what they received, and what the LAN says that it carried; nothing was dropped anywhere. Return: how many frames."""
    one, other = testpmd.counters()
    assert one["sent"] == other["received"] and other["sent"] == one["received"], (one, other)
    assert one["sent_bytes"] == other["received_bytes"] and other["sent_bytes"] == one["received_bytes"], (one, other)
    for port in (one, other):
        assert not any(port[name] for name in ("missed", "errors", "nombuf", "unsent")), port
    here = sorted((port["frames_from_guest"], port["bytes_from_guest"], port["frames_to_guest"], port["bytes_to_guest"]) for port in ports(daemon))
    there = sorted((port["sent"], port["sent_bytes"], port["received"], port["received_bytes"]) for port in (one, other))
    assert here == there
    assert daemon.drops() == {}
    return one["sent"] + other["sent"]


def idle(daemon, seconds=1.0):
    """The part of a processor that the daemon takes."""
    before, begin = processor_seconds(daemon), time.monotonic()
    time.sleep(seconds)
    return (processor_seconds(daemon) - before) / (time.monotonic() - begin)


@pytest.mark.parametrize("rings", RINGS)
def test_every_frame_arrives(daemon, testpmd, rings):
    """Small frames, large ones, and large ones in four pieces; more of them by far than a ring has room for."""
    pair = testpmd(daemon, RINGS[rings])
    for sizes in ("64", "1514", "64,1000,2,400"):
        pair.start(sizes)
        wait_moving(daemon)
        time.sleep(0.2)
        pair.stop()
    assert check_counts(daemon, pair) > 6000


def test_the_counts_can_differ(start, testpmd):
    """The check above can fail: a LAN that loses frames does not pass it."""
    daemon = start(arguments=["--fault", "lose=1%,seed=1"])
    pair = testpmd(daemon)
    pair.start()
    time.sleep(0.3)
    pair.stop()
    with pytest.raises(AssertionError):
        check_counts(daemon, pair)
    assert daemon.drops()["fault"] > 0


@pytest.mark.parametrize("ring", ["", ",packed_vq=1"])
def test_small_buffers(daemon, testpmd, ring):
    """Frames that need three mergeable buffers each. So few are put in that all of them find room at one end."""
    pair = testpmd(daemon, ring, more=["--mbuf-size=768", "--enable-scatter"])
    pair.start("600,600,300", bursts=4)
    wait_moving(daemon)
    pair.stop()
    check_counts(daemon, pair)


@pytest.mark.parametrize("ring", ["", ",packed_vq=1"])
def test_queues(daemon, testpmd, ring):
    """Two queue pairs: frames come from both, and go to both."""
    pair = testpmd(daemon, ring, queues=2)
    pair.start()
    wait_moving(daemon)
    pair.stop()
    assert check_counts(daemon, pair) > 2000
    for queues in pair.queue_counters():
        assert len(queues) == 2 and all(queues), queues


@pytest.mark.parametrize("ring", ["", ",packed_vq=1", ",vectorized=1,mrg_rxbuf=0"])
def test_killed_and_started_again(daemon, testpmd, ring):
    """SIGKILL under full traffic: its ports go, nothing of them is left, and those who come next begin anew."""
    before = descriptors(daemon)
    for _ in range(3):
        pair = testpmd(daemon, ring)
        pair.start()
        wait_moving(daemon)
        pair.kill()
        wait_for(lambda: not ports(daemon), 5, "the ports to go")
    wait_for(lambda: descriptors(daemon) == before, 5, f"{before} descriptors; there are {descriptors(daemon)}")
    assert idle(daemon) < 0.02
    pair = testpmd(daemon, ring)
    pair.start("1514")
    wait_moving(daemon)
    pair.stop()
    check_counts(daemon, pair)


@pytest.mark.parametrize("ring", ["", ",packed_vq=1"])
def test_idle_when_nothing_comes(daemon, testpmd, ring):
    """Guests that are there and send nothing wake nobody; nor do guests that were busy a moment ago. The same look while they are busy sees it.
    These take no EVENT_IDX."""
    pair = testpmd(daemon, ring)
    for _ in range(2):
        time.sleep(0.3)
        before = wake_ups(daemon)
        assert idle(daemon, 2.0) < 0.02
        assert wake_ups(daemon) == before
        pair.start()
        assert idle(daemon) > 0.05
        pair.stop()
        assert wake_ups(daemon) > before

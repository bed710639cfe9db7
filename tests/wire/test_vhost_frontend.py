# SPDX-License-Identifier: MIT
"""Is the tests' own vhost-user front end right? Two of them at the two ports of DPDK's testpmd, whose back end nobody here wrote."""

import pathlib
import random
import shutil
import subprocess
import tempfile

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from tests.support.lan import wait_for
from tests.support.vhost import OFFLOADS, PLAIN, Device, Feature, VhostGuest, complete
from tests.support.vhost_memory import Log
from tests.support.vhost_traffic import BUFFERS, ONE, RINGS, TWO, combine, frame, numbered, open_segment, pass_all, sizes

TESTPMD = shutil.which("dpdk-testpmd")
pytestmark = pytest.mark.skipif(TESTPMD is None, reason="dpdk-testpmd is not installed (Debian's dpdk-dev)")

class Switch:
    """Two vhost-user ports, each frame of one goes out at the other. It polls: a processor is busy while it runs."""

    def __init__(self, options=""):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hospes-testpmd-"))
        self.paths = [self.folder / "S0", self.folder / "S1"]
        words = ["stdbuf", "-oL", TESTPMD, "--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "--lcores", "0@0,1@1", "--no-shconf"]
        for number, path in enumerate(self.paths):
            words += ["--vdev", f"net_vhost{number},iface={path}{options}"]
        words += ["--", "--nb-cores=1", "--forward-mode=io", "--auto-start", "--total-num-mbufs=16384", "--mbuf-size=2176", "--rxq=2", "--txq=2"]
        self.log = open(self.folder / "log", "w+b")
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=self.log, stderr=self.log)
        wait_for(lambda: self.process.poll() is not None or b"Press enter" in self.messages(), 20, "testpmd")
        assert self.process.poll() is None, self.messages().decode(errors="replace")

    def messages(self):
        return (self.folder / "log").read_bytes()

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def testpmd():
    started = Switch(",queues=2,tso=1")
    yield started
    started.stop()


@pytest.fixture
def two(testpmd):
    """two(**options): a device at each of the ports, ready."""
    made = []

    def maker(kind=Device, **options):
        made.extend(kind(path, **options) for path in testpmd.paths)
        meet(*made)
        return made

    yield maker
    for device in made:
        device.close()


def meet(one, other):
    """testpmd acknowledges the last message before its port is up: send until a frame has passed each way."""
    for sender, receiver in ((one, other), (other, one)):
        for _ in range(100):
            sender.transmit(frame(0))
            if receiver.receive(0.02)[1] is not None:
                break
        while receiver.receive(0.02)[1] is not None:
            pass
        sender.flush()


@pytest.mark.parametrize("buffers", BUFFERS)
@pytest.mark.parametrize("rings", RINGS)
def test_frames_pass_both_ways(two, rings, buffers):
    """More frames than a ring has descriptors, of every length."""
    one, other = two(exact=False, **{"size": 64, **combine(rings, buffers)})
    pass_all(one, other, numbered(sizes(150)))
    pass_all(other, one, numbered(sizes(20)))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mergeable", [True, False])
def test_a_segment_stays_whole(two, packed, mergeable):
    """60,000 bytes of TCP behind one header arrive so. testpmd fills in the checksum where our header says that it is open; we would have alike."""
    features = (PLAIN if mergeable else Feature.VERSION_1) | OFFLOADS
    one, other = two(exact=False, packed=packed, features=features)
    packet = Ether(src=ONE, dst=TWO) / IP(src="10.0.2.15", dst="10.0.2.16") / TCP(sport=1, dport=2, flags="PA") / random.Random(1).randbytes(60000)
    right = bytes(packet)
    data, header = open_segment(packet, 1448)
    assert data != right and complete(header, data) == right
    one.transmit(data, header=header)
    header, came = other.receive()
    assert header.num_buffers == 30 or not mergeable
    assert came == right


def test_queue_pairs(two):
    """Each queue pair carries frames, and the queue they are sent from is the one they arrive at."""
    one, other = two(pairs=2)
    assert one.front.get_queue_num() >= 2
    for queue in (0, 1, 1, 0):
        one.transmit(frame(queue), queue=queue)
        wait_for(lambda: other.receivers[queue].pending(), 2, f"a frame in queue {queue}")
        assert not other.receivers[1 - queue].pending()
        assert other.receive()[1] == frame(queue)


@pytest.mark.parametrize("packed", [False, True])
def test_no_calls_where_none_are_wanted(two, packed):
    """With EVENT_IDX one call comes for the frame that was asked for, none for those after it."""
    one, other = two(packed=packed, event_idx=True)
    ring = other.receivers[0]
    ring.called()
    assert ring.arm()
    for number in range(20):
        one.transmit(frame(number))
        wait_for(lambda: one.reclaim(one.senders[0]), 2, "the frame to be sent")
    wait_for(lambda: ring.packed or ring.pending() == 20, 2, "the frames")
    assert ring.called() and ring.calls <= 2
    assert [other.receive()[1] for _ in range(20)] == [frame(number) for number in range(20)]


@pytest.mark.parametrize("packed", [False, True])
def test_stopped_rings_go_on(two, packed):
    """GET_VRING_BASE says where a ring stopped; from there it goes on, and nothing that was with the device is lost."""
    one, other = two(packed=packed)
    for turn in range(3):
        pass_all(one, other, [frame(number) for number in range(turn * 37, turn * 37 + 37)])
        stopped = other.stop()
        ring = other.senders[0]
        assert stopped[1] & 0xffff == ring.position() & 0xffff
        other.restart()
        meet(one, other)
    other.reset()
    meet(one, other)
    pass_all(one, other, [frame(number) for number in range(300)])


@pytest.mark.parametrize("packed", [False, True])
def test_a_new_connection_begins_anew(two, packed):
    one, other = two(packed=packed)
    pass_all(one, other, [frame(number) for number in range(50)])
    other.reconnect()
    meet(one, other)
    pass_all(one, other, [frame(number) for number in range(300)])
    pass_all(other, one, [frame(number) for number in range(300)])


@pytest.mark.parametrize("packed", [False, True])
def test_the_log_has_the_pages_that_were_written(two, packed):
    """While LOG_ALL is on, each page that a frame or the used ring changed is marked, and no page of other buffers."""
    one, other = two(packed=packed)
    log = Log(other.memory)
    other.front.set_log_base(log.size, 0, log.fd)
    other.log(True)
    assert log.pages() == set()
    pass_all(one, other, [frame(1, 1000)])
    marked = log.pages()
    written = set(other.last_written)
    assert written <= marked
    assert marked & other.ring_pages()
    assert marked <= written | other.ring_pages()
    other.log(False)
    log.clear()
    pass_all(one, other, [frame(2, 1000)])
    assert log.pages() == set()
    log.close()


@pytest.mark.parametrize("kind", ["split", "packed", "events by index"])
def test_as_a_played_guest(two, kind):
    """Packets by scapy, as the other tests of frames use a guest."""
    options = {"split": {}, "packed": {"packed": True}, "events by index": {"event_idx": True, "features": PLAIN | OFFLOADS}}[kind]
    one, other = two(VhostGuest, **options)
    one.send(one.ether("02:00:00:00:00:02") / IP(src="10.0.2.100", dst="10.0.2.101") / UDP(sport=5, dport=6) / b"hello")
    assert bytes(other.expect(lambda p: UDP in p)[UDP].payload)[:5] == b"hello"
    other.silence(lambda p: True, 0.1)

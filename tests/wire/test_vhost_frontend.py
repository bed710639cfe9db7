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
from tests.support.vhost import GSO_TCPV4, NEEDS_CSUM, OFFLOADS, PLAIN, Device, Feature, Header, VhostGuest, complete, fold
from tests.support.vhost_memory import Log

TESTPMD = shutil.which("dpdk-testpmd")
pytestmark = pytest.mark.skipif(TESTPMD is None, reason="dpdk-testpmd is not installed (Debian's dpdk-dev)")

RINGS = {
    "split": {},
    "split, events by index": {"event_idx": True},
    "split, in order": {"in_order": True},
    "split, shuffled": {"shuffle": 3},
    "split, calls by a pipe": {"pipe": True, "event_idx": True},
    "packed": {"packed": True},
    "packed, events by index": {"packed": True, "event_idx": True},
    "packed, in order": {"packed": True, "in_order": True},
    "packed, size is no power of two": {"packed": True, "size": 100},
    "packed, shuffled": {"packed": True, "shuffle": 3},
}
BUFFERS = {
    "mergeable": {},
    "mergeable and small": {"rx": (256,)},
    "whole": {"features": Feature.VERSION_1},
    "whole, header apart": {"features": Feature.VERSION_1, "rx": (12, 2048)},
    "legacy": {"features": Feature(0)},
    "cut": {"tx": (12, 14, 1, 20)},
    "indirect": {"indirect": True, "tx": (12, 14, 1, 20), "features": Feature.VERSION_1, "rx": (12, 100, 1500)},
}


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


def frame(number, size=60):
    return bytes.fromhex("020000000002020000000001") + b"\x88\xb5" + number.to_bytes(4, "big") + random.Random(number).randbytes(size - 18)


def meet(one, other):
    """testpmd acknowledges the last message before its port is up: send until a frame has passed each way."""
    for sender, receiver in ((one, other), (other, one)):
        for _ in range(100):
            sender.transmit(frame(0))
            if receiver.receive(0.05)[1] is not None:
                break
        while receiver.receive(0.05)[1] is not None:
            pass
        sender.flush()


def pass_all(sender, receiver, frames, burst=16):
    """Send frames and receive them, in order and unchanged."""
    for first in range(0, len(frames), burst):
        sender.transmit(*frames[first:first + burst])
        for sent in frames[first:first + burst]:
            assert receiver.receive()[1] == sent
    sender.flush()


@pytest.mark.parametrize("buffers", BUFFERS)
@pytest.mark.parametrize("rings", RINGS)
def test_frames_pass_both_ways(two, rings, buffers):
    """More frames than a ring has descriptors, of every length."""
    options = {**RINGS[rings], **BUFFERS[buffers]}
    if buffers == "legacy" and "packed" in options:
        options["features"] = PLAIN  # there is no legacy packed ring
    one, other = two(exact=False, **options)
    sizes = [60, 61, 243, 244, 245, 1514] + [random.Random(7).randrange(60, 1515) for _ in range(300)]
    pass_all(one, other, [frame(number, size) for number, size in enumerate(sizes)])
    pass_all(other, one, [frame(number, size) for number, size in enumerate(sizes[:40])])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mergeable", [True, False])
def test_a_segment_stays_whole(two, packed, mergeable):
    """60,000 bytes of TCP behind one header arrive so. testpmd fills in the checksum where our header says that it is open; we would have alike."""
    features = (PLAIN if mergeable else Feature.VERSION_1) | OFFLOADS
    one, other = two(exact=False, packed=packed, features=features)
    payload = random.Random(1).randbytes(60000)
    whole = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.2.15", dst="10.0.2.16") / TCP(sport=1, dport=2, flags="PA") / payload
    right = bytes(whole)
    tcp = bytearray(right)
    tcp[14 + 20 + 16:14 + 20 + 18] = partial(whole).to_bytes(2, "big")
    one.transmit(bytes(tcp), header=Header(flags=NEEDS_CSUM, gso_type=GSO_TCPV4, hdr_len=54, gso_size=1448, csum_start=34, csum_offset=16))
    header, came = other.receive()
    assert header.num_buffers == 30 or not mergeable
    assert came == right
    assert complete(Header(flags=NEEDS_CSUM, csum_start=34, csum_offset=16), bytes(tcp)) == right


def partial(packet):
    """What a driver leaves in the checksum field: the sum of the pseudo header, not inverted."""
    size = len(packet[IP].payload)
    return fold(bytes(map(int, packet[IP].src.split("."))) + bytes(map(int, packet[IP].dst.split("."))) + bytes([0, packet[IP].proto]) + size.to_bytes(2, "big"))


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
        assert stopped[1] & 0xffff == ring.base & 0xffff
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

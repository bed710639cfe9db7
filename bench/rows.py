# SPDX-License-Identifier: MIT
"""The rows: which work, by which guests, on which subjects. And the targets that some of them have."""

import dataclasses

from bench import work
from bench.subjects import CLIENTS, SUBJECTS


@dataclasses.dataclass
class Row:
    name: str
    client: str
    subjects: tuple
    work: work.Work
    mtu: int = 1500
    guests: int = 1
    ceiling: str = ""  # the subject that shows what the client itself can do
    apart: str = ""  # rows that want scenes in which nothing else has run

    def group(self):
        """Rows of one group share their scenes."""
        return self.client, self.mtu, self.guests, self.apart


@dataclasses.dataclass
class Target:
    """Ours beside the best of the peers: by `rate`, or by `cpu` (processor time for the same work), or by rate a `core`."""

    text: str
    row: str
    ours: tuple
    peers: tuple
    factor: float
    by: str = "rate"


HOSPES_QEMU = ("hospes vhost", "hospes stream", "hospes dgram")
PASST_VHOST = ("passt vhost", "other passt vhost")


@dataclasses.dataclass
class Flat:
    """The cost of the row with many is at most so many times that of the row with few, on one subject."""

    text: str
    few: str
    many: str
    subject: str
    beside: str = ""  # whose growth is shown with it
    factor: float = 1.1


@dataclasses.dataclass
class AtMost:
    """The figure itself, not beside a peer's. With `less`: the difference to that row, for each guest that it has less."""

    text: str
    row: str
    subjects: tuple
    limit: float
    unit: str
    less: str = ""  # the other row, of which the figure is subtracted


def flows_text(flows):
    return "1 flow" if flows == 1 else f"{flows} flows"


def to_host(client, label, subjects, mtus, flows, ceiling):
    for mtu in mtus:
        for direction, words in (("to", "guest to host"), ("from", "host to guest")):
            for count in flows:
                yield Row(f"TCP {words}, {label}, MTU {mtu}, {flows_text(count)}", client, subjects, work.Stream(direction, count), mtu, 1, ceiling)


def datagrams(client, label, subjects, sizes=(64, 1472)):
    for direction, words in (("to", "guest to host"), ("from", "host to guest")):
        for size in sizes:
            yield Row(f"UDP {words}, {label}, {size} B", client, subjects, work.Datagrams(direction, size))
            if direction == "to":
                yield Row(f"UDP {words}, {label}, {size} B, unequal", client, subjects, work.Datagrams(direction, size, mixed=True))


def latency(client, label, subjects):
    yield Row(f"request-response TCP, {label}", client, subjects, work.RoundTrips("tcp"))
    yield Row(f"request-response UDP, {label}", client, subjects, work.RoundTrips("udp"))
    yield Row(f"connections a second, {label}", client, subjects, work.Connections())


def namespace_rows():
    subjects = ("hospes tap", "pasta", "slirp4netns", "kernel bridge (veth)")
    yield from to_host("namespace", "namespace", subjects, (1500, 65520), (1, 16), "loopback")
    yield from datagrams("namespace", "namespace", subjects)
    subjects = (*subjects, "newer pasta")
    yield from latency("namespace", "namespace", subjects)
    yield Row("connections a second, namespace, wrk", "namespace", subjects, work.Wrk())
    yield Row("request-response TCP, namespace, sockperf", "namespace", subjects, work.Sockperf())


def between_rows():
    pair = {"guests": 2}
    for mtu in (1500, 65520):
        for flows in (1, 16):
            stream = work.Stream("to", flows, between_guests=True)
            yield Row(f"TCP guest to guest, namespaces, MTU {mtu}, {flows_text(flows)}", "namespace",
                      ("hospes tap", "kernel bridge (veth)", "vde_switch"), stream, mtu, ceiling="loopback", **pair)
            yield Row(f"TCP guest to guest, UML, MTU {mtu}, {flows_text(flows)}", "uml",
                      ("hospes vhost", "kernel bridge (tap)"), stream, mtu, ceiling="loopback", **pair)
    for words, measured in (("request-response TCP", work.RoundTrips(between_guests=True)), ("UDP, 64 B", work.Datagrams("to", 64, between_guests=True)),
                            ("UDP, 1472 B", work.Datagrams("to", 1472, between_guests=True))):
        yield Row(f"{words} guest to guest, namespaces", "namespace", ("hospes tap", "kernel bridge (veth)", "vde_switch"), measured, **pair)
        yield Row(f"{words} guest to guest, UML", "uml", ("hospes vhost", "kernel bridge (tap)"), measured, **pair)
    yield Row("TCP guest to guest, QEMU, MTU 1500, 1 flow", "qemu", (*HOSPES_QEMU, "kernel bridge (tap)", "vde_switch", "OVS-DPDK"),
              work.Stream("to", between_guests=True), ceiling="loopback", **pair)


def uml_rows():
    subjects = ("hospes vhost", *PASST_VHOST, "kernel bridge (tap)")
    yield from to_host("uml", "UML", subjects, (1500, 65520), (1, 16), "loopback")
    yield from datagrams("uml", "UML", subjects)
    subjects = ("hospes vhost", "passt vhost", "kernel bridge (tap)")
    yield from latency("uml", "UML", subjects)


def qemu_rows():
    subjects = (*HOSPES_QEMU, "QEMU user", "passt stream", "passt vhost", "kernel bridge (tap)")
    yield from to_host("qemu", "QEMU", subjects, (1500,), (1,), "loopback")
    yield from datagrams("qemu", "QEMU", subjects, (1472,))
    yield Row("request-response TCP, QEMU", "qemu", subjects, work.RoundTrips())
    yield Row("connections a second, QEMU", "qemu", subjects, work.Connections())


def testpmd_rows():
    subjects = ("hospes vhost", "OVS-DPDK", "testpmd")
    for size in (64, 1500):
        yield Row(f"guest to guest, testpmd, {size} B, split", "testpmd", subjects, work.Forward(size), guests=2, ceiling="testpmd")
        yield Row(f"guest to guest, testpmd, {size} B, packed", "testpmd packed", subjects, work.Forward(size), guests=2, ceiling="testpmd")


def crowd_rows():
    for guests in (1, 8, 32):
        for client, subjects in (("namespace", ("hospes tap", "pasta", "slirp4netns")), ("uml small", ("hospes vhost", "passt vhost"))):
            label = f"{client.split()[0]}, {guests} guest{'s' if guests > 1 else ''}"
            for words, measured in (("TCP guest to host", work.Stream("to")), ("memory", work.Memory()), ("idle", work.Idle())):
                if guests > 1 or words != "TCP guest to host":
                    yield Row(f"{words}, {label}", client, subjects, measured, 1500, guests, apart="crowd")
    yield Row("idle, testpmd's ports", "testpmd", ("hospes vhost", "OVS-DPDK"), work.IdleForward(), guests=2)


def scale_rows():
    for ports in (2, 16, 64, 256):
        yield Row(f"cost a frame, {ports} ports", "ports", ("hospes stream",), work.Frames(ports), guests=0)
    for flows in (1, 1000, 10000, 18000, 60000):
        yield Row(f"cost a datagram, {flows} flow{'s' if flows > 1 else ''}", "ports", ("hospes stream", "plain sockets"), work.FlowFrames(flows), guests=0)


def rows():
    made = [*namespace_rows(), *uml_rows(), *between_rows(), *qemu_rows(), *testpmd_rows(), *crowd_rows(), *scale_rows()]
    order = {}
    for row in made:
        if row.client not in CLIENTS or not set(row.subjects) <= set(SUBJECTS):
            raise ValueError(f"row {row.name}: no such client or subject")
        order.setdefault(row.group(), len(order))
    return sorted(made, key=lambda row: order[row.group()])


TARGETS = (
    Target("guest to guest, 64 B, polling front end, a core", "guest to guest, testpmd, 64 B, split", ("hospes vhost",), ("OVS-DPDK",), 1.0, "core"),
    Target("guest to guest, 1500 B", "guest to guest, testpmd, 1500 B, split", ("hospes vhost",), ("OVS-DPDK",), 1.3),
    Target("guest to guest TCP (UML)", "TCP guest to guest, UML, MTU 1500, 1 flow", ("hospes vhost",), ("kernel bridge (tap)",), 1.3),
    Target("guest to host TCP, MTU 1500", "TCP guest to host, UML, MTU 1500, 1 flow", ("hospes vhost",), PASST_VHOST, 1.7),
    Target("guest to host TCP, QEMU's user network, processor time", "TCP guest to host, QEMU, MTU 1500, 1 flow", HOSPES_QEMU, ("QEMU user",), 8.0, "cpu"),
    Target("host to guest TCP, MTU 1500", "TCP host to guest, UML, MTU 1500, 1 flow", ("hospes vhost",), PASST_VHOST, 1.5),
    Target("guest to host TCP, MTU 65520", "TCP guest to host, UML, MTU 65520, 1 flow", ("hospes vhost",), PASST_VHOST, 1.1),
    Target("host to guest TCP, MTU 65520", "TCP host to guest, UML, MTU 65520, 1 flow", ("hospes vhost",), PASST_VHOST, 1.1),
    Target("UDP guest to host, unequal datagrams", "UDP guest to host, UML, 1472 B, unequal", ("hospes vhost",), PASST_VHOST, 3.0),
    Target("UDP guest to host, runs of equal datagrams", "UDP guest to host, UML, 1472 B", ("hospes vhost",), PASST_VHOST, 5.0),
    Target("request-response p50", "request-response TCP, namespace", ("hospes tap",), ("pasta", "newer pasta"), 1 / 0.8),
    Target("connections a second", "connections a second, namespace", ("hospes tap",), ("pasta", "newer pasta"), 1.3),
)

FLAT = (
    Flat("cost a frame, 2 to 256 ports", "cost a frame, 2 ports", "cost a frame, 256 ports", "hospes stream"),
    Flat("cost a datagram, 1 to 60,000 flows", "cost a datagram, 1 flow", "cost a datagram, 60000 flows", "hospes stream", "plain sockets"),
    Flat("cost a datagram, 1 to 18,000 flows", "cost a datagram, 1 flow", "cost a datagram, 18000 flows", "hospes stream", "plain sockets"),
)

AT_MOST = (
    AtMost("idle guest, tap", "idle, namespace, 1 guest", ("hospes tap",), 0, "wake-ups/s"),
    AtMost("idle guest, vhost", "idle, uml, 1 guest", ("hospes vhost",), 0, "wake-ups/s"),
    AtMost("32 idle guests, vhost", "idle, uml, 32 guests", ("hospes vhost",), 0, "wake-ups/s"),
    AtMost("memory of a further guest, tap", "memory, namespace, 32 guests", ("hospes tap",), 2, "MB", "memory, namespace, 8 guests"),
    AtMost("memory of a further guest, vhost", "memory, uml, 32 guests", ("hospes vhost",), 2, "MB", "memory, uml, 8 guests"),
)

# SPDX-License-Identifier: MIT
"""A guest on a vhost-user socket: its device, step by step or started at once, and its driver over shared memory."""

import collections
import select
import socket
import struct
import time

from tests.support.vhost_memory import Memory, pages
from tests.support.vhost_message import Feature, FrontEnd, Protocol, Request
from tests.support.vhost_ring import Broken, Full, PackedRing, SplitRing
from tests.support.wire import Guest

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET, FAILED = 1, 2, 4, 8, 64, 128  # virtio 1.2 section 2.1
NEEDS_CSUM, DATA_VALID = 1, 2
GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 = 0, 1, 4, 5

PLAIN = Feature.VERSION_1 | Feature.MRG_RXBUF
OFFLOADS = (Feature.CSUM | Feature.GUEST_CSUM | Feature.GUEST_TSO4 | Feature.GUEST_TSO6 | Feature.HOST_TSO4 | Feature.HOST_TSO6)
UDP_OFFLOADS = Feature.GUEST_USO4 | Feature.GUEST_USO6 | Feature.HOST_USO
PROTOCOL = (Protocol.MQ | Protocol.LOG_SHMFD | Protocol.RARP | Protocol.REPLY_ACK | Protocol.NET_MTU | Protocol.BACKEND_REQ | Protocol.CONFIG |
            Protocol.INFLIGHT_SHMFD | Protocol.RESET_DEVICE | Protocol.CONFIGURE_MEM_SLOTS | Protocol.STATUS)
POISON = b"\xee" * 64  # what lies in a receiving buffer before the device writes: a header left out is no header of zeros
LARGEST = 65535 + 14 + 4


class Header(collections.namedtuple("Header", "flags gso_type hdr_len gso_size csum_start csum_offset num_buffers", defaults=[0] * 7)):
    """struct virtio_net_hdr (virtio 1.2 section 5.1.6): 12 bytes, 10 for a legacy driver without mergeable buffers."""

    def pack(self, size=12):
        return struct.pack("<BBHHHHH", *self)[:size]

    @classmethod
    def unpack(cls, data):
        return cls(*struct.unpack("<BBHHHHH", data + bytes(12 - len(data))))


def fold(data, start=0):
    """The Internet checksum's sum (RFC 1071), not inverted."""
    total = start + sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def complete(header, frame):
    """The frame with its checksum filled in, where the header says that it is open."""
    if not header.flags & NEEDS_CSUM:
        return frame
    at = header.csum_start + header.csum_offset
    assert at + 2 <= len(frame), f"the checksum of {header} is outside of {len(frame)} bytes"
    total = ~fold(frame[header.csum_start:]) & 0xffff
    return frame[:at] + struct.pack("!H", total or 0xffff) + frame[at + 2:]


class Slots:
    """Room of one size for buffers in guest memory, used again and again."""

    def __init__(self, memory, size):
        self.memory, self.size, self.free = memory, size, []

    def take(self):
        return self.free.pop() if self.free else self.memory.allocate(self.size, 64)


class Device:
    """A virtio-net device of a guest, as its VMM attaches it, and the guest's driver.

    `features` are those the driver takes; they must be offered, those in `optional` need not. `rx` are the sizes of the buffers that make up one
    chain for receiving; `tx` cuts what is sent into buffers of these sizes (the last one takes the rest). With start=False nothing at all is done,
    and a test calls negotiate(), share(), set_up() and enable() itself, or plays the messages through `front`. exact=False forgives a back end
    that leaves num_buffers unwritten without mergeable buffers.
    """

    def __init__(self, path, features=PLAIN, optional=0, protocol=PROTOCOL, packed=False, event_idx=False, in_order=False, indirect=False, pairs=1,
                 size=256, rx=None, tx=(), memory=None, pipe=False, shuffle=None, start=True, refill=True, exact=True,
                 first=0):
        self.path, self.pairs, self.size, self.tx_sizes, self.use_indirect, self.refill = str(path), pairs, size, tuple(tx), indirect, refill
        self.wanted, self.optional, self.wanted_protocol, self.pipe, self.shuffle, self.exact = features, optional, protocol, pipe, shuffle, exact
        for wanted, bit in ((packed, Feature.RING_PACKED), (event_idx, Feature.EVENT_IDX), (in_order, Feature.IN_ORDER),
                            (indirect, Feature.INDIRECT_DESC), (pairs > 1, Feature.MQ)):
            self.wanted |= bit if wanted else 0
        self.memory = memory or Memory()
        self.features = self.protocol = self.offered = 0
        self.rx_sizes, self.first = rx, first
        self.rings = []
        self.frames = collections.deque()  # received, not yet asked for: pairs of header and bytes
        self.parts = {}                    # by queue: the buffers of a frame whose last one has not come yet
        self.last_written = set()          # the pages of the last chain that the device has written
        self.written = set()               # and those of all of them; a test may clear it
        self.backend = None
        self.front = FrontEnd(path)
        if start:
            self.negotiate()
            self.share()
            self.set_up()
            self.enable()
            self.fill()

    # the steps of attaching

    def negotiate(self):
        """Features and protocol features; the session is ours. What is wanted must be offered."""
        self.offered = Feature(self.front.get_features())
        missing = self.wanted & ~self.offered
        assert not missing, f"not offered: {Feature(missing)!r}"
        self.features = Feature(self.wanted | self.optional & self.offered)
        if self.offered & Feature.PROTOCOL_FEATURES:
            self.protocol = Protocol(self.front.get_protocol_features() & self.wanted_protocol)
            self.front.set_protocol_features(self.protocol)
            self.features |= Feature.PROTOCOL_FEATURES
        self.must(self.front.set_owner())
        self.set_status(ACKNOWLEDGE | DRIVER)
        self.must(self.front.set_features(self.features))
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK)
        if self.rx_sizes is None:
            large = self.features & (Feature.GUEST_TSO4 | Feature.GUEST_TSO6)
            self.rx_sizes = (2048,) if self.features & Feature.MRG_RXBUF or not large else (self.header_size, LARGEST)

    @staticmethod
    def must(acknowledgement):
        assert acknowledgement in (0, None), f"the back end refused a right message: {acknowledgement}"

    def share(self):
        self.must(self.front.set_mem_table(self.memory.regions))

    def set_up(self, tell=True):
        """Make the rings, all empty, and tell of them. They are not enabled."""
        kind = PackedRing if self.features & Feature.RING_PACKED else SplitRing
        indexes = list(range(2 * self.pairs))
        if self.features & Feature.CTRL_VQ:  # behind all queue pairs that there could be (virtio 1.2 section 5.1.2)
            indexes.append(2 * self.front.get_queue_num() if self.features & Feature.MQ else 2)
        for index in indexes:
            ring = kind(self.memory, index, self.size, bool(self.features & Feature.EVENT_IDX), bool(self.features & Feature.IN_ORDER), self.pipe, self.shuffle,
                        first=self.first)
            ring.slots = {}
            self.rings.append(ring)
        for ring in self.rings if tell else ():
            self.tell_ring(ring)

    def tell_ring(self, ring):
        """All that a back end has to know of a ring; the kick descriptor last, as it may start the ring."""
        front, index = self.front, ring.index
        self.must(front.set_vring_num(index, ring.size))
        self.must(front.set_vring_base(index, ring.base))
        self.tell_addresses(ring)
        self.must(front.set_vring_call(index, ring.call_end))
        self.must(front.set_vring_err(index, ring.error_fd))
        self.must(front.set_vring_kick(index, ring.kick_fd))

    def tell_addresses(self, ring, log=False):
        users = [self.memory.user(address) for address in ring.addresses]
        self.must(self.front.set_vring_addr(ring.index, *users, flags=int(log), log=ring.log_address if log else 0))

    def enable(self, enable=1):
        if self.features & Feature.PROTOCOL_FEATURES:
            for ring in self.rings:
                self.must(self.front.set_vring_enable(ring.index, enable))
        if enable:
            self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)

    def log(self, on):
        """Have changed pages marked, those of the rings too (at their own addresses), or no longer."""
        self.must(self.front.set_features(self.features | (Feature.LOG_ALL if on else 0)))
        for ring in self.rings:
            self.tell_addresses(ring, log=on)

    def ring_pages(self):
        """The pages of all that the device writes in the rings."""
        return set().union(*(pages(*part) for ring in self.rings for part in ring.device_writes()))

    def set_status(self, status):
        """The driver's word on how far it is, where the VMM passes that on."""
        if self.protocol & Protocol.STATUS:
            self.must(self.front.set_status(status))

    def stop(self):
        """Stop all rings, as a VMM does for a pause or a reset. Return: where each stopped."""
        for ring in self.rings:
            ring.base = self.front.get_vring_base(ring.index)
        self.set_status(0)
        return [ring.base for ring in self.rings]

    def restart(self, early=False):
        """Go on with the same rings and memory after stop(): every chain that was not used is still with the device. `early` enables the rings
        before they start: those that are started and not enabled have what was sent thrown away (the specification's ring states)."""
        self.set_status(ACKNOWLEDGE | DRIVER)
        self.must(self.front.set_features(self.features))
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK)
        if early:
            self.enable()
        for ring in self.rings:
            self.tell_ring(ring)
        self.enable()
        for ring in self.rings:
            ring.kick()

    def reset(self):
        """What a reboot of the guest does: the rings are stopped, and begin anew and empty."""
        self.stop()
        self.clear()
        self.restart()
        self.fill()

    def reconnect(self):
        """A new connection with the same memory, the rings empty again."""
        self.front.close()
        self.front = FrontEnd(self.path)
        self.negotiate()
        self.share()
        self.clear()
        self.restart()
        self.fill()

    def clear(self):
        """Forget what is in the rings, and all that was received."""
        for ring in self.rings:
            for chain in ring.chains.values():
                self.give_back(ring, chain.cookie)
            ring.reset()
        self.frames.clear()
        self.parts.clear()

    def close(self):
        self.front.close()
        for ring in self.rings:
            ring.close()
        self.rings = []
        if self.backend:
            self.backend.close()
        self.memory.close()

    def die(self):
        """The connection ends in the middle of whatever there is."""
        self.front.close()

    def take_backend_requests(self):
        """Give the back end its channel to us. What it asks there comes by backend_request()."""
        self.backend, other = socket.socketpair()
        with other:
            self.must(self.front.set_backend_req_fd(other.fileno()))
        return self.backend

    def backend_request(self, seconds=1.0):
        """The next request of the back end: its number, flags and payload. None when the time is over."""
        self.backend.settimeout(seconds)
        try:
            request, flags, size = struct.unpack("=III", self.backend.recv(12, socket.MSG_WAITALL))
        except socket.timeout:
            return None
        return request, flags, self.backend.recv(size, socket.MSG_WAITALL) if size else b""

    # sending and receiving

    @property
    def header_size(self):
        return 12 if self.features & (Feature.VERSION_1 | Feature.MRG_RXBUF) else 10

    @property
    def receivers(self):
        return self.rings[0:2 * self.pairs:2]

    @property
    def senders(self):
        return self.rings[1:2 * self.pairs:2]

    @property
    def control(self):
        """The control queue, where there is one (CTRL_VQ)."""
        return self.rings[2 * self.pairs]

    def command(self, data, room=1, seconds=2.0):
        """A command on the control queue. Return: what the device wrote into the room for its answer: bytes, empty if it wrote none."""
        address = self.memory.allocate(len(data) + room)
        self.memory.write(address, data + b"\xee" * room)
        self.control.add([(address, len(data), False)] * bool(data) + [(address + len(data), room, True)] * bool(room))
        self.control.publish()
        assert self.wait([self.control], seconds), "the command was not answered"
        [(_, length)] = self.control.take()
        self.written |= pages(address + len(data), length) if length else set()
        return self.memory.read(address + len(data), length)

    def room(self, ring, size):
        """A cookie: a slot of guest memory, and its class."""
        kind = next(kind for kind in (2048, 16384, LARGEST + 64, 1 << 17) if size <= kind)
        slots = ring.slots.setdefault(kind, Slots(self.memory, kind))
        return slots.take(), kind

    def give_back(self, ring, cookie):
        if cookie is not None:
            ring.slots[cookie[-1]].free.append(cookie[0])

    def fill(self):
        """Give the device all the buffers that its receiving rings take."""
        for ring in self.receivers:
            while self.offer_buffer(ring):
                pass
            ring.publish()

    def offer_buffer(self, ring):
        """Add one chain for receiving. Return: was there room?"""
        address, kind = self.room(ring, sum(self.rx_sizes))
        self.memory.write(address, POISON)
        at, buffers = address, []
        for size in self.rx_sizes:
            buffers.append((at, size, True))
            at += size
        try:
            ring.add(buffers, (address, kind), self.use_indirect and len(buffers) > 1)
        except Full:
            self.give_back(ring, (address, kind))
            return False
        return True

    def cut(self, address, size, sizes=None):
        """Buffers that make up so many bytes."""
        buffers, sizes = [], list(self.tx_sizes if sizes is None else sizes)
        while size:
            part = min(sizes.pop(0), size) if sizes else size
            buffers.append((address, part, False))
            address, size = address + part, size - part
        return buffers

    def transmit(self, *frames, header=None, queue=0, sizes=None, indirect=None, seconds=2.0):
        """Send frames (bytes) with one header each, handed over together as far as they fit, and kick if that is wanted."""
        ring = self.senders[queue]
        data = [(header or Header()).pack(self.header_size) + frame for frame in frames]
        for payload in data:
            self.reclaim(ring)
            address, kind = self.room(ring, len(payload))
            self.memory.write(address, payload)
            buffers = self.cut(address, len(payload), sizes)
            while True:
                try:
                    ring.add(buffers, (address, kind), self.use_indirect if indirect is None else indirect)
                    break
                except Full:
                    ring.publish()
                    if not self.wait_ring(ring, seconds):
                        raise Broken(f"queue {ring.index}: the device used nothing for {seconds} s") from None
                    self.reclaim(ring)
        ring.publish()

    def reclaim(self, ring):
        """Take back what was sent. Return: how many chains."""
        taken = ring.take()
        for cookie, length in taken:
            self.give_back(ring, cookie)
        return len(taken)

    def wait_ring(self, ring, seconds):
        """Sleep until the device has used something of a ring, as a driver does: by its call alone. Return: has it?"""
        return self.wait([ring], seconds)

    def flush(self, seconds=2.0):
        """Wait until the device has used all that was sent."""
        end = time.monotonic() + seconds
        for ring in self.senders:
            while self.reclaim(ring) or ring.chains:
                left = end - time.monotonic()
                assert left > 0, f"queue {ring.index}: {len(ring.chains)} chains are still with the device"
                if ring.chains:
                    self.wait([ring], left)

    def wait(self, rings, seconds):
        """Sleep until one of the rings has something used. What comes without the call that was asked for is an error. Return: is there something?"""
        for ring in rings:
            ring.called()
        armed = [ring.arm() for ring in rings]
        try:
            if not all(armed):
                return True
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                if self.sleep(rings, left) and any(ring.pending() for ring in rings):
                    return True
            if not any(ring.pending() for ring in rings):
                return False
            if not self.sleep(rings, 0.5):
                raise Broken(f"used chains of queues {[r.index for r in rings if r.pending()]} came without the call that was asked for")
            return True
        finally:
            for ring in rings:
                ring.disarm()

    def sleep(self, rings, seconds):
        """Wait for a call. Return: was there one?"""
        poller = select.poll()
        for ring in rings:
            poller.register(ring.call_fd, select.POLLIN)
        poller.register(self.front.socket, select.POLLIN)
        events = dict(poller.poll(max(seconds, 0) * 1000))
        if self.front.socket.fileno() in events and not self.front.socket.recv(1, socket.MSG_PEEK):
            raise ConnectionError("the back end closed the connection")
        return any([ring.called() for ring in rings])

    def collect(self):
        """Move what the device has written from the rings to `frames`. Return: how many frames there are."""
        for ring in self.receivers:
            parts = self.parts.setdefault(ring.index, [])
            for cookie, length in ring.take():
                parts.append(self.memory.read(cookie[0], length))
                self.last_written = pages(cookie[0], length)
                self.written |= self.last_written
                self.give_back(ring, cookie)
                header = Header.unpack(parts[0][:self.header_size])
                count = header.num_buffers if self.features & Feature.MRG_RXBUF else 1
                if len(parts[0]) < self.header_size or not count:
                    raise Broken(f"queue {ring.index}: {header} in {len(parts[0])} bytes")
                if self.exact and self.header_size == 12 and not self.features & Feature.MRG_RXBUF and header.num_buffers != 1:
                    raise Broken(f"num_buffers is {header.num_buffers} without mergeable buffers (virtio 1.2 section 5.1.6.4.1)")
                if len(parts) == count:
                    self.frames.append((header, b"".join(parts)[self.header_size:]))
                    parts.clear()
                if self.refill:
                    self.offer_buffer(ring)
            if self.refill:
                ring.publish()
        return len(self.frames)

    def receive(self, seconds=2.0):
        """The next frame with its header; (None, None) when the time is over."""
        end = time.monotonic() + seconds
        while not self.frames and not self.collect():
            left = end - time.monotonic()
            try:
                if left <= 0 or not self.wait(self.receivers, left):
                    return None, None
            except ConnectionError:
                # What came before the end lies in the ring.
                if not self.collect():
                    raise
        return self.frames.popleft()


class VhostGuest(Device, Guest):
    """The same with the interface of a played guest: scapy packets, neighbours answered. Checksums that come open are filled in."""

    def __init__(self, path, mac="02:00:00:00:00:01", ip="10.0.2.100", ip6=None, **options):
        self.play(mac, ip, ip6)
        Device.__init__(self, path, **options)

    def send_frames(self, frames, header=None, **options):
        self.transmit(*frames, header=header, **options)

    def read_frame(self, seconds):
        header, frame = self.receive(seconds)
        return None if frame is None else complete(header, frame)


__all__ = ["Broken", "Device", "Feature", "FrontEnd", "Full", "Header", "Memory", "Protocol", "Request", "VhostGuest", "complete"]

# SPDX-License-Identifier: MIT
"""A driver's side of a virtqueue, split or packed (virtio 1.2 sections 2.7 and 2.8), in a guest's memory. All addresses are guest addresses."""

import collections
import errno
import os
import random
import struct

from tests.support.vhost_memory import barrier

NEXT, WRITE, INDIRECT = 1, 2, 4
AVAIL, USED = 1 << 7, 1 << 15
DESCRIPTOR = struct.Struct("<QIHH")  # split: address, length, flags, next; packed: address, length, id, flags
NO_INTERRUPT = NO_NOTIFY = 1         # split: the flags of the available and the used ring
ENABLE, DISABLE, AT_DESCRIPTOR = 0, 1, 2  # packed: how events are wanted

Chain = collections.namedtuple("Chain", "cookie slots capacity")  # what is with the device: the caller's word for it, descriptors, writable bytes


class Full(Exception):
    """There are not as many free descriptors."""


class Broken(AssertionError):
    """The device did what no device may."""


def needs_event(event, new, old):
    """Is index `event` among those from old to new? (virtio 1.2 section 2.7.10, vring_need_event)"""
    return (new - event - 1) & 0xffff < (new - old) & 0xffff


class Ring:
    """What both kinds share. `index` is the queue's number in messages, `first` where the ring begins (an index, or a slot of a packed ring)."""

    def __init__(self, memory, index, size, event_idx=False, in_order=False, pipe=False, shuffle=None, region=None, first=0):
        self.memory, self.index, self.size, self.event_idx, self.in_order, self.first = memory, index, size, event_idx, in_order, first
        self.region = region or memory.regions[0]
        self.kick_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        if pipe:
            self.call_fd, self.call_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        else:
            self.call_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self.call_end = os.dup(self.call_fd)
        self.error_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.kicks = self.calls = 0
        self.chains = collections.OrderedDict()  # by id, oldest first
        free = list(range(size))
        if shuffle is not None and not in_order:
            random.Random(shuffle).shuffle(free)
        self.free = collections.deque(free)  # ids; as many of them as descriptors are free where chains take one each
        self.tables = {}                     # indirect tables, by id: address and entries
        self.addresses = self.layout()

    def close(self):
        for fd in (self.kick_fd, self.call_fd, self.call_end, self.error_fd):
            os.close(fd)

    def table(self, ident, entries, form):
        """Write an indirect table. Return: its address and size."""
        address, room = self.tables.get(ident, (0, 0))
        if room < len(entries):
            address, room = self.memory.allocate(len(entries) * 16, 16), len(entries)
            self.tables[ident] = (address, room)
        self.memory.write(address, b"".join(form(i, e) for i, e in enumerate(entries)))
        return address, len(entries) * 16

    def kick(self):
        """Wake the device."""
        self.kicks += 1
        os.eventfd_write(self.kick_fd, 1)

    def called(self):
        """Take the device's calls. Return: were there any?"""
        try:
            os.read(self.call_fd, 4096)
        except BlockingIOError:
            return False
        self.calls += 1
        return True

    def failed(self):
        """Has the device reported an error of this ring?"""
        try:
            os.eventfd_read(self.error_fd)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return False
            raise
        return True

    def publish(self):
        """Hand over what was added, and kick where the device wants it. Return: was it kicked?"""
        if not self.hand_over():
            return False
        barrier()
        if not self.wants_kick():
            return False
        self.kick()
        return True

    def finish(self, ident, length):
        """The device has used this chain: in order, all older ones too. Return: pairs of cookie and length, oldest first."""
        if ident not in self.chains:
            raise Broken(f"queue {self.index}: the device used {ident}, which it does not have")
        done = []
        while True:
            oldest = next(iter(self.chains)) if self.in_order else ident
            chain = self.chains.pop(oldest)
            self.release(oldest, chain)
            done.append((chain, chain.cookie, length if oldest == ident else chain.capacity))
            if oldest == ident:
                break
        if length > done[-1][0].capacity:
            raise Broken(f"queue {self.index}: {length} bytes written where {done[-1][0].capacity} fit")
        return done

    def take(self):
        """All that the device has used since. Return: pairs of cookie and bytes written."""
        taken = []
        while self.pending():
            taken += [(cookie, length) for _, cookie, length in self.take_one()]
        return taken


class SplitRing(Ring):
    packed = False

    def layout(self):
        allocate = self.memory.allocate
        self.desc = allocate(16 * self.size, 16, self.region)
        self.avail = allocate(6 + 2 * self.size, 2, self.region)
        self.used = allocate(6 + 8 * self.size, 4, self.region)
        self.log_address = self.used
        self.reset()
        return self.desc, self.used, self.avail

    def device_writes(self):
        return [(self.used, 6 + 8 * self.size)]

    def reset(self):
        """As a driver begins with it. Nothing is with the device."""
        self.memory.write(self.desc, bytes(16 * self.size))
        self.memory.write(self.avail, bytes(6 + 2 * self.size))
        self.memory.write(self.used, bytes(6 + 8 * self.size))
        self.memory.set16(self.avail + 2, self.first)
        self.memory.set16(self.used + 2, self.first)
        self.next = self.last_used = self.first
        self.added = 0
        self.base = self.position()  # what SET_VRING_BASE says; a device that stops says where to go on
        for ident in list(self.chains):
            self.release(ident, self.chains.pop(ident))
        if self.in_order:
            self.free = collections.deque(range(self.size))

    def position(self):
        """Where we stand, in the words of SET_VRING_BASE: where the device stands too when it has used all that we have taken."""
        return self.last_used

    @property
    def used_event(self):
        return self.avail + 4 + 2 * self.size

    @property
    def avail_event(self):
        return self.used + 4 + 8 * self.size

    def release(self, ident, chain):
        self.free.extend(chain.slots)

    def write_descriptor(self, slot, address, length, flags, following):
        self.memory.write(self.desc + 16 * slot, DESCRIPTOR.pack(address, length, flags, following))

    def add(self, buffers, cookie=None, indirect=False):
        """Prepare a chain of (address, length, writable) for the device; publish() hands it over. Return: its head."""
        needed = 1 if indirect else len(buffers)
        if needed > len(self.free):
            raise Full
        slots = [self.free.popleft() for _ in range(needed)]
        head = slots[0]
        if indirect:
            last = len(buffers) - 1
            address, size = self.table(head, buffers, lambda i, b: DESCRIPTOR.pack(
                b[0], b[1], (WRITE if b[2] else 0) | (NEXT if i < last else 0), i + 1 if i < last else 0))
            self.write_descriptor(head, address, size, INDIRECT, 0)
        else:
            for slot, following, (address, length, writable) in zip(slots, slots[1:] + [None], buffers):
                self.write_descriptor(slot, address, length, (WRITE if writable else 0) | (0 if following is None else NEXT), following or 0)
        self.chains[head] = Chain(cookie, slots, sum(b[1] for b in buffers if b[2]))
        self.offer(head)
        return head

    def offer(self, head):
        """Put a head into the available ring as it is; publish() hands it over."""
        self.memory.set16(self.avail + 4 + 2 * ((self.next + self.added) % self.size), head)
        self.added += 1

    def hand_over(self):
        added, self.before = self.added, self.next
        self.next = (self.next + self.added) & 0xffff
        self.added = 0
        if added:
            self.memory.set16(self.avail + 2, self.next)
        return added

    def wants_kick(self):
        if self.event_idx:
            return needs_event(self.memory.get16(self.avail_event), self.next, self.before)
        return not self.memory.get16(self.used) & NO_NOTIFY

    def pending(self):
        """How many entries of the used ring we have not taken."""
        count = (self.memory.get16(self.used + 2) - self.last_used) & 0xffff
        if count > self.size:
            raise Broken(f"queue {self.index}: the used index ran {count} ahead")
        return count

    def take_one(self):
        ident, length = self.memory.unpack("<II", self.used + 4 + 8 * (self.last_used % self.size))
        done = self.finish(ident, length)
        self.last_used = (self.last_used + len(done)) & 0xffff
        return done

    def arm(self):
        """Ask for a call at the next used chain. Return: is there none yet?"""
        if self.event_idx:
            self.memory.set16(self.used_event, self.last_used)
        else:
            self.memory.set16(self.avail, 0)
        barrier()
        return not self.pending()

    def disarm(self):
        """Ask for no calls. With EVENT_IDX there are none anyway until the next arm()."""
        if not self.event_idx:
            self.memory.set16(self.avail, NO_INTERRUPT)


class PackedRing(Ring):
    packed = True

    def layout(self):
        self.desc = self.memory.allocate(16 * self.size, 16, self.region)
        self.driver = self.memory.allocate(4, 4, self.region)
        self.device = self.memory.allocate(4, 4, self.region)
        self.log_address = self.desc
        self.reset()
        return self.desc, self.device, self.driver

    def device_writes(self):
        return [(self.desc, 16 * self.size), (self.device, 4)]

    def reset(self):
        self.memory.write(self.desc, bytes(16 * self.size))
        self.memory.write(self.driver, bytes(4))
        self.memory.write(self.device, bytes(4))
        self.next = self.last_used = self.first
        self.avail_wrap = self.used_wrap = 1
        self.heads = []
        self.added = 0
        self.base = self.position()  # what SET_VRING_BASE says; a device that stops says where to go on
        for ident in list(self.chains):
            self.release(ident, self.chains.pop(ident))
        self.left = self.size

    def position(self):
        """Two places with their wrap counters: of the next chain that is made available, and of the next that is used."""
        position = self.last_used | self.used_wrap << 15
        return position | position << 16

    def release(self, ident, chain):
        self.free.append(ident)
        self.left += chain.slots

    def add(self, buffers, cookie=None, indirect=False):
        needed = 1 if indirect else len(buffers)
        if needed > self.left or not self.free:
            raise Full
        ident = self.free.popleft()
        if indirect:
            address, size = self.table(ident, buffers, lambda _, b: DESCRIPTOR.pack(b[0], b[1], 0, WRITE if b[2] else 0))
            entries = [(address, size, INDIRECT)]
        else:
            entries = [(b[0], b[1], (WRITE if b[2] else 0) | (NEXT if i < needed - 1 else 0)) for i, b in enumerate(buffers)]
        self.write_chain(entries, ident)
        self.chains[ident] = Chain(cookie, needed, sum(b[1] for b in buffers if b[2]))
        self.left -= needed
        return ident

    def write_chain(self, entries, ident):
        """Entries of (address, length, flags) at our position; the flags of the first are written when the chain is handed over."""
        for number, (address, length, flags) in enumerate(entries):
            at = self.desc + 16 * self.next
            flags |= AVAIL if self.avail_wrap else USED
            self.memory.write(at, struct.pack("<QIH", address, length, ident))
            if number:
                self.memory.set16(at + 14, flags)
            else:
                self.heads.append((at + 14, flags))
            self.next += 1
            if self.next == self.size:
                self.next, self.avail_wrap = 0, self.avail_wrap ^ 1
        self.added += len(entries)

    def hand_over(self):
        self.before = self.next - self.added
        added, self.added = self.added, 0
        for at, flags in reversed(self.heads):
            self.memory.set16(at, flags)
        self.heads = []
        return added

    def wants_kick(self):
        position, flags = self.memory.get16(self.device), self.memory.get16(self.device + 2)
        if flags == AT_DESCRIPTOR and self.event_idx:
            event = position & 0x7fff
            if position >> 15 != self.avail_wrap:
                event -= self.size
            return needs_event(event, self.next, self.before)
        return flags != DISABLE

    def pending(self):
        flags = self.memory.get16(self.desc + 16 * self.last_used + 14)
        return int(bool(flags & AVAIL) == bool(flags & USED) == bool(self.used_wrap) and self.left < self.size)

    def take_one(self):
        _, length, ident, flags = DESCRIPTOR.unpack(self.memory.read(self.desc + 16 * self.last_used, 16))
        done = self.finish(ident, length if flags & WRITE else 0)
        self.last_used += sum(chain.slots for chain, _, _ in done)
        if self.last_used >= self.size:
            self.last_used, self.used_wrap = self.last_used - self.size, self.used_wrap ^ 1
        return done

    def arm(self):
        if self.event_idx:
            self.memory.set16(self.driver, self.last_used | self.used_wrap << 15)
        self.memory.set16(self.driver + 2, AT_DESCRIPTOR if self.event_idx else ENABLE)
        barrier()
        return not self.pending()

    def disarm(self):
        self.memory.set16(self.driver + 2, DISABLE)

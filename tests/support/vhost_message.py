# SPDX-License-Identifier: MIT
"""The messages of a vhost-user front end, right or wrong, one at a time (QEMU's docs/interop/vhost-user.rst). Nothing is sent by itself."""

import enum
import os
import select
import socket
import struct
import time

HEAD = struct.Struct("=III")            # request, flags, size of the payload
STATE = struct.Struct("=II")            # index, number
ADDRESS = struct.Struct("=IIQQQQ")      # index, flags, descriptors, used, available, log
REGION = struct.Struct("=QQQQ")         # guest address, size, user address, offset in the file
INFLIGHT = struct.Struct("=QQHH")       # size, offset, queues, queue size
CONFIG = struct.Struct("=III")          # offset, size, flags; then the bytes
VERSION, IS_REPLY, NEED_REPLY = 1, 1 << 2, 1 << 3
NO_FD = 1 << 8                          # SET_VRING_KICK, _CALL, _ERR: no descriptor comes with it


class Request(enum.IntEnum):
    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    RESET_OWNER = 4
    SET_MEM_TABLE = 5
    SET_LOG_BASE = 6
    SET_LOG_FD = 7
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13
    SET_VRING_ERR = 14
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    GET_QUEUE_NUM = 17
    SET_VRING_ENABLE = 18
    SEND_RARP = 19
    NET_SET_MTU = 20
    SET_BACKEND_REQ_FD = 21
    IOTLB_MSG = 22
    SET_VRING_ENDIAN = 23
    GET_CONFIG = 24
    SET_CONFIG = 25
    POSTCOPY_ADVISE = 28
    POSTCOPY_LISTEN = 29
    POSTCOPY_END = 30
    GET_INFLIGHT_FD = 31
    SET_INFLIGHT_FD = 32
    RESET_DEVICE = 34
    VRING_KICK = 35
    GET_MAX_MEM_SLOTS = 36
    ADD_MEM_REG = 37
    REM_MEM_REG = 38
    SET_STATUS = 39
    GET_STATUS = 40


class Feature(enum.IntFlag):
    """Feature bits: virtio-net's, virtio's, and vhost's own."""
    CSUM = 1 << 0
    GUEST_CSUM = 1 << 1
    MTU = 1 << 3
    MAC = 1 << 5
    GUEST_TSO4 = 1 << 7
    GUEST_TSO6 = 1 << 8
    HOST_TSO4 = 1 << 11
    HOST_TSO6 = 1 << 12
    MRG_RXBUF = 1 << 15
    STATUS = 1 << 16
    CTRL_VQ = 1 << 17
    GUEST_ANNOUNCE = 1 << 21
    MQ = 1 << 22
    LOG_ALL = 1 << 26
    INDIRECT_DESC = 1 << 28
    EVENT_IDX = 1 << 29
    PROTOCOL_FEATURES = 1 << 30
    VERSION_1 = 1 << 32
    ACCESS_PLATFORM = 1 << 33
    RING_PACKED = 1 << 34
    IN_ORDER = 1 << 35
    GUEST_USO4 = 1 << 54
    GUEST_USO6 = 1 << 55
    HOST_USO = 1 << 56


class Protocol(enum.IntFlag):
    """Protocol feature bits."""
    MQ = 1 << 0
    LOG_SHMFD = 1 << 1
    RARP = 1 << 2
    REPLY_ACK = 1 << 3
    NET_MTU = 1 << 4
    BACKEND_REQ = 1 << 5
    CONFIG = 1 << 9
    INFLIGHT_SHMFD = 1 << 12
    RESET_DEVICE = 1 << 13
    INBAND_NOTIFICATIONS = 1 << 14
    CONFIGURE_MEM_SLOTS = 1 << 15
    STATUS = 1 << 16


class FrontEnd:
    """One connection to a back end.

    The methods named after messages send that message rightly; `flags`, `size`, `payload` and `fds` among their options make it wrong.
    Where `acknowledged` is true (REPLY_ACK was negotiated) a message without a reply of its own asks for one: 0, or the error's number.
    """

    def __init__(self, path, seconds=3.0):
        self.seconds = seconds
        self.acknowledged = False
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(seconds)
        self.socket.connect(str(path))

    def close(self):
        self.socket.close()

    # bytes and messages

    def raw(self, data, fds=()):
        """Bytes as they are; the descriptors go with the first of them."""
        sent = socket.send_fds(self.socket, [data], list(fds)) if fds else self.socket.send(data)
        while sent < len(data):
            sent += self.socket.send(data[sent:])

    def message(self, request, payload=b"", fds=(), flags=VERSION, size=None):
        self.raw(HEAD.pack(request, flags, len(payload) if size is None else size) + payload, fds)

    def exactly(self, count, fds, seconds):
        """So many bytes of the back end; its descriptors are appended to fds."""
        data, end = b"", time.monotonic() + seconds
        while len(data) < count:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                part, came, _, _ = socket.recv_fds(self.socket, count - len(data), 16)
            except ConnectionResetError:
                part, came = b"", []
            fds += came
            if not part:
                raise ConnectionError("the back end closed the connection")
            data += part
        return data

    def reply(self, request, seconds=None):
        """The next reply, which must be to this request. Return: its payload and its descriptors."""
        fds = []
        came, flags, size = HEAD.unpack(self.exactly(HEAD.size, fds, seconds or self.seconds))
        payload = self.exactly(size, fds, seconds or self.seconds)
        assert came == request, f"a reply to {came}, not to {Request(request).name}"
        assert flags & (IS_REPLY | 3) == IS_REPLY | VERSION, f"flags {flags:#x} in a reply"
        return payload, fds

    def ask(self, request, payload=b"", **wrong):
        """A message with a reply of its own. Return: the reply's payload and descriptors."""
        self.message(request, payload, **wrong)
        return self.reply(request)

    def ask_number(self, request, payload=b"", **wrong):
        payload, fds = self.ask(request, payload, **wrong)
        assert len(payload) == 8 and not fds
        return struct.unpack("=Q", payload)[0]

    def tell(self, request, payload=b"", fds=(), **wrong):
        """A message without a reply of its own. Return: the acknowledgement, or None where none was negotiated."""
        if not self.acknowledged:
            self.message(request, payload, fds, **wrong)
            return None
        wrong.setdefault("flags", VERSION | NEED_REPLY)
        self.message(request, payload, fds, **wrong)
        if not wrong["flags"] & NEED_REPLY:
            return None
        answer, came = self.reply(request)
        assert len(answer) == 8 and not came
        return struct.unpack("=Q", answer)[0]

    def sync(self):
        """Wait until the back end has handled everything before this."""
        return self.get_features()

    def closed(self, seconds=1.0):
        """Does the back end close the connection within so many seconds? What it says meanwhile is thrown away."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                return False
            try:
                data, fds, _, _ = socket.recv_fds(self.socket, 65536, 16)
            except ConnectionResetError:
                return True
            for fd in fds:
                os.close(fd)
            if not data:
                return True
        return False

    # features

    def get_features(self, **wrong):
        return self.ask_number(Request.GET_FEATURES, **wrong)

    def set_features(self, features, **wrong):
        return self.tell(Request.SET_FEATURES, struct.pack("=Q", features), **wrong)

    def get_protocol_features(self, **wrong):
        return self.ask_number(Request.GET_PROTOCOL_FEATURES, **wrong)

    def set_protocol_features(self, features, **wrong):
        answer = self.tell(Request.SET_PROTOCOL_FEATURES, struct.pack("=Q", features), **wrong)
        self.acknowledged = bool(features & Protocol.REPLY_ACK)
        return answer

    def set_owner(self, **wrong):
        return self.tell(Request.SET_OWNER, **wrong)

    def reset_owner(self, **wrong):
        return self.tell(Request.RESET_OWNER, **wrong)

    def reset_device(self, **wrong):
        return self.tell(Request.RESET_DEVICE, **wrong)

    def get_queue_num(self, **wrong):
        return self.ask_number(Request.GET_QUEUE_NUM, **wrong)

    # memory

    def set_mem_table(self, regions, count=None, room=None, **wrong):
        """The table of regions; `count` lies about their number, `room` makes the payload as large as for so many of them."""
        payload = STATE.pack(len(regions) if count is None else count, 0) + b"".join(region.describe() for region in regions)
        payload += bytes(max((room or 0) - len(regions), 0) * REGION.size)
        wrong.setdefault("payload", payload)
        wrong.setdefault("fds", [region.fd for region in regions])
        return self.tell(Request.SET_MEM_TABLE, **wrong)

    def get_max_mem_slots(self, **wrong):
        return self.ask_number(Request.GET_MAX_MEM_SLOTS, **wrong)

    def add_mem_reg(self, region, **wrong):
        wrong.setdefault("fds", [region.fd])
        return self.tell(Request.ADD_MEM_REG, bytes(8) + region.describe(), **wrong)

    def rem_mem_reg(self, region, **wrong):
        return self.tell(Request.REM_MEM_REG, bytes(8) + region.describe(), **wrong)

    def set_log_base(self, size, offset, fd, **wrong):
        """Where the log of changed pages is. With LOG_SHMFD, which this is for, it has a reply of its own."""
        wrong.setdefault("fds", [fd])
        return self.ask(Request.SET_LOG_BASE, struct.pack("=QQ", size, offset), **wrong)

    def set_log_fd(self, fd, **wrong):
        wrong.setdefault("fds", [fd])
        return self.tell(Request.SET_LOG_FD, **wrong)

    def get_inflight_fd(self, queues, size, **wrong):
        """Return: the size and offset of the area, and the descriptors that came."""
        payload, fds = self.ask(Request.GET_INFLIGHT_FD, INFLIGHT.pack(0, 0, queues, size), **wrong)
        return INFLIGHT.unpack(payload), fds

    def set_inflight_fd(self, size, offset, queues, queue_size, fd, **wrong):
        wrong.setdefault("fds", [fd])
        return self.tell(Request.SET_INFLIGHT_FD, INFLIGHT.pack(size, offset, queues, queue_size), **wrong)

    # rings

    def set_vring_num(self, index, number, **wrong):
        return self.tell(Request.SET_VRING_NUM, STATE.pack(index, number), **wrong)

    def set_vring_addr(self, index, descriptors, used, available, flags=0, log=0, **wrong):
        """The three parts of a ring, by user addresses."""
        return self.tell(Request.SET_VRING_ADDR, ADDRESS.pack(index, flags, descriptors, used, available, log), **wrong)

    def set_vring_base(self, index, base, **wrong):
        return self.tell(Request.SET_VRING_BASE, STATE.pack(index, base), **wrong)

    def get_vring_base(self, index, **wrong):
        """Stop a ring. Return: where it stopped."""
        payload, fds = self.ask(Request.GET_VRING_BASE, STATE.pack(index, 0), **wrong)
        assert len(payload) == STATE.size and not fds
        answered, base = STATE.unpack(payload)
        assert answered == index
        return base

    def set_vring_fd(self, request, index, fd, **wrong):
        wrong.setdefault("fds", [] if fd is None else [fd])
        return self.tell(request, struct.pack("=Q", index | (NO_FD if fd is None else 0)), **wrong)

    def set_vring_kick(self, index, fd, **wrong):
        return self.set_vring_fd(Request.SET_VRING_KICK, index, fd, **wrong)

    def set_vring_call(self, index, fd, **wrong):
        return self.set_vring_fd(Request.SET_VRING_CALL, index, fd, **wrong)

    def set_vring_err(self, index, fd, **wrong):
        return self.set_vring_fd(Request.SET_VRING_ERR, index, fd, **wrong)

    def set_vring_enable(self, index, enable=1, **wrong):
        return self.tell(Request.SET_VRING_ENABLE, STATE.pack(index, enable), **wrong)

    # the device

    def send_rarp(self, mac, **wrong):
        return self.tell(Request.SEND_RARP, bytes.fromhex(mac.replace(":", "")) + bytes(2), **wrong)

    def net_set_mtu(self, mtu, **wrong):
        return self.tell(Request.NET_SET_MTU, struct.pack("=Q", mtu), **wrong)

    def set_backend_req_fd(self, fd, **wrong):
        wrong.setdefault("fds", [fd])
        return self.tell(Request.SET_BACKEND_REQ_FD, **wrong)

    def get_config(self, offset, size, **wrong):
        """Bytes of the configuration space; None where the back end says (by an empty payload) that it cannot."""
        payload, fds = self.ask(Request.GET_CONFIG, CONFIG.pack(offset, size, 0) + bytes(size), **wrong)
        assert not fds
        if not payload:
            return None
        assert CONFIG.unpack(payload[:CONFIG.size])[:2] == (offset, size) and len(payload) == CONFIG.size + size
        return payload[CONFIG.size:]

    def set_config(self, offset, data, flags=0, **wrong):
        message_flags = {"flags": wrong.pop("message_flags")} if "message_flags" in wrong else {}
        return self.tell(Request.SET_CONFIG, CONFIG.pack(offset, len(data), flags) + data, **message_flags, **wrong)

    def set_status(self, status, **wrong):
        return self.tell(Request.SET_STATUS, struct.pack("=Q", status), **wrong)

    def get_status(self, **wrong):
        return self.ask_number(Request.GET_STATUS, **wrong)

# SPDX-License-Identifier: MIT
"""Ours: hospesd as an ordinary user, with each of its ports."""

import array
import fcntl
import json
import os
import shutil
import socket
import stat
import struct

from bench.peers.peer import Attachment, Peer, mac
from bench.scene import BACK_CORE, BUILD, Missing, wait_for

USER = 61235  # an ordinary user that owns nothing else
TUNSETIFF = 0x400454ca
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000


class Hospes(Peer):
    HOST = "10.0.2.2"

    def start(self):
        if not (BUILD / "hospesd").exists():
            raise Missing(f"{BUILD}/hospesd is not built")
        self.scene.with_uplink()
        folder = self.scene.folder
        for name in ("home", "run"):
            (folder / name).mkdir()
            os.chown(folder / name, USER, USER)
        # The tree may be where that user cannot read.
        shutil.copy(BUILD / "hospesd", folder / "hospesd")
        config = folder / "bench.lan"
        config.write_text(f"[LAN]\nIPv4 = 10.0.2.0/24\nHostAccess = full\nMTU = {self.scene.mtu}\n")
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder / "home"), "XDG_RUNTIME_DIR": str(folder / "run")}
        self.runtime = folder / "run" / "hospes" / "bench"
        words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs", "--inh-caps=-all", "--pdeathsig", "KILL", "--",
                 folder / "hospesd", "--lan", "bench", "--foreground", "--config", config]
        self.processes.append(self.scene.spawn(words, self.scene.host, BACK_CORE, env=environment))
        wait_for(lambda: self.check() or (self.runtime / "control").exists(), 10, "hospesd's control socket")

    def control(self):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(10)
        connection.connect(str(self.runtime / "control"))
        return connection

    def socket_attachment(self, kind, number):
        path = self.runtime / kind
        if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
            raise Missing(f"this hospesd has no {kind} socket")
        return Attachment(kind, self.HOST, path=str(path), mac=mac(number), own_path=str(self.runtime / f"dgram.guest{number}"))


class HospesStream(Hospes):
    name, kinds = "hospes stream", ("stream",)

    def attach(self, number, kind):
        return self.socket_attachment("stream", number)


class HospesDgram(Hospes):
    name, kinds = "hospes dgram", ("dgram",)

    def attach(self, number, kind):
        return self.socket_attachment("dgram", number)


class HospesVhost(Hospes):
    name, kinds = "hospes vhost", ("vhost",)

    def attach(self, number, kind):
        return self.socket_attachment("vhost", number)


class HospesTap(Hospes):
    name, kinds = "hospes tap", ("netns",)

    def attach(self, number, kind):
        netns = self.scene.netns(f"guest{number}")
        with netns.entered():
            tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        connection = self.control()
        call = {"method": "org.hospes.Lan.AttachTap", "parameters": {"name": f"guest{number}"}}
        connection.sendmsg([json.dumps(call).encode() + b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [tap]))])
        os.close(tap)
        reply = json.loads(connection.recv(65536).rstrip(b"\0"))
        if "error" in reply:
            raise RuntimeError(f"AttachTap: {reply}")
        self.scene.closers.append(connection.close)
        lease = reply["parameters"]
        return Attachment("netns", self.HOST, netns=netns, mac=lease["mac"], address=f"{lease['address4']}/{lease['bits4']}", gateway=lease["gateway4"])

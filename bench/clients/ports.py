# SPDX-License-Identifier: MIT
"""The generator on a LAN's stream socket: not guests, but as many ports or flows as a row wants."""

import json
import os
import select
import subprocess
import time

from bench.measure import Process
from bench.scene import BACK_CORE, TOOLS


class Ports:
    kinds = ("stream", "sockets")
    loopback = False

    @classmethod
    def make(cls, scene, peer, guests, core):
        return [cls(scene, peer.attach(0, next(kind for kind in cls.kinds if kind in peer.kinds)), core(0))]

    def __init__(self, scene, attachment, core):
        self.scene, self.attachment, self.core, self.process = scene, attachment, core, None
        self.host = attachment.host

    def begin(self, words):
        """Start it anew; it is ready when ports or flows are there."""
        self.end()
        self.process = self.scene.spawn([TOOLS / "ports", *words], self.scene.host, self.core if self.attachment.path else BACK_CORE,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if self.line(60) != "READY":
            raise RuntimeError("ports is not ready")

    def measure(self, seconds):
        self.process.stdin.write(f"{seconds}\n".encode())
        self.process.stdin.flush()
        return json.loads(self.line(seconds + 10))

    def line(self, seconds):
        end, text = time.monotonic() + seconds, b""
        while not text.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise RuntimeError(f"ports says nothing for {seconds} s")
            data = os.read(self.process.stdout.fileno(), 4096)
            if not data:
                raise RuntimeError(f"ports ended: {text.decode(errors='replace')}")
            text += data
        if not text.startswith((b"READY", b"{")):
            raise RuntimeError(text.decode(errors="replace").strip())
        return text.decode().strip()

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait(5)
            self.process = None

    def backends(self):
        """Without a backend between, the generator's sockets are what a flow costs."""
        return [] if self.attachment.path else [Process(self.process.pid)]

# SPDX-License-Identifier: MIT
"""testpmd's virtio-user: a vhost-user front end like a guest's driver, with two ports that send to each other. It polls, and never looks at what it carries."""

import os
import select
import subprocess
import time

from bench.peers.dpdk import OWN_RUN, port_counters
from bench.scene import need


class TestpmdPair:
    """One process is both guests. The number of packets in flight is fixed: bursts of 32 are put in once and go round."""

    kinds = ("vhost",)
    options = ""
    loopback = False
    BURSTS = 8

    @classmethod
    def make(cls, scene, peer, guests, core):
        return [cls(scene, [peer.attach(number, "vhost") for number in range(2)], core(0))]

    def __init__(self, scene, attachments, core):
        need("dpdk-testpmd")
        self.scene = scene
        devices = [word for number, attachment in enumerate(attachments) for word in (
            "--vdev", f"net_virtio_user{number},path={attachment.path},queues=1,queue_size=1024,mac={attachment.mac}{self.options}")]
        peers = [f"--eth-peer={number},{attachments[1 - number].mac}" for number in range(2)]
        words = [*OWN_RUN, "stdbuf", "-oL", "dpdk-testpmd", "--lcores", f"0@{core},1@{core}", "--no-huge", "-m", "512", "--no-pci", "--file-prefix=front",
                 "--no-telemetry", *devices, "--", "-i", "--nb-cores=1", "--total-num-mbufs=32768", *peers]
        self.process = scene.spawn(words, scene.host, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.warm = False
        os.set_blocking(self.process.stdout.fileno(), False)
        scene.pollers.append(self.process)
        self.read_prompt(20)

    def read_prompt(self, seconds=10):
        text, end = "", time.monotonic() + seconds
        while not text.endswith("testpmd> "):
            left = end - time.monotonic()
            if left <= 0 or self.process.poll() is not None:
                raise RuntimeError(f"testpmd does not answer: {text[-800:]}")
            if select.select([self.process.stdout], [], [], min(left, 0.5))[0]:
                text += os.read(self.process.stdout.fileno(), 65536).decode(errors="replace")
        return text

    def command(self, line, seconds=10):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self.read_prompt(seconds)

    def begin(self, size):
        """So many bursts go round from now on, and nothing of an earlier sample."""
        if not self.warm:
            # A switch may take a while to notice both ports, and to learn; what it gets before that is lost.
            self.warm = True
            self.restart(size)
            self.wait_moving(15)
        self.restart(size)
        self.wait_moving(5)

    def restart(self, size):
        self.command("stop")
        self.command("set fwd rxonly")
        self.command("start")
        time.sleep(0.2)
        self.command("stop")
        self.command("set fwd mac")
        self.command(f"set txpkts {size}")
        self.command(f"start tx_first {self.BURSTS}")

    def wait_moving(self, seconds):
        end = time.monotonic() + seconds
        before = self.packets()[0]
        while True:
            time.sleep(0.1)
            now = self.packets()[0]
            if now > before + 10000:
                return
            if time.monotonic() > end:
                raise RuntimeError("frames do not come back")
            before = now

    def end(self):
        self.command("stop")

    def packets(self):
        """Received by both ports, and when."""
        counters = port_counters(self.command("show port stats all"))
        if len(counters) != 2:
            raise RuntimeError("testpmd shows no counters")
        return sum(counters), time.monotonic()

    def backends(self):
        return []


class TestpmdPacked(TestpmdPair):
    options = ",packed_vq=1"

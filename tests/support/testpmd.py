# SPDX-License-Identifier: MIT
"""DPDK's testpmd with virtio-user: one process that is two guests with vhost-user front ends, which nobody here wrote. It polls; it never looks at what it carries."""

import os
import re
import select
import subprocess
import time

from tests.support.lan import as_user

MACS = "02:00:00:00:00:10", "02:00:00:00:00:11"


class Testpmd:
    """Frames go round between its two ports, through the LAN. `options` are virtio-user's, `more` are testpmd's own."""

    __test__ = False

    def __init__(self, netns, daemon, options="", queues=1, more=()):
        words = ["stdbuf", "-oL", "dpdk-testpmd", "--lcores", "0@0,1@1", "--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "--no-shconf"]
        for number, mac in enumerate(MACS):
            words += ["--vdev", f"net_virtio_user{number},path={daemon.runtime}/vhost,queues={queues},queue_size=1024,mac={mac}{options}"]
        words += ["--", "-i", "--nb-cores=1", "--total-num-mbufs=16384", f"--rxq={queues}", f"--txq={queues}"]
        words += [f"--eth-peer={number},{MACS[1 - number]}" for number in (0, 1)] + list(more)
        self.process = subprocess.Popen(netns.command(as_user(words)), env=daemon.home.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.read_prompt(20)

    def read_prompt(self, seconds=10):
        text, end = "", time.monotonic() + seconds
        while not text.endswith("testpmd> "):
            left = end - time.monotonic()
            assert left > 0 and self.process.poll() is None, f"testpmd does not answer: {text[-2000:]}"
            if select.select([self.process.stdout], [], [], min(left, 0.5))[0]:
                text += (os.read(self.process.stdout.fileno(), 65536) or b"").decode(errors="replace")
        return text

    def command(self, *lines):
        """Type lines; the output of the last one."""
        for line in lines:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
            text = self.read_prompt()
        return text

    def start(self, sizes="64", bursts=8):
        """Put bursts of 32 frames into each transmit queue, and send on whatever comes. sizes: of a frame's pieces, by commas"""
        self.command("set fwd mac", f"set txpkts {sizes}", f"start tx_first {bursts}")

    def stop(self):
        """Stop sending; what is on its way is received, and nothing is on its way after that."""
        self.command("stop", "set fwd rxonly", "start")
        time.sleep(0.3)
        self.command("stop")

    def counters(self):
        """By port: packets received and sent, and what did not get there."""
        found = re.findall(r"RX-packets: (\d+) +RX-missed: (\d+) +RX-bytes: +(\d+)\s+RX-errors: (\d+)\s+RX-nombuf: +(\d+)\s+TX-packets: (\d+) +TX-errors: (\d+) +TX-bytes: +(\d+)",
                           self.command("show port stats all"))
        names = "received", "missed", "received_bytes", "errors", "nombuf", "sent", "unsent", "sent_bytes"
        return [dict(zip(names, map(int, port))) for port in found]

    def queue_counters(self):
        """Received packets by port and queue."""
        return [[int(n) for n in re.findall(r"rx_q\d+_good_packets: (\d+)", self.command(f"show port xstats {port}"))] for port in (0, 1)]

    def kill(self):
        """SIGKILL, in the middle of whatever it does."""
        self.process.kill()
        self.process.wait(10)
        self.close()

    def close(self):
        """End it, if it has not ended yet."""
        if self.process.poll() is None:
            self.process.stdin.write(b"quit\n")
            self.process.stdin.flush()
            try:
                self.process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if not pipe.closed:
                pipe.close()

# SPDX-License-Identifier: MIT
"""Guests with a shell on their console (initrd.py): User-mode Linux, and QEMU with a vhost-user card. The bench has them, too."""

import itertools
import os
import select
import signal
import subprocess
import time

DHCP = "udhcpc -i eth0 -n -q -f -t 10 -T 1 -O mtu -s /dhcp-event"
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}


class Shell:
    """The shell behind a process's standard input and output: one command at a time. What goes wrong is a RuntimeError, with our `name`."""

    marks = itertools.count()
    boot_seconds = 60

    def attach(self, process):
        """Talk to a process that was started with PIPES."""
        self.process, self.buffer = process, ""
        os.set_blocking(process.stdout.fileno(), False)

    def wait_ready(self):
        self.read_until("GUEST-READY\n", self.boot_seconds)

    def read_until(self, text, seconds):
        """What comes before a text; the rest is kept."""
        end = time.monotonic() + seconds
        while text not in self.buffer:
            left = end - time.monotonic()
            if left <= 0:
                raise RuntimeError(f"{self.name}: waited {seconds} s for {text!r}: {self.buffer[-2000:]}")
            if select.select([self.process.stdout], [], [], left)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    raise RuntimeError(f"{self.name} ended: {self.buffer[-4000:]}")
                self.buffer += data.decode(errors="replace").replace("\r", "")
        before, self.buffer = self.buffer.split(text, 1)
        return before

    def begin(self, line):
        """Start a line of shell; wait() is for its end."""
        self.mark = next(Shell.marks)
        # Split, so that they are no marks if they are echoed.
        self.process.stdin.write(f'echo "BEG""IN-{self.mark}-"; ( {line} ); echo "EN""D-{self.mark}-$?-"\n'.encode())
        self.process.stdin.flush()

    def wait(self, seconds=30, status=0):
        """The output of what was begun, stripped. Any other exit status is an error (None: all are fine)."""
        output = self.read_until(f"END-{self.mark}-", seconds)
        # What comes before it is an earlier command's, left in the background. It may have been read already.
        output = output.rpartition(f"BEGIN-{self.mark}-\n")[2].strip()
        got = int(self.read_until("-", 5))
        if status is not None and got != status:
            raise RuntimeError(f"{self.name}: status {got}: {output[-2000:]}")
        return output

    def shell(self, line, seconds=30, status=0):
        self.begin(line)
        return self.wait(seconds, status)

    def dhcp(self):
        """A lease for eth0, with its MTU. Return: the IPv4 address."""
        self.shell(DHCP, 30)
        return self.shell("ip -4 -o address show dev eth0 | sed 's/.*inet //; s/[/].*//'")


class Console(Shell):
    """A guest's process of a test. boot() starts it."""

    process = None

    def __init__(self, name, words, environment):
        self.name, self.words, self.environment = name, words, environment

    def boot(self):
        """Start it, and wait for its shell."""
        self.spawn()
        self.wait_ready()

    def spawn(self):
        self.close_pipes()
        self.attach(subprocess.Popen(self.words, env=self.environment, start_new_session=True, **PIPES))

    def wait_address6(self):
        """The IPv6 address that eth0 has by advertisement, when it has one."""
        line = "until ip -6 -o address show dev eth0 scope global | grep -v tentative | grep inet6; do sleep 0.1; done"
        return self.shell(line, 20).split("inet6 ")[1].split("/")[0]

    def kill(self):
        """SIGKILL to it and what it has forked, in the middle of whatever it does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        self.close_pipes()

    def close_pipes(self):
        if self.process:
            self.process.stdin.close()
            self.process.stdout.close()

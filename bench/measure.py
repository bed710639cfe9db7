# SPDX-License-Identifier: MIT
"""What a backend costs: processor time, sleeps, memory; and in which mode the machine is."""

import os
import pathlib
import time

from bench.scene import CORES, TOOLS, run


class Process:
    """A backend that is a whole process, with all its threads, those that have ended too."""

    def __init__(self, pid):
        self.pid = pid

    def cpu(self):
        # The process's own clock, in ns: clock_getcpuclockid(3) of another process.
        return time.clock_gettime_ns((~self.pid << 3) | 2)

    def split(self):
        """User and system time in ns, in ticks of 10 ms."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        tick = 10 ** 9 // os.sysconf("SC_CLK_TCK")
        return int(fields[11]) * tick, int(fields[12]) * tick

    def threads(self):
        return sorted(int(name) for name in os.listdir(f"/proc/{self.pid}/task"))

    def wakeups(self):
        """How often its threads have slept: each sleep ends in one wake-up."""
        return sum(switches(self.pid, tid) for tid in self.threads())

    def memory(self):
        """Private memory in bytes."""
        total = 0
        for line in pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
        return total


class QemuLoop(Process):
    """QEMU without its virtual processors: the network is carried by the main loop's thread."""

    def __init__(self, pid):
        super().__init__(pid)
        # By names that QEMU gives its threads with -name ...,debug-threads=on
        self.own = [tid for tid in super().threads() if not self.comm(tid).startswith("CPU ")]

    def comm(self, tid):
        return pathlib.Path(f"/proc/{self.pid}/task/{tid}/comm").read_text()

    def threads(self):
        return self.own

    def cpu(self):
        return sum(int(pathlib.Path(f"/proc/{self.pid}/task/{tid}/schedstat").read_text().split()[0]) for tid in self.alive())

    def alive(self):
        return [tid for tid in self.own if os.path.exists(f"/proc/{self.pid}/task/{tid}")]

    def wakeups(self):
        return sum(switches(self.pid, tid) for tid in self.alive())

    def split(self):
        return 0, 0

    def memory(self):
        return 0  # the guest's memory is in it: it says nothing


def switches(pid, tid):
    for line in pathlib.Path(f"/proc/{pid}/task/{tid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    return 0


def machine_busy():
    """Time in ns that all cores together were not idle since boot, without what the hypervisor stole."""
    fields = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) * (10 ** 9 // os.sysconf("SC_CLK_TCK"))


def spin():
    """The round trip between two cores in ns: the machine has a fast and a slow mode, and flips every few seconds."""
    if len(CORES) < 2:
        return 0.0
    return float(run([TOOLS / "spin", CORES[0], CORES[1], 20]))


class Meter:
    """with Meter(backends) as m: ...; then m.figures()."""

    def __init__(self, backends):
        self.backends = backends

    def read(self):
        return {
            "cpu": sum(b.cpu() for b in self.backends), "wakeups": sum(b.wakeups() for b in self.backends),
            "user": sum(b.split()[0] for b in self.backends), "system": sum(b.split()[1] for b in self.backends),
            "machine": machine_busy(), "time": time.monotonic_ns(),
        }

    def __enter__(self):
        self.before = self.read()
        return self

    def __exit__(self, *_):
        self.after = self.read()

    def figures(self):
        d = {key: self.after[key] - self.before[key] for key in self.after}
        return {
            "elapsed": d["time"] / 1e9, "cpu": d["cpu"] / 1e9, "cpu_user": d["user"] / 1e9, "cpu_system": d["system"] / 1e9,
            "machine_cpu": d["machine"] / 1e9, "wakeups": d["wakeups"], "load": os.getloadavg()[0],
        }

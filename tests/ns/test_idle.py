# SPDX-License-Identifier: MIT
"""An idle LAN sleeps, a LAN is up at once, and an idle guest costs little."""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from tests.support.lan import as_user, wait_for
from tests.support.vhost import OFFLOADS, PLAIN, UDP_OFFLOADS, VhostGuest
from tests.support.vhost_traffic import numbered, pass_all


def system_calls(pid, seconds, path):
    """What strace sees a process do in so many seconds; lines of system calls."""
    tracer = subprocess.Popen(["strace", "-f", "-q", "-p", str(pid), "-o", str(path)], stderr=subprocess.PIPE)
    time.sleep(seconds)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)
    return [line for line in path.read_text().splitlines() if re.search(r"\w+\(", line)]


def daemon_pid(daemon):
    return daemon.call("Status")["pid"]


def test_idle_lan_with_idle_guest_makes_no_system_call(world, start, attach, tmp_path):
    daemon = start()
    guest = attach(daemon, "quiet")
    pid = daemon_pid(daemon)
    # One question after the other: the LAN looks for the next one before it sleeps, and must not go on looking.
    subprocess.run(guest.command(["ping", "-f", "-q", "-c1000", "-W2", guest.lease["gateway4"]]), check=True, stdout=subprocess.DEVNULL, timeout=20)
    time.sleep(12)  # neighbour discovery of the guest's kernel has its last word
    quiet = system_calls(pid, 20, tmp_path / "quiet")
    # The call it sleeps in is shown as the tracer leaves; nothing else.
    assert all("epoll_" in line for line in quiet) and len(quiet) <= 1, quiet[:20]

    # The same look at a LAN that is not idle sees calls: the check can fail.
    pinging = subprocess.Popen(guest.command(["ping", "-c3", "-i0.3", guest.lease["gateway4"]]), stdout=subprocess.DEVNULL)
    assert len(system_calls(pid, 2, tmp_path / "busy")) > 3
    pinging.wait(10)


def test_up_within_50_ms(world, home):
    """From the command to a LAN that takes guests, with the process's own start: the best of five is the machine's, the median counts."""
    runtime = home.path / "run" / "hospes" / "default"
    times = []
    for _ in range(5):
        command = world.host.command(as_user([str(home.bin / "hospes"), "up"]))
        begin = time.monotonic()
        subprocess.run(command, env=home.environment, check=True, timeout=10, capture_output=True)
        times.append(time.monotonic() - begin)
        assert (runtime / "stream").exists() and (runtime / "control").exists()
        subprocess.run(world.host.command(as_user([str(home.bin / "hospes"), "down"])), env=home.environment, check=True, timeout=20, capture_output=True)
        wait_for(lambda: not runtime.exists() or not os.listdir(runtime), 5, "an empty runtime folder")
    print("up in", ", ".join(f"{1000 * t:.0f} ms" for t in times))
    assert sorted(times)[2] < 0.05, times


def private_bytes(daemon):
    """What a daemon alone holds in memory."""
    rollup = pathlib.Path(f"/proc/{daemon.process.pid}/smaps_rollup").read_text()
    return sum(int(kilobytes) for kilobytes in re.findall(r"^Private_\w+:\s*(\d+) kB", rollup, re.M)) << 10


def test_memory_of_a_further_idle_guest(world, start, home):
    """At most 2 MB private: a vhost-user guest with large and full rings that has sent and received something."""
    if b"__asan_init" in (home.bin / "hospesd").read_bytes():
        pytest.skip("a sanitizer's own memory would be counted")
    daemon, guests, held = start(), [], []
    try:
        for number in range(1, 10):
            guest = VhostGuest(daemon.runtime / "vhost", mac=f"02:00:00:00:00:{number:02x}", ip=f"10.0.2.{99 + number}", size=1024, pairs=2, event_idx=True,
                               features=PLAIN | OFFLOADS | UDP_OFFLOADS)
            guests.append(guest)
            guest.announce()
            if number > 1:
                pass_all(guest, guests[0], numbered([1514] * 200, guest.mac, guests[0].mac))
                pass_all(guests[0], guest, numbered([1514] * 200, guests[0].mac, guest.mac))
            held.append(private_bytes(daemon))
    finally:
        for guest in guests:
            guest.close()
    print("private memory with 1 to 9 guests:", held)
    assert (held[-1] - held[0]) / 8 <= 2 << 20

# SPDX-License-Identifier: MIT
"""What outlives what: leases, LANs beside each other, stop and down."""

import json
import shlex
import signal
import subprocess
import time

import pytest

from tests.support.lan import wait_for
from tests.support.user import BOOT, make_user


@pytest.fixture
def fresh(world):
    """A user of the test's own."""
    made = make_user(world)
    yield made
    made.down()
    made.remove()


def test_lease_survives(user):
    """The same name has the same MAC and the same address: when QEMU is started again, and when the LAN is."""
    user.hospes("run", "--detach", "--name", "other", "mini")
    user.hospes("run", "--detach", "--name", "web", "mini")
    user.wait_ssh("other", "web")
    before = user.guests()["web"]
    user.hospes("stop", "web", "other")
    user.hospes("run", "--detach", "--name", "web", "mini")
    user.wait_ssh("web")
    again = user.guests()["web"]
    assert (again["mac"], again["lease"]) == (before["mac"], before["lease"])
    assert before["lease"] in user.ssh("web", "ip -4 address show dev eth0")
    user.hospes("down")
    user.hospes("run", "--detach", "--name", "web", "mini")
    user.wait_ssh("web")
    assert user.guests()["web"]["lease"] == before["lease"]
    user.hospes("down")


def test_host_key_survives(user):
    """ssh believes a name by its host key: that stays, too."""
    def key():
        user.hospes("run", "--detach", "--name", "keyed", "mini")
        user.wait_ssh("keyed")
        text = user.run("hospes", "exec", "--", "ssh-keyscan", "-t", "ed25519", "keyed").split()
        user.hospes("stop", "keyed")
        return text[1:]

    assert key() == key() != []


def test_two_lans(fresh):
    """A second LAN beside the first: the same name on both, other networks, and no way from one to the other."""
    fresh.hospes("run", "--detach", "mini")
    fresh.hospes("run", "--detach", "-l", "lab", "mini")
    fresh.wait_ssh("mini")
    fresh.wait_ssh("mini", lan="lab")
    one, two = fresh.guests()["mini"], fresh.guests("lab")["mini"]
    assert one["mac"] != two["mac"]
    assert one["lease"].startswith("10.0.2.") and not two["lease"].startswith("10.0.2.")
    fresh.ssh("mini", "echo one >/www/which")
    fresh.ssh("mini", "echo two >/www/which", lan="lab")
    assert fresh.run("hospes", "exec", "--", "curl", "-sSf", "http://mini/which") == "one"
    assert fresh.run("hospes", "exec", "--lan", "lab", "--", "curl", "-sSf", "http://mini/which") == "two"
    assert "0 packets received" in fresh.ssh("mini", f"ping -c 1 -W 2 {two['lease']}; true")
    fresh.hospes("down", "lab")
    assert fresh.ssh("mini", "echo up") == "up", "the other LAN goes on"


def assert_nothing_left(user):
    wait_for(lambda: not user.processes(), 10, f"the end of {user.processes()}")
    assert [str(p) for p in (user.path / "run").rglob("*") if p.name != "hospes"] == []


def test_down_leaves_nothing(fresh):
    fresh.hospes("run", "--detach", "mini")
    fresh.hospes("run", "--detach", "--port", "dgram", "mini")
    fresh.wait_ssh("mini", "mini-2")
    assert len([p for p in fresh.processes() if p.startswith("qemu-system")]) == 2
    assert "2 guests ended" in fresh.hospes("down")
    assert_nothing_left(fresh)


def test_terminal(fresh):
    """Without --detach the guest's console is on the terminal, and the command ends with the guest."""
    process = fresh.popen("hospes", "run", "mini", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        fresh.wait_ssh("mini")
        process.stdin.write(b"echo it is $((6 * 7))\npoweroff\n")
        process.stdin.flush()
        out, _ = process.communicate(timeout=BOOT)
        assert process.returncode == 0, out
        assert b"it is 42" in out
    finally:
        process.kill()
    assert not (fresh.runtime() / "guests").exists()
    assert not fresh.guests()["mini"]["registered"]


def test_killed_supervisor_takes_qemu_along(fresh):
    """SIGKILL to the process that looks after a guest: QEMU ends, and the name is free again."""
    fresh.hospes("run", "--detach", "mini")
    pid = int((fresh.runtime() / "guests/mini/pid").read_text())
    subprocess.run(fresh.command(["kill", "-KILL", str(pid)]), check=True, timeout=10)
    wait_for(lambda: not [p for p in fresh.processes() if p.startswith("qemu-system")], 10, "QEMU's end")
    # Its process number is free when somebody has waited for it; that is init's business.
    wait_for(lambda: "runs" in fresh.hospes("run", "--detach", "--name", "mini", "mini", status=None), 20, "the name to be free")
    fresh.wait_ssh("mini")


def test_down_after_accidents(fresh):
    """Sockets and folders of guests whose processes were killed go with the LAN; those of a QEMU that runs on do not."""
    line = shlex.split(fresh.hospes("qemu-args", "--port", "dgram", "--name", "dead"))
    dead = fresh.popen("qemu-system-x86_64", "-display", "none", "-S", *line)
    alive_line = shlex.split(fresh.hospes("qemu-args", "--port", "dgram", "--name", "alive"))
    alive = fresh.popen("qemu-system-x86_64", "-display", "none", "-S", *alive_line)
    fresh.hospes("run", "--detach", "mini")
    sockets = [fresh.runtime() / "dgram.dead", fresh.runtime() / "dgram.alive", fresh.runtime() / "guests/mini/pid"]
    try:
        wait_for(lambda: all(path.exists() for path in sockets), 20, "the sockets")
        dead.kill()
        dead.wait(10)
        pid = (fresh.runtime() / "guests/mini/pid").read_text().strip()
        subprocess.run(fresh.command(["kill", "-KILL", pid]), check=True, timeout=10)
        wait_for(lambda: not [p for p in fresh.processes() if "guest=mini" in p], 10, "QEMU's end")
        fresh.hospes("down")
        assert [path.exists() for path in sockets] == [False, True, False]
    finally:
        for process in (dead, alive):
            process.kill()
            process.wait(10)
    fresh.hospes("up")
    fresh.hospes("down")
    assert_nothing_left(fresh)


def test_half_a_key(fresh):
    """A key whose public half is missing is made anew; a pipe among the user's keys is not waited for."""
    home = fresh.path / "home"
    for folder in (home / ".ssh", home / ".local/state/hospes/default"):
        fresh.run("mkdir", "-p", "-m", "700", folder)
    fresh.run("mkfifo", home / ".ssh/pipe.pub")
    key = home / ".local/state/hospes/default/id_ed25519"
    fresh.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    fresh.run("rm", f"{key}.pub")
    fresh.hospes("run", "--detach", "mini")
    fresh.wait_ssh("mini")
    fresh.run("rm", home / ".ssh/pipe.pub")
    assert fresh.run("ssh-keygen", "-y", "-f", key).split()[:2] == (home / f"{key}.pub").read_text().split()[:2]


def test_a_qemu_that_does_not_answer(fresh):
    """It is not waited for longer than for a slow one."""
    silent = fresh.bin / "qemu-silent"
    silent.write_text('#!/bin/sh\n[ "$1" != -version ] || { echo "QEMU emulator version 7.2.0"; exit 0; }\nexec sleep 300\n')
    silent.chmod(0o755)
    assert "guest mini runs" in fresh.hospes("run", "--detach", "mini", environment={"HOSPES_QEMU": str(silent)})
    fresh.hospes("down")


def test_two_at_once(fresh):
    """Guests that are started in one moment get names and addresses of their own, though each starts the LAN."""
    started = [fresh.popen("hospes", "run", "--detach", "mini", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    for process in started:
        out, err = process.communicate(timeout=BOOT)
        assert process.returncode == 0, (out, err)
    fresh.wait_ssh("mini", "mini-2", "mini-3")
    leases = {fresh.guests()[name]["lease"] for name in ("mini", "mini-2", "mini-3")}
    assert len(leases) == 3


def test_stop_by_signal(fresh):
    """SIGTERM to `hospes run` itself, as a service manager sends it."""
    process = fresh.popen("hospes", "run", "mini", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    pid_file = fresh.runtime() / "guests/mini/pid"
    wait_for(lambda: pid_file.exists() and pid_file.read_text().strip(), 20, "the guest")
    wait_for(lambda: [p for p in fresh.processes() if p.startswith("qemu-system")], 20, "QEMU")
    start = time.monotonic()
    subprocess.run(fresh.command(["kill", "-TERM", pid_file.read_text().strip()]), check=True, timeout=10)
    process.communicate(timeout=20)
    assert time.monotonic() - start < 10
    assert not (fresh.runtime() / "guests").exists()
    assert not [p for p in fresh.processes() if p.startswith("qemu-system")]
    assert process.returncode in (0, -signal.SIGTERM)


def test_configured_guest_keeps_its_place(fresh):
    """A guest of the configuration is run by its name, gets what stands there, and is still known when it has ended."""
    fresh.write(".config/hospes/default.lan", "[Guest]\nName = web\nMAC = 52:54:00:12:34:57\nIPv4 = 10.0.2.99\n")
    fresh.hospes("run", "--detach", "--name", "web", "mini")
    fresh.wait_ssh("web")
    web = fresh.guests()["web"]
    assert (web["mac"], web["lease"]) == ("52:54:00:12:34:57", "10.0.2.99"), json.dumps(web)
    fresh.hospes("stop", "web")
    assert fresh.guests()["web"]["registered"]

# SPDX-License-Identifier: MIT
"""The verbs of the command line on bridge LANs: what they ask, say and refuse, for root and for ordinary users."""

import contextlib
import json
import os
import pathlib
import pty
import re
import select
import shlex
import subprocess
import time

import pytest

from tests.support.bridge import OUTSIDER, Bridged, assert_restored, state_of
from tests.support.bridge_guest import KernelGuest
from tests.support.lan import ROOT, USER, wait_for
from tests.support.netns import run
from tests.ns.test_bridge_nat import NAT, Echo
from tests.ns.test_bridge_updown import config


class Verbs(Bridged):
    """The host without a service: the verbs start it."""

    def start(self, environment=None, arguments=()):
        self.process = None
        self.log_path.touch()

    def pids(self):
        """Of the services in the host's namespace."""
        found = []
        for pid in run(["ip", "netns", "pids", self.host.name]).split():
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "hospes-bridged":
                    found.append(int(pid))
        return found


@pytest.fixture
def verbs(lan_world, plug):
    return Verbs(lan_world)


class Terminal:
    """A command on a terminal of its own, in the host."""

    def __init__(self, bridged, *words):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            command = bridged.host.command([str(w) for w in words])
            os.execvpe(command[0], command, bridged.environment)
        self.text = ""

    def read(self, until=None, seconds=20):
        """Read until a text shows, or to the end. Return: whether it came to that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (until and until in self.text):
            if not select.select([self.fd], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            if not data:
                return not until
            self.text += data.decode(errors="replace")
        return bool(until) and until in self.text

    def type(self, text):
        os.write(self.fd, text.encode())

    def status(self):
        self.read()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self):
        os.close(self.fd)


# ---- the service

def test_service_is_started(lan_world, plug, verbs):
    """up starts it where it does not run, once; it outlives the command, in a session of its own; an ordinary user is told who can."""
    verbs.configure(config(plug("static")))
    before = state_of(lan_world.host)
    for verb in (["up"], ["try"], ["up", "--dry-run"]):
        verbs.hospes(*verb, "br0", user=USER, status=1)
        assert f"sudo hospes {' '.join(verb)} br0" in verbs.stderr
    assert "sudo hospes up br0" in verbs.hospes("ls", "br0", user=USER)
    assert verbs.pids() == []
    verbs.hospes("up", "br0")
    first = verbs.pids()
    assert len(first) == 1
    assert os.getsid(first[0]) != os.getsid(0)
    verbs.hospes("up", "br0")
    assert verbs.pids() == first
    verbs.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_service_that_is_missing(lan_world, plug, verbs, tmp_path):
    """Without the program there is one message, and nothing happens."""
    verbs.configure(config(plug("static")))
    before = state_of(lan_world.host)
    alone = tmp_path / "hospes"
    alone.write_bytes((verbs.programs / "hospes").read_bytes())
    alone.chmod(0o755)
    verbs.run(alone, "up", "br0", status=1, environment={"PATH": "/usr/bin:/bin"})
    assert "hospes-bridged" in verbs.stderr and len(verbs.stderr.splitlines()) == 1, verbs.stderr
    assert_restored(lan_world.host, before, 0)


# ---- try

@pytest.fixture
def trial(plug, bridged, lan_world, closing):
    """trial(seconds): `hospes try` on a terminal, the question is there. Return: the terminal and the state before."""
    def begin(seconds):
        bridged.configure(config(plug("static")))
        before = state_of(lan_world.host)
        terminal = closing(Terminal(bridged, "hospes", "try", "--time", seconds, "br0"))
        assert terminal.read("Keep LAN br0?"), terminal.text
        assert "ip link add" in terminal.text and "hospes try --confirm br0" in terminal.text
        return terminal, before

    return begin


def test_try_yes(lan_world, bridged, trial):
    terminal, before = trial(30)
    terminal.type("perhaps\n")
    assert terminal.read('"yes" keeps it'), terminal.text
    terminal.type("yes\n")
    assert terminal.status() == 0 and "stays" in terminal.text
    assert bridged.lan_state() == "up"
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_try_no(lan_world, bridged, trial):
    """No does not wait for the time to pass."""
    terminal, before = trial(60)
    start = time.monotonic()
    terminal.type("no\n")
    assert terminal.status() == 1 and "went back" in terminal.text and time.monotonic() - start < 20
    assert_restored(lan_world.host, before)


def test_try_shows_the_seconds(lan_world, trial):
    """They go down, and at their end so does the LAN."""
    terminal, before = trial(5)
    assert terminal.status() == 1
    seconds = [int(s) for s in re.findall(r"by itself in (\d+) s ", terminal.text)]
    assert len(set(seconds)) >= 3 and seconds == sorted(seconds, reverse=True), seconds
    assert_restored(lan_world.host, before)


def test_try_confirmed_elsewhere(lan_world, bridged, trial):
    terminal, before = trial(30)
    assert "stays" in bridged.hospes("try", "--confirm", "br0")
    assert terminal.status() == 0 and "stays" in terminal.text
    bridged.hospes("try", "--confirm", "br0", status=1)
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_try_whose_terminal_goes(lan_world, bridged, plug):
    """The ssh session dies: the clock runs on in the service."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    terminal = Terminal(bridged, "hospes", "try", "--time", "6", "br0")
    assert terminal.read("Keep LAN br0?"), terminal.text
    terminal.close()
    os.waitpid(terminal.pid, 0)
    assert bridged.lan_state() == "trying"
    wait_for(lambda: bridged.lan_state() == "down", 15, "the way back")
    assert_restored(lan_world.host, before)


@pytest.mark.parametrize("words, told", [(["--time", "2", "br0"], "5 to 3600"), (["--time", "x", "br0"], "5 to 3600"), (["--confirm", "--dry-run", "br0"], "no other"),
                                         (["lab"], "no bridge LAN"), (["br0", "br1"], "one LAN")])
def test_try_wrongly_written(lan_world, plug, bridged, words, told):
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    bridged.hospes("try", *words, status=2)
    assert told in bridged.stderr, bridged.stderr
    assert_restored(lan_world.host, before, 0)


# ---- up, down, restart, reload

def test_reload(lan_world, plug, bridged):
    """What the file says anew, and nothing else; --dry-run says it before."""
    uplink = plug("static")
    bridged.configure(config(uplink, "STP = no\n"))
    before = state_of(lan_world.host)
    bridged.hospes("reload", "br0", status=1)
    assert "down" in bridged.stderr
    bridged.hospes("up", "br0")
    assert "nothing to change" in bridged.hospes("reload", "br0")
    bridged.configure(config(uplink, "STP = no\nHello = 3\n"))
    planned = bridged.hospes("reload", "--dry-run", "br0")
    assert "hello" in planned and "address" not in planned, planned
    assert "hello" in bridged.hospes("reload", "br0")
    made = json.loads(lan_world.host.ip("-d -j link show br0"))[0]
    assert made["linkinfo"]["info_data"]["hello_time"] == 300
    assert "nothing to do" in bridged.hospes("reload", "--dry-run", "br0")
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_restart(lan_world, plug, bridged):
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    bridged.hospes("up", "br0")
    up = state_of(lan_world.host)
    index = json.loads(lan_world.host.ip("-j link show br0"))[0]["ifindex"]
    bridged.hospes("restart", "br0")
    assert json.loads(lan_world.host.ip("-j link show br0"))[0]["ifindex"] != index
    assert_restored(lan_world.host, up)
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_down_asks_about_guests(lan_world, plug, bridged, closing):
    """Somebody's guests are not cut off unasked."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    bridged.hospes("up", "br0")
    closing(KernelGuest(bridged, "one"))
    for verb in ("down", "restart"):
        bridged.hospes(verb, "br0", status=1)
        assert "--keep-guests" in bridged.stderr, bridged.stderr
    assert bridged.lan_state() == "up"
    bridged.hospes("down", "--keep-guests", "br0")
    assert_restored(lan_world.host, before, 5)
    assert "down already" in bridged.hospes("down", "br0")


def test_user_lans_have_no_plan(bridged):
    for verb in ("up", "down", "restart", "reload"):
        bridged.hospes(verb, "--dry-run", "lab", status=2)
        assert "no bridge LAN" in bridged.stderr, bridged.stderr


# ---- which fabric

def test_fabric_is_found(lan_world, plug, bridged, tmp_path):
    """By the file in /etc; a file of the user's own is that of a user LAN, and never of a bridge."""
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    own = pathlib.Path(run(["mktemp", "-d", "/tmp/hospes-own-XXXXXX"]).strip())
    try:
        (own / ".config/hospes").mkdir(parents=True)
        run(["chown", "-R", str(USER), str(own)])
        environment = {"HOME": str(own), "XDG_RUNTIME_DIR": str(own)}
        assert "bridge" in bridged.hospes("ls", "br0", user=USER, environment=environment)
        (own / ".config/hospes/br0.lan").write_text("[LAN]\nDomain = mine\n")
        assert "is down" in bridged.hospes("ls", "br0", user=USER, environment=environment)
        (own / ".config/hospes/br0.lan").write_text("[LAN]\nFabric = bridge\n")
        bridged.hospes("up", "br0", user=USER, environment=environment, status=2)
        assert "/etc/hospes/br0.lan" in bridged.stderr
    finally:
        run(["rm", "-rf", str(own)])
    bridged.hospes("down", "br0")


def test_wrong_file(lan_world, plug, bridged):
    """File, line, what was expected; status 2. A LAN that is up with a file that has become wrong can be taken down."""
    path = bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    bridged.hospes("up", "br0")
    path.write_text("[LAN]\nFabric = bridge\nSTP = perhaps\n")
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)
    bridged.hospes("up", "br0", status=2)
    assert "br0.lan:3" in bridged.stderr and "yes or no" in bridged.stderr, bridged.stderr
    assert_restored(lan_world.host, before, 0)


def test_what_bridges_have_not(lan_world, plug, bridged):
    """exec, and ports of user LANs: one message that says what is there instead."""
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    bridged.hospes("exec", "-l", "br0", "--", "true", user=USER, status=125)
    assert "bridge LAN" in bridged.stderr
    for words in (["qemu-args", "--lan", "br0", "--port", "stream"], ["run", "--lan", "br0", "--port", "dgram", "mini"]):
        bridged.hospes(*words, user=USER, status=2)
        assert "taps" in bridged.stderr, bridged.stderr
    bridged.hospes("qemu-args", "--port", "tap", user=USER, status=2)
    assert "user LAN" in bridged.stderr


def test_outsider(lan_world, plug, bridged):
    """Who is not in Allow is told what root has to write."""
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    up = state_of(lan_world.host)
    for words in (["ls", "br0"], ["qemu-args", "-l", "br0"], ["connect", "-l", "br0", "web"]):
        bridged.hospes(*words, user=OUTSIDER, status=1)
        assert "Allow" in bridged.stderr, bridged.stderr
    assert_restored(lan_world.host, up)


# ---- guests

@pytest.fixture
def nat_guest(lan_world, plug, bridged, closing):
    plug("static")
    bridged.configure(NAT)
    bridged.hospes("up", "br0")
    web = closing(KernelGuest(bridged, "web"))
    assert web.dhcp(lan_world.host.path)["ip"] == "10.20.0.50"
    wait_for(lambda: "10.20.0.50" in bridged.hospes("ls", "br0", user=USER), 10, "the guest's address in the list")
    return web


def test_ls(bridged, nat_guest):
    text = bridged.hospes("ls", "br0", user=USER)
    assert re.search(rf"^web +attached +tap \d+ +{nat_guest.mac} +10\.20\.0\.50", text, re.M), text
    rows = json.loads(bridged.hospes("ls", "--json", "--lan", "br0", user=USER))
    assert rows["state"] == "up" and rows["fabric"] == "bridge"


def test_connect(bridged, nat_guest, closing):
    """By name, MAC and address, and by the names that ssh would use; a closed port and a guest that is not there are told apart."""
    closing(Echo(nat_guest, port=8000))
    for guest in ("web:8000", f"{nat_guest.mac}:8000", "10.20.0.50:8000"):
        assert bridged.hospes("connect", "-l", "br0", guest, user=USER) == "10.20.0.1", guest
    assert bridged.hospes("connect", "web.br0.hospes:8000", user=USER) == "10.20.0.1"
    bridged.hospes("connect", "-l", "br0", "web:9", user=USER, status=1)
    assert "refuses port 9" in bridged.stderr
    bridged.hospes("connect", "-l", "br0", "nobody:9", user=USER, status=1)
    assert "no guest" in bridged.stderr and "nobody" in bridged.stderr


def test_ssh_config(bridged, nat_guest):
    text = bridged.hospes("ssh-config", "--lan", "br0", environment={"HOME": "/root"})
    assert "Host *.hospes" in text and "connect" in text


def test_forward(lan_world, bridged, nat_guest, closing):
    closing(Echo(nat_guest, port=8000))
    bridged.hospes("forward", "add", "-l", "br0", "0.0.0.0:8080", "web:8000", user=USER, status=1)
    assert "sudo" in bridged.stderr, "ports of a host with several users are root's to hand out"
    bridged.hospes("forward", "add", "-l", "br0", "0.0.0.0:8080", "web:8000")
    assert "0.0.0.0:8080" in bridged.hospes("forward", "ls", "-l", "br0", user=USER)
    with lan_world.lanhost.socket() as client:
        client.settimeout(5)
        client.connect((lan_world.HOST4, 8080))
        assert client.recv(100)
    bridged.hospes("forward", "rm", "-l", "br0", "0.0.0.0:8080")
    assert "no forwards" in bridged.hospes("forward", "ls", "-l", "br0", user=USER)


def test_qemu_args(bridged, nat_guest, closing):
    """A line that a shell takes: the helper with the name, the guest's own MAC, the same each time; and it is the MAC that Attach then gives."""
    line = bridged.hospes("qemu-args", "-l", "br0", "--name", "own", user=USER)
    words = shlex.split(line)
    assert words[0] == "-netdev" and words[1].startswith(f"tap,id=hospes,br=br0,helper={bridged.programs}/hospes-tap --name=own"), words
    assert re.fullmatch(r"virtio-net-pci,netdev=hospes,mac=52:54:00(:[0-9a-f]{2}){3}", words[3]), words
    assert bridged.hospes("qemu-args", "-l", "br0", "--name", "own", user=USER) == line
    assert nat_guest.mac in bridged.hospes("qemu-args", "-l", "br0", "--name", "web", user=USER), "as the file says"
    assert closing(KernelGuest(bridged, "own")).mac == words[3][-17:]
    unnamed = bridged.hospes("qemu-args", "-l", "br0", user=USER)
    assert "--name=guest-1" in unnamed, unnamed
    closing(KernelGuest(bridged, "guest-1"))
    assert "--name=guest-2" in bridged.hospes("qemu-args", "-l", "br0", user=USER)


# ---- hooks

def hook(bridged, mode, lan, tmp_path):
    text = (ROOT / "data/ifupdown/hospes.in").read_text().replace("@bindir@", str(bridged.programs))
    script = tmp_path / "hook"
    script.write_text(text)
    script.chmod(0o755)
    environment = {"MODE": mode, "IFACE": "eth0", **({"IF_HOSPES_LAN": lan} if lan else {})}
    return bridged.run(script, environment=environment)


def test_ifupdown(lan_world, plug, bridged, tmp_path):
    """The hook brings the LAN up that the stanza names, and down; of other interfaces it knows nothing."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    hook(bridged, "start", None, tmp_path)
    assert_restored(lan_world.host, before, 0)
    hook(bridged, "start", "br0", tmp_path)
    assert bridged.lan_state() == "up"
    hook(bridged, "start", "br0", tmp_path)
    hook(bridged, "stop", "br0", tmp_path)
    assert_restored(lan_world.host, before)


def test_units():
    """What systemd itself says of the units, as far as it can without running them."""
    subprocess.run(["sh", "-c", "command -v systemd-analyze"], check=False, capture_output=True).returncode and pytest.skip("no systemd-analyze")
    build = pathlib.Path(run(["mktemp", "-d", "/tmp/hospes-units-XXXXXX"]).strip())
    try:
        for name in ("hospes-bridged.service", "hospes@.service"):
            text = (ROOT / f"data/systemd/{name}.in").read_text()
            (build / name).write_text(re.sub(r"@(bindir|libexecdir)@\S*", "/bin/true", text).replace("Documentation=", "#"))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(build / "hospes-bridged.service"), str(build / "hospes@br0.service")],
                              capture_output=True, text=True, timeout=60, check=False)
        said = [line for line in done.stderr.splitlines() if str(build) in line or line.startswith("hospes")]
        assert done.returncode == 0 and not said, done.stderr
    finally:
        run(["rm", "-rf", str(build)])

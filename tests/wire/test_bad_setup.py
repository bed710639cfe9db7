# SPDX-License-Identifier: MIT
"""What is wrong before a LAN is up: one message with the remedy, an exit status that says whose fault it is, and nothing left behind."""

import os
import re
import socket
import subprocess

import pytest

from tests.support.lan import ROOT, USER, Daemon, as_user, wait_for
from tests.support.netns import Netns


def run(netns, home, *arguments, config=None, environment=None):
    """hospesd to its end: status and what it said."""
    words = [str(home.bin / "hospesd"), "--foreground", *arguments]
    if config is not None:
        words += ["--config", str(home.write(".config/hospes/wrong.lan", config))]
    done = subprocess.run(netns.command(as_user(words)), env=environment or home.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=10)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return done.returncode, done.stderr


def left_behind(home):
    return [path for path in (home.path / "run").rglob("*")]


def no_lan(home):
    """Nothing but the folder that all LANs share, which `hospes down` takes away with the last one."""
    return left_behind(home) in ([], [home.path / "run" / "hospes"])


def make_runtime(home):
    """The runtime folder as a daemon would make it."""
    folder = home.path / "run" / "hospes" / "default"
    for path in (folder.parent, folder):
        path.mkdir(mode=0o700)
        if not os.geteuid():
            os.chown(path, USER, USER)
    return folder


def test_second_daemon(world, start, home):
    """It names the first, and does it no harm."""
    daemon = start()
    status, said = run(world.host, home)
    assert status == 1 and "up already" in said and str(daemon.call("Status")["pid"]) in said
    assert daemon.call("Status")["lan"] == "default"


def test_second_lan_beside_the_first(start):
    """Another network, chosen so that it overlaps nothing."""
    first, second = start(), start(lan="other")
    assert second.call("Status")["network4"] == "10.0.3.0/24"
    assert first.call("Status")["network6"] != second.call("Status")["network6"]


def test_socket_path_of_a_dead_daemon(start, home):
    """A socket that nobody serves is in nobody's way."""
    folder = make_runtime(home)
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(folder / "stream"))
    dead.close()
    if not os.geteuid():
        os.chown(folder / "stream", USER, USER)
    start()


@pytest.mark.parametrize("name,kind", [("stream", socket.SOCK_STREAM), ("control", socket.SOCK_STREAM), ("dgram", socket.SOCK_DGRAM)])
def test_socket_path_in_use(world, home, name, kind):
    folder = make_runtime(home)
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(folder / name))
        os.chmod(folder / name, 0o777)
        if kind == socket.SOCK_STREAM:
            other.listen()
        status, said = run(world.host, home)
    assert status == 1 and str(folder / name) in said and "--runtime" in said
    assert left_behind(home) in ([folder.parent, folder, folder / name], [folder.parent, folder])


def test_file_in_the_way(world, home):
    folder = make_runtime(home)
    (folder / "stream").write_text("precious")
    status, said = run(world.host, home)
    assert status == 1 and "remove it" in said
    assert (folder / "stream").read_text() == "precious"


def test_path_that_is_too_long(world, home):
    folder = home.path / "run" / ("x" * 100)
    status, said = run(world.host, home, "--runtime", str(folder))
    assert status == 1 and "XDG_RUNTIME_DIR" in said
    assert left_behind(home) == []


def test_runtime_folder_of_others(world, home):
    """One that everybody may write to is no place for a control socket."""
    folder = home.path / "run" / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    status, said = run(world.host, home, "--runtime", str(folder))
    assert status == 1 and "--runtime" in said
    assert list(folder.iterdir()) == []


def test_overlap_with_a_route_of_the_host(home):
    """The message names both, and the line to write; with that line the LAN is up."""
    netns = Netns("overlap")
    try:
        netns.ip("link add name one type veth peer name two")
        netns.ip("link set one up")
        netns.ip("link set two up")
        netns.ip("address add 10.0.2.77/24 dev one")
        status, said = run(netns, home)
        assert status == 2 and "10.0.2.0/24" in said and "IPv4 = " in said
        assert left_behind(home) == []
        line = said.split('"')[1]
        daemon = Daemon(netns, home, config=f"[LAN]\n{line}\n")
        try:
            assert daemon.call("Status")["network4"] == line.split("= ")[1]
        finally:
            daemon.stop()
    finally:
        netns.remove()


@pytest.mark.parametrize("text,line,expected", [
    ("[LAN]\nColour = blue\n", 2, "HostAccess"),
    ("[LAN]\nHostAccess = maybe\n", 2, "lan, full or none"),
    ("[LAN]\n\n; comment\nMTU = 20\n", 4, "1280 to 65520"),
    ("[LAN]\nMTU = 1500\nMTU = 1500\n", 3, "twice"),
    ("[LAN]\nIPv4 = 10.0.2.1/24\n", 2, "host bits"),
    ("[LAN]\nIPv6 = fd00::/48\n", 2, "/64"),
    ("[LAN]\nKeepalive = 0\n", 2, "1 to 86400"),
    ("[LAN]\nPoll = often\n", 2, "auto, off"),
    ("[LAN]\nPoll = 1000001\n", 2, "auto, off"),
    ("[LAN]\nLease = 5\n", 2, "two minutes"),
    ("[LAN]\n[LAN]\n", 2, "second [LAN]"),
    ("[Wan]\n", 1, "[Guest]"),
    ("MTU = 1500\n", 1, "[LAN]"),
    ("[LAN]\nrubbish\n", 2, "Key = value"),
    ("[LAN]\n[Guest]\nMAC = 02:00:00:00:00:01\n", 2, "no Name"),
    ("[Guest]\nName = a\nMAC = zz\n", 3, "52:54:00"),
    ("[Guest]\nName = a\n[Guest]\nName = a\n", 3, "line 1"),
    ("[Forward]\nListen = 8080\n", 1, "no To"),
    ("[Forward]\nListen = 8080\nTo = web:80\n[Forward]\nListen = 8080\nTo = db:80\n", 4, "overlaps"),
    ("[LAN]\nBridge = br0\n", 2, "say Fabric = bridge"),
])
def test_wrong_configuration(world, home, text, line, expected):
    """File, line, what was expected; exit status 2."""
    status, said = run(world.host, home, config=text)
    assert status == 2
    assert f"wrong.lan:{line}: " in said and expected in said, said
    assert left_behind(home) == []


def test_guest_outside_of_the_network(world, home):
    status, said = run(world.host, home, config="[Guest]\nName = web\nIPv4 = 192.168.7.7\n")
    assert status == 2 and "192.168.7.7" in said and "10.0.2.0/24" in said


def test_configuration_that_is_not_there(world, home):
    status, said = run(world.host, home, "--config", "/nowhere/x.lan")
    assert status == 2 and "/nowhere/x.lan" in said


def test_the_manual_has_every_option(world, home):
    """Those that the program itself names when it is called wrongly, and no others."""
    _, said = run(world.host, home, "--nonsense")
    page = (ROOT / "doc/man/hospesd.8.scd").read_text()
    headings = "\n".join(line for line in page.splitlines() if line.startswith("*-"))
    options = [set(re.findall(r"--[a-z][a-z-]+", text)) - {"--nonsense"} for text in (said, page.split("# DESCRIPTION")[0], headings)]
    assert options[0] and options[0] == options[1] == options[2]


@pytest.mark.parametrize("arguments", [("--nonsense",), ("word",), ("--lan", "Not A Name"), ("--lan", ""), ("--config", "x", "--no-config"), ("--ready-fd", "x"),
                                       ("--ready-fd", "99"), ("--fault", "lose=200%"), ("--fault", "nonsense")])
def test_wrong_command_line(world, home, arguments):
    status, said = run(world.host, home, *arguments)
    assert status == 2 and said
    assert left_behind(home) == []


def test_forward_of_the_configuration_that_cannot_be(world, home, sockets):
    """Not half a LAN."""
    taken = sockets(world.host, "127.0.0.1")
    status, said = run(world.host, home, config=f"[LAN]\n[Forward]\nListen = 127.0.0.1:{taken.getsockname()[1]}\nTo = web:80\n")
    assert status == 1 and "another program" in said
    assert no_lan(home)


def test_no_home(world, home):
    environment = {k: v for k, v in home.environment.items() if k not in ("HOME", "XDG_RUNTIME_DIR")}
    status, said = run(world.host, home, environment=environment)
    if status:  # where the user has a home folder by /etc/passwd it is found
        assert status == 2 and "HOME" in said


def test_disk_that_is_full(world, start, attach, home):
    """Leases that cannot be kept are leases all the same, and the log says so once."""
    state = home.path / "home" / ".local" / "state" / "hospes" / "default"
    daemon = start()
    guest = attach(daemon)
    assert state.is_dir()
    state.chmod(0o500)
    try:
        guest.lease()
        wait_for(lambda: "lease" in daemon.messages(), 5, "the message")
        guest.lease()
    finally:
        state.chmod(0o700)


def test_nothing_is_left_behind(start, home):
    daemon = start()
    assert not no_lan(home)
    daemon.stop()
    assert no_lan(home)

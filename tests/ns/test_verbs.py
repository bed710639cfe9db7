# SPDX-License-Identifier: MIT
"""The verbs of the command line, each for real: as an ordinary user, in a mount namespace where /dev/net/tun is open to everybody."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from tests.support.lan import ROOT, USER, as_user, wait_for

# A tun node and an account of their own, over those of the machine; gone with the namespace. $1: the mode of the node; $2: a folder, where several may do so
# at once.
PRIVATE = """
mount --make-rprivate /
mknod $2/tun.$$ c 10 200 && chmod $1 $2/tun.$$ && mount --bind $2/tun.$$ /dev/net/tun
{ cat /etc/passwd; echo "tester:x:%d:%d::$2/home:/bin/sh"; } > $2/passwd.$$ && mount --bind $2/passwd.$$ /etc/passwd
shift 2
exec "$@"
""" % (USER, USER)

# What a server on the LAN does: answers each connection with its peer, and with what it has read until the end.
SERVER = """
import socket, sys
s = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
while True:
    c, peer = s.accept()
    read = 0
    while part := c.recv(1 << 16):
        read += len(part)
    c.sendall(f"{peer[0]} {read}".encode())
    c.close()
"""


class Shell:
    """hospes, run in the host's namespace by the ordinary user."""

    def __init__(self, world, home):
        self.world, self.home = world, home
        self.running = []

    def words(self, arguments, mode="666"):
        inner = ["unshare", "-m", "sh", "-c", PRIVATE, "sh", mode, str(self.home.path)]
        return self.world.host.command(inner + as_user([str(arguments[0])] + [str(a) for a in arguments[1:]]))

    def run(self, *arguments, input=b"", status=0, mode="666", program="hospes"):
        """Run it to its end; its output and its messages. Another exit status than expected is an error."""
        done = subprocess.run(self.words([program, *arguments], mode), env=self.home.environment, input=input, capture_output=True, timeout=60)
        assert done.returncode == status, f"{arguments}: status {done.returncode}: {done.stdout!r} {done.stderr!r}"
        assert b"Sanitizer" not in done.stderr and b"runtime error" not in done.stderr, done.stderr.decode()
        return done.stdout.decode(), done.stderr.decode()

    def start(self, *arguments, program="hospes"):
        process = subprocess.Popen(self.words([program, *arguments]), env=self.home.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.running.append(process)
        return process

    def serve(self, name, port=80):
        """A server on the LAN, by that name."""
        process = self.start("exec", "--name", name, "--", "/usr/bin/python3", "-c", SERVER, port)
        assert process.stdout.readline() == b"ready\n", process.stderr.read()
        return process

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--json")[0])

    def runtime(self):
        return self.home.path / "run" / "hospes"

    def finish(self):
        for process in self.running:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=20)
        for lan in ("default", "lab"):
            self.run("down", lan)
        assert not self.runtime().exists(), "something was left behind"


@pytest.fixture
def shell(world, home):
    made = Shell(world, home)
    yield made
    made.finish()


def test_a_lan_comes_and_goes(shell):
    assert "is down already" in shell.run("down")[0]
    assert shell.json("ls") == {"lan": "default", "state": "down", "guests": [], "ports": []}
    assert "is up: 10.0.2.0/24" in shell.run("up")[0]
    assert "is already up" in shell.run("up")[0]
    shown = shell.json("ls")
    assert (shown["state"], shown["gateway4"], shown["guests"]) == ("up", "10.0.2.2", [])
    assert "nothing was dropped" in shell.run("ls", "--drops")[0]
    assert shown["pid"] != (shell.run("restart"), shell.json("ls"))[1]["pid"]
    shell.run("-l", "lab", "up")
    assert shell.json("ls", "lab")["network4"] == "10.0.3.0/24" == shell.json("--lan=lab", "ls")["network4"]
    shell.run("down", "lab")
    shell.run("down")
    assert not shell.runtime().exists()


def test_many_that_start_a_lan_at_once_start_one(shell):
    processes = [shell.start("up", "lab") for _ in range(8)]
    for process in processes:
        output, messages = process.communicate(timeout=30)
        assert process.returncode == 0 and b"up: 10.0.3.0/24" in output, messages


@pytest.mark.parametrize("words, message", [
    ([], ""),
    (["bogus"], 'there is no verb "bogus"'),
    (["conect"], 'did you mean "connect"?'),
    (["-l"], "-l needs the name of a LAN"),
    (["up", "NoName"], "is no name of a LAN"),
    (["up", "a", "b"], 'not "b" too'),
    (["-l", "a", "down", "b"], "which LAN, a or b?"),
    (["ls", "--jsn"], "there is no option --jsn"),
    (["connect"], "one guest is expected"),
    (["connect", "web:99999"], "is no port"),
    (["ssh", "-v"], "a guest is expected"),
    (["ssh", "web:22"], "-p 22"),
    (["exec"], "a command is expected"),
    (["exec", "--name", "a_b", "true"], "is no name for a guest"),
    (["forward"], "add, rm or ls"),
    (["forward", "add", "8080", "web"], "GUEST:PORT"),
    (["forward", "add", "99999", "web:80"], "[ADDRESS:]PORT"),
    (["ssh-config", "--install", "--remove"], "not both"),
    (["help", "bogus"], 'there is no verb "bogus"'),
])
def test_a_wrong_command_line_ends_with_2(shell, words, message):
    assert message in shell.run(*words, status=2)[1]
    assert not shell.runtime().exists(), "it started something"


def test_a_wrong_configuration_is_told_with_its_line(shell):
    file = shell.home.write(".config/hospes/lab.lan", "[LAN]\nFabrik = user\n")
    for words in (["up", "lab"], ["-l", "lab", "forward", "add", "8080", "web:80"], ["-l", "lab", "exec", "true"]):
        assert f"{file}:2: Fabrik is no key" in shell.run(*words, status=2)[1]
    file.write_text("[Forward]\nListen = 18080\nTo = web:80\n")
    shell.run("up", "lab")
    assert "nothing to change" in shell.run("reload", "lab")[0]
    file.write_text("[LAN]\nHostAccess = full\n")
    changes = shell.run("reload", "lab")[0]
    assert "forward 18080 to web:80 removed" in changes and "HostAccess is full" in changes
    assert shell.json("ls", "lab")["host_access"] == "full"


@pytest.mark.parametrize("script, status", [("exit 7", 7), ("kill -9 $$", 137), ("trap 'exit 3' TERM; kill $$; sleep 9", 3)])
def test_exec_ends_as_its_command(shell, script, status):
    shell.run("exec", "--", "sh", "-c", script, status=status)


def test_exec_says_what_cannot_be_run(shell):
    assert "there is no such program" in shell.run("exec", "there-is-none", status=127)[1]
    assert "Permission denied" in shell.run("exec", "/etc/passwd", status=126)[1]


def test_exec_is_a_guest_without_privilege(shell):
    shell.serve("web")
    output = shell.run("exec", "--name", "tool", "--", "sh", "-c",
                       "id -u; grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status; cat /etc/resolv.conf; ip -o addr; "
                       "ping -c 1 -W 5 web && ping -4 -c 1 -W 5 gateway")[0]
    lines = output.splitlines()
    assert lines[0] == str(USER)
    assert [line.split()[1] for line in lines[1:5]] == ["0" * 16] * 4
    assert "search hospes" in lines and "nameserver 10.0.2.3" in lines
    assert "inet 127.0.0.1/8" in output and "inet 10.0.2." in output and "inet6 fd" in output
    assert output.count("1 received") == 2
    # Nothing of it is seen outside.
    assert "search hospes" not in open("/etc/resolv.conf", encoding="utf-8").read()
    states = {guest["name"]: guest["state"] for guest in shell.json("ls")["guests"]}
    assert states == {"web": "attached", "tool": "away"}


def test_exec_reaches_every_port_of_a_guest_by_its_name(shell):
    shell.serve("web")
    client = "import socket; c = socket.create_connection(('web', 80)); c.sendall(b'x' * 5000); c.shutdown(1); print(c.recv(99).decode())"
    peer, read = shell.run("exec", "--", "/usr/bin/python3", "-c", client)[0].split()
    assert read == "5000" and (peer.startswith("10.0.2.") or peer.startswith("fd"))


def test_exec_says_why_there_is_no_tap(shell):
    assert "sudo chmod 666 /dev/net/tun" in shell.run("exec", "true", mode="600", status=125)[1]
    assert not shell.runtime().exists(), "it started something"


def test_exec_does_not_take_the_name_of_another(shell):
    shell.serve("web")
    assert "attached already" in shell.run("exec", "--name", "web", "true", status=125)[1]


def test_a_signal_to_exec_ends_its_command(shell):
    process = shell.serve("web")
    process.terminate()
    assert process.wait(10) == 128 + 15
    wait_for(lambda: shell.json("ls")["guests"][0]["state"] == "away", what="the tap to leave")


def test_connect_carries_bytes_and_half_closes(shell):
    assert "LAN default is down" in shell.run("connect", "web", status=1)[1]
    shell.serve("web")
    for guest in ("web:80", "web.hospes:80", "web.default.hospes:80", "10.0.2.15:80"):
        assert shell.run("connect", guest, input=b"hello")[0] == "10.0.2.2 5"
    assert shell.run("connect", "web:80", input=bytes(20 << 20))[0] == f"10.0.2.2 {20 << 20}"
    assert shell.run("connect", "web:80")[0] == "10.0.2.2 0"
    assert "refuses port 81" in shell.run("connect", "web:81", status=1)[1]
    assert 'no guest "nobody"' in shell.run("connect", "nobody", status=1)[1]


def ask(world, port, data):
    """What the server behind a forward answers, asked from the host."""
    with world.host.socket() as client:
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return client.recv(100).decode()


def test_forwards_are_added_listed_and_removed(shell, world):
    assert shell.json("forward", "ls") == []
    shell.run("forward", "add", "18080", "web:80")
    shell.serve("web")
    assert ask(world, 18080, b"hello").split()[1] == "5"
    shell.run("forward", "add", "127.0.0.1:19000-19010/udp", "web:9000")
    shown = shell.json("forward", "ls")
    assert [(f["listen"], f["to"]) for f in shown] == [("18080", "web:80"), ("127.0.0.1:19000-19010/udp", "web:9000")]
    assert "forward rm 18080" in shell.run("forward", "add", "18080", "tool:80", status=1)[1]
    shell.run("forward", "rm", "18080")
    with pytest.raises(ConnectionRefusedError):
        ask(world, 18080, b"")
    assert "no such forward" in shell.run("forward", "rm", "18080", status=1)[1]
    assert "19000-19010/udp" in shell.run("forward", "ls")[0]


@pytest.fixture
def ssh_server(shell):
    """dropbear as a guest, and a key of the user's that it takes."""
    home = shell.home.path / "home"
    shell.run("-c", f"mkdir -m 700 {home}/.ssh && cd {home} && ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519 && "
              "cp .ssh/id_ed25519.pub .ssh/authorized_keys && dropbearkey -t ed25519 -f host_key >/dev/null", program="sh")
    shell.start("exec", "--name", "box", "--", "dropbear", "-F", "-E", "-s", "-p", "22", "-r", home / "host_key")
    wait_for(lambda: b"SSH-" in subprocess.run(shell.words(["hospes", "connect", "box"]), env=shell.home.environment, input=b"x\n",
                                               capture_output=True, timeout=20).stdout, 10, "dropbear")
    return home


def test_ssh_logs_in_as_the_users_own(shell, ssh_server):
    assert shell.run("ssh", "box", "echo $USER; echo $SSH_CLIENT")[0].startswith("tester\n10.0.2.2 ")
    shell.run("ssh", "-o", "LogLevel=ERROR", "tester@box.hospes", "exit 5", status=5)
    assert shell.run("ssh", "box", "wc -c", input=bytes(3 << 20))[0].strip() == str(3 << 20)
    known = ssh_server / ".local/state/hospes/default/known_hosts"
    assert "ssh-ed25519" in known.read_text()
    assert not (ssh_server / ".ssh/known_hosts").exists()
    # The same name with another key is not let in.
    known.write_text(f"box.hospes {open(ssh_server / '.ssh/id_ed25519.pub', encoding='utf-8').read()}")
    assert "IDENTIFICATION HAS CHANGED" in shell.run("ssh", "box", "true", status=255)[1]


def test_plain_ssh_finds_guests_once_installed(shell, ssh_server):
    config = ssh_server / ".ssh/config"
    before = b"# mine\nHost other\n  Port 3"
    config.write_bytes(before)
    config.chmod(0o640)
    os.chown(config, USER, USER)
    shell.run("ssh-config", "--install")
    first = config.read_bytes()
    assert first.startswith(b"Include ") and first.endswith(before) and config.stat().st_mode & 0o777 == 0o640
    shell.run("ssh-config", "--install")
    assert config.read_bytes() == first
    assert shell.run("box.hospes", "echo plain", program="ssh")[0] == "plain\n"
    shell.run("ssh-config", "--remove")
    assert config.read_bytes() == before and config.stat().st_mode & 0o777 == 0o640
    assert not (ssh_server / ".config/hospes").exists()
    # A file that was not there is not there afterwards either.
    config.unlink()
    shell.run("ssh-config", "--install")
    assert config.stat().st_mode & 0o777 == 0o600
    shell.run("ssh-config", "--remove")
    assert not config.exists()


@pytest.mark.parametrize("name, works", [("a b", True), ("[x]*", True), ("5%", False), ("o'brien", False), ('"', False)])
def test_ssh_config_in_an_odd_home(shell, name, works):
    """What is written there, ssh can read; where it could not, nothing is written."""
    home = shell.home.path / "home" / name
    (home / ".ssh").mkdir(parents=True)
    (home / ".local/state/hospes/default").mkdir(parents=True)
    for key in (home / ".ssh/id_rsa", home / ".local/state/hospes/default/id_ed25519"):
        key.touch(mode=0o600)
    for path in (home, *home.rglob("*"), home.parent):
        os.chown(path, USER, USER)
    more = [f"HOME={home}", "hospes"]
    if not works:
        assert "cannot" in shell.run(*more, "ssh-config", "--install", status=1, program="env")[1]
        assert not (home / ".ssh/config").exists()
        return
    shell.run(*more, "ssh-config", "--install", program="env")
    shown = shell.run("-F", home / ".ssh/config", "-G", "web.hospes", program="ssh")[0]
    assert f"identityfile {home}/.local/state/hospes/default/id_ed25519\nidentityfile {home}/.ssh/id_rsa\n" in shown
    assert f"userknownhostsfile {home}/.local/state/hospes/default/known_hosts" in shown.replace('"', "")
    assert "hospes' connect web.hospes" in shown or "connect %h:%p" in shown
    shell.run(*more, "ssh-config", "--remove", program="env")
    assert not (home / ".ssh/config").exists()


def test_down_ends_the_guests_that_run_started(shell):
    fake = shell.home.bin / "qemu-fake"
    shutil.copy("/bin/sleep", fake)
    shell.run("up")
    guest, other = (shell.start("300", program=p) for p in (fake, "/bin/sleep"))
    for process, name, command in ((guest, "web", "qemu-fake"), (other, "innocent", "sleep")):
        wait_for(lambda: (pathlib.Path("/proc") / str(process.pid) / "comm").read_text().strip() == command, what=command)
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(shell.runtime() / "default" / "control"))
            control.sendall(json.dumps({"method": "org.hospes.Lan.Register", "parameters": {"name": name, "pid": process.pid}}).encode() + b"\0")
            assert b"error" not in control.recv(4096)
    assert "1 guest ended" in shell.run("down")[0]
    assert guest.wait(10) == -15
    assert other.poll() is None, "its number was registered, but it is no guest"


@pytest.mark.parametrize("verb", ["run", "up", "try", "down", "restart", "reload", "ls", "exec", "ssh-config", "qemu-args", "doctor"])
def test_options_are_completed(home, verb):
    """bash offers every option that help names."""
    told = subprocess.run([home.bin / "hospes", "help", verb], capture_output=True, text=True, check=True).stdout
    complete = 'source "$0"; compopt() { :; }; COMP_WORDS=(hospes "$1" --); COMP_CWORD=2; _hospes; echo "${COMPREPLY[@]}"'
    offered = subprocess.run(["bash", "-c", complete, ROOT / "tools/hospes.bash", verb], env=home.environment, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"--[a-z][a-z-]+", told)) <= set(offered.split())


def test_ls_watches(shell):
    shell.run("up")
    process = shell.start("ls", "--watch", "--json")
    seen = []
    reader = threading.Thread(target=lambda: [seen.append(json.loads(process.stdout.readline())) for _ in range(2)])
    reader.start()
    reader.join(10)
    assert [shown["state"] for shown in seen] == ["up", "up"]
    time.sleep(0.1)
    process.terminate()
    assert process.wait(10) == -15

# SPDX-License-Identifier: MIT
"""Two minis on the default LAN: names, the chain of logins, downloads both ways."""

import hashlib
import os
import subprocess

from tests.support.lan import wait_for
from tests.support.netns import World

SIZE = 4 << 20


def answers(netns, port):
    """Does anything listen on the host's port?"""
    with netns.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_names(minis):
    guests = minis.guests()
    assert {"mini", "mini-2"} <= set(guests)
    assert guests["mini"]["mac"] != guests["mini-2"]["mac"]
    assert all(guests[name]["state"] == "attached" for name in ("mini", "mini-2"))
    assert minis.ssh("mini", "hostname") == "mini"
    assert minis.ssh("mini-2", "hostname") == "mini-2"
    # Guests find each other by name, and the host finds both.
    assert "1 packets received" in minis.ssh("mini", "ping -c 1 -W 5 mini-2")
    assert "1 packets received" in minis.ssh("mini-2", "ping -c 1 -W 5 mini.hospes")
    assert minis.run("hospes", "exec", "--", "curl", "-sS", "http://mini-2/").startswith("<!DOCTYPE html>\n<title>mini-2</title>")


def test_name_in_use(minis):
    message = minis.fails("run", "--detach", "--name", "mini", "mini")
    assert "runs already" in message and "another name" in message, message
    assert minis.guests()["mini"]["state"] == "attached"


def test_address_and_routes(minis):
    assert "inet 10.0.2." in minis.ssh("mini", "ip -4 address show dev eth0")
    assert "default via 10.0.2.2 dev eth0" in minis.ssh("mini", "ip route")
    resolv = minis.ssh("mini", "cat /etc/resolv.conf").splitlines()
    assert resolv == ["search hospes", "nameserver 10.0.2.3"]
    net6 = minis.hospes("ls").split("IPv6 ")[1].split("::/64")[0]
    wait_for(lambda: f"inet6 {net6}:" in minis.ssh("mini", "ip -6 address show dev eth0"), 15, "an address by router advertisement")
    assert "default via fe80::" in minis.ssh("mini", "ip -6 route")


def test_chain(minis):
    """Host -> guest 1 -> guest 2 -> host, each step by ssh; and each step's key is needed."""
    keys = minis.path / "home" / ".local/state/hospes/default"
    minis.run("dropbearkey", "-t", "ed25519", "-f", minis.path / "home" / "host-key")
    public = next(line for line in minis.run("dropbearkey", "-y", "-f", keys / "guest-key").splitlines() if line.startswith("ssh-"))
    minis.write("marker", "this is the host\n")
    daemon = minis.popen("dropbear", "-F", "-E", "-s", "-p", "0.0.0.0:2222", "-r", minis.path / "home" / "host-key", stderr=subprocess.PIPE)
    chain = f"ssh mini-2 'ssh -p 2222 {minis.NAME}@10.0.2.2 cat marker'"
    try:
        wait_for(lambda: answers(minis.netns, 2222), 20, "the host's ssh daemon")
        assert "this is the host" not in minis.ssh("mini", chain, status=None), "the host let somebody in who has no key there"
        ssh_folder = minis.path / "home" / ".ssh"
        minis.write(".ssh/authorized_keys", public + "\n")
        ssh_folder.chmod(0o700)
        wait_for(lambda: minis.ssh("mini", chain, status=None) == "this is the host", 20, "the chain of logins")
    finally:
        daemon.terminate()
        daemon.wait(10)


def test_login_needs_a_key(minis):
    """A key that mini was not given opens nothing."""
    minis.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", minis.path / "home" / "stranger")
    minis.run("hospes", "forward", "add", "2200", "mini:22")
    words = ["ssh", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-p", "2200"]
    own = minis.path / "home/.local/state/hospes/default/id_ed25519"
    assert minis.run(*words, "-i", own, "root@127.0.0.1", "echo in") == "in"
    minis.run(*words, "-i", minis.path / "home" / "stranger", "root@127.0.0.1", "echo in", status=255)
    assert "Permission denied" in minis.stderr


def test_download_from_host(minis, world, serve):
    data = os.urandom(SIZE)
    server = serve(world.host, {"file": data})
    got = minis.ssh("mini", f"wget -qO- http://10.0.2.2:{server.port}/file | sha256sum")
    assert got.split()[0] == hashlib.sha256(data).hexdigest()
    assert server.asked[0][0] == "/file"


def test_download_from_the_internet(minis, world, serve):
    data = os.urandom(SIZE)
    server = serve(world.net, {"file": data})
    got = minis.ssh("mini-2", f"wget -qO- http://{World.SERVER4}:{server.port}/file | sha256sum")
    assert got.split()[0] == hashlib.sha256(data).hexdigest()
    assert server.asked[0][2] == World.HOST4, "the host's own address is what the internet sees"


def test_download_from_guest(minis):
    """Through the published port, and by name from a program on the LAN."""
    want = minis.ssh("mini", f"dd if=/dev/urandom of=/www/file bs=64k count={SIZE >> 16} 2>/dev/null; sha256sum /www/file").split()[0]
    for words in (["curl", "-sSf", "http://127.0.0.1:8080/file"], ["hospes", "exec", "--", "curl", "-sSf", "http://mini/file"]):
        got = minis.run("sh", "-c", '"$@" | sha256sum', "-", *words)
        assert got.split()[0] == want, words


def test_copy_between_guests(minis):
    want = minis.ssh("mini", f"dd if=/dev/urandom of=/tmp/file bs=64k count={SIZE >> 16} 2>/dev/null; sha256sum /tmp/file").split()[0]
    got = minis.ssh("mini", "ssh mini-2 sha256sum </tmp/file")
    assert got.split()[0] == want


def test_console_log(minis):
    log = minis.runtime() / "guests" / "mini" / "serial.log"
    assert "This is mini" in log.read_text(errors="replace")


def test_poweroff_unregisters(minis):
    """A guest that powers itself off leaves nothing: no name, no forward, no file."""
    minis.hospes("run", "--detach", "--name", "brief", "--publish", "8090:80", "mini")
    assert "8090" in minis.hospes("forward", "ls")
    minis.wait_ssh("brief")
    minis.ssh("brief", "poweroff", status=None)
    wait_for(lambda: not (minis.runtime() / "guests" / "brief").exists(), 30, "the guest's end")
    wait_for(lambda: "8090" not in minis.hospes("forward", "ls"), 10, "the end of its forward")
    assert not minis.guests().get("brief", {}).get("registered")

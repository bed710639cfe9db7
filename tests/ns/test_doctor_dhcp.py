# SPDX-License-Identifier: MIT
"""The host's own DHCP client around up, try and down: which it is, what it has to be told, and that it goes on once it is told.

The router wants its leases renewed every few seconds, so that what a client does with its lease is seen soon.
"""

import json
import re
import subprocess

import pytest

from tests.support.bridge import BridgeWorld
from tests.support.bridge_fixtures import bridged, plug  # noqa: F401
from tests.support.lan import wait_for
from tests.support.netns import link

LAN = "[LAN]\nFabric = bridge\nBridge = br0\nUplink = eth0\nIPv4 = dhcp\n"
RENEW = 4  # seconds

UDHCPC = """#!/bin/sh
case $1 in
deconfig) ip -4 address flush dev "$interface" ;;
bound|renew)
	ip address replace "$ip/$mask" broadcast + dev "$interface" valid_lft "$lease" preferred_lft "$lease"
	ip route replace default via "$router" dev "$interface" ;;
esac
"""

# networkd waits for udev, which no namespace has, unless /sys cannot be written; and nothing restarts it here but this.
NETWORKD = """#!/bin/sh
[ ! -e /run/networkd.pid ] || { kill "$(cat /run/networkd.pid)"; sleep 1; }
unshare --mount sh -c 'mount --bind /sys /sys && mount -o remount,bind,ro /sys && exec /lib/systemd/systemd-networkd' >>/run/networkd.log 2>&1 &
echo $! >/run/networkd.pid
"""


@pytest.fixture(scope="module")
def lan_world():
    made = BridgeWorld()
    made.serve(more=[f"--dhcp-option-force=option:T1,{RENEW}s"])
    yield made
    made.remove()


class Host:
    """The host, whose client has a lease on eth0."""

    def __init__(self, world, bridged, client):  # noqa: F811
        self.world, self.bridged = world, bridged
        self.sh("rm -rf /var/lib/dhcp /var/lib/dhcpcd /run/network /run/systemd /etc/systemd/network /run/dhcpcd /run/*.pid && "
                "mkdir -p /var/lib/dhcp /var/lib/dhcpcd /run/systemd /etc/systemd/network")
        self.impatient = None
        self.folder = world.host.path / "bin"
        self.folder.mkdir(exist_ok=True)
        link(world.host, "eth0", world.router, "host0")
        world.router.ip("link set host0 master lan0")
        world.uplink = "eth0"
        getattr(self, client)()
        wait_for(lambda: self.address("eth0") and "default" in world.host.ip("route"), 20, "the host's lease")
        self.leased = self.address("eth0")
        bridged.configure(LAN)

    def sh(self, line, **options):
        environment = {"PATH": f"{self.world.host.path}/bin:{self.bridged.environment['PATH']}"}
        return self.bridged.run("sh", "-c", line, environment=environment, timeout=60, **options)

    def program(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    # ---- clients, as each is started where it is at home

    def dhclient(self):
        self.sh("dhclient -4 -pf /run/dhclient.pid -lf /var/lib/dhcp/leases eth0")

    def ifupdown(self):
        """ifup's own words; Debian's package ifupdown is not needed for them."""
        self.sh("mkdir -p /run/network && echo eth0 >/run/network/ifstate.eth0 && "
                "dhclient -4 -v -i -pf /run/dhclient.eth0.pid -lf /var/lib/dhcp/dhclient.eth0.leases -I -df /var/lib/dhcp/dhclient6.eth0.leases eth0 2>&1")

    def udhcpc(self):
        """As ifupdown starts it: it would give the lease back at its end. It renews after half a lease whatever the server says, or when it is asked."""
        self.impatient = "/run/udhcpc.eth0.pid"
        script = self.program("udhcpc-script", UDHCPC)
        self.sh(f"busybox udhcpc -b -R -t 5 -T 1 -s {script} -p /run/udhcpc.eth0.pid -i eth0")

    def dhcpcd(self):
        self.dhcpcd_config("")
        self.sh("dhcpcd -4 eth0")

    def dhcpcd_all(self):
        self.dhcpcd_config("denyinterfaces other*\nallowinterfaces eth0 br0\nallowinterfaces wlan*\n")
        self.sh("dhcpcd -4")

    def dhcpcd_config(self, more):
        """nodev: it would wait for udev, which no namespace has."""
        (self.world.host.path / "etc/dhcpcd.conf").write_text("duid\nnoarp\nnodev\nnohook resolv.conf\n" + more)

    def networkd(self):
        """The real one; systemctl is a stand-in, for no systemd runs in a namespace."""
        restart = self.program("networkd-restart", NETWORKD)
        self.program("systemctl", f'#!/bin/sh\n[ "$*" = "restart systemd-networkd" ] && exec {restart}\n')
        self.sh("printf '%s\\n' '[Match]' 'Name=e*' '[Network]' DHCP=ipv4 >/etc/systemd/network/50-wired.network && networkd-restart")

    # ---- what can be asked

    def address(self, name):
        out = self.world.host.ip("-4 -j address show scope global")
        return next((a["local"] for row in json.loads(out) if row.get("ifname") == name for a in row["addr_info"]), None)

    def acknowledged(self):
        return len(re.findall(rf"DHCPACK\(lan0\) {re.escape(self.leased)} ", self.world.router_says()))

    def holds(self, on, off, how_often=2):
        """The lease is renewed, again and again, and the address is where it belongs."""
        for _ in range(how_often):
            before = self.acknowledged()
            if self.impatient:
                self.sh(f"kill -USR1 $(cat {self.impatient})")
            wait_for(lambda: self.acknowledged() > before, 5 * RENEW, "a renewal")
        # The router has said yes before the client has heard it; udhcpc asked again too soon begins from the start.
        wait_for(lambda: self.address(on) == self.leased and self.address(off) is None, 3 * RENEW,
                 lambda: f"{self.leased} to be on {on}, not on {off}: {self.address(on)}, {self.address(off)}; {self.clients()}")
        assert self.world.ping(self.world.host, self.world.SERVER4)

    def clients(self):
        return self.sh("ps -eo pid,ppid,stat,args | grep -E '[d]hclient|[u]dhcpc|[d]hcpcd|[n]etworkd'", status=None)

    def doctor(self):
        out = self.bridged.run("hospes", "doctor", "-l", "br0", "--json", status=None, environment={"HOSPES_ACCEL": "kvm"})
        return {one["check"]: one for one in json.loads(out)["findings"]}


@pytest.fixture
def host(lan_world, plug, bridged):  # noqa: F811
    yield lambda client: Host(lan_world, bridged, client)
    lan_world.host.end()


CLIENTS = {"dhclient": "dhclient", "ifupdown": "dhclient", "udhcpc": "udhcpc", "dhcpcd": "dhcpcd", "dhcpcd_all": "dhcpcd", "networkd": "systemd-networkd"}


def said(text):
    """The line to type in what a verb printed."""
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.endswith("; type:"))
    return lines[at + 1].strip()


@pytest.mark.parametrize("client", CLIENTS)
def test_the_lease_goes_on(host, bridged, client):  # noqa: F811
    """up says what to type, and so does down; the lease is renewed after each, and the host's address stays."""
    here = host(client)
    up = json.loads(bridged.hospes("up", "br0", "--json"))
    assert (up["state"], up["bridge"], up["uplink"]) == ("up", "br0", "eth0") and up["steps"]
    assert here.address("br0") == here.leased
    assert len(up["dhcp_clients"]) == 1 and f"({CLIENTS[client]}" in up["dhcp_clients"][0]["cause"], up
    assert ("of ifupdown" in up["dhcp_clients"][0]["cause"]) == (client == "ifupdown")
    again = bridged.hospes("up", "br0")
    assert "LAN br0 is" in again and CLIENTS[client] in again
    assert said(again).replace("sudo ", "") == up["dhcp_clients"][0]["remedy"]
    here.sh(up["dhcp_clients"][0]["remedy"])
    here.holds("br0", "eth0")
    assert not {"port-dhcp", "port-address"} & set(here.doctor())
    assert json.loads(bridged.hospes("up", "br0", "--json"))["dhcp_clients"] == []

    down = bridged.hospes("down", "br0")
    assert here.address("eth0") == here.leased
    if client == "dhcpcd_all":  # its file is the administrator's: what was put into it is not taken out by a line
        assert "take the lines" in down
        here.dhcpcd_config("")
        here.sh("dhcpcd -x -4 || dhcpcd -x -4; dhcpcd -4")
    else:
        here.sh(said(down))
    here.holds("eth0", "br0")


def test_a_client_that_is_not_told(host, bridged):  # noqa: F811
    """What the line is there against: dhclient renews on eth0, and puts the address there; the doctor's two lines mend that."""
    here = host("dhclient")
    bridged.hospes("up", "br0")
    wait_for(lambda: here.address("eth0") == here.leased, 10 * RENEW, "the address to come back to eth0")
    found = here.doctor()
    assert {"port-dhcp", "port-address"} <= set(found)
    here.sh(found["port-dhcp"]["remedy"])
    assert not {"port-dhcp", "port-address"} & set(here.doctor())
    here.holds("br0", "eth0")


def test_a_static_bridge_needs_no_client(host, bridged):  # noqa: F811
    here = host("dhclient")
    bridged.configure(LAN.replace("dhcp", "192.168.1.7/24") + f"Gateway = {here.world.ROUTER4}\n")
    line = json.loads(bridged.hospes("up", "br0", "--json"))["dhcp_clients"][0]["remedy"]
    assert "dhclient" not in line
    here.sh(line)
    assert "port-dhcp" not in here.doctor() and here.world.ping(here.world.host, here.world.SERVER4)


def test_a_trial_tells_at_its_end(host, bridged):  # noqa: F811
    here = host("dhclient")
    words = here.world.host.command(["hospes", "try", "br0", "--json"])
    trial = subprocess.Popen(words, env=bridged.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    begun = json.loads(trial.stdout.readline())
    assert begun["state"] == "trying" and begun["seconds_left"] > 0 and begun["steps"] and len(begun["dhcp_clients"]) == 1
    confirmed = bridged.hospes("try", "--confirm", "br0")
    ended = json.loads(trial.communicate(timeout=20)[0])
    assert ended["state"] == "up" and said(confirmed) == ended["dhcp_clients"][0]["remedy"] and trial.returncode == 0
    here.sh(said(confirmed))
    here.holds("br0", "eth0")


def test_a_trial_that_goes_back_leaves_the_client(host, bridged):  # noqa: F811
    here = host("dhclient")
    out = bridged.hospes("try", "--time", "5", "br0", status=1, timeout=60)
    assert "A DHCP client has the lease of eth0: dhclient (process " in out and "; type:" not in out and "went back" in out
    here.holds("eth0", "br0")


def test_a_restart_makes_another_link(host, bridged):  # noqa: F811
    """The bridge of the same name is another link than the one that the client had opened."""
    here = host("dhclient")
    here.sh(json.loads(bridged.hospes("up", "br0", "--json"))["dhcp_clients"][0]["remedy"])
    here.holds("br0", "eth0", 1)
    out = bridged.hospes("restart", "br0")
    assert "is another link now" in out and said(out).endswith(" br0")
    here.sh(said(out))
    here.holds("br0", "eth0")


def test_nothing_to_tell(lan_world, plug, bridged):  # noqa: F811
    """Without a client, nothing is said."""
    plug("static")
    bridged.configure(LAN.replace("IPv4 = dhcp\n", ""))
    assert "type:" not in bridged.hospes("up", "br0")
    assert json.loads(bridged.hospes("down", "br0", "--json")) | {"steps": []} == {
        "lan": "br0", "state": "down", "bridge": "br0", "uplink": "eth0", "steps": [], "dhcp_clients": []}

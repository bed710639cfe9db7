# SPDX-License-Identifier: MIT
"""hospes doctor on a bridge that hospes did not make: each fault is made, found, and mended by the line that the doctor prints.

Where a fault is about traffic, it is seen to stop and to flow again.
"""

import json
import pathlib
import time

import pytest

from tests.support.doctor import GUEST4, GUEST6, HOST4, LAN4, LAN6, Patient, reaches, run
from tests.support.lan import wait_for

BR0 = ("--bridge", "br0")


@pytest.fixture
def admit(home):
    """admit(fixed_mac=..., uplink=...): a patient."""
    patients = []

    def admitter(**options):
        patients.append(Patient(home, **options))
        return patients[-1]

    yield admitter
    for made in patients:
        made.remove()


@pytest.fixture
def patient(admit):
    return admit()


def sh(patient, *lines):
    for line in lines:
        patient.type(line)


def test_a_healthy_bridge_has_nothing_but_notes(patient):
    assert {finding["check"] for finding in patient.all(*BR0)} <= {"vhost-net", "kvm"}
    done = patient.run(*BR0, status=0)
    assert "bridge br0: nothing is wrong" in done.stdout


@pytest.mark.parametrize("words, message", [
    (["--bridge", "br0", "web"], "--bridge stands alone"),
    (["--bridge", "br0;reboot"], "no name of a bridge"),
    (["one", "two"], "one guest at a time"),
    (["--lan", "NO!"], "no name of a LAN"),
    (["--bogus"], "bogus"),
])
def test_a_wrong_command_line_is_told_so(patient, words, message):
    done = patient.run(*words, status=2)
    assert message in done.stderr and not done.stdout


def test_a_user_is_told_what_was_not_looked_at(patient):
    report = json.loads(patient.run(*BR0, "--json", user=True).stdout)
    assert {gap["what"] for gap in report["not_looked_at"]} == {"the firewall's rules", "other users' processes"}
    assert "not looked at: the firewall's rules (only root" in patient.run(*BR0, user=True).stdout


@pytest.mark.parametrize("script", ["exec sleep 1000", "printf '{\"nftables\": ['; exec sleep 1000", "echo '{}'; exec sleep 1000 >/dev/null"],
                         ids=["silent", "halfway", "done"])
def test_nft_is_not_waited_for_for_ever(patient, script):
    """A stand-in that stops at nothing, in the middle, and behind all that it had to say: it is ended, and the doctor goes on."""
    nft = patient.home.write("nft", f"#!/bin/sh\n{script}\n")
    nft.chmod(0o755)
    sh(patient, f"mount --bind {nft} /usr/sbin/nft", "ip link set br0 type bridge stp_state 1")
    begun = time.monotonic()
    report = json.loads(patient.run(*BR0, "--json", status=1).stdout)
    assert 5 <= time.monotonic() - begun < 20
    assert report["not_looked_at"] == [{"what": "the firewall's rules", "why": "nft -j list ruleset did not end within 5 seconds"}]
    assert "stp" in {finding["check"] for finding in report["findings"]}
    inside = run(["ip", "netns", "pids", patient.host.name]).split()
    assert "sleep" not in [pathlib.Path(f"/proc/{pid}/comm").read_text().strip() for pid in inside if int(pid) != patient.host.keeper.pid]


# --- firewalls

FIREWALLS = {
    "policy": (["iptables -P FORWARD DROP"], "iptables -I FORWARD -i br0 -o br0 -j ACCEPT", LAN4),
    "docker": (["iptables -N DOCKER-USER", "iptables -A DOCKER-USER -j RETURN", "iptables -A FORWARD -j DOCKER-USER",
                "iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                "iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT", "iptables -P FORWARD DROP"],
               "iptables -I DOCKER-USER -i br0 -o br0 -j ACCEPT", LAN4),
    "reject": (["iptables -N inner", "iptables -A inner -p tcp --dport 25 -j ACCEPT", "iptables -A inner -j REJECT", "iptables -A FORWARD -g inner"],
               "iptables -I FORWARD -i br0 -o br0 -j ACCEPT", LAN4),
    "iptables of IPv6": (["ip6tables -P FORWARD DROP"], "ip6tables -I FORWARD -i br0 -o br0 -j ACCEPT", LAN6),
    "firewalld": (["nft add table inet firewalld", "nft 'add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; }'",
                   "nft 'add rule inet firewalld filter_FORWARD ct state { established, related } accept'",
                   "nft 'add rule inet firewalld filter_FORWARD iifname \"lo\" accept'",
                   "nft add rule inet firewalld filter_FORWARD reject with icmpx admin-prohibited"],
                  "nft 'insert rule inet firewalld filter_FORWARD iifname \"br0\" oifname \"br0\" accept'", LAN4),
    "behind an accept of another table": (
        ["nft add table ip ours", "nft 'add chain ip ours forward { type filter hook forward priority -10; }'", "nft add rule ip ours forward accept",
         "nft add table ip theirs", "nft 'add chain ip theirs forward { type filter hook forward priority 0; policy drop; }'"],
        "nft 'insert rule ip theirs forward iifname \"br0\" oifname \"br0\" accept'", LAN4),
    "the bridge's own": (["nft add table bridge guard", "nft 'add chain bridge guard forward { type filter hook forward priority 0; policy drop; }'"],
                         "nft 'insert rule bridge guard forward iifname \"port0\" accept; insert rule bridge guard forward oifname \"port0\" accept'", LAN4),
}


@pytest.mark.parametrize("name", FIREWALLS)
def test_a_firewall_that_drops_bridged_frames(patient, name):
    lines, remedy, address = FIREWALLS[name]
    assert reaches(patient.guest, address)
    sh(patient, *lines)
    assert not reaches(patient.guest, address)
    found = patient.heal("forward-drop", *BR0)
    assert [one["remedy"] for one in found] == [remedy] * len(found) or name == "firewalld", found
    assert found[0]["severity"] == "error" and reaches(patient.guest, address)


@pytest.mark.parametrize("lines", [
    ["iptables -A FORWARD -p tcp --dport 25 -j DROP"],
    ["iptables -A FORWARD -i docker0 -j DROP"],
    ["iptables -P FORWARD DROP", "iptables -A FORWARD -i br+ -j ACCEPT"],
    ["iptables -P FORWARD DROP", "sysctl -qw net.bridge.bridge-nf-call-iptables=0"],
])
def test_a_firewall_that_lets_bridged_frames_through(patient, lines):
    sh(patient, *lines)
    assert reaches(patient.guest, LAN4) and not patient.found("forward-drop", *BR0)


def test_bridge_nf_shows_frames_to_the_firewall(patient):
    sh(patient, "nft add table ip some", "nft 'add chain ip some forward { type filter hook forward priority 0; }'")
    assert patient.heal("bridge-nf", *BR0)[0]["severity"] == "note"
    sh(patient, "nft 'chain ip some forward { policy drop; }'")
    assert reaches(patient.guest, LAN4), "the firewall still sees what the bridge carries"


# --- the host as a router

@pytest.fixture
def routed(admit):
    """A bridge without an uplink, whose guests get out through the host, masqueraded."""
    patient = admit(uplink=False)
    patient.address(patient.host, "eth0", "198.51.100.2", "2001:db8:2::2")
    patient.address(patient.lan, "eth0", "198.51.100.1", "2001:db8:2::1")
    patient.host.ip("route add default via 198.51.100.1")
    patient.guest.ip(f"route add default via {HOST4}")
    patient.host.sysctl("net.ipv4.ip_forward=1")
    sh(patient, "iptables -t nat -A POSTROUTING -s 192.168.1.0/24 ! -o br0 -j MASQUERADE")
    return patient


def test_a_firewall_that_drops_what_is_routed(routed):
    sh(routed, "iptables -P FORWARD DROP", "iptables -A FORWARD -i br0 -o br0 -j ACCEPT")
    assert not reaches(routed.guest, "198.51.100.1")
    found = routed.heal("forward-drop", *BR0)
    assert "from br0 to other networks" in found[0]["symptom"] and reaches(routed.guest, "198.51.100.1")


def test_forwarding_that_is_off(routed):
    assert reaches(routed.guest, "198.51.100.1")
    routed.host.sysctl("net.ipv4.ip_forward=0")
    assert not reaches(routed.guest, "198.51.100.1")
    found = routed.heal("ip-forward", *BR0)
    assert "error" in [one["severity"] for one in found] and reaches(routed.guest, "198.51.100.1")


def test_a_filter_by_the_way_back(patient):
    """The guest's upper half of the network is reached by another link: what it sends by the bridge is thrown away unless the filter is loose."""
    host, guest = patient.host, patient.guest
    host.ip(f"link add other0 type veth peer name other0 netns {guest.name}")
    for end in (host, guest):
        end.ip("link set other0 up")
    guest.ip("address add 192.168.1.200/32 dev eth0")
    host.ip("route add 192.168.1.128/25 dev other0")
    for setting in ("all.rp_filter=0", "default.rp_filter=0", "eth0.rp_filter=0", "other0.rp_filter=0"):
        guest.sysctl(f"net.ipv4.conf.{setting}")
    assert reaches(guest, HOST4, options=["-I", "192.168.1.200"])
    assert not patient.found("rp-filter", *BR0)
    host.sysctl("net.ipv4.conf.all.rp_filter=1")
    assert not reaches(guest, HOST4, options=["-I", "192.168.1.200"])
    patient.heal("rp-filter", *BR0)
    assert reaches(guest, HOST4, options=["-I", "192.168.1.200"])


def test_a_network_that_a_route_takes_away(patient):
    patient.host.ip("link add other0 type veth peer name other1")
    patient.host.ip("link set other0 up")
    assert reaches(patient.host, GUEST4)
    patient.host.ip("route add 192.168.1.0/25 dev other0")
    assert not reaches(patient.host, GUEST4, tries=1)
    found = patient.heal("overlap", *BR0)
    assert found[0]["remedy"] == "ip route del 192.168.1.0/25 dev other0" and reaches(patient.host, GUEST4)


def test_router_advertisements_that_a_router_ignores(patient):
    host = patient.host
    host.ip("-6 route del default")
    host.sysctl("net.ipv6.conf.br0.accept_ra=1")
    assert not patient.found("accept-ra", *BR0)
    host.sysctl("net.ipv6.conf.all.forwarding=1")
    patient.run_in(patient.lan, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--enable-ra",
                   "--dhcp-range=2001:db8:1::,ra-only,64,600", "--ra-param=eth0,4", "--pid-file=", "--user=root", "--dhcp-leasefile=/dev/null")
    time.sleep(5)
    assert "default" not in host.ip("-6 route")
    found = patient.found("accept-ra", *BR0)
    patient.type(found[0]["remedy"])
    assert not patient.found("accept-ra", *BR0)
    wait_for(lambda: "default" in host.ip("-6 route"), 15, "a route by router advertisement")


# --- the bridge and its ports

def test_no_such_bridge(patient):
    found = patient.heal("no-bridge", "--bridge", "br7")
    assert found[0]["remedy"] == "ip link add br7 type bridge"
    assert "is no bridge but a link of kind veth" in patient.found("no-bridge", "--bridge", "port0")[0]["cause"]


@pytest.mark.parametrize("link", ["br0", "eth0"])
def test_a_link_that_is_down(patient, link):
    patient.host.ip(f"link set {link} down")
    assert not reaches(patient.guest, LAN4, tries=1)
    if link == "br0":  # the default route goes with it, and comes back by nobody's remedy but the administrator's
        patient.host.ip(f"link set {link} down")
    patient.heal("link-down", *BR0)
    assert reaches(patient.guest, LAN4)


def test_an_uplink_without_a_cable(patient):
    patient.lan.ip("link set eth0 down")
    found = patient.found("link-down", *BR0)
    assert found and not found[0]["remedy"] and "no carrier" in found[0]["cause"]
    patient.lan.ip("link set eth0 up")
    assert not patient.found("link-down", *BR0)


def test_the_silent_time_of_stp(patient):
    patient.host.ip("link set br0 type bridge stp_state 1 forward_delay 3000")
    patient.host.ip("link set port0 down")
    patient.host.ip("link set port0 up")
    assert not reaches(patient.guest, HOST4, tries=1)
    found = patient.heal("stp", *BR0)
    assert found[0]["severity"] == "error" and "port0" in found[0]["symptom"]
    patient.host.ip("link set port0 down")
    patient.host.ip("link set port0 up")
    assert reaches(patient.guest, HOST4)


def test_an_address_left_on_a_port(patient):
    patient.host.ip(f"address del {HOST4}/24 dev br0")
    patient.host.ip(f"address add {HOST4}/24 dev eth0")
    patient.host.ip(f"route replace default via {LAN4} dev eth0")
    assert not reaches(patient.host, LAN4, tries=1)
    patient.heal("port-address", *BR0)
    assert reaches(patient.host, LAN4) and f"default via {LAN4} dev br0" in patient.host.ip("route")


def test_a_dhcp_client_left_on_a_port(patient):
    patient.run_in(patient.lan, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces",
                   "--dhcp-range=192.168.1.100,192.168.1.110", "--pid-file=", "--user=root", "--dhcp-leasefile=/dev/null", "--no-ping")
    patient.host.ip(f"address del {HOST4}/24 dev br0")
    script = patient.home.path / "udhcpc"
    script.write_text('#!/bin/sh\ncase $1 in bound) ip address replace "$ip/$mask" dev "$interface" ;; esac\n')
    script.chmod(0o755)
    # As it was before the bridge was made: the client has its lease on the uplink.
    patient.host.ip("link set eth0 nomaster")
    sh(patient, f"busybox udhcpc -i eth0 -s {script} -t 5")
    patient.host.ip("link set eth0 master br0")
    patient.heal("port-address", *BR0)
    patient.host.ip("address flush dev br0 scope global")
    found = patient.heal("port-dhcp", *BR0)
    assert f"busybox udhcpc -i br0 -s {script} -t 5" in found[0]["remedy"]
    assert "inet 192.168.1.1" in patient.host.ip("-4 address show dev br0") and reaches(patient.host, LAN4)


def test_a_mac_that_moves(admit):
    patient = admit(fixed_mac=False)
    found = patient.heal("moving-mac", *BR0)
    assert patient.mac("eth0") in found[0]["remedy"]
    patient.host.ip("link add low0 address 02:00:00:00:00:01 type veth peer name low1")
    patient.host.ip("link set low0 master br0")
    assert patient.mac("br0") == patient.mac("eth0") and reaches(patient.guest, LAN4) and reaches(patient.host, LAN4)


@pytest.mark.parametrize("link", ["port0", "br0"])
def test_an_mtu_that_differs(patient, link):
    full = dict(size=1472, options=["-M", "do"], tries=2)
    if link == "port0":
        assert reaches(patient.guest, LAN4, **full)
    patient.host.ip(f"link set {link} mtu 1400")
    target = (patient.guest, LAN4) if link == "port0" else (patient.host, LAN4)
    assert not reaches(*target, **full)
    patient.heal("mtu", *BR0)
    assert reaches(*target, **full)


# --- taps

def test_a_tap_without_a_guest(patient):
    patient.tap("tap0")
    assert patient.heal("tap-alone", *BR0)[0]["remedy"] == "ip tuntap del dev tap0 mode tap"
    patient.tap("tap0")
    qemu = patient.qemu("tap0")
    assert not patient.found("tap-alone", *BR0)
    qemu.kill()
    qemu.wait(10)
    assert patient.found("tap-alone", *BR0)


def test_a_tap_without_an_owner(patient):
    patient.host.ip("tuntap add dev tap0 mode tap")
    patient.host.ip("link set tap0 master br0 up mtu 1500")
    found = patient.heal("tap-owner", *BR0)
    assert "every user" in found[0]["symptom"] and '"user":"root"' in patient.host.ip("-j -d tuntap show dev tap0").replace(" ", "") \
        or "user 0" in patient.host.ip("-d tuntap show dev tap0")
    assert "master br0" in patient.host.ip("link show tap0")


def test_a_tap_whose_owner_is_gone(patient):
    patient.tap("tap0", user="4711")
    assert "4711" in patient.heal("tap-owner", *BR0)[0]["cause"]


def test_a_tap_that_is_not_its_owners(patient):
    (patient.host.root / "etc/hospes/br0.lan").write_text("[LAN]\nFabric = bridge\nBridge = br0\nUplink = eth0\nTaps = tap0:wangji\n")
    patient.tap("tap0", user="daemon")
    found = patient.heal("tap-owner", "--lan", "br0")
    assert found[0]["severity"] == "error" and "wangji cannot start a guest on tap0" in found[0]["symptom"]
    assert "tap-alone" not in [one["check"] for one in patient.all("--lan", "br0")], "it is meant to wait"


def test_a_guest_whose_tap_is_in_no_bridge(patient):
    patient.tap("tap0", master=None)
    patient.qemu("tap0", mac="52:54:00:00:00:01")
    found = patient.heal("tap-unattached", *BR0)
    assert found[0]["remedy"] == "ip link set dev tap0 master br0 up" and "master br0" in patient.host.ip("link show tap0")


def test_a_guest_whose_tap_is_down(patient):
    patient.tap("tap0")
    patient.qemu("tap0", mac="52:54:00:00:00:01")
    patient.host.ip("link set tap0 down")
    assert "the tap tap0 carries nothing" in patient.heal("link-down", *BR0)[0]["symptom"]


def test_a_tap_that_has_its_guests_mac(patient):
    patient.tap("tap0")
    patient.host.ip("link set tap0 address 52:54:00:00:00:01")
    patient.qemu("tap0", mac="52:54:00:00:00:01")
    assert "fe:54:00:00:00:01" in patient.heal("tap-mac", *BR0)[0]["remedy"]


def test_two_guests_with_one_mac(patient):
    for tap in ("tap0", "tap1"):
        patient.tap(tap)
    patient.qemu("tap0")
    second = patient.qemu("tap1")
    found = patient.found("duplicate-mac", *BR0)
    assert len(found) == 1 and not found[0]["remedy"] and "without mac=" in found[0]["cause"] and str(second.pid) in found[0]["advice"]
    # The advice, followed: the second one is started anew with the MAC that was named.
    second.kill()
    second.wait(10)
    patient.qemu("tap1", mac=found[0]["advice"].split("mac=")[1].split()[0])
    assert not patient.found("duplicate-mac", *BR0)


# --- what only shows when frames are sent

PROBE = (*BR0, "--probe")


def test_a_switch_that_filters_foreign_macs(patient):
    sh(patient, "ip neigh flush all")
    assert not patient.found("mac-filter", *PROBE)
    rules = ("add table netdev switch; add chain netdev switch in { type filter hook ingress device eth0 priority 0; }; "
             f"add rule netdev switch in ether saddr != {patient.mac('br0')} drop")
    patient.lan.ip("link set eth0 up")
    nft(patient.lan, rules)
    assert reaches(patient.host, LAN4) and not reaches(patient.guest, LAN4, tries=1)
    found = patient.found("mac-filter", *PROBE)
    assert found and not found[0]["remedy"] and LAN4 in found[0]["where"]
    nft(patient.lan, "delete table netdev switch")
    assert not patient.found("mac-filter", *PROBE) and reaches(patient.guest, LAN4)


def nft(netns, rules):
    import subprocess
    subprocess.run(netns.command(["nft", "-f", "-"]), input=rules, text=True, timeout=10, check=True)


def dhcp_server(patient, netns, name, pool):
    return patient.run_in(netns, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", f"--interface={name}", "--bind-interfaces",
                          f"--dhcp-range={pool}", "--pid-file=", "--user=root", "--dhcp-leasefile=/dev/null", "--no-ping")


def test_two_dhcp_servers(patient):
    dhcp_server(patient, patient.lan, "eth0", "192.168.1.100,192.168.1.110")
    time.sleep(0.5)
    assert not patient.found("dhcp-servers", *PROBE)
    second = dhcp_server(patient, patient.guest, "eth0", "192.168.1.200,192.168.1.210")
    time.sleep(0.5)
    found = patient.found("dhcp-servers", *PROBE)
    assert found and LAN4 in found[0]["cause"] and GUEST4 in found[0]["cause"]
    second.kill()
    second.wait(10)
    assert not patient.found("dhcp-servers", *PROBE)


def test_an_address_that_two_have(patient):
    assert reaches(patient.host, GUEST4) and not patient.found("duplicate-address", *PROBE)
    patient.lan.ip(f"address add {GUEST4}/24 dev eth0")
    found = patient.found("duplicate-address", *PROBE)
    assert len(found) == 1 and GUEST4 in found[0]["symptom"] and "02:" not in found[0]["symptom"]
    patient.lan.ip(f"address del {GUEST4}/24 dev eth0")
    assert not patient.found("duplicate-address", *PROBE)


def test_probes_need_root(patient):
    report = json.loads(patient.run(*PROBE, "--json", user=True).stdout)
    assert {"what": "what probes would show", "why": "only root may send on a bridge: sudo hospes doctor --probe"} in report["not_looked_at"]
    assert GUEST6  # the guest has both versions

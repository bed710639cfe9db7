# SPDX-License-Identifier: MIT
"""DHCPv4 as clients speak it, and as they should not."""

import ipaddress
import random

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from tests.support.lan import wait_for
from tests.support.wire import dhcp_option

PORTS = ["stream", "packed"]

ACK, NAK, OFFER = 5, 6, 2
SMALL = "[LAN]\nIPv4 = 10.9.9.0/29\nIPv6 = none\n"  # leases .4 to .6


def kind(packet):
    return packet and dhcp_option(packet, "message-type")


def request(guest, address, **options):
    """A REQUEST without a server: INIT-REBOOT."""
    return guest.dhcp("request", requested_addr=address, **options)


def leases(daemon):
    return {g["mac"]: g["lease"] for g in daemon.call("List")["guests"] if g["lease"]}


def test_first_lease(daemon, guest):
    offer = guest.dhcp("discover")
    assert kind(offer) == OFFER and offer[BOOTP].yiaddr == "10.0.2.15"
    assert offer.dst == guest.mac and offer[IP].src == "10.0.2.2" and offer[UDP].chksum != 0
    ack = guest.lease()
    assert guest.ip == "10.0.2.15"
    told = {name: dhcp_option(ack, name) for name in ("subnet_mask", "router", "name_server", "domain", "lease_time", "server_id", "broadcast_address")}
    assert told == {"subnet_mask": "255.255.255.0", "router": "10.0.2.2", "name_server": "10.0.2.3", "domain": b"hospes", "lease_time": 86400,
                    "server_id": "10.0.2.2", "broadcast_address": "10.0.2.255"}
    assert leases(daemon) == {guest.mac: "10.0.2.15"}


def test_two_guests_get_two_addresses(daemon, attach):
    one, two = attach(daemon, 1), attach(daemon, 2)
    one.lease()
    two.lease()
    assert one.ip != two.ip
    assert set(leases(daemon).values()) == {one.ip, two.ip}


def test_options_that_were_asked_for(guest):
    plain = guest.lease(param_req_list=[1, 3])
    asked = guest.lease(param_req_list=[26, 12], hostname=b"Web")
    assert dhcp_option(plain, "hostname") is None and dhcp_option(asked, "hostname") == b"web"
    assert dhcp_option(plain, "interface-mtu") is None and dhcp_option(asked, "interface-mtu") == 1500


def test_broadcast_where_the_client_wants_it(guest):
    xid = random.getrandbits(32)
    raw = bytes.fromhex(guest.mac.replace(":", ""))
    guest.send(Ether(src=guest.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) /
               BOOTP(chaddr=raw + bytes(10), xid=xid, flags=0x8000) / DHCP(options=[("message-type", "discover"), "end"]))
    offer = guest.expect(lambda p: BOOTP in p and p[BOOTP].xid == xid, what="offer")
    assert offer[IP].dst == "255.255.255.255"


def test_address_that_is_asked_for(daemon, attach):
    one, two = attach(daemon, 1), attach(daemon, 2)
    assert one.dhcp("discover", requested_addr="10.0.2.77")[BOOTP].yiaddr == "10.0.2.77"
    assert one.dhcp("request", requested_addr="10.0.2.77", server_id="10.0.2.2")[BOOTP].yiaddr == "10.0.2.77"
    assert two.dhcp("discover", requested_addr="10.0.2.77")[BOOTP].yiaddr != "10.0.2.77"
    for wrong in ("10.0.2.2", "10.0.2.3", "10.0.2.255", "10.0.2.0", "192.0.2.9"):
        offered = two.dhcp("discover", requested_addr=wrong)[BOOTP].yiaddr
        assert offered != wrong and ipaddress.ip_address(offered) in ipaddress.ip_network("10.0.2.0/24")


def test_init_reboot(daemon, guest):
    """RFC 2131 section 4.3.2: the right address is acknowledged, another or a foreign one is not; unknown ones are passed over in silence."""
    stranger = request(guest, "10.0.2.50")
    assert stranger is None
    guest.lease()
    assert kind(request(guest, "10.0.2.15")) == ACK
    assert kind(request(guest, "10.0.2.50")) == NAK
    refused = request(guest, "192.168.7.7")
    assert kind(refused) == NAK and refused[IP].dst == "255.255.255.255"


def test_foreign_network_is_refused_to_strangers_too(guest):
    assert kind(request(guest, "192.168.7.7")) == NAK


def test_renewing_and_rebinding(guest):
    guest.lease()
    ack = guest.dhcp("request", source=guest.ip, to="10.0.2.2", ciaddr=guest.ip)
    assert kind(ack) == ACK and ack[IP].dst == guest.ip and ack[BOOTP].ciaddr == guest.ip
    assert kind(guest.dhcp("request", source=guest.ip, ciaddr=guest.ip)) == ACK


def test_another_guests_address_is_refused(daemon, attach):
    one, two = attach(daemon, 1), attach(daemon, 2)
    one.lease()
    assert kind(two.dhcp("request", requested_addr=one.ip, server_id="10.0.2.2")) == NAK


def test_another_server_was_chosen(daemon, guest):
    assert kind(guest.dhcp("discover")) == OFFER
    assert guest.dhcp("request", seconds=0.3, requested_addr="10.0.2.15", server_id="10.0.2.99") is None
    assert leases(daemon) == {}


def test_decline(guest):
    """Somebody uses the address: the client gets another one, and that one rests."""
    guest.lease()
    first = guest.ip
    guest.dhcp("decline", answer=False, requested_addr=first, server_id="10.0.2.2")
    guest.lease()
    assert guest.ip != first
    assert guest.dhcp("discover", requested_addr=first)[BOOTP].yiaddr != first


def test_decline_of_what_is_not_ones_own(daemon, attach, grows):
    one, two = attach(daemon, 1), attach(daemon, 2)
    one.lease()
    with grows(daemon, "service-refused"):
        two.dhcp("decline", answer=False, requested_addr=one.ip, server_id="10.0.2.2")
    assert leases(daemon) == {one.mac: one.ip}


def test_release(daemon, attach):
    one, two = attach(daemon, 1), attach(daemon, 2)
    one.lease()
    first = one.ip
    one.dhcp("release", answer=False, source=first, to="10.0.2.2", ciaddr=first, server_id="10.0.2.2")
    wait_for(lambda: leases(daemon) == {}, what="the lease's end")
    two.lease()
    assert two.ip != first  # somebody else's old one is the last to be given away
    one.lease()
    assert one.ip == first


def test_inform(guest):
    ack = guest.dhcp("inform", source=guest.ip, ciaddr=guest.ip)
    assert kind(ack) == ACK and dhcp_option(ack, "name_server") == "10.0.2.3"
    assert dhcp_option(ack, "lease_time") is None and ack[BOOTP].yiaddr == "0.0.0.0"


def test_exhausted_pool(start, attach, grows):
    daemon = start(config=SMALL)
    guest = attach(daemon)
    given = []
    for number in range(1, 4):
        other = attach(daemon, number)
        offer = other.dhcp("discover")
        ack = other.dhcp("request", requested_addr=offer[BOOTP].yiaddr, server_id=dhcp_option(offer, "server_id"))
        assert kind(ack) == ACK
        given.append(ack[BOOTP].yiaddr)
    assert sorted(given) == ["10.9.9.4", "10.9.9.5", "10.9.9.6"]
    late = attach(daemon, 4)
    with grows(daemon, "pool-exhausted"):
        assert late.dhcp("discover", seconds=0.3) is None
    other.dhcp("release", answer=False, source=given[2], to="10.9.9.2", ciaddr=given[2])
    wait_for(lambda: len(leases(daemon)) == 2, what="a free address")
    assert late.dhcp("discover")[BOOTP].yiaddr == given[2]
    guest.close()


def test_two_macs_with_one_client_id(daemon, attach):
    """Clones of a machine share it: it is echoed, and never a key."""
    one, two = attach(daemon, 1), attach(daemon, 2)
    acks = [guest.lease(client_id=b"\xff\0\0\0\1cloned") for guest in (one, two)]
    assert one.ip != two.ip
    assert all(dhcp_option(ack, "client_id") == b"\xff\0\0\0\1cloned" for ack in acks)
    one.lease(client_id=b"\1other")
    assert leases(daemon) == {one.mac: one.ip, two.mac: two.ip}


def test_hostname_becomes_the_name(daemon, attach):
    one, two = attach(daemon, 1), attach(daemon, 2)
    one.lease(hostname=b"Web")
    assert daemon.call("Resolve", guest="web")["guest"]["mac"] == one.mac
    two.lease(hostname=b"web")  # it is another's
    assert daemon.call("Resolve", guest="web")["guest"]["mac"] == one.mac
    for wrong in (b"gateway", b"-x", b"a b", b"\xff\xfe", b"x" * 64):
        two.lease(hostname=wrong)
    assert [g["name"] for g in daemon.call("List")["guests"] if g["mac"] == two.mac] == [None]


def test_fixed_address(start, attach):
    daemon = start(config="[LAN]\n[Guest]\nName = web\nMAC = 02:00:00:00:00:01\nIPv4 = 10.0.2.200\n")
    one, two = attach(daemon, 1), attach(daemon, 2)
    assert two.dhcp("discover", requested_addr="10.0.2.200")[BOOTP].yiaddr != "10.0.2.200"
    one.lease()
    assert one.ip == "10.0.2.200"


def test_lease_survives_a_restart(start, attach):
    daemon = start()
    one = attach(daemon, 1)
    attach(daemon, 2).lease()
    one.lease(hostname=b"web")
    kept = one.ip
    daemon.stop()
    daemon = start()
    newcomer, one = attach(daemon, 3), attach(daemon, 1)
    newcomer.lease()
    assert newcomer.ip not in (kept, "10.0.2.15")
    assert daemon.call("Resolve", guest="web")["guest"]["mac"] == one.mac
    assert kind(request(one, kept)) == ACK
    one.lease()
    assert one.ip == kept


def test_no_lease_survives_without_its_file(start, attach, home):
    """The same without the file: then nothing is known."""
    daemon = start()
    one = attach(daemon, 1)
    one.lease(hostname=b"web")
    daemon.stop()
    files = [path for path in home.path.rglob("*lease*") if path.is_file()]
    assert len(files) == 1
    files[0].unlink()
    daemon = start()
    one = attach(daemon, 1)
    assert leases(daemon) == {}
    assert request(one, "10.0.2.15", seconds=0.3) is None


def test_damaged_lease_file(start, attach, home):
    """A line that is none is passed over with a warning that names it; the others count."""
    daemon = start()
    attach(daemon, 1).lease()
    daemon.stop()
    file = next(path for path in home.path.rglob("*lease*") if path.is_file())
    before = file.read_text()
    file.write_text("rubbish\n" + before + "02:00:00:00:00:05 ip4=999.1.1.1\n")
    daemon = start()
    last = before.count("\n") + 2
    assert f"{file}:1:" in daemon.messages() and f"{file}:{last}:" in daemon.messages()
    assert leases(daemon) == {"02:00:00:00:00:01": "10.0.2.15"}


@pytest.mark.parametrize("what", ["mac of another", "relayed", "no cookie", "short", "reply", "no type"])
def test_requests_that_are_none(daemon, guest, grows, what):
    raw = bytes.fromhex(guest.mac.replace(":", ""))
    bootp = BOOTP(chaddr=raw + bytes(10), xid=77)
    options = [("message-type", "discover"), "end"]
    reason = {"mac of another": "spoofed-mac", "relayed": "service-refused", "no type": "service-refused"}.get(what, "malformed")
    if what == "mac of another":
        bootp.chaddr = b"\2\0\0\0\0\x99" + bytes(10)
    elif what == "relayed":
        bootp.giaddr = "10.0.2.50"
    elif what == "no cookie":
        bootp.options = b"\1\2\3\4"
    elif what == "reply":
        bootp.op = 2
    elif what == "no type":
        options = ["end"]
    packet = bytes(bootp / DHCP(options=options))
    if what == "short":
        packet = packet[:200]
    with grows(daemon, reason):
        guest.send(Ether(src=guest.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / packet)
    guest.silence(lambda p: BOOTP in p, 0.1)
    assert kind(guest.dhcp("discover")) == OFFER


def test_every_truncation_is_survived(daemon, guest):
    """A whole request, cut at each byte."""
    raw = bytes.fromhex(guest.mac.replace(":", ""))
    whole = bytes(BOOTP(chaddr=raw + bytes(10), xid=1) / DHCP(options=[("message-type", "discover"), ("hostname", b"web"), ("client_id", b"\1abc"),
                                                                        ("param_req_list", [1, 3, 6]), "end"]))
    for size in range(len(whole)):
        guest.send(Ether(src=guest.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / whole[:size])
    guest.drain()
    assert daemon.drops()["malformed"] > 200
    assert kind(guest.dhcp("discover")) == OFFER

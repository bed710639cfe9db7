# SPDX-License-Identifier: MIT
"""DHCPv6, stateful and stateless."""

import ipaddress
import random

import pytest
from scapy.layers.dhcp6 import (DHCP6_Advertise, DHCP6_Confirm, DHCP6_Decline, DHCP6_InfoRequest, DHCP6_Rebind, DHCP6_Release, DHCP6_Renew, DHCP6_Reply,
                                DHCP6_Request, DHCP6_Solicit, DHCP6OptClientId, DHCP6OptDNSDomains, DHCP6OptDNSServers, DHCP6OptElapsedTime, DHCP6OptIA_NA,
                                DHCP6OptIA_PD, DHCP6OptIAAddress, DHCP6OptOptReq, DHCP6OptRapidCommit, DHCP6OptServerId, DHCP6OptStatusCode, DUID_LL)
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from tests.support.lan import wait_for

ALL_SERVERS, ALL_SERVERS_MAC = "ff02::1:2", "33:33:00:01:00:02"
NO_BINDING, NOT_ON_LINK = 3, 4


class Client:
    """What DHCPv6 needs to know of a guest."""

    def __init__(self, guest, duid=None, iaid=1):
        self.guest, self.iaid = guest, iaid
        self.duid = duid or DUID_LL(lladdr=guest.mac)
        self.link_local = "fe80::ff:fe00:" + str(int(guest.mac[-2:], 16))
        self.server, self.address = None, None

    def send(self, message, *options, to=ALL_SERVERS):
        message.trid = random.getrandbits(24)
        packet = Ether(src=self.guest.mac, dst=ALL_SERVERS_MAC) / IPv6(src=self.link_local, dst=to) / UDP(sport=546, dport=547) / message
        for option in options:
            packet /= option
        self.guest.send(packet)
        return message.trid

    def ask(self, message, *options, seconds=2.0, to=ALL_SERVERS):
        trid = self.send(message, *options, to=to)
        return self.guest.recv(lambda p: any(m in p and p[m].trid == trid for m in (DHCP6_Advertise, DHCP6_Reply)), seconds)

    def ia(self, address=None):
        return DHCP6OptIA_NA(iaid=self.iaid, ianaopts=[DHCP6OptIAAddress(addr=address)] if address else [])

    def me(self):
        return DHCP6OptClientId(duid=self.duid)

    def lease(self):
        advertise = self.ask(DHCP6_Solicit(), self.me(), self.ia(), DHCP6OptOptReq(reqopts=[23, 24]))
        assert DHCP6_Advertise in advertise
        self.server = DHCP6OptServerId(duid=advertise[DHCP6OptServerId].duid)
        reply = self.ask(DHCP6_Request(), self.me(), self.server, self.ia(advertise[DHCP6OptIAAddress].addr), DHCP6OptOptReq(reqopts=[23, 24]))
        assert DHCP6_Reply in reply
        self.address = reply[DHCP6OptIAAddress].addr
        return reply


def status_of(packet):
    """The status in the first association, or in the message."""
    association = packet.getlayer(DHCP6OptIA_NA)
    for option in association.ianaopts if association else []:
        if isinstance(option, DHCP6OptStatusCode):
            return option.statuscode
    return packet[DHCP6OptStatusCode].statuscode if DHCP6OptStatusCode in packet else 0


def test_stateful(daemon, guest):
    client = Client(guest)
    reply = client.lease()
    network = ipaddress.ip_network(daemon.call("Status")["network6"])
    assert ipaddress.ip_address(client.address) in network
    assert reply[DHCP6OptDNSServers].dnsservers == [daemon.call("Status")["dns6"]]
    assert [d.rstrip(b".") if isinstance(d, bytes) else d.rstrip(".") for d in reply[DHCP6OptDNSDomains].dnsdomains] in (["hospes"], [b"hospes"])
    assert reply[DHCP6OptIAAddress].validlft == 86400 and reply[DHCP6OptIA_NA].T1 == 43200
    assert reply[IPv6].dst == client.link_local and reply[IPv6].src.startswith("fe80::")
    assert daemon.call("Resolve", guest=client.address)["guest"]["mac"] == guest.mac


def test_stateless(daemon, guest):
    client = Client(guest)
    reply = client.ask(DHCP6_InfoRequest(), client.me(), DHCP6OptElapsedTime(), DHCP6OptOptReq(reqopts=[23]))
    assert reply[DHCP6OptDNSServers].dnsservers == [daemon.call("Status")["dns6"]]
    assert DHCP6OptIA_NA not in reply and DHCP6OptDNSDomains not in reply


def test_rapid_commit(daemon, guest):
    client = Client(guest)
    reply = client.ask(DHCP6_Solicit(), client.me(), client.ia(), DHCP6OptRapidCommit())
    assert DHCP6_Reply in reply and DHCP6OptRapidCommit in reply
    assert daemon.call("Resolve", guest=reply[DHCP6OptIAAddress].addr)["guest"]["mac"] == guest.mac


def test_clones(daemon, attach):
    """Two MACs with one DUID and one IAID: an address each."""
    one, two = attach(daemon, 1), attach(daemon, 2)
    duid = DUID_LL(lladdr="02:00:00:00:00:77")
    clients = [Client(one, duid), Client(two, duid)]
    for client in clients:
        client.lease()
    assert clients[0].address != clients[1].address
    again = Client(one, duid)
    again.lease()
    assert again.address == clients[0].address


def test_renew_rebind_release(daemon, guest):
    client = Client(guest)
    client.lease()
    renewed = client.ask(DHCP6_Renew(), client.me(), client.server, client.ia(client.address))
    assert renewed[DHCP6OptIAAddress].addr == client.address
    rebound = client.ask(DHCP6_Rebind(), client.me(), client.ia(client.address))
    assert rebound[DHCP6OptIAAddress].addr == client.address
    wrong = client.ask(DHCP6_Renew(), client.me(), client.server, client.ia("2001:db8::99"))
    lifetimes = {o.addr: o.validlft for o in wrong[DHCP6OptIA_NA].ianaopts if isinstance(o, DHCP6OptIAAddress)}
    assert lifetimes["2001:db8::99"] == 0 and lifetimes[client.address] > 0
    assert status_of(client.ask(DHCP6_Release(), client.me(), client.server, client.ia(client.address))) == 0
    wait_for(lambda: not any(g["lease"] for g in daemon.call("List")["guests"]), what="the lease's end")
    gone = client.ask(DHCP6_Release(), client.me(), client.server, client.ia(client.address))
    assert status_of(gone) == NO_BINDING
    first = client.address
    client.lease()
    assert client.address == first


def test_decline(guest):
    client = Client(guest)
    client.lease()
    first = client.address
    client.ask(DHCP6_Decline(), client.me(), client.server, client.ia(first))
    client.lease()
    assert client.address != first


def test_confirm(guest):
    client = Client(guest)
    client.lease()
    assert status_of(client.ask(DHCP6_Confirm(), client.me(), client.ia(client.address))) == 0
    assert client.ask(DHCP6_Confirm(), client.me(), client.ia("2001:db8::1"))[DHCP6OptStatusCode].statuscode == NOT_ON_LINK


def test_prefixes_are_not_delegated(guest):
    client = Client(guest)
    reply = client.ask(DHCP6_Solicit(), client.me(), DHCP6OptIA_PD(iaid=5))
    assert reply is not None and b"no prefixes" in bytes(reply)


def test_lease_survives_a_restart(start, attach):
    daemon = start()
    client = Client(attach(daemon))
    client.lease()
    daemon.stop()
    daemon = start()
    again = Client(attach(daemon))
    assert daemon.call("Resolve", guest=client.address)["guest"]["mac"] == again.guest.mac
    again.lease()
    assert again.address == client.address


@pytest.mark.parametrize("what,reason", [("no client id", "malformed"), ("server id in a solicit", "malformed"), ("no server id", "malformed"),
                                         ("unknown message", "service-refused"), ("short option", "malformed")])
def test_messages_that_are_none(daemon, guest, grows, what, reason):
    client = Client(guest)
    server = DHCP6OptServerId(duid=DUID_LL(lladdr="52:55:0a:00:02:02"))
    with grows(daemon, reason):
        if what == "no client id":
            client.send(DHCP6_Solicit(), client.ia())
        elif what == "server id in a solicit":
            client.send(DHCP6_Solicit(), client.me(), server, client.ia())
        elif what == "no server id":
            client.send(DHCP6_Request(), client.me(), client.ia())
        elif what == "unknown message":
            client.send(DHCP6_Advertise(), client.me(), server)
        else:
            client.send(DHCP6_Solicit(), b"\0\1\0\x50\0\3")
    assert client.lease() is not None


def test_of_another_server(daemon, guest):
    client = Client(guest)
    other = DHCP6OptServerId(duid=DUID_LL(lladdr="02:00:00:00:00:99"))
    assert client.ask(DHCP6_Request(), client.me(), other, client.ia(), seconds=0.3) is None

# SPDX-License-Identifier: MIT
"""DNS: guests' names answered by the gateway, everything else by the host's own resolvers, which here are played too."""

import contextlib
import socket
import struct
import threading
import time

import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRROPT
from scapy.layers.inet import UDP

from tests.support.wire import DNS4, Connection, payload_of

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)


class Resolver:
    """A nameserver in the host's namespace, by UDP and TCP: answer(question, tcp) -> DNS message, bytes, or None for silence."""

    def __init__(self, netns, answer, address="127.0.0.1", port=0):
        self.answer, self.asked = answer, []
        self.tcp = netns.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((address, port))
        self.tcp.listen(16)
        self.udp = netns.socket(kind=socket.SOCK_DGRAM)
        self.udp.bind(self.tcp.getsockname())
        self.port = self.tcp.getsockname()[1]
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.serve_udp, self.serve_tcp)]
        for thread in self.threads:
            thread.start()

    def reply(self, data, tcp):
        query = DNS(data)
        self.asked.append((bytes(query.qd.qname).decode(), tcp))
        answer = self.answer(query, tcp)
        return answer if answer is None else bytes(answer)

    def serve_udp(self):
        with contextlib.suppress(OSError):
            while True:
                data, client = self.udp.recvfrom(65535)
                if not client:
                    return  # it was shut down
                answer = self.reply(data, False)
                if answer is not None:
                    self.udp.sendto(answer, client)

    def serve_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.tcp.accept()
                with contextlib.suppress(OSError, struct.error), connection:
                    connection.settimeout(3)
                    size = struct.unpack("!H", connection.recv(2))[0]
                    answer = self.reply(connection.recv(size), True)
                    if answer is not None:
                        connection.sendall(struct.pack("!H", len(answer)) + answer)

    def close(self):
        for made in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                made.shutdown(socket.SHUT_RDWR)
            made.close()
        for thread in self.threads:
            thread.join(1)


def reply_to(query, records=(), rcode=0, **fields):
    section = None
    for record in records:
        section = record if section is None else section / record
    return DNS(id=query.id, qr=1, rd=1, ra=1, qd=query.qd, an=section, ancount=len(records), rcode=rcode, **fields)


def many(query, kind, values):
    """An answer of many records, which is too much for scapy."""
    header = struct.pack("!6H", query.id, 0x8180, 1, len(values), 0, 0)
    return header + bytes(query.qd) + b"".join(struct.pack("!HHHIH", 0xc00c, kind, 1, 60, len(v)) + v for v in values)


def zone(query, tcp):
    """What the played resolver knows."""
    name, kind = bytes(query.qd.qname), query.qd.qtype
    if name == b"www.example.":
        data = {1: "198.51.100.80", 28: "2001:db8:100::50"}.get(kind)
        return reply_to(query, [DNSRR(rrname=name, type=kind, ttl=60, rdata=data)] if data else [])
    if name == b"long.example.":
        return many(query, 16, [b"\xc8" + bytes([65 + i]) * 200 for i in range(6)])
    if name == b"cut.example." and not tcp:
        return reply_to(query, tc=1)
    if name == b"cut.example.":
        return many(query, 1, [bytes([198, 51, 100, i]) for i in range(200)])
    if name == b"silent.example.":
        return None
    if name == b"broken.example.":
        return reply_to(query, rcode=SERVFAIL)
    if name == b"forged.example.":
        forged = reply_to(query, [DNSRR(rrname=name, type=1, ttl=60, rdata="203.0.113.66")])
        forged.id ^= 1
        return forged
    return reply_to(query, rcode=NXDOMAIN)


@pytest.fixture
def resolver(world):
    made = Resolver(world.host, zone)
    yield made
    made.close()


@pytest.fixture
def resolv_conf(home, resolver):
    path = home.path / "resolv" / "resolv.conf"
    path.parent.mkdir()
    path.parent.chmod(0o755)
    path.write_text(f"# the host's\nnameserver [127.0.0.1]:{resolver.port}\n")
    return path


@pytest.fixture
def daemon(start, resolv_conf):
    return start(arguments=["--resolv-conf", str(resolv_conf)])


def query(guest, name, kind="A", to=DNS4, seconds=3.0, **fields):
    """Ask by UDP. Return: the response, or None."""
    ident, sport = fields.pop("id", 0x1234), fields.pop("sport", 5353)
    guest.send(guest.ip_to(to) / UDP(sport=sport, dport=53) / DNS(id=ident, rd=1, qd=DNSQR(qname=name, qtype=kind), **fields))
    packet = guest.recv(lambda p: UDP in p and p[UDP].sport == 53 and p[UDP].dport == sport and p.getlayer(1).src == to, seconds)
    if packet is None:
        return None
    response = DNS(bytes(packet[UDP].payload)[:packet[UDP].len - 8])
    assert response.id == ident and response.qr == 1
    return response


def answers(response):
    records = []
    for i in range(response.ancount):
        data = response.an[i].rdata
        records.append(data.decode().rstrip(".") if isinstance(data, bytes) else data)
    return records


def test_names_of_guests(daemon, attach):
    one, two = attach(daemon, 1), attach(daemon, 2)
    one.lease(hostname=b"web")
    for name in ("web.hospes", "WEB.Hospes", "web"):
        response = query(two, name)
        assert response.rcode == NOERROR and response.aa == 1 and answers(response) == [one.ip], name
    assert answers(query(two, "15.2.0.10.in-addr.arpa", "PTR")) == ["web.hospes"]
    assert answers(query(two, "gateway.hospes")) == ["10.0.2.2"]
    assert answers(query(two, "2.2.0.10.in-addr.arpa", "PTR")) == ["gateway.hospes"]
    assert answers(query(two, "dns.hospes")) == ["10.0.2.3"]


def test_aaaa(daemon, attach):
    one, two = attach(daemon, 1), attach(daemon, 2)
    one.lease(hostname=b"web")
    no_address = query(two, "web.hospes", "AAAA")  # it has not been seen to use any
    assert no_address.rcode == NOERROR and no_address.ancount == 0 and no_address.nscount == 1
    one.send(one.ip_to(daemon.call("Status")["gateway6"]) / UDP(sport=1, dport=1))
    one.drain()
    assert answers(query(two, "web.hospes", "AAAA")) == [one.ip6]
    assert answers(query(two, "gateway.hospes", "AAAA")) == [daemon.call("Status")["gateway6"]]
    reverse = ".".join(reversed(one_nibbles(one.ip6))) + ".ip6.arpa"
    assert answers(query(two, reverse, "PTR")) == ["web.hospes"]


def one_nibbles(address):
    return list(socket.inet_pton(socket.AF_INET6, address).hex())


def test_by_ipv6(daemon, guest):
    server = daemon.call("Status")["dns6"]
    assert answers(query(guest, "gateway.hospes", to=server)) == ["10.0.2.2"]
    assert answers(query(guest, "www.example", to=server)) == ["198.51.100.80"]


def test_name_that_nobody_has(resolver, guest):
    """In our own domain: it does not leave the house."""
    response = query(guest, "nobody.hospes")
    assert response.rcode == NXDOMAIN and response.aa == 1 and response.nscount == 1
    assert query(guest, "99.2.0.10.in-addr.arpa", "PTR").rcode == NXDOMAIN
    assert query(guest, "hospes", "SOA").ancount == 1
    assert resolver.asked == []


def test_unknown_type(guest):
    response = query(guest, "gateway.hospes", 65280)
    assert response.rcode == NOERROR and response.ancount == 0


def test_forwarded(resolver, guest):
    response = query(guest, "www.example")
    assert answers(response) == ["198.51.100.80"] and response.ra == 1
    assert answers(query(guest, "www.example", "AAAA")) == ["2001:db8:100::50"]
    assert query(guest, "none.example").rcode == NXDOMAIN
    assert resolver.asked == [("www.example.", False), ("www.example.", False), ("none.example.", False)]


def test_forwarded_unknown_type(guest):
    assert query(guest, "www.example", 65280).rcode == NOERROR


def test_truncated_for_plain_clients(guest):
    """Longer than 512 bytes: cut for a client without EDNS, whole for one with."""
    plain = query(guest, "long.example", "TXT")
    assert plain.tc == 1 and plain.ancount == 0
    whole = query(guest, "long.example", "TXT", ar=DNSRROPT(rclass=4096))
    assert whole.tc == 0 and whole.ancount == 6


def tcp_query(guest, name, kind="A", split=False):
    connection = Connection(guest, DNS4, 53).open()
    message = bytes(DNS(id=77, rd=1, qd=DNSQR(qname=name, qtype=kind)))
    data = struct.pack("!H", len(message)) + message
    if split:
        for byte in data:
            connection.send("PA", bytes([byte]))
    else:
        connection.send("PA", data)
    size = struct.unpack("!H", take_exactly(connection, 2))[0]
    response = take_exactly(connection, size)
    assert response[:2] == struct.pack("!H", 77)
    return connection, response


def take_exactly(connection, count):
    """Bytes off a stream whose segments come as they please."""
    buffer = getattr(connection, "rest", b"")
    while len(buffer) < count:
        segment = connection.expect(lambda t: payload_of(t) and t.seq == connection.ack, 4, "data")
        buffer += payload_of(segment)
        connection.ack = (connection.ack + len(payload_of(segment))) & 0xffffffff
        connection.send("A")
    connection.rest = buffer[count:]
    return buffer[:count]


@pytest.mark.parametrize("split", [False, True])
def test_tcp(guest, resolver, split):
    _, response = tcp_query(guest, "gateway.hospes", split=split)
    assert answers(DNS(response)) == ["10.0.2.2"]
    connection, response = tcp_query(guest, "cut.example", split=split)
    assert response[6:8] == struct.pack("!H", 200) and len(response) == 12 + 17 + 200 * 16
    assert resolver.asked == [("cut.example.", True)]
    connection.send("FA")
    connection.expect(lambda t: t.flags & 0x01, what="FIN")


def test_truncation_leads_to_tcp(guest):
    response = query(guest, "cut.example")
    assert response.tc == 1
    _, response = tcp_query(guest, "cut.example")
    assert response[6:8] == struct.pack("!H", 200) and len(response) == 12 + 17 + 200 * 16


def test_resolver_that_says_nothing(guest):
    """Others are not held up meanwhile; at last the guest hears that nobody knows."""
    started = time.monotonic()
    guest.send(guest.ip_to(DNS4) / UDP(sport=999, dport=53) / DNS(id=9, rd=1, qd=DNSQR(qname="silent.example")))
    assert answers(query(guest, "www.example")) == ["198.51.100.80"]
    assert time.monotonic() - started < 3
    packet = guest.expect(lambda p: UDP in p and p[UDP].dport == 999, 12, "answer")
    assert DNS(bytes(packet[UDP].payload)).rcode == SERVFAIL
    assert time.monotonic() - started > 5


def test_broken_resolver(guest):
    assert query(guest, "broken.example").rcode == SERVFAIL


def test_forged_answer_is_not_believed(guest):
    """The wrong id: it is waited on as if nothing had come."""
    assert query(guest, "forged.example", seconds=1) is None


def test_no_resolver(start, attach, home):
    path = home.path / "resolv.conf"
    path.write_text("# none\n")
    daemon = start(arguments=["--resolv-conf", str(path)])
    guest = attach(daemon)
    assert query(guest, "www.example").rcode == SERVFAIL
    assert answers(query(guest, "gateway.hospes")) == ["10.0.2.2"]


def test_resolver_refuses_the_port(start, attach, home):
    path = home.path / "resolv.conf"
    path.write_text("nameserver [127.0.0.1]:1\n")
    guest = attach(start(arguments=["--resolv-conf", str(path)]))
    assert query(guest, "www.example", seconds=2).rcode == SERVFAIL


def test_second_resolver_helps(start, attach, home, resolver):
    path = home.path / "resolv.conf"
    path.write_text(f"nameserver [127.0.0.1]:1\nnameserver [127.0.0.1]:{resolver.port}\n")
    guest = attach(start(arguments=["--resolv-conf", str(path)]))
    assert answers(query(guest, "www.example")) == ["198.51.100.80"]


@pytest.mark.parametrize("way", ["written", "renamed"])
def test_resolver_changes_while_running(world, guest, resolv_conf, way):
    """As DHCP clients and VPNs do it: the file is written anew, or another one is put in its place."""
    assert answers(query(guest, "www.example")) == ["198.51.100.80"]
    other = Resolver(world.host, lambda q, tcp: reply_to(q, [DNSRR(rrname=q.qd.qname, type=1, ttl=1, rdata="203.0.113.7")]))
    try:
        text = f"nameserver [127.0.0.1]:{other.port}\n"
        if way == "written":
            resolv_conf.write_text(text)
        else:
            new = resolv_conf.with_suffix(".new")
            new.write_text(text)
            new.rename(resolv_conf)
        assert answers(query(guest, "www.example")) == ["203.0.113.7"]
    finally:
        other.close()


def test_questions_that_are_none(daemon, guest, grows):
    """An error where the client can be told, silence where it cannot."""
    assert query(guest, "gateway.hospes", opcode=2).rcode == NOTIMP
    assert query(guest, "gateway.hospes", "AXFR").rcode == REFUSED
    two = DNS(id=0x1234, qd=DNSQR(qname="a.hospes") / DNSQR(qname="b.hospes"), qdcount=2)
    guest.send(guest.ip_to(DNS4) / UDP(sport=5353, dport=53) / two)
    packet = guest.expect(lambda p: UDP in p and p[UDP].dport == 5353, what="answer")
    assert DNS(bytes(packet[UDP].payload)).rcode == FORMERR
    with grows(daemon, "malformed", 2):
        guest.send(guest.ip_to(DNS4) / UDP(sport=5353, dport=53) / b"\x12\x34\x01")
        guest.send(guest.ip_to(DNS4) / UDP(sport=5353, dport=53) / DNS(id=0x1234, qr=1, qd=DNSQR(qname="x.hospes")))


def test_compression_loop(guest):
    """A name that points at itself."""
    guest.send(guest.ip_to(DNS4) / UDP(sport=5353, dport=53) / (struct.pack("!6H", 0x1234, 0x0100, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1"))
    packet = guest.recv(lambda p: UDP in p and p[UDP].dport == 5353, 0.5)
    assert packet is None or DNS(bytes(packet[UDP].payload)).rcode == FORMERR
    assert answers(query(guest, "gateway.hospes")) == ["10.0.2.2"]


def test_other_ports_of_the_dns_address(daemon, guest, grows):
    with grows(daemon, "policy"):
        guest.send(guest.ip_to(DNS4) / UDP(sport=5353, dport=54) / b"x")
    connection = Connection(guest, DNS4, 54)
    connection.send("S")
    assert connection.expect(what="RST").flags & 0x04


def test_many_questions_at_once(resolver, guest):
    for number in range(100):
        guest.send(guest.ip_to(DNS4) / UDP(sport=2000 + number, dport=53) / DNS(id=number, rd=1, qd=DNSQR(qname="www.example")))
    for number in range(100):
        packet = guest.expect(lambda p: UDP in p and p[UDP].dport == 2000 + number, 5, f"answer {number}")
        response = DNS(bytes(packet[UDP].payload))
        assert response.id == number and answers(response) == ["198.51.100.80"]

# SPDX-License-Identifier: MIT
"""The control socket: what its methods answer, and what hostile clients get."""

import json
import os
import pathlib
import socket
import time

import pytest
from scapy.layers.inet import IP, TCP

from tests.support.lan import varlink, wait_for
from tests.support.wire import accept, payload_of

LIMIT = 10 << 20


def send(connection, method, parameters=None, **more):
    connection.sendall(json.dumps({"method": f"org.hospes.Lan.{method}", "parameters": parameters or {}, **more}).encode() + b"\0")


def answer(connection):
    data = b""
    while not data.endswith(b"\0"):
        part = connection.recv(1)
        if not part:
            return None
        data += part
    return json.loads(data[:-1])


def test_status(daemon, guest):
    status = daemon.call("Status")
    assert status["lan"] == "default" and status["fabric"] == "user" and status["domain"] == "hospes" and status["mtu"] == 1500
    assert (status["network4"], status["gateway4"], status["dns4"]) == ("10.0.2.0/24", "10.0.2.2", "10.0.2.3")
    assert status["network6"].startswith("fd") and status["gateway6"].endswith("::2")


def test_varlink_itself(daemon):
    with daemon.control() as connection:
        info = varlink(connection, "org.varlink.service.GetInfo")
        assert info["vendor"] == "hospes" and "org.hospes.Lan" in info["interfaces"]
        for interface in info["interfaces"]:
            text = varlink(connection, "org.varlink.service.GetInterfaceDescription", {"interface": interface})["description"]
            assert f"interface {interface}" in text
        with pytest.raises(RuntimeError, match="InterfaceNotFound"):
            varlink(connection, "org.varlink.service.GetInterfaceDescription", {"interface": "org.nowhere"})


def test_every_method_of_the_interface_is_there(daemon):
    with daemon.control() as connection:
        text = varlink(connection, "org.varlink.service.GetInterfaceDescription", {"interface": "org.hospes.Lan"})["description"]
    methods = [line.split()[1].split("(")[0] for line in text.splitlines() if line.startswith("method ")]
    assert len(methods) >= 12
    for method in methods:
        if method in ("Down", "Reload"):
            continue
        try:
            daemon.call(method)
        except RuntimeError as error:
            assert "MethodNotFound" not in str(error)


def test_register(daemon, attach):
    one = attach(daemon, 1)
    made = daemon.call("Register", name="web", mac=one.mac, user="dsl")
    assert made == {"name": "web", "mac": one.mac}
    found = daemon.call("Resolve", guest="web")
    assert found["guest"]["mac"] == one.mac and found["guest"]["registered"] and found["user"] == "dsl"
    with pytest.raises(RuntimeError, match="Exists"):
        daemon.call("Register", name="web", mac="02:00:00:00:00:09")
    with pytest.raises(RuntimeError, match="Exists"):
        daemon.call("Register", name="other", mac=one.mac)
    first, again = daemon.call("Register", name="db"), daemon.call("Register", name="db")
    assert first == again and first["mac"].startswith("52:54:00:")
    free = daemon.call("Register", mac="02:00:00:00:00:0a")
    assert free["name"].startswith("guest-")
    daemon.call("Unregister", name="db")
    with pytest.raises(RuntimeError, match="NoGuest"):
        daemon.call("Unregister", name="db")


@pytest.mark.parametrize("parameters", [{"name": "a b"}, {"name": "-x"}, {"name": "x" * 64}, {"name": "gateway"}, {"mac": "nonsense"},
                                        {"mac": "03:00:00:00:00:01"}, {"name": "web", "user": "-oProxyCommand=x"}, {"name": "web", "user": "a\nb"},
                                        {"name": "web", "pid": -1}, {"name": 5}, {"name": "web", "more": 1}])
def test_register_what_is_none(daemon, parameters):
    with pytest.raises(RuntimeError, match="Invalid"):
        daemon.call("Register", **parameters)
    assert daemon.call("List")["guests"] == []


def test_resolve(daemon, guest):
    guest.lease(hostname=b"web")
    for word in ("web", "WEB", "web.hospes", guest.mac, guest.ip):
        assert daemon.call("Resolve", guest=word)["guest"]["mac"] == guest.mac
    with pytest.raises(RuntimeError, match="NoGuest"):
        daemon.call("Resolve", guest="nobody")


def test_connect(daemon, guest):
    """After the answer the connection is the byte stream."""
    guest.lease(hostname=b"web")
    connection = daemon.control()
    send(connection, "Connect", {"guest": "web", "port": 22}, upgrade=True)
    inside = accept(guest, 22)
    assert answer(connection) == {"parameters": {}}
    assert inside.dst == "10.0.2.2"
    connection.sendall(b"SSH-2.0-client\r\n")
    assert inside.take(16) == b"SSH-2.0-client\r\n"
    inside.send("PA", b"SSH-2.0-server\r\n")
    assert connection.recv(100) == b"SSH-2.0-server\r\n"
    data = os.urandom(200000)
    got = b""
    connection.setblocking(False)
    sent = 0
    while len(got) < len(data):
        try:
            sent += connection.send(data[sent:]) if sent < len(data) else 0
        except BlockingIOError:
            pass
        segment = inside.expect(lambda t: payload_of(t), what="data")
        if segment.seq == inside.ack:
            got += payload_of(segment)
            inside.ack = (inside.ack + len(payload_of(segment))) & 0xffffffff
        inside.send("A")
    assert got == data
    connection.settimeout(3)
    inside.send("FA")
    assert connection.recv(1) == b""
    connection.sendall(b"half is open")
    assert inside.take(12) == b"half is open"
    connection.close()
    inside.expect(lambda t: t.flags & 0x01, what="FIN")


def test_connect_with_words_that_came_early(daemon, guest):
    """A server that speaks at once, with its acknowledgement of the handshake."""
    guest.lease(hostname=b"web")
    connection = daemon.control()
    send(connection, "Connect", {"guest": "web", "port": 22}, upgrade=True)
    inside = accept(guest, 22)
    inside.send("PA", b"banner")
    assert answer(connection) == {"parameters": {}}
    assert connection.recv(100) == b"banner"
    connection.close()


def test_connect_refused(daemon, guest):
    guest.lease(hostname=b"web")
    connection = daemon.control()
    send(connection, "Connect", {"guest": "web", "port": 23}, upgrade=True)
    syn = guest.expect(lambda p: TCP in p and p[TCP].dport == 23, what="SYN")
    guest.send(guest.ip_to(syn[IP].src) / TCP(sport=23, dport=syn[TCP].sport, flags="RA", seq=0, ack=syn[TCP].seq + 1))
    assert answer(connection) == {"error": "org.hospes.Lan.Refused", "parameters": {"guest": "web", "port": 23}}
    assert varlink(connection, "Status")["lan"] == "default"  # it is still a control connection


def test_connect_to_nobody(daemon, attach):
    guest = attach(daemon)
    guest.lease(hostname=b"web")
    for parameters, upgrade, error in (({"guest": "nobody", "port": 1}, True, "NoGuest"), ({"guest": "web", "port": 0}, True, "InvalidParameter"),
                                       ({"guest": "web", "port": 65536}, True, "InvalidParameter"), ({"guest": "web"}, True, "InvalidParameter"),
                                       ({"guest": "web", "port": 22}, False, "")):
        connection = daemon.control()
        send(connection, "Connect", parameters, upgrade=upgrade)
        assert error in answer(connection)["error"]
        connection.close()
    guest.close()
    wait_for(lambda: daemon.call("Resolve", guest="web")["guest"]["state"] == "away", what="the guest to be gone")
    connection = daemon.control()
    send(connection, "Connect", {"guest": "web", "port": 22}, upgrade=True)
    assert answer(connection)["error"].endswith("GuestAway")


def test_client_that_leaves_while_the_guest_is_asked(daemon, guest):
    guest.lease(hostname=b"web")
    connection = daemon.control()
    send(connection, "Connect", {"guest": "web", "port": 22}, upgrade=True)
    syn = guest.expect(lambda p: TCP in p and p[TCP].dport == 22, what="SYN")
    connection.close()
    guest.send(guest.ip_to(syn[IP].src) / TCP(sport=22, dport=syn[TCP].sport, flags="SA", seq=9, ack=syn[TCP].seq + 1, window=1000))
    guest.expect(lambda p: TCP in p and p[TCP].sport == syn[TCP].sport and p[TCP].flags & 0x05, what="FIN or RST")
    assert daemon.call("Status")["lan"] == "default"


HOSTILE = [b"\0", b"{\0", b"[]\0", b"null\0", b'"x"\0', b"{}\0", b'{"method":5}\0', b'{"method":""}\0', b'{"method":"."}\0', b'{"method":"org.hospes.Lan."}\0',
           b'{"method":"org.hospes.Lan.Status","parameters":[]}\0', b'{"method":"org.hospes.Lan.Nonsense"}\0', b'{"method":"no dots"}\0',
           b'{"method":"org.hospes.Lan.Status","parameters":{"x":1}}\0', b'{"method":"org.hospes.Lan.Resolve","parameters":{"guest":null}}\0',
           b'{"method":"org.hospes.Lan.Resolve","parameters":{"guest":"\\u0000"}}\0', b"\xff\xfe\xfd\0", b"[" * 5000 + b"\0",
           b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"\0", b'{"method":"' + b"A" * 60000 + b'"}\0',
           b'{"method":"org.hospes.Lan.Resolve","parameters":{"guest":"' + b"A" * 10000 + b'"}}\0']


@pytest.mark.parametrize("message", HOSTILE, ids=[str(m[:40]) for m in HOSTILE])
def test_hostile_messages(daemon, message):
    """An error, or the end of the connection; never the end of the daemon."""
    connection = daemon.control()
    connection.sendall(message)
    connection.shutdown(socket.SHUT_WR)
    reply = answer(connection)
    assert reply is None or "error" in reply
    assert daemon.call("Status")["lan"] == "default"


def test_message_without_end(daemon):
    """It takes no memory without bound."""
    connection = daemon.control()
    sent = 0
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while sent < LIMIT:
            sent += connection.send(b" " * 65536)
    assert sent < LIMIT
    assert daemon.call("Status")["lan"] == "default"


def test_client_that_never_reads(daemon):
    """Its answers wait for it, and nobody else does."""
    connection = daemon.control()
    connection.setblocking(False)
    message = json.dumps({"method": "org.varlink.service.GetInterfaceDescription", "parameters": {"interface": "org.hospes.Lan"}}).encode() + b"\0"
    end = time.monotonic() + 1
    while time.monotonic() < end:
        try:
            connection.send(message * 20)
        except BlockingIOError:
            break
    assert daemon.call("Status")["lan"] == "default"
    connection.close()


def test_slow_client(daemon):
    """A call that comes byte by byte, with another behind it."""
    connection = daemon.control()
    message = json.dumps({"method": "org.hospes.Lan.Status"}).encode() + b"\0"
    for byte in message:
        connection.send(bytes([byte]))
    connection.sendall(message + message)
    for _ in range(3):
        assert answer(connection)["parameters"]["lan"] == "default"


def test_oneway(daemon):
    connection = daemon.control()
    send(connection, "Status", oneway=True)
    send(connection, "ListForwards")
    assert answer(connection) == {"parameters": {"forwards": []}}


def test_many_clients(daemon):
    """More than the daemon takes: the rest are refused with an error, and a place that is given up is taken again."""
    connections = []
    for _ in range(300):
        connections.append(wait_for(lambda: try_control(daemon), what="a place in the queue"))
    outcomes = set()
    for connection in connections:
        try:
            send(connection, "Status")
            reply = answer(connection)
        except (BrokenPipeError, ConnectionResetError):
            reply = None
        outcomes.add("served" if reply and "parameters" in reply and "error" not in reply else "refused")
    assert outcomes == {"served", "refused"}
    for connection in connections:
        connection.close()
    wait_for(lambda: serves(daemon), what="a free place")


def try_control(daemon):
    try:
        return daemon.control()
    except BlockingIOError:  # the queue of those who wait is full
        return None


def serves(daemon):
    try:
        return daemon.call("Status")
    except (RuntimeError, OSError):
        return None


def test_descriptors_that_nobody_wants(daemon):
    """They are closed, not kept."""
    before = len(os.listdir(f"/proc/{daemon_pid(daemon)}/fd"))
    with daemon.control() as connection, open("/dev/null") as null:
        message = json.dumps({"method": "org.hospes.Lan.Status"}).encode() + b"\0"
        for _ in range(20):
            socket.send_fds(connection, [message], [null.fileno()] * 3)
            assert answer(connection)["parameters"]["lan"] == "default"
        assert len(os.listdir(f"/proc/{daemon_pid(daemon)}/fd")) <= before + 4


def daemon_pid(daemon):
    return daemon.call("Status")["pid"]


@pytest.mark.parametrize("kind", ["nothing", "file", "socket"])
def test_tap_that_is_none(daemon, kind):
    with daemon.control() as connection, open("/dev/null") as null, socket.socket(socket.AF_UNIX) as sock:
        message = json.dumps({"method": "org.hospes.Lan.AttachTap", "parameters": {}}).encode() + b"\0"
        descriptors = {"nothing": [], "file": [null.fileno()], "socket": [sock.fileno()]}[kind]
        socket.send_fds(connection, [message], descriptors)
        assert "error" in answer(connection)
    assert daemon.call("List")["guests"] == []


def test_down(start, attach):
    daemon = start()
    guest = attach(daemon)
    guest.announce()
    assert daemon.call("Down") == {"guests": []}
    assert daemon.process.wait(5) == 0
    assert not daemon.runtime.exists()


def test_reload_of_a_wrong_file(start, home):
    """What was in force stays in force."""
    daemon = start(config="[LAN]\n[Forward]\nListen = 8080\nTo = web:80\n")
    home.write(".config/hospes/default.lan", "[LAN]\nHostAccess = maybe\n")
    with pytest.raises(RuntimeError, match="default.lan:2"):
        daemon.call("Reload")
    assert len(daemon.call("ListForwards")["forwards"]) == 1


def test_reload_by_signal(start, home):
    daemon = start(config="[LAN]\n")
    home.write(".config/hospes/default.lan", "[LAN]\n[Guest]\nName = web\nMAC = 02:00:00:00:00:55\n")
    os.kill(daemon_pid(daemon), 1)
    wait_for(lambda: any(g["name"] == "web" for g in daemon.call("List")["guests"]), what="the guest")


def test_reload_changes_poll(start, home):
    """After a call of the control interface the LAN looks for more, for as long as Poll says; a process that looks is running, or waits for a processor."""
    daemon = start(config="[LAN]\nPoll = off\n")
    stat = f"/proc/{daemon_pid(daemon)}/stat"

    def part_awake():
        """Of half a second after a call."""
        daemon.call("Status")
        time.sleep(0.1)
        states = []
        for _ in range(40):
            states.append(pathlib.Path(stat).read_text().rsplit(")", 1)[1].split()[0])
            time.sleep(0.01)
        return states.count("R") / len(states)

    def reload(poll):
        home.write(".config/hospes/default.lan", f"[LAN]\nPoll = {poll}\n")
        return daemon.call("Reload")["changes"]

    assert reload("0") == [], "that is the same as off"
    for _ in range(2):
        assert part_awake() < 0.2
        assert any("Poll" in change for change in reload("1000000"))
        assert part_awake() > 0.8
        assert any("Poll" in change for change in reload("off"))
        time.sleep(1)

# SPDX-License-Identifier: MIT
"""QEMU guests on the vhost socket: 128 MiB each way by IPv4, 32 MiB by IPv6 and between guests, two pairs of queues, resets, SIGKILL to either end,
memory plugged in. Each guest runs under TCG, at a few hundred Mbit/s: a GiB each way is User-mode Linux's (test_vhost_uml.py)."""

import concurrent.futures
import contextlib
import hashlib
import os
import signal
import socket
import threading

import pytest

from tests.support.lan import varlink, wait_for
from tests.support.netns import World
from tests.support.qemu import QemuGuest
from tests.support.transfer import served

MIB = 1 << 20
SIZE = 128 * MIB
BLOCK = os.urandom(MIB)
FILE = os.urandom(4 * MIB)


@pytest.fixture(scope="module")
def pair(user):
    """Two guests; the first one's memory can grow."""
    with contextlib.ExitStack() as stack:
        user.hospes("up")
        guests = [QemuGuest(user, "one", memory="size=192M,slots=2,maxmem=1G"), QemuGuest(user, "two")]
        for guest in guests:
            stack.callback(guest.close)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(start, guests))
        yield guests


def start(guest):
    guest.boot()
    guest.address = guest.dhcp()


def ports(user):
    return [port for port in user.call("List")["ports"] if port["kind"] == "vhost"]


def blocks(size):
    """Bytes to send, no two megabytes alike."""
    for number in range(size // MIB):
        yield number.to_bytes(8, "big") + BLOCK[8:]


def to_guest(world, guest, size, line="wget -qO- http://{}:{}/ | md5sum", seconds=90, address=World.SERVER4):
    """The guest fetches so many bytes from a server on the internet: the hashes of what was sent, and of what came."""
    digest = hashlib.md5()
    with served(world, guest, line, address) as connection:
        assert connection.recv(65536).startswith(b"GET / ")
        connection.sendall(f"HTTP/1.0 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for block in blocks(size):
            digest.update(block)
            connection.sendall(block)
    return digest.hexdigest(), guest.wait(seconds).split()[0]


def give_file(world, guest):
    """Let the guest have FILE at /file, for it to send."""
    if not guest.shell("[ ! -f /file ] || echo there"):
        with served(world, guest, "nc {} {} </dev/null >/file") as connection:
            connection.sendall(FILE)
        guest.wait(30)


def serve_file(guest):
    guest.shell("netstat -ltn | grep -q :80 || httpd -h /")


def from_guest(world, guest, size):
    """A client in the host fetches the guest's file as often as needed: the hashes of what it should get, and of what it got."""
    want, digest, count = hashlib.md5(), hashlib.md5(), 0
    give_file(world, guest)
    serve_file(guest)
    for _ in range(size // len(FILE)):
        want.update(FILE)
        with guest.user.control() as connection:
            connection.settimeout(30)
            varlink(connection, "Connect", {"guest": guest.name, "port": 80}, {"upgrade": True})
            connection.sendall(b"GET /file HTTP/1.0\r\n\r\n")
            body = b""
            while data := connection.recv(MIB):
                body += data
            body = body.split(b"\r\n\r\n", 1)[1]
            digest.update(body)
            count += len(body)
    assert count == size
    return want.hexdigest(), digest.hexdigest()


def sent_by_guest(world, guest, size, address):
    """The guest sends FILE to a server on the internet, as often as needed: the hashes as above."""
    want, digest, times = hashlib.md5(), hashlib.md5(), size // len(FILE)
    give_file(world, guest)
    with served(world, guest, f"for i in $(seq {times}); do cat /file; done | nc {{}} {{}}", address) as connection:
        for _ in range(times):
            want.update(FILE)
        while data := connection.recv(MIB):
            digest.update(data)
    guest.wait(30)
    return want.hexdigest(), digest.hexdigest()


def works(world, guest, size=4 * MIB):
    """Both ways, and nothing changed on the way."""
    for way in (to_guest, from_guest):
        sent, came = way(world, guest, size)
        assert sent == came


def test_run_takes_vhost(user):
    """hospes run attaches a guest so without being asked to, and stop, down and up go as with any other port."""
    user.hospes("run", "--detach", "mini")
    user.wait_ssh("mini")
    line = next(line for line in user.hospes("ls").splitlines() if line.startswith("mini"))
    assert "vhost" in line
    assert any("vhost-user" in p and "share=on" in p for p in user.processes() if p.startswith("qemu-system"))
    user.hospes("down")
    wait_for(lambda: not user.processes(), 10, "the end of all processes")
    user.hospes("up")
    assert (user.runtime() / "vhost").is_socket()


def test_bytes_to_the_guest(world, user, pair):
    sent, came = to_guest(world, pair[0], SIZE)
    assert sent == came


def test_bytes_from_the_guest(world, user, pair):
    sent, came = from_guest(world, pair[0], SIZE)
    assert sent == came


def test_bytes_by_ipv6(world, pair):
    """Both ways, on connections that the guest opens."""
    pair[0].wait_address6()
    sent, came = to_guest(world, pair[0], SIZE // 4, "wget -qO- http://[{}]:{}/ | md5sum", address=World.SERVER6)
    assert sent == came
    sent, came = sent_by_guest(world, pair[0], SIZE // 4, World.SERVER6)
    assert sent == came


def test_guest_to_guest(world, pair):
    want = hashlib.md5(FILE * 8).hexdigest()
    for sender, receiver in (pair, pair[::-1]):
        give_file(world, sender)
        serve_file(sender)
        line = f"for i in 1 2 3 4 5 6 7 8; do wget -qO- http://{sender.address}/file; done | md5sum"
        assert receiver.shell(line, 60).split()[0] == want


def test_memory_is_plugged_in(world, user, pair):
    """A DIMM while the guest sends and receives: the rings go on, and frames are read from and written to the new memory too."""
    guest = pair[0]
    daemon = user.call("Status")["pid"]
    before = len(regions(daemon))
    with served(world, guest, "nc {} {} -e cat") as connection:
        echo(connection, 64)
        guest.do("object-add", qom_type="memory-backend-memfd", id="more", size=256 * MIB, share=True)
        guest.do("device_add", driver="pc-dimm", id="dimm", memdev="more")
        echo(connection, 256)
        wait_for(lambda: len(regions(daemon)) > before, 10, "the new memory to be mapped")
        echo(connection, 256)
    guest.wait(10, status=None)
    small = int(guest.shell("awk '/MemTotal/ { print $2 }' /proc/meminfo"))
    guest.shell("for m in /sys/devices/system/memory/memory*/state; do grep -q offline $m && echo online >$m; done; true")
    guest.shell("for m in /sys/devices/system/memory/memory*/state; do grep -q online $m || exit 1; done")
    large = int(guest.shell("awk '/MemTotal/ { print $2 }' /proc/meminfo"))
    assert large > 300_000 and (large > small or small > 300_000)
    # More than the guest had before: it lies in the new memory, and so do the buffers that it came in.
    line = "mount -t tmpfs -o size=90% tmpfs /tmp; wget -qO /tmp/large http://{}:{}/; md5sum </tmp/large; rm /tmp/large"
    sent, came = to_guest(world, guest, 160 * MIB, line)
    assert sent == came


def regions(pid):
    """The guests' memory that a daemon has mapped."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        return [line for line in maps if "memfd:memory-backend-memfd" in line]


def echo(connection, chunks):
    """Send chunks and read each of them back."""
    for number in range(chunks):
        data = number.to_bytes(8, "big") * 512
        connection.sendall(data)
        came = b""
        while len(came) < len(data):
            part = connection.recv(len(data) - len(came))
            assert part, f"the connection ended at {number}"
            came += part
        assert came == data


def disturb(guest, other):
    """Let a guest send without end; the command never comes back."""
    guest.begin(f"ping -i 0.01 {other.address}")
    guest.read_until("seq=20 ", 20)


def test_reset(world, user, pair):
    """The machine starts anew under traffic: its rings stop and begin again on the same connection."""
    guest, address = pair[1], pair[1].address
    disturb(guest, pair[0])
    guest.do("system_reset")
    guest.buffer = ""
    guest.wait_ready()
    assert guest.dhcp() == address
    works(world, guest)


def test_qemu_is_killed(world, user, pair):
    guest, address = pair[1], pair[1].address
    disturb(guest, pair[0])
    guest.kill()
    wait_for(lambda: len(ports(user)) == 1, 5, "the port to go")
    guest.boot()
    assert guest.dhcp() == address
    works(world, guest)


@pytest.mark.parametrize("way", ["killed", "restarted"])
def test_daemon_is_gone_for_a_while(world, user, pair, way):
    """QEMU connects again and again meanwhile; the guest's driver notices nothing but silence."""
    if way == "killed":
        os.kill(user.call("Status")["pid"], signal.SIGKILL)
    else:
        user.hospes("down")
    pair[0].shell("true")
    user.hospes("up")
    wait_for(lambda: len(ports(user)) == 2, 10, "QEMU to connect again")
    for guest in pair:
        guest.shell("for i in 1 2 3 4 5 6 7 8 9 10; do ping -c 1 -W 1 10.0.2.2 && exit; done; false", 20)
        works(world, guest)


@contextlib.contextmanager
def returning(world):
    """A server on the internet that gives back what it got, once it has all of it. Yield: its address and port."""
    def serve(connection):
        with connection:
            connection.settimeout(60)
            data = b"".join(iter(lambda: connection.recv(MIB), b""))
            connection.sendall(data)

    def accept(server):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    with world.net.socket() as server:
        server.bind((World.SERVER4, 0))
        server.listen()
        thread = threading.Thread(target=accept, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def used(guest, queue):
    """How many chains we have used of a guest's split ring, modulo 65536, as its memory says."""
    path = guest.do("x-query-virtio")[0]["path"]
    if queue < 2:
        # The other command would stop these two: QEMU asks us for their place.
        ring = guest.do("x-query-virtio-vhost-queue-status", path=path, queue=queue)["used-phys"]
    else:
        ring = guest.do("x-query-virtio-queue-status", path=path, queue=queue)["vring-used"]
    return int(guest.do("human-monitor-command", command_line=f"xp /1hx {ring + 2}").split()[-1], 16)


def flows_return(world, guest):
    """Four flows, two from each processor, and so from each pair of queues: what comes back is what went."""
    with returning(world) as (address, port):
        guest.shell(f"for i in 1 2 3 4; do taskset $((i % 2 + 1)) nc {address} {port} </in$i >/out$i & done; wait", 90)
    guest.shell("for i in 1 2 3 4; do cmp /in$i /out$i || exit; rm /out$i; done", 30)


def test_pairs_of_queues(world, user):
    """Linux takes a pair for each processor; each carries frames both ways, and does so with a LAN that comes back."""
    user.hospes("up")
    with contextlib.closing(QemuGuest(user, "wide", queues=2)) as guest:
        start(guest)
        assert guest.shell("ls /sys/class/net/eth0/queues").split() == ["rx-0", "rx-1", "tx-0", "tx-1"]
        guest.shell("for i in 1 2 3 4; do head -c 4194304 /dev/urandom >/in$i; done", 60)
        before = [used(guest, queue) for queue in range(4)]
        flows_return(world, guest)
        carried = [(used(guest, queue) - was) % 65536 for queue, was in enumerate(before)]
        assert min(carried) > 50, carried
        user.hospes("down")
        user.hospes("up")
        wait_for(lambda: ports(user), 10, "QEMU to connect again")
        guest.shell("for i in 1 2 3 4 5 6 7 8 9 10; do ping -c 1 -W 1 10.0.2.2 && exit; done; false", 20)
        flows_return(world, guest)
        print(carried, [used(guest, queue) for queue in range(4)])

# SPDX-License-Identifier: MIT
"""Network namespaces that a test makes and removes, and sockets inside them."""

import atexit
import contextlib
import ctypes
import itertools
import os
import shlex
import socket
import subprocess

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def run(command, **options):
    """Run a command to its end; its output is in the error if it fails."""
    words = shlex.split(command) if isinstance(command, str) else command
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, **options)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(words)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


# Removes the namespaces whose names begin with $0, and what runs inside. Our input ends when the test process does; a line in it tells that
# no program which that process has started can still be making one.
WATCH = """
read -r line || sleep 0.5
tries=100
while set -- "/run/netns/$0"*; [ -e "$1" ] && [ "$tries" -gt 0 ]; do
	for path; do
		pids=$(ip netns pids "${path##*/}")
		if [ -n "$pids" ]; then kill -KILL $pids; else ip netns delete "${path##*/}"; fi
	done
	tries=$((tries - 1))
	sleep 0.05
done
"""


class Watcher:
    """A process that outlives this one, however it ends, and then removes its namespaces: what fixtures had no time for.

    A forked child has a watcher of its own, once it makes a namespace.
    """

    current = None

    def __init__(self):
        end, self.pipe = os.pipe()  # no program that is started gets them
        # In a session of its own, or what ends us might end it, too.
        self.process = subprocess.Popen(["sh", "-c", WATCH, f"hospes-{os.getpid()}-"], stdin=end, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, cwd="/", start_new_session=True)
        os.close(end)

    @classmethod
    def start(cls):
        cls.current = cls.current or cls()

    @classmethod
    def finish(cls):
        if cls.current:
            with contextlib.suppress(BrokenPipeError):
                os.write(cls.current.pipe, b"all is done\n")
            os.close(cls.current.pipe)
            cls.current.process.wait()
            cls.current = None

    @classmethod
    def forget(cls):
        """In a forked child, which must not keep the parent's from hearing of its end."""
        if cls.current:
            os.close(cls.current.pipe)
            cls.current.process.returncode = 0  # it is the parent's to wait for
            cls.current = None


atexit.register(Watcher.finish)
os.register_at_fork(after_in_child=Watcher.forget)


class Netns:
    """A network namespace with its loopback up. Its name tells whose it is."""

    numbers = itertools.count()

    def __init__(self, name):
        self.name = f"hospes-{os.getpid()}-{next(Netns.numbers)}-{name}"
        Watcher.start()
        run(["ip", "netns", "add", self.name])
        self.ip("link set lo up")

    def ip(self, words):
        return run(["ip", "-n", self.name] + shlex.split(words))

    def sysctl(self, setting):
        run(self.command(["sysctl", "-q", "-w", setting]))

    def command(self, words):
        """The words that run a command in here."""
        return ["ip", "netns", "exec", self.name] + list(words)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in here meanwhile: sockets that it makes belong here for good."""
        with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{self.name}") as there:
            if _libc.setns(there.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                if _libc.setns(before.fileno(), CLONE_NEWNET):
                    os._exit(70)  # a thread lost in a namespace must not go on

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0):
        with self.entered():
            return socket.socket(family, kind, proto)

    def remove(self):
        subprocess.run(["ip", "netns", "delete", self.name], timeout=30, check=False)


def link(one, one_name, other, other_name):
    """A cable (veth) between two namespaces; both ends up."""
    one.ip(f"link add {one_name} type veth peer name {other_name} netns {other.name}")
    one.ip(f"link set {one_name} up")
    other.ip(f"link set {other_name} up")


class World:
    """A host, and the internet behind its uplink: 198.51.100.0/24 and 2001:db8:100::/64, by a default route.

    The host is 192.0.2.2 and 2001:db8:1::2. Ping sockets are open to everybody there, as on most distributions.
    """

    HOST4, HOST6 = "192.0.2.2", "2001:db8:1::2"
    SERVER4, SERVER6 = "198.51.100.10", "2001:db8:100::10"

    def __init__(self):
        self.host = Netns("host")
        self.net = Netns("net")
        link(self.host, "up0", self.net, "down0")
        self.host.ip(f"address add {self.HOST4}/24 dev up0")
        self.host.ip(f"address add {self.HOST6}/64 dev up0 nodad")
        self.net.ip("address add 192.0.2.1/24 dev down0")
        self.net.ip("address add 2001:db8:1::1/64 dev down0 nodad")
        for number in range(10, 30):
            self.net.ip(f"address add 198.51.100.{number}/24 dev lo")
        for number in range(10, 20):
            self.net.ip(f"address add 2001:db8:100::{number}/64 dev lo nodad")
        self.host.ip("route add default via 192.0.2.1")
        self.host.ip("route add default via 2001:db8:1::1")
        self.host.sysctl("net.ipv4.ping_group_range=0 2147483647")

    def remove(self):
        self.host.remove()
        self.net.remove()

# SPDX-License-Identifier: MIT
"""The world of a bridge LAN: a host with an uplink, a router with DHCP and advertisements, a second host on the LAN, a server beyond.

	host eth0 --- router [lan0] wan0 --- eth0 server
	lanhost eth0 ---/

The host has folders of its own over /etc, /run, /var/lib and /dev/net/tun, so that nothing of this machine is seen or touched.
"""

import array
import contextlib
import difflib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from tests.support.lan import USER, build_folder, varlink, wait_for
from tests.support.netns import Netns, link, run

OUTSIDER = 61235  # a user whom no LAN's Allow names

PRIVATE = """
mount --bind "$0/etc" /etc && mount -t tmpfs -o mode=755 none /run && mount -t tmpfs -o mode=755 none /var/lib && mkdir -m 755 /run/lock &&
mount --bind "$0/tun" /dev/net/tun && echo ready && exec sleep infinity
"""

# What udhcpc calls: as the client of a distribution does, addresses with their lifetime, the router's route with a metric.
UDHCPC = """#!/bin/sh
case $1 in
bound|renew)
	ip address replace "$ip/$mask" broadcast + dev "$interface" valid_lft "$lease" preferred_lft "$lease"
	for r in $router; do ip route replace default via "$r" dev "$interface" proto dhcp src "$ip" metric 100; done ;;
esac
echo "$1 $interface $ip" >>"$LOG"
"""


class Host(Netns):
    """A namespace with mounts of its own, held by a process that sleeps."""

    keeper = None

    def __init__(self, name, users):
        super().__init__(name)
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="hospes-host-"))
        self.path.chmod(0o755)
        shutil.copytree("/etc", self.path / "etc", symlinks=True)
        (self.path / "etc" / "hospes").mkdir(exist_ok=True)
        for user, (uid, home) in users.items():
            with open(self.path / "etc" / "passwd", "a", encoding="ascii") as passwd:
                passwd.write(f"{user}:x:{uid}:{uid}::{home}:/bin/sh\n")
            with open(self.path / "etc" / "group", "a", encoding="ascii") as group:
                group.write(f"{user}:x:{uid}:\n")
        os.mknod(self.path / "tun", 0o20666, os.makedev(10, 200))
        (self.path / "tun").chmod(0o666)
        words = ["ip", "netns", "exec", self.name, "unshare", "--mount", "--propagation", "private", "sh", "-c", PRIVATE, str(self.path)]
        self.keeper = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.keeper.stdout.readline() == b"ready\n", "the host's mounts"
        self.root = pathlib.Path(f"/proc/{self.keeper.pid}/root")

    def command(self, words):
        if not self.keeper:
            return super().command(words)
        return ["nsenter", f"--target={self.keeper.pid}", "--mount", "--net", "--"] + list(words)

    def remove(self):
        self.end()
        self.keeper.kill()
        self.keeper.wait(10)
        super().remove()
        shutil.rmtree(self.path, ignore_errors=True)

    def end(self):
        """End what still runs in here, but for the process that holds the mounts."""
        def left():
            out = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, timeout=10, check=False).stdout
            return [int(pid) for pid in out.split() if int(pid) != self.keeper.pid]

        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in left():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            with contextlib.suppress(AssertionError):
                wait_for(lambda: not left(), 3, "the end of a host's processes")


class BridgeWorld:
    HOST4, ROUTER4, LANHOST4, SERVER4 = "192.168.1.2", "192.168.1.1", "192.168.1.3", "203.0.113.10"
    HOST6, ROUTER6, LANHOST6, SERVER6 = "2001:db8:1::2", "2001:db8:1::1", "2001:db8:1::3", "2001:db8:100::10"
    USER, OUTSIDER = "hospes-test", "outsider"

    def __init__(self, home="/tmp"):
        self.host = Host("host", {self.USER: (USER, home), self.OUTSIDER: (OUTSIDER, home)})
        self.router, self.lanhost, self.server = Netns("router"), Netns("lanhost"), Netns("server")
        self.uplink, self.client, self.dnsmasq = None, None, None
        self.build_router()
        self.build_others()

    # ---- the router and who is behind it

    def build_router(self):
        r = self.router
        for setting in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
            r.sysctl(setting)
        r.ip("link add lan0 type bridge")
        r.ip(f"address add {self.ROUTER4}/24 dev lan0")
        r.ip(f"address add {self.ROUTER6}/64 dev lan0 nodad")
        r.ip("link set lan0 up")
        link(r, "wan0", self.server, "eth0")
        r.ip("address add 203.0.113.1/24 dev wan0")
        r.ip("address add 2001:db8:100::1/64 dev wan0 nodad")
        link(r, "second0", self.lanhost, "eth0")
        r.ip("link set second0 master lan0")

    def build_others(self):
        for end, net4, net6 in ((self.server, self.SERVER4, self.SERVER6), (self.lanhost, self.LANHOST4, self.LANHOST6)):
            end.sysctl("net.ipv6.conf.eth0.accept_ra=0")
            end.ip(f"address add {net4}/24 dev eth0")
            end.ip(f"address add {net6}/64 dev eth0 nodad")
        self.server.ip("route add default via 203.0.113.1")
        self.server.ip("route add default via 2001:db8:100::1")
        self.lanhost.ip(f"route add default via {self.ROUTER4}")
        self.lanhost.ip(f"route add default via {self.ROUTER6}")

    def serve(self, lease="120s", more=()):
        """Start the router's dnsmasq: DHCP from .100 on, names, and advertisements of the IPv6 prefix. more: options of its own."""
        self.leases = self.host.path / "leases"
        words = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--interface=lan0", "--bind-interfaces",
                 f"--dhcp-range=192.168.1.100,192.168.1.150,{lease}", "--dhcp-range=2001:db8:1::,ra-only,64,600", "--enable-ra", "--ra-param=lan0,mtu:off,4",
                 "--dhcp-authoritative", "--no-ping", "--domain=lan", f"--dhcp-leasefile={self.leases}", "--pid-file=", "--user=root", "--log-dhcp", "--log-facility=-", *more]
        self.dnsmasq_log = open(self.host.path / "dnsmasq.log", "ab")
        self.dnsmasq = subprocess.Popen(self.router.command(words), stdin=subprocess.DEVNULL, stdout=self.dnsmasq_log, stderr=self.dnsmasq_log)

    def router_says(self):
        return (self.host.path / "dnsmasq.log").read_text(errors="replace")

    def lease_of(self, mac):
        """The IPv4 address that the router has leased to a MAC, or None."""
        for line in self.leases.read_text().splitlines() if self.leases.exists() else []:
            if line.split()[1] == mac:
                return line.split()[2]
        return None

    # ---- the host's uplink

    def plug(self, kind="static", dad=False):
        """Give the host its uplink: kind is static, ipv6, dhcp, dotted or vlan. Return: the name of the card that has the addresses.

        Without duplicate address detection, which makes everything wait for a second or two, unless dad."""
        self.host.sysctl(f"net.ipv6.conf.default.accept_dad={int(dad)}")
        link(self.host, "eth0", self.router, "host0")
        self.uplink, self.kind = "eth0", kind
        port = "host0"
        if kind == "dotted":  # a name that sysctl's own notation would take apart
            self.uplink = "eth0.7"
            self.host.ip("link set eth0 name eth0.7")
        if kind == "vlan":
            self.uplink, port = "eth0.5", "host0.5"
            self.host.ip("link add link eth0 name eth0.5 type vlan id 5")
            self.router.ip("link add link host0 name host0.5 type vlan id 5")
            self.router.ip("link set host0.5 up")
        if kind != "ipv6":
            self.host.sysctl(f"net.ipv6.conf.{self.uplink.replace('.', '/')}.accept_ra=0")
        self.router.ip(f"link set {port} master lan0")
        self.router_port = port
        self.host.ip(f"link set {self.uplink} up")
        {"static": self.configure_static, "vlan": self.configure_static, "dotted": self.configure_static,
         "ipv6": self.configure_ipv6, "dhcp": self.configure_dhcp}[kind]()
        self.settle()
        return self.uplink

    def configure_static(self):
        h, dev = self.host, self.uplink
        h.ip(f"address add {self.HOST4}/24 broadcast + dev {dev}")
        h.ip(f"address add 192.168.1.22/24 dev {dev}")
        h.ip(f"address add {self.HOST6}/64 dev {dev} nodad")
        h.ip(f"route add default via {self.ROUTER4} dev {dev} proto static metric 50")
        h.ip(f"route add default via {self.ROUTER6} dev {dev} proto static metric 60")
        h.ip(f"route add 198.51.100.0/24 via {self.LANHOST4} dev {dev} mtu 1400")
        h.ip(f"route add default via {self.ROUTER4} dev {dev} table 100")
        h.ip("rule add from 192.168.1.22 lookup 100 priority 1000")

    def configure_ipv6(self):
        """Nothing by hand: address and default route come with the router's advertisements."""
        wait_for(lambda: "2001:db8:1:" in self.host.ip(f"-6 address show dev {self.uplink} scope global -tentative"), 10, "an address by advertisement")
        wait_for(lambda: "default" in self.host.ip("-6 route"), 10, "the router's advertisement")

    def configure_dhcp(self):
        script = self.host.path / "udhcpc"
        script.write_text(UDHCPC.replace("$LOG", str(self.host.path / "udhcpc.log")))
        script.chmod(0o755)
        words = ["busybox", "udhcpc", "--foreground", "--interface", self.uplink, "--script", str(script), "--tryagain", "1", "--timeout", "1", "--retries", "5"]
        self.client = subprocess.Popen(self.host.command(words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: "proto dhcp" in self.host.ip("route"), 10, "the host's lease")

    def settle(self):
        """Until duplicate address detection is through."""
        wait_for(lambda: "tentative" not in self.host.ip("-6 address show tentative"), 5, "the end of duplicate address detection")

    def unplug(self):
        """The host without an uplink, as before plug()."""
        if self.client:
            self.client.kill()
            self.client.wait(10)
            self.client = None
        if self.uplink:
            subprocess.run(self.host.command(["ip", "rule", "del", "priority", "1000"]), capture_output=True, timeout=10, check=False)
            self.host.ip("link delete " + ("eth0" if self.uplink == "eth0.5" else self.uplink))
            self.uplink = None
        for each in (self.router, self.lanhost):  # the next card has another MAC
            each.ip("neigh flush all")

    def reset(self):
        """The host as it was before plug(), whatever a test has left there."""
        self.unplug()
        self.host.end()
        for line in json.loads(run(self.host.command(["ip", "-j", "link"]))):
            if line["ifname"] != "lo":  # the end of one may be the end of another
                subprocess.run(self.host.command(["ip", "link", "delete", line["ifname"]]), capture_output=True, timeout=10, check=False)
        run(self.host.command(["nft", "flush", "ruleset"]))
        for setting in ("net.ipv4.ip_forward=0", "net.ipv4.conf.all.forwarding=0", "net.ipv6.conf.all.forwarding=0"):
            self.host.sysctl(setting)
        run(self.host.command(["sh", "-c", "rm -rf /run/hospes /var/lib/hospes /etc/hospes/*"]))
        (self.host.path / "bridged.log").unlink(missing_ok=True)

    def cut(self, port="host0"):
        self.router.ip(f"link set {port} down")

    def mend(self, port="host0"):
        self.router.ip(f"link set {port} up")

    def remove(self):
        if self.client:
            self.client.kill()
            self.client.wait(10)
        if self.dnsmasq:
            self.dnsmasq.kill()
            self.dnsmasq.wait(10)
            self.dnsmasq_log.close()
        for each in (self.host, self.router, self.lanhost, self.server):
            each.remove()

    # ---- what can be asked

    def ping(self, netns, address, seconds=3):
        """Does it answer within the time? It is asked again and again meanwhile."""
        words = netns.command(["ping", "-n", "-q", "-c", "1", "-i", "0.2", "-w", str(seconds), address])
        return subprocess.run(words, capture_output=True, timeout=30, check=False).returncode == 0

    def reaches(self):
        """The addresses of the internet that the host reaches."""
        return [a for a in (self.SERVER4, self.SERVER6) if self.ping(self.host, a)]

    def wants(self):
        """The addresses that it should reach, by the kind of its uplink."""
        return {"ipv6": [self.SERVER6], "dhcp": [self.SERVER4]}.get(self.kind, [self.SERVER4, self.SERVER6])


def has_vlans(world):
    """Is 802.1Q in this kernel?"""
    words = world.lanhost.command(["ip", "link", "add", "link", "eth0", "name", "probe.5", "type", "vlan", "id", "5"])
    if subprocess.run(words, capture_output=True, timeout=10, check=False).returncode:
        return False
    world.lanhost.ip("link delete probe.5")
    return True


# ---- the state of a host, as text that can be compared

NOISE = {"ifindex", "stats", "stats64", "valid_life_time", "preferred_life_time", "expires", "link_netnsid", "cache", "used", "tentative"}


def plain(value):
    """Without what changes by itself: indices, counters, lifetimes that run."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k not in NOISE and not k.endswith("_timer")}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


LISTS = {"link": "ip -d -j link", "addr": "ip -d -j addr", "route -4": "ip -d -j -4 route show table all", "rule -4": "ip -d -j -4 rule",
         "route -6": "ip -d -j -6 route show table all", "rule -6": "ip -d -j -6 rule"}
SYSCTLS = "cd /proc/sys/net; grep -H '' ipv4/ip_forward ipv4/conf/*/* ipv6/conf/*/* bridge/* 2>/dev/null"
NEXT = "=== next ==="
QUESTIONS = "set -e; " + f"; echo; echo '{NEXT}'; ".join([*LISTS.values(), "nft -s list ruleset", f"{SYSCTLS} || true"])


def state_of(host):
    """All that is configured in a host, one fact a line: links, addresses, routes and rules of both families, settings, filter rules."""
    *lists, rules, settings = (part.strip("\n") for part in run(host.command(["sh", "-c", QUESTIONS])).split(NEXT))
    found = []
    for title, text in zip(LISTS, lists, strict=True):
        found += sorted(f"{title} {json.dumps(plain(row), sort_keys=True)}" for row in json.loads(text or "[]"))
    return found + sorted(settings.splitlines()) + rules.splitlines()


def difference(before, after):
    return [line for line in difflib.unified_diff(before, after, "before", "after", lineterm="", n=0)]


def assert_restored(host, before, seconds=3.0):
    """The host's state is what it was, at once or as soon as the kernel has settled."""
    end = time.monotonic() + seconds
    while (diff := difference(before, state_of(host))) and time.monotonic() < end:
        time.sleep(0.1)
    assert not diff, "the host is not what it was:\n" + "\n".join(diff)


# ---- the privileged service

class Bridged:
    """hospes-bridged in the foreground, in the host."""

    start_seconds = 10

    def __init__(self, world, sanitized=False, environment=None, arguments=()):
        self.host = world.host
        self.programs = build_folder(sanitized)
        self.log_path = self.host.path / "bridged.log"
        self.socket = self.host.root / "run/hospes/bridged"
        self.environment = {"PATH": f"{self.programs}:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root",
                            "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=0", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
        self.start(environment, arguments)

    def start(self, environment=None, arguments=()):
        self.log = open(self.log_path, "ab")
        words = self.host.command([str(self.programs / "hospes-bridged"), "--foreground", *arguments])
        self.process = subprocess.Popen(words, env={**self.environment, **(environment or {})}, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_for(lambda: self.process.poll() is not None or self.serves(), self.start_seconds, "the service's socket")
        assert self.process.poll() is None, f"hospes-bridged ended with {self.process.returncode}: {self.messages()}"

    def serves(self):
        with contextlib.suppress(OSError):
            self.connect().close()
            return True
        return False

    def messages(self):
        return self.log_path.read_text(errors="replace")

    def connect(self, user=0, path=None):
        """A connection that the service sees as this user's: the child connects, the socket stays."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(20)
        where = str(path or self.socket)
        if not user:
            connection.connect(where)
            return connection
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                os.chdir(os.path.dirname(where))  # /proc/PID/root is root's to pass through
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
                connection.connect(os.path.basename(where))
                os._exit(0)
            os._exit(1)
        if os.waitpid(child, 0)[1]:
            raise PermissionError(where)
        return connection

    def call(self, method, user=0, **parameters):
        with self.connect(user) as connection:
            return varlink(connection, f"org.hospes.Bridged.{method}", parameters)

    def lan_state(self, lan="br0"):
        return next((each["state"] for each in self.call("Status")["lans"] if each["name"] == lan), None)

    def attach(self, lan="br0", user=USER, **parameters):
        """A tap as the service hands it over. Return: the reply, the descriptor, and the connection that holds it."""
        connection = self.connect(user)
        call = {"method": "org.hospes.Bridged.Attach", "parameters": {"lan": lan, "vnet": False, **parameters}}
        connection.sendall(json.dumps(call).encode() + b"\0")
        fds, reply = [], b""
        while not reply.endswith(b"\0"):
            data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(16))
            if not data:
                raise RuntimeError("the service closed the connection")
            reply += data
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    found = array.array("i")
                    found.frombytes(payload[:len(payload) - len(payload) % found.itemsize])
                    fds += found
        reply = json.loads(reply[:-1])
        if "error" in reply:
            connection.close()
            raise RuntimeError(f"{reply['error']}: {reply.get('parameters')}")
        assert len(fds) == 1, f"{len(fds)} descriptors came with {reply}"
        return reply["parameters"], fds[0], connection

    def run(self, *words, status=0, timeout=30, user=0, environment=None, **options):
        """A command in the host; its output. Another exit status than the expected one is an error (None: all are fine)."""
        command = [str(w) for w in words]
        if user:
            command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", "--inh-caps=-all", "--"] + command
        options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(self.host.command(command), env={**self.environment, **(environment or {})}, capture_output=True, text=True, errors="replace",
                              timeout=timeout, check=False, **options)
        self.stderr = done.stderr
        assert status is None or done.returncode == status, f"{words}: status {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.messages()[-3000:]}"
        return done.stdout.strip()

    def hospes(self, *words, **options):
        return self.run("hospes", *words, **options)

    def configure(self, text, lan="br0"):
        path = self.host.path / "etc" / "hospes" / f"{lan}.lan"
        path.write_text(text)
        path.chmod(0o644)
        return path

    def watch(self):
        """Watch the service's system calls from now on."""
        return Watch(self.process.pid, self.host.path / "strace")

    def kill(self):
        """SIGKILL to the service itself (nsenter has become it)."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.log.close()

    def stop(self, seconds=10):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.log.close()
        text = self.messages()
        assert status in (0, -signal.SIGKILL), f"hospes-bridged ended with {status}:\n{text}"
        assert "Sanitizer" not in text and "runtime error" not in text, text


class Watch:
    """The service's changes of the kernel's state, seen by strace: netlink writes, settings, programs that it starts."""

    MESSAGE = re.compile(r"nlmsg_type=(\w+)[^}]*?nlmsg_flags=([^,]*NLM_F_REQUEST[^,]*),")
    READS = {1, 4, 7, 10, 13, 16, 19, 22}  # of nf_tables: NFT_MSG_GET...

    @classmethod
    def changes(cls, line):
        """Types of rtnetlink come in fours: new, del, get, set. A socket of another namespace is told to us by number."""
        for kind, _ in cls.MESSAGE.findall(line) if " send" in line else ():
            if not kind.startswith("0x"):
                if "GET" not in kind:
                    return True
            elif (number := int(kind, 16)) < 256 and number % 4 != 2 or number >= 256 and number & 255 not in cls.READS:
                return True
        return "execve(" in line or "TUNSETIFF" in line or ("/proc/sys/" in line and ("O_WRONLY" in line or "O_RDWR" in line))

    def __init__(self, pid, path):
        self.path = path
        words = ["strace", "-f", "-qq", "-y", "-s", "256", "-e", "trace=sendmsg,sendto,execve,ioctl,openat,openat2", "-o", str(path), "-p", str(pid)]
        path.unlink(missing_ok=True)
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: f"TracerPid:\t{self.process.pid}\n" in pathlib.Path(f"/proc/{pid}/status").read_text(), 10, "strace")

    def stop(self):
        """The lines that change something."""
        self.process.terminate()
        self.process.wait(10)
        return [line for line in self.path.read_text(errors="replace").splitlines() if self.changes(line)]

# SPDX-License-Identifier: MIT
"""What a subject runs in: namespaces, a folder, processes. All of it is removed by close(), each process by its own id."""

import contextlib
import ctypes
import itertools
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / os.environ.get("HOSPES_BUILD", "build-bench")
TOOLS = BUILD / "bench" / "tools"
CORES = sorted(os.sched_getaffinity(0))
GUEST_CORE = CORES[0]
BACK_CORE = CORES[1] if len(CORES) > 1 else CORES[0]
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Missing(Exception):
    """A program, a socket or a feature that a subject needs is not there: its rows are left out, and say so."""


def run(command, timeout=30):
    """Run a command to its end. Its output; what it complained of is in the error."""
    words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(words)}: status {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise RuntimeError(f"waited {seconds} s for {what}")
        time.sleep(0.02)
    return value


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Missing(f"{program} is not installed")


class Netns:
    """A network namespace with its loopback up."""

    numbers = itertools.count()

    def __init__(self, name):
        self.name = f"bench-{os.getpid()}-{next(Netns.numbers)}-{name}"
        self.path = f"/run/netns/{self.name}"
        run(["ip", "netns", "add", self.name])
        self.ip("link set lo up")
        # A connection a sample must not use up the ports of the next one.
        self.sysctl("net.ipv4.ip_local_port_range=2048 65000")
        self.sysctl("net.ipv4.tcp_tw_reuse=1")

    def ip(self, words):
        return run(["ip", "-n", self.name] + shlex.split(words))

    def sysctl(self, setting):
        run(self.command(["sysctl", "-q", "-w", setting]))

    def command(self, words):
        return ["nsenter", f"--net={self.path}", "--"] + [str(word) for word in words]

    @contextlib.contextmanager
    def entered(self):
        with open("/proc/thread-self/ns/net") as before, open(self.path) as there:
            if _libc.setns(there.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                if _libc.setns(before.fileno(), CLONE_NEWNET):
                    os._exit(70)

    def remove(self):
        subprocess.run(["ip", "netns", "delete", self.name], timeout=30, check=False, stderr=subprocess.DEVNULL)


def remove_stale():
    """Namespaces and folders of a bench that was killed."""
    for path in [*pathlib.Path("/run/netns").glob("bench-*"), *pathlib.Path(tempfile.gettempdir()).glob("hospes-bench-*")]:
        pid = path.name.removeprefix("hospes-").split("-")[1]
        if not pid.isdigit() or os.path.exists(f"/proc/{pid}"):
            continue
        if path.parent.name == "netns":
            subprocess.run(["ip", "netns", "delete", path.name], timeout=30, check=False, stderr=subprocess.DEVNULL)
        else:
            shutil.rmtree(path, ignore_errors=True)


def end_group(process, seconds=2):
    """Wait for a process that was asked to end, and end what it has started, which is in the group of its own that it got from us."""
    if process.returncode is not None:
        return
    end = time.monotonic() + seconds
    # It stays a zombie until the group is killed, so that its number is nobody else's.
    while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(5)


class Scene:
    """One subject with its guests. `host` is the namespace of the host: servers run there, and the backend does."""

    def __init__(self, name, guests=1, mtu=1500):
        self.name, self.guests, self.mtu = name, guests, mtu
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"hospes-bench-{os.getpid()}-"))
        self.folder.chmod(0o755)
        self.processes, self.namespaces, self.closers = [], [], []
        self.pollers = []  # processes that burn a core whether there is work or not: they stand still while others are measured
        self.host = self.netns("host")
        self.net = None

    def netns(self, name):
        self.namespaces.append(Netns(name))
        return self.namespaces[-1]

    def with_uplink(self):
        """Give the host an uplink with a default route: some peers copy the addresses that they find there."""
        self.net = self.netns("net")
        self.host.ip(f"link add up0 type veth peer name down0 netns {self.net.name}")
        self.host.ip("link set up0 up mtu 65535")
        self.net.ip("link set down0 up mtu 65535")
        self.host.ip("address add 192.0.2.2/24 dev up0")
        self.net.ip("address add 192.0.2.1/24 dev down0")
        self.host.ip("route add default via 192.0.2.1")

    def spawn(self, words, netns=None, core=None, log=None, **options):
        """Start a process that ends with us. Its output is in the file `log` of the folder unless options say otherwise."""
        words = ["setpriv", "--pdeathsig", "KILL", "--"] + [str(word) for word in words]
        if core is not None:
            words = ["taskset", "-c", str(core)] + words
        if netns:
            words = netns.command(words)
        if "stdout" not in options:
            options["stdout"] = options["stderr"] = open(self.folder / (log or "log"), "ab")
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(words, start_new_session=True, cwd=self.folder, **options)
        self.processes.append(process)
        return process

    def log(self, name="log"):
        path = self.folder / name
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def still(self):
        for process in self.pollers:
            if process.poll() is None:
                process.send_signal(signal.SIGSTOP)

    def go(self):
        for process in self.pollers:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
        if self.pollers:
            time.sleep(0.2)

    def close(self):
        self.go()
        for closer in reversed(self.closers):
            with contextlib.suppress(Exception):
                closer()
        for process in reversed(self.processes):
            if process.returncode is None:
                process.terminate()
        for process in reversed(self.processes):
            end_group(process)
        for namespace in self.namespaces:
            namespace.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

# SPDX-License-Identifier: MIT
"""An ordinary user who types hospes commands in a world's host: real guests, and servers for them to reach."""

import contextlib
import functools
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading

import pytest

from tests.support.lan import ROOT, USER, Home, as_user, build_folder, connect_control, varlink, wait_for

BOOT = 90       # seconds that a guest may take to come up, on a machine that has much else to do
COMMAND = 60    # seconds that a command may take


# The user's passwd; devices that everybody may open, as on other machines. $0: the folder
PRIVATE = """
mount --bind "$0/passwd" /etc/passwd
for node in "$0"/dev/*; do
	case $node in */tun) mount --bind "$node" /dev/net/tun ;; */kvm) mount --bind "$node" /dev/kvm ;; esac
done
exec "$@"
"""


class User(Home):
    """The ordinary user, with a name (ssh insists on one), and with the commands run in the world's host."""

    NAME = "hospes-test"

    def __init__(self, netns):
        super().__init__()
        self.netns = netns
        shutil.copy(build_folder(False) / "mini-build", self.bin / "mini-build")
        passwd = pathlib.Path("/etc/passwd").read_text()
        (self.path / "passwd").write_text(f"{passwd}{self.NAME}:x:{USER}:{USER}::{self.path}/home:/bin/sh\n")
        (self.path / "dev").mkdir(mode=0o755)
        self.open_device("tun", 10, 200)
        # What these guests are does not depend on the machine: test_kvm.py looks at that.
        self.environment["HOSPES_ACCEL"] = "tcg"
        self.environment["PATH"] = f"{self.bin}:/usr/sbin:/usr/bin:/sbin:/bin"

    def command(self, words):
        """The words that run a command as the user, in the namespace, with /etc/passwd and devices of its own."""
        return self.netns.command(["unshare", "--mount", "sh", "-c", PRIVATE, str(self.path), *as_user(words)])

    def open_device(self, name, major, minor):
        """Let the user at a device (where we are root)."""
        if os.geteuid() == 0:
            os.mknod(self.path / "dev" / name, 0o20666, os.makedev(major, minor))
            (self.path / "dev" / name).chmod(0o666)

    def close_device(self, name):
        (self.path / "dev" / name).unlink(missing_ok=True)

    @staticmethod
    def words(words, environment):
        """A command with more in its environment."""
        more = [f"{name}={value}" for name, value in (environment or {}).items()]
        return (["/usr/bin/env", *more] if more else []) + [str(word) for word in words]

    def popen(self, *words, environment=None, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.command(self.words(words, environment)), env=self.environment, cwd=self.path / "home", **options)

    def run(self, *words, status=0, timeout=COMMAND, environment=None, **options):
        """Run a command to its end; its output, stripped. Any other exit status than the expected one is an error (None: all are fine)."""
        options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(self.command(self.words(words, environment)), env=self.environment, cwd=self.path / "home", capture_output=True,
                              text=True, errors="replace", timeout=timeout, check=False, **options)
        self.stderr = done.stderr
        assert status is None or done.returncode == status, f"{words}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return done.stdout.strip()

    def hospes(self, *words, **options):
        return self.run("hospes", *words, **options)

    def fails(self, *words, status=1, **options):
        """Run hospes; it must fail with that status and one message: that is returned."""
        self.hospes(*words, status=status, **options)
        return self.stderr

    def ssh(self, guest, command, lan="default", **options):
        """A command's output on a guest."""
        return self.hospes("ssh", "--lan", lan, "-o", "ConnectTimeout=10", guest, command, **options)

    def wait_ssh(self, *guests, lan="default"):
        """Until the guests take a login."""
        for guest in guests:
            wait_for(lambda g=guest: self.hospes("ssh", "--lan", lan, "-o", "ConnectTimeout=5", g, "echo up", status=None) == "up", BOOT, f"ssh to {guest}")

    def guests(self, lan="default"):
        """What `hospes ls --json` tells of the guests, by name."""
        return {g["name"]: g for g in json.loads(self.hospes("ls", "--json", lan))["guests"]}

    def runtime(self, lan="default"):
        return self.path / "run" / "hospes" / lan

    def control(self, lan="default"):
        return connect_control(self.runtime(lan))

    def call(self, method, lan="default"):
        """A call of a LAN's control interface."""
        with self.control(lan) as connection:
            return varlink(connection, method)

    def processes(self):
        """The command lines of all processes of this user (another test's may have the same number)."""
        mark, found = f"XDG_RUNTIME_DIR={self.environment['XDG_RUNTIME_DIR']}".encode(), []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if folder.stat().st_uid == USER and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        return found

    def down(self):
        for folder in self.path.glob("run/hospes/*"):
            subprocess.run(self.command(["hospes", "down", folder.name]), env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           timeout=COMMAND, check=False)


@functools.lru_cache
def mini_cache():
    """The guest mini, built once into the build folder (what must be downloaded for it is, outside of every namespace).

    Return: the folders that a cache needs of it. Others are half made where another run of tests builds at the same time."""
    folder = build_folder(False) / "mini-cache"
    done = subprocess.run([str(ROOT / "tools" / "mini-build"), str(folder)], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        pytest.fail(f"mini-build: {done.stderr}", pytrace=False)
    made = pathlib.Path(done.stdout.strip())
    return [path for path in (made, made.with_name("download-" + made.name.rpartition("-")[0])) if path.exists()]


def give(path):
    """Hand a file or folder to the user."""
    if not os.geteuid():
        for each in [path, *path.rglob("*")]:
            os.chown(each, USER, USER, follow_symlinks=False)


def make_user(world):
    user = User(world.host)
    cache = user.path / "home" / ".cache" / "hospes"
    for path in mini_cache():
        shutil.copytree(path, cache / "mini" / path.name)
    give(user.path / "home")
    (user.path / "home" / ".cache").chmod(0o700)
    cache.chmod(0o700)
    (cache / "mini").chmod(0o700)
    return user


class Server:
    """An HTTP server in a namespace, on all addresses. It keeps what was asked for."""

    def __init__(self, netns, files):
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = files.get(self.path.lstrip("/"))
                server.asked.append((self.path, self.headers.get("User-Agent", ""), self.client_address[0]))
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_):
                pass

        self.asked = []
        with netns.entered():
            self.server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

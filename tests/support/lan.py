# SPDX-License-Identifier: MIT
"""The real daemon of a LAN, run as an ordinary user from a copy of the build, and its control interface."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
USER = 61234  # an ordinary user that owns nothing else


def build_folder(sanitized):
    """The build that make check has made: with sanitizers for hostile input, without for figures."""
    return ROOT / os.environ.get("HOSPES_BUILD", "build-check" if sanitized else "build-gcc")


def as_user(words):
    """The words that run a command as the ordinary user (as it is, where we are no root)."""
    if os.geteuid():
        return list(words)
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs", "--inh-caps=-all", "--"] + list(words)


def wait_for(condition, seconds=5.0, what="something"):
    """Poll until the condition holds; its value. Fails after so many seconds; `what` is text, or makes it then."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what() if callable(what) else what}")
        time.sleep(0.01)


class Home:
    """Folders of the ordinary user: HOME, the runtime folder, and the programs copied to where that user can read them."""

    def __init__(self, sanitized=False):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="hospes-test-"))
        self.path.chmod(0o755)
        self.bin = self.path / "bin"
        self.bin.mkdir()
        build = build_folder(sanitized)
        for name in ("hospes", "hospesd", "hospes-tap"):
            if (build / name).exists():
                shutil.copy(build / name, self.bin / name)
        for name in ("home", "run"):
            (self.path / name).mkdir(mode=0o700)
            if not os.geteuid():
                os.chown(self.path / name, USER, USER)
        self.environment = {
            "PATH": f"{self.bin}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.path / "home"), "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.path / "run"), "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        }

    def write(self, name, text):
        """A file in HOME, the user's own."""
        path = self.path / "home" / name
        for folder in reversed(path.relative_to(self.path / "home").parents):
            folder = self.path / "home" / folder
            folder.mkdir(exist_ok=True)
            if not os.geteuid():
                os.chown(folder, USER, USER)
        path.write_text(text)
        if not os.geteuid():
            os.chown(path, USER, USER)
        return path

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


class Daemon:
    """hospesd in the foreground, in a namespace. Its messages are kept in the file `log`."""

    def __init__(self, netns, home, lan="default", config="", arguments=(), ready=5.0):
        self.home, self.lan = home, lan
        self.runtime = home.path / "run" / "hospes" / lan
        self.log = open(home.path / f"log-{lan}", "w+b")
        words = [str(home.bin / "hospesd"), "--lan", lan, "--foreground", *arguments]
        if config:
            words += ["--config", str(home.write(f".config/hospes/{lan}.lan", config))]
        self.process = subprocess.Popen(netns.command(as_user(words)), env=home.environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_for(lambda: self.process.poll() is not None or self.serves(), ready, "the control socket")
        if self.process.poll() is not None:
            raise RuntimeError(f"hospesd ended with {self.process.returncode}: {self.messages()}")

    def serves(self):
        """Does the control socket take connections yet?"""
        try:
            self.control().close()
            return True
        except OSError:
            return False

    def messages(self):
        self.log.flush()
        return (self.home.path / f"log-{self.lan}").read_text(errors="replace")

    def call(self, method, **parameters):
        """A call of the control interface. Raises RuntimeError with the error's name."""
        with self.control() as connection:
            return varlink(connection, method, parameters)

    def control(self):
        return connect_control(self.runtime)

    def drops(self):
        """All drops, by reason, of all ports together."""
        total = {}
        for port in self.call("List")["ports"]:
            for drop in port["drops"]:
                total[drop["reason"]] = total.get(drop["reason"], 0) + drop["frames"]
        return total

    def stop(self, seconds=10):
        """Take the LAN down; a sanitizer's complaint or any other status than 0 is an error."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        text = self.messages()
        self.log.close()
        assert status == 0, f"hospesd ended with {status}:\n{text}"
        assert "Sanitizer" not in text and "runtime error" not in text, text


def connect_control(runtime):
    """A connection to the control interface of the LAN with that runtime folder."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(str(runtime / "control"))
    return connection


def varlink(connection, method, parameters=None, more=None):
    """One Varlink call on a connected socket; the reply's parameters."""
    message = {"method": f"org.hospes.Lan.{method}" if "." not in method else method, "parameters": parameters or {}}
    message.update(more or {})
    connection.sendall(json.dumps(message).encode() + b"\0")
    reply = b""
    while not reply.endswith(b"\0"):
        part = connection.recv(65536)
        if not part:
            raise RuntimeError("the daemon closed the connection")
        reply += part
    reply = json.loads(reply[:-1])
    if "error" in reply:
        raise RuntimeError(f"{reply['error']}: {reply.get('parameters')}")
    return reply.get("parameters", {})

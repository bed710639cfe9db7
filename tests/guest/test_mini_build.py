# SPDX-License-Identifier: MIT
"""mini-build: several at once, one that is killed, and what comes out."""

import gzip
import shutil
import signal
import subprocess
import threading

import pytest

from tests.support.lan import ROOT, wait_for
from tests.support.user import mini_cache


@pytest.fixture
def folder(tmp_path):
    """A cache with the kernel that was downloaded for the others, and nothing built."""
    for kept in mini_cache():
        if kept.name.startswith("download-"):
            shutil.copytree(kept, tmp_path / kept.name)
    return tmp_path


def build(folder):
    return subprocess.Popen([str(ROOT / "tools/mini-build"), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip()


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_at_once(folder):
    found = {result(process) for process in [build(folder) for _ in range(3)]}
    assert len(found) == 1 and not hidden(folder)
    made = folder / found.pop()
    assert sorted(path.name for path in made.iterdir()) == ["initrd", "kernel"]
    again = build(folder)
    assert result(again) == str(made)
    assert gzip.decompress((made / "initrd").read_bytes()).startswith(b"070701")


def test_others_come_and_go(folder):
    """What other builders work at may be gone as soon as it was seen, and is no matter of this one."""
    ended = threading.Event()

    def others(number):
        while not ended.is_set():
            paths = [folder / f".build.{number}.{i}" for i in range(2000)]
            for path in paths:
                path.mkdir()
            for path in paths:
                path.rmdir()

    threads = [threading.Thread(target=others, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            shutil.rmtree(result(build(folder)))
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_killed(folder):
    """One that is ended in the middle leaves nothing; the next one builds."""
    process = build(folder)
    wait_for(lambda: hidden(folder), 20, "a folder that is being built")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert not hidden(folder)
    assert result(build(folder)).startswith(str(folder))


def test_everything_is_roots(folder):
    """Whoever builds: in the guest all files are root's, and none may be written by others."""
    made = result(build(folder))
    listing = subprocess.run(f"gzip -dc {made}/initrd | busybox cpio -tv", shell=True, capture_output=True, text=True, check=True, timeout=30).stdout
    lines = [line.split() for line in listing.splitlines()]
    assert len(lines) > 100
    assert {line[1] for line in lines} == {"0/0"}
    assert not [line for line in lines if line[0][0] != "l" and line[0][8] == "w"]


def test_disk_full(folder):
    """No room: a message, status 1, and nothing that the next one would take for whole."""
    process = subprocess.Popen(["sh", "-c", 'ulimit -f 2000; exec "$@"', "-", str(ROOT / "tools/mini-build"), str(folder)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and not out
    assert not hidden(folder) and not list(folder.glob("[0-9]*"))

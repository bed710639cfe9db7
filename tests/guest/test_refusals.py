# SPDX-License-Identifier: MIT
"""Wrong words, images that are none, programs that are missing: one message with the remedy, and nothing left behind."""

import os
import shutil

import pytest


def one_line(message):
    lines = message.strip().splitlines()
    assert len(lines) == 1, message
    return lines[0]


@pytest.mark.parametrize("words, wanted", [
    ([], "an image is expected"),
    (["mini", "other"], "one image at a time"),
    (["--mem", "lots", "mini"], "--mem lots"),
    (["--mem", "0", "mini"], "--mem 0"),
    (["--cpus", "0", "mini"], "--cpus 0"),
    (["--cpus", "two", "mini"], "--cpus two"),
    (["--name", "Not_A_Name", "mini"], "--name Not_A_Name"),
    (["--name", "-x", "mini"], "--name -x"),
    (["--port", "vhos", "mini"], "vhost, stream, dgram"),
    (["--port", "vhost", "mini", "--", "-m", "1G"], "--mem"),
    (["--publish", "80", "mini"], "8080:80"),
    (["--publish", "8080:99999", "mini"], "99999"),
    (["--publish", "nowhere:1:2", "mini"], "nowhere"),
    (["--lan", "Not/A/Lan", "mini"], "Not/A/Lan"),
    (["--none", "mini"], "--none"),
])
def test_wrong_words(user, words, wanted):
    message = user.fails("run", *words, status=2)
    assert wanted in message.splitlines()[0], message
    assert not user.runtime().exists(), "the LAN was started"


@pytest.mark.parametrize("words, wanted", [
    (["--port", "vhost", "--mem", "lots"], "--mem lots"),
    (["--port", "vhost", "--mem", "1G,share=off"], "--mem 1G,share=off"),
    (["--port", "vhost", "--mem", ""], "--mem"),
    (["--mem", "1G"], "--mem is for --port vhost"),
])
def test_wrong_words_of_qemu_args(user, words, wanted):
    message = user.fails("qemu-args", *words, status=2)
    assert wanted in message.splitlines()[0], message
    assert not user.runtime().exists(), "the LAN was started"


def write(user, name, data, mode=0o644):
    path = user.path / "home" / name
    path.write_bytes(data)
    path.chmod(mode)
    if not os.geteuid():
        os.chown(path, user.path.joinpath("home").stat().st_uid, -1)
    return path


def test_images_that_are_none(user):
    assert "there is no image none.qcow2" in one_line(user.fails("run", "none.qcow2"))
    assert "is a folder" in one_line(user.fails("run", "."))
    write(user, "empty.img", b"")
    assert "0 bytes" in one_line(user.fails("run", "empty.img"))
    write(user, "disk.img.xz", b"\xfd7zXZ\0" + bytes(1000))
    assert "unxz disk.img.xz" in one_line(user.fails("run", "disk.img.xz"))
    write(user, "it's; a disk.xz", b"\xfd7zXZ\0" + bytes(1000))
    assert "unxz 'it'\\''s; a disk.xz'" in one_line(user.fails("run", "it's; a disk.xz"))
    write(user, "secret.img", bytes(4096), 0o000)
    assert "not yours to read" in one_line(user.fails("run", "secret.img"))
    write(user, "fixed.img", bytes(4096), 0o444)
    assert "--snapshot" in one_line(user.fails("run", "fixed.img"))
    assert not user.runtime().exists(), "the LAN was started"


def test_no_qemu(user):
    nowhere = user.path / "nowhere"
    nowhere.mkdir(mode=0o755)
    message = one_line(user.fails("run", "mini", environment={"HOSPES_QEMU": "/nonexistent/qemu"}))
    assert "/nonexistent/qemu" in message
    assert "HOSPES_QEMU" in one_line(user.fails("run", "mini", environment={"HOSPES_QEMU": "/bin/" + "./" * 200 + "true"}))
    hospes = user.bin / "hospes"
    message = one_line(user.run(hospes, "run", "mini", status=1, environment={"PATH": str(nowhere)}) or user.stderr)
    assert "apt install qemu-system-x86" in message


def test_programs_of_mini_missing(user):
    """mini-build names the package of what it misses."""
    tools = user.path / "tools"
    tools.mkdir(mode=0o755)
    for name in ("sh", "env", "uname", "mkdir", "awk", "busybox", "gzip", "ldd", "rm", "cat"):
        (tools / name).symlink_to(shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin"))
    script = (user.bin / "mini-build").read_text().replace("PATH=$PATH:/usr/sbin:/sbin", "PATH=$PATH")
    (user.bin / "mini-build-here").write_text(script)
    (user.bin / "mini-build-here").chmod(0o755)
    user.run("/bin/sh", user.bin / "mini-build-here", user.path / "home/cache", status=1, environment={"PATH": str(tools)})
    assert "apt install dropbear-bin" in one_line(user.stderr)


def test_qemu_that_fails(user):
    """What QEMU says is shown, the exit status is 1, and nothing is left."""
    for more in (["--detach"], []):
        message = user.fails("run", *more, "--name", "bad", "--publish", "8099:80", "mini", "--", "-no-such-option")
        assert "no-such-option" in message and "QEMU ended with status 1" in message, message
    assert not (user.runtime() / "guests").exists()
    assert not user.guests().get("bad", {}).get("registered")
    assert "8099" not in user.hospes("forward", "ls")
    user.hospes("down")


def test_port_in_use(user, world):
    with world.host.socket() as taken:
        taken.bind(("127.0.0.1", 8077))
        taken.listen()
        message = one_line(user.fails("run", "--detach", "--publish", "8077:80", "mini"))
    assert "8077" in message
    assert not user.processes() or not any(p.startswith("qemu-system") for p in user.processes())
    assert not (user.runtime() / "guests").exists()
    user.hospes("down")


def test_stop_nobody(user):
    assert "LAN default is down" in one_line(user.fails("stop", "nobody"))
    user.hospes("up")
    assert "nobody" in one_line(user.fails("stop", "nobody"))
    user.fails("stop", status=2)
    user.hospes("down")


def test_accel_words(user):
    assert "kvm or tcg" in one_line(user.fails("run", "mini", environment={"HOSPES_ACCEL": "fast"}))

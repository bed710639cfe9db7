# SPDX-License-Identifier: MIT
"""KVM is used where a guest really runs with it: the probe's image, what is kept of its answer, and this machine's own KVM."""

import json
import os
import pathlib

import pytest

from tests.support.lan import wait_for

needs_node = pytest.mark.skipif(not pathlib.Path("/dev/kvm").exists() or os.geteuid() != 0, reason="needs /dev/kvm, and root to let the ordinary user at it")


class OpenKvm:
    """The user with a /dev/kvm that everybody may open."""

    def __init__(self, user):
        self.user = user
        self.environment = {"HOSPES_ACCEL": ""}
        self.answer = user.path / "home/.cache/hospes/kvm"

    def hospes(self, *words, **options):
        options["environment"] = {**self.environment, **options.get("environment", {})}
        return self.user.hospes(*words, **options)

    def qemu(self, name, how):
        """A program in QEMU's place. @how: what it does with the probe; anything else it runs with TCG."""
        path = self.user.bin / name
        path.write_text('#!/bin/sh\nprobe=\nfor word; do case $word in isa-debug-exit*) probe=1 ;; esac; done\n'
                        f'[ -z "$probe" ] || {{ {how}; }}\n'
                        'n=$#\nwhile [ $n -gt 0 ]; do\n'
                        '\tcase $1 in kvm) set -- "$@" tcg ;; host) set -- "$@" max ;; *) set -- "$@" "$1" ;; esac\n\tshift; n=$((n - 1))\ndone\n'
                        'exec qemu-system-x86_64 "$@"\n')
        path.chmod(0o755)
        return {"HOSPES_QEMU": str(path)}


@pytest.fixture
def kvm(user):
    made = OpenKvm(user)
    made.answer.unlink(missing_ok=True)
    user.open_device("kvm", 10, 232)
    yield made
    user.close_device("kvm")
    user.down()


@needs_node
def test_image_runs(kvm):
    """Where a processor runs it (here TCG in KVM's place), the image comes to its end, and the guest gets KVM."""
    kvm.hospes("run", "--detach", "mini", environment=kvm.qemu("good", ":"))
    assert kvm.answer.read_text().endswith(" yes\n")
    assert not [line for line in kvm.user.stderr.splitlines() if "KVM" in line]


@needs_node
@pytest.mark.parametrize("how, answer", [
    ("exit 0", "no"),                # a triple fault: QEMU ends at the reset
    ("exit 1", "no"),                # QEMU refuses KVM
    ("kill -ABRT $$", "no"),
    ("exec sleep 60", "slow"),       # it hangs
    ('exec qemu-system-x86_64 "$@" -S', "slow"),
])
def test_not_believed(kvm, how, answer):
    kvm.hospes("run", "--detach", "mini", environment=kvm.qemu("bad", how))
    assert kvm.answer.read_text().endswith(f" {answer}\n")
    assert "does not really run" in kvm.user.stderr
    assert any("-accel tcg" in p for p in kvm.user.processes())


@needs_node
def test_answer_is_kept(kvm):
    environment = kvm.qemu("counted", f'echo probed >>{kvm.user.path}/home/probes; exit 1')
    for _ in range(2):
        kvm.hospes("run", "--detach", "mini", environment=environment)
    assert (kvm.user.path / "home/probes").read_text() == "probed\n"
    # Another machine, or this one booted again: the answer does not count.
    kvm.answer.write_text("another-boot" + kvm.answer.read_text()[12:])
    kvm.hospes("run", "--detach", "mini", environment=environment)
    assert (kvm.user.path / "home/probes").read_text() == "probed\nprobed\n"


@needs_node
def test_this_machine(kvm):
    """Whatever the probe chooses for this machine, a guest comes up with it."""
    kvm.hospes("run", "--detach", "mini")
    kvm.user.wait_ssh("mini")


def doctor(kvm, **environment):
    """The doctor's findings about KVM."""
    report = json.loads(kvm.hospes("doctor", "--json", environment=environment, status=None))
    return [one for one in report["findings"] if one["check"] == "kvm"]


def comes_up(kvm, seconds, accel):
    """Does a guest that is run so take a login? Its QEMU is ended in any case."""
    kvm.hospes("run", "--detach", "mini", environment={"HOSPES_ACCEL": accel})
    try:
        wait_for(lambda: kvm.hospes("ssh", "-o", "ConnectTimeout=2", "mini", "echo up", status=None) == "up", seconds, "a login")
        return True
    except AssertionError:
        return False
    finally:
        kvm.user.down()


@needs_node
def test_doctor_on_this_machine(kvm):
    """This machine's own KVM, and what the doctor says of it. Where it opens and runs nothing, the finding is there, and what it advises helps: hospes
    runs its guests without it, and so does another QEMU with -accel tcg. A machine where KVM works has no such finding, and guests that use it."""
    found = doctor(kvm)
    assert bool(found) != comes_up(kvm, 25, "kvm"), "the doctor's word against a guest's"
    if not found:
        kvm.hospes("run", "--detach", "mini")
        assert any("-accel kvm" in p for p in kvm.user.processes())
        kvm.user.wait_ssh("mini")
        return
    assert "opens, but a guest does not really run there" in found[0]["cause"] and found[0]["severity"] == "note"
    assert "hospes runs guests without it" in found[0]["advice"] and "-accel tcg" in found[0]["advice"] and found[0]["remedy"] is None
    kvm.hospes("run", "--detach", "mini")
    assert any("-accel tcg" in p for p in kvm.user.processes())
    kvm.user.wait_ssh("mini")
    kvm.user.down()
    assert comes_up(kvm, 60, "tcg")


@needs_node
def test_doctor_where_kvm_works_again(kvm):
    """The same finding made and taken away. A QEMU that hangs, or one that takes TCG for KVM, stands in for the kernel's module: one machine has but one."""
    assert doctor(kvm, **kvm.qemu("hangs", "exec sleep 60"))
    assert not doctor(kvm, **kvm.qemu("works", ":"))


def test_no_access(user):
    """Without access there is no probe, and a hint."""
    if os.access("/dev/kvm", os.R_OK) and os.geteuid():
        pytest.skip("this user has access")
    if not pathlib.Path("/dev/kvm").exists() or pathlib.Path("/dev/kvm").stat().st_mode & 0o006:
        pytest.skip("there is no /dev/kvm that is closed to others")
    user.hospes("run", "--detach", "mini", environment={"HOSPES_ACCEL": ""})
    assert "adduser $USER kvm" in user.stderr
    user.down()

# SPDX-License-Identifier: MIT
"""Names of subjects and clients, and how a scene is made of one of each."""

from bench.clients.namespace import Namespace
from bench.clients.ports import Ports
from bench.clients.qemu import Qemu
from bench.clients.testpmd import TestpmdPacked, TestpmdPair
from bench.clients.uml import SmallUml, Uml
from bench.peers import dpdk, hospes, kernel, loopback, namespaces, passt, qemu_user, vde
from bench.scene import BACK_CORE, GUEST_CORE, Missing, Scene

SUBJECTS = {peer.name: peer for peer in (
    hospes.HospesTap, hospes.HospesStream, hospes.HospesDgram, hospes.HospesVhost, namespaces.Pasta, namespaces.NewerPasta,
    namespaces.Slirp4netns, kernel.BridgeTap, kernel.BridgeVeth, vde.VdeSwitch, passt.Passt, passt.PasstVhost, passt.OtherPasstVhost,
    qemu_user.QemuUser, dpdk.OvsDpdk, dpdk.Testpmd, loopback.Loopback, loopback.PlainSockets,
)}

CLIENTS = {"namespace": Namespace, "uml": Uml, "uml small": SmallUml, "qemu": Qemu, "testpmd": TestpmdPair, "testpmd packed": TestpmdPacked,
           "ports": Ports}
OURS = tuple(name for name in SUBJECTS if name.startswith("hospes "))


class Stage:
    """A scene with its backend and its guests, ready for work. Guest 0 is on a core of its own, like the only one; the second one shares the backend's."""

    def __init__(self, subject, client, mtu, guests):
        if not set(CLIENTS[client].kinds) & set(SUBJECTS[subject].kinds):
            raise Missing(f"a guest of this kind ({client}) cannot be plugged into it")
        if mtu > SUBJECTS[subject].mtu_max:
            raise Missing(f"it carries no frames of {mtu} bytes")
        self.subject = subject
        self.scene = Scene(subject, guests, mtu)
        try:
            self.peer = SUBJECTS[subject](self.scene)
            self.peer.start()
            self.clients = CLIENTS[client].make(self.scene, self.peer, guests, lambda number: BACK_CORE if number == 1 and guests == 2 else GUEST_CORE)
        except BaseException:
            self.scene.close()
            raise

    def backends(self):
        self.peer.check()
        return self.peer.backends() + [backend for client in self.clients for backend in client.backends()]

    def close(self):
        self.scene.close()

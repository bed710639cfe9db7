# SPDX-License-Identifier: MIT
"""The kernel's bridge, with taps or veths. It is no process: what it costs shows in the whole machine's processor time only."""

from bench.peers.peer import Attachment, Peer, mac


class Bridge(Peer):
    HOST = "10.9.0.2"

    def start(self):
        self.scene.host.ip("link add br0 type bridge")
        self.scene.host.ip(f"link set br0 up mtu {self.scene.mtu}")
        self.scene.host.ip(f"address add {self.HOST}/16 dev br0")
        # br_netfilter would take every frame through the firewall's hooks, which are empty here.
        self.scene.host.sysctl("net.bridge.bridge-nf-call-iptables=0")

    def address(self, number):
        return f"10.9.1.{number + 1}/16"


class BridgeTap(Bridge):
    name, kinds = "kernel bridge (tap)", ("tap",)

    def attach(self, number, kind):
        tap, host = f"t{number}", self.scene.host
        host.ip(f"tuntap add {tap} mode tap vnet_hdr")
        host.ip(f"link set {tap} mtu {self.scene.mtu} master br0 up")
        return Attachment("tap", self.HOST, interface=tap, netns=host, mac=mac(number), address=self.address(number))


class BridgeVeth(Bridge):
    """No tap at all: a namespace's ceiling."""

    name, kinds = "kernel bridge (veth)", ("netns",)

    def attach(self, number, kind):
        guest, host = self.scene.netns(f"guest{number}"), self.scene.host
        host.ip(f"link add v{number} type veth peer name eth0 netns {guest.name}")
        host.ip(f"link set v{number} mtu {self.scene.mtu} master br0 up")
        return Attachment("netns", self.HOST, netns=guest, mac=mac(number), address=self.address(number))

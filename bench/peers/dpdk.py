# SPDX-License-Identifier: MIT
"""Switches on DPDK, which poll: Open vSwitch and testpmd. Each has a core for itself, work or not."""

import os
import re

from bench.peers.peer import Attachment, Peer, mac
from bench.scene import BACK_CORE, CORES, Missing, need, run, wait_for

# Folders that they would share with a system's own service are empty ones here.
OWN_RUN = ["unshare", "--mount", "--", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh"]
VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"


class OvsDpdk(Peer):
    """Its ports listen, so that testpmd and User-mode Linux can connect to them. Segmentation offload is off in it by default, as here."""

    name, kinds = "OVS-DPDK", ("vhost",)

    def start(self):
        need("ovsdb-server", "ovsdb-tool", "ovs-vsctl")
        if not os.path.exists(VSWITCHD):
            raise Missing("openvswitch-switch-dpdk is not installed")
        folder = self.folder = self.scene.folder
        self.environment = {**os.environ, **{f"OVS_{name}DIR": str(folder) for name in ("RUN", "LOG", "DB", "SYSCONF")}}
        run(["ovsdb-tool", "create", folder / "conf.db", "/usr/share/openvswitch/vswitch.ovsschema"])
        self.scene.spawn([*OWN_RUN, "ovsdb-server", folder / "conf.db", f"--remote=punix:{folder}/db.sock"], self.scene.host, env=self.environment)
        wait_for((folder / "db.sock").exists, 5, "ovsdb-server")
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                   'other_config:dpdk-extra="--no-huge --legacy-mem --no-pci -m 4096 --file-prefix=ovs"', f"other_config:dpdk-lcore-mask={1 << CORES[0]:#x}",
                   f"other_config:pmd-cpu-mask={1 << BACK_CORE:#x}", "other_config:per-port-memory=false")
        switch = self.scene.spawn([*OWN_RUN, VSWITCHD, f"unix:{folder}/db.sock"], self.scene.host, env=self.environment)
        self.processes.append(switch)
        self.scene.pollers.append(switch)
        self.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")

    def vsctl(self, *words):
        return run(["timeout", "20", "ovs-vsctl", f"--db=unix:{self.folder}/db.sock", *words])

    def attach(self, number, kind):
        port = f"vhost{number}"
        self.vsctl("add-port", "br0", port, "--", "set", "Interface", port, "type=dpdkvhostuser")
        wait_for(lambda: self.check() or (self.folder / port).exists(), 5, f"port {port}")
        return Attachment("vhost", "", path=str(self.folder / port), mac=mac(number), address=f"10.9.1.{number + 1}/16")


class Testpmd(Peer):
    """Two ports, each handed to the other: no look-up, no learning. It is what two front ends at most can be switched with."""

    name, kinds = "testpmd", ("vhost",)

    def start(self):
        need("dpdk-testpmd")
        paths = [self.scene.folder / f"vhost{number}" for number in range(2)]
        devices = [word for number, path in enumerate(paths) for word in ("--vdev", f"net_vhost{number},iface={path},queues=1")]
        switch = self.scene.spawn(
            [*OWN_RUN, "dpdk-testpmd", "--lcores", f"0@{BACK_CORE},1@{BACK_CORE}", "--no-huge", "-m", "1024", "--no-pci", "--file-prefix=switch", "--no-telemetry",
             *devices, "--", "--nb-cores=1", "--forward-mode=io", "--auto-start", "--total-num-mbufs=65536", "--stats-period=3600"], self.scene.host)
        self.processes.append(switch)
        self.scene.pollers.append(switch)
        wait_for(lambda: self.check() or all(path.exists() for path in paths), 15, "testpmd's ports")
        self.paths = paths

    def attach(self, number, kind):
        return Attachment("vhost", "", path=str(self.paths[number]), mac=mac(number), address=f"10.9.1.{number + 1}/16")


def port_counters(text):
    """RX-packets of each port in what `show port stats all` prints."""
    return [int(number) for number in re.findall(r"RX-packets: *(\d+)", text)]

# SPDX-License-Identifier: MIT
"""passt, one process a guest: Debian's by QEMU's stream socket; by vhost-user one that the environment's PASST names."""

import os

from bench.peers.peer import Attachment, Peer
from bench.scene import BACK_CORE, Missing, need, run, wait_for


class Passt(Peer):
    name, kinds = "passt stream", ("stream",)
    options = ()

    def program(self):
        return os.environ.get("PASST") or "passt"

    def start(self):
        need(self.program())
        self.scene.with_uplink()

    def attach(self, number, kind):
        path = self.scene.folder / f"passt.{number}"
        # Nobody else's rights are wanted, nor another user's: it closes itself in.
        self.processes.append(self.scene.spawn(
            [self.program(), "--foreground", "--runas", "0", "--mtu", self.scene.mtu, "--socket", path, *self.options], self.scene.host, BACK_CORE))
        wait_for(lambda: self.check() or path.exists(), 5, "passt's socket")
        return Attachment(kind, "192.0.2.1", path=str(path), mac=f"02:00:00:00:01:{number + 1:02x}")


class PasstVhost(Passt):
    """UML reaches only one that offers protocol feature bit 5, as no release does (see README.md); any QEMU guest reaches every one."""

    name, kinds = "passt vhost", ("vhost",)
    options = ("--vhost-user",)
    variable = "PASST"

    def program(self):
        program = os.environ.get(self.variable)
        if not program:
            raise Missing(f"Debian's passt has no vhost-user; {self.variable}=/path/to/passt names one that has")
        if "--vhost-user" not in run(["sh", "-c", '"$0" --help 2>&1; true', program]):
            raise Missing(f"{program} has no --vhost-user")
        return program


class OtherPasstVhost(PasstVhost):
    """A second version of it, where a ratio is not to be one of its defects."""

    name, variable = "other passt vhost", "PASST_OTHER"

# SPDX-License-Identifier: MIT
"""A guest that is a network namespace: a real kernel's TCP, at full speed."""

import subprocess

from bench.clients.client import Client
from bench.scene import TOOLS


class Namespace(Client):
    kinds = ("netns", "none")

    def __init__(self, scene, attachment, number, core):
        super().__init__(scene, attachment, number, core)
        self.netns, self.job = attachment.netns, None
        if not self.loopback:
            self.configure(attachment, attachment.interface)

    def configure(self, attachment, interface):
        if attachment.mac:
            self.netns.ip(f"link set {interface} address {attachment.mac}")
        self.netns.ip(f"link set {interface} up mtu {self.scene.mtu}")
        if attachment.address:
            self.netns.ip(f"address add {attachment.address} dev {interface}")
        if attachment.gateway:
            self.netns.ip(f"route add default via {attachment.gateway}")
        if not self.address:
            words = self.netns.ip(f"-4 -o address show dev {interface}").split()
            self.address = words[words.index("inet") + 1].split("/")[0]

    def tool(self, name):
        return str(TOOLS / name)

    def start(self, words):
        self.job = self.scene.spawn(words, self.netns, self.core, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait(self, seconds):
        job, self.job = self.job, None
        try:
            output, _ = job.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            job.kill()
            output, _ = job.communicate()
            raise RuntimeError(f"{job.args[-3:]} took more than {seconds} s: {output[-500:]}") from None
        if job.returncode:
            raise RuntimeError(f"{' '.join(job.args[-8:])} failed: {output[-500:]}")
        return output

    def background(self, words):
        self.scene.spawn(words, self.netns, self.core, log="guest-server")

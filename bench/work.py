# SPDX-License-Identifier: MIT
"""The work that a row does once: each returns what was moved, and in how long."""

import json
import resource
import time

from bench.scene import BACK_CORE, TOOLS, need

PORT, IPERF_PORT, SOCKPERF_PORT = "7777", "5201", "11111"


class Work:
    """`unit` is of `rate`, which measure() returns with bytes, packets or count."""

    unit = "Gbit/s"
    higher_is_better = True
    between_guests = False  # the server is in the second guest

    def prepare(self, scene, clients):
        """Start servers. Called before the first sample of a scene."""

    def measure(self, scene, clients, seconds):
        raise NotImplementedError


def server_of(work, clients):
    """The guest that the server is in; None for the host."""
    if clients[0].loopback:
        return clients[0]
    return clients[1] if work.between_guests else None


def server_address(work, clients):
    if clients[0].loopback:
        return "127.0.0.1"
    return clients[1].address if work.between_guests else clients[0].host


def servers_once(scene, key, starter):
    """Servers live as long as the scene: works share them."""
    if key not in scene.__dict__.setdefault("servers", set()):
        scene.servers.add(key)
        starter()
        time.sleep(0.3)


def serve(work, scene, clients, key, words):
    """Start a server at the host, or in the second guest. words: of the tool as the host names it, as a guest does."""
    guest = server_of(work, clients)
    if guest:
        servers_once(scene, (key, 1), lambda: guest.background(words(guest.tool)))
    else:
        servers_once(scene, (key, 0), lambda: scene.spawn(words(lambda name: TOOLS / name), scene.host, BACK_CORE, log=f"server-{key}"))


class Load(Work):
    """With our own tool."""

    def prepare(self, scene, clients):
        serve(self, scene, clients, "load", lambda tool: [tool("load"), "serve", PORT])

    def words(self, client, host, seconds):
        raise NotImplementedError

    def results(self, scene, clients, seconds):
        """All guests do it at the same time (between guests: the first one alone)."""
        users = clients[:1] if self.between_guests else clients
        for client in users:
            client.start([client.tool("load"), *self.words(client, server_address(self, clients), seconds)])
        return [json.loads(client.wait(seconds + 15).strip().splitlines()[-1]) for client in users]


class Stream(Work):
    """TCP. direction: to or from the server."""

    def __init__(self, direction, flows=1, between_guests=False):
        self.direction, self.flows, self.between_guests = direction, flows, between_guests

    def prepare(self, scene, clients):
        if all(client.iperf for client in clients):
            for number in range(1 if self.between_guests else len(clients)):
                port = str(int(IPERF_PORT) + number)
                serve(self, scene, clients, f"iperf{number}", lambda _, port=port: ["iperf3", "-s", "-p", port])
        else:
            serve(self, scene, clients, "load", lambda tool: [tool("load"), "serve", PORT])

    def measure(self, scene, clients, seconds):
        users = clients[:1] if self.between_guests else clients
        iperf = all(client.iperf for client in clients)
        host = server_address(self, clients)
        for number, client in enumerate(users):
            if iperf:
                words = ["iperf3", "-c", host, "-p", str(int(IPERF_PORT) + number), "-t", f"{seconds:.0f}", "-J", "-P", str(self.flows)]
                client.start(words + (["-R"] if self.direction == "from" else []))
            else:
                client.start([client.tool("load"), "stream", self.direction, host, PORT, str(self.flows), str(seconds)])
        outputs = [client.wait(seconds + 20) for client in users]
        moved = [self.iperf_result(output) if iperf else json.loads(output.strip().splitlines()[-1]) for output in outputs]
        total, longest = sum(m["bytes"] for m in moved), max(m["seconds"] for m in moved)
        return {"bytes": total, "seconds": longest, "rate": sum(m["bytes"] / m["seconds"] for m in moved) * 8 / 1e9}

    @staticmethod
    def iperf_result(output):
        report = json.loads(output[output.index("{"):output.rindex("}") + 1])
        if "error" in report:
            raise RuntimeError(f"iperf3: {report['error']}")
        end = report["end"]["sum_received"]
        return {"bytes": end["bytes"], "seconds": end["seconds"]}


class Datagrams(Load):
    """UDP, received packets a second."""

    unit = "Mpps"

    def __init__(self, direction, size, batch=32, mixed=False, between_guests=False):
        self.direction, self.size, self.batch, self.mixed, self.between_guests = direction, size, batch, mixed, between_guests

    def words(self, client, host, seconds):
        return ["udp", self.direction, host, PORT, str(self.size), str(self.batch), "mixed" if self.mixed else "equal", str(seconds)]

    def measure(self, scene, clients, seconds):
        results = self.results(scene, clients, seconds)
        packets = sum(r["packets"] for r in results)
        longest = max(max(r["seconds"] for r in results), 0.001)
        return {"packets": packets, "bytes": sum(r["bytes"] for r in results), "seconds": longest, "rate": packets / longest / 1e6}


class RoundTrips(Load):
    """One byte there and back, one at a time; the figure is the median."""

    unit = "µs"
    higher_is_better = False

    def __init__(self, protocol="tcp", between_guests=False):
        self.protocol, self.between_guests = protocol, between_guests

    def words(self, client, host, seconds):
        return ["rr", self.protocol, host, PORT, "1", str(seconds)]

    def measure(self, scene, clients, seconds):
        r = self.results(scene, clients, seconds)[0]
        return {"count": r["count"], "seconds": r["seconds"], "rate": r["p50"], "p50": r["p50"], "p99": r["p99"]}


class Connections(Load):
    """Connect, one byte there and back, close; one at a time."""

    unit = "1/s"

    def __init__(self, between_guests=False):
        self.between_guests = between_guests

    def words(self, client, host, seconds):
        return ["connect", host, PORT, str(seconds)]

    def measure(self, scene, clients, seconds):
        results = self.results(scene, clients, seconds)
        return {"count": sum(r["count"] for r in results), "seconds": results[0]["seconds"],
                "rate": sum(r["count"] / r["seconds"] for r in results), "p50": results[0]["p50"], "p99": results[0]["p99"]}


class Wrk(Work):
    """HTTP, a connection a request, 8 at a time."""

    unit = "1/s"

    def prepare(self, scene, clients):
        need("wrk")
        serve(self, scene, clients, "load", lambda tool: [tool("load"), "serve", PORT])

    def measure(self, scene, clients, seconds):
        url = f"http://{clients[0].host}:{PORT}/"
        text = clients[0].run(["wrk", "-t1", "-c8", f"-d{seconds:.0f}s", "-H", "Connection: close", url], seconds + 15)
        words = text.split()
        count = int(words[words.index("requests") - 1])
        return {"count": count, "seconds": seconds, "rate": float(words[words.index("Requests/sec:") + 1])}


class Sockperf(Work):
    """sockperf's ping-pong over TCP: half a round trip is what it reports; doubled here."""

    unit = "µs"
    higher_is_better = False

    def prepare(self, scene, clients):
        need("sockperf")
        serve(self, scene, clients, "sockperf", lambda _: ["sockperf", "server", "--tcp", "-i", "0.0.0.0", "-p", SOCKPERF_PORT])

    def measure(self, scene, clients, seconds):
        text = clients[0].run(["sockperf", "ping-pong", "--tcp", "-i", clients[0].host, "-p", SOCKPERF_PORT, "-t", f"{seconds:.0f}"], seconds + 15)
        found = {}
        for line in text.splitlines():
            for key in ("percentile 50.000", "percentile 99.000"):
                if key in line:
                    found[key] = 2 * float(line.split("=")[1])
            if "Total" in line and "observations" in line:
                found["count"] = int(line.split("Total")[1].split()[0])
        return {"count": found["count"], "seconds": seconds, "rate": found["percentile 50.000"], "p50": found["percentile 50.000"],
                "p99": found["percentile 99.000"]}


class Idle(Work):
    """Guests that do nothing: how often the backend wakes up."""

    unit = "wake-ups/s"
    higher_is_better = False
    QUIET = 10  # seconds until guests have stopped to look for routers and other neighbours

    def prepare(self, scene, clients):
        servers_once(scene, "quiet", lambda: time.sleep(self.QUIET))

    def measure(self, scene, clients, seconds):
        time.sleep(seconds)
        return {"seconds": seconds, "guests": len(clients)}


class Memory(Idle):
    """Private memory of the backend, after traffic of all guests."""

    unit = "MB"

    def measure(self, scene, clients, seconds):
        return {"seconds": 0.0, "guests": len(clients)}


class Forward(Work):
    """Frames between testpmd's two ports, both ways, as fast as they go round."""

    unit = "Mpps"

    def __init__(self, size):
        self.size = size

    def prepare(self, scene, clients):
        clients[0].begin(self.size)

    def measure(self, scene, clients, seconds):
        before, start = clients[0].packets()
        time.sleep(seconds)
        after, end = clients[0].packets()
        if after == before:
            raise RuntimeError("no frame came back")
        packets = after - before
        return {"packets": packets, "frame_bytes": packets * self.size, "seconds": end - start, "rate": packets / (end - start) / 1e6}


class IdleForward(Idle):
    """The front end is stopped: no frame moves."""

    QUIET = 1

    def prepare(self, scene, clients):
        clients[0].end()
        super().prepare(scene, clients)


class Frames(Work):
    """Bursts of 64-byte frames between random ports; as many in flight whatever the number of ports."""

    unit = "Mpps"

    def __init__(self, ports):
        self.ports = ports

    def prepare(self, scene, clients):
        clients[0].begin(["frames", clients[0].attachment.path, str(self.ports)])

    def measure(self, scene, clients, seconds):
        moved = clients[0].measure(seconds)
        return {**moved, "rate": moved["packets"] / moved["seconds"] / 1e6}


class FlowFrames(Frames):
    """Datagrams to the host from random source ports of one guest."""

    SPARE = 200  # descriptors for what is no flow

    def __init__(self, flows):
        self.flows = flows

    def prepare(self, scene, clients):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if self.flows + self.SPARE > limit:
            raise RuntimeError(f"each flow is a socket, and here a process has at most {limit} descriptors")
        servers_once(scene, ("load", 0), lambda: scene.spawn([TOOLS / "load", "serve", PORT], scene.host, BACK_CORE))
        path = clients[0].attachment.path
        to = [clients[0].host, PORT]
        clients[0].begin(["flows", path, str(self.flows), "10.0.2.200", *to] if path else ["sockets", str(self.flows), *to])

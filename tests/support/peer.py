# SPDX-License-Identifier: MIT
"""One end of a TCP stream, as a program that guests run. What was sent or received is printed: bytes, their hash, Gbit/s.

	peer.py send ADDRESS PORT SIZE      connect, send so many bytes, no two megabytes alike, and close our half
	peer.py receive ADDRESS PORT        connect, and receive to the end
	peer.py serve ADDRESS PORT          take one connection and receive from it to the end; says "ready" when it listens
"""

import hashlib
import os
import socket
import sys
import time

MIB = 1 << 20


def send(connection, size):
    digest, filler = hashlib.blake2b(), os.urandom(MIB - 8)
    for number in range(size // MIB):
        block = number.to_bytes(8, "big") + filler
        digest.update(block)
        connection.sendall(block)
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass
    return size, digest.hexdigest()


def receive(connection):
    digest, size = hashlib.blake2b(), 0
    while data := connection.recv(MIB):
        digest.update(data)
        size += len(data)
    return size, digest.hexdigest()


def connect(address, port):
    return socket.create_connection((address, int(port)), 20)


def listen(address, port):
    with socket.create_server((address, int(port)), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
        server.settimeout(60)
        print("ready", flush=True)
        return server.accept()[0]


def main(verb, address, port, size=0):
    with (listen if verb == "serve" else connect)(address, port) as connection:
        connection.settimeout(60)
        begin = time.monotonic()
        count, digest = send(connection, int(size)) if verb == "send" else receive(connection)
        print(count, digest, f"{8e-9 * count / (time.monotonic() - begin):.2f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

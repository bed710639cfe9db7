# SPDX-License-Identifier: MIT
"""Initrds that the bench makes: files to a cpio archive."""

import gzip
import pathlib
import stat


def archive(files, folders=()):
    """A cpio archive ("newc"). files: path in the guest to bytes; scripts and programs are executable."""
    data = bytearray()
    number = 0

    def add(name, mode, content):
        nonlocal number
        number += 1
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        data.extend(b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0")
        data.extend(b"\0" * (-len(data) % 4) + content)
        data.extend(b"\0" * (-len(data) % 4))

    made = set()
    for path in [*(f"{folder}/x" for folder in folders), *files]:
        for parent in reversed(pathlib.PurePosixPath(path).parents):
            if str(parent) not in (".", "/") and str(parent) not in made:
                made.add(str(parent))
                add(str(parent), stat.S_IFDIR | 0o755, b"")
    for path, content in files.items():
        add(path, stat.S_IFREG | 0o755, content)
    number = 0
    add("TRAILER!!!", 0, b"")
    return bytes(data)


def write(path, files, folders=()):
    path.write_bytes(gzip.compress(archive(files, folders), 1))

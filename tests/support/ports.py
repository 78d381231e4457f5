"""Ports for processes that cannot bind port 0.

A port is below the range from which the kernel takes ports for others, and a lock file keeps
it: no other test process on this machine gets the same port until the holder ends.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

FIRST, LAST = 12000, 30000
"""Below Linux' ephemeral ports (from 32768) and Mesos' default port resources (from 31000)."""

_LOCKS = Path(tempfile.gettempdir()) / "mesos-shim-test-ports"
_held: dict[int, int] = {}
"""Descriptors of the lock files by port: a lock ends with this process."""


def free_port() -> int:
    """A TCP and UDP port that nothing listens on, held for this process."""
    return free_ports(1)[0]


def free_ports(count: int, first: int = FIRST, last: int = LAST) -> list[int]:
    """Consecutive ports between ``first`` and ``last`` that nothing listens on."""
    for _ in range(1000):
        # Not the tests' seeded generator: two workers would try the same ports.
        start = random.SystemRandom().randrange(first, last - count)
        ports = list(range(start, start + count))
        if _take(ports):
            return ports
    raise AssertionError(f"no {count} free ports between {first} and {last}")


def offered_ports(count: int) -> list[int]:
    """The same, of the ports that an agent offers by default."""
    return free_ports(count, 31000, 32000)


def _take(ports: list[int]) -> bool:
    taken: dict[int, int] = {}
    for port in ports:
        descriptor = None if port in _held else _lock(port)
        if descriptor is not None:
            taken[port] = descriptor
        if descriptor is None or not _is_free(port):
            for each in taken.values():
                os.close(each)
            return False
    _held.update(taken)
    return True


def _lock(port: int) -> int | None:
    _LOCKS.mkdir(exist_ok=True, mode=0o777)
    descriptor = os.open(_LOCKS / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True

"""One at a time, among all test processes of this machine."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def machine_lock(name: str) -> Iterator[None]:
    """Wait until no other process holds the lock of this name."""
    directory = Path(tempfile.gettempdir()) / "mesos-shim-test-locks"
    directory.mkdir(exist_ok=True, mode=0o777)
    with (directory / name).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""One process at a time in a ``--work_dir``, and an id of its own for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from shim.errors import FatalError


def lock_work_dir(work_dir: Path) -> int:
    """Create the directory if need be, and lock it until the returned descriptor is closed.

    Raises FatalError naming the path and the reason.
    """
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        return _lock(work_dir / "journal.lock")
    except OSError as error:
        raise FatalError(f"--work_dir {work_dir}: {error.strerror}") from error


def work_dir_id(work_dir: Path) -> str:
    """32 hexadecimal digits that no other work_dir has, the same at each start.

    Raises FatalError naming the path and the reason.
    """
    path = work_dir / "journal.id"
    try:
        with contextlib.suppress(FileNotFoundError):
            found = path.read_text().strip()
            if len(found) == 32:
                return found
        made = os.urandom(16).hex()
        path.write_text(f"{made}\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FatalError(f"{path}: {error}") from error
    return made


def _lock(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(handle, 32).decode(errors="replace").strip()
        os.close(handle)
        raise FatalError(
            f"--work_dir {path.parent} is in use by another shim (pid {owner or 'unknown'})"
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle

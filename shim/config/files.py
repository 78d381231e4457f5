"""Files that stand for a flag's value."""

from __future__ import annotations

from pathlib import Path

from shim import limits


def read_file(path: Path) -> str:
    """A small text file. Raises ValueError with a reason that names neither flag nor contents."""
    try:
        with path.open("rb") as file:
            data = file.read(limits.FLAG_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(data) > limits.FLAG_FILE_BYTES:
        raise ValueError(f"more than {limits.FLAG_FILE_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None

"""Bytes of an output as the text of a ``/files/read`` answer.

A client takes the number of characters it got as the number of bytes it read, and asks on from
there. That is exact for ASCII. For other text a read ends between two characters, and each invalid
byte becomes one character.
"""

from __future__ import annotations

import codecs

_REPLACE_EACH = "shim-replace-each"


def _replace_each(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error(_REPLACE_EACH, _replace_each)


def decode(data: bytes, *, more: bool) -> str:
    """``more``: bytes follow, so a character cut at the end is left for the next read."""
    if more:
        data = data[: len(data) - _incomplete(data)]
    return data.decode(errors=_REPLACE_EACH)


def _incomplete(data: bytes) -> int:
    """How many bytes at the end begin a character whose rest is missing."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if length > back else 0
        if byte < 0x80:
            return 0
    return 0

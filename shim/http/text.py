"""Bytes of an output as the text of an answer.

Clients count on in characters of what they got, and ask for the byte behind. For ASCII that is
exact. For other texts a read ends between two characters, and each byte that is no text is shown
as one character.
"""

from __future__ import annotations

import codecs

_REPLACED = "shim-replace-each"


def _replace_each(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error(_REPLACED, _replace_each)


def decode(data: bytes, *, more: bool) -> str:
    """``more``: bytes follow, so a character cut at the end is left for the next read."""
    if more:
        data = data[: len(data) - _cut(data)]
    return data.decode(errors=_REPLACED)


def _cut(data: bytes) -> int:
    """How many bytes at the end are the beginning of a character whose rest is missing."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if length > back else 0
        if byte < 0x80:
            return 0
    return 0

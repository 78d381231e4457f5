"""Bytes of an output as the text of a ``/files/read`` answer.

A stock agent puts the bytes of a file into its JSON as they are. Its clients ask on from the offset
plus what they got: some count characters, others the bytes of the text in UTF-8. Both counts are
right when each invalid byte becomes one ASCII character: ``?``. A read ends between two characters.

For valid text beyond ASCII only the count of bytes is exact. A client that counts characters then
asks from too small an offset, as at a stock agent: it reads some output twice and misses none.
"""

from __future__ import annotations

import codecs

_REPLACE_EACH = "shim-replace-each"


def _replace_each(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "?" * (error.end - error.start), error.end


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
            # 0xF5 and above, 0xC0 and 0xC1 begin no character at all.
            valid = 0xC2 <= byte <= 0xF4
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if valid and length > back else 0
        if byte < 0x80:
            return 0
    return 0

"""URLs as people write them."""

from __future__ import annotations

from urllib.parse import quote

_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def as_written(text: str) -> str:
    """``text`` with nothing escaped but what no request may hold: blanks, controls, non-ASCII."""
    return quote(text, safe=_PRINTABLE)

"""Answers of ``/files/read``, of this agent and of a stock one."""

from __future__ import annotations

import json


def parse_read(answer: bytes) -> tuple[int, bytes]:
    """Offset and bytes of the file, those that are no UTF-8 included.

    Raises ValueError, KeyError, TypeError or AttributeError for anything else.
    """
    found = json.loads(answer.decode("utf-8", "surrogateescape"))
    data: bytes = found["data"].encode("utf-8", "surrogateescape")
    return found["offset"], data

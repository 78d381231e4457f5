"""JSON whose texts are Unicode: no lone surrogate, which neither protobuf nor UTF-8 can hold."""

from __future__ import annotations

import json
import re
from typing import Any

LONE_SURROGATE = "a text with a lone surrogate, which UTF-8 cannot hold"
"""Why such a value is refused."""

_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def load_json(raw: bytes | str) -> Any:
    """The value, with U+FFFD for lone surrogates and invalid UTF-8. Raises ValueError.

    Most documents need one look more than ``json.loads``.
    """
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    value = json.loads(text)
    if not (_ESCAPED_SURROGATE.search(text) and has_lone_surrogate(value)):
        return value
    plain = json.dumps(value, ensure_ascii=False)
    return json.loads(plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def has_lone_surrogate(value: Any) -> bool:
    """Whether a text or a key in this JSON value has half of a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False

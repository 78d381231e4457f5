"""The process' own log: one line a record, as text or JSON, with secrets replaced by ``***``."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

HIDDEN = "***"
_SHORTEST = 4
"""Characters. A shorter secret occurs inside too many ordinary words to be replaced."""

_PATTERNS = (
    (re.compile(r"(\w://)[^\s/@]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(?i)\b(basic|bearer)\s+[A-Za-z0-9+/=._~-]{8,}"), rf"\1 {HIDDEN}"),
    (
        re.compile(
            r"(?i)([\"']?\b(?:x-consul-token|x-registry-auth|authorization|identitytoken"
            r"|secret|password|passphrase|token)[\"']?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;}]+)"
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*KEY-----|$)", re.DOTALL),
        HIDDEN,
    ),
)


class Redactor:
    """Replaces secrets in a text by ``***``: the known ones, and what looks like a secret."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {re.escape(secret) for secret in secrets if len(secret) >= _SHORTEST}
        ordered = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(ordered)) if ordered else None

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text


class TextFormatter(logging.Formatter):
    """One line a record. Line breaks are escaped: a container's text cannot forge a line."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        message = "".join(map(_escaped, record.getMessage()))
        line = f"{_time(record)} {record.levelname} {record.name}: {message}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return self._redact(line)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with ``time``, ``level``, ``logger``, ``message`` and ``error``."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._redact(record.getMessage()),
        }
        if record.exc_info:
            entry["error"] = self._redact(self.formatException(record.exc_info))
        return json.dumps(entry)


def start_logging(
    level: str, form: str, secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """Make the root logger write to ``stream`` (default: stderr).

    ``level`` is a name as in ``--log_level``; ``form`` is ``text`` or ``json``. Libraries that log
    much at ``info`` log from ``warning`` on at most, unless ``level`` is ``debug``.
    """
    redact = Redactor(secrets)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(redact) if form == "json" else TextFormatter(redact))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    quiet = logging.NOTSET if level == "debug" else max(logging.WARNING, root.level)
    for name in ("aiohttp.access", "asyncio", "kazoo", "urllib3"):
        logging.getLogger(name).setLevel(quiet)


def _time(record: logging.LogRecord) -> str:
    created = datetime.fromtimestamp(record.created, UTC)
    return created.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()

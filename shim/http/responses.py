"""Answers of pages, before HTTP: a status, headers, and a body whole or in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shim.http.task_json_cache import dump

JSON = "application/json"

_WORDS = {
    401: "401 Unauthorized.",
    403: "403 Forbidden.",
    404: "404 Not Found.",
}


class Refusal(Exception):
    """The answer is an error: plain text, as a stock agent's."""

    def __init__(self, status: int, text: str = "", headers: Mapping[str, str] | None = None):
        super().__init__(status, text)
        self.status = status
        self.text = text or _WORDS.get(status, "")
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Response:
    body: bytes | AsyncIterator[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200

    @property
    def is_json(self) -> bool:
        return self.headers.get("Content-Type") == JSON


def json_response(value: Any) -> Response:
    return Response(dump(value), {"Content-Type": JSON})


def json_stream(pieces: AsyncIterator[bytes]) -> Response:
    return Response(pieces, {"Content-Type": JSON})


def stream_response(pieces: AsyncIterator[bytes], headers: Mapping[str, str]) -> Response:
    return Response(pieces, headers)

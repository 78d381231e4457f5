"""Answers of pages, independent of the HTTP server: status, headers, and a body or a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shim.http.protojson import dump

JSON = "application/json"
EVENTS = "text/event-stream"

_TEXTS = {
    401: "401 Unauthorized.",
    403: "403 Forbidden.",
    404: "404 Not Found.",
    501: "501 Not Implemented.",
}


class HttpError(Exception):
    """The answer is an error, in plain text as a stock agent's."""

    def __init__(self, status: int, text: str = "", headers: Mapping[str, str] | None = None):
        super().__init__(status, text)
        self.status = status
        self.text = text or _TEXTS.get(status, "")
        self.headers = dict(headers or {})


def method_not_allowed(method: str) -> HttpError:
    """The answer of a page that takes POST alone."""
    text = f"405 Method Not Allowed. Expecting one of {{ 'POST' }}, but received '{method}'."
    return HttpError(405, text, {"Allow": "POST"})


@dataclass(frozen=True, slots=True)
class Response:
    body: bytes | AsyncIterator[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200

    @property
    def is_event_stream(self) -> bool:
        """Its pieces are events, each of which is sent at once."""
        return self.headers.get("Content-Type") == EVENTS

    @property
    def is_json(self) -> bool:
        return self.headers.get("Content-Type") == JSON


def json_response(value: Any) -> Response:
    return Response(dump(value), {"Content-Type": JSON})


def json_stream(pieces: AsyncIterator[bytes]) -> Response:
    """The pieces together are one JSON document."""
    return Response(pieces, {"Content-Type": JSON})


def event_stream(events: AsyncIterator[bytes]) -> Response:
    """Server-sent events, until the reader is gone."""
    return Response(events, {"Content-Type": EVENTS, "Cache-Control": "no-store"})

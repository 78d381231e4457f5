"""Recorded transcripts of a stock master and a stock agent, request by request."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from shim.model.ids import Pid

DATA = Path(__file__).parents[1] / "data/transcripts"
NAMES = sorted(path.stem for path in DATA.glob("*.jsonl"))
_EXECUTORS = {"RegisterExecutorMessage", "ReregisterExecutorMessage"}


@dataclass(frozen=True, slots=True)
class Recorded:
    conn: str
    to: Pid
    sender: Pid
    name: str
    body: bytes = field(repr=False)
    raw: bytes = field(repr=False)
    """The bytes of the request."""

    @property
    def to_agent(self) -> bool:
        return self.to.id.startswith(("slave(", "crammd5-authenticatee("))


@cache
def messages(transcript: str) -> tuple[Recorded, ...]:
    """Every message between master and agent; messages of executors are left out."""
    return tuple(_messages(transcript))


def everything() -> list[Recorded]:
    return [message for name in NAMES for message in messages(name)]


def _messages(transcript: str) -> Iterator[Recorded]:
    for line in (DATA / f"{transcript}.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["kind"] != "request" or not entry.get("message"):
            continue
        recorded = _recorded(entry)
        if not _is_executors(recorded):
            yield recorded


def _is_executors(message: Recorded) -> bool:
    return (
        message.name.rpartition(".")[2] in _EXECUTORS
        or "executor" in message.to.id
        or "executor" in message.sender.id
    )


def _recorded(entry: dict[str, str]) -> Recorded:
    head = entry["head"]
    target = head.split(" ", 2)[1]
    process = target.split("/")[1]
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    body = base64.b64decode(entry["body_b64"])
    chunked = headers.get("Transfer-Encoding") == "chunked"
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    return Recorded(
        conn=entry["conn"],
        to=Pid.parse(f"{process}@{headers['Host']}"),
        sender=Pid.parse(headers["Libprocess-From"]),
        name=entry["message"],
        body=body,
        raw=head.encode() + framed,
    )

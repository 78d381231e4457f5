"""One libprocess message as an HTTP request, without I/O.

A message is a POST to ``/<process id>/<message name>``. The header ``Libprocess-From``, or a
``User-Agent`` of ``libprocess/``, distinguishes it from an ordinary request; both hold the sender's
pid. HTTP answers carry no data: a reply is a message of its own, on a connection of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote

from shim import limits
from shim.errors import PeerError
from shim.model.ids import Pid

_AGENT_PREFIX = "libprocess/"
_TOKEN = re.compile(r"[!-~]+")
"""Visible ASCII, which is safe in a request line and in a header."""


parse_pid = lru_cache(limits.PIDS_REMEMBERED)(Pid.parse)


def encode_request(to: Pid, sender: Pid, name: str, body: bytes) -> bytes:
    """The bytes of one message, as libprocess writes them.

    An empty body has neither Transfer-Encoding nor Content-Length; any other body is one chunk.
    Raises ValueError for an id or name that a request line cannot carry.
    """
    for token in (to.id, name, sender.id):
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"{token!r} cannot be part of a request line")
    if "/" in to.id:
        raise ValueError(f"process id {to.id!r} contains a slash")
    head = (
        f"POST /{to.id}/{name} HTTP/1.1\r\n"
        f"User-Agent: {_AGENT_PREFIX}{sender}\r\n"
        f"Libprocess-From: {sender}\r\n"
        "Connection: Keep-Alive\r\n"
        f"Host: {to.ip}:{to.port}\r\n"
    )
    if not body:
        return f"{head}\r\n".encode()
    return b"%bTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
        head.encode(),
        len(body),
        body,
    )


def is_message(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a request is a libprocess message; ``headers`` ignores case."""
    return method == "POST" and (
        "Libprocess-From" in headers or headers.get("User-Agent", "").startswith(_AGENT_PREFIX)
    )


def sender_of(headers: Mapping[str, str]) -> Pid:
    """The sender's pid. Raises PeerError for a header that is not a usable pid."""
    text = headers.get("Libprocess-From")
    if text is None:
        text = headers.get("User-Agent", "").removeprefix(_AGENT_PREFIX)
    try:
        pid = parse_pid(text)
    except ValueError as error:
        raise PeerError(str(error)) from None
    if not _TOKEN.fullmatch(pid.id) or "/" in pid.id:
        raise PeerError(f"not a process id: {pid.id!r}")
    return pid


def target_of(raw_path: str) -> tuple[str, str]:
    """``/slave%281%29/mesos.internal.X`` -> the decoded process id and the message name."""
    slash, _, rest = raw_path.partition("/")
    process, _, name = rest.partition("/")
    if slash or not process:
        raise PeerError(f"no process id in {raw_path!r}")
    return unquote(process), name

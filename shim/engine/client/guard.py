"""Requests that change something are sent only while this agent may act.

The check comes when a request has its connection, just before its first byte. An agent that was
stopped for a minute in between, and is no longer the leader, sends nothing (``agent/lease.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import aiohttp
from aiohttp.client_reqrep import ClientResponse
from aiohttp.connector import Connection

from shim.errors import Transient

MayAct = Callable[[], bool]

_READING = ("GET", "HEAD")
_WITHOUT_EFFECT = re.compile(r"(/v[0-9.]+)?/(images/|auth|exec/|containers/[^/]+/exec)")
"""Pulls, and commands inside a container: two agents may send them at once."""


def always() -> bool:
    return True


def is_order(method: str, path: str) -> bool:
    """Whether a request to a Docker endpoint changes containers, networks or volumes."""
    return method not in _READING and not _WITHOUT_EFFECT.match(path)


class NotLeading(Transient):
    """The request was not sent. The one that may act carries the order out."""


def request_class(may_act: MayAct) -> type[aiohttp.ClientRequest]:
    """The class of a session's requests."""

    class GuardedRequest(aiohttp.ClientRequest):
        async def send(self, conn: Connection) -> ClientResponse:
            if is_order(self.method, self.url.path) and not may_act():
                raise NotLeading(
                    f"{self.method} {self.url.path} is not sent: this agent is not confirmed as "
                    "the leader of its journal"
                )
            return await super().send(conn)

    return GuardedRequest

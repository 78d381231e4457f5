"""One HTTP GET in a new event loop, so that Ctrl-C always ends it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

import aiohttp

from shim.engine.client.transport import NETWORK_ERRORS, explain, read_body
from shim.errors import ConfigError

TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=20)
MAX_ANSWER = 1 << 20
MAX_EXCERPT = 200


class NoAnswer(ConfigError):
    """No usable answer came: the text names the URL and what happened."""


def get(
    url: str, *, headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | bool = True
) -> tuple[int, bytes]:
    """Status and body. ``tls`` False: the server's certificate is not verified. NoAnswer."""
    try:
        return asyncio.run(_get(url, headers or {}, tls))
    except aiohttp.ClientConnectorCertificateError as error:
        raise NoAnswer(f"{url}: {explain(error)} (--insecure skips the verification)") from error
    except NETWORK_ERRORS as error:
        raise NoAnswer(f"{url}: {explain(error)}") from error


def excerpt(body: bytes) -> str:
    """The beginning of a body, in one line, for an error text."""
    text = " ".join(body.decode(errors="replace").split())
    return f"{text[:MAX_EXCERPT]}…" if len(text) > MAX_EXCERPT else text or "no reason given"


async def _get(
    url: str, headers: Mapping[str, str], tls: ssl.SSLContext | bool
) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession(timeout=TIMEOUT) as session,
        session.get(url, headers=headers, ssl=tls) as answer,
    ):
        return answer.status, await read_body(answer, MAX_ANSWER)

"""One question over HTTP, asked outside of any loop, so that Ctrl-C always ends it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from shim.engine.client.transport import read, unreachable
from shim.errors import ConfigError, error_text

TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=20)
MAX_ANSWER = 1 << 20
MAX_WORDS = 200


class NoAnswer(ConfigError):
    """Nothing that tells anything came back: says from where, and what happened."""


def get(
    url: str, *, headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | bool = True
) -> tuple[int, bytes]:
    """Status and body. ``tls`` False: do not verify who answers. Raises NoAnswer."""
    try:
        return asyncio.run(_get(url, headers or {}, tls))
    except aiohttp.ClientConnectorCertificateError as error:
        raise NoAnswer(f"{url}: {unreachable(error)} (--insecure does without)") from error
    except aiohttp.ClientConnectorError as error:
        raise NoAnswer(f"{url}: {unreachable(error)}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NoAnswer(f"{url}: {error_text(error)}") from error
    except HttpProcessingError as error:
        raise NoAnswer(f"{url}: {error.message}") from error


def words(body: bytes) -> str:
    """The beginning of a body, in one line, for an error message."""
    text = " ".join(body.decode(errors="replace").split())
    return f"{text[:MAX_WORDS]}…" if len(text) > MAX_WORDS else text or "no reason given"


async def _get(
    url: str, headers: Mapping[str, str], tls: ssl.SSLContext | bool
) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession(timeout=TIMEOUT) as session,
        session.get(url, headers=headers, ssl=tls) as answer,
    ):
        return answer.status, await read(answer, MAX_ANSWER)

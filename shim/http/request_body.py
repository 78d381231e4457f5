"""The bodies of calls, read within bounds of size and time."""

from __future__ import annotations

import asyncio

from aiohttp import web

from shim import limits
from shim.http.responses import HttpError


async def read_body(request: web.Request, most: int) -> bytes:
    """The whole body, of at most ``most`` bytes.

    Raises HttpError: 413 for a longer one, as soon as it is known; 408 for one that does not come.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.REQUEST_BODY_TIMEOUT):
            async for part in request.content.iter_any():
                size += len(part)
                if size > most:
                    raise too_large(most)
                parts.append(part)
    except TimeoutError:
        text = f"The body did not come within {limits.REQUEST_BODY_TIMEOUT:g} s"
        raise HttpError(408, text) from None
    return b"".join(parts)


def too_large(most: int) -> HttpError:
    return HttpError(413, f"A call has at most {most} bytes")

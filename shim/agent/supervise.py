"""Restarting background work that fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shim import limits

log = logging.getLogger(__name__)


async def supervise(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run ``run()`` until it returns or is cancelled; after an exception, run it again.

    Every exception is logged under ``name``, with ``SUPERVISE_RETRY`` seconds before the next run.
    ``run`` must be able to start from any state. Services of a running agent are supervised, since
    an error in a page or in service discovery must not end an agent that has 10,000 tasks.
    """
    while True:
        try:
            return await run()
        except Exception:
            log.exception("%s failed and is restarted in %g s", name, limits.SUPERVISE_RETRY)
            await asyncio.sleep(limits.SUPERVISE_RETRY)

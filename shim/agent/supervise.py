"""Work beside the tasks that may fail without ending anything else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shim import limits

log = logging.getLogger(__name__)


async def supervise(what: str, run: Callable[[], Awaitable[None]]) -> None:
    """``run``, begun again whenever it fails, until it returns or is cancelled.

    For what can be begun again at any moment (pages, logs, service discovery, checks, looks at
    the endpoint, who leads): ten thousand tasks must not lose their agent to a page that stumbles
    over one of them, or to a lost directory.
    """
    while True:
        try:
            return await run()
        except Exception:
            log.exception("%s failed, and begins again", what)
            await asyncio.sleep(limits.UPKEEP_RETRY)

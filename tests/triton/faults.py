"""Faults that begin and end while the simulator runs, from flags of ``python -m tests.triton``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

from tests.triton.simulator import TritonSimulator

EXAMPLES = """\
--maintenance 'Back soon' --after 60 --for 600   ten minutes, announced as they begin
--revoked --after 60 --for 600                   a key taken from the account, and given back
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("faults").add_argument
    add("--maintenance", metavar="TEXT", help="503 with this text to every call but GET")
    add("--revoked", action="store_true", help="401: the key is not listed under the account")
    add("--forbidden", action="store_true", help="403: the account may not use this data center")
    add("--unapproved", action="store_true", help="403 NotAuthorized to every create")
    add("--error-rate", type=float, metavar="SHARE", help="500 to this share of all calls")
    add("--idle-seconds", type=float, help="calls are cut after so long without a byte, not 120")
    add("--after", type=float, default=0.0, metavar="SECONDS", help="when they begin (default 0)")
    passing = "when they pass; a maintenance announces it in Retry-After (default: never)"
    add("--for", type=float, dest="lasting", metavar="SECONDS", help=passing)


async def apply_faults(triton: TritonSimulator, args: argparse.Namespace) -> None:
    """Apply the faults of ``args`` at their time, and undo them at the end or when cancelled."""
    await asyncio.sleep(args.after)
    options: dict[str, Any] = {
        "maintenance": args.maintenance,
        "maintenance_until": args.lasting and time.time() + args.lasting,
        "error_rate": args.error_rate,
        "idle_seconds": args.idle_seconds,
    }
    account: dict[str, Any] = {
        "keys": [] if args.revoked else None,
        "allowed": False if args.forbidden else None,
        "approved": False if args.unapproved else None,
    }
    with _otherwise(triton.options, options), _otherwise(triton.account, account):
        await (asyncio.Event().wait() if args.lasting is None else asyncio.sleep(args.lasting))


@contextlib.contextmanager
def _otherwise(what: object, wanted: dict[str, Any]) -> Iterator[None]:
    """Attributes that are wanted otherwise for a while."""
    changes = {name: value for name, value in wanted.items() if value is not None}
    before = {name: getattr(what, name) for name in changes}
    for name, value in changes.items():
        setattr(what, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(what, name, value)

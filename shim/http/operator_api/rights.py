"""Who may touch: a call that changes a task or the agent needs a right, and no foreign web page.

The right is the operator's decision for the whole agent: passwords for everything that changes
something, or ``--unsafe_exec``. A web page of another origin never has it, whatever password the
browser may hold for the agent.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from shim.http.responses import HttpError

NEEDED = "--http_credentials with --authenticate_http_readwrite, or --unsafe_exec"


def check_right(granted: bool, call: str) -> None:
    """Raises HttpError (403)."""
    if not granted:
        raise HttpError(403, f"{call} needs {NEEDED}")


def check_origin(origin: str | None, host: str, names: Collection[str]) -> None:
    """Refuse requests that a page of another origin makes a browser send. Raises HttpError (403).

    ``host`` is the header ``Host``. An origin that equals it may still be a foreign name that was
    bound to the agent's address, so it also has to be an address or one of the agent's ``names``.
    """
    if origin is None:
        return
    try:
        parts = urlsplit(origin)
        name, where = parts.hostname or "", parts.netloc
    except ValueError:
        name = where = ""
    if not where or where.lower() != host.lower() or not (name in names or _is_address(name)):
        raise HttpError(403, f"Calls from the web origin {origin!r} are refused")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

"""What a list of containers says about those we watch. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from shim.model.container import Container, Phase


def not_running(watched: Iterable[str], listed: Iterable[Container]) -> list[str]:
    """Names of watched containers that are not, or no longer, listed as running.

    None of them has ended for certain: a list may be older than a start. Each is to be looked at
    by itself, and stays watched until that answer is there.
    """
    running = {container.name for container in listed if container.phase is Phase.RUNNING}
    return [name for name in watched if name not in running]

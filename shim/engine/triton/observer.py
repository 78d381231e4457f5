"""Who hears what a datacenter shows, whoever asked for it."""

from __future__ import annotations

from collections.abc import Sequence

from shim.model.container import Container


class EngineObserver:
    """Nobody. Whoever wants to hear overrides what it wants to hear; nothing may be raised."""

    def listed(self, containers: Sequence[Container], took: float) -> None:
        """All of ours, as a list has it that was asked for ``took`` seconds ago."""

    def seen(self, container: Container) -> None:
        """One of ours, looked at."""

    def removed(self, name: str) -> None:
        """It is gone, if it was there."""

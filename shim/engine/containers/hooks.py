"""The seams of a launch: steps around a create that other modules of this room add.

A hook is asked again after a crash or a failed attempt, so each of its methods must have, done
twice, the effect of once.
"""

from __future__ import annotations

from typing import Protocol

from shim.model.container import Ref
from shim.model.orders import Launch


class LaunchHook(Protocol):
    """One step of preparing a container."""

    def wanted(self, order: Launch) -> bool:
        """Whether :meth:`before_create` has work that takes time: FETCHING is told then."""

    async def before_create(self, order: Launch) -> None:
        """Before the image is looked at. Permanent ends the launch as a failed fetch.

        Cancelled when the launch is given up or takes too long.
        """

    async def after_create(self, order: Launch) -> None:
        """The container exists and has not been started. Permanent ends the launch.

        Cancelled as :meth:`before_create` is.
        """

    def after_launch(self, ref: Ref) -> None:
        """The launch is over, whatever came of it: nothing kept for it is asked for again."""

"""Volumes of a Triton datacenter: NFS servers, which exist where the operator turned them on.

Triton keeps no labels of volumes: this shim's are known by the beginning of their names. A create
that repeats an earlier one is answered with VolumeAlreadyExists, also while the earlier one is
still under way: only volumes that are ready are listed, and can be removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import quote

from shim import limits
from shim.engine.client import parse
from shim.engine.client.transport import Transport, parsing, time_limit
from shim.errors import NameTaken, NotFound, Permanent, Transient
from shim.model.volume import Volume, volume_prefix

DRIVER = "tritonnfs"
LONG = time_limit(limits.TRITON_CREATE_TIMEOUT)
"""Triton answers when the server of the volume is made or gone."""


class TritonVolumes:
    """The calls about volumes of :class:`~shim.engine.api.Engine`."""

    def __init__(self, http: Transport, shim_id: str) -> None:
        self._http = http
        self._prefix = volume_prefix(shim_id)

    async def create(self, volume: Volume) -> None:
        body = {
            "Name": volume.name,
            "Driver": volume.driver or DRIVER,
            "DriverOpts": dict(volume.options),
        }
        try:
            await self._http.call(
                "create_volume", "POST", "/volumes/create", json=body, timeout=LONG, long=True
            )
        except NameTaken:
            if all(each.name != volume.name for each in await self._all()):
                raise Transient(f"volume {volume.name} is still being made") from None

    async def remove(self, name: str) -> None:
        path = f"/volumes/{quote(name, safe='')}"
        with suppress(NotFound):
            await self._http.call("remove_volume", "DELETE", path, timeout=LONG, long=True)

    async def missing(self) -> str:
        """The error of a datacenter whose operator has not turned volumes on; else empty."""
        try:
            await self._http.json("list_volumes", "GET", "/volumes")
        except Permanent as error:
            return str(error)
        return ""

    async def list(self) -> Sequence[Volume]:
        try:
            volumes = await self._all()
        except Permanent:
            return []  # the operator has not turned volumes on
        return [volume for volume in volumes if volume.name.startswith(self._prefix)]

    async def _all(self) -> Sequence[Volume]:
        answer = await self._http.json("list_volumes", "GET", "/volumes")
        with parsing("list_volumes"):
            return [parse.volume(entry) for entry in answer["Volumes"] or []]

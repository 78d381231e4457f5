"""NFS volumes: off unless the operator turned them on; of fixed sizes; slow to create.

A volume has its name from the beginning of its create, and is listed and removed when it is ready.
Source: sdc-docker's ``lib/backends/sdc/volumes.js`` and ``containers.js``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from tests.triton.api_errors import ApiError, docker_error, validation_error
from tests.triton.options import Options

SIZES = (*range(10, 101, 10), *range(200, 1001, 100))
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{1,255}")


class Volumes:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._volumes: dict[str, dict[str, Any]] = {}
        self._creating: set[str] = set()
        self.sizes: dict[str, str] = {}
        """Of the volumes that were made, by name."""

    @property
    def names(self) -> set[str]:
        """Those that are there or will be: they cost money."""
        return {*self._volumes, *self._creating}

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        self._check_on()
        name = body.get("Name") or ""
        if not isinstance(body.get("Driver"), str):
            raise validation_error("volume driver must be a string")
        if body["Driver"] not in ("tritonnfs", "local"):
            supported = "Supported volume drivers are: tritonnfs"
            driver = body["Driver"]
            raise validation_error(f"{driver} is not a supported volume driver. {supported}")
        if not NAME.fullmatch(name):
            raise validation_error(f"{name} is not a valid volume name")
        if "DriverOpts" not in body:
            raise docker_error("Cannot read property 'size' of undefined")
        size = body["DriverOpts"].get("size", f"{SIZES[0]}G")
        if size not in [f"{each}G" for each in SIZES]:
            sizes = ", ".join(f"{each}G" for each in SIZES)
            message = f"Volume size not available. Available sizes: {sizes}"
            raise ApiError(409, message, "VolumeSizeNotAvailable")
        if name in self.names:
            message = f"problem creating volume: Volume with name {name} already exists"
            raise ApiError(409, message, "VolumeAlreadyExists")
        self._creating.add(name)
        self.sizes[name] = size
        await asyncio.shield(self._made(name))
        return {"Name": name}

    async def _made(self, name: str) -> None:
        """The job goes on when its client is gone."""
        await asyncio.sleep(self._options.volume_seconds)
        self._creating.discard(name)
        self._volumes[name] = {"Name": name, "Driver": "tritonnfs", "Mountpoint": f"/{name}"}

    async def mount(self, binds: Sequence[str], scope: str) -> None:
        """Checks that a create's network reaches its volumes, and automounts missing ones."""
        for name in [bind.partition(":")[0] for bind in binds]:
            if not self._options.automount:
                raise docker_error("Support for automounting NFS volumes is not enabled")
            if scope != "fabric":
                message = f"Volumes not reachable from container: {name}"
                raise ApiError(409, message, "VolumesNotReachableError")
            if name not in self.names:
                await self.create({"Name": name, "Driver": "tritonnfs", "DriverOpts": {}})

    async def remove(self, name: str, users: Sequence[str]) -> None:
        """``users``: the names of the machines that mount it."""
        self._check_on()
        if name not in self._volumes:
            raise docker_error(f"Could not find volume with name: {name}")
        if users:
            message = f"problem deleting volume: Volume with name {name} is used"
            raise ApiError(409, message, "VolumeInUse")
        await asyncio.sleep(self._options.volume_seconds)
        del self._volumes[name]

    def list(self) -> list[dict[str, Any]]:
        self._check_on()
        return [*self._volumes.values()]

    def _check_on(self) -> None:
        if not self._options.volumes:
            raise docker_error("Volumes are not supported")

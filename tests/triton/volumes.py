"""NFS volumes: off unless the operator turned them on, in a few sizes, and slow."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from tests.triton.options import Options
from tests.triton.refusals import Refusal, broken, invalid

SIZES = (*range(10, 101, 10), *range(200, 1001, 100))
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{1,255}")


class Volumes:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._volumes: dict[str, dict[str, Any]] = {}

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        self._check_on()
        name = body.get("Name") or ""
        driver = body.get("Driver", "tritonnfs")
        if not NAME.fullmatch(name) or driver not in ("tritonnfs", "local"):
            raise invalid(f"invalid volume: {body}")
        size = (body.get("DriverOpts") or {}).get("size", f"{SIZES[0]}G")
        if size not in [f"{each}G" for each in SIZES]:
            sizes = ", ".join(f"{each}G" for each in SIZES)
            message = f"Volume size not available. Available sizes: {sizes}"
            raise Refusal(409, message, "VolumeSizeNotAvailable")
        if name in self._volumes:
            raise Refusal(409, f"Volume with name {name} already exists", "VolumeAlreadyExists")
        await asyncio.sleep(self._options.volume_seconds)
        self._volumes[name] = {"Name": name, "Driver": "tritonnfs", "Mountpoint": f"/{name}"}
        return self._volumes[name]

    async def mount(self, binds: Sequence[str], scope: str) -> None:
        """Brings the volumes of a create about, on whose network they must be to be reached."""
        for name in [bind.partition(":")[0] for bind in binds]:
            if scope != "fabric":
                message = f"Volumes not reachable from container: {name}"
                raise Refusal(409, message, "VolumesNotReachableError")
            if name not in self._volumes:
                if not self._options.automount:
                    raise broken("Support for automounting NFS volumes is not enabled")
                await self.create({"Name": name})

    def list(self) -> list[dict[str, Any]]:
        self._check_on()
        return [*self._volumes.values()]

    def _check_on(self) -> None:
        if not self._options.volumes:
            raise broken("Volumes are not supported")

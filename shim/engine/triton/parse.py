"""Triton's list and inspect, which lack much of Docker's, turned into containers. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from shim.engine.client.frames import seconds
from shim.model.container import Container, Phase

EXITED = re.compile(r"Exited(?: \((-?\d+)\))?")
PROVISIONING_ID = 32
"""Digits of an id while the machine is provisioned; 64 afterwards."""
SKEW = 1.0
"""An exit this much before its own start is still the same run's."""


_BETWEEN = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()


def members(raw: bytes) -> Iterator[Any]:
    """The members of a JSON array one after the other: all at once, those of a list of 10,000
    would hold up the loop. Raises ValueError when it is none."""
    text = raw.decode().strip()
    if not (text.startswith("[") and text.endswith("]")):
        raise ValueError(f"not a JSON array: {text[:200]!r}")
    at, end = _after_comma(text, 1), len(text) - 1
    while at < end:
        member, at = _DECODER.raw_decode(text, at)
        at = _after_comma(text, at)
        yield member


def _after_comma(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def from_list(entry: Mapping[str, Any]) -> Container:
    """One entry of the list, which has no ``State``: its status text tells."""
    phase, code = _from_status(entry.get("Status") or "")
    names = entry.get("Names") or [""]
    return Container(
        # Links add names with a second slash; the container's own has one.
        name=min(names, key=lambda name: name.count("/")).removeprefix("/"),
        id=entry["Id"],
        phase=phase,
        labels=entry.get("Labels") or {},
        exit_code=code,
        created=float(entry.get("Created") or 0),
    )


def from_inspect(raw: bytes) -> Container:
    """The answer of inspect. Raises ValueError when it is not one."""
    data = json.loads(raw)
    try:
        state, settings = data["State"], data.get("NetworkSettings") or {}
        phase = _phase(data["Id"], state)
        address = settings.get("IPAddress")
        return Container(
            name=data["Name"].removeprefix("/"),
            id=data["Id"],
            phase=phase,
            labels=(data.get("Config") or {}).get("Labels") or {},
            exit_code=_exit_code(state) if phase is Phase.EXITED else None,
            error=state.get("Error") or "",
            addresses=(address,) if address else (),
            created=max(0.0, _moment(data.get("Created"))),
            inspect=b"[" + raw.strip() + b"]",
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a container's description: {error!r}") from None


def package(container: Container) -> tuple[str, int]:
    """``(name, MiB)`` of the package it runs in, which is what is paid for; ``("", 0)`` when the
    endpoint was not asked. The memory is only in an inspect."""
    name = container.labels.get("com.joyent.package", "")
    if not container.inspect:
        return name, 0
    host = json.loads(container.inspect)[0].get("HostConfig") or {}
    return name, int(host.get("Memory") or 0) // 2**20


def _from_status(status: str) -> tuple[Phase, int | None]:
    """An empty status stands for a state between two others: nothing is certain."""
    if status.startswith("Up"):
        return Phase.RUNNING, None
    if status.startswith("Created"):
        return Phase.CREATED, None
    exited = EXITED.match(status)
    if exited is None:
        return Phase.PROVISIONING, None
    return Phase.EXITED, int(exited[1]) if exited[1] else None


def _phase(identity: str, state: Mapping[str, Any]) -> Phase:
    if state["Running"]:
        return Phase.RUNNING
    if len(identity) == PROVISIONING_ID:
        return Phase.PROVISIONING
    return Phase.EXITED if _moment(state.get("StartedAt")) > 0 else Phase.CREATED


def _exit_code(state: Mapping[str, Any]) -> int | None:
    """None when it is not known, which Triton shows as 0: after its server crashed there is no
    end, or only that of a former run."""
    started, finished = _moment(state.get("StartedAt")), _moment(state.get("FinishedAt"))
    if finished <= 0 or finished < started - SKEW:
        return None
    code = state.get("ExitCode")
    return None if code is None else int(code)


def _moment(text: object) -> float:
    """Seconds since the epoch; not above zero for "never" and for what is no time."""
    return seconds(text.encode()) if isinstance(text, str) else 0.0

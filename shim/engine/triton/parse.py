"""Turns Triton's list and inspect, which lack many fields of Docker's, into containers. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from shim.engine.client.frames import seconds
from shim.engine.client.parse import inspected_ports, listed_ports
from shim.model.container import Container, Phase
from shim.model.json_text import load_json

EXITED = re.compile(r"Exited(?: \((-?\d+)\))?")
PROVISIONING_ID = 32
"""Digits of an id during provisioning; 64 afterwards."""
CLOCK_SKEW = 1.0
"""Seconds by which the end of a run may be dated before its start."""

_BETWEEN = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()


def members(raw: bytes) -> Iterator[Any]:
    """The members of a JSON array, parsed one by one. ValueError for anything else.

    The caller can pause in between: parsing a list of 10,000 at once would block the loop.
    """
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
    """From one entry of a list, whose only state is the status text."""
    phase, code = _from_status(entry.get("Status") or "")
    names = entry.get("Names") or [""]
    return Container(
        # Links add names with a second slash; the container's own has one.
        name=min(names, key=lambda name: name.count("/")).removeprefix("/"),
        id=entry["Id"],
        phase=phase,
        labels=entry.get("Labels") or {},
        exit_code=code,
        ports=listed_ports(entry),
        created=float(entry.get("Created") or 0),
    )


def from_inspect(raw: bytes) -> Container:
    """From the answer of an inspect. ValueError for anything else."""
    data = load_json(raw)
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
            ports=inspected_ports(data),
            created=max(0.0, _timestamp(data.get("Created"))),
            inspect=b"[" + raw.strip() + b"]",
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a container's description: {error!r}") from None


def package(container: Container) -> tuple[str, int]:
    """``(name, MiB)`` of the container's package. MiB is 0 unless it was inspected."""
    name = container.labels.get("com.joyent.package", "")
    if not container.inspect:
        return name, 0
    host = json.loads(container.inspect)[0].get("HostConfig") or {}
    return name, int(host.get("Memory") or 0) // 2**20


def _from_status(status: str) -> tuple[Phase, int | None]:
    """Phase and exit code. An empty status means a transition between two states."""
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
    return Phase.EXITED if _timestamp(state.get("StartedAt")) > 0 else Phase.CREATED


def _exit_code(state: Mapping[str, Any]) -> int | None:
    """None for an unknown code, which Triton shows as 0.

    The code is unknown if no end is recorded for this run: the server crashed.
    """
    started, finished = _timestamp(state.get("StartedAt")), _timestamp(state.get("FinishedAt"))
    if finished <= 0 or finished < started - CLOCK_SKEW:
        return None
    code = state.get("ExitCode")
    return None if code is None else int(code)


def _timestamp(text: object) -> float:
    """Seconds since the epoch; zero or less for "never" and for anything but a time."""
    return seconds(text.encode()) if isinstance(text, str) else 0.0

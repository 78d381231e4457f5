"""``affinity:`` environment entries and the swarm label: which server a machine may run on."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tests.triton.api_errors import ApiError, validation_error

LABEL = "com.docker.swarm.affinities"
ENTRY = re.compile(r"(?P<key>[A-Za-z0-9_.\-]+)(?P<op>==~|!=~|==|!=)(?P<value>.+)")


class HasServer(Protocol):
    name: str
    labels: dict[str, str]
    server: int


@dataclass(frozen=True, slots=True)
class Filter:
    key: str
    op: str
    value: str

    @property
    def soft(self) -> bool:
        return self.op.endswith("~")

    def matches(self, machine: HasServer) -> bool:
        text = machine.name if self.key == "container" else machine.labels.get(self.key)
        return text is not None and _matcher(self.value)(text)

    def __str__(self) -> str:
        return f"{self.key}{self.op}{self.value}"


def extract_filters(body: dict[str, Any]) -> list[Filter]:
    """The filters of a create body. Removes them from its Env and rewrites its swarm label."""
    env, labels = body.get("Env") or [], body["Labels"]
    texts = [entry.removeprefix("affinity:") for entry in env if entry.startswith("affinity:")]
    body["Env"] = [entry for entry in env if not entry.startswith("affinity:")]
    if LABEL in labels:
        try:
            texts += json.loads(labels[LABEL])
        except ValueError:
            raise validation_error(f'label "{LABEL}" is not JSON') from None
    filters = [_parse(text) for text in texts]
    hard = [each for each in filters if not each.soft]
    used = hard or filters
    if used:
        labels[LABEL] = json.dumps([str(each) for each in used])
    return used


def choose_server(filters: Sequence[Filter], machines: Sequence[HasServer], servers: int) -> int:
    """The server with the fewest machines that meets the filters. NoAllocatableServersError."""
    load = [sum(machine.server == server for machine in machines) for server in range(servers)]
    candidates = set(range(servers))
    for each in filters:
        hits = {machine.server for machine in machines if each.matches(machine)}
        wanted = candidates & hits if each.op.startswith("==") else candidates - hits
        if not wanted and not each.soft:
            message = f"No compute resources available: affinity {each} cannot be met"
            raise ApiError(
                409, f"problem creating container: {message}", "NoAllocatableServersError"
            )
        candidates = wanted or candidates
    return min(candidates, key=lambda server: (load[server], server))


def _parse(text: str) -> Filter:
    match = ENTRY.fullmatch(text)
    if match is None:
        raise validation_error(f"invalid affinity filter: {text}")
    return Filter(match["key"], match["op"], match["value"])


def _matcher(value: str) -> Callable[[str], bool]:
    if len(value) > 1 and value.startswith("/") and value.endswith("/"):
        pattern = re.compile(value[1:-1])
        return lambda text: pattern.search(text) is not None
    return lambda text: fnmatch.fnmatchcase(text, value)

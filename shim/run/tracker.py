"""The states of the tasks of one ``run``, from status updates. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shim.client.text import printable

Json = Mapping[str, Any]

TERMINAL = frozenset(
    {
        "TASK_FINISHED",
        "TASK_FAILED",
        "TASK_KILLED",
        "TASK_ERROR",
        "TASK_LOST",
        "TASK_DROPPED",
        "TASK_GONE",
        "TASK_GONE_BY_OPERATOR",
    }
)
_EXIT_STATUS = re.compile(r"exited with status (\d+)")


@dataclass(slots=True)
class TaskTracker:
    """States and exit codes by task id. ``update`` records a status."""

    task_ids: tuple[str, ...]
    states: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, Json] = field(default_factory=dict)
    """The last status of each task."""

    def update(self, status: Json) -> str:
        """Record a status. Returns the line to print."""
        task_id, state = status["task_id"]["value"], status["state"]
        if task_id in self.task_ids and self.states.get(task_id) not in TERMINAL:
            self.states[task_id] = state
            self.statuses[task_id] = status
            if state in TERMINAL:
                self.codes[task_id] = exit_code(status)
        return describe(status)

    @property
    def done(self) -> bool:
        return all(self.states.get(task_id) in TERMINAL for task_id in self.task_ids)

    @property
    def alive(self) -> list[str]:
        return [task_id for task_id in self.task_ids if self.states.get(task_id) not in TERMINAL]

    @property
    def code(self) -> int:
        """The exit code of the run: that of the first task that did not finish successfully."""
        ended = [self.codes.get(task_id, 1) for task_id in self.task_ids]
        return next((code for code in ended if code), 0)


def exit_code(status: Json) -> int:
    """The task's exit code from the status message; else 0 for TASK_FINISHED and 1 for others."""
    if status["state"] == "TASK_FINISHED":
        return 0
    match = _EXIT_STATUS.search(status.get("message", ""))
    if match and 0 < int(match[1]) < 256:
        return int(match[1])
    return 1


def addresses(status: Json) -> list[str]:
    """IP addresses of the task, from its container status."""
    infos: Iterable[Json] = status.get("container_status", {}).get("network_infos", [])
    found = [a.get("ip_address", "") for info in infos for a in info.get("ip_addresses", [])]
    return [address for address in found if address]


def describe(status: Json) -> str:
    """``web-1 TASK_RUNNING at 172.17.0.2``, with the reason and message where there are any."""
    parts = [status["task_id"]["value"], status["state"]]
    if where := addresses(status) if status["state"] == "TASK_RUNNING" else []:
        parts.append(f"at {', '.join(where)}")
    if "healthy" in status:
        parts.append("healthy" if status["healthy"] else "unhealthy")
    if reason := status.get("reason"):
        parts.append(reason)
    line = " ".join(parts)
    message = status.get("message")
    return printable(f"{line}: {message}" if message else line)

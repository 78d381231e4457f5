"""``mesos-shim status``: is the agent well, what became of one task, and ``-f`` for both."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from typing import Any

from shim.client import text
from shim.client.agent_client import AgentClient
from shim.client.progress import Progress
from shim.client.selection import Row, find_task, matches, short_state
from shim.client.task_table import moment
from shim.client.terminal import require_reader
from shim.errors import NotFound

Found = Mapping[str, Any]
"""A task in full: see ``shim.http.live.task_page``."""

INTERVAL = 1.0
"""Seconds between two questions about a task that is followed."""


def status(client: AgentClient, given: argparse.Namespace) -> int:
    if given.task is None:
        return _follow_agent(client, given) if given.follow else _agent(client, given)
    _, rows = client.snapshot()
    row = find_task(rows, given.task)
    found = client.get("/live/task", id=row["id"])
    print(text.json_line(found) if given.json else "\n".join(_task_lines(found)), flush=True)
    if given.follow:
        found = _follow_task(client, found, as_json=given.json)
    return int(_is_failed(found))


# --- the agent ----------------------------------------------------------------------------------


def _agent(client: AgentClient, given: argparse.Namespace) -> int:
    summary, _ = client.snapshot()
    print(text.json_line(summary) if given.json else "\n".join(_agent_lines(summary)))
    return int(not _is_well(summary))


def _follow_agent(client: AgentClient, given: argparse.Namespace) -> int:
    """A line for each signal that changes. Ends only with an error."""
    before: dict[str, bool] = {}
    for name, summary in client.events():
        require_reader(sys.stdout)
        if name != "agent":
            continue
        well = {signal["name"]: signal["well"] for signal in summary["signals"]}
        if well == before:
            continue
        if given.json:
            print(text.json_line(summary), flush=True)
        elif not before:
            print("\n".join(_agent_lines(summary)), flush=True)
        else:
            changed = [one for one in summary["signals"] if before.get(one["name"]) != one["well"]]
            at = moment(summary["now"])
            print("\n".join(f"{at}  {_signal_line(one)}" for one in changed), flush=True)
        before = well
    return 1


def _is_well(summary: Mapping[str, Any]) -> bool:
    return all(signal["well"] for signal in summary["signals"])


def _signal_line(signal: Mapping[str, Any]) -> str:
    mark, said = "ok  " if signal["well"] else "FAIL", text.printable(signal["text"])
    return f"{mark}  {signal['name']:12}{said}"


def _agent_lines(summary: Mapping[str, Any]) -> list[str]:
    up = text.age(summary["now"] - summary["started"])
    who = f"{summary['hostname']}, agent {summary['agent_id'] or 'without an id yet'}"
    lines = [text.printable(f"{who}, up {up}")]
    lines += map(_signal_line, summary["signals"])
    for name, amount in summary["resources"].items():
        show = text.megabytes if name != "cpus" else lambda value: f"{value:g}"
        lines.append(f"      {name:12}{show(amount['used'])} of {show(amount['total'])}")
    for framework in summary["frameworks"]:
        name = text.printable(framework["name"])
        lines.append(f"      tasks       {framework['tasks']} of {name}")
    for failure in summary["failures"]:
        line = text.printable(failure["message"] or failure["state"])
        lines.append(f"      {failure['count']} failed within the last hour: {line}")
    return lines


# --- a task -------------------------------------------------------------------------------------


def _follow_task(client: AgentClient, found: Found, *, as_json: bool) -> Found:
    """Until the task ends: its states as they come, and the progress of its launch."""
    progress = Progress(sys.stdout)
    try:
        while True:
            if not as_json:
                progress.update(found["task"], found["stage"])
                progress.draw()
            if not found["live"]:
                return found
            time.sleep(INTERVAL)
            require_reader(sys.stdout)
            before = found
            try:
                found = client.get("/live/task", id=found["id"])
            except NotFound:
                # Its history is full of later ones.
                return before
            if as_json and found != before:
                print(text.json_line(found), flush=True)
            for one in () if as_json else found["statuses"][len(before["statuses"]) :]:
                progress.print(" ".join(filter(None, _status_cells(one, found))))
    finally:
        progress.close()


def _is_failed(found: Row) -> bool:
    """Whether the task failed, or is unhealthy."""
    statuses = found["statuses"]
    unhealthy = bool(statuses) and statuses[-1]["healthy"] is False
    return matches(found, ["is:failed"]) or (unhealthy and found["live"])


def _task_lines(found: Found) -> list[str]:
    pairs = [
        ("task", found["task"]),
        ("framework", found["framework_id"]),
        ("container", found["container"]),
        ("addresses", ", ".join(found["addresses"])),
        ("stage", found["stage"]),
        ("sandbox", found["directory"]),
    ]
    lines = [f"{name:12}{text.printable(value)}" for name, value in pairs if value]
    history = [_status_cells(one, found) for one in found["statuses"]]
    return [*lines, "", *text.table(("STATE", "AT", "UPDATE", "WHY"), history)]


def _status_cells(status: Mapping[str, Any], found: Found) -> tuple[str, str, str, str]:
    reason = status["reason"].removeprefix("REASON_")
    waits = status["state"] in found["unacknowledged"]
    why = text.printable(": ".join(filter(None, (reason, status["message"]))))
    update = "unacknowledged" if waits else "acknowledged"
    return short_state(status), moment(status["timestamp"]), update, why

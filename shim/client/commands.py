"""``mesos-shim ps``, ``status``, ``logs``, ``top``, ``events``, ``exec`` and ``kill``.

Their flags are in :mod:`~shim.client.parsers`, their exit codes in :data:`EXIT_CODES`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from shim.client import selection, text
from shim.client.agent_client import TIMEOUT, AgentClient, agent_url, credentials
from shim.client.exec_session import NOT_RUN, ExecSession, signal_number
from shim.client.log_reader import LogReader
from shim.client.parsers import client_parser
from shim.client.selection import Row, find_task, matches, short_state
from shim.client.tls_tunnel import TlsTunnel
from shim.client.usage import usage_rows
from shim.config.libprocess import tls_settings
from shim.errors import ConfigError, FatalError, NotFound
from shim.wire.tls import Tls

NO_SUCH_TASK = 3
EXIT_CODES = (
    ("0", "done, well, or the task finished"),
    ("1", "failed; status: the agent is ill, or the task failed or is unhealthy"),
    ("2", "wrong usage, wrong flags, or a beginning of several ids"),
    (f"{NO_SUCH_TASK}", "no such task"),
    (f"{NOT_RUN}", "exec: the command was not run"),
    ("130", "interrupted by Ctrl-C"),
    ("N", "run and exec: the exit code of the task or command; 128 + N where signal N ended it"),
)
"""What scripts may rely on."""

Action = Callable[[AgentClient, argparse.Namespace], int]


def main(name: str, argv: Sequence[str]) -> int:
    """Returns the exit code."""
    given = client_parser(name).parse_args(argv)
    try:
        return ACTIONS[name](open_client(given), given)
    except NotFound as error:
        print(f"mesos-shim: {error}", file=sys.stderr)
        return NO_SUCH_TASK


def open_client(given: argparse.Namespace, timeout: float = TIMEOUT) -> AgentClient:
    """By ``--agent``, ``--credentials`` and ``LIBPROCESS_SSL_*``. Raises ConfigError."""
    tls = tls_settings(os.environ)
    tunnel = TlsTunnel(Tls(tls)) if tls is not None else None
    url = agent_url(given.agent, tls=tls is not None)
    password = credentials(given.credentials, os.environ.get("MESOS_AGENT_CREDENTIALS", ""))
    return AgentClient(url, password, tunnel, timeout)


def snapshot(client: AgentClient) -> tuple[Mapping[str, Any], list[Row]]:
    """The agent's summary and all its tasks, at one moment."""
    rows: list[Row] = []
    for name, data in client.events():
        if name == "tasks":
            rows += data
        elif name == "agent":
            return data, rows
    raise AssertionError("events end with an error")


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


# --- ps -----------------------------------------------------------------------------------------


def _ps(client: AgentClient, given: argparse.Namespace) -> int:
    summary, rows = snapshot(client)
    wants_ended = given.all or any(word.startswith(("is:", "state:")) for word in given.filter)
    shown = [row for row in rows if (row["live"] or wants_ended) and matches(row, given.filter)]
    shown.sort(key=lambda row: (row["framework"], row.get("pod", row["task"]), row["task"]))
    if given.json:
        _print_json(shown)
    elif given.quiet:
        print("\n".join(row["task"] for row in shown))
    else:
        head = ("TASK", "STATE", "SINCE", "CPUS", "MEMORY", "ADDRESS", "IMAGE", "FRAMEWORK")
        print("\n".join(text.table(head, [_ps_row(row, summary["now"]) for row in shown])))
    return 0


def _ps_row(row: Row, now: float) -> tuple[str, ...]:
    state = row.get("stage") or short_state(row)
    if "healthy" in row and row["live"]:
        state += ", healthy" if row["healthy"] else ", unhealthy"
    return (
        row["task"],
        state,
        text.age(now - row.get("since", row["accepted"])),
        f"{row['cpus']:g}",
        text.megabytes(row["mem"]),
        ",".join(row["addresses"]),
        row["image"],
        row["framework"],
    )


# --- status -------------------------------------------------------------------------------------


def _status(client: AgentClient, given: argparse.Namespace) -> int:
    summary, rows = snapshot(client)
    if given.task is None:
        return _agent_status(summary, given.json)
    row = find_task(rows, given.task)
    found = client.get("/live/task", id=row["id"])
    if given.json:
        _print_json(found)
    else:
        print("\n".join(_task_lines(found)))
    return 1 if selection.matches(row, ["is:failed"]) or row.get("healthy") is False else 0


def _agent_status(summary: Mapping[str, Any], as_json: bool) -> int:
    well = all(signal["well"] for signal in summary["signals"])
    if as_json:
        _print_json(summary)
        return 0 if well else 1
    up = text.age(summary["now"] - summary["started"])
    print(f"{summary['hostname']}, agent {summary['agent_id'] or 'without an id yet'}, up {up}")
    for signal in summary["signals"]:
        print(f"{'ok  ' if signal['well'] else 'FAIL'}  {signal['name']:12}{signal['text']}")
    for name, amount in summary["resources"].items():
        show = text.megabytes if name != "cpus" else lambda value: f"{value:g}"
        print(f"      {name:12}{show(amount['used'])} of {show(amount['total'])}")
    for framework in summary["frameworks"]:
        print(f"      tasks       {framework['tasks']} of {text.printable(framework['name'])}")
    for failure in summary["failures"]:
        line = text.printable(failure["message"] or failure["state"])
        print(f"      {failure['count']} failed within the last hour: {line}")
    return 0 if well else 1


def _task_lines(found: Mapping[str, Any]) -> list[str]:
    waiting = set(found["unacknowledged"])
    pairs = [
        ("task", found["task"]),
        ("framework", found["framework_id"]),
        ("container", found["container"]),
        ("addresses", ", ".join(found["addresses"])),
        ("stage", found["stage"]),
        ("sandbox", found["directory"]),
    ]
    lines = [f"{name:12}{text.printable(value)}" for name, value in pairs if value]
    history = []
    for status in found["statuses"]:
        reason = status["reason"].removeprefix("REASON_")
        update_state = "unacknowledged" if status["state"] in waiting else "acknowledged"
        why = ": ".join(filter(None, (reason, status["message"])))
        history.append((short_state(status), _moment(status["timestamp"]), update_state, why))
    return [*lines, "", *text.table(("STATE", "AT", "UPDATE", "WHY"), history)]


def _moment(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds")


# --- logs ---------------------------------------------------------------------------------------


def _logs(client: AgentClient, given: argparse.Namespace) -> int:
    if given.tail is not None and given.tail < 0:
        raise ConfigError(f"--tail={given.tail}: not a number of lines")
    both = given.stdout == given.stderr
    names = [name for name in ("stdout", "stderr") if both or getattr(given, name)]
    row = find_task(snapshot(client)[1], given.task)
    found = client.get("/live/task", id=row["id"])
    readers = [LogReader(client, f"{found['directory']}/{name}") for name in names]
    outputs = [getattr(sys, name).buffer for name in names]
    for reader, output in zip(readers, outputs, strict=True):
        reader.copy(output, tail=given.tail)
    while given.follow and found["live"]:
        time.sleep(1.0)
        found = client.get("/live/task", id=row["id"])
        for reader, output in zip(readers, outputs, strict=True):
            reader.copy(output)
    return 0


# --- top ----------------------------------------------------------------------------------------


def _top(client: AgentClient, given: argparse.Namespace) -> int:
    if given.interval <= 0 or given.count < 0:
        raise ConfigError("--interval has to be positive, and --count not negative")
    before: dict[str, Any] = {}
    shown = 0
    while True:
        samples = {one["container_id"]: one for one in client.get("/containers")}
        rows = usage_rows(samples, before)
        before = samples
        if given.json:
            _print_json(rows)
        else:
            lines = text.table(
                ("TASK", "CPU", "OF", "MEMORY", "OF", "PROCESSES"), [row.text for row in rows]
            )
            if sys.stdout.isatty():
                print("\x1b[H\x1b[2J", end="")
            print("\n".join(lines), flush=True)
        shown += 1
        if shown == given.count:
            return 0
        time.sleep(given.interval)


# --- events -------------------------------------------------------------------------------------


def _events(client: AgentClient, given: argparse.Namespace) -> int:
    """One line for each change of a task. Ends only with an error."""
    present: dict[str, tuple[Any, ...]] = {}
    begun = given.all
    for name, data in client.events():
        if name == "agent":
            begun = True
        for row in data if name == "tasks" else ():
            shown = (row["state"], row.get("stage"), row.get("healthy"))
            if present.get(row["id"]) == shown:
                continue
            present[row["id"]] = shown
            if begun and matches(row, given.filter):
                _print_json(row) if given.json else print(_event_line(row), flush=True)
    return 1


def _event_line(row: Row) -> str:
    what = row.get("stage") or row.get("message", "")
    health = "" if "healthy" not in row else "healthy" if row["healthy"] else "unhealthy"
    at = _moment(row.get("since", row["accepted"]))
    parts = (at, short_state(row), row["framework"], row["task"], health, what)
    return text.printable(" ".join(filter(None, parts)))


# --- exec and kill ------------------------------------------------------------------------------


def _exec(client: AgentClient, given: argparse.Namespace) -> int:
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not command:
        raise ConfigError("exec: give a command to run")
    wrong = [pair for pair in given.env if "=" not in pair]
    if wrong:
        raise ConfigError(f"--env={wrong[0]}: not K=V")
    try:
        row = find_task(snapshot(client)[1], given.task)
        env = dict(pair.split("=", 1) for pair in given.env)
        session = ExecSession(
            client, row["container_id"], tty=given.tty, interactive=given.interactive
        )
        return session.run(command, user=given.user, env=env)
    except (NotFound, FatalError) as error:
        print(f"mesos-shim: {error}", file=sys.stderr)
        return NOT_RUN


def _kill(client: AgentClient, given: argparse.Namespace) -> int:
    """The containers of all tasks are found before the first is signalled."""
    number = signal_number(given.signal)
    rows = snapshot(client)[1]
    found = [find_task(rows, task) for task in given.task]
    for row in found:
        if row["id"] != row["container_id"]:
            shared = f"it shares the container of executor {row['executor']}"
            raise FatalError(f"{row['task']} cannot be signalled: {shared}")
    for row in found:
        body = {"container_id": {"value": row["container_id"]}, "signal": number}
        client.call("KILL_CONTAINER", body)
        if not given.json:
            print(row["task"])
    return 0


ACTIONS: Mapping[str, Action] = {
    "ps": _ps,
    "status": _status,
    "logs": _logs,
    "top": _top,
    "events": _events,
    "exec": _exec,
    "kill": _kill,
}

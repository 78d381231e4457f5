"""``mesos-shim ps``, ``status``, ``logs``, ``top``, ``events``, ``exec`` and ``kill``.

Their flags are in :mod:`~shim.client.parsers`, their exit codes in :data:`EXIT_CODES`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shim.client import text
from shim.client.agent_client import TIMEOUT, AgentClient, agent_url, credentials
from shim.client.exec_session import NOT_RUN, ExecSession, signal_number
from shim.client.log_reader import JsonOutput, LogReader
from shim.client.parsers import client_parser
from shim.client.progress import Progress, can_move, step
from shim.client.selection import Row, find_task, matches, short_state
from shim.client.status import status
from shim.client.task_table import event_line, task_table
from shim.client.terminal import Output, output_to, require_reader
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
        print(text.printable(f"mesos-shim: {error}"), file=sys.stderr)
        return NO_SUCH_TASK


def open_client(given: argparse.Namespace, timeout: float = TIMEOUT) -> AgentClient:
    """By ``--agent``, ``--credentials`` and ``LIBPROCESS_SSL_*``. Raises ConfigError."""
    tls = tls_settings(os.environ)
    tunnel = TlsTunnel(Tls(tls)) if tls is not None else None
    url = agent_url(given.agent, tls=tls is not None)
    password = credentials(given.credentials, os.environ.get("MESOS_AGENT_CREDENTIALS", ""))
    return AgentClient(url, password, tunnel, timeout)


# --- ps -----------------------------------------------------------------------------------------


def _ps(client: AgentClient, given: argparse.Namespace) -> int:
    summary, rows = client.snapshot()
    wants_ended = given.all or any(word.startswith(("is:", "state:")) for word in given.filter)
    shown = [row for row in rows if (row["live"] or wants_ended) and matches(row, given.filter)]
    shown.sort(key=lambda row: (row["framework"], row.get("pod", row["task"]), row["task"]))
    if given.json:
        print(text.json_line(shown))
    elif given.quiet:
        print("\n".join(text.printable(row["task"]) for row in shown))
    else:
        print(task_table(shown, summary["now"]))
    return 0


# --- logs ---------------------------------------------------------------------------------------


def _logs(client: AgentClient, given: argparse.Namespace) -> int:
    both = given.stdout == given.stderr
    names = [name for name in ("stdout", "stderr") if both or getattr(given, name)]
    row = find_task(client.snapshot()[1], given.task)
    found = client.get("/live/task", id=row["id"])
    readers = [LogReader(client, f"{found['directory']}/{name}") for name in names]
    outputs: list[Output] = [
        JsonOutput(name) if given.json else output_to(getattr(sys, name)) for name in names
    ]
    copies = list(zip(readers, outputs, strict=True))
    try:
        for reader, output in copies:
            reader.copy(output, tail=given.tail)
        while given.follow and found["live"]:
            time.sleep(1.0)
            require_reader(sys.stdout)
            found = client.get("/live/task", id=row["id"])
            for reader, output in copies:
                reader.copy(output)
    finally:
        for output in outputs:
            output.close()
    return 0


# --- top ----------------------------------------------------------------------------------------


def _top(client: AgentClient, given: argparse.Namespace) -> int:
    before: dict[str, Any] = {}
    shown = 0
    while True:
        samples = {one["container_id"]: one for one in client.page("/containers")}
        rows = usage_rows(samples, before)
        before = samples
        if given.json:
            print(text.json_line([row._asdict() for row in rows]), flush=True)
        else:
            lines = text.table(
                ("TASK", "CPU", "OF", "MEMORY", "OF", "PROCESSES"), [row.text for row in rows]
            )
            if can_move(sys.stdout):
                print("\x1b[H\x1b[2J", end="")
                lines = _fitting(lines)
            print("\n".join(lines), flush=True)
        shown += 1
        if shown == given.count:
            return 0
        time.sleep(given.interval)


def _fitting(lines: list[str]) -> list[str]:
    """The head and the first rows, as many as a terminal shows without scrolling."""
    size = shutil.get_terminal_size()
    room = max(2, size.lines - 1)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"and {len(lines) - room + 1} more tasks"]
    return [text.shortened(line, size.columns) for line in lines]


# --- events -------------------------------------------------------------------------------------


def _events(client: AgentClient, given: argparse.Namespace) -> int:
    """One line for each change of a task; bars for launches under way. Ends only with an error."""
    progress = Progress(sys.stdout)
    present: dict[str, tuple[Any, ...]] = {}
    begun = given.all
    try:
        for name, data in client.events():
            if name == "agent":
                begun = True
            for row in data if name == "tasks" else ():
                stage = row.get("stage", "")
                shown = (row["state"], stage if given.json else step(stage), row.get("healthy"))
                changed, present[row["id"]] = present.get(row["id"]) != shown, shown
                if not begun or not matches(row, given.filter):
                    continue
                if not given.json and progress.has_bars:
                    progress.update(row["task"], stage)
                if changed:
                    progress.print(text.json_line(row) if given.json else event_line(row))
            progress.draw()
            require_reader(sys.stdout)
    finally:
        progress.close()
    return 1


# --- exec and kill ------------------------------------------------------------------------------


def _exec(client: AgentClient, given: argparse.Namespace) -> int:
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not command:
        raise ConfigError("exec: give a command to run")
    wrong = [pair for pair in given.env if "=" not in pair]
    if wrong:
        raise ConfigError(f"--env={wrong[0]}: not K=V")
    try:
        row = find_task(client.snapshot()[1], given.task)
        _require_live(row)
        env = dict(pair.split("=", 1) for pair in given.env)
        session = ExecSession(
            client, row["container_id"], tty=given.tty, interactive=given.interactive
        )
        return session.run(command, user=given.user, env=env)
    except (NotFound, FatalError) as error:
        print(text.printable(f"mesos-shim: {error}"), file=sys.stderr)
        return NOT_RUN


def _require_live(row: Row) -> None:
    if not row["live"]:
        raise NotFound(f"{row['task']} has ended: {short_state(row)}")


def _kill(client: AgentClient, given: argparse.Namespace) -> int:
    """The containers of all tasks are found before the first is signalled."""
    number = signal_number(given.signal)
    rows = client.snapshot()[1]
    found = [find_task(rows, task) for task in given.task]
    for row in found:
        _require_live(row)
        if row["id"] != row["container_id"]:
            shared = f"it shares the container of executor {row['executor']}"
            raise FatalError(f"{row['task']} cannot be signalled: {shared}")
    for row in found:
        body = {"container_id": {"value": row["container_id"]}, "signal": number}
        client.call("KILL_CONTAINER", body)
        sent = {"task": row["task"], "id": row["id"], "signal": number}
        print(text.json_line(sent) if given.json else text.printable(row["task"]))
    return 0


ACTIONS: Mapping[str, Action] = {
    "ps": _ps,
    "status": status,
    "logs": _logs,
    "top": _top,
    "events": _events,
    "exec": _exec,
    "kill": _kill,
}

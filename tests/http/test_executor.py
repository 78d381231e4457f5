from __future__ import annotations

import pytest

from shim.http.executor import executor_name
from shim.protos.mesos_pb2 import CommandInfo, TaskInfo

PREFIX = "Command Executor (Task: t.1) (Command: "


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (CommandInfo(value="sleep 60"), "sh -c 'sleep 60'"),
        (CommandInfo(value="x" * 15), f"sh -c '{'x' * 15}'"),
        (CommandInfo(value="x" * 16), f"sh -c '{'x' * 12}...'"),
        (CommandInfo(), "NO COMMAND"),
        (CommandInfo(shell=False), "NO EXECUTABLE"),
        (CommandInfo(shell=False, value="/bin/a"), "[/bin/a, ]"),
        (CommandInfo(shell=False, value="a", arguments=["b", "c"]), "[a, b, c]"),
        (CommandInfo(shell=False, value="/bin/a", arguments=["b" * 20]), "[/bin/a, bbbb...]"),
    ],
)
def test_executor_names_have_the_stock_agents_format(command: CommandInfo, shown: str) -> None:
    info = TaskInfo(command=command)
    info.task_id.value = "t.1"
    assert executor_name(info) == f"{PREFIX}{shown})"

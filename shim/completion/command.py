"""The command line of ``mesos-shim completion``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from shim.client.commands import open_client
from shim.completion.bash import bash_completion
from shim.completion.fish import fish_completion
from shim.completion.manual import manual
from shim.completion.syntax import CommandSyntax, command_syntaxes, completion_parser
from shim.completion.zsh import zsh_completion
from shim.errors import ShimError

TIMEOUT = 2.0
"""Longest wait for the ids of tasks, in seconds: a user waits at the keyboard."""

_SAFE = re.compile(r"[\w.:@%+,/][\w.:@%+,/-]*", re.ASCII)
"""An id that no shell takes for more than a word, and no command for an option."""

WRITERS: Mapping[str, Callable[[Sequence[CommandSyntax]], str]] = {
    "bash": bash_completion,
    "zsh": zsh_completion,
    "fish": fish_completion,
    "man": manual,
}


def main(argv: Sequence[str], helps: Mapping[str, str]) -> int:
    """``helps``: the name and the description of every command. Returns the exit code."""
    given = completion_parser().parse_args(argv)
    if given.what == "tasks":
        return _print_task_ids(given)
    print(WRITERS[given.what](command_syntaxes(helps)), end="")
    return 0


def _print_task_ids(given: argparse.Namespace) -> int:
    """Without a word on stderr: the shell is in the middle of a line."""
    try:
        for task_id in task_ids(given):
            print(task_id)
    except ShimError:
        return 1
    return 0


def task_ids(given: argparse.Namespace) -> Iterator[str]:
    """Of tasks that live, or of all. Those that a shell would not take as one word are left out."""
    _, rows = open_client(given, TIMEOUT).snapshot()
    found = {str(row["task"]) for row in rows if row["live"] or given.all}
    return (task_id for task_id in sorted(found) if _SAFE.fullmatch(task_id))

"""The flags of the commands for a running agent, which ``client.commands`` carries out; and the
parser of every command that is no table of flags."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from typing import NoReturn

from shim.errors import ConfigError

AddArguments = Callable[[argparse.ArgumentParser], None]

LONGEST_INTERVAL = 1e6
"""Seconds."""


class CommandParser(argparse.ArgumentParser):
    """Wrong usage is a ConfigError of one line, as that of the agent's flags."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} ({self.prog} --help says what there is)")


def client_parser(name: str) -> argparse.ArgumentParser:
    """Of ``ps``, ``status``, ... ``name`` is a key of :data:`COMMANDS`."""
    add_arguments, text = COMMANDS[name]
    parser = CommandParser(prog=f"mesos-shim {name}", description=text)
    add_agent(parser)
    if name != "exec":
        parser.add_argument("--json", action="store_true", help="for programs")
    add_arguments(parser)
    return parser


def add_agent(parser: argparse.ArgumentParser) -> None:
    """Which agent, and the password for it."""
    parser.add_argument(
        "--agent",
        default=os.environ.get("MESOS_AGENT") or "localhost",
        metavar="HOST[:PORT]",
        help="the agent (MESOS_AGENT, else localhost:5051)",
    )
    parser.add_argument(
        "--credentials",
        metavar="FILE",
        help="a file with user:password (MESOS_AGENT_CREDENTIALS: file, or user:password)",
    )


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def _interval(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= LONGEST_INTERVAL:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return value


def _ps(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="ended tasks as well")
    parser.add_argument("-q", "--quiet", action="store_true", help="task ids only")
    parser.add_argument(
        "filter", nargs="*", help="words, or state:running framework:marathon image:nginx is:failed"
    )


def _status(parser: argparse.ArgumentParser) -> None:
    follow = "until the task ends; without a task: what changes, until it is interrupted"
    parser.add_argument("-f", "--follow", action="store_true", help=follow)
    parser.add_argument("task", nargs="?", help="the beginning of a task's id; without: the agent")


def _logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="until the task ends")
    parser.add_argument("--tail", type=_number, metavar="N", help="only the last N lines")
    parser.add_argument("--stdout", action="store_true", help="only stdout")
    parser.add_argument("--stderr", action="store_true", help="only stderr")
    parser.add_argument("task", help="the beginning of a task's id")


def _top(parser: argparse.ArgumentParser) -> None:
    interval = "between two tables (5)"
    parser.add_argument("--interval", type=_interval, default=5.0, metavar="SECONDS", help=interval)
    number = "tables; 0: without end"
    parser.add_argument("--count", type=_number, default=0, metavar="N", help=number)


def _events(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="begin with the present state of each")
    parser.add_argument("filter", nargs="*", help="as of ps")


def _exec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-i", "--interactive", action="store_true", help="pass stdin on")
    parser.add_argument("-t", "--tty", action="store_true", help="give it a terminal")
    parser.add_argument("--user", default="", help="instead of the container's own")
    variable = "environment variable; may be given again"
    parser.add_argument("--env", action="append", default=[], metavar="K=V", help=variable)
    parser.add_argument("task", help="the beginning of a task's id")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the program and its arguments")


def _kill(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-s", "--signal", default="KILL", help="a name or a number (KILL)")
    parser.add_argument("task", nargs="+", help="the beginning of a task's id")


COMMANDS: Mapping[str, tuple[AddArguments, str]] = {
    "ps": (_ps, "list the tasks of an agent"),
    "status": (_status, "is the agent well, or what became of one task"),
    "logs": (_logs, "print the output of a task"),
    "top": (_top, "show what running tasks use"),
    "events": (_events, "print each change of a task"),
    "exec": (_exec, "run a command in the container of a task"),
    "kill": (_kill, "signal the containers of tasks"),
}

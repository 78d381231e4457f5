"""``mesos-shim``: calls a command and turns its errors into an exit code.

Exit codes: 0 success, 1 failure, 2 wrong usage; one line on stderr gives the reason. A command's
package is imported only when the command is called.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from shim import __version__
from shim.errors import ConfigError, ShimError

Command = Callable[[Sequence[str]], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code of the process."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal does not have is no reason to fail, nor is half of a pair.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run_command([_utf8(word) for word in (sys.argv[1:] if argv is None else argv)])
        finally:
            # Also after an exit of argparse, which has printed its help, or what is wrong.
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return 0
    except KeyboardInterrupt:
        return 130


def _run_command(arguments: Sequence[str]) -> int:
    try:
        return _call(arguments)
    except ShimError as error:
        return _report(error)
    except ExceptionGroup as group:
        return _report(_first_error(group))


def _call(arguments: Sequence[str]) -> int:
    if len(arguments) > 1 and arguments[0] == "help":
        arguments = [arguments[1], "--help"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] in ("--version", "-V", "version"):
        print(f"mesos-shim {__version__}")
        return 0
    # The agent's own log replaces it. The records of libraries are no lines of other commands.
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        return _print_error(f"no command {name!r}: {', '.join(COMMANDS)}", 2)
    return COMMANDS[name][0](rest)


def _utf8(word: str) -> str:
    """Of the command line. Python has half characters for bytes that are none in its locale."""
    if word == word.encode(errors="ignore").decode():
        return word
    return os.fsencode(word).decode(errors="surrogateescape")


def _drop_output() -> None:
    """The reader of a pipe has seen enough: Python must not complain at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())


def usage() -> str:
    rows = [f"  {name:12}{text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: mesos-shim COMMAND FLAGS",
            "",
            *rows,
            "",
            "mesos-shim COMMAND --help lists the flags.",
        ]
    )


def _report(error: ShimError) -> int:
    return _print_error(str(error), 2 if isinstance(error, ConfigError) else 1)


def _first_error(group: ExceptionGroup[Exception]) -> ShimError:
    """The first ShimError of the group. Without one the group is a bug and is raised."""
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            return _first_error(error)
        if isinstance(error, ShimError):
            return error
    raise group


def _print_error(reason: str, code: int) -> int:
    from shim.client.text import printable

    line = printable(" ".join(reason.split()))
    print(f"mesos-shim: {line}", file=sys.stderr)
    return code


def _agent(argv: Sequence[str]) -> int:
    import asyncio

    from shim import config
    from shim.config.show import help_text
    from shim.telemetry import log

    if _wants_help(argv):
        print(help_text())
        return 0
    loaded = config.load(argv)
    log.start_logging(loaded.log_level, loaded.log_format, loaded.secrets)
    from shim.agent.main import run_agent

    return asyncio.run(run_agent(loaded))


def _check(argv: Sequence[str]) -> int:
    from shim import check

    return check.main(argv)


def _dev(argv: Sequence[str]) -> int:
    from shim.dev import command

    return command.main(argv)


def _run(argv: Sequence[str]) -> int:
    from shim import run

    return _with_parser("run", "run one task (or N) and follow it", run, argv)


def _certs(argv: Sequence[str]) -> int:
    from shim.certs import command

    return _with_parser("certs", "a Triton TLS certificate from an SSH key", command, argv)


def _completion(argv: Sequence[str]) -> int:
    from shim.completion import command

    return command.main(argv, {name: text for name, (_, text) in COMMANDS.items()})


def _client(name: str) -> Command:
    def command(argv: Sequence[str]) -> int:
        from shim.client import commands

        return commands.main(name, argv)

    return command


def _with_parser(name: str, text: str, module: ModuleType, argv: Sequence[str]) -> int:
    """Call a module that has ``add_arguments(parser)`` and ``main(arguments)``."""
    from shim.client.parsers import CommandParser

    parser = CommandParser(prog=f"mesos-shim {name}", description=text)
    module.add_arguments(parser)
    code: int = module.main(parser.parse_args(argv))
    return code


def _wants_help(argv: Sequence[str]) -> bool:
    return "--help" in argv or "-h" in argv


COMMANDS: dict[str, tuple[Command, str]] = {
    "agent": (_agent, "the agent: one datacenter behind one Docker endpoint"),
    "dev": (_dev, "embedded master and agent on the local engine"),
    "run": (_run, "run a task through any master and follow it"),
    "certs": (_certs, "make a Triton TLS certificate from an SSH key"),
    "check": (_check, "check master, endpoint, Consul and addresses, and say what to correct"),
    "ps": (_client("ps"), "list the tasks of an agent"),
    "status": (_client("status"), "is the agent well, or what became of one task"),
    "logs": (_client("logs"), "print the output of a task"),
    "top": (_client("top"), "show what running tasks use"),
    "events": (_client("events"), "print each change of a task"),
    "exec": (_client("exec"), "run a command in the container of a task"),
    "kill": (_client("kill"), "signal the containers of tasks"),
    "completion": (_completion, "print the completion of a shell, or the manual page"),
}

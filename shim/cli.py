"""``mesos-shim``: finds the command, hands over the arguments, turns errors into exit codes.

0 done, 1 failed for good, 2 used in a wrong way; one line on stderr says why. Each command's own
room is loaded only when that command is called.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from shim import __version__
from shim.errors import ConfigError, ShimError

Command = Callable[[Sequence[str]], int]


def main(argv: Sequence[str] | None = None) -> int:
    """The process' exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] in ("--version", "-V", "version"):
        print(f"mesos-shim {__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        return _complain(f"no command {name!r}: {', '.join(COMMANDS)}", 2)
    try:
        return COMMANDS[name][0](rest)
    except ShimError as error:
        return _failed(error)
    except ExceptionGroup as group:
        return _failed(_known(group))
    except KeyboardInterrupt:
        return 130


def usage() -> str:
    rows = [f"  {name:8}{text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        ["usage: mesos-shim COMMAND FLAGS", "", *rows, "", "mesos-shim COMMAND --help says more."]
    )


def _failed(error: ShimError) -> int:
    return _complain(str(error), 2 if isinstance(error, ConfigError) else 1)


def _known(group: ExceptionGroup[Exception]) -> ShimError:
    """The first reason that is fit for a user; any other failure is a bug and shown as one."""
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            return _known(error)
        if isinstance(error, ShimError):
            return error
    raise group


def _complain(reason: str, code: int) -> int:
    line = " ".join(reason.split())
    print(f"mesos-shim: {line}", file=sys.stderr)
    return code


def _agent(argv: Sequence[str]) -> int:
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


def _with_parser(name: str, text: str, room: ModuleType, argv: Sequence[str]) -> int:
    """For rooms that bring ``add_arguments(parser)`` and ``main(arguments)``."""
    parser = argparse.ArgumentParser(prog=f"mesos-shim {name}", description=text)
    room.add_arguments(parser)
    code: int = room.main(parser.parse_args(argv))
    return code


def _wants_help(argv: Sequence[str]) -> bool:
    return "--help" in argv or "-h" in argv


COMMANDS: dict[str, tuple[Command, str]] = {
    "agent": (_agent, "the agent: one datacenter behind one Docker endpoint"),
    "dev": (_dev, "embedded master and agent on the local engine"),
    "run": (_run, "run a task through any master and follow it"),
    "certs": (_certs, "make a Triton TLS certificate from an SSH key"),
    "check": (_check, "try master, endpoint, Consul and addresses, and say what to mend"),
}

"""The command line of ``mesos-shim run``."""

from __future__ import annotations

import argparse
import getpass
import os
import re
import subprocess
import sys
from pathlib import Path

from shim.config.libprocess import tls_settings
from shim.errors import ConfigError, FatalError
from shim.run import runner
from shim.run.driver import framework_info
from shim.run.logs import TaskLogs
from shim.run.task_spec import PortMapping, TaskSpec

READY_FD = "MESOS_RUN_READY_FD"
"""The environment variable of a background process: the file descriptor on which it reports that
its tasks run."""

READY = b"ready\n"


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _master(text: str) -> str:
    if not re.fullmatch(r"zk://\S+/\S+|[^\s:/]+(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither host:port nor zk://host:port/path")
    return text


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of instances")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--master", required=True, type=_master, help="host:port or zk://host:port,.../path")
    add("--image", required=True, help="Docker image")
    add("--name", default="run", help="name of the task (run)")
    add("--command", help="shell command; without it the image's own runs")
    add("--cpus", type=_positive, default=0.1, help="cpus of the task (0.1)")
    add("--mem", type=_positive, default=64.0, metavar="MB", help="memory of the task (64)")
    variable = "environment variable; may be given again"
    add("--env", type=_pair, action="append", default=[], metavar="K=V", help=variable)
    label = "label of the task (Consul, placement on Triton) and of its container"
    add("--label", type=_pair, action="append", default=[], metavar="K=V", help=label)
    parameter = "a long flag of docker run, without its dashes; may be given again, also for one K"
    add("--parameter", type=_pair, action="append", default=[], metavar="K=V", help=parameter)
    add("--instances", type=_count, default=1, metavar="N", help="number of tasks (1)")
    add("--network", default="bridge", help="bridge, host, none or a network's name (bridge)")
    port = (
        "publish a port on the engine's host; on Triton, where containers have addresses of "
        "their own, it opens the port to everybody on a public one, which costs money"
    )
    add(
        "--port",
        type=PortMapping.parse,
        action="append",
        default=[],
        metavar="HOST:CONTAINER[/udp]",
        help=port,
    )
    add("--user", help="user in the container")
    add("--grace", type=_positive, metavar="SECONDS", help="between polite and forced stop")
    add("--force-pull", action="store_true", help="pull the image even if the engine has it")
    add("--role", default="*", help="framework role (*)")
    add("--principal", help="framework principal; its secret is in MESOS_RUN_SECRET")
    detach = "go on in the background once all tasks run, writing to LOG; print the pid"
    add("--detach", metavar="LOG", type=Path, help=detach)
    add("--follow", action="store_true", help="print the tasks' stdout and stderr")
    add("arguments", nargs="*", help="arguments, after --")


def _require_utf8(arguments: argparse.Namespace) -> None:
    """Mesos' messages hold text, and a master ends a framework whose JSON is none."""
    for name, value in vars(arguments).items():
        for given in value if isinstance(value, list) else [value]:
            pair = given if isinstance(given, tuple) else (given,)
            if not all(_is_utf8(part) for part in pair):
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{option} is not UTF-8: {pair[0]!r}")  # a value may be secret


def _is_utf8(value: object) -> bool:
    """Whether a text of the command line was valid; its other bytes became surrogates."""
    return not isinstance(value, str) or value == value.encode(errors="ignore").decode()


def main(arguments: argparse.Namespace) -> int:
    """Run the tasks. Returns the exit code of the task."""
    _require_utf8(arguments)
    if arguments.detach is not None and READY_FD not in os.environ:
        return _detach(arguments.detach)
    if arguments.command is not None and arguments.arguments:
        raise ConfigError("--command is a shell command: it takes no further arguments")
    if arguments.user is not None and any(key in ("user", "u") for key, _ in arguments.parameter):
        raise ConfigError("--user and --parameter user=... set the same option: give one of them")
    if arguments.port and arguments.network in ("host", "none"):
        raise ConfigError(f"--port needs a network of its own, not --network={arguments.network}")
    spec = task_spec(arguments)
    info = framework_info(
        runner.framework_name(spec),
        getpass.getuser(),
        arguments.role,
        arguments.principal,
    )
    return runner.run(
        spec,
        arguments.instances,
        arguments.master,
        info,
        os.environ.get("MESOS_RUN_SECRET"),
        _report_ready,
        TaskLogs() if arguments.follow else None,
        tls_settings(os.environ),
    )


def task_spec(arguments: argparse.Namespace) -> TaskSpec:
    """The task that the arguments describe."""
    return TaskSpec(
        image=arguments.image,
        name=arguments.name,
        command=arguments.command,
        arguments=tuple(arguments.arguments),
        cpus=arguments.cpus,
        mem=arguments.mem,
        env=arguments.env,
        labels=arguments.label,
        network=arguments.network,
        ports=tuple(arguments.port),
        user=arguments.user,
        grace=arguments.grace,
        force_pull=arguments.force_pull,
        parameters=arguments.parameter,
    )


def _report_ready() -> None:
    fd = os.environ.pop(READY_FD, None)
    if fd is not None:
        os.write(int(fd), READY)
        os.close(int(fd))


def _detach(log: Path) -> int:
    """Start this command again in a session of its own, and wait until its tasks run."""
    try:
        output = log.open("ab")
    except OSError as error:
        raise ConfigError(f"--detach={log}: {error.strerror}") from None
    read, write = os.pipe()
    with output, os.fdopen(read, "rb") as pipe:
        child = subprocess.Popen(
            [sys.executable, "-m", "shim", *sys.argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[write],
            env={**os.environ, READY_FD: str(write)},
            start_new_session=True,
        )
        os.close(write)
        ready = pipe.readline() == READY
    if not ready:
        raise FatalError(f"the tasks do not run (exit code {child.wait()}): see {log}")
    print(child.pid)
    return 0

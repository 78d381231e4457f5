"""The command ``mesos-shim dev``: an embedded master and the agent in one process.

Tasks and the agent id survive a restart, as with separate processes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from shim.agent.main import run_agent
from shim.client.parsers import CommandParser
from shim.config import Config, load
from shim.config.resources import domain_at
from shim.config.values import ipv4, port
from shim.dev.master.dev_master import DevMaster
from shim.errors import ConfigError, FatalError
from shim.telemetry import log
from shim.wire.tls import Tls

T = TypeVar("T")

OWN_FLAGS = ("ip", "port", "agent_port")
"""All others are the agent's."""


def main(argv: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT. Returns the agent's exit code."""
    own, passed = dev_parser().parse_known_args(argv)
    for word in passed:
        if word.partition("=")[0] == "--master":
            raise ConfigError(f"{word}: mesos-shim dev starts its own master; use mesos-shim agent")
    config = load(_agent_flags(own, passed))
    log.start_logging(config.log_level, config.log_format, config.secrets)
    return asyncio.run(_run(own, config))


def dev_parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="mesos-shim dev",
        allow_abbrev=False,
        description="An embedded master and the agent on the local engine. Never for production.",
        epilog="Every flag of mesos-shim agent but --master is passed on to the agent.",
    )
    add = parser.add_argument
    add("--ip", type=_named(_address), default="127.0.0.1", help="address of master and agent")
    add("--port", type=_named(port), default=5050, help="the master's port (5050)")
    add("--agent_port", type=_named(port), default=5051, help="the agent's port (5051)")
    return parser


def _address(text: str) -> str:
    if ipv4(text) == "0.0.0.0":
        raise ValueError("not an address of this machine")
    return text


def _named(parse: Callable[[str], T]) -> Callable[[str], T]:
    """argparse tells the text of this error alone."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is {error}") from None

    return parsed


def _agent_flags(own: argparse.Namespace, passed: Sequence[str]) -> list[str]:
    flags = [f"--master={own.ip}:{own.port}", f"--ip={own.ip}", f"--port={own.agent_port}"]
    if not _is_given("work_dir", passed):
        flags.append(f"--work_dir={_state_directory()}")
    return [*flags, *passed]


def _is_given(name: str, argv: Sequence[str]) -> bool:
    return f"MESOS_{name.upper()}" in os.environ or any(
        word.partition("=")[0] == f"--{name}" for word in argv
    )


def _state_directory() -> Path:
    """A directory of the user, so that ``dev`` runs without root."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "mesos-shim" / "dev"


async def _run(own: argparse.Namespace, config: Config) -> int:
    credential = config.credential
    master = DevMaster(
        own.ip,
        own.port,
        credentials={credential.principal: credential.secret} if credential else None,
        registry_path=config.work_dir / "master.json",
        hostname=own.ip,
        require_peer_ip_match=config.require_peer_address_ip_match,
        tls=None if config.tls is None else Tls(config.tls),
        domain=domain_at(config.domain, "dev"),
    )
    try:
        config.work_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FatalError(f"--work_dir={config.work_dir}: {error.strerror}") from None
    try:
        await master.start()
    except OSError as error:
        where = f"--ip={own.ip} --port={own.port}"
        raise FatalError(f"{where}: cannot listen there: {error.strerror}") from None
    try:
        return await run_agent(config)
    finally:
        await master.stop()

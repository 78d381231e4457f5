"""The manual page, section 1, in the language of man(7)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from shim import __version__
from shim.client.commands import EXIT_CODES
from shim.completion.syntax import CommandOption, CommandSyntax, flag_groups
from shim.completion.text import plain
from shim.config.flags import PREFIX

_DESCRIPTION = (
    "One process that is the Mesos agent of a whole datacenter: it carries out the launches and "
    "kills of an unmodified Mesos master through a Docker remote API, a local Docker Engine or "
    "Triton."
)
_ENVIRONMENT = (
    (f"{PREFIX}NAME", "any flag of the agent, as MESOS_WORK_DIR for --work_dir"),
    ("MESOS_AGENT", "the agent of the commands for a running agent: HOST[:PORT]"),
    ("MESOS_AGENT_CREDENTIALS", "user:password for it, or a file that holds them"),
    ("MESOS_RUN_SECRET", "the secret of run --principal"),
    ("DOCKER_HOST, DOCKER_CERT_PATH, DOCKER_TLS_VERIFY", "the endpoint, as of docker"),
    ("CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN, CONSUL_CACERT", "Consul, as of its own clients"),
    ("LIBPROCESS_SSL_ENABLED, LIBPROCESS_SSL_*", "TLS, as of Mesos"),
)
_FILES = (
    ("/var/lib/mesos-shim", "--work_dir: the journal and the kept logs of tasks"),
    ("/etc/mesos-shim/agent.env", "the flags of the systemd unit, as variables"),
)
_SIGNALS = (
    "SIGTERM and SIGINT stop the agent and leave its tasks running. SIGUSR1 kills the tasks with "
    "their grace periods, waits for their ends to be acknowledged, and unregisters."
)


def manual(commands: Sequence[CommandSyntax]) -> str:
    """The whole page."""
    return "\n".join(_lines(commands)) + "\n"


def _lines(commands: Sequence[CommandSyntax]) -> Iterator[str]:
    yield f'.TH MESOS-SHIM 1 "" "mesos-shim {__version__}" "User Commands"'
    yield from ("." + "SH NAME", r"mesos-shim \- one Mesos agent in front of a whole datacenter")
    yield from (".SH SYNOPSIS", r".B mesos-shim", r".I COMMAND", "[FLAGS]")
    yield from (".SH DESCRIPTION", _text(_DESCRIPTION))
    yield ".SH COMMANDS"
    for command in commands:
        yield from _command(command)
    yield ".SH FLAGS OF THE AGENT"
    yield _text(
        f"Every flag may come from the environment too: --work_dir as {PREFIX}WORK_DIR. "
        "file:///path as a value stands for what that file holds."
    )
    for group in flag_groups():
        yield f'.SS "{_text(group.title)}"'
        for option in group.options:
            yield from _option(option)
    yield from (".SH SIGNALS", _text(_SIGNALS))
    yield ".SH ENVIRONMENT"
    yield from _definitions(_ENVIRONMENT)
    yield ".SH FILES"
    yield from _definitions(_FILES)
    yield ".SH EXIT STATUS"
    yield from _definitions(EXIT_CODES)


def _command(command: CommandSyntax) -> Iterator[str]:
    yield f'.SS "{_text(" ".join(filter(None, (command.name, command.arguments))))}"'
    yield _text(f"{command.help[:1].upper()}{command.help[1:]}.")
    own = [group for group in command.groups if not group.title]
    if command.name == "agent":
        yield "The flags are listed below."
    elif command.shares_flags:
        yield "It takes the flags of the agent as well."
    for group in own:
        for option in group.options:
            yield from _option(option)


def _option(option: CommandOption) -> Iterator[str]:
    text = plain(option.help)
    if option.default:
        text = f"{text} ({plain(option.default)})"
    yield from (".TP", rf"\fB{_text(option.usage)}\fR", _text(text) or r"\&")


def _definitions(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, text in pairs:
        yield from (".TP", rf"\fB{_text(name)}\fR", _text(text))


def _text(text: str) -> str:
    """Escaped: backslashes, dashes that are typed, all but ASCII, what would begin a request."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq")
    escaped = re.sub(r"[^\x00-\x7f]", lambda found: rf"\[u{ord(found[0]):04X}]", escaped)
    return re.sub(r"^([.\'])", r"\\&\1", escaped)

"""Command line and environment -> the text of every flag that is set."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shim.config.file_values import read_file
from shim.config.flags import FLAGS, Flag
from shim.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Given:
    """A flag's text and its source."""

    flag: Flag
    text: str
    source: str
    """``--name``, ``MESOS_NAME`` or ``default``: for error messages."""

    def wrong(self, reason: object) -> ConfigError:
        """A ConfigError with the flag, the value (unless it may hold a secret) and the reason."""
        value = "***" if self.flag.secret else self.text
        return ConfigError(f"{self.source}={value}: {reason}")


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> dict[str, Given]:
    """Every flag that is set, by name, defaults included. Raises ConfigError."""
    found = {
        flag.name: Given(flag, flag.default, "default")
        for flag in FLAGS.values()
        if flag.default is not None
    }
    for flag in FLAGS.values():
        if environ.get(flag.environment):
            found[flag.name] = Given(flag, environ[flag.environment], flag.environment)
    found |= _command_line(argv)
    return {name: _resolve_file(given) for name, given in found.items()}


def _command_line(argv: Sequence[str]) -> dict[str, Given]:
    found: dict[str, Given] = {}
    rest = list(reversed(argv))
    while rest:
        given = _next_flag(rest)
        if given.flag.name in found:
            raise ConfigError(f"--{given.flag.name} is given twice")
        found[given.flag.name] = given
    return found


def _next_flag(rest: list[str]) -> Given:
    """Take one flag with its value from the end of ``rest``."""
    word = rest.pop()
    if not word.startswith("--"):
        raise ConfigError(f"{word!r} is not a flag: flags are --name=value")
    name, equals, text = word.removeprefix("--").partition("=")
    flag, negated = _find(name)
    if negated:
        if equals:
            raise ConfigError(f"--{name}={text}: takes no value")
        return Given(flag, "false", f"--{flag.name}")
    if not equals:
        text = "true" if flag.is_boolean else _value(flag, rest)
    return Given(flag, text, f"--{flag.name}")


def _find(name: str) -> tuple[Flag, bool]:
    """The flag, and whether it is given as ``--no-name``."""
    if name in FLAGS:
        return FLAGS[name], False
    positive = FLAGS.get(name.removeprefix("no-"))
    if name.startswith("no-") and positive is not None:
        if not positive.is_boolean:
            raise ConfigError(f"--{name}: --{positive.name} is not a boolean")
        return positive, True
    raise ConfigError(f"unknown flag --{name}{_suggestion(name)}")


def _suggestion(name: str) -> str:
    wanted = name.replace("-", "_").lower()
    negated = wanted.startswith("no_")
    near = difflib.get_close_matches(wanted.removeprefix("no_"), FLAGS, n=1, cutoff=0.6)
    if not near:
        return " (mesos-shim agent --help lists them)"
    prefix = "no-" if negated and FLAGS[near[0]].is_boolean else ""
    return f": did you mean --{prefix}{near[0]}?"


def _value(flag: Flag, rest: list[str]) -> str:
    if not rest or rest[-1].startswith("--"):
        raise ConfigError(f"--{flag.name} needs a value: {flag.usage}")
    return rest.pop()


def _resolve_file(given: Given) -> Given:
    """``file:///path`` -> the contents of the file, stripped."""
    if not (given.flag.kind.from_file and given.text.startswith("file://")):
        return given
    try:
        text = read_file(Path(given.text.removeprefix("file://")))
    except ValueError as error:
        raise ConfigError(f"{given.source}={given.text}: {error}") from None
    return Given(given.flag, text.strip(), given.source)

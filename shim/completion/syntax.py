"""What each command takes, as data, from the table of flags and from argparse's parsers."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from shim.certs import command as certs
from shim.client.parsers import COMMANDS as CLIENT_COMMANDS
from shim.client.parsers import CommandParser, add_agent, client_parser
from shim.client.selection import FILTER_WORDS
from shim.config.flags import GROUPS, Flag
from shim.dev.command import OWN_FLAGS, dev_parser
from shim.run import command as run


class Kind(StrEnum):
    """What a shell offers for a value."""

    TEXT = "text"
    """Nothing."""
    WORDS = "words"
    FILE = "file"
    TASK = "task"
    """The id of a live task."""
    ANY_TASK = "any-task"
    """Of an ended one as well."""


@dataclass(frozen=True, slots=True)
class Value:
    kind: Kind
    words: tuple[str, ...] = ()


TEXT = Value(Kind.TEXT)
FILE = Value(Kind.FILE)


@dataclass(frozen=True, slots=True)
class CommandOption:
    names: tuple[str, ...]
    """With their dashes."""
    help: str
    value: Value | None
    """None: it takes none."""
    placeholder: str = ""
    default: str = ""

    @property
    def usage(self) -> str:
        """``-s, --signal=SIGNAL``."""
        value = f"={self.placeholder}" if self.value is not None else ""
        return ", ".join(self.names) + value


@dataclass(frozen=True, slots=True)
class OptionGroup:
    title: str
    options: tuple[CommandOption, ...]


@dataclass(frozen=True, slots=True)
class CommandSyntax:
    name: str
    help: str
    groups: tuple[OptionGroup, ...]
    arguments: str = ""
    """As a usage line shows them."""
    first: Value = TEXT
    """The first argument, and the others where ``repeats``."""
    repeats: bool = False
    shares_flags: bool = False
    """Whether it takes the agent's flags as well; a manual need not repeat them."""

    @property
    def options(self) -> tuple[CommandOption, ...]:
        return tuple(option for group in self.groups for option in group.options)


def command_syntaxes(helps: Mapping[str, str]) -> list[CommandSyntax]:
    """Of every command: ``helps`` are their names and descriptions."""
    return [_command(name, text) for name, text in helps.items()]


def _command(name: str, text: str) -> CommandSyntax:
    match name:
        case "agent":
            return CommandSyntax(name, text, flag_groups())
        case "check":
            own = OptionGroup("", (CommandOption(("--json",), "for programs", None),))
            return CommandSyntax(name, text, (own, *flag_groups()), shares_flags=True)
        case "dev":
            own = OptionGroup("", tuple(_options(dev_parser())))
            groups = (own, *flag_groups(without=(*OWN_FLAGS, "master")))
            return CommandSyntax(name, text, groups, shares_flags=True)
        case "run" | "certs":
            parser = argparse.ArgumentParser()
            (run if name == "run" else certs).add_arguments(parser)
            return _from_parser(name, text, parser)
        case "completion":
            return _from_parser(name, text, completion_parser())
        case _:
            assert name in CLIENT_COMMANDS, name
            return _from_parser(name, text, client_parser(name))


SHELLS = ("bash", "zsh", "fish")
SIGNALS = ("TERM", "KILL", "HUP", "INT", "QUIT", "USR1", "USR2", "STOP", "CONT")


def completion_parser() -> argparse.ArgumentParser:
    """Of this package's own command."""
    parser = CommandParser(
        prog="mesos-shim completion",
        description="Print the completion of a shell, the manual page, or the ids of live tasks.",
    )
    add_agent(parser)
    parser.add_argument("--all", action="store_true", help="ids of ended tasks as well")
    parser.add_argument("what", choices=(*SHELLS, "man", "tasks"))
    return parser


# --- the table of flags -------------------------------------------------------------------------


def flag_groups(without: Iterable[str] = ()) -> tuple[OptionGroup, ...]:
    """The agent's flags but those ``without``."""
    left_out = set(without)
    return tuple(
        OptionGroup(group.title, tuple(map(_flag_option, kept)))
        for group in GROUPS
        if (kept := [flag for flag in group.flags if flag.name not in left_out])
    )


def _flag_option(flag: Flag) -> CommandOption:
    default = flag.default if flag.default is not None else flag.absent
    if flag.is_boolean:
        names = (f"--{flag.name}", f"--no-{flag.name}")
        return CommandOption(names, flag.help, None, default=default)
    placeholder = flag.kind.placeholder
    return CommandOption((f"--{flag.name}",), flag.help, _value(placeholder), placeholder, default)


def _value(placeholder: str) -> Value:
    """``text|json`` is a choice of words; ``PATH|JSON`` may be a file."""
    if re.fullmatch(r"[a-z]+(\|[a-z]+)+", placeholder):
        return Value(Kind.WORDS, tuple(placeholder.split("|")))
    is_file = re.search(r"\b(PATH|FILE|DIR|LOG)\b", placeholder)
    return FILE if is_file else TEXT


# --- argparse -----------------------------------------------------------------------------------


def _from_parser(name: str, text: str, parser: argparse.ArgumentParser) -> CommandSyntax:
    positional = [action for action in parser._actions if not action.option_strings]
    first = positional[0] if positional else None
    return CommandSyntax(
        name,
        text,
        (OptionGroup("", tuple(_options(parser))),),
        " ".join(map(_argument_usage, positional)),
        TEXT if first is None else _argument_value(name, first),
        first is not None and first.nargs in ("*", "+"),
    )


def _options(parser: argparse.ArgumentParser) -> Iterable[CommandOption]:
    for action in parser._actions:
        if action.option_strings and action.dest != "help":
            takes_value = action.nargs != 0
            placeholder = _placeholder(action) if takes_value else ""
            value = _option_value(action.dest, placeholder) if takes_value else None
            yield CommandOption(tuple(action.option_strings), action.help or "", value, placeholder)


def _option_value(dest: str, placeholder: str) -> Value:
    return Value(Kind.WORDS, SIGNALS) if dest == "signal" else _value(placeholder)


def _placeholder(action: argparse.Action) -> str:
    return str(action.metavar or action.dest.upper())


def _argument_usage(action: argparse.Action) -> str:
    text = action.dest.upper() if action.choices is None else "|".join(action.choices)
    match action.nargs:
        case "?":
            return f"[{text}]"
        case "*" | argparse.REMAINDER:
            return f"[{text}...]"
        case "+":
            return f"{text}..."
        case _:
            return text


def _argument_value(command: str, action: argparse.Action) -> Value:
    if action.choices is not None:
        return Value(Kind.WORDS, tuple(action.choices))
    match action.dest:
        case "task":
            return Value(Kind.TASK if command in ("exec", "kill") else Kind.ANY_TASK)
        case "filter":
            return Value(Kind.WORDS, FILTER_WORDS)
        case _:
            return TEXT

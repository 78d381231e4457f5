"""The completion of fish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shim.completion.syntax import CommandOption, CommandSyntax, Kind, Value
from shim.completion.text import brief

_HEAD = """\
# fish completion for mesos-shim, written by scripts/completion.

# The tasks of the agent that the command line names; an argument may be --all.
function __mesos_shim_tasks
    set -l given (commandline -opc | string match -r -- '^--(?:agent|credentials)=.*')
    mesos-shim completion tasks $argv $given 2>/dev/null
end

complete -c mesos-shim -f
"""


def fish_completion(commands: Sequence[CommandSyntax]) -> str:
    """For ``~/.config/fish/completions/mesos-shim.fish``."""
    lines = [
        f"complete -c mesos-shim -n __fish_use_subcommand -a {command.name} "
        f"-d {_quoted(command.help)}"
        for command in commands
    ]
    shared: dict[str, list[str]] = {}
    for command in commands:
        for text in _completions(command):
            shared.setdefault(text, []).append(command.name)
    for text, names in shared.items():
        condition = _quoted(f"__fish_seen_subcommand_from {' '.join(names)}")
        lines.append(f"complete -c mesos-shim -n {condition} {text}")
    return _HEAD + "\n".join(lines) + "\n"


def _completions(command: CommandSyntax) -> Iterator[str]:
    for option in command.options:
        yield from _option(option)
    if command.first.kind is not Kind.TEXT:
        yield _value(command.first)


def _option(option: CommandOption) -> Iterator[str]:
    long = [name.removeprefix("--") for name in option.names if name.startswith("--")]
    short = [name.removeprefix("-") for name in option.names if not name.startswith("--")]
    spelled = " ".join([f"-l {name}" for name in long] + [f"-s {name}" for name in short])
    value = "" if option.value is None else f" {_value(option.value)}"
    yield f"{spelled}{value} -d {_quoted(brief(option.help))}"


def _value(value: Value) -> str:
    match value.kind:
        case Kind.WORDS:
            return f"-x -a {_quoted(' '.join(value.words))}"
        case Kind.FILE:
            return "-r -F"
        case Kind.TASK:
            return "-x -a '(__mesos_shim_tasks)'"
        case Kind.ANY_TASK:
            return "-x -a '(__mesos_shim_tasks --all)'"
        case Kind.TEXT:
            return "-x"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

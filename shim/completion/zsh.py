"""The completion of zsh."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from shim.completion.syntax import CommandOption, CommandSyntax, Kind, Value
from shim.completion.text import brief

_HEAD = """\
#compdef mesos-shim
compdef _mesos_shim mesos-shim
# zsh completion for mesos-shim, written by scripts/completion.

# The tasks of the agent that the command line names.
_mesos_shim_tasks() {
  local -a given ids
  local i
  for ((i = 1; i < $#words; i++)); do
    case $words[i] in
    --agent=* | --credentials=*) given+=($words[i]) ;;
    --agent | --credentials) given+=("$words[i]=$words[i+1]") ;;
    esac
  done
  ids=(${(f)"$(mesos-shim completion tasks $mesos_shim_tasks $given 2>/dev/null)"})
  compadd -a ids
}

_mesos_shim() {
  local mesos_shim_tasks=''
  local -a commands
  if ((CURRENT == 2)); then
"""
_TAIL = """\
  esac
}

# Autoloaded from fpath, this file is the function itself.
if [[ ${funcstack[1]-} == _mesos-shim ]]; then
  _mesos_shim "$@"
fi
"""


def zsh_completion(commands: Sequence[CommandSyntax]) -> str:
    """For a file ``_mesos-shim`` on ``fpath``, or to be sourced after ``compinit``."""
    described = [_quoted(f"{command.name}:{command.help}") for command in commands]
    lines = [f"    commands=({' '.join(described)})"]
    lines += ["    _describe command commands", "    return", "  fi", "  shift words"]
    lines += ["  ((CURRENT--))", "  case $words[1] in"]
    for command in commands:
        lines.append(f"  {command.name})")
        if command.first.kind is Kind.ANY_TASK:
            lines.append("    mesos_shim_tasks=--all")
        specs = " \\\n      ".join(map(_quoted, _specs(command)))
        lines += [f"    _arguments -s -S \\\n      {specs}", "    ;;"]
    return _HEAD + "\n".join(lines) + "\n" + _TAIL


def _specs(command: CommandSyntax) -> Iterator[str]:
    for option in command.options:
        for name in option.names:
            yield _spec(name, option)
    yield "--help[list the flags]"
    if command.first.kind is not Kind.TEXT:
        yield f"{'*' if command.repeats else '1'}:argument:{_action(command.first)}"


def _spec(name: str, option: CommandOption) -> str:
    # `*` offers an option again. Every option with a value has it: none has to be listed.
    text = re.sub(r"([\[\]\\:])", r"\\\1", brief(option.help))
    if option.value is None:
        return f"{name}[{text}]"
    assign = "=" if name.startswith("--") else "+"
    return f"*{name}{assign}[{text}]:value:{_action(option.value)}"


def _action(value: Value) -> str:
    match value.kind:
        case Kind.WORDS:
            words = " ".join(word.replace(":", "\\:") for word in value.words)
            return f"({words})"
        case Kind.FILE:
            return "_files"
        case Kind.TASK | Kind.ANY_TASK:
            return "_mesos_shim_tasks"
        case Kind.TEXT:
            return " "


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"

"""The completion of bash, from version 3.2 on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from shim.completion.syntax import CommandSyntax, Kind, Value

_HEAD = """\
# bash completion for mesos-shim, written by scripts/completion.

# Sets COMPREPLY to the lines of stdin that begin with $1.
_mesos_shim_reply() {
  local word cut=''
  while IFS= read -r word; do
    case $word in "$1"*) COMPREPLY+=("$word") ;; esac
  done
  # readline replaces only what follows the last of its word breaks.
  case $COMP_WORDBREAKS:$1 in
  *:*:*:*) cut=${1%"${1##*[=:]}"} ;;
  *=*) cut=${1%"${1##*=}"} ;;
  esac
  [ ${#COMPREPLY[@]} -eq 0 ] || COMPREPLY=("${COMPREPLY[@]#"$cut"}")
}

# The tasks of the agent that the command line names; $1 may be --all.
_mesos_shim_tasks() {
  local i given=()
  for ((i = 2; i < ${#words[@]} - 1; i++)); do
    case ${words[i]} in
    --agent=* | --credentials=*) given+=("${words[i]}") ;;
    --agent | --credentials) given+=("${words[i]}=${words[i + 1]}") ;;
    esac
  done
  "${words[0]}" completion tasks "$@" ${given[@]+"${given[@]}"} 2>/dev/null
}

# Whether option $2 of command $1 takes a value.
_mesos_shim_takes_value() {
  case $2 in
  --*) _mesos_shim_options "$1" | grep -qxF -e "$2=" ;;
  -*) [ -n "$(_mesos_shim_value "$1 $2")" ] ;;
  *) return 1 ;;
  esac
}
"""
_TAIL = """\

# Completes the value $3 of the option $2 of command $1, or of an argument.
_mesos_shim_complete_value() {
  local kind rest
  read -r kind rest <<<"$(_mesos_shim_value "$1 $2")"
  case $kind in
  words) _mesos_shim_reply "$3" < <(tr ' ' '\\n' <<<"$rest") ;;
  task) _mesos_shim_reply "$3" < <(_mesos_shim_tasks) ;;
  any-task) _mesos_shim_reply "$3" < <(_mesos_shim_tasks --all) ;;
  file)
    compopt -o filenames 2>/dev/null
    while IFS= read -r rest; do
      COMPREPLY+=("$rest")
    done < <(compgen -f -- "$3")
    ;;
  esac
}

_mesos_shim() {
  local line=${COMP_LINE:0:COMP_POINT} words=() command cur before i which=argument
  read -r -a words <<<"$line"
  case $line in *[[:space:]]) words+=('') ;; esac
  command=${words[1]-} cur=${words[${#words[@]} - 1]} before=${words[${#words[@]} - 2]-}
  COMPREPLY=()
  if [ ${#words[@]} -le 2 ]; then
    _mesos_shim_reply "$command" < <(_mesos_shim_commands)
    return
  fi
  for ((i = 2; i < ${#words[@]} - 1; i++)); do
    if _mesos_shim_takes_value "$command" "${words[i]}"; then
      ((i++))
    elif [ "${words[i]#-}" = "${words[i]}" ]; then
      which=arguments
    fi
  done
  case $cur in
  --*=*) _mesos_shim_complete_value "$command" "${cur%%=*}" "${cur#*=}" ;;
  *)
    if _mesos_shim_takes_value "$command" "$before"; then
      _mesos_shim_complete_value "$command" "$before" "$cur"
    elif [ "${cur#-}" != "$cur" ]; then
      _mesos_shim_reply "$cur" < <(_mesos_shim_options "$command")
      case ${COMPREPLY[0]-} in *=) compopt -o nospace 2>/dev/null ;; esac
    else
      _mesos_shim_complete_value "$command" "$which" "$cur"
    fi
    ;;
  esac
}

complete -F _mesos_shim mesos-shim
"""


def bash_completion(commands: Sequence[CommandSyntax]) -> str:
    """The script that ``complete``s the command ``mesos-shim``."""
    names = _lines([command.name for command in commands] + ["--help", "--version"])
    options = {command.name: _lines(_option_words(command)) for command in commands}
    return "\n".join(
        [
            _HEAD,
            f"_mesos_shim_commands() {{\n  {names}\n}}\n",
            "# The options of command $1; those that take a value end in =.",
            _function("_mesos_shim_options", _joined(options)),
            "# What there is to offer for the value of an option, or for an argument.",
            _function("_mesos_shim_value", _joined(dict(_values(commands)))) + _TAIL,
        ]
    )


def _option_words(command: CommandSyntax) -> list[str]:
    words = [
        name if option.value is None else f"{name}="
        for option in command.options
        for name in option.names
        if option.value is None or name.startswith("--")
    ]
    return [*words, "--help"]


def _values(commands: Sequence[CommandSyntax]) -> Iterator[tuple[str, str]]:
    for command in commands:
        for option in command.options:
            for name in option.names:
                is_long = name.startswith("--")
                if option.value is not None and not (is_long and option.value.kind is Kind.TEXT):
                    yield f"{command.name} {name}", _echo(option.value)
        if command.first.kind is not Kind.TEXT:
            yield f"{command.name} argument", _echo(command.first)
            if command.repeats:
                yield f"{command.name} arguments", _echo(command.first)


def _echo(value: Value) -> str:
    return f"echo {shlex.quote(' '.join((value.kind, *value.words)))}"


def _lines(words: Sequence[str]) -> str:
    return "printf '%s\\n' " + " ".join(map(shlex.quote, words))


def _joined(actions: Mapping[str, str]) -> dict[str, str]:
    """Patterns that share an action, and the action."""
    patterns: dict[str, list[str]] = {}
    for pattern, action in actions.items():
        patterns.setdefault(action, []).append(shlex.quote(pattern))
    return {" | ".join(sharing): action for action, sharing in patterns.items()}


def _function(name: str, cases: Mapping[str, str]) -> str:
    lines = [f"  {pattern}) {action} ;;" for pattern, action in cases.items()]
    return "\n".join([f"{name}() {{", "  case $1 in", *lines, "  esac", "}", ""])

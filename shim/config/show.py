"""``--help`` and the table of flags in the README."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from shim.config.flags import GROUPS, PREFIX, Flag

_USAGE_WIDTH = 40


def help_text(command: str = "mesos-shim agent") -> str:
    """The output of ``mesos-shim agent --help``."""
    width = min(shutil.get_terminal_size().columns, 110)
    lines = [
        f"usage: {command} --master=MASTER [FLAGS]",
        "",
        *textwrap.wrap(
            f"Every flag may come from the environment too: --work_dir as {PREFIX}WORK_DIR. "
            "file:///path as a value stands for what that file holds.",
            width,
        ),
    ]
    for group in GROUPS:
        lines += ["", f"{group.title}:"]
        lines += [line for flag in group.flags for line in _lines(flag, width)]
    return "\n".join(lines)


def _lines(flag: Flag, width: int) -> Iterator[str]:
    usage = f"  {flag.usage}"
    text = f"{flag.help} ({_default(flag)})".replace("`", "")
    indent = " " * _USAGE_WIDTH
    wrapped = textwrap.wrap(text, max(width - _USAGE_WIDTH, 30))
    if len(usage) >= _USAGE_WIDTH:
        yield usage
        usage = ""
    yield usage.ljust(_USAGE_WIDTH) + wrapped[0]
    yield from (indent + line for line in wrapped[1:])


def _default(flag: Flag) -> str:
    if flag.default is not None:
        return f"default: {flag.default}"
    return "required" if flag.absent == "required" else f"unset: {flag.absent or 'none'}"


def markdown_table() -> str:
    """The table of the README, with one section for each group."""
    sections = []
    for group in GROUPS:
        rows = [f"| {_cell(f'`{flag.usage}`')} | {_cell(_meaning(flag))} |" for flag in group.flags]
        sections.append("\n".join([f"| {group.title} | |", "|---|---|", *rows]))
    return "\n\n".join(sections)


def _meaning(flag: Flag) -> str:
    if flag.default is not None:
        return f"{flag.help}. Default `{flag.default}`"
    if flag.absent == "required":
        return f"{flag.help}. Required"
    return f"{flag.help}. Unset: {flag.absent}" if flag.absent else flag.help


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# --- the README -----------------------------------------------------------------------------

BEGIN, END = "<!-- flags: written by scripts/flags-table -->", "<!-- /flags -->"


def with_table(document: str) -> str:
    """The document with a current table between its markers. ValueError without markers."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{markdown_table()}\n\n{END}{after}"


def main(argv: Sequence[str]) -> int:
    """``[--check] FILE``: write the table; with ``--check`` return 1 for an outdated table."""
    path = Path(argv[-1])
    document = path.read_text(encoding="utf-8")
    try:
        wanted = with_table(document)
    except ValueError as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    if argv[0] != "--check":
        path.write_text(wanted, encoding="utf-8")
        return 0
    if document != wanted:
        print(f"{path}: the table of flags is old; run scripts/flags-table", file=sys.stderr)
    return int(document != wanted)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

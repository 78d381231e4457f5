"""Generates the reference table of ``shim/engine/README.md`` from the tables of this package.

``python -m shim.engine.mapping.reference_table README`` writes the table between its markers. With
``--check`` the command only compares: exit code 1 when the README differs from the code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from shim.engine.mapping import (
    command,
    isolation,
    labels,
    network,
    persistent_volumes,
    pod,
    resources,
    shared_volumes,
    spec,
    volumes,
)
from shim.engine.mapping.options import OPTIONS, SHORT, Option
from shim.engine.mapping.spec_builder import FieldRow, TritonSupport

BEGIN = "<!-- mapping-table: begin (made by scripts/mapping-table) -->"
END = "<!-- mapping-table: end -->"
FIELDS: tuple[FieldRow, ...] = (
    *spec.FIELDS,
    *command.FIELDS,
    *labels.FIELDS,
    *resources.FIELDS,
    *network.FIELDS,
    *volumes.FIELDS,
    *persistent_volumes.FIELDS,
    *isolation.FIELDS,
    *pod.FIELDS,
    *shared_volumes.FIELDS,
)


def render() -> str:
    """Return the tables of fields and of options as Markdown."""
    short = ", ".join(f"`{letter}` {key}" for letter, key in sorted(SHORT.items()))
    return "\n".join(
        [
            "### Fields of a task",
            "",
            *_table("task field", map(_field_row, FIELDS)),
            "",
            "### Keys of `container.docker.parameters`",
            "",
            *_table("key", map(_option_row, OPTIONS)),
            "",
            f"One-letter names are accepted too: {short}.",
        ]
    )


def insert(document: str) -> str:
    """Return the document with the table between its markers. ValueError without markers."""
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError("no markers for the mapping table")
    return f"{head}{BEGIN}\n{render()}\n{END}{tail}"


def main(arguments: list[str]) -> int:
    path = Path(arguments[0])
    old = path.read_text(encoding="utf-8")
    new = insert(old)
    if "--check" not in arguments:
        path.write_text(new, encoding="utf-8")
    elif new != old:
        print(f"{path} differs from the code: run scripts/mapping-table", file=sys.stderr)
        return 1
    return 0


def _table(first: str, rows: Iterable[tuple[str, ...]]) -> list[str]:
    header = (first, "API field", "note", "local", "Triton")
    lines = [header, ("---",) * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _field_row(field: FieldRow) -> tuple[str, ...]:
    triton = _triton(field.local, field.triton)
    return _code(field.name), _code(field.api), field.note, field.local, triton


def _option_row(option: Option) -> tuple[str, ...]:
    since = "" if option.since == "1.20" else f"API {option.since}"
    note = "; ".join(part for part in (option.note, since) if part)
    key = f"`{option.key}`"
    return key, _code(option.api), note, option.local, _triton(option.local, option.triton)


def _triton(local: str, triton: TritonSupport) -> str:
    """Return the Triton cell: the local column's text where both endpoints do the same."""
    same = local != "yes" and (triton is TritonSupport.YES or local == "refused")
    return local if same else triton.value


def _code(text: str) -> str:
    """Format a comma-separated list of names as Markdown code."""
    if text == "-" or " " in text.replace(", ", ""):
        return text.replace("<net>", "&lt;net&gt;")
    return ", ".join(f"`{part}`" for part in text.split(", "))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

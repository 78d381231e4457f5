"""The reference table of ``shim/engine/README.md``, made from the tables the code works by.

``python -m shim.engine.mapping.table README [--check]`` writes it between its markers, or only
says (exit code 1) whether it is in step.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from shim.engine.mapping import command, isolation, labels, network, resources, spec, volumes
from shim.engine.mapping.options import OPTIONS, SHORT, Option
from shim.engine.mapping.spec_builder import Field, Triton

BEGIN = "<!-- mapping-table: begin (made by scripts/mapping-table) -->"
END = "<!-- mapping-table: end -->"
FIELDS: tuple[Field, ...] = (
    *spec.FIELDS,
    *command.FIELDS,
    *labels.FIELDS,
    *resources.FIELDS,
    *network.FIELDS,
    *volumes.FIELDS,
    *isolation.FIELDS,
)


def render() -> str:
    """Both tables as Markdown."""
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
            f"One-letter names are taken too: {short}.",
        ]
    )


def insert(document: str) -> str:
    """The document with the present table between its markers. ValueError when it has none."""
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
        print(f"{path} is not in step with the code: run scripts/mapping-table", file=sys.stderr)
        return 1
    return 0


def _table(first: str, rows: Iterable[tuple[str, ...]]) -> list[str]:
    header = (first, "API field", "note", "local", "Triton")
    lines = [header, ("---",) * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _field_row(field: Field) -> tuple[str, ...]:
    triton = _triton(field.local, field.triton)
    return _code(field.name), _code(field.api), field.note, field.local, triton


def _option_row(option: Option) -> tuple[str, ...]:
    since = "" if option.since == "1.20" else f"API {option.since}"
    note = "; ".join(part for part in (option.note, since) if part)
    key = f"`{option.key}`"
    return key, _code(option.api), note, option.local, _triton(option.local, option.triton)


def _triton(local: str, triton: Triton) -> str:
    """What is the same in both places is told by the local column."""
    same = local != "yes" and (triton is Triton.YES or local == "refused")
    return local if same else triton.value


def _code(text: str) -> str:
    """Names set as code, one by one."""
    if text == "-" or " " in text.replace(", ", ""):
        return text.replace("<net>", "&lt;net&gt;")
    return ", ".join(f"`{part}`" for part in text.split(", "))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def test_what_it_links_to_is_there() -> None:
    links = LINK.findall(README.read_text())
    assert [link for link in links if not (README.parent / link).exists()] == []


def test_the_reference_of_tasks_is_linked() -> None:
    assert "shim/engine/README.md" in LINK.findall(README.read_text())

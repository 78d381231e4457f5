"""Who may import whom: the rooms of the house, and a core without side effects."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import shim

ROOT = Path(shim.__file__).parent
COMMON = {"model", "errors", "limits", "protos"}
#: what each room may import beside itself
ALLOWED = {
    "model": {"protos", "errors"},
    "core": COMMON,
    "wire": COMMON,
    "engine": COMMON,
    "discovery": COMMON,
    "devmaster": COMMON | {"wire"},
    "http": COMMON | {"core", "telemetry", "__version__"},
    "resources": {"protos"},
    "framework": {"errors"},
    "errors": set[str](),
    "limits": set[str](),
    "journal": {"model", "errors"},
    "barrier": {"core", "model"},
    "runtime": COMMON | {"barrier", "core", "journal"},
    "telemetry": set[str](),
}
PURE = {
    "__future__",
    "base64",
    "collections",
    "dataclasses",
    "enum",
    "google",
    "heapq",
    "ipaddress",
    "itertools",
    "math",
    "shim",
    "typing",
    "uuid",
}
#: of a module that is let in, what would be chance or a clock
IMPURE_NAMES = {"uuid1", "uuid4", "getnode", "now", "time", "random", "urandom"}


def modules(room: str) -> list[Path]:
    path = ROOT / room
    found = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return [module for module in found if module.exists() and not module.stem.endswith("_pb2")]


def imports(module: Path) -> Iterator[str]:
    """Dotted names of all that is imported, also inside functions and for types only."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute here"
            assert node.module is not None
            if node.module == "shim":
                yield from (f"shim.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    found = modules(room)
    assert found, f"{room} has moved: this rule guards nothing"
    for module in found:
        for name in imports(module):
            if name == "shim":
                continue
            head, _, rest = name.partition(".")
            if head == "shim":
                other = rest.partition(".")[0]
                place = module.relative_to(ROOT)
                assert other in ALLOWED[room] | {room}, f"{place} imports {name}"


def test_only_its_own_command_knows_the_embedded_master() -> None:
    for module in ROOT.rglob("*.py"):
        place = module.relative_to(ROOT)
        if place.parts[0] not in ("devmaster", "dev.py"):
            known = [name for name in imports(module) if name.startswith("shim.devmaster")]
            assert not known, f"{place} imports {known}"


@pytest.mark.parametrize("room", ["core", "model", "barrier"])
def test_a_pure_room_imports_nothing_that_acts(room: str) -> None:
    for module in modules(room):
        for name in imports(module):
            place = module.relative_to(ROOT)
            assert name.partition(".")[0] in PURE, f"{place} imports {name}"


def test_the_core_takes_no_chance_and_reads_no_clock() -> None:
    for module in modules("core"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            if node.value.id in ("uuid", "uuidlib"):
                assert node.attr not in IMPURE_NAMES, f"{module.name}:{node.lineno}"


def test_no_module_of_the_core_waits() -> None:
    for module in modules("core"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            waits = isinstance(
                node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
            )
            assert not waits, f"{module.name} is not synchronous"


def test_the_walk_sees_what_it_is_for(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("def f():\n    import asyncio\n    from shim import journal\n")
    assert list(imports(module)) == ["asyncio", "shim.journal"]

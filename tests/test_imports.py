"""Which package may import which, for every module of the tree, and a core without side effects."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import shim

ROOT = Path(shim.__file__).parent
COMMON = {"model", "errors", "limits", "protos"}
#: What each package, or module at the root, may import beside itself. The longest name that a
#: module's own dotted name begins with counts.
ALLOWED = {
    "": {"__version__"},
    "__main__": {"cli"},
    "cli": {
        "__version__",
        "agent",
        "certs",
        "check",
        "client",
        "completion",
        "config",
        "dev",
        "errors",
        "run",
        "telemetry",
    },
    "errors": set[str](),
    "limits": set[str](),
    "protos": {"protos"},
    "model": {"protos", "errors"},
    "core": COMMON,
    "wire": COMMON,
    "engine": COMMON,
    "engine.triton.billing": COMMON | {"telemetry.metrics"},
    "discovery": COMMON,
    "discovery.task_ports": COMMON | {"engine.mapping.values"},
    "discovery.master_detector": COMMON | {"wire.detect", "wire.zookeeper"},
    "http": COMMON
    | {
        "core.custom_executor",
        "core.executors",
        "core.history",
        "core.lifecycle",
        "core.status",
        "core.task",
    }
    | {"core.view"}
    | {"telemetry.launch_stats", "telemetry.log", "telemetry.metrics", "__version__"},
    "http.executor_api": COMMON | {"core.view", "wire.non_utf8"},
    "telemetry": set[str](),
    "telemetry.catalogue": COMMON
    | {"agent.messenger", "agent.runtime", "core.view", "discovery.sync", "engine"}
    | {"wire.link", "wire.server"},
    "telemetry.launch_stats": COMMON,
    "config": COMMON,
    "config.config": COMMON | {"engine.images.credentials", "engine.mapping.mapping_settings"},
    "config.container_info": COMMON | {"engine.images.image_reference"},
    "config.flags": COMMON | {"engine.mapping.mapping_settings"},
    "config.file_values": COMMON | {"engine.images.credentials"},
    "config.agent_totals": COMMON | {"engine.api"},
    "config.resources": {"protos", "model"},
    "certs": {"engine.client.endpoint", "engine.client.transport", "errors"}
    | {"engine.triton.certificate_info"},
    "run": {"errors"},
    "run.command": {"config.libprocess", "errors"},
    "run.logs": {"client.files", "client.terminal", "errors"},
    "run.stages": {"client.progress"},
    "run.tracker": {"client.text"},
    "run.driver": {"client.tls_tunnel", "errors"},
    "run.runner": {
        "client.progress",
        "client.task_table",
        "client.text",
        "client.tls_tunnel",
        "errors",
        "model.settings",
        "wire.tls",
    },
    "client": {"errors"},
    "client.tls_tunnel": {"errors", "wire.connect", "wire.tls"},
    "client.exec_session": {"errors", "http.recordio"},
    "client.commands": {"config.libprocess", "errors", "wire.tls"},
    "client.parsers": {"errors"},
    "completion": set[str](),
    "completion.syntax": {"certs", "client.parsers", "client.selection", "config.flags"}
    | {"dev.command", "run"},
    "completion.manual": {"__version__", "client.commands", "config.flags"},
    "completion.command": {"client.commands", "errors"},
    "check.volumes_probe": COMMON
    | {"agent.identity", "agent.journal", "config", "engine.api", "engine.connect"},
    "check": COMMON
    | {"wire.zookeeper_client"}
    | {"config", "discovery.consul_client", "discovery.master_detector", "telemetry"}
    | {"wire.connect", "wire.tls"}
    | {"engine.client.endpoint", "engine.client.transport", "engine.connect"}
    | {"engine.triton.certificate_info", "engine.triton.login"},
    "check.report": COMMON | {"client.text"},
    "check.pod_probe": COMMON
    | {"config", "engine.api", "engine.connect", "engine.images.image_reference"}
    | {"engine.infra.image"},
    "dev": COMMON | {"agent.main", "config", "telemetry", "wire.tls"},
    "dev.command": COMMON | {"agent.main", "client.parsers", "config", "telemetry", "wire.tls"},
    "dev.master": COMMON
    | {"http.protojson", "http.recordio", "http.responses", "http.router", "http.time_slicer"}
    | {"wire"},
    "agent": COMMON | {"config", "core", "discovery", "engine", "http", "telemetry", "wire"},
    "agent.journal": {"model", "errors"},
    "agent.journal_codec": {"model", "protos"},
    "agent.journal_log": COMMON,
    "agent.lease": {"limits"},
    "agent.journal_lock": COMMON | {"wire.zookeeper_client"},
    "agent.zookeeper_journal": COMMON | {"wire.zookeeper_client"},
    "agent.barrier": {"core", "model"},
    "agent.dispatcher": COMMON | {"discovery", "engine"},
    "agent.frontend": COMMON | {"agent.executor_silence", "http.router", "wire"},
    "agent.executor_silence": COMMON | {"engine.api"},
    "agent.executor_environment": COMMON | {"core.executor_ends"},
    "agent.messenger": COMMON | {"wire"},
    "agent.supervise": {"limits"},
    "agent.runtime": COMMON | {"core"},
}
#: What the packages of ``engine`` may import of one another.
INSIDE_ENGINE = {
    "engine.client": {"engine.api", "engine.images.pull_progress"},
    "engine.images": {"engine.api", "engine.client.retry"},
    "engine.infra": set[str](),
    "engine.mapping": {"engine.api", "engine.images.image_reference"},
    "engine.mapping.values": set[str](),
    "engine.containers": {"engine.api", "engine.client.pacing", "engine.client.retry"}
    | {"engine.images.puller", "engine.mapping.command", "engine.mapping.pod"}
    | {"engine.fetch.sandbox_archive"},
    "engine.fetch": {"engine.api", "engine.client.transport", "engine.images.credentials"}
    | {"engine.mapping.mapping_settings", "engine.mapping.pod", "engine.mapping.shared_volumes"}
    | {"engine.mapping.volumes"},
    "engine.sandbox": {"engine.api", "engine.client.retry"},
    "engine.checks": {"engine.api", "engine.client.transport"},
}
#: Packages and modules that only the named packages may import.
PRIVATE = {
    "agent.main": {"agent", "cli", "dev"},
    "agent.wiring": {"agent"},
    "dev": {"cli", "completion", "dev"},
    "http": {"agent", "client", "dev", "http"},
    "telemetry.catalogue": {"agent"},
}
PURE_PACKAGES = (
    "core",
    "model",
    "agent.barrier",
    "agent.journal_codec",
    "agent.journal_log",
    "agent.lease",
)
PURE = {
    "__future__",
    "base64",
    "collections",
    "dataclasses",
    "enum",
    "google",
    "hashlib",
    "heapq",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "re",
    "shim",
    "struct",
    "types",
    "typing",
    "uuid",
}
#: Pure modules that only the mapping of tasks needs: they parse texts.
PURE_PARSERS = {"csv", "decimal", "difflib", "posixpath"}
#: of a module that is let in, what would be chance or a clock
IMPURE_NAMES = {"uuid1", "uuid4", "getnode", "now", "time", "random", "urandom"}


def dotted(module: Path) -> str:
    """``core.tasks`` for ``shim/core/tasks.py``, ``core`` for its ``__init__``."""
    parts = module.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    dotted(path): path for path in sorted(ROOT.rglob("*.py")) if not path.stem.endswith("_pb2")
}


def modules(package: str) -> list[Path]:
    return [path for name, path in MODULES.items() if f"{name}.".startswith(f"{package}.")]


def rule_of(name: str) -> str:
    """The entry of ALLOWED that counts for a module."""
    parts = name.split(".")
    prefixes = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((prefix for prefix in prefixes if prefix in ALLOWED), "")


@cache
def imports(module: Path) -> tuple[str, ...]:
    """Dotted names of all that is imported, also inside functions and for types only."""
    return tuple(_imports(module))


def _imports(module: Path) -> Iterator[str]:
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


def own_imports(module: Path) -> Iterator[str]:
    """What it imports of this package, without the leading ``shim.``."""
    for name in imports(module):
        head, _, rest = name.partition(".")
        if head == "shim" and rest:
            yield rest


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_what_its_package_may(name: str) -> None:
    rule = rule_of(name)
    assert rule or name in ("", "__main__"), f"{name} has no rule: add its package to ALLOWED"
    for other in own_imports(MODULES[name]):
        package = other.partition(".")[0]
        inside = rule and (f"{other}.".startswith(f"{rule}.") or f"{name}.".startswith(f"{other}."))
        known = package in ALLOWED[rule] or inside or f"{other}" in ALLOWED[rule]
        assert known or (rule and package == rule.partition(".")[0]), f"{name} imports {other}"


@pytest.mark.parametrize("package", INSIDE_ENGINE)
def test_a_package_of_the_engine_imports_only_what_it_may(package: str) -> None:
    assert modules(package), f"{package} has moved: this rule guards nothing"
    for path in modules(package):
        for other in own_imports(path):
            inside = f"{other}.".startswith(f"{package}.") or f"{package}.".startswith(f"{other}.")
            if other.startswith("engine.") and not inside:
                known = other in INSIDE_ENGINE[package]
                assert known, f"{path.relative_to(ROOT)} imports {other}"


def test_the_mapping_of_tasks_has_no_side_effects() -> None:
    for module in modules("engine.mapping"):
        if module.name != "reference_table.py":
            for name in imports(module):
                place = module.relative_to(ROOT)
                assert name.partition(".")[0] in PURE | PURE_PARSERS, f"{place} imports {name}"


@pytest.mark.parametrize("rule", [rule for rule in ALLOWED if rule])
def test_every_rule_guards_something(rule: str) -> None:
    assert modules(rule), f"{rule} has moved: this rule guards nothing"


@pytest.mark.parametrize("private", PRIVATE)
def test_only_entry_points_know_the_wiring(private: str) -> None:
    for name, path in MODULES.items():
        if name.partition(".")[0] not in PRIVATE[private]:
            known = [o for o in own_imports(path) if f"{o}.".startswith(f"{private}.")]
            assert not known, f"{name} imports {known}"


@pytest.mark.parametrize("package", PURE_PACKAGES)
def test_a_pure_package_imports_nothing_that_acts(package: str) -> None:
    for module in modules(package):
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
    module.write_text("def f():\n    import asyncio\n    from shim import agent\n")
    assert list(imports(module)) == ["asyncio", "shim.agent"]
